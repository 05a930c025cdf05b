"""The command line. Commands import what they need when they are called: ``--help`` answers at once.

Standard output carries tables, or with ``--json`` exactly one JSON document, on failures too; standard error carries
logs and errors. Every error becomes an exit code in one place, ``execute``.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from etl.errors import AdvosyncError
from etl.records import Direction, Scope
from jobs.command_groups import MAX_HELP_WIDTH, GroupedCommands
from jobs.exit_codes import CommandOutcome, ExitCode, outcome_of
from jobs.firms.command_line import firms_app
from jobs.operator import current_user
from jobs.screen import QUIET, log_level, make_console

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.config import Config
    from jobs.pipeline import RunOptions
    from jobs.run.report import RunReport

CTRL_C_EXIT_CODE = 130
"""What typer answers for Ctrl-C."""

ANYWHERE = {"-v", "-vv", "--verbose", "-q", "--quiet"}
"""Options of every command, taken before it and after it."""

app = typer.Typer(
    help="Keeps phone numbers and mail addresses the same in EspoCRM and Advoware.",
    cls=GroupedCommands,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MAX_HELP_WIDTH},
)

# The options commands share ---------------------------------------------------------------------------------------

DirectionOption = Annotated[
    Direction | None, typer.Option("--direction", help="Only this way; the file's, unless given.")
]
ScopeOption = Annotated[
    Scope | None, typer.Option("--conflict-scope", help="How far a conflict reaches; the file's, unless given.")
]
PersonOption = Annotated[
    list[str] | None,
    typer.Option("--person", metavar="ID|BETNR", help="Only this person; may be given several times."),
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; kept with the run.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")]
WholeOption = Annotated[
    bool, typer.Option("--whole", help="All runs of the backfill, sweep or undo of which this run was a chunk.")
]
MOST_NOTICES = 10
"""More notes than this are not shown before a question."""

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before it is carried out.")]


def print_version(wanted: bool) -> None:
    """``--version``: the installed version, and nothing else happens."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"advosync {version('advosync')}")
        raise typer.Exit


@app.callback()
def advosync(
    context: typer.Context,
    config: Annotated[Path, typer.Option("--config", help="The configuration.")] = Path("config.yaml"),
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, help="Log requests and decisions by ids; -vv with names, numbers and mails."
        ),
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing of what went well; show no progress.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What stands before the command."""
    context.obj = (config, verbose)
    QUIET.set(quiet)


@app.command()
def demo() -> int:
    """Show everything on a small law firm; needs no configuration and no network."""
    from jobs.commands.demo import main as run_demo

    return run_demo() or ExitCode.DONE


@app.command()
def sandbox(
    persons: Annotated[int, typer.Option(min=0, help="How many persons the firm knows.")] = 20,
    espocrm: Annotated[Literal["8.4", "9.2", "9.3", "10"], typer.Option(help="Which EspoCRM it is.")] = "10",
    firms: Annotated[int, typer.Option(min=0, help="How many firms, in a folder for `advosync firms`.")] = 0,
) -> int:
    """Run both simulated systems until Ctrl-C, and print the settings to use them."""
    from functools import partial

    from jobs.commands.sandbox import enter_presses, serve_sandbox

    if firms:
        from jobs.commands.sandbox_firms import serve_firms_sandbox

        serve_firms_sandbox(firms, persons, typer.echo, enter_presses(), espocrm=espocrm)
        return ExitCode.DONE
    serve_sandbox(persons, typer.echo, partial(typer.echo, err=True), enter_presses(), espocrm=espocrm)
    return ExitCode.DONE


@app.command()
def check(
    context: typer.Context,
    schema: Annotated[bool, typer.Option("--schema", help="Only print the JSON schema of config.yaml.")] = False,
    data: Annotated[bool, typer.Option("--data", help="Read everybody, and say what a first sync will meet.")] = False,
    test_message: Annotated[
        bool, typer.Option("--test-message", help="Send people a test message, by report.notify.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Say of every precondition whether it holds, or what to do."""
    if schema:
        from jobs.config import json_schema

        typer.echo(json.dumps(json_schema(), indent=2))
        return ExitCode.DONE
    if data:
        return check_data(load_config(context), as_json=as_json)
    from jobs.commands import check as check_command

    results = check_command.run_checks(load_config(context), test_message=test_message)
    if as_json:
        typer.echo(check_command.checks_to_json(results))
    else:
        check_command.render_checks(results, make_console())
    return check_command.checks_exit_code(results)


config_app = typer.Typer(rich_markup_mode=None)
app.add_typer(config_app, name="config")


@config_app.callback()
def config_commands() -> None:
    """Show the configuration in force, and where each value comes from: `config show`."""


@config_app.command("show")
def config_show(context: typer.Context, as_json: JsonOption = False) -> int:
    """Show the configuration in force, its secrets masked, and where each value comes from."""
    from jobs.commands import config_show as config_command

    path, _ = context.obj
    settings = config_command.list_settings(path)
    if as_json:
        typer.echo(json.dumps(config_command.settings_document(settings), ensure_ascii=False))
    else:
        typer.echo("\n".join(config_command.setting_lines(settings)))
    return ExitCode.DONE


@app.command("setup-espocrm")
def setup_espocrm(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do what is said without asking.")] = False,
    concurrency: Annotated[
        bool | None,
        typer.Option(help="Let EspoCRM refuse outdated writes to the entity; asked for unless given."),
    ] = None,
    transactional_save: Annotated[
        bool | None,
        typer.Option(help="Let EspoCRM 10 store a save whole or not at all; asked for unless given."),
    ] = None,
    free_fields: Annotated[
        bool | None,
        typer.Option(help="Let EspoCRM 10 take the sync's own fields of a locked record; asked for unless given."),
    ] = None,
    status_help: Annotated[
        bool | None,
        typer.Option(help="Explain the statuses in the status field's help; asked for unless given."),
    ] = None,
) -> int:
    """Create the custom fields EspoCRM lacks, with an administrator's login that is kept nowhere."""
    config = load_config(context, with_credentials=False)
    from jobs.commands import setup_espocrm as setup_command

    is_interactive = sys.stdin.isatty()
    ask = (lambda question, hide: typer.prompt(question, hide_input=hide)) if is_interactive else None
    user, password = setup_command.read_admin_login(os.environ, ask)
    confirm = typer.confirm if is_interactive else setup_command.refuse_to_ask
    answers = {
        setup_command.CONCURRENCY: concurrency,
        setup_command.TRANSACTIONAL_SAVE: transactional_save,
        setup_command.FREE_FIELDS: free_fields,
        setup_command.STATUS_FIELD_HELP: status_help,
    }
    consent = setup_command.SetupConsent(None if yes else confirm, answers)
    with setup_command.make_admin_client(config, user, password) as admin:
        return setup_command.set_up_fields(config, admin, make_console(), consent)


@app.command()
def plan(
    context: typer.Context,
    direction: DirectionOption = None,
    scope: ScopeOption = None,
    person: PersonOption = None,
    held: Annotated[bool, typer.Option("--held", help="The steps of those a guard holds, as they are now.")] = False,
    output: Annotated[Path | None, typer.Option("--output", help="Also write it to FILE.md or FILE.json.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Show what a run would write, and write nothing; exit 2 if there is something to do."""
    config = load_config(context)
    from jobs.pipeline import RunOptions
    from jobs.run.plan_file import writer_for

    write_plan = writer_for(output, config.schedule.zone) if output is not None else None
    options = RunOptions(
        trigger="plan", direction=direction, scope=scope, persons=tuple(person or ()), held=held, write=False
    )
    return run_and_print(config, options, as_json=as_json, write_plan=write_plan)


@app.command()
def sync(
    context: typer.Context,
    direction: DirectionOption = None,
    scope: ScopeOption = None,
    person: PersonOption = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Look at every linked person on both sides.")] = False,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Only the steps of this reviewed FILE.json that are still the same.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Do one run."""
    if plan is not None and (direction or scope or person or sweep):
        raise typer.BadParameter("--plan says whom and which way; leave the other options out")
    config = load_config(context)
    from jobs.pipeline import RunOptions
    from jobs.run.plan_file import read_reviewed_plan

    reviewed = read_reviewed_plan(plan) if plan is not None else None
    options = RunOptions(
        direction=direction,
        scope=scope,
        persons=tuple(person or ()),
        sweep=sweep,
        reviewed=reviewed,
        operator=current_user() if reviewed is not None else None,
    )
    return run_and_print(config, options, as_json=as_json)


@app.command()
def run(context: typer.Context) -> int:
    """Sync, sweep and keep house at the times of the schedule, until SIGTERM or Ctrl-C."""
    config = load_config(context)
    from etl.environment import require_usable_environment
    from jobs.environment import PRODUCTION, stop_on_signals
    from jobs.scheduler import run_scheduler

    require_usable_environment()
    with stop_on_signals() as stop_signal:
        run_scheduler(config, PRODUCTION, stop_signal)
    return ExitCode.DONE


@app.command()
def status(
    context: typer.Context,
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="SPAN", help="Exit 1 when the last success is older, like 30m.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Say how everything stands, and how long edits take to arrive."""
    from datetime import UTC, datetime

    from jobs.commands import status as status_command

    max_age_span, now = status_command.parse_max_age(max_age) if max_age else None, datetime.now(UTC)
    config = load_config(context, with_credentials=False)
    current = status_command.collect_status(config, now)
    if as_json:
        typer.echo(status_command.status_to_json(current))
    else:
        status_command.render_status(current, make_console(), config.schedule.zone)
    return status_command.status_exit_code(current, now, max_age_span)


@app.command()
def held(context: typer.Context, as_json: JsonOption = False) -> int:
    """Show whom a guard keeps back, by run and reason, with all steps."""
    config = load_config(context, with_credentials=False)
    from jobs.commands import held as held_command

    records = held_command.list_held_persons(config)
    if as_json:
        typer.echo(json.dumps({"held": records}, ensure_ascii=False))
    else:
        held_command.render_holds(records, make_console(), config.schedule.zone)
    return ExitCode.DONE


@app.command()
def approve(
    context: typer.Context,
    run: Annotated[int, typer.Argument(metavar="RUN", help="The run whose held persons are meant; see `held`.")],
    person: PersonOption = None,
    whole: WholeOption = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """Carry out now what a guard held back, where the steps are still the same."""
    if person and whole:
        raise typer.BadParameter("name persons of one run, or say --whole")
    config = load_config(context)
    from jobs.pipeline import RunOptions

    options = RunOptions(
        trigger="approve",
        approve_run=run,
        persons=tuple(person or ()),
        whole=whole,
        operator=current_user(),
        reason=reason,
    )
    return run_and_print(config, options, as_json=as_json)


@app.command("let-be")
def let_be(
    context: typer.Context,
    run: Annotated[int, typer.Argument(metavar="RUN", help="The run whose held persons are meant; see `held`.")],
    person: PersonOption = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """Leave what a guard held back as it is, until somebody edits an entry of the person."""
    config = load_config(context, with_credentials=False)
    from jobs.commands import let_be as let_be_command
    from jobs.commands.operator_log import OperatorRequest

    persons = let_be_command.let_persons_be(config, run, person or (), OperatorRequest(current_user(), reason))
    if as_json:
        typer.echo(json.dumps({"outcome": "done", "persons": persons}, ensure_ascii=False))
    else:
        typer.echo("\n".join(let_be_command.let_be_lines(persons, run)))
    return ExitCode.DONE


@app.command()
def maintenance(context: typer.Context, as_json: JsonOption = False) -> int:
    """Check the state store, copy it, and delete old copies and old history."""
    config = load_config(context, with_credentials=False)
    from jobs.commands.maintenance import maintain

    return print_result(maintain(config, maintenance_options("maintenance", None)), as_json=as_json)


@app.command()
def backup(
    context: typer.Context,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; in `backups/` unless given.")] = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write a consistent copy of the state store."""
    config = load_config(context, with_credentials=False)
    from jobs.commands.maintenance import MaintenanceArgs, back_up

    return print_result(back_up(config, maintenance_options("backup", reason), MaintenanceArgs(to=to)), as_json=as_json)


@app.command()
def prune(
    context: typer.Context,
    days: Annotated[
        int | None, typer.Option("--days", min=1, help="Keep history of so many days; the file's, unless given.")
    ] = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """Delete history that is older than retention says and not needed any more."""
    config = load_config(context, with_credentials=False)
    from jobs.commands.maintenance import MaintenanceArgs, prune_store

    return print_result(
        prune_store(config, maintenance_options("prune", reason), MaintenanceArgs(days=days)), as_json=as_json
    )


@app.command()
def backfill(
    context: typer.Context,
    everybody: Annotated[bool, typer.Option("--all", help="Every linked person.")] = False,
    betnr: Annotated[list[int] | None, typer.Option("--betnr", help="This person; may be given several times.")] = None,
    entity: Annotated[
        list[str] | None, typer.Option("--entity", metavar="ID", help="Likewise, by EspoCRM's ID.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Only records saved since, like 2026-08-01.")
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option("--status", help="Only persons on this status; may be given several times.")
    ] = None,
    direction: DirectionOption = None,
    scope: ScopeOption = None,
    chunk: Annotated[int, typer.Option("--chunk", min=1, help="Persons between two pauses of the lock.")] = 200,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the one that was stopped.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """Look once at the selected persons on both sides, in chunks, beside the regular runs."""
    config = load_config(context)
    from jobs.pipeline import RunOptions
    from jobs.run.options import parse_selection

    selection = parse_selection(
        everybody=everybody, betnrs=betnr, entities=entity, since=since, statuses=status, chunk=chunk, resume=resume
    )
    options = RunOptions(
        trigger="plan" if dry_run else "backfill",
        direction=direction,
        scope=scope,
        write=not dry_run,
        operator=current_user(),
        reason=reason,
        backfill=selection,
    )
    return run_and_print(config, options, as_json=as_json)


@app.command()
def explain(
    context: typer.Context,
    person: Annotated[str, typer.Argument(metavar="ID|BETNR", help="EspoCRM's ID, or the betnr.")],
    everything: Annotated[bool, typer.Option("--all", help="The whole story, not one screen.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Tell one person's story: what was seen, decided and why, written, lost, and when."""
    config = load_config(context, with_credentials=False)
    from jobs.commands import explain as explain_command

    histories = explain_command.explain_persons(config, person)
    if as_json:
        typer.echo(json.dumps({"persons": histories}, ensure_ascii=False))
    else:
        for history in histories:
            explain_command.render_history(history, make_console(), config.schedule.zone, everything=everything)
    return ExitCode.DONE


@app.command()
def conflicts(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Those seen or restored, too.")] = False,
    seen: Annotated[
        list[int] | None, typer.Option("--seen", metavar="NO", help="Take this one off the list; may be repeated.")
    ] = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """List the values that lost, or mark them as seen."""
    config = load_config(context, with_credentials=False)
    from jobs.commands import conflicts as conflicts_command
    from jobs.commands.operator_log import OperatorRequest

    if seen:
        conflicts_command.mark_conflicts_seen(config, seen, OperatorRequest(current_user(), reason))
    records = conflicts_command.list_lost_values(config, everything=everything)
    if as_json:
        typer.echo(json.dumps({"conflicts": records}, ensure_ascii=False))
    else:
        conflicts_command.render_conflicts(records, make_console(), config.schedule.zone)
    return ExitCode.DONE


@app.command()
def restore(
    context: typer.Context,
    conflict: Annotated[int, typer.Argument(metavar="NO", help="The number `conflicts` shows.")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """Put a value that lost back on both sides."""
    config = load_config(context)
    from jobs.pipeline import RunOptions

    options = RunOptions(trigger="restore", restore=conflict, operator=current_user(), reason=reason)
    return confirm_and_run(config, options, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def undo(
    context: typer.Context,
    run: Annotated[int, typer.Argument(metavar="RUN", help="The run whose writes are put back.")],
    whole: WholeOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """Put back what a run wrote, on both sides, where nobody edited it since."""
    config = load_config(context)
    from jobs.pipeline import RunOptions

    options = RunOptions(trigger="undo", undo_run=run, whole=whole, operator=current_user(), reason=reason)
    return confirm_and_run(config, options, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def retry(
    context: typer.Context,
    person: Annotated[list[str] | None, typer.Argument(metavar="ID|BETNR", help="Persons to try again.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody who failed.")] = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make failed persons due now; of those named, what was undone may happen again."""
    if bool(person) == everybody:
        raise typer.BadParameter("name persons, or say --all")
    config = load_config(context, with_credentials=False)
    from jobs.commands import retry as retry_command
    from jobs.commands.operator_log import OperatorRequest

    result = retry_command.retry_persons(config, person or (), OperatorRequest(current_user(), reason))
    if as_json:
        typer.echo(json.dumps(retry_command.retry_document(result), ensure_ascii=False))
    else:
        typer.echo("\n".join(retry_command.retry_lines(result)))
    return ExitCode.DONE


@app.command()
def forget(
    context: typer.Context,
    person: Annotated[str, typer.Argument(metavar="ID|BETNR", help="A person who is no longer linked.")],
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> int:
    """Erase a person who is no longer linked from the store and its copies."""
    config = load_config(context, with_credentials=False)
    from jobs.commands import forget as forget_command

    return print_result(
        forget_command.forget_by_key(config, person, maintenance_options("forget", reason)), as_json=as_json
    )


@app.command()
def export(
    context: typer.Context,
    view: Annotated[str, typer.Argument(metavar="VIEW", help="A view of the state store, like open_conflicts.")],
    output: Annotated[Path | None, typer.Option("--output", help="The file; standard output unless given.")] = None,
    reason: ReasonOption = None,
) -> int:
    """Write a view of the state store as CSV."""
    config = load_config(context, with_credentials=False)
    from jobs.commands import export as export_command
    from jobs.commands.operator_log import OperatorRequest
    from jobs.private_file import write_private

    text = export_command.export_view(config, view, OperatorRequest(current_user(), reason))
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_private(output, text)
        typer.echo(output, err=True)
    return ExitCode.DONE


@app.command()
def inspect(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0: any free one.")] = 8001,
) -> int:
    """Open the state store to a browser on this machine, read-only, until Ctrl-C."""
    config = load_config(context, with_credentials=False)
    from importlib.util import find_spec

    from etl.errors import ConfigError

    if find_spec("datasette") is None:
        raise ConfigError("`inspect` needs its extra: pip install 'advosync[inspect]'.")
    from jobs.inspector.server import serve_inspector

    typer.echo("Open this address in a browser on this machine; it works until you press Ctrl-C.", err=True)
    path = context.obj[0]
    command = "advosync" if path == Path("config.yaml") else f"advosync --config {shlex.quote(str(path))}"
    serve_inspector(config, command, port, typer.echo)
    return ExitCode.DONE


@app.command()
def report(
    context: typer.Context,
    since: Annotated[str | None, typer.Option("--since", metavar="DAY", help="First day, like 2026-08-01.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DAY", help="Last day; today unless given.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many days, where --since is not given.")] = 30,
    names: Annotated[bool, typer.Option("--names", help="With names and values of persons.")] = False,
    output: Annotated[Path | None, typer.Option("--output", help="The file; else named after the days.")] = None,
) -> int:
    """Write a span of days as one HTML page with plots."""
    config = load_config(context, with_credentials=False)
    from datetime import datetime

    from jobs.html_report import page as report_page
    from jobs.private_file import write_private

    days_covered = report_page.parse_date_range(since, until, days, datetime.now(config.schedule.zone).date())
    path = output or Path(f"advosync-{days_covered.first}-{days_covered.last}.html")
    write_private(path, report_page.render_report_page(config, days_covered, names=names))
    typer.echo(path)
    return ExitCode.DONE


app.add_typer(firms_app, name="firms")


# What commands share ----------------------------------------------------------------------------------------------


def load_config(context: typer.Context, *, with_credentials: bool = True) -> Config:
    """The configuration named before the command; from here on logs are written as it says, its secrets masked."""
    from jobs.config import read_config
    from jobs.telemetry import logs

    path, verbose = context.obj
    config = read_config(path, with_credentials=with_credentials)
    logs.configure_logging(
        config.report.log_format, secrets=config.secrets(), level=log_level(verbose), details=bool(verbose)
    )
    return config


def maintenance_options(trigger: str, reason: str | None) -> RunOptions:
    """Keeping house, as it is recorded."""
    from jobs.run.options import RunOptions

    return RunOptions(trigger=trigger, operator=current_user(), reason=reason)


def print_result(result: dict[str, object], *, as_json: bool) -> int:
    """What keeping house came to, and its exit code."""
    if QUIET.get() and not as_json:
        return ExitCode.DONE
    typer.echo(
        json.dumps(result, ensure_ascii=False) if as_json else "\n".join(f"{name}: {result[name]}" for name in result)
    )
    return ExitCode.DONE


def check_data(config: Config, *, as_json: bool) -> int:
    """``check --data``: what a first sync will meet."""
    from dataclasses import replace

    from jobs.commands import check_data
    from jobs.environment import PRODUCTION
    from jobs.telemetry import progress

    with progress.progress_bars() as progress_callback:
        data_report = check_data.report_first_sync(config, environment=replace(PRODUCTION, progress=progress_callback))
    if as_json:
        typer.echo(data_report.to_json())
    else:
        check_data.render_first_sync_report(data_report, make_console())
    return ExitCode.DONE


def run_and_print(
    config: Config, options: RunOptions, *, as_json: bool, write_plan: Callable[[RunReport], None] | None = None
) -> int:
    """One run, shown (and given to ``write_plan``), and its exit code."""
    report = run_with_progress(config, options)
    if write_plan is not None:
        write_plan(report)
    if as_json:
        typer.echo(report.to_json())
    elif not (QUIET.get() and report.trigger != "plan" and report.exit_code() == ExitCode.DONE):
        print_run(report)
    return report.exit_code()


def run_with_progress(config: Config, options: RunOptions) -> RunReport:
    """One run, with bars of progress at a terminal, that ends at a signal."""
    from dataclasses import replace

    from jobs.environment import PRODUCTION, stop_on_signals
    from jobs.run_and_notify import run_and_notify
    from jobs.telemetry import progress

    with progress.progress_bars() as progress_callback, stop_on_signals() as stop_signal:
        environment = replace(PRODUCTION, progress=progress_callback)
        return run_and_notify(config, options, stop_signal, environment=environment)


def confirm_and_run(config: Config, options: RunOptions, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """What puts something back: at a terminal its summary is shown first, and carried out when somebody says so.

    Where the guard holds it, the same dialogue leads on to the approval (rules §6, Guards). Without a terminal nothing
    is written but with --yes.
    """
    from dataclasses import replace

    plan_options = replace(options, trigger="plan", write=False)
    if dry_run:
        return run_and_print(config, plan_options, as_json=as_json)
    if yes:
        return run_and_print(config, options, as_json=as_json)
    if as_json or not sys.stdin.isatty():
        from etl.errors import ConfigError

        command = "undo" if options.undo_run is not None else "restore"
        raise ConfigError(
            f"{command} writes to both systems, and nobody can be asked: give --yes, or --dry-run to see the plan."
        )
    report = run_for_dialogue(config, plan_options)
    if report.changes and ask_to_carry_out(report):
        report = run_for_dialogue(config, options)
        if report.persons.held and report.run_id is not None:
            return offer_approval(config, options, report.run_id)
    return report.exit_code()


def run_for_dialogue(config: Config, options: RunOptions) -> RunReport:
    """One run, told in a few lines."""
    from jobs.run.report import PLAN_TRIGGER, render_steps_summary, render_summary

    report, console = run_with_progress(config, options), make_console()
    if report.trigger == PLAN_TRIGGER:
        render_steps_summary(report, console)
    render_summary(report, console, most_notices=MOST_NOTICES)
    return report


def ask_to_carry_out(report: RunReport) -> bool:
    """Yes or no; ``l`` lists all steps and asks again."""
    from jobs.run.report import render_plan

    held = any(change["held"] for change in report.changes)
    question = "Put it before the guard, which will hold it for your approval?" if held else "Carry this out?"
    while True:
        answer = typer.prompt(f"{question} y(es), n(o), l(ist every step)", default="n").strip().lower()[:1]
        if answer == "l":
            render_plan(report, make_console())
        elif answer in {"y", "n"}:
            return bool(answer == "y")


def offer_approval(config: Config, options: RunOptions, run_id: int) -> int:
    """Release what the guard holds of this very run, if somebody says so; else say how it is done later."""
    from dataclasses import replace

    if not typer.confirm(f"The guard holds it (run {run_id}). Approve it now?"):
        typer.echo(f"It stays held: `advosync held` shows it, `advosync approve {run_id}` carries it out.")
        return ExitCode.HELD
    approval = replace(options, trigger="approve", undo_run=None, restore=None, approve_run=run_id)
    return run_for_dialogue(config, approval).exit_code()


def print_run(report: RunReport) -> None:
    """A run on standard output; a plan with its steps."""
    from jobs.run.report import PLAN_TRIGGER, render_plan, render_summary

    console = make_console()
    if report.trigger == PLAN_TRIGGER and report.outcome.exit_code in {
        ExitCode.DONE,
        ExitCode.FAILED_PERSONS,
        ExitCode.HELD,
    }:
        render_plan(report, console)
    render_summary(report, console)


# Errors and exit codes --------------------------------------------------------------------------------------------


def main() -> None:
    """The console script. A character the terminal lacks becomes "?"; JSON is UTF-8 whatever the locale says."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if "--json" in sys.argv else None, errors="replace")
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. Every error of advosync ends here: a sentence and a code."""
    as_json = "--json" in arguments
    try:
        in_order = sorted(arguments, key=lambda argument: argument not in ANYWHERE)
        code = app(args=in_order, prog_name="advosync", standalone_mode=False)
    except typer.Abort:
        return print_failure(CommandOutcome.STOPPED, "stopped", as_json=as_json)
    except typer.TyperException as error:
        message = usage_message(error.format_message())
        return print_failure(CommandOutcome.USAGE, f"{message} Try `advosync --help`.", as_json=as_json)
    except AdvosyncError as error:
        return print_failure(outcome_of(error), str(error), as_json=as_json)
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a document and a code
        record_crash(error)
        return print_failure(
            CommandOutcome.CRASHED, f"a mistake in advosync itself ({type(error).__name__})", as_json=as_json
        )
    if code == CTRL_C_EXIT_CODE:
        return print_failure(CommandOutcome.STOPPED, "stopped by Ctrl-C", as_json=as_json)
    return int(code or 0)


USAGE_PROBLEMS = {
    r"Input should be a valid integer.*":              "must be a whole number",
    r"Input should be greater than or equal to (.*)":  r"must be at least \1",
    r"Input should be less than or equal to (.*)":     r"must be at most \1",
    r"Value error, ":                                  "",
    r" \(Possible options?: (.*)\)":                   r"; did you mean \1?",
}  # fmt: skip
"""What typer and pydantic say of a wrong command line, and what it means."""


def usage_message(message: str) -> str:
    """What is wrong with a command line as a sentence in our words."""
    import re

    for pattern, words in USAGE_PROBLEMS.items():
        message = re.sub(pattern, words, message)
    return message if message.endswith(("?", ".")) else f"{message}."


def print_failure(outcome: CommandOutcome, message: str, *, as_json: bool) -> int:
    """Says why on standard error, and with ``--json`` on standard output too; the outcome's exit code."""
    typer.echo(f"advosync: {message}", err=True)
    if as_json:
        typer.echo(json.dumps({"outcome": outcome, "error": message}, ensure_ascii=False))
    return outcome.exit_code


def record_crash(error: BaseException) -> None:
    """The trace goes through the log, where secrets are masked."""
    import structlog

    from jobs.telemetry import logs

    if not structlog.is_configured():
        logs.configure_logging()
    structlog.get_logger("advosync").error("crashed", exc_info=error)

"""The command line. Commands import what they need when they are called: ``--help`` answers at once.

Standard output carries tables, or with ``--json`` exactly one JSON document, on failures too; standard error carries
logs and errors. Every error becomes an exit code in one place, ``execute``.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etl.errors import AdvosyncError
from etl.records import Direction, Scope
from jobs.exit_codes import ExitCode, Outcome, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from jobs.config import Config
    from jobs.pipeline import Options
    from jobs.report import RunReport

INTERRUPTED = 130
"""What typer answers for Ctrl-C."""

app = typer.Typer(
    help="Keeps phone numbers and mail addresses the same in EspoCRM and Advoware.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The options commands share ---------------------------------------------------------------------------------------

ToDirection = Annotated[Direction | None, typer.Option("--direction", help="Only this way; the file's, unless given.")]
ConflictScope = Annotated[
    Scope | None, typer.Option("--conflict-scope", help="How far a conflict reaches; the file's, unless given.")
]
People = Annotated[
    list[str] | None,
    typer.Option("--person", metavar="ID|BETNR", help="Only this person; may be given several times."),
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept with the run.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")]
Whole = Annotated[
    bool, typer.Option("--whole", help="All runs of the backfill, sweep or undo of which this run was a chunk.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before it is carried out.")]


@app.callback()
def advosync(
    context: typer.Context,
    config: Annotated[Path, typer.Option("--config", help="The configuration.")] = Path("config.yaml"),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")] = False,
) -> None:
    """What stands before the command."""
    context.obj = (config, verbose)


@app.command()
def demo() -> int:
    """Show everything on a small law firm; needs no configuration and no network."""
    from jobs.demo import main as show

    return show() or ExitCode.DONE


@app.command()
def sandbox(
    persons: Annotated[int, typer.Option(min=0, help="How many persons the firm knows.")] = 20,
) -> int:
    """Run both simulated systems until Ctrl-C, and print the settings to use them."""
    from functools import partial

    from jobs.playground import keyboard, serve

    serve(persons, typer.echo, partial(typer.echo, err=True), keyboard())
    return ExitCode.DONE


@app.command()
def check(
    context: typer.Context,
    schema: Annotated[bool, typer.Option("--schema", help="Only print the JSON schema of config.yaml.")] = False,
    data: Annotated[bool, typer.Option("--data", help="Read everybody, and say what a first sync will meet.")] = False,
    as_json: AsJson = False,
) -> int:
    """Say of every precondition whether it holds, or what to do."""
    if schema:
        from jobs.config import json_schema

        typer.echo(json.dumps(json_schema(), indent=2))
        return ExitCode.DONE
    if data:
        return looked_over(configured(context), as_json=as_json)
    from jobs import checks

    findings = checks.examine(configured(context))
    if as_json:
        typer.echo(checks.to_json(findings))
    else:
        checks.render(findings, screen())
    return checks.exit_code(findings)


@app.command("setup-espocrm")
def setup_espocrm(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do what is said without asking.")] = False,
    concurrency: Annotated[
        bool | None,
        typer.Option(help="Let EspoCRM refuse outdated writes to the entity; asked for unless given."),
    ] = None,
) -> int:
    """Create the custom fields EspoCRM lacks, with an administrator's login that is kept nowhere."""
    config = configured(context, with_credentials=False)
    from jobs import setup_espocrm as setup

    somebody = sys.stdin.isatty()
    ask = (lambda what, hide: typer.prompt(what, hide_input=hide)) if somebody else None
    user, password = setup.login(os.environ, ask)
    consent = setup.Consent(None if yes else typer.confirm if somebody else setup.nobody, concurrency)
    with setup.administrator(config, user, password) as admin:
        return setup.carry_out(config, admin, screen(), consent)


@app.command()
def plan(
    context: typer.Context,
    direction: ToDirection = None,
    scope: ConflictScope = None,
    person: People = None,
    output: Annotated[Path | None, typer.Option("--output", help="Also write it to FILE.md or FILE.json.")] = None,
    as_json: AsJson = False,
) -> int:
    """Show what a run would write, and write nothing; exit 2 if there is something to do."""
    config = configured(context)
    from jobs.pipeline import Options
    from jobs.plan_file import writer_for

    also = writer_for(output) if output is not None else None
    options = Options(trigger="plan", direction=direction, scope=scope, persons=tuple(person or ()), write=False)
    return carried_out(config, options, as_json=as_json, also=also)


@app.command()
def sync(
    context: typer.Context,
    direction: ToDirection = None,
    scope: ConflictScope = None,
    person: People = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Look at every linked person on both sides.")] = False,
    as_json: AsJson = False,
) -> int:
    """Do one run."""
    config = configured(context)
    from jobs.pipeline import Options

    options = Options(direction=direction, scope=scope, persons=tuple(person or ()), sweep=sweep)
    return carried_out(config, options, as_json=as_json)


@app.command()
def run(context: typer.Context) -> int:
    """Sync, sweep and keep house at the times of the schedule, until SIGTERM or Ctrl-C."""
    config = configured(context)
    from etl.environment import demand_usable
    from jobs.scheduler import serve
    from jobs.stopping import stoppable
    from jobs.world import REAL

    demand_usable()
    with stoppable() as stopping:
        serve(config, REAL, stopping)
    return ExitCode.DONE


@app.command()
def status(
    context: typer.Context,
    max_age: Annotated[
        str | None, typer.Option("--max-age", metavar="SPAN", help="Exit 1 when the last success is older, like 30m.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say how everything stands, and how long edits take to arrive."""
    from datetime import UTC, datetime

    from jobs import standing

    oldest, now = standing.age(max_age) if max_age else None, datetime.now(UTC)
    found = standing.how_it_stands(configured(context, with_credentials=False), now)
    if as_json:
        typer.echo(standing.to_json(found))
    else:
        standing.render(found, screen())
    return standing.exit_code(found, now, oldest)


@app.command()
def held(context: typer.Context, as_json: AsJson = False) -> int:
    """List the persons a guard keeps back, by run."""
    from jobs import holds

    waiting = holds.waiting(configured(context, with_credentials=False))
    if as_json:
        typer.echo(json.dumps({"held": waiting}, ensure_ascii=False))
    else:
        holds.render(waiting, screen())
    return ExitCode.DONE


@app.command()
def approve(
    context: typer.Context,
    run: Annotated[int, typer.Argument(metavar="RUN", help="The run whose held persons are meant; see `held`.")],
    whole: Whole = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> int:
    """Carry out now what a guard held back, where the steps are still the same."""
    config = configured(context)
    from jobs.pipeline import Options

    options = Options(trigger="approve", approve_run=run, whole=whole, operator=operator(), reason=reason)
    return carried_out(config, options, as_json=as_json)


@app.command()
def maintenance(context: typer.Context, as_json: AsJson = False) -> int:
    """Check the state store, copy it, and delete old copies and old history."""
    config = configured(context, with_credentials=False)
    from jobs.maintenance import maintain

    return kept(maintain(config, keeper("maintenance", None)), as_json=as_json)


@app.command()
def backup(
    context: typer.Context,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; in `backups/` unless given.")] = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> int:
    """Write a consistent copy of the state store."""
    config = configured(context, with_credentials=False)
    from jobs.maintenance import Wish, back_up

    return kept(back_up(config, keeper("backup", reason), Wish(to=to)), as_json=as_json)


@app.command()
def prune(
    context: typer.Context,
    days: Annotated[
        int | None, typer.Option("--days", min=1, help="Keep history of so many days; the file's, unless given.")
    ] = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> int:
    """Delete history that is older than retention says and not needed any more."""
    config = configured(context, with_credentials=False)
    from jobs.maintenance import Wish, prune_now

    return kept(prune_now(config, keeper("prune", reason), Wish(days=days)), as_json=as_json)


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
    direction: ToDirection = None,
    scope: ConflictScope = None,
    chunk: Annotated[int, typer.Option("--chunk", min=1, help="Persons between two pauses of the lock.")] = 200,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the one that was stopped.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> int:
    """Look once at the selected persons on both sides, in chunks, beside the regular runs."""
    config = configured(context)
    from jobs.pipeline import Options
    from jobs.selecting import selection_of

    selection = selection_of(
        everybody=everybody, betnrs=betnr, entities=entity, since=since, statuses=status, chunk=chunk, resume=resume
    )
    options = Options(
        trigger="plan" if dry_run else "backfill",
        direction=direction,
        scope=scope,
        write=not dry_run,
        operator=operator(),
        reason=reason,
        backfill=selection,
    )
    return carried_out(config, options, as_json=as_json)


@app.command()
def explain(
    context: typer.Context,
    person: Annotated[str, typer.Argument(metavar="ID|BETNR", help="EspoCRM's ID, or the betnr.")],
    everything: Annotated[bool, typer.Option("--all", help="The whole story, not one screen.")] = False,
    as_json: AsJson = False,
) -> int:
    """Tell one person's story: what was seen, decided and why, written, lost, and when."""
    config = configured(context, with_credentials=False)
    from jobs import explain as story

    told = story.explained(config, person)
    if as_json:
        typer.echo(json.dumps({"persons": told}, ensure_ascii=False))
    else:
        for one in told:
            story.render(one, screen(), everything=everything)
    return ExitCode.DONE


@app.command()
def conflicts(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Those seen or restored, too.")] = False,
    seen: Annotated[
        list[int] | None, typer.Option("--seen", metavar="NO", help="Take this one off the list; may be repeated.")
    ] = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> int:
    """List the values that lost, or mark them as seen."""
    config = configured(context, with_credentials=False)
    from jobs import conflicts as lost
    from jobs.recorded import Asked

    if seen:
        lost.mark(config, seen, Asked(operator(), reason))
    found = lost.lost_values(config, everything=everything)
    if as_json:
        typer.echo(json.dumps({"conflicts": found}, ensure_ascii=False))
    else:
        lost.render(found, screen())
    return ExitCode.DONE


@app.command()
def restore(
    context: typer.Context,
    conflict: Annotated[int, typer.Argument(metavar="NO", help="The number `conflicts` shows.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> int:
    """Put a value that lost back on both sides."""
    config = configured(context)
    from jobs.pipeline import Options

    options = Options(trigger="restore", restore=conflict, operator=operator(), reason=reason)
    return shown_first(config, options, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def undo(
    context: typer.Context,
    run: Annotated[int, typer.Argument(metavar="RUN", help="The run whose writes are put back.")],
    whole: Whole = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> int:
    """Put back what a run wrote, on both sides, where nobody edited it since."""
    config = configured(context)
    from jobs.pipeline import Options

    options = Options(trigger="undo", undo_run=run, whole=whole, operator=operator(), reason=reason)
    return shown_first(config, options, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command()
def retry(
    context: typer.Context,
    person: Annotated[list[str] | None, typer.Argument(metavar="ID|BETNR", help="Persons to try again.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody who failed.")] = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> int:
    """Make failed persons due now; of those named, what was undone may happen again."""
    if bool(person) == everybody:
        raise typer.BadParameter("name persons, or say --all")
    config = configured(context, with_credentials=False)
    from jobs import retry as again
    from jobs.recorded import Asked

    retried = again.retry(config, person or (), Asked(operator(), reason))
    if as_json:
        typer.echo(json.dumps(again.to_document(retried), ensure_ascii=False))
    else:
        typer.echo("\n".join(again.told(retried)))
    return ExitCode.DONE


@app.command()
def forget(
    context: typer.Context,
    person: Annotated[str, typer.Argument(metavar="ID|BETNR", help="A person who is no longer linked.")],
    reason: Reason = None,
    as_json: AsJson = False,
) -> int:
    """Erase a person who is no longer linked from the store and its copies."""
    config = configured(context, with_credentials=False)
    from jobs import forget as erasing

    return kept(erasing.forget(config, person, keeper("forget", reason)), as_json=as_json)


@app.command()
def export(
    context: typer.Context,
    view: Annotated[str, typer.Argument(metavar="VIEW", help="A view of the state store, like open_conflicts.")],
    output: Annotated[Path | None, typer.Option("--output", help="The file; standard output unless given.")] = None,
    reason: Reason = None,
) -> int:
    """Write a view of the state store as CSV."""
    config = configured(context, with_credentials=False)
    from jobs import export as leaving
    from jobs.private_file import write_private
    from jobs.recorded import Asked

    text = leaving.export(config, view, Asked(operator(), reason))
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
    config = configured(context, with_credentials=False)
    from importlib.util import find_spec

    from etl.errors import ConfigError

    if find_spec("datasette") is None:
        raise ConfigError("`inspect` needs its extra: pip install 'advosync[inspect]'.")
    from jobs.inspector.server import serve

    typer.echo("Open this address in a browser on this machine; it works until you press Ctrl-C.", err=True)
    serve(config.state.path, port, typer.echo)
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
    config = configured(context, with_credentials=False)
    from datetime import UTC, datetime

    from jobs import summary_page
    from jobs.private_file import write_private

    span = summary_page.span_of(since, until, days, datetime.now(UTC).date())
    path = output or Path(f"advosync-{span.first}-{span.last}.html")
    write_private(path, summary_page.page(config, span, names=names))
    typer.echo(path)
    return ExitCode.DONE


# What commands share ----------------------------------------------------------------------------------------------


def configured(context: typer.Context, *, with_credentials: bool = True) -> Config:
    """The configuration named before the command; from here on logs are written as it says, its secrets masked."""
    import logging

    from jobs import logs
    from jobs.config import load

    path, verbose = context.obj
    config = load(path, with_credentials=with_credentials)
    level = logging.DEBUG if verbose else logging.INFO
    logs.configure(config.report.log_format, secrets=config.secrets(), level=level)
    return config


def screen() -> Console:
    """Where tables go. Asked for when there is something to show: loaded before the logs, rich would enter them too."""
    from rich.console import Console

    return Console()


def operator() -> str:
    """Who is at the keyboard; a container may run under a number without a name."""
    import os
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def keeper(trigger: str, reason: str | None) -> Options:
    """Keeping house, as it is recorded."""
    from jobs.options import Options

    return Options(trigger=trigger, operator=operator(), reason=reason)


def kept(done: dict[str, object], *, as_json: bool) -> int:
    """What keeping house came to, and its exit code."""
    typer.echo(json.dumps(done, ensure_ascii=False) if as_json else "\n".join(f"{name}: {done[name]}" for name in done))
    return ExitCode.DONE


def looked_over(config: Config, *, as_json: bool) -> int:
    """``check --data``: what a first sync will meet."""
    from dataclasses import replace

    from jobs import first_look, progress
    from jobs.world import REAL

    with progress.shown() as tell:
        seen = first_look.look(config, world=replace(REAL, progress=tell))
    if as_json:
        typer.echo(seen.to_json())
    else:
        first_look.render(seen, screen())
    return ExitCode.DONE


def carried_out(
    config: Config, options: Options, *, as_json: bool, also: Callable[[RunReport], None] | None = None
) -> int:
    """One run, shown (and given to ``also``), and its exit code."""
    from dataclasses import replace

    from jobs import pipeline, progress, telling
    from jobs.stopping import heeding, stoppable
    from jobs.world import REAL

    with progress.shown() as tell, stoppable() as stopping:
        world = heeding(replace(REAL, progress=tell), stopping)
        report = telling.attended(config, options, lambda: pipeline.run(config, options, world=world), world=world)
    if also is not None:
        also(report)
    if as_json:
        typer.echo(report.to_json())
    else:
        show(report)
    return report.exit_code()


def shown_first(config: Config, options: Options, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """What puts something back: at a terminal its plan is shown first, and carried out when somebody says so."""
    from dataclasses import replace

    look = replace(options, trigger="plan", write=False)
    if dry_run:
        return carried_out(config, look, as_json=as_json)
    if not (yes or as_json) and sys.stdin.isatty():
        code = carried_out(config, look, as_json=False)
        if code != ExitCode.CHANGES_PLANNED or not typer.confirm("Carry this out?"):
            return code
    return carried_out(config, options, as_json=as_json)


def show(report: RunReport) -> None:
    """A run on standard output; a plan with its steps."""
    from jobs.report import PLAN, render_plan, render_summary

    console = screen()
    if report.trigger == PLAN and report.outcome.exit_code in {ExitCode.DONE, ExitCode.FAILED_PERSONS, ExitCode.HELD}:
        render_plan(report, console)
    render_summary(report, console)


# Errors and exit codes --------------------------------------------------------------------------------------------


def main() -> None:
    """The console script. A character the terminal lacks becomes "?"; JSON is UTF-8 whatever the locale says."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if "--json" in sys.argv else None, errors="replace")
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. Every error of advosync ends here: a sentence and a code."""
    as_json = "--json" in arguments
    try:
        code = app(args=list(arguments), prog_name="advosync", standalone_mode=False)
    except typer.Abort:
        return failed(Outcome.STOPPED, "stopped", as_json=as_json)
    except typer.TyperException as error:
        return failed(Outcome.USAGE, f"{error.format_message()} Try `advosync --help`.", as_json=as_json)
    except AdvosyncError as error:
        return failed(outcome_of(error), str(error), as_json=as_json)
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a document and a code
        record_crash(error)
        return failed(Outcome.CRASHED, f"a mistake in advosync itself ({type(error).__name__})", as_json=as_json)
    if code == INTERRUPTED:
        return failed(Outcome.STOPPED, "stopped by Ctrl-C", as_json=as_json)
    return int(code or 0)


def failed(outcome: Outcome, message: str, *, as_json: bool) -> int:
    """Says why on standard error, and with ``--json`` on standard output too; the outcome's exit code."""
    typer.echo(f"advosync: {message}", err=True)
    if as_json:
        typer.echo(json.dumps({"outcome": outcome, "error": message}, ensure_ascii=False))
    return outcome.exit_code


def record_crash(error: BaseException) -> None:
    """The trace goes through the log, where secrets are masked."""
    import structlog

    from jobs import logs

    if not structlog.is_configured():
        logs.configure()
    structlog.get_logger("advosync").error("crashed", exc_info=error)

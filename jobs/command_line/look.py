"""Look: what there is, and what a run would do. None of these commands writes to a system."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.command_line.options import (
    DirectionOption,
    JsonOption,
    PersonOption,
    ReasonOption,
    ScopeOption,
    load_config,
)
from jobs.command_line.print_run import print_json, run_and_print
from jobs.exit_codes import ExitCode
from jobs.operator import current_user
from jobs.screen import QUIET, make_console

if TYPE_CHECKING:
    from jobs.config import Config

commands = typer.Typer(rich_markup_mode=None)


@commands.command()
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

    results = check_command.run_checks(load_config(context, needs_store=False), test_message=test_message)
    if as_json:
        typer.echo(check_command.checks_to_json(results))
    else:
        check_command.render_checks(results, make_console())
    return check_command.checks_exit_code(results)


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


config_app = typer.Typer(rich_markup_mode=None)
commands.add_typer(config_app, name="config")


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
        print_json({"settings": [setting._asdict() for setting in settings]})
    else:
        config_command.render_settings(settings, make_console())
    return ExitCode.DONE


@commands.command()
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
    code = run_and_print(config, options, as_json=as_json, write_plan=write_plan)
    if output is not None and not QUIET.get():
        next_step = f"; once it is reviewed: `advosync sync --plan {output}`" if output.suffix == ".json" else ""
        typer.echo(f"Written to {output}{next_step}", err=True)
    return code


@commands.command()
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
        print_json(current)
    else:
        status_command.render_status(current, make_console(), config.schedule.zone)
    return status_command.status_exit_code(current, now, max_age_span)


@commands.command("held")
def list_held(context: typer.Context, as_json: JsonOption = False) -> int:
    """Show whom a guard keeps back, by run and reason, with all steps."""
    config = load_config(context, with_credentials=False)
    from jobs.commands import held as held_command

    records = held_command.list_held_persons(config)
    if as_json:
        print_json({"held": records})
    else:
        held_command.render_holds(records, make_console(), config.schedule.zone)
    return ExitCode.DONE


@commands.command()
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
        print_json({"persons": histories})
    else:
        for history in histories:
            explain_command.render_history(history, make_console(), config.schedule.zone, everything=everything)
    return ExitCode.DONE


@commands.command()
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
        print_json({"conflicts": records})
    else:
        conflicts_command.render_conflicts(records, make_console(), config.schedule.zone)
    return ExitCode.DONE


@commands.command()
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


@commands.command()
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


@commands.command()
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

"""Run: what prepares EspoCRM, and what syncs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.command_line.options import (
    DirectionOption,
    JsonOption,
    PersonOption,
    ReasonOption,
    ScopeOption,
    load_config,
)
from jobs.command_line.print_run import run_and_print
from jobs.exit_codes import ExitCode
from jobs.operator import current_user
from jobs.screen import make_console

commands = typer.Typer(rich_markup_mode=None)


@commands.command("setup-espocrm")
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
    config = load_config(context, with_credentials=False, needs_store=False)
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


@commands.command()
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


@commands.command()
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


@commands.command()
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
        everybody=everybody,
        betnrs=betnr,
        entities=entity,
        since=since,
        zone=config.schedule.zone,
        statuses=status,
        chunk=chunk,
        resume=resume,
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

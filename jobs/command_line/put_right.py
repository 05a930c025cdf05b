"""Put right: release what a guard holds, put back what was written or lost, try again."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.command_line.options import (
    DryRunOption,
    JsonOption,
    PersonOption,
    ReasonOption,
    WholeOption,
    YesOption,
    load_config,
)
from jobs.command_line.print_run import print_json, run_and_print, run_with_progress
from jobs.exit_codes import CommandOutcome, ExitCode
from jobs.operator import current_user
from jobs.screen import make_console

if TYPE_CHECKING:
    from jobs.config import Config
    from jobs.pipeline import RunOptions
    from jobs.run.report import RunReport

commands = typer.Typer(rich_markup_mode=None)

MOST_NOTICES = 10
"""More notes than this are not shown before a question."""


@commands.command()
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


@commands.command("let-be")
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
        print_json({"outcome": "done", "persons": persons})
    else:
        typer.echo("\n".join(let_be_command.let_be_lines(persons, run)))
    return ExitCode.DONE


@commands.command()
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


@commands.command()
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


@commands.command()
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
        print_json({"outcome": "done", **asdict(result)})
    else:
        typer.echo("\n".join(retry_command.retry_lines(result)))
    return ExitCode.DONE


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
        if report.outcome is CommandOutcome.HELD and report.run_id is not None:  # not: held by another run
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

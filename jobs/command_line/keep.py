"""Keep: the state store checked, copied and cleared of what is no longer needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.command_line.options import JsonOption, ReasonOption, load_config
from jobs.command_line.print_run import print_json
from jobs.exit_codes import ExitCode
from jobs.operator import current_user
from jobs.screen import QUIET

if TYPE_CHECKING:
    from jobs.run.options import RunOptions

commands = typer.Typer(rich_markup_mode=None)


@commands.command()
def maintenance(context: typer.Context, as_json: JsonOption = False) -> int:
    """Check the state store, copy it, and delete old copies and old history."""
    config = load_config(context, with_credentials=False)
    from jobs.commands.maintenance import maintain

    return print_result(maintain(config, maintenance_options("maintenance", None)), as_json=as_json)


@commands.command()
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


@commands.command()
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


@commands.command()
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


def maintenance_options(trigger: str, reason: str | None) -> RunOptions:
    """Keeping house, as it is recorded."""
    from jobs.run.options import RunOptions

    return RunOptions(trigger=trigger, operator=current_user(), reason=reason)


def print_result(result: dict[str, object], *, as_json: bool) -> int:
    """What keeping house came to, and its exit code."""
    if as_json:
        print_json(result)
    elif not QUIET.get():
        typer.echo("\n".join(f"{name}: {result[name]}" for name in result))
    return ExitCode.DONE

"""Many firms: the commands of one firm for all of a folder. They import what they need when called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.command_line.options import JsonOption
from jobs.exit_codes import ExitCode
from jobs.screen import QUIET, log_level, make_console

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.firms.round import RoundOptions

commands = typer.Typer(rich_markup_mode=None)

COMMANDS = {
    "status": "Say how all firms stand, the worst first; exit 1 if any is stale or cannot be asked.",
    "check": "Say of every firm whether all preconditions hold.",
    "plan": "Say how much a run of each firm would write, and write nothing; exit 2 if there is something to do.",
    "sync": "Do one run of each firm.",
    "backup": "Write a consistent copy of each firm's state store.",
    "maintenance": "Check each firm's state store, copy it, and delete old copies and old history.",
}
"""What all firms can be asked, as `FirmCommand` has it, and the sentence of its help."""

DEFAULT_FOLDER = Path("firms")

FolderOption = Annotated[
    Path | None, typer.Option("--dir", help="The folder with a file for each firm; firms/ unless given.")
]
OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="Only this firm; may be given several times.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="How many firms at once; one for each processor unless given.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ADDRESS", help="Take a cluster's workers, tcp://…; needs the extra `firms`."),
]


@commands.callback()
def firms(context: typer.Context, folder: FolderOption = None) -> None:
    """Ask all firms of a folder; a file for each, what they have in common in `_defaults.yaml`."""
    _, verbose = context.obj
    context.obj = (folder, verbose)


def make_command(command: str) -> Callable[..., int]:
    """A command for all firms; they differ in what each firm is asked, not in their options."""

    def ask_firms(
        context: typer.Context,
        folder: FolderOption = None,
        only: OnlyOption = None,
        workers: WorkersOption = None,
        cluster: ClusterOption = None,
        as_json: JsonOption = False,
    ) -> int:
        from jobs.firms import overview
        from jobs.firms.result import FirmCommand
        from jobs.firms.round import do_round

        results = do_round(FirmCommand(command), round_options(context, folder, only, workers, cluster))
        code = overview.overall_exit_code(FirmCommand(command), results)
        if as_json:
            typer.echo(overview.results_to_json(FirmCommand(command), results))
        elif not (QUIET.get() and code == ExitCode.DONE):
            overview.render_results(FirmCommand(command), results, make_console())
        return code

    return ask_firms


def round_options(
    context: typer.Context, folder: Path | None, only: list[str] | None, workers: int | None, cluster: str | None
) -> RoundOptions:
    """What all commands have in common."""
    from jobs.firms.round import RoundOptions
    from jobs.operator import current_user

    folder_before_command, verbose = context.obj
    return RoundOptions(
        folder or folder_before_command or DEFAULT_FOLDER,
        tuple(only or ()),
        workers or os.cpu_count() or 1,
        cluster,
        current_user(),
        log_level(verbose),
        details=bool(verbose),
    )


for name, sentence in COMMANDS.items():
    commands.command(name, help=sentence)(make_command(name))


@commands.command("run")
def run_firms(
    context: typer.Context,
    folder: FolderOption = None,
    only: OnlyOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
) -> int:
    """Sync, sweep and keep house for every firm by its schedule, until stopped."""
    from jobs.firms.scheduler import serve_firms

    serve_firms(round_options(context, folder, only, workers, cluster))
    return ExitCode.DONE

"""The options commands share, and the configuration that stands before the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from etl.records import Direction, Scope
from jobs.screen import ZONE, log_level

if TYPE_CHECKING:
    from jobs.config import Config

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
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before it is carried out.")]


def load_config(context: typer.Context, *, with_credentials: bool = True, needs_store: bool = True) -> Config:
    """The configuration named before the command; from here on logs are written as it says, its secrets masked.

    ``needs_store``: whether the command is refused where the state store is with a worker on another machine.
    """
    from jobs.config_file import read_config, require_store_here
    from jobs.telemetry import logs

    path, verbose = context.obj
    config = read_config(path, with_credentials=with_credentials)
    if needs_store:
        require_store_here(config)
    ZONE.set(config.schedule.zone)
    logs.configure_logging(
        config.report.log_format, secrets=config.secrets(), level=log_level(verbose), details=bool(verbose)
    )
    return config

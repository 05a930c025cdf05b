"""Which command belongs where, and the page of ``advosync --help`` that shows them so, each with its whole sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer import _click  # since 0.29 typer has click's classes here, and exports not all of them

COMMAND_GROUPS = {
    "Try it":     ("demo", "sandbox"),
    "Look":       ("check", "config", "plan", "status", "held", "explain", "conflicts", "export", "inspect", "report"),
    "Run":        ("setup-espocrm", "sync", "run", "backfill"),
    "Put right":  ("approve", "let-be", "restore", "undo", "retry"),
    "Keep":       ("maintenance", "backup", "prune", "forget"),
    "Many firms": ("firms",),
}  # fmt: skip
"""Every command once; a test holds it to the commands there are."""

MAX_HELP_WIDTH = 120
"""Where the lines of a help page end on a wide screen."""

NO_LIMIT = 1000
"""Longer than any sentence."""


class GroupedCommands(TyperGroup):
    """The commands under their headings. typer's own page cuts every sentence off where the line ends."""

    def format_commands(self, _ctx: _click.Context, formatter: _click.HelpFormatter) -> None:
        """Write a section for each group; names stand in one column on the whole page."""
        width = max(len(name) for name in self.commands)
        for heading, names in self.groups():
            with formatter.section(heading):
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(NO_LIMIT)) for name in names]
                )

    def groups(self) -> Iterator[tuple[str, list[str]]]:
        """The headings with those of their commands that are shown."""
        for heading, names in COMMAND_GROUPS.items():
            yield heading, [name for name in names if name in self.commands and not self.commands[name].hidden]

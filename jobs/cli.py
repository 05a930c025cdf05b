"""The command line. Commands import what they need when they are called: ``--help`` answers at once.

Standard output carries tables, or with ``--json`` exactly one JSON document, on failures too; standard error carries
logs and errors. Every error becomes an exit code in one place, ``run_command_line``. A command stands in the file of
its heading in ``--help``: ``jobs/command_line/look.py`` and so on.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etl.errors import AdvosyncError
from jobs.command_line import keep, look, many_firms, put_right, run, try_it
from jobs.command_line.groups import MAX_HELP_WIDTH, GroupedCommands
from jobs.exit_codes import CommandOutcome, outcome_of
from jobs.screen import QUIET, REPLACE_UNPRINTABLE, sentence_for_people

if TYPE_CHECKING:
    from collections.abc import Sequence

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

for group in (try_it, look, run, put_right, keep):
    app.add_typer(group.commands)
app.add_typer(many_firms.commands, name="firms")


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


def main() -> None:
    """The console script. What the terminal cannot show is replaced; JSON is UTF-8 whatever the locale says."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if "--json" in sys.argv else None, errors=REPLACE_UNPRINTABLE)
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
    typer.echo(f"advosync: {sentence_for_people(message)}", err=True)
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

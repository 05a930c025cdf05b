"""Try it: ``demo`` and ``sandbox``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from jobs.exit_codes import ExitCode

commands = typer.Typer(rich_markup_mode=None)


@commands.command()
def demo() -> int:
    """Show everything on a small law firm; needs no configuration and no network."""
    from jobs.commands.demo import main as run_demo

    return run_demo() or ExitCode.DONE


@commands.command()
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

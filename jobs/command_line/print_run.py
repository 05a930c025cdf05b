"""What commands print: a run, or one JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from jobs.exit_codes import ExitCode
from jobs.screen import QUIET, make_console

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobs.config import Config
    from jobs.pipeline import RunOptions
    from jobs.run.report import RunReport


def print_json(document: Mapping[str, object]) -> None:
    """The one JSON document of ``--json``, in a line."""
    typer.echo(json.dumps(document, ensure_ascii=False))


def run_and_print(
    config: Config, options: RunOptions, *, as_json: bool, write_plan: Callable[[RunReport], None] | None = None
) -> int:
    """One run, shown (and given to ``write_plan``), and its exit code."""
    report = run_with_progress(config, options)
    if write_plan is not None:
        write_plan(report)
    if as_json:
        typer.echo(report.to_json())
    elif not (QUIET.get() and report.trigger != "plan" and report.exit_code() == ExitCode.DONE):
        print_run(report)
    return report.exit_code()


def run_with_progress(config: Config, options: RunOptions) -> RunReport:
    """One run, with bars of progress at a terminal, that ends at a signal."""
    from dataclasses import replace

    from jobs.environment import PRODUCTION, stop_on_signals
    from jobs.run_and_notify import run_and_notify
    from jobs.telemetry import progress

    with progress.progress_bars() as progress_callback, stop_on_signals() as stop_signal:
        environment = replace(PRODUCTION, progress=progress_callback)
        return run_and_notify(config, options, stop_signal, environment=environment)


def print_run(report: RunReport) -> None:
    """A run on standard output; a plan with its steps."""
    from jobs.run.report import PLAN_TRIGGER, render_plan, render_summary

    console = make_console()
    if report.trigger == PLAN_TRIGGER and report.outcome.exit_code in {
        ExitCode.DONE,
        ExitCode.FAILED_PERSONS,
        ExitCode.HELD,
    }:
        render_plan(report, console)
    render_summary(report, console)

"""A run with all that belongs to it, in any thread: who may stop it, and who hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import pipeline
from jobs.environment import PRODUCTION, Environment, with_stop_signal
from jobs.telemetry import after_run

if TYPE_CHECKING:
    from jobs.config import Config
    from jobs.environment import StopSignal
    from jobs.run.options import RunOptions
    from jobs.run.report import RunReport


def run_and_notify(
    config: Config,
    options: RunOptions,
    stop_signal: StopSignal,
    *,
    environment: Environment = PRODUCTION,
    in_chunks: bool = False,
) -> RunReport:
    """Do what is asked until it is done or ``stop_signal`` asks to stop, and let the world hear of it.

    ``in_chunks``: of longer work the next chunk only; whoever asks sees to the others.
    Signals are the caller's: a run that is a task in somebody else's process installs no handlers.
    """
    environment = with_stop_signal(environment, stop_signal)
    start_run = pipeline.run_once if in_chunks else pipeline.run_to_completion
    return after_run.run_with_notifications(
        config,
        options,
        lambda: start_run(config, options, environment=environment),
        environment=environment,
    )

"""What whole runs need: both systems behind real HTTP once a session, emptied for each test."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.versions import NEWEST
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimClock
from jobs.telemetry.logs import REQUEST_LOGGER

pytest.register_assert_rewrite("tests.harness", "tests.http_harness", "tests.planned", "tests.play")
from tests.children import end_children_with_me  # noqa: E402 - behind what pytest must know before
from tests.harness import FaultHarness  # noqa: E402 - what they assert is to be told in full
from tests.http_harness import HttpHarness  # noqa: E402 - likewise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_configure() -> None:
    """Let nothing that a test starts outlive the tests, however they end."""
    end_children_with_me()


@pytest.fixture(autouse=True)
def restore_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command logs to the standard error of its test, which is closed with it: nothing may log there afterwards.

    What cannot be logged fails the test that logs it, instead of printing a trace between the dots.
    """

    def raise_error(_handler: logging.Handler, _record: logging.LogRecord) -> None:
        raise  # noqa: PLE0704 - `logging` calls this where it handles the error

    # `logging` swallows what goes wrong in it, and has no other place to be told so
    monkeypatch.setattr(logging.Handler, "handleError", raise_error)
    loggers = [logging.getLogger(), logging.getLogger(REQUEST_LOGGER)]
    states = [(logger.handlers, logger.filters, logger.level) for logger in loggers]
    structlog_config = structlog.get_config() if structlog.is_configured() else None
    yield
    for logger, (handlers, filters, level) in zip(loggers, states, strict=True):
        logger.handlers, logger.filters = handlers, filters
        logger.setLevel(level)
    structlog.reset_defaults()
    if structlog_config is not None:
        structlog.configure(**structlog_config)
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def harness(tmp_path: Path) -> FaultHarness:
    """A firm whose two systems are asked in process; a file with other needs has a fixture of this name."""
    return FaultHarness(tmp_path)


@pytest.fixture(scope="session")
def harness_clock() -> SimClock:
    return SimClock()


@pytest.fixture(scope="session")
def servers(harness_clock: SimClock) -> Iterator[Servers]:
    with Servers(EspoSim(harness_clock), AdvoSim(harness_clock)) as running:
        yield running


@pytest.fixture
def espocrm() -> str:
    """Which EspoCRM the harness has; a file may have its tests run with each."""
    return NEWEST.name


@pytest.fixture
def http_harness(servers: Servers, harness_clock: SimClock, tmp_path: Path, espocrm: str) -> HttpHarness:
    return HttpHarness(servers, harness_clock, tmp_path, espocrm)

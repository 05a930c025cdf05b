"""What whole runs need: both systems behind real HTTP once a session, emptied for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimClock

pytest.register_assert_rewrite("tests.office", "tests.planned", "tests.play")
from tests.office import Office  # noqa: E402 - what it asserts is to be told in full

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def office_clock() -> SimClock:
    return SimClock()


@pytest.fixture(scope="session")
def servers(office_clock: SimClock) -> Iterator[Servers]:
    with Servers(EspoSim(office_clock), AdvoSim(office_clock)) as running:
        yield running


@pytest.fixture
def office(servers: Servers, office_clock: SimClock, tmp_path: Path) -> Office:
    return Office(servers, office_clock, tmp_path)

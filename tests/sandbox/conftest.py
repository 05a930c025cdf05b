from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.simulator import SimClock


@pytest.fixture
def clock() -> SimClock:
    return SimClock(datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC))


@pytest.fixture
def espo(clock: SimClock) -> EspoSim:
    return EspoSim(clock)

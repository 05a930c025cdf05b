"""What several tests of many firms begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.firms.machines import Machines


@pytest.fixture
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    started = Machines(tmp_path_factory.mktemp("machines"))
    yield started
    started.close()

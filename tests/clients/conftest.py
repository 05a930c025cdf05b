"""One suite, two EspoCRMs of each version: a test marked with a recording speaks to it, and to the simulator.

The recordings are replayed with vcrpy and never re-recorded. What they hold that the client would never send goes
through the client's own border. Each test needs the state its cassette was recorded in; the simulator is brought there
by replaying what was recorded before (tests/sandbox proves that its raw answers are the recorded ones).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.sandbox.espocrm.versions import VERSIONS
from tests.clients.espocrm_under_test import MATCHERS, RECORDER, EspoUnderTest
from tests.in_process import InProcess
from tests.recorded import recordings_of, simulator_at

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with a ``site`` runs in every version that has its recording."""
    if "site" not in metafunc.fixturenames:
        return
    (cassette,) = next(metafunc.definition.iter_markers("recording")).args
    versions = [version for version in VERSIONS if cassette in recordings_of(version).interactions]
    cells = [(version, cassette, server) for version in versions for server in ("recording", "simulator")]
    metafunc.parametrize("site", cells, ids=[f"{version} {server}" for version, _, server in cells], indirect=True)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Iterator[EspoUnderTest]:
    """The parameter's EspoCRM in the state that its cassette was recorded in."""
    version, cassette, server = request.param
    recordings = recordings_of(version)
    if server == "simulator":
        yield EspoUnderTest(recordings, cassette, InProcess(simulator_at(version, cassette)[0]))
        return
    path = str(recordings.folder / f"{cassette}.yaml")
    with RECORDER.use_cassette(path, match_on=MATCHERS, allow_playback_repeats=cassette == "shared_lookup"):
        yield EspoUnderTest(recordings, cassette, None)

"""A firm with a history, and `advosync inspect` running over its state store as an operator would start it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from jobs.config import Config
from jobs.pipeline import Options, run
from jobs.sandbox import people
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.firm import small_law_firm
from jobs.sandbox.server import config as settings
from jobs.sandbox.simulator import SimClock
from jobs.sandbox.transport import InProcess
from jobs.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Firm(NamedTuple):
    """The small law firm after two days, with one value that lost."""

    config: Config
    file: Path


class Window(NamedTuple):
    """A running `inspect`: where it answers, and the way in."""

    site: str
    entrance: str


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Firm:
    folder = tmp_path_factory.mktemp("firm")
    clock = SimClock()
    espo, advo = EspoSim(clock), AdvoSim(clock)
    linked = small_law_firm(espo, advo)
    written = {
        **settings("http://crm.test", "https://advoware.advo-net.net"),
        "state": {"path": str(folder / "state.db")},
    }
    written["advoware"]["configurator_url"] = "https://configurator.advo-net.net"
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(written), "utf-8")
    config = Config.model_validate(written)
    world = World(
        utcnow=clock,
        sleep=clock.advance,
        espo_transport=InProcess(espo),
        advo_transport=InProcess(advo),
        durable=False,
        heartbeat=False,
    )
    for edit in (lambda *_: None, people.a_day_at_the_office, people.another_day):
        edit(espo, advo, linked)
        clock.advance(900)
        run(config, Options(), world=world)
        clock.advance(900)
    return Firm(config, file)


@pytest.fixture(scope="session")
def window(firm: Firm) -> Iterator[Window]:
    command = [sys.executable, "-m", "jobs", "--config", str(firm.file), "inspect", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        entrance = served.stdout.readline().strip()
        found = re.match(r"http://127\.0\.0\.1:\d+", entrance)
        if found is None:
            served.kill()
            pytest.fail(f"`inspect` did not start: {entrance} {served.communicate()[1]}")
        yield Window(found[0], entrance)
        served.terminate()
        _, told = served.communicate(timeout=20)
        assert "Traceback" not in told

"""A firm with a history, and `advosync inspect` running over its state store as an operator would start it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from jobs.config import Config
from jobs.sandbox import people
from jobs.sandbox.firm import small_law_firm
from jobs.sandbox.simulator import SimClock
from tests.harness import Harness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SampleFirm(NamedTuple):
    """The small law firm after two days, with one value that lost."""

    config: Config
    config_file: Path


class InspectServer(NamedTuple):
    """A running `inspect`: where it answers, and the way in."""

    base_url: str
    entry_url: str


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> SampleFirm:
    harness = Harness(tmp_path_factory.mktemp("firm"), clock=SimClock())  # today, for the page shows the last days
    harness.seconds_between = 900
    persons = small_law_firm(harness.espo, harness.advo)
    config_file = harness.folder / "config.yaml"
    config_file.write_text(yaml.safe_dump(harness.document), "utf-8")
    for edit in (lambda *_: None, people.make_first_day_edits, people.make_second_day_edits):
        edit(harness.espo, harness.advo, persons)
        harness.run()
        harness.clock.advance(900)
    return SampleFirm(harness.config, config_file)


@pytest.fixture(scope="session")
def inspect_server(firm: SampleFirm) -> Iterator[InspectServer]:
    command = [sys.executable, "-m", "jobs", "--config", str(firm.config_file), "inspect", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        entry_url = process.stdout.readline().strip()
        match = re.match(r"http://127\.0\.0\.1:\d+", entry_url)
        if match is None:
            process.kill()
            pytest.fail(f"`inspect` did not start: {entry_url} {process.communicate()[1]}")
        yield InspectServer(match[0], entry_url)
        process.terminate()
        _, errors = process.communicate(timeout=20)
        assert "Traceback" not in errors

"""Progress is for people at a terminal, and for nobody else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.firm import fill_firm
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimClock
from jobs.telemetry.progress import progress_bars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def config_file(tmp_path: Path) -> Iterator[Path]:
    clock = SimClock()
    clock.advance(-60)
    espo, advo = EspoSim(clock), AdvoSim(clock)
    fill_firm(espo, advo, 25, seed=1)
    clock.advance(60)
    with Servers(espo, advo) as servers:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(servers.config() | {"report": {"log_format": "json"}}), "utf-8")
        yield path


def command_line(config_file: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "jobs", "--config", str(config_file), *arguments]


def test_nothing_is_shown_where_standard_error_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as tell:
        tell("persons", 0, 1000)
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_a_run_says_nothing_on_standard_error(config_file: Path) -> None:
    answer = subprocess.run(command_line(config_file, "sync"), capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "Reading" not in answer.stdout


def test_a_terminal_shows_what_is_under_way_and_standard_output_stays_clean(config_file: Path) -> None:
    own_end, process_end = pty.openpty()
    with subprocess.Popen(
        command_line(config_file, "plan", "--json"),
        stdout=subprocess.PIPE,
        stderr=process_end,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(process_end)
        output = read_terminal(own_end)
        assert process.stdout is not None
        assert process.stdout.read().startswith(b'{"run_id"')
    assert process.returncode == 2
    assert b"Reading Advoware" in output


def read_terminal(descriptor: int) -> bytes:
    """Everything until the other end closes, which Linux reports as an error."""
    output = b""
    try:
        while piece := os.read(descriptor, 65_536):
            output += piece
    except OSError:
        pass
    os.close(descriptor)
    return output

"""``firms run`` as a process: killed, started again, and told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.exit_codes import ExitCode
from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.firms.folder_of_firms import open_folder

PATIENCE_SECONDS = 180


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        threading.Event().wait(0.1)


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobs", "firms", "run", "--dir", str(folder), "--workers", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.slow
def test_killed_in_first_syncs_and_started_again_all_firms_end_in_agreement(tmp_path: Path) -> None:
    with open_folder(tmp_path, "adler", "bussard", "dohle") as firms:
        for firm in firms:
            firm.configure("schedule", sync={"minutes": 1})
        third_write, killed = threading.Event(), threading.Event()

        def wait_in_the_third_write(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
            if call.is_write and len(firms[0].advo.writes) == 3:
                third_write.set()
                killed.wait(PATIENCE_SECONDS)
            return None

        firms[0].advo.after = wait_in_the_third_write
        first = start(tmp_path)
        assert third_write.wait(PATIENCE_SECONDS)
        os.killpg(first.pid, signal.SIGKILL)  # the scheduler and its workers, as a machine that loses its power
        first.wait()
        killed.set()
        second = start(tmp_path)
        wait_for(lambda: [firm.disagreements() for firm in firms] == [[], [], []])
        second.send_signal(signal.SIGTERM)
        assert second.wait(PATIENCE_SECONDS) == ExitCode.DONE
        outcomes = {run["outcome"] for firm in firms for run in firm.query_store("select outcome from runs")}
        assert outcomes - {"stopped"} == {"abandoned", "done"}  # SIGTERM may meet a run
        assert all(firm.query_store("select count(*) as n from lease") == [{"n": 0}] for firm in firms)

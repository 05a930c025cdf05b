"""A signal finishes the request under way, records it, releases the lock; ``sync`` then says 6."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import yaml

from etl.errors import Stopped
from etl.store.database import Store
from jobs.environment import PRODUCTION, StopSignal, stop_on_signals, with_stop_signal
from jobs.exit_codes import ExitCode
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import Servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest, SimResponse


@pytest.fixture
def stopping() -> Iterator[StopSignal]:
    stopping = StopSignal()
    yield stopping
    stopping.close()


def test_until_somebody_asks_nothing_stops(stopping: StopSignal) -> None:
    stopping.check()
    stopping.sleep(0)
    assert stopping.requested_by is None


def test_once_somebody_asked_no_request_is_sent_and_nobody_sleeps_on(stopping: StopSignal) -> None:
    environment = with_stop_signal(PRODUCTION, stopping)
    sleeping_thread = threading.Thread(target=environment.sleep, args=[3600])
    sleeping_thread.start()
    stopping.request_stop("SIGTERM")
    sleeping_thread.join(60)
    assert not sleeping_thread.is_alive()
    environment.sleep(3600)
    with pytest.raises(Stopped, match="Stopped by SIGTERM"):
        environment.checkpoint()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_and_afterwards_signals_mean_what_they_meant(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stopping:
        os.kill(os.getpid(), number)
        assert stopping.requested_by == number.name
    assert signal.getsignal(number) is before


def test_sync_stopped_in_the_middle_of_a_person_records_what_it_did_and_exits_6(tmp_path: Path) -> None:
    espo, advo = EspoSim(), AdvoSim()
    numbers = [f"+49511321{number:04}" for number in range(6)]
    espo.add_person("Max Mustermann", 104711, phones=[(number, "Office") for number in numbers])
    advo.add_person(104711, "Max Mustermann")
    third_write, signal_sent = threading.Event(), threading.Event()

    def after(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        if call.method == "POST" and len(advo.rows(104711)) == 3:
            third_write.set()
            signal_sent.wait(60)  # the request is under way while the signal comes
        return None

    advo.after = after
    with Servers(espo, advo) as servers:
        document = {**servers.config(), "state": {"path": str(tmp_path / "state.db")}}
        document["espocrm"]["settle_seconds"] = 0
        config_file = tmp_path / "config.yaml"
        config_file.write_text(yaml.safe_dump(document), "utf-8")
        command = [sys.executable, "-m", "jobs", "--config", str(config_file), "sync", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert third_write.wait(60)
        process.send_signal(signal.SIGTERM)
        signal_sent.set()
        output, _ = process.communicate(timeout=60)
        assert process.returncode == ExitCode.STOPPED
        assert json.loads(output)["outcome"] == "stopped"
        assert len(advo.rows(104711)) == 3
        with Store.open(tmp_path / "state.db", now="2026-01-01 00:00:00", read_only=True) as store:
            assert store.scalar("select count(*) from lease") == 0
            states = store.rows("select state, count(*) as n from changes group by state")
            assert {row_of_states["state"]: row_of_states["n"] for row_of_states in states} == {
                "done": 3,
                "dropped": 1,
                "planned": 2,
            }
        second_process = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second_process.returncode == ExitCode.DONE
    assert sorted(row["tlf"] for row in advo.rows(104711)) == numbers

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
from jobs.exit_codes import ExitCode
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.server import Servers
from jobs.stopping import Stopping, heeding, stoppable
from jobs.world import REAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.sandbox.simulator import Answer, Call


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    made = Stopping()
    yield made
    made.close()


def test_until_somebody_asks_nothing_stops(stopping: Stopping) -> None:
    stopping.check()
    stopping.sleep(0)
    assert stopping.by is None


def test_once_somebody_asked_no_request_is_sent_and_nobody_sleeps_on(stopping: Stopping) -> None:
    world = heeding(REAL, stopping)
    sleeper = threading.Thread(target=world.sleep, args=[3600])
    sleeper.start()
    stopping.ask("SIGTERM")
    sleeper.join(60)
    assert not sleeper.is_alive()
    world.sleep(3600)
    with pytest.raises(Stopped, match="Stopped by SIGTERM"):
        world.checkpoint()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_and_afterwards_signals_mean_what_they_meant(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stoppable() as stopping:
        os.kill(os.getpid(), number)
        assert stopping.by == number.name
    assert signal.getsignal(number) is before


def test_sync_stopped_in_the_middle_of_a_person_records_what_it_did_and_exits_6(tmp_path: Path) -> None:
    espo, advo = EspoSim(), AdvoSim()
    numbers = [f"+49511321{number:04}" for number in range(6)]
    espo.add_person("Max Mustermann", 104711, phones=[(number, "Office") for number in numbers])
    advo.add_person(104711, "Max Mustermann")
    third, asked = threading.Event(), threading.Event()

    def after(call: Call, _answer: Answer) -> Answer | None:
        if call.method == "POST" and len(advo.rows(104711)) == 3:
            third.set()
            asked.wait(60)  # the request is under way while the signal comes
        return None

    advo.after = after
    with Servers(espo, advo) as servers:
        written = {**servers.config(), "state": {"path": str(tmp_path / "state.db")}}
        written["espocrm"]["settle_seconds"] = 0
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(written), "utf-8")
        command = [sys.executable, "-m", "jobs", "--config", str(file), "sync", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert third.wait(60)
        process.send_signal(signal.SIGTERM)
        asked.set()
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == ExitCode.STOPPED
        assert json.loads(printed)["outcome"] == "stopped"
        assert len(advo.rows(104711)) == 3
        with Store.open(tmp_path / "state.db", now="2026-01-01 00:00:00", read_only=True) as store:
            assert store.value("select count(*) from lease") == 0
            states = store.rows("select state, count(*) as n from changes group by state")
            assert {one["state"]: one["n"] for one in states} == {"done": 3, "dropped": 1, "planned": 2}
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == ExitCode.DONE
    assert sorted(row["tlf"] for row in advo.rows(104711)) == numbers

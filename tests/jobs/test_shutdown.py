"""Whoever asks to stop, a signal or a thread: the request under way is finished and recorded, the lock released."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from etl.errors import Stopped
from etl.store.database import Store
from jobs import cli
from jobs.environment import PRODUCTION, SIGNALS, StopSignal, stop_on_signals, with_stop_signal
from jobs.exit_codes import ExitCode
from jobs.run.options import RunOptions
from jobs.run_and_notify import run_and_notify
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import Servers
from tests.harness import FaultHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


# In a thread of somebody else's process --------------------------------------------------------------------------


def in_thread(call: Callable[[], Any]) -> Any:
    """What a call returns in a thread that is not the main one, where Python lets nobody handle signals."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(60)


def test_a_run_in_a_thread_that_is_told_to_stop_between_persons_ends_there_and_the_next_goes_on(
    tmp_path: Path, stopping: StopSignal
) -> None:
    harness = FaultHarness(tmp_path)
    persons = [harness.add_person() for _ in range(3)]

    def stop_once_a_person_is_done(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        if call.method == "PUT" and call.json.get("syncStatus") == "clean":
            stopping.request_stop("the process around it")
        return None

    harness.clock.advance(60)
    with harness.hook_after(harness.espo, stop_once_a_person_is_done):
        report = in_thread(
            lambda: run_and_notify(harness.config, RunOptions(), stopping, environment=harness.environment)
        )
    assert (report.outcome, report.error) == (
        "stopped",
        "Stopped by the process around it; what is left waits for the next run.",
    )
    assert harness.query_store("select due_since is null, status is 'clean', count(*) from persons group by 1, 2") == [
        (0, 0, 2),
        (1, 1, 1),
    ]
    assert harness.query_store("select count(*) from lease") == [(0,)]
    assert harness.run().persons.clean == len(persons) - 1


def test_a_command_in_a_thread_works_as_anywhere_and_leaves_signals_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Servers(EspoSim(), AdvoSim()) as servers:
        config_file = tmp_path / "config.yaml"
        config_file.write_text(yaml.safe_dump({**servers.config(), "state": {"path": "state.db"}}), "utf-8")
        code = in_thread(lambda: cli.run_command_line(["--config", str(config_file), "sync", "--json"]))
    assert code == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["outcome"] == "done"
    assert [signal.getsignal(number) for number in SIGNALS] == before

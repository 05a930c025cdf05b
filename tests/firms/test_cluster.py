"""``firms --cluster`` with workers of Dask's distributed: killed amid their turns, away, and moved to."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from etl.errors import ConfigError
from jobs.exit_codes import ExitCode
from jobs.firms import cluster
from jobs.firms.cluster import CLOSED, CONNECTED, open_cluster
from jobs.firms.result import FirmCommand, FirmResult
from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.firms.folder_of_firms import SimulatedFirm, open_folder
from tests.firms.machines import PATIENCE_SECONDS, Machines, ask, wait_for


def outcomes(results: dict[str, FirmResult]) -> dict[str, str]:
    return {name: result.outcome for name, result in sorted(results.items())}


@contextmanager
def killing_in_write(
    firm: SimulatedFirm, number: int, processes: Sequence[subprocess.Popen[bytes]]
) -> Iterator[list[int]]:
    """Kill the worker that sends this firm's write of that number, between the write and its answer."""
    killed: list[int] = []

    def kill(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        if call.is_write and len(firm.advo.writes) >= number and not killed:
            [lease] = firm.query_store("select pid from lease")
            killed.append(lease["pid"])
            [process] = [process for process in processes if process.pid == lease["pid"]]
            process.kill()
            process.wait()
        return None

    firm.advo.after = kill
    yield killed
    firm.advo.after = lambda _call, _answer: None


@pytest.mark.slow
def test_workers_killed_in_a_first_sync_and_in_a_later_run_leave_all_firms_in_agreement(
    machines: Machines, tmp_path: Path
) -> None:
    with open_folder(tmp_path, "adler", "bussard", "dohle") as firms:
        workers = [machines.start_worker(f"w{number}") for number in range(4)]
        with killing_in_write(firms[0], 3, workers) as killed:
            assert outcomes(ask(machines, tmp_path, FirmCommand.SYNC)) == dict.fromkeys(
                ("adler", "bussard", "dohle"), "done"
            )
        assert len(killed) == 1
        assert [firm.disagreements() for firm in firms] == [[], [], []]
        for firm in firms:
            firm.let_people_edit(7)
        with killing_in_write(firms[1], len(firms[1].advo.writes) + 1, workers) as killed:
            assert outcomes(ask(machines, tmp_path, FirmCommand.SYNC)) == dict.fromkeys(
                ("adler", "bussard", "dohle"), "done"
            )
        assert len(killed) == 1
        left_as_without_a_death = firms[2].disagreements()  # one value of these edits stays where it is by the rules
        assert [firm.disagreements() for firm in firms] == [left_as_without_a_death] * 3
        plans = ask(machines, tmp_path, FirmCommand.PLAN)
        assert {name: plan.exit_code for name, plan in plans.items()} == dict.fromkeys(plans, ExitCode.DONE)


@pytest.mark.slow
def test_a_firm_whose_worker_is_away_is_away_and_moved_by_a_copy_and_one_word(
    machines: Machines, tmp_path: Path
) -> None:
    with open_folder(tmp_path, "adler", "bussard") as [adler, bussard]:
        first = machines.start_worker("first", "disk-1")
        machines.start_worker("second", "disk-2")
        adler.configure("state", worker="disk-1")
        bussard.configure("state", worker="disk-2")
        assert outcomes(ask(machines, tmp_path, FirmCommand.SYNC)) == {"adler": "done", "bussard": "done"}
        backup = ask(machines, tmp_path, FirmCommand.BACKUP, "adler")["adler"].document
        assert backup is not None
        first.kill()
        first.wait()
        wait_for(lambda: machines.worker_names() == {"second"})
        results = ask(machines, tmp_path, FirmCommand.STATUS)
        assert (results["adler"].outcome, results["bussard"].outcome) == ("away", "done")
        assert results["adler"].error == "its state store is with the worker disk-1, which is not there"
        moved = tmp_path / "disk-2" / "adler.db"
        moved.parent.mkdir()
        moved.write_bytes(Path(backup["backup"]).read_bytes())
        adler.configure("state", worker="disk-2", path="disk-2/adler.db")
        result = ask(machines, tmp_path, FirmCommand.SYNC, "adler")["adler"]
        assert (result.outcome, result.document and result.document["writes"]) == (
            "done",
            {"espocrm": 0, "advoware": 0},
        )


@pytest.mark.slow
def test_a_worker_told_to_end_finishes_the_request_under_way_and_writes_nothing_more(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "AWAY_AFTER", 3.0)  # only how long it is waited for
    with open_folder(tmp_path, "adler") as [firm]:
        worker = machines.start_worker("only", nanny=True)
        signalled = threading.Event()

        def send_signal(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
            if call.is_write and len(firm.advo.writes) == 3 and not signalled.is_set():
                worker.send_signal(signal.SIGTERM)
                signalled.set()
                threading.Event().wait(2)  # the request is under way while the worker hears of it
            return None

        firm.advo.after = send_signal
        results: dict[str, FirmResult] = {}
        asking = threading.Thread(target=lambda: results.update(ask(machines, tmp_path, FirmCommand.SYNC)))
        asking.start()
        assert signalled.wait(PATIENCE_SECONDS)
        assert worker.wait(PATIENCE_SECONDS) is not None
        asking.join(PATIENCE_SECONDS)
        assert outcomes(results)["adler"] in {"away", "stopped"}
        assert len(firm.advo.writes) == 4  # with the one under way
        assert firm.query_store("select count(*) as n from lease") == [{"n": 0}]
        states = {row["state"] for row in firm.query_store("select state from changes")}
        assert "started" not in states
        machines.start_worker("next")
        assert outcomes(ask(machines, tmp_path, FirmCommand.SYNC)) == {"adler": "done"}
        assert firm.disagreements() == []


def test_an_address_where_no_scheduler_answers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)  # only how long it waits
    with pytest.raises(ConfigError, match="no scheduler answers there"), open_cluster("tcp://127.0.0.1:9"):
        raise AssertionError(tmp_path)


def test_a_scheduler_that_was_away_for_long_is_met_again_at_its_address(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)  # only how long a client looks for its scheduler
    with open_cluster(machines.address) as opened:
        machines.kill_scheduler()
        wait_for(lambda: opened.client.status == CLOSED)
        assert opened.resources_of_workers() == []
        opened.request_stop()  # whoever stops `firms run` meanwhile
        machines.start_scheduler_again()
        wait_for(lambda: opened.resources_of_workers() == [] and opened.client.status == CONNECTED)

"""``advosync firms …`` with real worker processes: one table, the worst first, and no firm is another one's trouble."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest

from jobs import cli
from jobs.command_line.many_firms import COMMANDS
from jobs.environment import stop_on_signals
from jobs.exit_codes import ExitCode
from jobs.firms import pool
from jobs.firms.engine import run_tasks
from jobs.firms.overview import status_row
from jobs.firms.pool import MAX_ATTEMPTS, worker_pool
from jobs.firms.result import FirmCommand, FirmResult, FirmTask
from jobs.firms.round import RoundOptions, do_round
from jobs.lock import is_process_alive
from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.firms.folder_of_firms import SimulatedFirm, open_folder, parse_results
from tests.firms.machines import wait_for


def ask(
    folder: Path, capfd: pytest.CaptureFixture[str], command: str, *options: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    code = cli.run_command_line(["firms", "--dir", str(folder), command, *options, "--json"])
    return code, parse_results(capfd.readouterr().out)


def outcomes(results: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: result["outcome"] for name, result in results.items()}


def test_all_firms_are_asked_and_each_gets_its_own_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with open_folder(tmp_path, "adler", "bussard", "dohle") as firms:
        code, plans = ask(tmp_path, capfd, "plan")
        assert (code, {plan["exit_code"] for plan in plans.values()}) == (ExitCode.CHANGES_PLANNED, {2})
        code, results = ask(tmp_path, capfd, "sync", "--workers", "2")
        assert (code, outcomes(results)) == (0, {"adler": "done", "bussard": "done", "dohle": "done"})
        assert [firm.disagreements() for firm in firms] == [[], [], []]
        for command in map(FirmCommand, COMMANDS):
            names = ["bussard"] if command is FirmCommand.MAINTENANCE else ["adler", "dohle"]
            code, results = ask(tmp_path, capfd, command, *(f"--only={name}" for name in names))
            assert (command, code, list(results)) == (command, 0, names)
            assert all(result["document"] for result in results.values())
    copies = sorted(path.name.partition("-")[0] for path in (tmp_path / "state/backups").iterdir())
    assert copies == ["adler", "bussard", "dohle"]


def hang(_call: SimRequest) -> None:
    """Longer than the client waits."""
    threading.Event().wait(1)


def test_troubled_firms_are_named_worst_first_and_all_others_are_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ("a-well", "b-held", "c-password", "d-well", "e-broken", "f-never", "g-hangs")
    asked = [f"--only={name}" for name in names if name != "f-never"]
    with open_folder(tmp_path, *names) as firms:
        firm = dict(zip(names, firms, strict=True))
        assert ask(tmp_path, capfd, "sync", *asked)[0] == 0
        firm["b-held"].configure("guards", max_removals=0)
        firm["b-held"].remove_some_phones()
        firm["c-password"].configure("advoware", password="wrong")
        firm["e-broken"].path.write_text("espocrm: [", "utf-8")
        firm["g-hangs"].configure("advoware", timeout_seconds=0.2)
        firm["g-hangs"].advo.before = hang
        code, results = ask(tmp_path, capfd, "sync", *asked)
        assert code == ExitCode.USAGE
        assert outcomes(results) == {
            "e-broken": "refused",
            "c-password": "outage",
            "g-hangs": "outage",
            "b-held": "held",
            "a-well": "done",
            "d-well": "done",
        }
        code, results = ask(tmp_path, capfd, "status")
        assert (code, list(results)) == (
            ExitCode.FAILED_PERSONS,
            ["e-broken", "f-never", "c-password", "g-hangs", "b-held", "a-well", "d-well"],
        )
        assert cli.run_command_line(["firms", "status", "--dir", str(tmp_path)]) == ExitCode.FAILED_PERSONS
        lines = capfd.readouterr().out.splitlines()
        assert [line.split()[:2] for line in lines] == [
            ["firm", "state"],
            ["e-broken", "refused"],
            ["f-never", "stale"],
            ["c-password", "failed"],
            ["g-hangs", "failed"],
            ["b-held", "ok"],
            ["a-well", "ok"],
            ["d-well", "ok"],
        ]
        assert str(firm["e-broken"].path) in lines[1]
        assert lines[2].endswith("no run yet")
        assert "login" in lines[3]


RUN = {"started_at": "2026-11-27 09:00:00", "outcome": None, "error": None}
HOLDER = {"pid": 7, "host": "here", "acquired_at": "2026-11-27 09:48:00", "expires_at": "2026-11-27 10:02:00"}


@pytest.mark.parametrize(
    ("stale", "run", "holder", "why"),
    [
        (True, RUN, HOLDER, "its run has been under way for 12 min, in process 7 on here"),  # its Advoware hangs
        (True, RUN, None, "no run since 1 h ago: its process died"),
        (True, RUN, HOLDER | {"expires_at": "2026-11-27 09:59:59"}, "no run since 1 h ago: its process died"),
        (True, RUN | {"outcome": "done"}, None, "no run since 1 h ago: done"),  # nothing starts its runs
        (True, RUN | {"outcome": "outage", "error": "no login"}, None, "no login"),
        (False, RUN, HOLDER, ""),
    ],
)
def test_a_stale_firm_says_why(*, stale: bool, run: dict[str, Any], holder: dict[str, Any] | None, why: str) -> None:
    document = {"now": "2026-11-27 10:00:00", "stale": stale, "last_run": run, "last_success": None}
    result = FirmResult("adler", "done", 0, None, document | {"under_way": holder})
    assert status_row(result)[-1] == why


def test_status_is_0_while_every_firm_succeeded_lately(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with open_folder(tmp_path, "adler", "bussard"):
        assert ask(tmp_path, capfd, "status")[0] == ExitCode.FAILED_PERSONS
        assert ask(tmp_path, capfd, "sync")[0] == 0
        code, results = ask(tmp_path, capfd, "status")
        assert (code, [result["document"]["stale"] for result in results.values()]) == (0, [False, False])


def test_without_a_folder_the_command_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["firms", "status", "--dir", str(tmp_path / "none")]) == ExitCode.USAGE
    assert "there is no such folder" in capfd.readouterr().err


# Workers that die, and stopping ------------------------------------------------------------------------------------


def test_a_firm_whose_worker_is_killed_is_tried_again_and_ends_in_agreement(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_folder(tmp_path, "adler", "bussard") as firms:
        killed: list[int] = []

        def kill_in_the_third_write(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
            if call.is_write and len(firms[0].advo.writes) == 3 and not killed:
                killed.extend(child.pid or 0 for child in active_children())
                os.kill(killed[0], signal.SIGKILL)
            return None

        firms[0].advo.after = kill_in_the_third_write
        code, results = ask(tmp_path, capfd, "sync", "--workers", "1")
        assert len(killed) == 1
        assert (code, outcomes(results)) == (0, {"adler": "done", "bussard": "done"})
        assert [firm.disagreements() for firm in firms] == [[], []]
        assert [run["outcome"] for run in firms[0].query_store("select outcome from runs order by id")] == [
            "abandoned",
            "done",
        ]
        assert ask(tmp_path, capfd, "plan")[0] == 0


def test_a_firm_that_kills_every_worker_is_given_up_and_the_others_are_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_folder(tmp_path, "adler", "bussard", "dohle") as firms:
        killed: list[int] = []

        def kill(_call: SimRequest) -> SimResponse | None:
            killed.extend(child.pid or 0 for child in active_children())
            os.kill(killed[-1], signal.SIGKILL)
            return None

        firms[1].espo.before = kill
        code, results = ask(tmp_path, capfd, "sync", "--workers", "1")
        assert len(killed) == MAX_ATTEMPTS
        assert (code, outcomes(results)) == (
            ExitCode.CRASHED,
            {"bussard": "crashed", "adler": "done", "dohle": "done"},
        )
        assert results["bussard"]["error"] == "its worker process died (SIGKILL)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_or_killed_it_leaves_no_worker_and_no_half_written_request(
    tmp_path: Path, number: signal.Signals
) -> None:
    with open_folder(tmp_path, "adler", "bussard") as firms:
        third_write, signal_sent = threading.Event(), threading.Event()

        def wait_in_the_third_write(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
            if call.is_write and len(firms[0].advo.writes) == 3:
                third_write.set()
                signal_sent.wait(60)  # the request is under way while the signal comes
            return None

        firms[0].advo.after = wait_in_the_third_write
        command = [sys.executable, "-m", "jobs", "firms", "sync", "--dir", str(tmp_path), "--workers", "1", "--json"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        assert third_write.wait(60)
        [lease] = firms[0].query_store("select pid from lease")
        if number is signal.SIGTERM:
            os.killpg(process.pid, number)  # as a terminal and systemd do: the workers get it, too
        else:
            process.send_signal(number)
        signal_sent.set()
        output, _ = process.communicate(timeout=60)
        if number is signal.SIGTERM:
            assert process.returncode == ExitCode.STOPPED
            results = parse_results(output)
            assert outcomes(results) == {"adler": "stopped", "bussard": "stopped"}
            assert results["bussard"]["error"] == "Stopped by SIGTERM before its turn."
        deadline = time.monotonic() + 60
        while is_process_alive(lease["pid"]) and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        assert not is_process_alive(lease["pid"])
        assert firms[0].query_store("select count(*) as n from lease") == [{"n": 0}]
        states = {row["state"] for row in firms[0].query_store("select state from changes")}
        assert states & {"done", "planned"} == {"done", "planned"}
        assert states <= {"done", "planned", "dropped"}
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (second.returncode, json.loads(second.stdout)["exit_code"]) == (0, 0)
        assert [firm.disagreements() for firm in firms] == [[], []]


# Workers that are stuck --------------------------------------------------------------------------------------------


def freeze_worker_of(firm: SimulatedFirm, frozen: list[int]) -> None:
    """Let the process that is at this firm stand still, amid its third write: no signal but the last reaches it."""

    def freeze(call: SimRequest, _answer: SimResponse) -> SimResponse | None:
        if call.is_write and len(firm.advo.writes) == 3 and not frozen:
            [lease] = firm.query_store("select pid from lease")
            frozen.append(lease["pid"])
            os.kill(lease["pid"], signal.SIGSTOP)
        return None

    firm.advo.after = freeze


@pytest.mark.parametrize("told_by", [None, "the test"])
def test_a_worker_that_is_stuck_is_ended_and_the_firm_named_and_the_others_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told_by: str | None
) -> None:
    monkeypatch.setattr(pool, "STOP_SECONDS", 1.0)  # only how long it waits
    with open_folder(tmp_path, "adler", "bussard") as firms, stop_on_signals() as stop_signal:
        frozen: list[int] = []
        freeze_worker_of(firms[0], frozen)
        limits = (8.0 if told_by is None else math.inf, math.inf)
        tasks = [
            FirmTask(firm.path.stem, firm.path, FirmCommand.SYNC, "operator", limit_seconds=limit_seconds)
            for firm, limit_seconds in zip(firms, limits, strict=True)
        ]

        def stop_once_frozen(requester: str) -> None:
            wait_for(lambda: bool(frozen))
            stop_signal.request_stop(requester)

        if told_by is not None:
            threading.Thread(target=stop_once_frozen, args=[told_by]).start()
        with worker_pool(1) as workers:
            results = {result.firm: result for result in run_tasks(workers, tasks, stop_signal)}
        assert results["adler"].outcome == "crashed"
        assert results["adler"].error == "its worker process was stuck and was ended from outside"
        assert results["bussard"].outcome == ("done" if told_by is None else "stopped")
        assert not any(map(is_process_alive, frozen))
        firms[0].advo.after = lambda _call, _answer: None
        again = do_round(FirmCommand.SYNC, RoundOptions(tmp_path, (), 1, None, "operator", 30, details=False))
        assert {result.outcome for result in again} == {"done"}
        assert [firm.disagreements() for firm in firms] == [[], []]

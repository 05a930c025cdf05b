"""``firms run`` with an engine that plays a script, and a clock that is set: nobody delays anybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from jobs.config_file import read_config
from jobs.environment import PRODUCTION, StopSignal
from jobs.exit_codes import CommandOutcome, ExitCode
from jobs.firms.folder import list_firms
from jobs.firms.publish import FirmsReport
from jobs.firms.result import FirmCommand, FirmResult, FirmTask, ScheduledTurn, result_of
from jobs.firms.round import RoundOptions
from jobs.firms.scheduler import FirmsScheduler, note_result
from jobs.firms.settings import read_settings
from jobs.firms.timetable import EPOCH, ScheduledFirm, Turn
from jobs.firms.turn import take_turn
from jobs.run.report import RunReport
from jobs.sandbox.simulator import SimClock, SimRequest
from jobs.schedule import Job
from jobs.telemetry import notify
from tests.firms.folder_of_firms import SimulatedFirm, open_folder

DEFAULTS = """\
espocrm: {api_key: key}
advoware: {kanzlei: K, database: "${FIRM}", user: sync, app_id: app, api_key: a2V5, password: secret}
state: {path: "state/${FIRM}.db"}
"""
STATUS: dict[str, Any] = {
    "last_run": None,
    "last_success": None,
    "longest_run_seconds": 0,
    "sweep": {"last_at": "2030-01-01 00:00:00", "after": None},
    "maintenance": {"last_at": "2030-01-01 00:00:00"},
}


class ScriptedEngine:
    """Workers whose turns last as long as the test says; nothing is really done."""

    def __init__(self, clock: SimClock, workers: dict[str | None, int]) -> None:
        self.clock = clock
        self.workers = workers
        self.seconds: dict[str, float] = {}
        self.outcomes: dict[str, CommandOutcome] = {}
        self.at_turn: dict[str, tuple[float, FirmTask]] = {}
        self.begun: list[tuple[str, FirmCommand]] = []
        self.syncs_at: dict[str, list[float]] = {}
        self.most_at_once = 0
        self.on_begin: Callable[[FirmTask], None] = lambda _task: None
        self.on_time: Callable[[float], None] = lambda _seconds: None
        self.elapsed = 0.0

    def capacity(self, worker: str | None) -> int:
        return self.workers.get(worker, 0)

    def has_room(self, worker: str | None) -> bool:
        return sum(task.worker == worker for _, task in self.at_turn.values()) < self.capacity(worker)

    def is_busy(self) -> bool:
        return bool(self.at_turn)

    def begin(self, task: FirmTask) -> None:
        assert task.firm not in self.at_turn
        seconds = 0.0 if task.command is FirmCommand.STATUS else self.seconds.get(task.firm, 1.0)
        self.at_turn[task.firm] = self.elapsed + seconds, task
        self.begun.append((task.firm, task.command))
        if task.command is FirmCommand.SYNC:
            self.syncs_at.setdefault(task.firm, []).append(self.elapsed)
        self.on_begin(task)
        self.most_at_once = max(self.most_at_once, len(self.at_turn))

    def wait(self, _stop_signal: StopSignal, seconds: float | None = None) -> list[FirmResult]:
        self.on_time(self.elapsed)
        end = min((end for end, _ in self.at_turn.values()), default=self.elapsed + (seconds or 0))
        if seconds is not None and end > self.elapsed + max(seconds, 1):
            end = self.elapsed + max(seconds, 1)
        self.clock.advance(end - self.elapsed)
        self.elapsed = end
        ended = [task for until, task in self.at_turn.values() if until <= end]
        for task in ended:
            del self.at_turn[task.firm]
        return [self.result(task) for task in ended]

    def result(self, task: FirmTask) -> FirmResult:
        now = self.clock().strftime("%Y-%m-%d %H:%M:%S")
        status = STATUS | {"now": now, "last_success": {"finished_at": now}}
        if task.command is FirmCommand.STATUS:
            return result_of(task, CommandOutcome.DONE, document=STATUS)
        outcome = self.outcomes.get(task.firm, CommandOutcome.DONE)
        report = RunReport(outcome=outcome)
        return FirmResult(task.firm, str(outcome), outcome.exit_code, None, {}, status, report)

    def request_stop(self) -> None:
        pass


class World:
    """A folder of firms, a clock, and a scheduler that runs for so long."""

    def __init__(self, folder: Path, *names: str, workers: dict[str | None, int] | None = None) -> None:
        self.folder = folder
        self.clock = SimClock()
        self.engine = ScriptedEngine(self.clock, workers or {None: 2})
        (folder / "_defaults.yaml").write_text(DEFAULTS, "utf-8")
        for name in names:
            self.add(name)

    def add(self, name: str, host: str | None = None, **sections: Any) -> None:
        document = {"espocrm": {"url": f"https://{host or name}.example.de/{name}"}, **sections}
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(document), "utf-8")

    def run(self, seconds: float) -> None:
        """Let a scheduler that begins now serve for so long."""
        stop_signal = StopSignal()
        until = self.engine.elapsed + seconds

        def stop_at_end(seconds: float) -> None:
            if seconds >= until and stop_signal.requested_by is None:
                stop_signal.request_stop("the test")

        self.engine.on_time = stop_at_end
        environment = replace(PRODUCTION, utcnow=self.clock, monotonic=lambda: self.engine.elapsed)
        options = RoundOptions(self.folder, (), 2, None, "operator", 20, details=False)
        try:
            FirmsScheduler(self.engine, options, read_settings(self.folder), environment).serve(stop_signal)
        finally:
            stop_signal.close()

    def syncs(self, name: str) -> int:
        return self.engine.begun.count((name, FirmCommand.SYNC))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    messages: list[tuple[str, str]] = []

    def send(title: str, body: str) -> notify.Delivery:
        messages.append((title, body))
        return notify.Delivery([1], [])

    # Apprise alone: what is sent, and when, is decided by the code under test
    monkeypatch.setattr(notify, "apprise_sender", lambda _addresses: send)
    return messages


def test_every_firm_has_its_turn_each_quarter_of_an_hour(tmp_path: Path) -> None:
    names = [f"firm{number}" for number in range(30)]
    world = World(tmp_path, *names)
    world.run(3600)
    assert {name: world.syncs(name) in {4, 5, 6} for name in names} == dict.fromkeys(names, True)


def test_firms_that_hang_at_each_turn_delay_no_other(tmp_path: Path) -> None:
    names = [f"firm{number}" for number in range(20)]
    hanging = [f"hanging{number}" for number in range(4)]
    world = World(tmp_path, *names, *hanging)
    for name in hanging:
        world.engine.seconds[name] = 600.0
        world.engine.outcomes[name] = CommandOutcome.OUTAGE
    world.run(5 * 3600)
    after_an_hour = [[start for start in world.engine.syncs_at[name] if start > 3600] for name in names]  # known
    assert max(later - earlier for starts in after_an_hour for earlier, later in pairwise(starts)) <= 15 * 60 + 30
    assert min(world.syncs(name) for name in hanging) >= 5


def test_firms_behind_one_host_share_its_ceiling(tmp_path: Path) -> None:
    world = World(tmp_path, workers={None: 5})
    for number in range(6):
        world.add(f"firm{number}", "relay")
    (tmp_path / "_firms.yaml").write_text("at_once: {relay.example.de: 2}\n", "utf-8")
    world.run(3600)
    assert world.engine.most_at_once == 2
    assert min(world.syncs(f"firm{number}") for number in range(6)) >= 4


def test_a_firm_whose_worker_is_away_is_away_and_has_its_turn_when_it_is_back(
    tmp_path: Path, sent: list[tuple[str, str]]
) -> None:
    world = World(tmp_path, "adler")
    world.add("bussard", state={"worker": "disk-2"})
    (tmp_path / "_firms.yaml").write_text("notify: ['json://localhost']\nlanguage: en\n", "utf-8")
    world.run(2 * 3600)
    assert world.syncs("adler") >= 8
    assert world.syncs("bussard") == 0
    assert [body.splitlines()[0] for _, body in sent] == ["bussard: its worker is away"]
    world.engine.workers["disk-2"] = 1
    world.run(3600)
    assert world.syncs("bussard") >= 4


def test_a_file_is_a_firm_and_a_broken_one_is_nobody_elses_trouble(tmp_path: Path) -> None:
    world = World(tmp_path, "adler", "bussard")
    (tmp_path / ".#adler.yaml").symlink_to("who-edits-it@host")  # Emacs leaves it there until the file is saved
    (tmp_path / "elster.yaml").symlink_to("nowhere")

    def change_folder(task: FirmTask) -> None:
        if world.syncs("adler") == 2 and task.firm == "adler":
            world.add("dohle")
            (tmp_path / "bussard.yaml").write_text("espocrm: [", "utf-8")

    world.engine.on_begin = change_folder
    world.run(2 * 3600)
    assert world.syncs("dohle") >= 4
    assert world.syncs("bussard") <= 3
    assert world.syncs("adler") >= 8


def test_one_message_a_day_at_most_also_over_restarts_and_it_names_no_person(
    tmp_path: Path, sent: list[tuple[str, str]]
) -> None:
    world = World(tmp_path, "adler", "bussard")
    (tmp_path / "bussard.yaml").write_text("espocrm: [", "utf-8")
    (tmp_path / "_firms.yaml").write_text("notify: ['json://localhost']\nlanguage: en\n", "utf-8")
    for _ in range(5):
        world.run(3 * 3600)
    assert sent == [
        ("advosync: firms that want somebody: 1", "bussard: cannot be asked\n\nLook: advosync firms status")
    ]
    world.run(timedelta(hours=12).total_seconds())
    assert len(sent) == 2


def test_one_metrics_file_has_the_figures_of_all_firms(tmp_path: Path, in_process: World) -> None:
    (tmp_path / "_firms.yaml").write_text("metrics_file: all.prom\n", "utf-8")
    (tmp_path / "dohle.yaml").write_text("espocrm: [", "utf-8")
    in_process.run(120)
    families = {
        family.name: family for family in text_string_to_metric_families((tmp_path / "all.prom").read_text("utf-8"))
    }
    well = {sample.labels["firm"]: sample.value for sample in families["advosync_firm_well"].samples}
    assert well == {"adler": 1, "bussard": 1, "dohle": 0}
    persons = families["advosync_last_run_persons"].samples
    assert {sample.labels["firm"] for sample in persons} == {"adler", "bussard"}
    assert {sample.value for sample in persons if sample.labels["part"] == "seen"} == {4}


def test_the_metrics_say_nothing_of_a_firm_that_was_not_asked_yet(tmp_path: Path) -> None:
    """At the start hundreds of firms wait for their first turn: none of them is to ring a bell."""
    (tmp_path / "_firms.yaml").write_text("metrics_file: all.prom\n", "utf-8")
    world = World(tmp_path, "adler", "bussard")
    report = FirmsReport(read_settings(tmp_path), replace(PRODUCTION, utcnow=world.clock))
    report.set_firms(list_firms(tmp_path, ()))
    report.note(FirmResult("adler", "crashed", ExitCode.CRASHED), is_status=True)
    report.publish()
    lines = (tmp_path / "all.prom").read_text("utf-8").splitlines()
    assert [line for line in lines if "{" in line] == ['advosync_firm_well{firm="adler"} 0.0']


@pytest.fixture
def in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two firms whose turns really take place, in this process."""
    with open_folder(tmp_path, "adler", "bussard"):
        defaults = (tmp_path / "_defaults.yaml").read_text("utf-8")
        world = World(tmp_path)
        (tmp_path / "_defaults.yaml").write_text(defaults, "utf-8")
        stop_signal = StopSignal()
        environment = replace(PRODUCTION, utcnow=world.clock, durable=False)
        # the turn that a worker takes, by the test's clock
        monkeypatch.setattr(
            world.engine, "result", lambda task: take_turn(task, stop_signal, environment=environment)
        )
        yield world
        stop_signal.close()


@dataclass
class SlowWorld:
    """A clock that goes on by so much with each request of one kind; a scheduler's turns of one firm in it."""

    firm: SimulatedFirm
    stop_signal: StopSignal
    elapsed: float = 0.0

    def slow_down(self, is_slow: Callable[[SimRequest], bool], seconds: float) -> None:
        def before(call: SimRequest) -> None:
            self.elapsed += seconds * is_slow(call)

        self.firm.espo.before = self.firm.advo.before = before

    def turns(self, budget_seconds: float) -> list[FirmResult]:
        """Turns as the scheduler gives them, until one is done."""
        environment = replace(PRODUCTION, monotonic=lambda: self.elapsed, heartbeat=False)
        scheduled = ScheduledFirm("adler", self.firm.path, read_config(self.firm.path))
        results: list[FirmResult] = []
        while not results or (results[-1].outcome != CommandOutcome.DONE and len(results) < 30):
            turn = ScheduledTurn({"host": "here", "pid": 1, "born": None}, 0, budget_seconds, scheduled.share)
            task = FirmTask("adler", self.firm.path, FirmCommand.SYNC, "operator", scheduled=turn)
            results.append(take_turn(task, self.stop_signal, environment=environment))
            note_result(scheduled, Turn("adler", Job.SYNC, EPOCH), results[-1], EPOCH)
        return results


@pytest.fixture
def slow_world(tmp_path: Path) -> Iterator[SlowWorld]:
    stop_signal = StopSignal()
    with open_folder(tmp_path, "adler", persons=6) as [firm]:
        firm.configure("sync", persons_per_run=8)
        yield SlowWorld(firm, stop_signal)
    stop_signal.close()


@pytest.mark.parametrize(
    ("is_slow", "first_stop"),
    [
        (lambda call: call.is_write, "after 1 of 6 persons; the rest"),
        (lambda call: "/CBeteiligte/" in call.path and not call.is_write, "of 6 persons read in EspoCRM; the rest"),
        (lambda call: "/Beteiligte" in call.path and not call.is_write, "of 6 persons read in Advoware; the rest"),
    ],
    ids=["writing", "reading EspoCRM", "reading Advoware"],
)
def test_a_run_whose_time_is_up_ends_between_persons_and_goes_on_next_time(
    slow_world: SlowWorld, is_slow: Callable[[SimRequest], bool], first_stop: str
) -> None:
    slow_world.slow_down(is_slow, 10.0)
    results = slow_world.turns(budget_seconds=5.0)
    assert results[0].outcome == CommandOutcome.STOPPED
    assert first_stop in (results[0].error or "")
    assert results[-1].exit_code == ExitCode.DONE, results[-1]
    slow_world.slow_down(is_slow, 0.0)
    slow_world.turns(budget_seconds=5.0)
    assert slow_world.firm.disagreements() == []
    states = {row["state"] for row in slow_world.firm.query_store("select state from changes")}
    assert states <= {"done", "dropped"}


def test_a_run_whose_time_is_up_before_it_has_the_list_ends_between_its_pages(slow_world: SlowWorld) -> None:
    slow_world.firm.configure("espocrm", page_size=2)
    slow_world.slow_down(lambda call: "/CBeteiligte?" in call.target, 10.0)
    first, *_ = slow_world.turns(budget_seconds=15.0)
    assert "before it is known who changed" in (first.error or "")
    assert slow_world.firm.query_store("select count(*) as n from persons") == [{"n": 4}]  # two pages of three
    assert slow_world.firm.espo.writes == slow_world.firm.advo.writes == []


def test_after_runs_whose_time_was_up_a_run_takes_fewer_persons_and_then_more_again(tmp_path: Path) -> None:
    world = World(tmp_path, "adler")
    shares: list[float] = []

    def note_share(task: FirmTask) -> None:
        if task.command is FirmCommand.SYNC and task.scheduled is not None:
            shares.append(task.scheduled.share)
            is_slow = len(shares) < 3
            world.engine.outcomes["adler"] = CommandOutcome.STOPPED if is_slow else CommandOutcome.DONE

    world.engine.on_begin = note_share
    world.run(2 * 3600)
    assert shares[:6] == [1, 1 / 2, 1 / 4, 1 / 2, 1, 1]

"""``firms run``: every firm's sync, sweep and maintenance at its times, for years; a file added is a firm added.

Who is due is worked out here (`timetable`), what a firm knows of itself stays in its store and is asked of it: a
scheduler that is killed and started again goes on where the firms are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from etl.errors import ConfigError
from jobs.environment import PRODUCTION, stop_on_signals
from jobs.exit_codes import ExitCode
from jobs.firms.folder import folder_fingerprint, list_firms
from jobs.firms.publish import FirmsReport
from jobs.firms.result import FirmCommand, FirmTask, ScheduledTurn, result_away
from jobs.firms.round import open_engine
from jobs.firms.settings import read_settings
from jobs.firms.timetable import ASK_AGAIN_AFTER, SWEEP_AGAIN_AFTER, ScheduledFirm, due_turns, next_due
from jobs.schedule import Job
from jobs.scheduler import CLOCK_CHECK_SECONDS, ClockWatch, scheduler_mark
from jobs.telemetry.logs import configure_logging
from jobs.telemetry.notify import require_apprise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from jobs.config import Config
    from jobs.environment import Environment, StopSignal
    from jobs.firms.engine import Engine
    from jobs.firms.result import FirmResult
    from jobs.firms.round import RoundOptions
    from jobs.firms.settings import FirmsSettings
    from jobs.firms.timetable import Turn

SUSPECT_EXITS = {ExitCode.OUTAGE, ExitCode.CRASHED, ExitCode.STOPPED}
"""Its system hangs, refuses or is out, its worker died, or its time was up: the next turn may be as long."""

STUCK_SECONDS = 600.0
"""A turn that goes on for so much longer than its time is stuck: its process is ended from outside."""

SMALLEST_SHARE = 1 / 1024
"""Of the persons of a run: with the default, one."""


def serve_firms(options: RoundOptions) -> None:
    """Run all firms by their schedules until somebody asks to stop."""
    settings = read_settings(options.folder)
    require_apprise(settings.notify)
    secrets = [address.get_secret_value() for address in settings.notify]
    configure_logging(secrets=secrets, level=options.log_level, details=options.details)
    with stop_on_signals() as stop_signal, open_engine(options, options.workers) as engine:
        FirmsScheduler(engine, options, settings).serve(stop_signal)


class FirmsScheduler:
    """The firms of a folder, their turns, and the engine that does them."""

    def __init__(
        self, engine: Engine, options: RoundOptions, settings: FirmsSettings, environment: Environment = PRODUCTION
    ) -> None:
        self.engine = engine
        self.options = options
        self.settings = settings
        self.environment = environment
        self.firms: dict[str, ScheduledFirm] = {}
        self.tasks: dict[str, tuple[Turn, FirmTask]] = {}
        self.fingerprint: object = None
        self.report = FirmsReport(settings, environment)

    def serve(self, stop_signal: StopSignal) -> None:
        """Let everybody have their turns until somebody asks to stop; those under way end between two requests."""
        clock = ClockWatch(self.environment)
        while stop_signal.requested_by is None:
            self.read_folder()
            self.begin_turns()
            self.note_results(self.engine.wait(stop_signal, self.seconds_to_next_turn()))
            if clock.has_jumped():
                structlog.get_logger().warning("clock_was_set")
                for firm in self.firms.values():
                    firm.forget_status(self.environment.utcnow())
        self.engine.request_stop()
        while self.engine.is_busy():
            self.note_results(self.engine.wait(stop_signal))
        structlog.get_logger().info("scheduler_stopped", by=stop_signal.requested_by)

    def read_folder(self) -> None:
        """Take up firms that are new or changed, and let those go whose file is gone."""
        fingerprint = folder_fingerprint(self.options.folder)
        if fingerprint == self.fingerprint:
            return
        try:
            listed = list_firms(self.options.folder, self.options.only)
        except ConfigError as error:
            if not self.firms:
                raise
            structlog.get_logger().error("folder_not_read", reason=str(error))
            return
        self.fingerprint = fingerprint
        before, self.firms = self.firms, {}
        for firm in listed:
            if firm.config is None or firm.problem is not None:
                continue
            known = before.get(firm.name)
            if known is None or known.config != firm.config:
                known = ScheduledFirm(firm.name, firm.path, firm.config, is_at_turn=firm.name in self.tasks)
            self.firms[firm.name] = known
        self.report.set_firms(listed)
        structlog.get_logger().info("folder_read", firms=len(self.firms), refused=len(listed) - len(self.firms))

    def begin_turns(self) -> None:
        """Begin whatever is due and has a place, the most overdue first."""
        now = self.environment.utcnow()
        for turn in due_turns(self.firms.values(), now):
            firm = self.firms[turn.firm]
            worker = firm.config.state.worker
            if self.engine.capacity(worker) == 0:
                firm.forget_status(now + ASK_AGAIN_AFTER)
                self.report.note(result_away(self.make_task(firm, turn, 0)), is_status=True)
            elif self.engine.has_room(worker) and self.may_begin(firm):
                task = self.make_task(firm, turn, firm.begin(turn.job, now))
                self.tasks[firm.name] = turn, task
                self.engine.begin(task)

    def make_task(self, firm: ScheduledFirm, turn: Turn, skips: int) -> FirmTask:
        """What the firm is asked."""
        mark = scheduler_mark(self.environment)
        budget_seconds = self.settings.budget_minutes * 60.0
        scheduled = None if turn.job is None else ScheduledTurn(mark, skips, budget_seconds, firm.share)
        return FirmTask(
            firm.name,
            firm.path,
            FirmCommand.STATUS if turn.job is None else FirmCommand(turn.job),
            self.options.operator,
            self.options.log_level,
            self.options.details,
            firm.config.state.worker,
            scheduled,
            budget_seconds + STUCK_SECONDS,
        )

    def may_begin(self, firm: ScheduledFirm) -> bool:
        """Whether neither its host is at its ceiling, nor too many workers are with firms that take long already.

        Firms whose last turn met an outage never have all workers at once, so the others go on meanwhile.
        """
        at_turn = [self.firms[name] for name in self.tasks if name in self.firms]
        by_host = Counter(host for other in at_turn for host in hosts(other.config))
        if any(by_host[host] >= limit for host, limit in self.settings.at_once.items() if host in hosts(firm.config)):
            return False
        worker = firm.config.state.worker
        suspects = [other for other in at_turn if other.is_suspect and other.config.state.worker == worker]
        return not firm.is_suspect or len(suspects) < max(1, self.engine.capacity(worker) - 1)

    def seconds_to_next_turn(self) -> float:
        """How long nothing becomes due."""
        now = self.environment.utcnow()
        due = next_due(self.firms.values(), now)
        wait = CLOCK_CHECK_SECONDS if due is None else (due - now).total_seconds()
        return min(CLOCK_CHECK_SECONDS, max(0.0, wait))

    def note_results(self, results: list[FirmResult]) -> None:
        """Take over how turns ended, and let the world know."""
        for result in results:
            turn, task = self.tasks.pop(result.firm)
            structlog.get_logger().info(
                "turn_ended", firm=result.firm, command=task.command, outcome=result.outcome, reason=result.error
            )
            firm = self.firms.get(result.firm)
            if firm is not None:
                firm.is_at_turn = False
                note_result(firm, turn, result, self.environment.utcnow())
                self.report.note(result, is_status=turn.job is None)
        self.report.publish()


def note_result(firm: ScheduledFirm, turn: Turn, result: FirmResult, now: datetime) -> None:
    """What the end of a turn means for the firm's next ones."""
    if turn.job is None:
        if result.document is not None:
            firm.note_status(result.document, now)
        return
    firm.is_suspect = result.exit_code in SUSPECT_EXITS
    if result.exit_code == ExitCode.STOPPED:
        firm.share = max(SMALLEST_SHARE, firm.share / 2)
    elif result.report is not None and result.report.outcome.is_completed:
        firm.share = min(1.0, firm.share * 2)
    if turn.job is Job.SWEEP and Job.SWEEP in firm.due:
        if result.report is None or not result.report.outcome.is_completed:
            firm.due[Job.SWEEP] = min(firm.due[Job.SWEEP], now + SWEEP_AGAIN_AFTER)
        elif result.report.has_next_chunk:
            firm.due[Job.SWEEP] = now


def hosts(config: Config) -> Iterator[str]:
    """The hosts of a firm's two systems, as far as its file tells them."""
    advo = config.advoware
    urls = [config.espocrm.url, advo.base_url or advo.configurator_url, advo.security_gateway]
    return iter({urlsplit(url).hostname or "" for url in urls if url})

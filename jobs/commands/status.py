"""``status``: how everything stands, in one place, and what the sync promises at the present size of the firm.

Only the state store is read. The promise is worked out for the worst moment: an edit made right after its run began.
"""

from __future__ import annotations

import re
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.enums import ABSENCE_REASONS, Absence
from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.queries.status import load_status
from etl.store.tables.arrivals import load_arrival_times
from etl.times import format_utc, parse_utc
from jobs.exit_codes import ExitCode
from jobs.lock import is_process_alive, is_process_dead, process_start_time
from jobs.promise import (
    MEASURED,
    TIMER_CONDITION,
    delivery_time,
    format_measurement,
    format_promise,
    has_scheduler,
)
from jobs.run.report import count_words
from jobs.schedule import Job, longest_gap, next_time
from jobs.screen import print_columns
from jobs.times import format_age, format_duration, format_local

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from rich.console import Console

    from jobs.config import Config

TIME_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
OVERDUE_AFTER = timedelta(minutes=2)
"""A run that is this much behind its schedule is overdue."""


def collect_status(config: Config, now: datetime) -> dict[str, Any]:
    """Everything ``status`` tells, times as UTC text; a store that is not there yet has only its path."""
    if not config.state.path.exists():
        return {"now": format_utc(now), "instance": {"id": None, **location(config)}, "last_success": None}
    with Store.open(config.state.path, now=format_utc(now), read_only=True) as store:
        stored = load_status(store)
        measured = load_arrival_times(store, format_utc(now - MEASURED), format_utc(now + timedelta(seconds=1)))
    delivery = delivery_time(config, stored, now)
    stored["scheduler"] = scheduler_state(stored["scheduler"], longest_gap(config.schedule, Job.SYNC, now), now)
    return {
        "now": format_utc(now),
        "instance": {"id": stored.pop("instance_id"), **location(config)},
        **stored,
        "next_runs": next_run_times(config, stored, now),
        "runs_by_itself": runs_by_itself(config, stored, now),
        "promise": {
            "espocrm_edit_seconds": round(delivery.espo_edit.total_seconds()),
            "advoware_edit_seconds": round(delivery.advo_edit.total_seconds()),
        },
        "measured": {"days": MEASURED.days, **measured},
    }


def location(config: Config) -> dict[str, str]:
    """Where this is asked."""
    return {"host": socket.gethostname(), "path": str(config.state.path)}


def scheduler_state(mark: dict[str, Any] | None, gap: timedelta, now: datetime) -> dict[str, Any] | None:
    """The scheduler that was last noted, and whether it runs: by its process on this host, else by its last turn."""
    if mark is None:
        return None
    born = mark.pop("born")
    if mark["host"] == socket.gethostname():
        is_dead = is_process_dead(mark["pid"], born, is_alive=is_process_alive, start_time_of=process_start_time)
        return {**mark, "runs": not is_dead}
    return {**mark, "runs": now - parse_utc(mark["seen_at"]) <= gap + OVERDUE_AFTER}


def runs_by_itself(config: Config, status: dict[str, Any], now: datetime) -> bool:
    """Whether syncs take place without anybody asking: a scheduler runs, or a timer's last run is no older than due."""
    if has_scheduler(status):
        return True
    started_at = (status["last_run"] or {}).get("started_at")
    gap = longest_gap(config.schedule, Job.SYNC, now) + OVERDUE_AFTER
    return started_at is not None and now - parse_utc(started_at) <= gap


def next_run_times(config: Config, status: dict[str, Any], now: datetime) -> dict[str, str]:
    """When each job's turn is by the schedule; a time in the past is overdue."""
    last = {
        Job.SYNC: (status["last_run"] or {}).get("started_at"),
        Job.SWEEP: status["sweep"]["last_at"],
        Job.MAINTENANCE: status["maintenance"]["last_at"],
    }
    return {
        job: format_utc(
            next_time(config.schedule, job, last=parse_utc(last[job]) if last[job] else None, now=now)
        )
        for job in Job
    }


def status_exit_code(status: dict[str, Any], now: datetime, max_age: timedelta | None) -> ExitCode:
    """1 when the last success is older than asked for, or there never was one."""
    if max_age is None:
        return ExitCode.DONE
    finished_at = (status["last_success"] or {}).get("finished_at")
    is_fresh = finished_at is not None and now - parse_utc(finished_at) <= max_age
    return ExitCode.DONE if is_fresh else ExitCode.FAILED_PERSONS


def is_overdue(config: Config, status: dict[str, Any], now: datetime) -> bool:
    """Whether the last success is older than the schedule allows, the longest run included, or there never was one."""
    finished_at = (status["last_success"] or {}).get("finished_at")
    if finished_at is None:
        return True
    longest_run = timedelta(seconds=status["longest_run_seconds"])
    return now - parse_utc(finished_at) > longest_gap(config.schedule, Job.SYNC, now) + longest_run + OVERDUE_AFTER


def parse_max_age(text: str) -> timedelta:
    """A span like ``90s``, ``30m``, ``2h`` or ``1d``; ``ConfigError`` for anything else."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if match is None:
        raise ConfigError(f'--max-age must be a span like 30m, 2h or 1d, not "{text}".')
    return timedelta(**{TIME_UNITS[match[2]]: int(match[1])})


# For the eye -------------------------------------------------------------------------------------------------------


def render_status(status: dict[str, Any], console: Console, zone: tzinfo) -> None:
    """How it stands, a line for each question."""
    from rich.text import Text  # noqa: PLC0415 - not for --json

    now = parse_utc(status["now"])
    print_columns(console, [(Text(title, "bold"), text) for title, text in status_rows(status, now, zone)])


def status_rows(status: dict[str, Any], now: datetime, zone: tzinfo) -> list[tuple[str, str]]:
    """What is told, in order: what about, and how it stands."""
    instance = status["instance"]
    if "persons" not in status:
        return [("State", f"nothing was ever synced; {instance['path']} is not there yet")]
    return [
        ("Last run", format_run(status["last_run"], now)),
        ("Last success", format_age((status["last_success"] or {}).get("finished_at"), now)),
        ("Earlier runs", "`advosync export last_runs`; of one person `advosync explain ID`"),
        ("Scheduler", format_scheduler(status["scheduler"], now)),
        ("Under way", format_lock_holder(status["under_way"], zone)),
        ("Next", format_next_runs(status, now)),
        ("Skipped", format_skipped_runs(status["skipped_runs"], now)),
        ("Persons", ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in status["persons"].items())),
        ("Waiting", format_due(status["due"], now)),
        ("Not there", format_absences(status["not_there"], now)),
        ("Locked", format_locked_count(status["locked"])),
        ("Retries", format_retries(status["retries"], now)),
        ("Held", format_holds(status["holds"])),
        ("Conflicts", f"{status['open_conflicts']} open"),
        ("Oldest look", format_oldest_poll(status["looks"], now)),
        ("Sweep", format_sweep(status["sweep"], now)),
        ("Promise", format_promise(status)),
        ("Measured", format_measurement(status)),
        ("EspoCRM", format_espo_version(status["espocrm"], now)),
        ("Instance", f"{instance['id'] or 'unknown'} on {instance['host']}, {instance['path']}"),
    ]


def format_run(run: dict[str, Any] | None, now: datetime) -> str:
    """The latest run: how it ended, and what it came to."""
    if run is None:
        return "none yet"
    outcome = (run["outcome"] or "under way, or its process died").replace("_", " ")
    counts = f"{run['persons_seen']} seen, {run['persons_changed']} changed, {run['persons_failed']} failed"
    error = f": {run['error']}" if run["error"] else ""
    age = format_age(run["started_at"], now)
    return f"{run['id']} ({run['trigger']} on {run['host']}), {age}, {outcome}{error}; {counts}"


def format_next_runs(status: dict[str, Any], now: datetime) -> str:
    """When each job's turn is, or how long it is overdue."""
    turns = ", ".join(f"{job} {format_next_run(next_at, now)}" for job, next_at in status["next_runs"].items())
    return turns + ("" if has_scheduler(status) else TIMER_CONDITION)


def format_scheduler(scheduler: dict[str, Any] | None, now: datetime) -> str:
    """Whether a scheduler runs here."""
    if scheduler is None:
        return "none runs here"
    process = f"process {scheduler['pid']} on {scheduler['host']}"
    age = format_age(scheduler["seen_at"], now)
    return f"{process}, last turn {age}" if scheduler["runs"] else f"none runs here; {process} died, last turn {age}"


def format_espo_version(espocrm: dict[str, Any] | None, now: datetime) -> str:
    """Which version the latest run met; after an upgrade, since when and what it was."""
    if espocrm is None:
        return "not yet seen"
    since = f", {espocrm['before']} until {format_age(espocrm['since'], now)}" if espocrm["before"] else ""
    return f"version {espocrm['version']}{since}"


def format_lock_holder(holder: dict[str, Any] | None, zone: tzinfo) -> str:
    """Who has the lock."""
    if holder is None:
        return "nothing"
    return f"process {holder['pid']} on {holder['host']}, since {format_local(holder['acquired_at'], zone)}"


def format_next_run(text: str, now: datetime) -> str:
    """When a job's turn is."""
    delay = now - parse_utc(text)
    return (
        f"overdue for {format_duration(delay)} (is `advosync run` running?)"
        if delay > OVERDUE_AFTER
        else format_eta(text, now)
    )


def format_eta(text: str, now: datetime) -> str:
    """A time that is to come, or came already and waits for a run."""
    return f"in {format_duration(parse_utc(text) - now)}" if parse_utc(text) > now else "now"


def format_skipped_runs(skipped: dict[str, dict[str, Any]], now: datetime) -> str:
    """Runs that did not take place at their time."""
    parts = [f"{skip['times']} × {job}, last {format_age(skip['last_at'], now)}" for job, skip in skipped.items()]
    return "; ".join(parts) or "none"


def format_due(due: dict[str, Any], now: datetime) -> str:
    """Who waits to be synced."""
    if not due["persons"]:
        return "nobody"
    longest = format_duration(now - parse_utc(due["since"]))
    return f"{count_words(due['persons'], 'person')}, the longest for {longest}"


def format_absences(kinds: list[dict[str, Any]], now: datetime) -> str:
    """Who waits because it is not there as agreed, what was seen, and how many of them are held."""
    parts = [
        f"{kind['persons']} {ABSENCE_REASONS[Absence(kind['kind'])]}, the first {format_age(kind['since'], now)}"
        + (f" ({kind['held']} held)" if kind["held"] else "")
        for kind in kinds
    ]
    return "; ".join(parts) or "nobody"


def format_locked_count(count: int) -> str:
    """Whose record staff locked in EspoCRM, where there is anybody."""
    if not count:
        return "nobody"
    records = "1 record" if count == 1 else f"{count} records"
    return f"{records}, by staff in EspoCRM; changes wait until it is unlocked, on both sides"


def format_retries(retries: dict[str, Any], now: datetime) -> str:
    """Who failed, and when the next one is tried again."""
    parts = [
        f"{retry['persons']} {kind.replace('_', ' ')} (next {format_eta(retry['next_at'], now)})"
        for kind, retry in retries.items()
        if retry["persons"]
    ]
    return ", ".join(parts) or "none"


def format_holds(holds: list[dict[str, Any]]) -> str:
    """Who is held, and what releases them."""
    parts = [f"{hold['persons']} by run {hold['run_id']} ({hold['kind'].replace('_', ' ')})" for hold in holds]
    return f"{', '.join(parts)}; see `advosync held`" if parts else "nobody"


def format_oldest_poll(polls: dict[str, Any], now: datetime) -> str:
    """The oldest look into Advoware."""
    never = f"; {polls['never']} persons were never looked at" if polls["never"] else ""
    return f"{format_age(polls['oldest_at'], now)}{never}"


def format_sweep(sweep: dict[str, Any], now: datetime) -> str:
    """When everybody was looked at, and whether that is going on."""
    position = f"; one is under way, behind {sweep['after']}" if sweep["after"] else ""
    return f"{format_age(sweep['last_at'], now)}{position}"

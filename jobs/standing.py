"""``status``: how everything stands, in one place, and what the sync promises at the present size of the firm.

Only the state store is read. The promise is worked out for the worst moment: an edit made right after its run began.
"""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.standing import standing
from etl.store.states import SEEN, Absence
from jobs.exit_codes import ExitCode
from jobs.moments import ago, span, text_of, time_of
from jobs.timetable import Job, longest_gap, next_time

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from jobs.config import Config

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LATE = timedelta(minutes=2)
"""A run that is this much behind its schedule is overdue."""


@dataclass(frozen=True)
class Promise:
    """Within which time an edit of one side arrives on the other, at worst."""

    espo_edit: timedelta
    advo_edit: timedelta


def how_it_stands(config: Config, now: datetime) -> dict[str, Any]:
    """Everything ``status`` tells, times as UTC text; a store that is not there yet has only its path."""
    if not config.state.path.exists():
        return {"now": text_of(now), "instance": {"id": None, **here(config)}, "last_success": None}
    with Store.open(config.state.path, now=text_of(now), read_only=True) as store:
        found = standing(store)
    promise = promised(config, found, now)
    return {
        "now": text_of(now),
        "instance": {"id": found.pop("instance_id"), **here(config)},
        **found,
        "next_runs": next_runs(config, found, now),
        "promise": {
            "espocrm_edit_seconds": round(promise.espo_edit.total_seconds()),
            "advoware_edit_seconds": round(promise.advo_edit.total_seconds()),
        },
    }


def here(config: Config) -> dict[str, str]:
    """Where this is asked."""
    return {"host": socket.gethostname(), "path": str(config.state.path)}


def next_runs(config: Config, found: dict[str, Any], now: datetime) -> dict[str, str]:
    """When each job's turn is by the schedule; a time in the past is overdue."""
    last = {
        Job.SYNC: (found["last_run"] or {}).get("started_at"),
        Job.SWEEP: found["sweep"]["last_at"],
        Job.MAINTENANCE: found["maintenance"]["last_at"],
    }
    return {
        job: text_of(next_time(config.schedule, job, last=time_of(last[job]) if last[job] else None, now=now))
        for job in Job
    }


def promised(config: Config, found: dict[str, Any], now: datetime) -> Promise:
    """What the schedule, the budget and the number of persons allow to promise.

    EspoCRM: a record saved just before a run is left to settle, so it waits for the next one. Advoware: at least half
    of the budget goes to the oldest looks, and a sweep looks at everybody, as quickly as the ceiling of requests lets.
    """
    gap = longest_gap(config.schedule, Job.SYNC, now)
    delay = timedelta(
        seconds=config.schedule.jitter_seconds + config.espocrm.settle_seconds + found["longest_run_seconds"]
    )
    runs_for_those_due = max(1, ceil(found["due"]["persons"] / config.sync.persons_per_run))
    linked = sum(count for status, count in found["persons"].items() if status != "not_linked")
    oldest = config.advoware.poll_budget - config.advoware.poll_budget // 2
    pace = config.advoware.max_requests_per_second
    by_sweep = longest_gap(config.schedule, Job.SWEEP, now) + delay + timedelta(seconds=linked / pace if pace else 0)
    by_looks = gap * max(1, ceil(linked / oldest)) + delay if oldest else by_sweep
    return Promise(gap * runs_for_those_due + delay, min(by_looks, by_sweep))


def exit_code(found: dict[str, Any], now: datetime, max_age: timedelta | None) -> ExitCode:
    """1 when the last success is older than asked for, or there never was one."""
    if max_age is None:
        return ExitCode.DONE
    finished = (found["last_success"] or {}).get("finished_at")
    fresh = finished is not None and now - time_of(finished) <= max_age
    return ExitCode.DONE if fresh else ExitCode.FAILED_PERSONS


def age(written: str) -> timedelta:
    """A span like ``90s``, ``30m``, ``2h`` or ``1d``; ``ConfigError`` for anything else."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", written.strip())
    if found is None:
        raise ConfigError(f'--max-age must be a span like 30m, 2h or 1d, not "{written}".')
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def to_json(found: dict[str, Any]) -> str:
    """One document."""
    return json.dumps(found, ensure_ascii=False)


# For the eye -------------------------------------------------------------------------------------------------------


def render(found: dict[str, Any], console: Console) -> None:
    """How it stands, a line for each question."""
    from rich.table import Table  # noqa: PLC0415 - not for --json
    from rich.text import Text  # noqa: PLC0415 - not for --json

    now = time_of(found["now"])
    table = Table.grid(padding=(0, 2))
    for about, told in lines(found, now):
        table.add_row(Text(about, style="bold"), Text(told))
    console.print(table)


def lines(found: dict[str, Any], now: datetime) -> list[tuple[str, str]]:
    """What is told, in order: what about, and how it stands."""
    instance = found["instance"]
    if "persons" not in found:
        return [("State", f"nothing was ever synced; {instance['path']} is not there yet")]
    return [
        ("Last run", told_run(found["last_run"], now)),
        ("Last success", ago((found["last_success"] or {}).get("finished_at"), now)),
        ("Under way", told_holder(found["under_way"])),
        ("Next", ", ".join(f"{job} {told_next(at, now)}" for job, at in found["next_runs"].items())),
        ("Skipped", told_skipped(found["skipped_runs"], now)),
        ("Persons", ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in found["persons"].items())),
        ("Waiting", told_waiting(found["due"], now)),
        ("Not there", told_not_there(found["not_there"], now)),
        ("Retries", told_retries(found["retries"], now)),
        ("Held", told_holds(found["holds"])),
        ("Conflicts", f"{found['open_conflicts']} open"),
        ("Oldest look", told_looks(found["looks"], now)),
        ("Sweep", told_sweep(found["sweep"], now)),
        ("Promise", told_promise(found["promise"])),
        ("Instance", f"{instance['id'] or 'unknown'} on {instance['host']}, {instance['path']}"),
    ]


def told_run(run: dict[str, Any] | None, now: datetime) -> str:
    """The latest run: how it ended, and what it came to."""
    if run is None:
        return "none yet"
    ending = (run["outcome"] or "under way, or its process died").replace("_", " ")
    counts = f"{run['persons_seen']} seen, {run['persons_changed']} changed, {run['persons_failed']} failed"
    why = f": {run['error']}" if run["error"] else ""
    return f"{run['id']} ({run['trigger']} on {run['host']}), {ago(run['started_at'], now)}, {ending}{why}; {counts}"


def told_holder(holder: dict[str, Any] | None) -> str:
    """Who has the lock."""
    if holder is None:
        return "nothing"
    return f"process {holder['pid']} on {holder['host']}, since {holder['acquired_at']} UTC"


def told_next(at: str, now: datetime) -> str:
    """When a job's turn is."""
    late = now - time_of(at)
    return f"overdue for {span(late)} (is `advosync run` running?)" if late > LATE else ahead(at, now)


def ahead(at: str, now: datetime) -> str:
    """A time that is to come, or came already and waits for a run."""
    return f"in {span(time_of(at) - now)}" if time_of(at) > now else "now"


def told_skipped(skipped: dict[str, dict[str, Any]], now: datetime) -> str:
    """Runs that did not take place at their time."""
    told = [f"{one['times']} × {job}, last {ago(one['last_at'], now)}" for job, one in skipped.items()]
    return "; ".join(told) or "none"


def told_waiting(due: dict[str, Any], now: datetime) -> str:
    """Who waits to be synced."""
    return f"{due['persons']} persons, the longest since {ago(due['since'], now)}" if due["persons"] else "nobody"


def told_not_there(kinds: list[dict[str, Any]], now: datetime) -> str:
    """Who waits because it is not there as agreed, what was seen, and how many of them are held."""
    told = [
        f"{one['persons']} {SEEN[Absence(one['kind'])]}, the first {ago(one['since'], now)}"
        + (f" ({one['held']} held)" if one["held"] else "")
        for one in kinds
    ]
    return "; ".join(told) or "nobody"


def told_retries(retries: dict[str, Any], now: datetime) -> str:
    """Who failed, and when the next one is tried again."""
    told = [
        f"{of_kind['persons']} {kind.replace('_', ' ')} (next {ahead(of_kind['next_at'], now)})"
        for kind, of_kind in retries.items()
        if of_kind["persons"]
    ]
    return ", ".join(told) or "none"


def told_holds(holds: list[dict[str, Any]]) -> str:
    """Who is held, and what releases them."""
    told = [f"{one['persons']} by run {one['run_id']} ({one['kind'].replace('_', ' ')})" for one in holds]
    return f"{', '.join(told)}; see `advosync held`" if told else "nobody"


def told_looks(looks: dict[str, Any], now: datetime) -> str:
    """The oldest look into Advoware."""
    never = f"; {looks['never']} persons were never looked at" if looks["never"] else ""
    return f"{ago(looks['oldest_at'], now)}{never}"


def told_sweep(sweep: dict[str, Any], now: datetime) -> str:
    """When everybody was looked at, and whether that is going on."""
    position = f"; one is under way, behind {sweep['after']}" if sweep["after"] else ""
    return f"{ago(sweep['last_at'], now)}{position}"


def told_promise(promise: dict[str, int]) -> str:
    """Within which time an edit arrives."""
    espo, advo = (timedelta(seconds=promise[f"{side}_edit_seconds"]) for side in ("espocrm", "advoware"))
    return f"an edit in EspoCRM arrives within {span(espo)}, one in Advoware within {span(advo)}"

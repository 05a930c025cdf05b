"""The figures of ``status`` and of the last run as a Prometheus text file (``report.metrics_file``)."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Gauge, Info, write_to_textfile

from etl.store.states import Absence, HoldKind, Status
from jobs.moments import time_of

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.report import RunReport

PREFIX = "advosync_"


def write(path: Path, found: dict[str, Any], report: RunReport) -> None:
    """Replace the file as a whole: a reader sees the old figures or the new ones. ``OSError`` when it cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), figures(found, report))


def figures(found: dict[str, Any], report: RunReport) -> CollectorRegistry:
    """Every figure; ``found`` is what ``status`` tells."""
    registry = CollectorRegistry()
    about = {"version": version("advosync"), "instance_id": found["instance"]["id"] or ""}
    Info(f"{PREFIX}build", "Which advosync this is", registry=registry).info(about)
    of_the_store(registry, found)
    of_the_run(registry, report)
    return registry


def of_the_store(registry: CollectorRegistry, found: dict[str, Any]) -> None:
    """How everything stands."""
    success = found["last_success"]
    moment(registry, "last_success", "When a run last went to its end", success and success["finished_at"])
    moment(registry, "oldest_look", "When the person looked at longest ago was looked at", found["looks"]["oldest_at"])
    moment(registry, "last_sweep", "When everybody was last looked at", found["sweep"]["last_at"])
    moment(registry, "last_maintenance", "When the store was last copied", found["maintenance"]["last_at"])
    zero = dict.fromkeys((*map(str, Status), "undecided", "not_linked"), 0)
    by_label(registry, "persons", "Persons by status", "status", zero | found["persons"])
    held = dict.fromkeys(map(str, HoldKind), 0)
    for one in found["holds"]:
        held[one["kind"]] += one["persons"]
    by_label(registry, "held_persons", "Persons a guard keeps back, by kind", "kind", held)
    absent = dict.fromkeys(map(str, Absence), 0) | {one["kind"]: one["persons"] for one in found["not_there"]}
    by_label(registry, "not_there_persons", "Persons that wait, as they are not there as agreed", "kind", absent)
    number(registry, "due_persons", "Persons that wait to be synced", found["due"]["persons"])
    number(registry, "never_looked_at_persons", "Persons never looked at in Advoware", found["looks"]["never"])
    number(registry, "open_conflicts", "Values that lost and nobody saw", found["open_conflicts"])
    skipped = {job: one["times"] for job, one in found["skipped_runs"].items()}
    by_label(registry, "skipped_runs", "Runs that did not take place at their time", "job", skipped)
    for side, seconds in found["promise"].items():
        number(registry, f"promise_{side}", "Within which time an edit there arrives, at worst", seconds)


def of_the_run(registry: CollectorRegistry, report: RunReport) -> None:
    """What the last run did and what it cost."""
    begun, ended = (time_of(at).timestamp() if at else 0.0 for at in (report.started_at, report.finished_at))
    moment(registry, "last_run", "When the last run began", report.started_at)
    number(registry, "last_run_duration_seconds", "How long the last run took", max(0.0, ended - begun))
    by_label(registry, "last_run_outcome", "How the last run ended", "outcome", {str(report.outcome): 1})
    number(registry, "last_run_conflicts", "Values that lost in the last run", report.conflicts)
    by_label(registry, "last_run_variants", "Entries the last run wrote, by variant", "variant", report.variants)
    persons = {name: getattr(report.persons, name) for name in ("seen", "changed", "failed", "held", "waiting")}
    by_label(registry, "last_run_persons", "Persons of the last run, by what became of them", "part", persons)
    drift = asdict(report.drift)
    by_label(registry, "last_run_drifted_persons", "Persons a look found changed, by system", "system", drift)
    calls = Gauge(
        f"{PREFIX}last_run_calls", "Requests of the last run", ("system", "method"), registry=registry
    )
    for system, counts in (("espocrm", report.calls.espocrm), ("advoware", report.calls.advoware)):
        for method, count in counts.items():
            calls.labels(system, method).set(count)


def number(registry: CollectorRegistry, name: str, about: str, value: float) -> None:
    """One figure."""
    Gauge(f"{PREFIX}{name}", about, registry=registry).set(value)


def moment(registry: CollectorRegistry, what: str, about: str, at: str | None) -> None:
    """A time in seconds since 1970; 0 for never."""
    number(registry, f"{what}_timestamp_seconds", about, time_of(at).timestamp() if at else 0.0)


def by_label(registry: CollectorRegistry, name: str, about: str, label: str, values: dict[str, int]) -> None:
    """A figure for each value of a label."""
    gauge = Gauge(f"{PREFIX}{name}", about, (label,), registry=registry)
    for value, count in values.items():
        gauge.labels(value).set(count)

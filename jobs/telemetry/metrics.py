"""The figures of ``status`` and of the last run as a Prometheus text file (``report.metrics_file``)."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Gauge, Info, write_to_textfile

from etl.enums import Absence, HoldKind, PersonStatus
from etl.times import parse_utc
from jobs.promise import EDITED_SYSTEMS

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.run.report import RunReport

PREFIX = "advosync_"


def write_metrics_file(path: Path, status: dict[str, Any], report: RunReport) -> None:
    """Replace the file as a whole: a reader sees the old figures or the new ones. ``OSError`` when it cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), build_registry(status, report))


def build_registry(status: dict[str, Any], report: RunReport) -> CollectorRegistry:
    """Every figure; ``status`` is what ``status`` tells."""
    registry = CollectorRegistry()
    build_info = {"version": version("advosync"), "instance_id": status["instance"]["id"] or ""}
    Info(f"{PREFIX}build", "Which advosync this is", registry=registry).info(build_info)
    add_store_metrics(registry, status)
    add_run_metrics(registry, report)
    return registry


def add_store_metrics(registry: CollectorRegistry, status: dict[str, Any]) -> None:
    """How everything stands."""
    success = status["last_success"]
    set_gauge_to_time(registry, "last_success", "When a run last went to its end", success and success["finished_at"])
    set_gauge_to_time(
        registry, "oldest_look", "When the person looked at longest ago was looked at", status["looks"]["oldest_at"]
    )
    set_gauge_to_time(registry, "last_sweep", "When everybody was last looked at", status["sweep"]["last_at"])
    set_gauge_to_time(registry, "last_maintenance", "When the store was last copied", status["maintenance"]["last_at"])
    zero = dict.fromkeys((*map(str, PersonStatus), "undecided", "held", "not_linked"), 0)
    set_gauge_by_label(registry, "persons", "Persons by status", "status", zero | status["persons"])
    held_by_kind = dict.fromkeys(map(str, HoldKind), 0)
    for hold in status["holds"]:
        held_by_kind[hold["kind"]] += hold["persons"]
    set_gauge_by_label(registry, "held_persons", "Persons a guard keeps back, by kind", "kind", held_by_kind)
    absent_by_kind = dict.fromkeys(map(str, Absence), 0) | {
        absence["kind"]: absence["persons"] for absence in status["not_there"]
    }
    set_gauge_by_label(
        registry, "not_there_persons", "Persons that wait, as they are not there as agreed", "kind", absent_by_kind
    )
    set_gauge(registry, "due_persons", "Persons that wait to be synced", status["due"]["persons"])
    set_gauge(registry, "never_looked_at_persons", "Persons never looked at in Advoware", status["looks"]["never"])
    set_gauge(registry, "open_conflicts", "Values that lost and nobody saw", status["open_conflicts"])
    skipped = {job: skip["times"] for job, skip in status["skipped_runs"].items()}
    set_gauge_by_label(registry, "skipped_runs", "Runs that did not take place at their time", "job", skipped)
    for side, seconds in status["promise"].items():
        set_gauge(registry, f"promise_{side}", "Within which time an edit there arrives, at worst", seconds)
    for edits, system in EDITED_SYSTEMS.items():
        times, name = status["measured"][edits], f"measured_{edits}"
        set_gauge(registry, f"{name}_count", f"Edits in {system} that arrived in the last days", times["edits"])
        for part, share in (("median", "half"), ("p95", "95 of 100")):
            if times["edits"]:
                set_gauge(
                    registry, f"{name}_{part}_seconds", f"Within which time {share} did", times[f"{part}_seconds"]
                )


def add_run_metrics(registry: CollectorRegistry, report: RunReport) -> None:
    """What the last run did and what it cost."""
    started, ended = (
        parse_utc(text).timestamp() if text else 0.0 for text in (report.started_at, report.finished_at)
    )
    set_gauge_to_time(registry, "last_run", "When the last run began", report.started_at)
    set_gauge(registry, "last_run_duration_seconds", "How long the last run took", max(0.0, ended - started))
    set_gauge_by_label(registry, "last_run_outcome", "How the last run ended", "outcome", {str(report.outcome): 1})
    set_gauge(registry, "last_run_conflicts", "Values that lost in the last run", report.conflicts)
    set_gauge_by_label(
        registry, "last_run_variants", "Entries the last run wrote, by variant", "variant", report.variants
    )
    persons = {name: getattr(report.persons, name) for name in ("seen", "changed", "failed", "held", "waiting")}
    set_gauge_by_label(registry, "last_run_persons", "Persons of the last run, by what became of them", "part", persons)
    drift = asdict(report.drift)
    set_gauge_by_label(registry, "last_run_drifted_persons", "Persons a look found changed, by system", "system", drift)
    calls = Gauge(
        f"{PREFIX}last_run_calls", "Requests of the last run", ("system", "method"), registry=registry
    )
    for system, counts in (("espocrm", report.calls.espocrm), ("advoware", report.calls.advoware)):
        for method, count in counts.items():
            calls.labels(system, method).set(count)


def set_gauge(registry: CollectorRegistry, name: str, description: str, value: float) -> None:
    """One figure."""
    Gauge(f"{PREFIX}{name}", description, registry=registry).set(value)


def set_gauge_to_time(registry: CollectorRegistry, name: str, description: str, text: str | None) -> None:
    """A time in seconds since 1970; 0 for never."""
    set_gauge(registry, f"{name}_timestamp_seconds", description, parse_utc(text).timestamp() if text else 0.0)


def set_gauge_by_label(
    registry: CollectorRegistry, name: str, description: str, label: str, values: dict[str, int]
) -> None:
    """A figure for each value of a label."""
    gauge = Gauge(f"{PREFIX}{name}", description, (label,), registry=registry)
    for value, count in values.items():
        gauge.labels(value).set(count)

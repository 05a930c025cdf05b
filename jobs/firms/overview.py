"""What all firms came to: one table, the worst first, one JSON document, one exit code."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.times import parse_utc
from jobs.exit_codes import ExitCode
from jobs.firms.result import FirmCommand
from jobs.screen import print_rows
from jobs.times import format_age, format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from jobs.firms.result import FirmResult

WORST_FIRST = (
    ExitCode.CRASHED,
    ExitCode.USAGE,
    ExitCode.OUTAGE,
    ExitCode.FAILED_PERSONS,
    ExitCode.HELD,
    ExitCode.STOPPED,
    ExitCode.CHANGES_PLANNED,
    ExitCode.DONE,
    ExitCode.LOCKED,
)
"""Exit codes by how much they want somebody. A firm that is at it already is no failure: whoever is, will tell."""

STATUS_HEADINGS = ("firm", "state", "last success", "promise", "held", "failing", "conflicts", "why")
JSON_FIELDS = ("firm", "outcome", "exit_code", "error", "document")
OTHER_HEADINGS = ("firm", "outcome", "what")


def sort_results(command: FirmCommand, results: Sequence[FirmResult]) -> list[FirmResult]:
    """The results, the worst first; equal ones by name."""
    rank = status_rank if command is FirmCommand.STATUS else outcome_rank
    return sorted(results, key=lambda result: (*rank(result), result.firm))


def outcome_rank(result: FirmResult) -> tuple[int]:
    """The rank of an outcome by its exit code."""
    return (WORST_FIRST.index(ExitCode(result.exit_code)),)


def status_rank(result: FirmResult) -> tuple[int, str]:
    """Who cannot be asked; who is stale, the longest first; whose last run failed; who wants a decision; all others."""
    document = result.document
    if document is None:
        return 0, ""
    wants = {"stale": document["stale"], "error": last_error(document), **counts(document)}
    place = next((place for place, want in enumerate(wants.values(), 1) if want), len(wants) + 1)
    return place, last_success_at(document)


def last_success_at(document: Mapping[str, Any]) -> str:
    """When a firm's last good run ended; empty, which is before all times, where there was none."""
    return (document["last_success"] or {}).get("finished_at") or ""


def last_error(document: Mapping[str, Any]) -> str:
    """Why the last run ended early."""
    return (document.get("last_run") or {}).get("error") or ""


def counts(document: Mapping[str, Any]) -> dict[str, int]:
    """What wants somebody; a store that is not there yet has nothing of it."""
    persons = document.get("persons", {})
    return {
        "held": persons.get("held", 0),
        "failing": sum(persons.get(status, 0) for status in ("failed", "permanently_failed")),
        "conflicts": document.get("open_conflicts", 0),
    }


def overall_exit_code(command: FirmCommand, results: Sequence[FirmResult]) -> ExitCode:
    """Of ``status`` 1 where a firm is stale or cannot be asked; of all others the worst firm's."""
    if command is FirmCommand.STATUS:
        is_well = all(result.document is not None and not result.document["stale"] for result in results)
        return ExitCode.DONE if is_well else ExitCode.FAILED_PERSONS
    code = ExitCode(min(results, key=outcome_rank).exit_code)
    return ExitCode.DONE if code is ExitCode.LOCKED else code


def results_to_json(command: FirmCommand, results: Sequence[FirmResult]) -> str:
    """One document, the worst firm first."""
    firms = [{name: getattr(result, name) for name in JSON_FIELDS} for result in results]
    document = {"exit_code": overall_exit_code(command, results), "firms": firms}
    return json.dumps(document, ensure_ascii=False)


# For the eye -------------------------------------------------------------------------------------------------------


def render_results(command: FirmCommand, results: Sequence[FirmResult], console: Console) -> None:
    """Print a table with a line for each firm."""
    if command is FirmCommand.STATUS:
        print_rows(console, STATUS_HEADINGS, [status_row(result) for result in results])
    else:
        print_rows(console, OTHER_HEADINGS, [outcome_row(command, result) for result in results])


def status_row(result: FirmResult) -> tuple[str, ...]:
    """The cells of a firm's line in ``firms status``."""
    document = result.document
    if document is None:
        return result.firm, str(result.outcome), "", "", "", "", "", result.error or ""
    numbers = [str(count) if count else "" for count in counts(document).values()]
    state = "stale" if document["stale"] else "failed" if last_error(document) else "ok"
    age = format_age(last_success_at(document), parse_utc(document["now"]))
    return result.firm, state, age, promise(document), *numbers, last_error(document) or why_stale(document)


def why_stale(document: Mapping[str, Any]) -> str:
    """What is known of the runs of a firm that is stale though its last run told no error; empty for all others."""
    now, holder, run = parse_utc(document["now"]), document.get("under_way"), document.get("last_run")
    if not document["stale"]:
        return ""
    if holder is not None and parse_utc(holder["expires_at"]) >= now:  # its systems hang, or it has much to do
        duration = format_duration(now - parse_utc(holder["acquired_at"]))
        return f"its run has been under way for {duration}, in process {holder['pid']} on {holder['host']}"
    if run is None:
        return "no run yet"
    outcome = (run["outcome"] or "its process died").replace("_", " ")
    return f"no run since {format_age(run['started_at'], now)}: {outcome}"


def promise(document: Mapping[str, Any]) -> str:
    """Within which time an edit arrives, EspoCRM's before Advoware's; empty where nothing runs by itself."""
    if not document.get("runs_by_itself"):
        return ""
    sides = ("espocrm_edit_seconds", "advoware_edit_seconds")
    return ", ".join(format_duration(timedelta(seconds=document["promise"][side])) for side in sides)


def outcome_row(command: FirmCommand, result: FirmResult) -> tuple[str, str, str]:
    """The cells of a firm's line after a turn: how it ended, and its result in a few words."""
    words = str(result.outcome).replace("_", " ")
    if result.error is not None or result.document is None:
        return result.firm, words, (result.error or "").replace("\n", "; ")
    return result.firm, words, SUMMARIES[command](result.document)


def plan_summary(document: Mapping[str, Any]) -> str:
    """How much a run would write, in a few words."""
    steps = document["changes"]
    held = sum(step["held"] is not None for step in steps)
    return f"{len(steps)} steps" + (f", {held} of them would be held" if held else "") if steps else "nothing to do"


def sync_summary(document: Mapping[str, Any]) -> str:
    """How many persons took part in the run, in a few words."""
    persons = document["persons"]
    return ", ".join(f"{persons[name]} {name}" for name in ("seen", "changed", "failed", "held") if persons[name])


def check_summary(document: Mapping[str, Any]) -> str:
    """The points of ``check`` that are not ok, in a few words."""
    return "; ".join(f"{point['about']}: {point['message']}" for point in document["points"] if point["state"] == "bad")


def backup_summary(document: Mapping[str, Any]) -> str:
    """Where the copy is written."""
    return document["backup"] or "no copy wanted"


SUMMARIES: Mapping[FirmCommand, Callable[[Mapping[str, Any]], str]] = {
    FirmCommand.PLAN: plan_summary,
    FirmCommand.SYNC: sync_summary,
    FirmCommand.CHECK: check_summary,
    FirmCommand.BACKUP: backup_summary,
    FirmCommand.MAINTENANCE: backup_summary,
}
"""What of a firm's own document one line has room for."""


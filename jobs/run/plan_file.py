"""A plan as a file to read, pass round and sign: Markdown for people, JSON for programs, and for ``sync --plan``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.records import Direction, Scope
from etl.rules.variants import VARIANT_WORDS
from jobs.private_file import write_private
from jobs.run.report import (
    HOLD_TEXTS,
    SIDE_WORDS,
    PlannedChange,
    document_checksum,
    extra_reason,
    person_title,
    persons_line,
    plan_sentence,
    value_change,
    variant_text,
    variants_line,
)
from jobs.times import format_local, with_local_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import tzinfo
    from pathlib import Path

    from jobs.run.report import RunReport

TABLE_HEAD = "| found | where | step | value | reason |\n|---|---|---|---|---|"


def writer_for(path: Path, zone: tzinfo) -> Callable[[RunReport], None]:
    """What writes a plan to ``path``, by its ending; ConfigError for another one, before anything was asked."""
    writers: dict[str, Callable[[RunReport], str]] = {".md": partial(plan_markdown, zone=zone), ".json": plan_json}
    write_plan = writers.get(path.suffix.lower())
    if write_plan is None:
        raise ConfigError(f"--output {path}: a plan is written as {' or '.join(writers)}; end the name so.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--output {path}: there is no folder {path.absolute().parent}.")
    return lambda report: write_private(path, write_plan(report))


@dataclass(frozen=True)
class ReviewedPlan:
    """A plan read from its file. ``persons``: the digest of each step, by person (``etl.guard.step_digests``).

    ``held_ids``: whom a guard would have held.
    """

    run_id: int
    checksum: str
    version: str
    configuration: str
    direction: Direction
    scope: Scope
    persons: Mapping[str, tuple[str, ...]]
    held_ids: frozenset[str]


def read_reviewed_plan(path: Path) -> ReviewedPlan:
    """The plan in ``path``, just as it was written; ConfigError for a file that is none, or was edited since."""
    no_plan = f"--plan {path}: this is no plan to carry out; `advosync plan --output FILE.json` writes one."
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"--plan {path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ConfigError(no_plan) from error
    review = document.get("review") if isinstance(document, dict) else None
    if not isinstance(review, dict) or "checksum" not in review:
        raise ConfigError(no_plan)
    if review["checksum"] != document_checksum(document):
        raise ConfigError(f"--plan {path}: the file was edited since the plan was made; make a new plan.")
    return parse_reviewed_plan(document, review)


def parse_reviewed_plan(document: Mapping[str, Any], review: Mapping[str, Any]) -> ReviewedPlan:
    """The plan of a document whose checksum is right."""
    return ReviewedPlan(
        run_id=document["run_id"],
        checksum=review["checksum"],
        version=review["version"],
        configuration=review["configuration"],
        direction=Direction(document["direction"]),
        scope=Scope(review["scope"]),
        persons={entity_id: tuple(digests) for entity_id, digests in review["persons"].items()},
        held_ids=frozenset(change["entity_id"] for change in document["changes"] if change["held"]),
    )


def plan_json(report: RunReport) -> str:
    """The document of ``plan --json``, indented."""
    return json.dumps(report.to_dict(), ensure_ascii=False, indent=2) + "\n"


def plan_markdown(report: RunReport, zone: tzinfo) -> str:
    """The plan as a page: what it comes to, then each person with the steps."""
    return "\n".join(plan_lines(report, zone)) + "\n"


def plan_lines(report: RunReport, zone: tzinfo) -> Iterator[str]:
    """The page, line by line."""
    yield f"# Plan {report.run_id or ''}".rstrip()
    yield ""
    yield f"Made {format_local(report.finished_at, zone)} ({zone}), direction {report.direction}. Nothing was written."
    yield ""
    yield f"**{plan_sentence(report)}**"
    yield ""
    yield f"* {persons_line(report.persons)}"
    yield f"* {variants_line(report)}"
    yield from (f"* failed: {failure['entity_id']}: {escape_markdown(failure['error'])}" for failure in report.errors)
    notices = [with_local_times(notice, zone) for notice in [report.error, *report.notices] if notice]
    yield from (f"* {escape_markdown(notice)}" for notice in notices)
    if report.variants:
        yield "\n| found | entries |\n|---|---|"
        yield from (f"| {VARIANT_WORDS.get(name, name)} | {count} |" for name, count in report.variants.items())
    for (person, held), steps in groupby(report.changes, key=lambda change: (person_title(change), change["held"])):
        yield f"\n## {escape_markdown(person)}\n"
        yield from [f"**Held, not written:** {HOLD_TEXTS[held]}.\n"] if held else []
        yield TABLE_HEAD
        yield from map(step_row, steps)


def step_row(step: PlannedChange) -> str:
    """One step as a row of a table."""
    side = SIDE_WORDS.get(step["side"], step["side"])
    value = value_change(step["old_value"], step["new_value"])
    cells = variant_text(step), side, step["action"], escape_markdown(value), escape_markdown(extra_reason(step))
    return f"| {' | '.join(cells)} |"


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is: people write anything into remarks."""
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())

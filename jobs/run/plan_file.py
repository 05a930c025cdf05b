"""A plan as a file to read, pass round and sign: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.rules.variants import VARIANT_WORDS
from jobs.private_file import write_private
from jobs.run.report import (
    HOLD_TEXTS,
    SIDE_WORDS,
    PlannedChange,
    extra_reason,
    person_title,
    persons_line,
    plan_sentence,
    value_change,
    variant_text,
    variants_line,
)
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    yield from (f"* {escape_markdown(notice)}" for notice in [report.error, *report.notices] if notice)
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

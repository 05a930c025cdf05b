"""A plan as a file to read, pass round and sign: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from jobs.private_file import write_private
from jobs.report import (
    SIDE_WORDS,
    VARIANT_WORDS,
    Change,
    beyond,
    found,
    named,
    persons_line,
    value_change,
    variants_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jobs.report import RunReport

HEAD = "| found | where | step | value | reason |\n|---|---|---|---|---|"


def writer_for(path: Path) -> Callable[[RunReport], None]:
    """What writes a plan to ``path``, by its ending; ConfigError for another one, before anything was asked."""
    makers = {".md": markdown, ".json": as_json}
    maker = makers.get(path.suffix.lower())
    if maker is None:
        raise ConfigError(f"--output {path}: a plan is written as {' or '.join(makers)}; end the name so.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--output {path}: there is no folder {path.absolute().parent}.")
    return lambda report: write_private(path, maker(report))


def as_json(report: RunReport) -> str:
    """The document of ``plan --json``, indented."""
    return json.dumps(report.to_dict(), ensure_ascii=False, indent=2) + "\n"


def markdown(report: RunReport) -> str:
    """The plan as a page: what it comes to, then each person with the steps."""
    return "\n".join(lines(report)) + "\n"


def lines(report: RunReport) -> Iterator[str]:
    """The page, line by line."""
    yield f"# Plan {report.run_id or ''}".rstrip()
    yield ""
    yield f"Made {report.finished_at} UTC, direction {report.direction}. Nothing was written."
    yield ""
    yield f"* {persons_line(report.persons)}"
    yield f"* {variants_line(report)}"
    yield from (f"* failed: {one['entity_id']}: {plain(one['error'])}" for one in report.errors)
    yield from (f"* {plain(notice)}" for notice in [report.error, *report.notices] if notice)
    if report.variants:
        yield "\n| found | entries |\n|---|---|"
        yield from (f"| {VARIANT_WORDS.get(name, name)} | {count} |" for name, count in report.variants.items())
    for who, steps in groupby(report.changes, key=named):
        yield f"\n## {plain(who)}\n\n{HEAD}"
        yield from map(row, steps)
    if not report.changes:
        yield "\nBoth sides agree; there is nothing to do."


def row(step: Change) -> str:
    """One step as a row of a table."""
    side = SIDE_WORDS.get(step["side"], step["side"])
    value = value_change(step["old_value"], step["new_value"])
    return f"| {found(step)} | {side} | {step['action']} | {plain(value)} | {plain(beyond(step))} |"


def plain(text: str) -> str:
    """Text that Markdown shows as it is: people write anything into remarks."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())

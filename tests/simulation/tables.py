"""The ledger as Markdown: what ``tests/README.md`` shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.simulation.ledger import ResultLine, ResultLog

HOUR = 3600


def markdown_report(log: ResultLog) -> str:
    """Everything the ledger knows, as Markdown."""
    lines = list(log.latest_lines().values())
    parts = [
        totals(lines, log.fixed_failures()),
        fault_table([line for line in lines if line.kind == "trial"]),
        mutation_table([line for line in lines if line.kind == "mutation"]),
        provenance(lines),
    ]
    return "\n\n".join(part for part in parts if part)


def replace_section(text: str, figures: str, name: str = "figures") -> str:
    """The README with these figures between the two marks of this name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{figures}\n\n{end}{after}"


def totals(lines: Sequence[ResultLine], fixed_failures: Sequence[ResultLine]) -> str:
    """How much was lived, and how much of it was bad."""
    worlds = [line for line in lines if line.kind == "history"]
    kill_lines = [line for line in lines if line.kind == "kills"]
    rows: list[tuple[object, ...]] = []
    if worlds:
        sizes = " or ".join(str(size) for size in sorted({line.persons for line in worlds}))
        label = f"person-histories, in {len(worlds):,} worlds of {sizes} persons"
        rows.append(
            (
                label,
                f"{total_done(worlds):,}",
                total_bad(worlds),
                total_bad([line for line in fixed_failures if line.kind == "history"]),
            )
        )
    if kill_lines:
        world_count = len({(line.seed, line.persons) for line in kill_lines})
        label = f"kill points, every one of the first sync and of a later run in {world_count} small worlds"
        rows.append(
            (
                label,
                f"{total_done(kill_lines):,}",
                total_bad(kill_lines),
                total_bad([line for line in fixed_failures if line.kind == "kills"]),
            )
        )
    trials = [line for line in lines if line.kind == "trial"]
    if trials:
        fixed_count = total_bad([line for line in fixed_failures if line.kind == "trial"])
        rows.append(("trials of one fault each, below", f"{total_done(trials):,}", total_bad(trials), fixed_count))
    if worlds and len(rows) > 1:
        persons = total_done(worlds) + sum(line.done * line.persons for line in trials + kill_lines)
        label = "person-histories in all: those, and each person of each kill point and of each trial"
        rows.append((label, f"{persons:,}", total_bad(worlds + kill_lines + trials), total_bad(list(fixed_failures))))
    return markdown_table(("lived", "how many", "bad", "bad before a repair"), rows)


def fault_table(trials: Sequence[ResultLine]) -> str:
    """Bad trials of how many, fault by fault."""
    names = list(dict.fromkeys(line.name for line in trials))
    rows = [(name, *(cell_text(cell_lines(trials, name, later=later)) for later in (False, True))) for name in names]
    return markdown_table(("fault", "first sync", "later run"), rows)


def cell_lines(trials: Iterable[ResultLine], name: str, *, later: bool) -> list[ResultLine]:
    """The trials of one cell."""
    return [line for line in trials if (line.name, line.later) == (name, later)]


def cell_text(trials: Sequence[ResultLine]) -> str:
    """Bad trials of those in which the fault struck."""
    return f"{total_bad(trials)} of {total_done(trials)}" if total_done(trials) else ""


def mutation_table(lines: Sequence[ResultLine]) -> str:
    """Each broken protection with the invariant that saw it."""
    seeds = [f"{line.done:,}" if line.done else "a case by name" for line in lines]
    rules = ["**by nothing**" if line.bad else line.told for line in lines]
    rows = [(line.name, *cells) for line, *cells in zip(lines, rules, seeds, strict=True)]
    return markdown_table(("protection taken away", "seen by", "after so many seeds"), rows)


def provenance(lines: Sequence[ResultLine]) -> str:
    """Of which commits, on what machine, in how many hours."""
    commits = Counter(line.commit for line in lines)
    machines = ", ".join(sorted({line.machine for line in lines}))
    hours = sum(line.seconds for line in lines) / HOUR
    commit_list = ", ".join(f"{commit} ({count:,})" for commit, count in commits.most_common())
    return (
        f"{hours:.1f} hours of one core each on {machines}; commits (tasks): {commit_list}."
        if lines
        else "Nothing yet."
    )


def markdown_table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """A Markdown table, nothing without rows."""
    if not rows:
        return ""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(str(value) for value in line) + " |" for line in lines)


def total_done(lines: Iterable[ResultLine]) -> int:
    """How many persons, trials, points or seeds."""
    return sum(line.done for line in lines)


def total_bad(lines: Iterable[ResultLine]) -> int:
    """How many of them were bad."""
    return sum(line.bad for line in lines)

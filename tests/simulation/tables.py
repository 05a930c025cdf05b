"""The ledger as Markdown: what ``tests/README.md`` shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.simulation.ledger import Ledger, Line

HOUR = 3600


def tables(ledger: Ledger) -> str:
    """Everything the ledger knows, as Markdown."""
    lines = list(ledger.lived().values())
    parts = [
        totals(lines, ledger.mended()),
        faults([line for line in lines if line.kind == "trial"]),
        mutations([line for line in lines if line.kind == "mutation"]),
        where(lines),
    ]
    return "\n\n".join(part for part in parts if part)


def written_into(text: str, figures: str, name: str = "figures") -> str:
    """The README with these figures between the two marks of this name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{figures}\n\n{end}{after}"


def totals(lines: Sequence[Line], mended: Sequence[Line]) -> str:
    """How much was lived, and how much of it was bad."""
    worlds = [line for line in lines if line.kind == "history"]
    killed = [line for line in lines if line.kind == "kills"]
    rows: list[tuple[object, ...]] = []
    if worlds:
        sizes = " or ".join(str(size) for size in sorted({one.persons for one in worlds}))
        what = f"person-histories, in {len(worlds):,} worlds of {sizes} persons"
        rows.append((what, f"{done(worlds):,}", bad(worlds), bad([one for one in mended if one.kind == "history"])))
    if killed:
        of = len({(one.seed, one.persons) for one in killed})
        what = f"kill points, every one of the first sync and of a later run in {of} small worlds"
        rows.append((what, f"{done(killed):,}", bad(killed), bad([one for one in mended if one.kind == "kills"])))
    trials = [line for line in lines if line.kind == "trial"]
    if trials:
        fixed = bad([one for one in mended if one.kind == "trial"])
        rows.append(("trials of one fault each, below", f"{done(trials):,}", bad(trials), fixed))
    if worlds and len(rows) > 1:
        persons = done(worlds) + sum(one.done * one.persons for one in trials + killed)
        what = "person-histories in all: those, and each person of each kill point and of each trial"
        rows.append((what, f"{persons:,}", bad(worlds + killed + trials), bad(list(mended))))
    return table(("lived", "how many", "bad", "bad before a repair"), rows)


def faults(trials: Sequence[Line]) -> str:
    """Bad trials of how many, fault by fault."""
    names = list(dict.fromkeys(line.name for line in trials))
    rows = [(name, *(cell(of(trials, name, later=later)) for later in (False, True))) for name in names]
    return table(("fault", "first sync", "later run"), rows)


def of(trials: Iterable[Line], name: str, *, later: bool) -> list[Line]:
    """The trials of one cell."""
    return [line for line in trials if (line.name, line.later) == (name, later)]


def cell(trials: Sequence[Line]) -> str:
    """Bad trials of those in which the fault struck."""
    return f"{bad(trials)} of {done(trials)}" if done(trials) else ""


def mutations(lines: Sequence[Line]) -> str:
    """Each broken protection with the invariant that saw it."""
    seeds = [f"{line.done:,}" if line.done else "a case by name" for line in lines]
    told = ["**by nothing**" if line.bad else line.told for line in lines]
    rows = [(line.name, *shown) for line, *shown in zip(lines, told, seeds, strict=True)]
    return table(("protection taken away", "seen by", "after so many seeds"), rows)


def where(lines: Sequence[Line]) -> str:
    """Of which commits, on what machine, in how many hours."""
    commits = Counter(line.commit for line in lines)
    machines = ", ".join(sorted({line.machine for line in lines}))
    hours = sum(line.seconds for line in lines) / HOUR
    told = ", ".join(f"{commit} ({count:,})" for commit, count in commits.most_common())
    return f"{hours:.1f} hours of one core each on {machines}; commits (tasks): {told}." if lines else "Nothing yet."


def table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """A Markdown table, nothing without rows."""
    if not rows:
        return ""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(str(one) for one in line) + " |" for line in lines)


def done(lines: Iterable[Line]) -> int:
    """How many persons, trials, points or seeds."""
    return sum(line.done for line in lines)


def bad(lines: Iterable[Line]) -> int:
    """How many of them were bad."""
    return sum(line.bad for line in lines)

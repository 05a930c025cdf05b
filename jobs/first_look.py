"""``check --data``: what a first sync of this firm will meet, found out by planning everybody on a scratch copy.

Both systems are only read, one GET a side for each linked record; the state store is not touched, and nothing stays.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etl.records import Side
from etl.renewal import pairs_that_end
from etl.rules.doubts import Doubt
from etl.rules.unclear import advice
from etl.rules.variants import Variant
from etl.store.database import Store, copy_store
from etl.store.first_look import first_look
from etl.store.standing import SWEEP_AFTER
from jobs.options import Options, Order
from jobs.pipeline import stages
from jobs.report import PLAN, VARIANT_WORDS
from jobs.world import REAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from etl.rules.plan import Plan
    from jobs.config import Config
    from jobs.world import World

EVERYBODY: Final = Options(trigger=PLAN, sweep=True, write=False)
EXAMPLES: Final = 3

NO_CHANGE: Final = {Variant.SAME, Variant.LEAVE}


@dataclass(frozen=True, slots=True)
class Point:
    """One kind of thing to know before: its name, what it means, how many there are, and each of them in words."""

    name: str
    about: str
    found: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.found)


@dataclass(frozen=True, slots=True)
class FirstLook:
    """The report: figures by name, variants of the first sync, writes by side, and what to know or put right before."""

    figures: dict[str, int]
    variants: dict[str, int]
    writes: dict[str, int]
    points: tuple[Point, ...]

    def to_json(self) -> str:
        """One document."""
        points = [{**asdict(point), "count": point.count} for point in self.points]
        return json.dumps({**asdict(self), "points": points}, ensure_ascii=False)


@dataclass
class Seen:
    """What planning everybody came to."""

    variants: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    duplicates: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    recoveries: list[str] = field(default_factory=list)
    new_rows: list[tuple[int, int, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    parted: list[str] = field(default_factory=list)


def look(config: Config, *, world: World = REAL) -> FirstLook:
    """Plan everybody and count; raises what ended the look early (an outage, a refused login)."""
    with tempfile.TemporaryDirectory(prefix="advosync-data-") as folder:
        copy = Path(folder) / "state.db"
        if config.state.path.exists():
            copy_store(config.state.path, copy)
        with Store.open(copy, now=world.now(), durable=False) as scratch:
            parted = pairs_that_end(scratch, config.sync.region)
            seen = planned(Order(config, EVERYBODY, world, scratch))
            seen.parted += [
                f"{one['entity_id']} / {one['betnr']}: {one['espo_value']} (espo), {one['advo_value']} (advo)"
                for one in parted
            ]
            return counted(first_look(scratch), seen)


def planned(order: Order) -> Seen:
    """Sweep the scratch copy to its end, chunk by chunk, without writing."""
    seen = Seen()
    order.store.set_setting(SWEEP_AFTER, None)
    while True:
        done = stages(order)
        if done.error is not None:
            raise done.error
        notice(seen, done.plans)
        if done.run is not None:
            seen.left_out += sorted(done.run.tally.waiting - set(done.run.looks) - set(done.run.absent))
            seen.failed += [f"{entity_id}: {why}" for entity_id, why in sorted(done.run.tally.failed.items())]
        if order.store.setting(SWEEP_AFTER) is None:
            return seen


def notice(seen: Seen, plans: Plan) -> None:
    """Take the plans of a chunk into account."""
    for plan in plans.values():
        who = f"{plan.entity_id} / {plan.betnr}"
        if plan.recovery:
            seen.recoveries.append(who)
        lists = {"duplicate": seen.duplicates, "unsyncable": seen.refused}
        for left in plan.left:
            lists.get(left.reason, []).append(f"{who}: {left.value} ({left.detail})")
        for one in plan.decisions:
            if one.steps:
                seen.variants[one.variant] += 1
                seen.writes.update({Side.ADVO: sum(step.side is Side.ADVO for step in one.steps)})
            if one.variant is Variant.VAR4 and one.steps and one.entry.row is not None:
                seen.new_rows.append((plan.betnr, one.entry.row.komm_id, f"{who}: {one.entry.row.value}"))
        seen.writes.update({Side.ESPO: bool(plan.arrays)})


def counted(rows: dict[str, list[dict[str, Any]]], seen: Seen) -> FirstLook:
    """The report of what was seen."""
    untold = {(row["betnr"], row["komm_id"]) for row in rows["komm_kz_untold"]}
    order = [variant for variant in Variant if variant not in NO_CHANGE and seen.variants[variant]]
    return FirstLook(
        figures={**rows["records"][0], **rows["entries"][0]},
        variants={str(variant): seen.variants[variant] for variant in order},
        writes={"espocrm": seen.writes[Side.ESPO], "advoware": seen.writes[Side.ADVO]},
        points=tuple(points(rows, seen, untold)),
    )


def points(rows: dict[str, list[dict[str, Any]]], seen: Seen, untold: set[tuple[int, int]]) -> Iterator[Point]:
    """What somebody should know or put right before, the weightiest first."""
    yield Point(
        "shared betnr",
        "two records with one betnr: neither is synced; take it out of one",
        tuple(f"{row['betnr']}: {row['entity_ids']}" for row in rows["shared_betnr"]),
    )
    yield Point(
        "not in Advoware",
        "the betnr does not exist there: shown as deleted_in_advoware, entries stay; correct the betnr",
        named(rows["not_in_advoware"]),
    )
    yield Point(
        "left out",
        "saved only just now (or at work in another sync), so maybe half written: not looked at; ask again in a moment",
        tuple(seen.left_out),
    )
    yield Point("unreadable", "could not be read, and would fail", tuple(seen.failed))
    yield Point(
        "synced before",
        "carry a kommunikationHash we did not write: every removal and overwriting of theirs waits for `approve`",
        tuple(seen.recoveries),
    )
    yield Point(
        "parted",
        "an earlier version took two values for one; now each is left alone: correct or delete the wrong one",
        tuple(seen.parted),
    )
    yield from unclear_points(rows["unclear"])
    yield Point(
        "free text",
        "text without a number in a phone field: kept as it is, compared as text, never made a number",
        tuple(f"{row['entity_id']} / {row['betnr']}: {row['value']} ({row['side']})" for row in rows["free_text"]),
    )
    yield Point(
        "refused",
        "one of the systems cannot hold it: it stays on its side, named in left_alone",
        tuple(seen.refused),
    )
    yield Point("duplicates", "a person has it twice: the second is left alone", tuple(seen.duplicates))
    yield Point(
        "guessed kommKz",
        "new in EspoCRM, and nothing tells the kind: mobile numbers become Mobile, others Office",
        tuple(told for betnr, komm_id, told in seen.new_rows if (betnr, komm_id) in untold and "@" not in told),
    )


def unclear_points(rows: Iterable[dict[str, Any]]) -> Iterator[Point]:
    """What nobody can read with certainty, by why, the most frequent first: left alone until it is written clearly."""
    values: dict[Doubt, list[str]] = {}
    for row in rows:
        told = f"{row['entity_id']} / {row['betnr']}: {row['value']} ({row['side']})"
        values.setdefault(Doubt(row["doubt"]), []).append(told)
    for doubt, examples in sorted(values.items(), key=lambda pair: -len(pair[1])):
        yield Point(f"unclear ({doubt})", advice(doubt), tuple(examples))


def named(rows: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Persons in words."""
    return tuple(f"{row['entity_id']} / {row['betnr']}: {row['name']}" for row in rows)


def render(seen: FirstLook, console: Console) -> None:
    """The report on the screen, with a few examples of each point."""
    from rich.table import Table  # noqa: PLC0415  not for --json
    from rich.text import Text  # noqa: PLC0415  likewise

    console.print(Text("What is there", style="bold"))
    for line in standing(seen.figures):
        console.print(Text(f"  {line}"))
    console.print(Text("\nWhat a first sync would do", style="bold"))
    table = Table.grid(padding=(0, 2))
    for name, count in seen.variants.items():
        table.add_row(Text(f"  {count}"), Text(name), Text(VARIANT_WORDS.get(name, name)))
    console.print(table)
    advoware, espocrm = seen.writes["advoware"], seen.writes["espocrm"]
    console.print(Text(f"  {advoware} writes to Advoware, {espocrm} records written in EspoCRM"))
    console.print(Text("\nWhat to know, or put right before", style="bold"))
    for point in seen.points:
        style = "yellow" if point.count else "green"
        console.print(Text.assemble((f"  {point.count:>5} ", style), point.name, f": {point.about}"))
        for told in point.found[:EXAMPLES]:
            console.print(Text(f"          {told}", style="dim"))
        if point.count > EXAMPLES:
            console.print(Text(f"          and {point.count - EXAMPLES} more; --json lists all", style="dim"))


def standing(figures: dict[str, int]) -> Iterator[str]:
    """What is there, a line each."""
    yield f"{figures['records']} records in EspoCRM, {figures['linked']} of them linked by a betnr"
    yield f"{figures['items']} phones and mails in EspoCRM, {figures['rows']} Kommunikationen in Advoware"
    yield f"{figures['not_relevant']} more in Advoware that are none of ours (Internet, beA, …)"
    yield f"{figures['marked']} markers and {figures['slots']} slots of an earlier sync"

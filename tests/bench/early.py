"""How early an edit in Advoware is seen, which tells nobody of changes, against round-robin with as many looks.

The real selection of whom to look at, on virtual time and without a request.

Two firms. In one, how often a person is edited falls with its rank (Zipf). In the other 3 % of the persons stand in a
running case of sixty days, one after the other, and take four of five edits. Half of all edits are made in EspoCRM:
these persons are due, and looked at in any case; that they changed is a hint, as it is in a real run.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from etl.store.database import Store
from etl.store.due import persons_to_poll
from tests.bench.results import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.__main__ import Asked

PERSONS, BUDGET, EDITS_A_DAY = 20_000, 500, 400
RUN, DAY = 15 * 60, 86_400
WARM_DAYS, DAYS = 20, 40
IN_A_CASE, OF_THEM, CASE_DAYS = 0.03, 0.8, 60
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
SOONER, WORST = 0.5, 2.0


class Edit(NamedTuple):
    """When (seconds) somebody edited which person, and where."""

    at: float
    person: int
    in_espocrm: bool


class Delays(NamedTuple):
    """Hours until an edit was seen."""

    median: float
    worst: float


def by_rank(random: Random) -> Iterator[int]:
    """Whom each edit is about, in a firm where the second is edited half as often as the first."""
    persons = random.sample(range(PERSONS), PERSONS)
    weights = list(accumulate(1 / rank for rank in range(1, PERSONS + 1)))
    while True:
        yield from random.choices(persons, cum_weights=weights, k=1000)


def by_case(random: Random) -> Iterator[int]:
    """Likewise, in a firm whose cases come and go: the persons of the running ones lie side by side."""
    persons, at_once = random.sample(range(PERSONS), PERSONS), round(PERSONS * IN_A_CASE)
    moved, first = at_once / CASE_DAYS / EDITS_A_DAY, 0.0
    while True:
        first += moved
        place = int(first + random.random() * at_once) if random.random() < OF_THEM else random.randrange(PERSONS)
        yield persons[place % PERSONS]


def edits(who: Callable[[Random], Iterator[int]], seed: int) -> list[Edit]:
    """All edits of a firm, in their order."""
    random = Random(seed)  # noqa: S311 - people, no secret
    moments = sorted(random.uniform(0, DAYS * DAY) for _ in range(DAYS * EDITS_A_DAY))
    return [Edit(at, person, random.random() < 0.5) for at, person in zip(moments, who(random), strict=False)]


class RoundRobin:
    """Everybody in turn."""

    def __init__(self) -> None:
        self.looks = dict.fromkeys(range(PERSONS))

    def chosen(self, _: float, due: set[int]) -> list[int]:
        waiting = (person for person in self.looks if person not in due)
        return [person for person, _ in zip(waiting, range(BUDGET), strict=False)]

    def looked(self, _now: float, seen: list[int], _espocrm: set[int], _advoware: set[int]) -> None:
        for person in seen:
            del self.looks[person]
            self.looks[person] = None


class Ours:
    """What a run selects, out of a store that learns what a run would store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        store.conn.executemany(
            "insert into persons (entity_id, betnr, status, advo_seen_at) values (?, ?, 'clean', ?)",
            [(f"{one:017x}", one, told(one * RUN / BUDGET - PERSONS * RUN / BUDGET)) for one in range(PERSONS)],
        )

    def chosen(self, now: float, due: set[int]) -> list[int]:
        excluding = [f"{one:017x}" for one in sorted(due)]
        return [one["betnr"] for one in persons_to_poll(self.store, told(now), BUDGET, excluding)]

    def looked(self, now: float, seen: list[int], espocrm: set[int], advoware: set[int]) -> None:
        """So many were seen, those two sets having changed on either side."""
        columns = {"advo_seen_at": seen, "espo_changed_at": espocrm, "advo_changed_at": advoware}
        for column, persons in columns.items():
            self.store.conn.executemany(
                f"update persons set {column} = ? where betnr = ?", [(told(now), one) for one in persons]
            )


def told(seconds: float) -> str:
    """A moment as the store writes it."""
    return (BEGINNING + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def delays(happened: list[Edit], looking: RoundRobin | Ours) -> Delays:
    """Let the runs go by; edits count once the firm is known."""
    unseen: dict[int, list[float]] = {}
    waited: list[float] = []
    upcoming = iter(happened)
    edit = next(upcoming, None)
    for now in range(RUN, DAYS * DAY + 1, RUN):
        due = set()
        while edit is not None and edit.at <= now:
            if edit.in_espocrm:
                due.add(edit.person)
            else:
                unseen.setdefault(edit.person, []).append(edit.at)
            edit = next(upcoming, None)
        seen = [*due, *looking.chosen(now, due)]
        found = {person for person in seen if person in unseen}
        waited += [now - at for person in found for at in unseen.pop(person) if at > WARM_DAYS * DAY]
        looking.looked(now, seen, due, found)
    return Delays(median(waited) / 3600, max(waited) / 3600)


def contest(who: Callable[[Random], Iterator[int]], seed: int) -> tuple[Delays, Delays]:
    """Ours and round-robin on the same edits."""
    happened = edits(who, seed)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "state.db", now=told(0), durable=False)
        ours = delays(happened, Ours(store))
        store.close()
    return ours, delays(happened, RoundRobin())


def measured(asked: Asked) -> list[Line]:
    """Both firms, both ways; medians over as many firms of each kind as there are to be runs."""
    lines = []
    for firm, who in (("edits by rank (Zipf)", by_rank), ("edits mostly in running cases", by_case)):
        contests = [contest(who, seed) for seed in range(1, asked.runs + 1)]
        for what, bound in (("median", SOONER), ("worst", WORST)):
            pairs = [(getattr(ours, what), getattr(plain, what)) for ours, plain in contests]
            share = median(mine / its for mine, its in pairs)
            mine, its = (median(side) for side in zip(*pairs, strict=True))
            lines.append(
                Line(
                    f"{what} delay of an Advoware edit ÷ round-robin, {PERSONS:,} persons, {firm}",
                    f"{mine:.1f} h ÷ {its:.1f} h = {share:.2f}",
                    f"≤ {bound:g}",
                    share <= bound,
                )
            )
    return lines

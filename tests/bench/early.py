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
from etl.store.tables.queue import persons_to_poll
from tests.bench.results import BenchLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.__main__ import BenchOptions

PERSONS, BUDGET, EDITS_A_DAY = 20_000, 500, 400
RUN_SECONDS, DAY = 15 * 60, 86_400
WARM_DAYS, DAYS = 20, 40
CASE_SHARE, CASE_EDIT_SHARE, CASE_DAYS = 0.03, 0.8, 60
START = datetime(2026, 1, 1, tzinfo=UTC)
MAX_MEDIAN_RATIO, MAX_WORST_RATIO = 0.5, 2.0


class Edit(NamedTuple):
    """When (seconds) somebody edited which person, and where."""

    at: float
    person: int
    in_espocrm: bool


class Delays(NamedTuple):
    """Hours until an edit was seen."""

    median: float
    worst: float


def by_rank(rng: Random) -> Iterator[int]:
    """Whom each edit is about, in a firm where the second is edited half as often as the first."""
    persons = rng.sample(range(PERSONS), PERSONS)
    weights = list(accumulate(1 / rank for rank in range(1, PERSONS + 1)))
    while True:
        yield from rng.choices(persons, cum_weights=weights, k=1000)


def by_case(rng: Random) -> Iterator[int]:
    """Likewise, in a firm whose cases come and go: the persons of the running ones lie side by side."""
    persons, open_cases = rng.sample(range(PERSONS), PERSONS), round(PERSONS * CASE_SHARE)
    shift, first = open_cases / CASE_DAYS / EDITS_A_DAY, 0.0
    while True:
        first += shift
        place = int(first + rng.random() * open_cases) if rng.random() < CASE_EDIT_SHARE else rng.randrange(PERSONS)
        yield persons[place % PERSONS]


def draw_edits(choose_persons: Callable[[Random], Iterator[int]], seed: int) -> list[Edit]:
    """All edits of a firm, in their order."""
    rng = Random(seed)  # noqa: S311 - people, no secret
    times = sorted(rng.uniform(0, DAYS * DAY) for _ in range(DAYS * EDITS_A_DAY))
    return [Edit(at, person, rng.random() < 0.5) for at, person in zip(times, choose_persons(rng), strict=False)]


class RoundRobin:
    """Everybody in turn."""

    def __init__(self) -> None:
        self.queue = dict.fromkeys(range(PERSONS))

    def choose(self, _: float, due: set[int]) -> list[int]:
        waiting = (person for person in self.queue if person not in due)
        return [person for person, _ in zip(waiting, range(BUDGET), strict=False)]

    def note_read(
        self, _now: float, persons_read: list[int], _changed_in_espo: set[int], _changed_in_advo: set[int]
    ) -> None:
        for person in persons_read:
            del self.queue[person]
            self.queue[person] = None


class EngineSelection:
    """What a run selects, out of a store that learns what a run would store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        store.conn.executemany(
            "insert into persons (entity_id, betnr, status, advo_seen_at) values (?, ?, 'clean', ?)",
            [
                (f"{betnr:017x}", betnr, store_time(betnr * RUN_SECONDS / BUDGET - PERSONS * RUN_SECONDS / BUDGET))
                for betnr in range(PERSONS)
            ],
        )

    def choose(self, now: float, due: set[int]) -> list[int]:
        excluded = [f"{betnr:017x}" for betnr in sorted(due)]
        return [person["betnr"] for person in persons_to_poll(self.store, store_time(now), BUDGET, excluded)]

    def note_read(
        self, now: float, persons_read: list[int], changed_in_espo: set[int], changed_in_advo: set[int]
    ) -> None:
        """So many were seen, those two sets having changed on either side."""
        columns = {"advo_seen_at": persons_read, "espo_changed_at": changed_in_espo, "advo_changed_at": changed_in_advo}
        for column, persons in columns.items():
            self.store.conn.executemany(
                f"update persons set {column} = ? where betnr = ?", [(store_time(now), betnr) for betnr in persons]
            )


def store_time(seconds: float) -> str:
    """A moment as the store writes it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def delays(all_edits: list[Edit], selection: RoundRobin | EngineSelection) -> Delays:
    """Let the runs go by; edits count once the firm is known."""
    unread_edits: dict[int, list[float]] = {}
    waits: list[float] = []
    upcoming = iter(all_edits)
    edit = next(upcoming, None)
    for now in range(RUN_SECONDS, DAYS * DAY + 1, RUN_SECONDS):
        due = set()
        while edit is not None and edit.at <= now:
            if edit.in_espocrm:
                due.add(edit.person)
            else:
                unread_edits.setdefault(edit.person, []).append(edit.at)
            edit = next(upcoming, None)
        persons_read = [*due, *selection.choose(now, due)]
        changed_persons = {person for person in persons_read if person in unread_edits}
        waits += [now - at for person in changed_persons for at in unread_edits.pop(person) if at > WARM_DAYS * DAY]
        selection.note_read(now, persons_read, due, changed_persons)
    return Delays(median(waits) / 3600, max(waits) / 3600)


def compare_delays(choose_persons: Callable[[Random], Iterator[int]], seed: int) -> tuple[Delays, Delays]:
    """Ours and round-robin on the same edits."""
    all_edits = draw_edits(choose_persons, seed)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "state.db", now=store_time(0), durable=False)
        engine_delays = delays(all_edits, EngineSelection(store))
        store.close()
    return engine_delays, delays(all_edits, RoundRobin())


def measure_early(options: BenchOptions) -> list[BenchLine]:
    """Both firms, both ways; medians over as many firms of each kind as there are to be runs."""
    lines = []
    for firm, choose_persons in (("edits by rank (Zipf)", by_rank), ("edits mostly in running cases", by_case)):
        contests = [compare_delays(choose_persons, seed) for seed in range(1, options.runs + 1)]
        for statistic, bound in (("median", MAX_MEDIAN_RATIO), ("worst", MAX_WORST_RATIO)):
            pairs = [(getattr(engine, statistic), getattr(round_robin, statistic)) for engine, round_robin in contests]
            share = median(engine_hours / plain_hours for engine_hours, plain_hours in pairs)
            engine_hours, plain_hours = (median(side) for side in zip(*pairs, strict=True))
            lines.append(
                BenchLine(
                    f"{statistic} delay of an Advoware edit ÷ round-robin, {PERSONS:,} persons, {firm}",
                    f"{engine_hours:.1f} h ÷ {plain_hours:.1f} h = {share:.2f}",
                    f"≤ {bound:g}",
                    share <= bound,
                )
            )
    return lines

"""A desk: both systems in this process, people who edit at it, faults on request, and whole runs of the pipeline.

Nothing waits: sleeping moves the clock. Every fault is a hook of a simulator, so what is tested is the product itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.config import Config
from jobs.pipeline import Options, run
from jobs.report import RunReport
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.server import config
from jobs.sandbox.simulator import Answer, Call, SimClock, Simulator
from jobs.sandbox.transport import InProcess
from jobs.world import World

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FIRST_BETNR = 300_001
Hook = Callable[[Call], Answer | None]
Said = Callable[[Call, Answer], Answer | None]


@dataclass(frozen=True, slots=True)
class Person:
    """One person on both sides; ``rows`` are the ids of its rows in Advoware."""

    entity_id: str
    betnr: int
    rows: tuple[int, ...]

    @property
    def in_espo(self) -> str:
        """Its path in EspoCRM."""
        return f"/CBeteiligte/{self.entity_id}"

    @property
    def in_advo(self) -> str:
        """Its path in Advoware."""
        return f"/Beteiligte/{self.betnr}"


@dataclass
class Desk:
    """Both systems, one clock, one state store in ``folder``."""

    folder: Path
    clock: SimClock = field(default_factory=lambda: SimClock(at=START))
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds_between: float = 60

    def __post_init__(self) -> None:
        self.espo, self.advo = EspoSim(self.clock), AdvoSim(self.clock)
        self.people: list[Person] = []
        self.world = World(
            utcnow=self.clock,
            monotonic=lambda: self.clock().timestamp(),
            sleep=self.clock.advance,
            espo_transport=InProcess(self.espo),
            advo_transport=InProcess(self.advo),
            durable=False,
            heartbeat=False,
        )

    @property
    def config(self) -> Config:
        """The configuration as it stands now."""
        whole = config("http://crm.test", self.advo.address)
        whole["state"] = {"path": str(self.path)}
        for section, values in self.settings.items():
            whole[section] = {**whole.get(section, {}), **values}
        return Config.model_validate(whole)

    @property
    def path(self) -> Path:
        """Where the state store is."""
        return self.folder / "state.db"

    # People -------------------------------------------------------------------------------------------------------

    def hire(self, entries: int = 2) -> Person:
        """A person with so many phone numbers, the same on both sides."""
        betnr = FIRST_BETNR + len(self.people)
        numbers = [f"511{betnr - FIRST_BETNR:03d}{n:02d}42" for n in range(entries)]
        entity_id = self.espo.add_person(f"Max Muster{betnr}", betnr, phones=[(f"+49{n}", "Office") for n in numbers])
        self.advo.add_person(betnr, f"Max Muster{betnr}")
        rows = tuple(self.advo.add_row(betnr, f"0{n}", "nur vormittags") for n in numbers)
        self.people.append(Person(entity_id, betnr, rows))
        return self.people[-1]

    def crowd(self, persons: int, entries: int = 2) -> list[Person]:
        """So many of them, synced."""
        found = [self.hire(entries) for _ in range(persons)]
        assert self.run().outcome == "done"
        return found

    def phones(self, person: Person) -> list[str]:
        """EspoCRM's numbers of a person."""
        return sorted(one["phoneNumber"] for one in self.espo.items(person.entity_id) if "phoneNumber" in one)

    def values(self, person: Person) -> list[str]:
        """Advoware's values of a person, in the order of its rows."""
        return [row["tlf"] for row in self.advo.rows(person.betnr) if row["tlf"]]

    def add_phone(self, person: Person, number: str) -> None:
        """Somebody types one more number into EspoCRM."""
        self.espo.edit(person.entity_id, phones=[*self.phones(person), (number, "Office")])

    def keep_phones(self, person: Person, kept: int) -> None:
        """Somebody deletes all but so many numbers in EspoCRM."""
        self.espo.edit(person.entity_id, phones=self.phones(person)[:kept])

    # What is shown and remembered ---------------------------------------------------------------------------------

    def shown(self, person: Person) -> dict[str, Any]:
        """The sync's fields as EspoCRM shows them."""
        record = self.espo.record(person.entity_id)
        names = ("syncStatus", "syncErrorMessage", "syncRetryCount", "syncNextRetry", "syncAutoResetAt")
        return {name: record[name] for name in names}

    def ask(self, question: str, *params: object) -> list[tuple[Any, ...]]:
        """What the state store answers."""
        with closing(sqlite3.connect(self.path)) as store:
            return store.execute(question, params).fetchall()

    def kept(self, person: Person, *columns: str) -> tuple[Any, ...]:
        """Columns of the person in the state store."""
        return self.ask(f"select {', '.join(columns)} from persons where entity_id = ?", person.entity_id)[0]

    def held(self) -> list[tuple[int, str, str]]:
        """Open holds: run, person, kind."""
        return self.ask("select run_id, entity_id, kind from holds where released_at is null order by id")

    # Runs ---------------------------------------------------------------------------------------------------------

    def run(self, **asked: Any) -> RunReport:
        """One run, a minute after whatever happened before."""
        self.clock.advance(self.seconds_between)
        self.espo.forget_calls()
        self.advo.forget_calls()
        return run(self.config, Options(**asked), world=self.world)

    def later(self, **asked: Any) -> RunReport:
        """One run, so long after the last that it may end whom that one did not find."""
        self.clock.advance(600)
        return self.run(**asked)

    def quiet(self, **asked: Any) -> RunReport:
        """One run in which nothing may be written."""
        report = self.run(**asked)
        assert self.written() == []
        return report

    def written(self) -> list[str]:
        """The writes of the last run, EspoCRM's first: method and path."""
        calls = [call for sim in (self.espo, self.advo) for call in sim.writes]
        return [f"{call.method} {call.path.rpartition('/v1')[2]}" for call in calls]

    def asked_about(self, person: Person) -> list[str]:
        """The requests of the last run about one person: E or A, and the method."""
        own = (("E", self.espo, person.in_espo), ("A", self.advo, person.in_advo))
        return [f"{side}:{call.method}" for side, sim, path in own for call in sim.journal if path in call.path]

    # Faults -------------------------------------------------------------------------------------------------------

    @contextmanager
    def broken(self, sim: Simulator, hook: Hook) -> Iterator[None]:
        """Before each request ``hook`` may answer instead, or raise a fault."""
        sim.before = hook
        try:
            yield
        finally:
            sim.before = None

    @contextmanager
    def spoiled(self, sim: Simulator, hook: Said) -> Iterator[None]:
        """After each request, whose effect stands, ``hook`` may answer otherwise, or raise a fault."""
        sim.after = hook
        try:
            yield
        finally:
            sim.after = None

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
from jobs.environment import Environment
from jobs.pipeline import RunOptions, run_to_completion
from jobs.run.report import RunReport
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import sandbox_config
from jobs.sandbox.simulator import SimClock, SimRequest, SimResponse, Simulator
from tests.in_process import InProcess

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FIRST_BETNR = 300_001
RequestHook = Callable[[SimRequest], SimResponse | None]
AnswerHook = Callable[[SimRequest, SimResponse], SimResponse | None]


@dataclass(frozen=True, slots=True)
class PersonWithRows:
    """One person on both sides; ``rows`` are the ids of its rows in Advoware."""

    entity_id: str
    betnr: int
    rows: tuple[int, ...]

    @property
    def espo_path(self) -> str:
        """Its path in EspoCRM."""
        return f"/CBeteiligte/{self.entity_id}"

    @property
    def advo_path(self) -> str:
        """Its path in Advoware."""
        return f"/Beteiligte/{self.betnr}"


@dataclass
class FaultHarness:
    """Both systems, one clock, one state store in ``folder``."""

    folder: Path
    clock: SimClock = field(default_factory=lambda: SimClock(at=START))
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds_between: float = 60

    def __post_init__(self) -> None:
        self.espo, self.advo = EspoSim(self.clock), AdvoSim(self.clock)
        self.persons: list[PersonWithRows] = []
        self.environment = Environment(
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
        document = sandbox_config("http://crm.test", self.advo.address)
        document["state"] = {"path": str(self.path)}
        for section, values in self.settings.items():
            document[section] = {**document.get(section, {}), **values}
        return Config.model_validate(document)

    @property
    def path(self) -> Path:
        """Where the state store is."""
        return self.folder / "state.db"

    # People -------------------------------------------------------------------------------------------------------

    def add_person(self, entries: int = 2) -> PersonWithRows:
        """A person with so many phone numbers, the same on both sides."""
        betnr = FIRST_BETNR + len(self.persons)
        numbers = [f"511{betnr - FIRST_BETNR:03d}{n:02d}42" for n in range(entries)]
        entity_id = self.espo.add_person(f"Max Muster{betnr}", betnr, phones=[(f"+49{n}", "Office") for n in numbers])
        self.advo.add_person(betnr, f"Max Muster{betnr}")
        rows = tuple(self.advo.add_row(betnr, f"0{n}", "nur vormittags") for n in numbers)
        self.persons.append(PersonWithRows(entity_id, betnr, rows))
        return self.persons[-1]

    def add_persons_in_sync(self, count: int, entries: int = 2) -> list[PersonWithRows]:
        """So many of them, synced."""
        persons = [self.add_person(entries) for _ in range(count)]
        assert self.run().outcome == "done"
        return persons

    def espo_phones(self, person: PersonWithRows) -> list[str]:
        """EspoCRM's numbers of a person."""
        return sorted(item["phoneNumber"] for item in self.espo.items(person.entity_id) if "phoneNumber" in item)

    def advo_values(self, person: PersonWithRows) -> list[str]:
        """Advoware's values of a person, in the order of its rows."""
        return [row["tlf"] for row in self.advo.rows(person.betnr) if row["tlf"]]

    def add_phone(self, person: PersonWithRows, number: str) -> None:
        """Somebody types one more number into EspoCRM."""
        self.espo.edit(person.entity_id, phones=[*self.espo_phones(person), (number, "Office")])

    def keep_first_phones(self, person: PersonWithRows, count: int) -> None:
        """Somebody deletes all but so many numbers in EspoCRM."""
        self.espo.edit(person.entity_id, phones=self.espo_phones(person)[:count])

    # What is shown and remembered ---------------------------------------------------------------------------------

    def sync_fields(self, person: PersonWithRows) -> dict[str, Any]:
        """The sync's fields as EspoCRM shows them."""
        record = self.espo.record(person.entity_id)
        names = ("syncStatus", "syncErrorMessage", "syncRetryCount", "syncNextRetry", "syncAutoResetAt")
        return {name: record[name] for name in names}

    def query_store(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """What the state store answers."""
        with closing(sqlite3.connect(self.path)) as store:
            return store.execute(sql, params).fetchall()

    def person_columns(self, person: PersonWithRows, *columns: str) -> tuple[Any, ...]:
        """Columns of the person in the state store."""
        return self.query_store(f"select {', '.join(columns)} from persons where entity_id = ?", person.entity_id)[0]

    def open_hold_rows(self) -> list[tuple[int, str, str]]:
        """Open holds: run, person, kind."""
        return self.query_store("select run_id, entity_id, kind from holds where released_at is null order by id")

    # Runs ---------------------------------------------------------------------------------------------------------

    def run(self, **options: Any) -> RunReport:
        """One run, a minute after whatever happened before."""
        self.clock.advance(self.seconds_between)
        self.espo.clear_request_log()
        self.advo.clear_request_log()
        return run_to_completion(self.config, RunOptions(**options), environment=self.environment)

    def run_later(self, **options: Any) -> RunReport:
        """One run, so long after the last that it may end whom that one did not find."""
        self.clock.advance(600)
        return self.run(**options)

    def run_without_writes(self, **options: Any) -> RunReport:
        """One run in which nothing may be written."""
        report = self.run(**options)
        assert self.write_requests() == []
        return report

    def write_requests(self) -> list[str]:
        """The writes of the last run, EspoCRM's first: method and path."""
        calls = [call for sim in (self.espo, self.advo) for call in sim.writes]
        return [f"{call.method} {call.path.rpartition('/v1')[2]}" for call in calls]

    def requests_about(self, person: PersonWithRows) -> list[str]:
        """The requests of the last run about one person: E or A, and the method."""
        sides = (("E", self.espo, person.espo_path), ("A", self.advo, person.advo_path))
        return [f"{side}:{call.method}" for side, sim, path in sides for call in sim.request_log if path in call.path]

    # Faults -------------------------------------------------------------------------------------------------------

    @contextmanager
    def hook_before(self, sim: Simulator, hook: RequestHook) -> Iterator[None]:
        """Before each request ``hook`` may answer instead, or raise a fault."""
        sim.before = hook
        try:
            yield
        finally:
            sim.before = None

    @contextmanager
    def hook_after(self, sim: Simulator, hook: AnswerHook) -> Iterator[None]:
        """After each request, whose effect stands, ``hook`` may answer otherwise, or raise a fault."""
        sim.after = hook
        try:
            yield
        finally:
            sim.after = None

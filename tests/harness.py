"""The firm tests run in: both simulated systems, a configuration, a clock that stands unless moved, and whole runs.

``Harness`` is all of it, in this process and without sockets. The classes below it add what a group of tests needs;
``tests/http_harness.py`` puts both systems behind real HTTP servers. Nothing waits: sleeping moves the clock.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx

from etl.records import Channel
from etl.rules.values.canonical import canonical, e164, has_extension
from etl.store.database import Store
from jobs.commands.side_by_side import compare_sides
from jobs.config import Config
from jobs.environment import Environment
from jobs.pipeline import RunOptions, run_to_completion
from jobs.run.report import RunReport
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.versions import NEWEST
from jobs.sandbox.firm import fill_firm
from jobs.sandbox.server import sandbox_config
from jobs.sandbox.simulator import SimClock, SimRequest, SimResponse, Simulator
from tests.in_process import InProcess
from tests.notation import own_text_of_remark

REGION = "DE"
FIRST_BETNR = 300_001
REAL_TIME = Environment(durable=False)
NOT_FOUND = SimResponse(404, {"Content-Type": "application/json"}, b'{"message":"Nicht gefunden."}')
"""The real clock and real sockets."""

RequestHook = Callable[[SimRequest], SimResponse | None]
AnswerHook = Callable[[SimRequest, SimResponse], SimResponse | None]


def simulated_environment(clock: SimClock, espo: EspoSim, advo: AdvoSim, **changes: Any) -> Environment:
    """The simulated systems without sockets and their clock, ``changes`` made to it."""
    environment = Environment(
        utcnow=clock,
        monotonic=lambda: clock().timestamp(),
        sleep=clock.advance,
        espo_transport=InProcess(espo),
        advo_transport=InProcess(advo),
        durable=False,
        heartbeat=False,
    )
    return replace(environment, **changes)


class Harness:
    """Both systems, one clock, one state store in ``folder``; ``sections`` override the configuration.

    ``version``: which EspoCRM it is (jobs/sandbox/espocrm/versions.py).
    """

    START: ClassVar[datetime] = datetime(2026, 8, 30, 8, 0, tzinfo=UTC)
    seconds_between: float = 60

    def __init__(
        self, folder: Path, *, clock: SimClock | None = None, version: str = NEWEST.name, **sections: Any
    ) -> None:
        self.folder = folder
        self.path = folder / "state.db"
        self.settings: dict[str, Any] = sections
        self.clock = clock or SimClock(at=self.START)
        self.espo, self.advo = EspoSim(self.clock, espocrm=version), AdvoSim(self.clock)
        self.environment = simulated_environment(self.clock, self.espo, self.advo)

    def default_document(self) -> dict[str, Any]:
        """The configuration without ``settings``: how both systems are reached."""
        return sandbox_config("http://crm.test", self.advo.address)

    @property
    def document(self) -> dict[str, Any]:
        """The configuration as a file would have it."""
        document = {**self.default_document(), "state": {"path": str(self.path)}}
        for name, section in self.settings.items():
            document[name] = {**document.get(name, {}), **section}
        return document

    @property
    def config(self) -> Config:
        """The configuration as it is now."""
        return Config.model_validate(self.document)

    def configure(self, **sections: dict[str, Any]) -> None:
        """Change the configuration from here on."""
        for name, section in sections.items():
            self.settings[name] = {**self.settings.get(name, {}), **section}

    def run(self, **options: Any) -> RunReport:
        """One run, ``seconds_between`` after whatever happened before."""
        self.clock.advance(self.seconds_between)
        self.espo.clear_request_log()
        self.advo.clear_request_log()
        return run_to_completion(self.config, RunOptions(**options), environment=self.environment)

    @property
    def writes(self) -> list[SimRequest]:
        """The writes of the last run, EspoCRM's first."""
        return [*self.espo.writes, *self.advo.writes]

    def open_store(self) -> Store:
        """The state store, open."""
        return Store.open(self.path, now=self.environment.now(), durable=False)

    def query_store(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """What the state store answers."""
        with closing(sqlite3.connect(self.path)) as store:
            return store.execute(sql, params).fetchall()

    def pairs_and_statuses(self) -> list[tuple[Any, ...]]:
        """All pairs, and how the persons stand."""
        pairs = self.query_store(
            "select entity_id, betnr, komm_id, espo_value, advo_value, row_id from baseline order by 1, 3"
        )
        return pairs + self.query_store("select entity_id, status, fingerprint, synced_betnr from persons order by 1")


# Persons and faults ---------------------------------------------------------------------------------------------------


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


class FaultHarness(Harness):
    """Persons with phone numbers, people who edit them, and faults on request."""

    START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.persons: list[PersonWithRows] = []

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

    def sync_fields(self, person: PersonWithRows) -> dict[str, Any]:
        """The sync's fields as EspoCRM shows them."""
        record = self.espo.record(person.entity_id)
        names = ("syncStatus", "syncErrorMessage", "syncRetryCount", "syncNextRetry", "syncAutoResetAt")
        return {name: record[name] for name in names}

    def person_columns(self, person: PersonWithRows, *columns: str) -> tuple[Any, ...]:
        """Columns of the person in the state store."""
        return self.query_store(f"select {', '.join(columns)} from persons where entity_id = ?", person.entity_id)[0]

    def open_hold_rows(self) -> list[tuple[int, str, str]]:
        """Open holds: run, person, kind."""
        return self.query_store("select run_id, entity_id, kind from holds where released_at is null order by id")

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
        return [f"{call.method} {call.path.rpartition('/v1')[2]}" for call in self.writes]

    def requests_about(self, person: PersonWithRows) -> list[str]:
        """The requests of the last run about one person: E or A, and the method."""
        sides = (("E", self.espo, person.espo_path), ("A", self.advo, person.advo_path))
        return [f"{side}:{call.method}" for side, sim, path in sides for call in sim.request_log if path in call.path]

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


# A filled firm --------------------------------------------------------------------------------------------------------


@dataclass
class PingReceiver:
    """A dead man's switch: what it was told."""

    requests: list[tuple[str, str]]
    status_code: int = 200

    def transport(self) -> httpx.MockTransport:
        """A transport that reaches it."""

        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append((request.url.path, request.read().decode()))
            return httpx.Response(self.status_code)

        return httpx.MockTransport(handle)


class CommandHarness(Harness):
    """A firm that was never synced, for whole commands; who pings the dead man's switch is heard."""

    START = datetime(2026, 8, 31, 6, 0, tzinfo=UTC)

    def __init__(self, folder: Path, persons: int = 5, seed: int = 1, **sections: Any) -> None:
        super().__init__(folder, **sections)
        fill_firm(self.espo, self.advo, persons, seed)
        self.clock.advance(60)
        self.pings = PingReceiver([])
        self.environment = replace(self.environment, ping_transport=self.pings.transport())

    def disagreements(self) -> list[str]:
        """What the two systems do not agree on, read past the store."""
        return [str(line) for line in compare_sides(self.espo, self.advo) if not line.agrees]


def json_setting(store: Store, key: str) -> Any:
    """A setting that is JSON."""
    return json.loads(store.setting(key) or "null")


class SyncHarness(Harness):
    """A firm of many persons, one request at a time, and what both sides hold as sets of canonical values."""

    seconds_between = 900

    def __init__(self, folder: Path, persons: int, seed: int = 7, **sections: Any) -> None:
        super().__init__(folder, **sections)
        fill_firm(self.espo, self.advo, persons, seed)

    def default_document(self) -> dict[str, Any]:
        document = super().default_document()
        document["espocrm"]["read_concurrency"] = document["advoware"]["read_concurrency"] = 1
        return document

    def person_links(self) -> Iterator[tuple[str, int]]:
        for entity_id in self.espo.store.records:
            betnr = self.espo.record(entity_id)["betnr"]
            if betnr is not None and betnr in self.advo.beteiligte.persons:
                yield entity_id, betnr

    def disagreements(self) -> list[tuple[int, set[tuple[str, str]], set[tuple[str, str]]]]:
        """Per person: the values only EspoCRM has, and those only Advoware has although EspoCRM can hold them."""
        differences = []
        for entity_id, betnr in self.person_links():
            espo_keys, advo_keys = self.espo_values(entity_id), self.advo_values(betnr)
            only_in_advo = {key for key in advo_keys - espo_keys if espo_can_store(*key)}
            if espo_keys - advo_keys or only_in_advo:
                differences.append((betnr, espo_keys - advo_keys, only_in_advo))
        return differences

    def espo_values(self, entity_id: str) -> set[tuple[str, str]]:
        items = self.espo.items(entity_id)
        phones = {item["phoneNumber"] for item in items if "phoneNumber" in item}
        mails = {item["emailAddress"] for item in items if "emailAddress" in item}
        return canonical_keys("phone", phones) | canonical_keys("mail", mails)

    def advo_values(self, betnr: int) -> set[tuple[str, str]]:
        rows = [row for row in self.advo.rows(betnr) if row["tlf"] and row["kommKz"] not in {5, 11, 12}]
        mails = {row["tlf"] for row in rows if "@" in row["tlf"]}
        return canonical_keys("mail", mails) | canonical_keys("phone", {row["tlf"] for row in rows} - mails)

    def own_texts(self) -> dict[int, str]:
        rows = [row for _, betnr in self.person_links() for row in self.advo.rows(betnr)]
        return {row["id"]: own_text_of_remark(row["bemerkung"]) for row in rows}


def canonical_keys(channel: str, values: set[str]) -> set[tuple[str, str]]:
    return {(channel, canonical(Channel(channel), value, REGION) or "") for value in values}


def espo_can_store(channel: str, value: str) -> bool:
    """Whether EspoCRM takes this canonical value as a new one."""
    if channel == "phone":
        return value.startswith("+") and ";" not in value and e164(value, REGION) is not None
    return bool(re.fullmatch(r"[!-~]+@[!-~]+\.[!-~]+", value)) and not has_extension(value, REGION)

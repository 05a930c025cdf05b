"""Both systems as real HTTP servers, persons as the scenarios' tables write them, and whole runs between.

The clock stands still unless somebody moves it, so that every run, and every time it writes, is the same each time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx

from etl.records import Direction, Scope
from jobs.sandbox.advoware.api import AdvoBehaviour
from jobs.sandbox.advoware.rows import AdvoDatabase
from jobs.sandbox.espocrm.record import generate_ids
from jobs.sandbox.espocrm.store import EspoStore
from jobs.sandbox.espocrm.versions import NEWEST, VERSIONS
from jobs.sandbox.simulator import ConnectionLost, SimClock
from tests.harness import Harness
from tests.notation import SAME_REMARK, ItemState, RowState, Scenario, SideStates, own_text_of_remark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from jobs.run.report import RunReport
    from jobs.sandbox.server import Servers
    from jobs.sandbox.simulator import Json, SimRequest, SimResponse

FIRST_BETNR = 104711
NOT_RELEVANT = {5, 11, 12}
TRANSPORT = httpx.HTTPTransport()
"""httpx's own, made once: each would read the machine's certificates again."""


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """A person on both sides."""

    entity_id: str
    betnr: int


@dataclass(frozen=True, slots=True)
class PersonRequest:
    """A request about one person, in the order both systems saw them; ``side`` is E or A."""

    side: str
    method: str
    path: str
    body: Any


class HttpHarness(Harness):
    """Two running systems, emptied; a clock of its own that stands still unless moved."""

    seconds_between = 300

    def __init__(self, servers: Servers, clock: SimClock, folder: Path, espocrm: str = NEWEST.name) -> None:
        clock.set(self.START)
        super().__init__(folder, clock=clock)
        self.servers, self.espo, self.advo = servers, servers.espo, servers.advo
        self.espo.store = EspoStore(clock, generate_ids(0, clock), VERSIONS[espocrm])
        self.advo.beteiligte, self.advo.behaviour = AdvoDatabase(), AdvoBehaviour()
        self.espo.clear_request_log()
        self.advo.clear_request_log()
        self.runs: list[list[tuple[str, SimRequest]]] = [[]]
        self.may_write = True
        self.espo.before, self.advo.before = self._recorder("E"), self._recorder("A")
        self.environment = replace(self.environment, espo_transport=TRANSPORT, advo_transport=TRANSPORT)

    def default_document(self) -> dict[str, Any]:
        """The configuration without ``settings``: where the servers listen."""
        return self.servers.config()

    def _recorder(self, side: str) -> Callable[[SimRequest], SimResponse | None]:
        def record(call: SimRequest) -> SimResponse | None:
            self.runs[-1].append((side, call))
            if call.is_write and not self.may_write:
                raise ConnectionLost
            return None

        return record

    # What people do -----------------------------------------------------------------------------------------------

    def add_person(self, scenario: Scenario) -> PersonKeys:
        """Put a person into both systems as the table's ``before`` says; row ids are counted from 88001."""
        betnr = FIRST_BETNR + len(self.advo.beteiligte.persons)
        name = f"Max Muster{betnr}"
        items = scenario.before.items or []
        entity_id = self.espo.add_person(
            name,
            betnr,
            phones=[item_json(item) for item in items if not item.is_mail],
            mails=[item_json(item) for item in items if item.is_mail],
        )
        self.advo.add_person(betnr, name, **scenario.person)
        for row in scenario.before.rows or []:
            self._add_row(betnr, row)
        return PersonKeys(entity_id, betnr)

    def edit(self, person: PersonKeys, edits: SideStates) -> None:
        """Let people change both sides until they show this; ``^`` leaves a remark as it stands."""
        if edits.items is not None:
            self._edit_items(person, edits.items)
        if edits.rows is not None:
            self._edit_rows(person, edits.rows)

    def _edit_items(self, person: PersonKeys, target: Sequence[ItemState]) -> None:
        current = self.items(person)
        for name, mails in (("phones", False), ("mails", True)):
            targets_of_channel = [item for item in target if item.is_mail is mails]
            if sorted(targets_of_channel) != [item for item in current if item.is_mail is mails]:
                self.espo.edit(person.entity_id, **{name: [item_json(item) for item in targets_of_channel]})

    def _edit_rows(self, person: PersonKeys, target: Sequence[RowState]) -> None:
        current = {row.komm_id: row for row in self.rows(person)}
        for komm_id in current.keys() - {row.komm_id for row in target}:
            self.advo.remove_row(person.betnr, komm_id)
        for row in target:
            before = current.get(row.komm_id)
            if before is None:
                self._add_row(person.betnr, row)
                continue
            target_row = replace(row, remark=before.remark) if row.remark == SAME_REMARK else row
            if target_row != before:
                self.advo.edit_row(person.betnr, row.komm_id, value=target_row.tlf, remark=target_row.remark)

    def _add_row(self, betnr: int, row: RowState) -> None:
        komm_id = self.advo.add_row(betnr, row.tlf, row.remark or None, komm_kz=row.komm_kz, online=row.online)
        assert komm_id == row.komm_id, f"the table calls row {komm_id} {row.komm_id}"

    # What stands there --------------------------------------------------------------------------------------------

    def items(self, person: PersonKeys) -> list[ItemState]:
        """EspoCRM's items, sorted: beyond the primary their order is not kept."""
        return sorted(
            ItemState(
                item.get("phoneNumber") or item["emailAddress"],
                item.get("type"),
                item["primary"],
                item["optOut"],
                item["invalid"],
            )
            for item in self.espo.items(person.entity_id)
        )

    def rows(self, person: PersonKeys) -> list[RowState]:
        """Advoware's rows by id, remark null as text."""
        return [
            RowState(row["id"], row["kommKz"], row["tlf"], row["bemerkung"] or "", row["online"])
            for row in self.advo.rows(person.betnr)
        ]

    def own_texts(self, person: PersonKeys) -> dict[int, str]:
        """What people wrote into remarks, by row."""
        return {row.komm_id: own_text_of_remark(row.remark) for row in self.rows(person)}

    def fingerprint(self, person: PersonKeys) -> str:
        """The fingerprint as rules §0 defines it, reckoned here a second time."""
        relevant_rows = [
            row for row in self.advo.rows(person.betnr) if row["tlf"] and row["kommKz"] not in NOT_RELEVANT
        ]
        return hashlib.md5("".join(sorted(row["rowId"] for row in relevant_rows)).encode()).hexdigest()[:16]  # noqa: S324

    # Runs ---------------------------------------------------------------------------------------------------------

    def run(self, **options: Any) -> RunReport:
        """One run, five minutes after whatever happened before."""
        self.runs.append([])
        return super().run(**options)

    def requests_about(self, person: PersonKeys, nth: int = -1) -> list[PersonRequest]:
        """The requests of a run (the first is 0) about one person, in their order; lists and logins are nobody's."""
        runs = self.runs[1:]
        return list(iter_requests_about(person, runs[nth]))


def word_options(words: Iterable[str]) -> dict[str, Any]:
    """The options of a run that words name: a direction, a scope."""
    directions = [Direction(word) for word in words if word in set(Direction)]
    scopes = [Scope(word) for word in words if word in set(Scope)]
    return {"direction": next(iter(directions), None), "scope": next(iter(scopes), None)}


def iter_requests_about(person: PersonKeys, requests: Sequence[tuple[str, SimRequest]]) -> Iterator[PersonRequest]:
    """The requests about one person; a note's person is its parent."""
    for side, call in requests:
        own_path = f"/CBeteiligte/{person.entity_id}" if side == "E" else f"/Beteiligte/{person.betnr}"
        _, is_own_path, path = call.path.partition(own_path)
        is_note = call.path.endswith("/Note") and call.json["parentId"] == person.entity_id
        if is_own_path or is_note:
            yield PersonRequest(side, call.method, "/Note" if is_note else path, call.json)


def item_json(item: ItemState) -> Json:
    """An item as EspoCRM's window sends it and shows it, every key."""
    flags = {"primary": item.primary, "optOut": item.opt_out, "invalid": item.invalid}
    if item.is_mail:
        return {"emailAddress": item.value, "lower": item.value.lower(), **flags}
    return {"phoneNumber": item.value, "type": item.type, **flags}

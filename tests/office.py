"""An office: both systems as real HTTP servers, people who edit in them, and whole runs of the pipeline between.

The clock stands still unless somebody moves it, so that every run, and every time it writes, is the same each time.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from etl.records import Direction, Scope
from jobs.config import Config
from jobs.pipeline import Options, run
from jobs.sandbox.advoware import Switches
from jobs.sandbox.advoware_rows import Beteiligte
from jobs.sandbox.espocrm_store import EspoStore, new_ids
from jobs.sandbox.simulator import ConnectionLost, SimClock
from jobs.world import World
from tests.notation import AS_IT_STANDS, ItemShown, RowShown, Shown, Story, own_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from jobs.report import RunReport
    from jobs.sandbox.server import Servers
    from jobs.sandbox.simulator import Answer, Call, Json

START = datetime(2026, 8, 30, 8, 0, tzinfo=UTC)
FIRST_BETNR = 104711
NOT_RELEVANT = {5, 11, 12}
WIRE = httpx.HTTPTransport()
"""httpx's own, made once: each would read the machine's certificates again."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person on both sides."""

    entity_id: str
    betnr: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A request about one person, in the order both systems saw them; ``side`` is E or A."""

    side: str
    method: str
    path: str
    body: Any


class Office:
    """Two running systems, emptied; a configuration and a clock of its own that stands still unless moved."""

    def __init__(self, servers: Servers, clock: SimClock, folder: Path) -> None:
        clock.set(START)
        self.clock = clock
        self.espo, self.advo = servers.espo, servers.advo
        self.espo.store = EspoStore(clock, new_ids(0, clock))
        self.advo.beteiligte, self.advo.switches = Beteiligte(), Switches()
        self.espo.forget_calls()
        self.advo.forget_calls()
        self.runs: list[list[tuple[str, Call]]] = [[]]
        self.may_write = True
        self.espo.before, self.advo.before = self._seen_by("E"), self._seen_by("A")
        self.config = Config.model_validate({**servers.config(), "state": {"path": str(folder / "state.db")}})
        self.world = World(
            espo_transport=WIRE,
            advo_transport=WIRE,
            utcnow=clock,
            monotonic=lambda: clock().timestamp(),
            sleep=clock.advance,
            durable=False,
            heartbeat=False,
        )

    def _seen_by(self, side: str) -> Callable[[Call], Answer | None]:
        def seen(call: Call) -> Answer | None:
            self.runs[-1].append((side, call))
            if call.is_write and not self.may_write:
                raise ConnectionLost
            return None

        return seen

    # What people do -----------------------------------------------------------------------------------------------

    def move_in(self, told: Story) -> Person:
        """Put a person into both systems as the table's ``before`` says; row ids are counted from 88001."""
        betnr = FIRST_BETNR + len(self.advo.beteiligte.persons)
        name = f"Max Muster{betnr}"
        items = told.before.items or []
        entity_id = self.espo.add_person(
            name,
            betnr,
            phones=[whole(one) for one in items if not one.is_mail],
            mails=[whole(one) for one in items if one.is_mail],
        )
        self.advo.add_person(betnr, name, **told.person)
        for row in told.before.rows or []:
            self._add_row(betnr, row)
        return Person(entity_id, betnr)

    def edit(self, person: Person, edits: Shown) -> None:
        """Let people change both sides until they show this; ``^`` leaves a remark as it stands."""
        if edits.items is not None:
            self._edit_items(person, edits.items)
        if edits.rows is not None:
            self._edit_rows(person, edits.rows)

    def _edit_items(self, person: Person, wanted: Sequence[ItemShown]) -> None:
        now = self.items(person)
        for name, mails in (("phones", False), ("mails", True)):
            ours = [one for one in wanted if one.is_mail is mails]
            if sorted(ours) != [one for one in now if one.is_mail is mails]:
                self.espo.edit(person.entity_id, **{name: [whole(one) for one in ours]})

    def _edit_rows(self, person: Person, wanted: Sequence[RowShown]) -> None:
        now = {row.komm_id: row for row in self.rows(person)}
        for komm_id in now.keys() - {row.komm_id for row in wanted}:
            self.advo.remove_row(person.betnr, komm_id)
        for row in wanted:
            was = now.get(row.komm_id)
            if was is None:
                self._add_row(person.betnr, row)
                continue
            edited = replace(row, remark=was.remark) if row.remark == AS_IT_STANDS else row
            if edited != was:
                self.advo.edit_row(person.betnr, row.komm_id, value=edited.tlf, remark=edited.remark)

    def _add_row(self, betnr: int, row: RowShown) -> None:
        made = self.advo.add_row(betnr, row.tlf, row.remark or None, komm_kz=row.komm_kz, online=row.online)
        assert made == row.komm_id, f"the table calls row {made} {row.komm_id}"

    # What stands there --------------------------------------------------------------------------------------------

    def items(self, person: Person) -> list[ItemShown]:
        """EspoCRM's items, sorted: beyond the primary their order is not kept."""
        return sorted(
            ItemShown(
                one.get("phoneNumber") or one["emailAddress"],
                one.get("type"),
                one["primary"],
                one["optOut"],
                one["invalid"],
            )
            for one in self.espo.items(person.entity_id)
        )

    def rows(self, person: Person) -> list[RowShown]:
        """Advoware's rows by id, remark null as text."""
        return [
            RowShown(row["id"], row["kommKz"], row["tlf"], row["bemerkung"] or "", row["online"])
            for row in self.advo.rows(person.betnr)
        ]

    def own_texts(self, person: Person) -> dict[int, str]:
        """What people wrote into remarks, by row."""
        return {row.komm_id: own_text(row.remark) for row in self.rows(person)}

    def fingerprint(self, person: Person) -> str:
        """The fingerprint as rules.md §0 defines it, reckoned here a second time."""
        told = [row for row in self.advo.rows(person.betnr) if row["tlf"] and row["kommKz"] not in NOT_RELEVANT]
        return hashlib.md5("".join(sorted(row["rowId"] for row in told)).encode()).hexdigest()[:16]  # noqa: S324

    def remembered(self, question: str, *params: object) -> list[tuple[Any, ...]]:
        """What the state store answers."""
        with closing(sqlite3.connect(self.config.state.path)) as store:
            return store.execute(question, params).fetchall()

    # Runs ---------------------------------------------------------------------------------------------------------

    def run(self, *words: str, sweep: bool = False) -> RunReport:
        """One run, five minutes after whatever happened before. ``words`` may be a direction and a scope."""
        self.clock.advance(300)
        self.runs.append([])
        directions = [Direction(word) for word in words if word in set(Direction)]
        scopes = [Scope(word) for word in words if word in set(Scope)]
        options = Options(direction=next(iter(directions), None), scope=next(iter(scopes), None), sweep=sweep)
        return run(self.config, options, world=self.world)

    def sent(self, person: Person, nth: int = -1) -> list[Sent]:
        """The requests of a run (the first is 0) about one person, in their order; lists and logins are nobody's."""
        runs = self.runs[1:]
        return list(about(person, runs[nth]))

    @property
    def writes(self) -> list[tuple[str, Call]]:
        """The writing requests of the last run, whoever they are about."""
        return [(side, call) for side, call in self.runs[-1] if call.is_write]


def about(person: Person, requests: Sequence[tuple[str, Call]]) -> Iterator[Sent]:
    """The requests about one person; a note's person is its parent."""
    for side, call in requests:
        own = f"/CBeteiligte/{person.entity_id}" if side == "E" else f"/Beteiligte/{person.betnr}"
        _, named, path = call.path.partition(own)
        note = call.path.endswith("/Note") and call.json["parentId"] == person.entity_id
        if named or note:
            yield Sent(side, call.method, "/Note" if note else path, call.json)


def whole(one: ItemShown) -> Json:
    """An item as EspoCRM's window sends it and shows it, every key."""
    flags = {"primary": one.primary, "optOut": one.opt_out, "invalid": one.invalid}
    if one.is_mail:
        return {"emailAddress": one.value, "lower": one.value.lower(), **flags}
    return {"phoneNumber": one.value, "type": one.type, **flags}

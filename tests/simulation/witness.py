"""What must hold at every single write, looked at when it arrives and before it takes effect.

Whatever people did since the sync last read the thing it writes is nobody's fault (``storm.note_window``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.sandbox.simulator import Answer, Call
from tests.simulation.consent import Consent
from tests.simulation.invariants import Violation
from tests.simulation.oracle import MARKER, canon, decoded, entries_of_items, is_relevant, own_text, shortened
from tests.simulation.told import values_that_lost
from tests.simulation.worlds import Firm, Person

SLOT = re.compile(r"\[ESPOCRM-SLOT:(\d+)\]")
ARRAYS = {"phoneNumberData": "phoneNumber", "emailAddressData": "emailAddress"}
OK = 200
FLAGS = ("optOut", "invalid")
EXCHANGES = {"swap_rows", "swap_items"}
MOST, SMALL, SHARE = 50, 10, 0.10  # what a guard lets through without anybody's approval (rules.md §6)

Json = dict[str, Any]


@dataclass
class Witness:
    """Looks at the writes of one run. ``taken``: how many values that people entered it took away or overwrote;
    ``unseen``: what array PUTs were to bring and no GET has shown, by record;
    ``stood``: the markers each row had before it was overwritten, which may be put back; ``carried``: the records of
    array PUTs of this ``run``."""

    firm: Firm
    path: Path
    consent: Consent
    taken: int = 0
    found: list[Violation] = field(default_factory=list)
    unseen: dict[str, set[str]] = field(default_factory=dict)
    stood: dict[str, set[str]] = field(default_factory=dict)
    run: str = ""
    carried: set[str] = field(default_factory=set)

    def begin(self, run: str) -> None:
        """Another run."""
        self.run, self.taken = run, 0
        self.found.clear()
        self.carried.clear()

    def end(self, *, approved: bool) -> None:
        """Say what was seen; raises the first violation."""
        known = sum(len(self.firm.rows(person)) for person in self.firm.persons)
        if not approved and (self.taken > MOST or self.taken > max(SMALL, SHARE * known)):
            self.found.append(Violation("much is taken only with approval", f"{self.taken} values of {known} rows"))
        if self.found:
            raise self.found[0]

    def saw(self, system: str, call: Call, person: Person | None, unread: set[str]) -> None:
        """A write is about to take effect; ``unread``: what people changed of this person since it was last read."""
        if person is None or not call.is_write or call.path.endswith("/Note"):
            return
        body = call.json
        if system == "espo":
            self.note_sent(person, body)
            self.carried |= {person.entity_id} if ARRAYS.keys() & body.keys() else set()
            self.found += [one for name in ARRAYS if name in body for one in self.of_array(person, name, body, unread)]
            lifted = [f"person{person.number}: of {key}" for key in self.consent.lifted(body)]
            self.found += [Violation("no opt-out is lifted", one) for one in lifted]
        else:
            self.found += self.of_row(person, call, body, unread)

    def heard(self, call: Call, answer: Answer) -> None:
        """A request was answered; what a GET shows of a record may be gone later."""
        waiting = self.unseen.get(call.path.rpartition("/")[2]) if call.method == "GET" else None
        if not waiting or answer.status != OK:
            return
        try:
            shown = json.loads(answer.body)
        except ValueError:  # a page, or half an answer
            return
        waiting.difference_update(entries_of_items(item for name in ARRAYS for item in shown.get(name) or ()))

    def note_sent(self, person: Person, body: Json) -> None:
        """An array PUT is to bring what its record does not hold."""
        held = entries_of_items(self.firm.espo.items(person.entity_id))
        brought = entries_of_items(item for name in ARRAYS for item in body.get(name) or ()) - held
        self.unseen.setdefault(person.entity_id, set()).update(brought)

    # EspoCRM's arrays

    def of_array(self, person: Person, name: str, body: Json, unread: set[str]) -> Iterator[Violation]:
        """Items go back whole, and none goes that nobody took."""
        key = ARRAYS[name]
        sent = {str(item[key]): item for item in body[name]}
        if "items" in unread:
            return
        for item in self.firm.espo.items(person.entity_id):
            if key not in item:
                continue
            again = sent.get(str(item[key]))
            value = canon(item[key])
            # a number typed into another row takes over that pair's flags; one that is shared is edited elsewhere too
            moved = value in person.touched or value in self.firm.shared or bool(person.kinds & EXCHANGES)
            if again is not None and not moved and any(again.get(flag) != item[flag] for flag in FLAGS):
                yield Violation("EspoCRM's items are written whole", f"person{person.number}: {item} as {again}")
            if value not in {canon(one) for one in sent}:
                yield from self.takes(person, value, unread)

    # Advoware's rows

    def of_row(self, person: Person, call: Call, body: Json, unread: set[str]) -> Iterator[Violation]:
        """A marker follows its value, a slot keeps its kommKz, no value goes that nobody took."""
        number = call.path.rpartition("/")[2]
        rows = {str(row["id"]): row for row in self.firm.rows(person)}
        row = rows.get(number) if call.method == "PUT" else None
        remark, value = body.get("bemerkung") or "", body.get("tlf") or ""
        stood = self.stood.setdefault(number, set())
        if row is not None and (told := MARKER.match(row["bemerkung"] or "")):
            stood.add(told[0])
        yield from self.marker_of(person, remark, stood, unread)
        if call.method == "POST":
            read = [row for one, row in rows.items() if f"row{one}" not in unread]
            yield from made_twice(person, read, value, remark)
        if row is None or f"row{number}" in unread:
            return
        if value and not row["tlf"]:
            yield from filled(person, row, remark)
        others = {canon(one["tlf"]) for one in rows.values() if one is not row and is_relevant(one["tlf"])}
        most = self.firm.nature.max_tlf
        others |= {canon(whole) for one in rows.values() if (whole := shortened(one, most))}  # it is put back at once
        if is_relevant(row["tlf"]) and canon(row["tlf"]) not in {canon(value), *others}:
            yield from self.empties(person, canon(row["tlf"]))
            yield from self.takes(person, canon(row["tlf"]), unread)

    def marker_of(self, person: Person, remark: str, stood: set[str], unread: set[str]) -> Iterator[Violation]:
        """The value a marker speaks of is in EspoCRM, unless the row had this marker before.

        Without an array PUT nothing of EspoCRM is read again before a marker (rules.md §5): the look counts.
        """
        told = MARKER.match(remark)
        looked = person.saved_in == self.run and person.entity_id not in self.carried
        if not told or told[0] in stood or "items" in unread or looked:
            return
        value = decoded(told[1])
        held = {one.get("phoneNumber") or one.get("emailAddress") for one in self.firm.espo.items(person.entity_id)}
        if value is not None and canon(value) not in {canon(str(one)) for one in held}:
            yield Violation("a marker is written after its value", f"person{person.number}: {value} is not in EspoCRM")

    # What goes

    def empties(self, person: Person, value: str) -> Iterator[Violation]:
        """What goes from Advoware was shown by EspoCRM, if it was sent there: else nobody can have deleted it."""
        lost = values_that_lost(self.path).get(person.entity_id, set())
        sent = value in self.unseen.get(person.entity_id, ())
        if sent and person.last.get(value, "removed") != "removed" and value not in lost:
            yield Violation("nothing goes that EspoCRM never showed", f"person{person.number}: {value}")

    def takes(self, person: Person, value: str, unread: set[str]) -> Iterator[Violation]:
        """A value people entered goes from one side: somebody took it away, or it lost and is kept in ``conflicts``."""
        if value not in person.last:
            return
        self.taken += 1
        lost = values_that_lost(self.path).get(person.entity_id, set())
        exchanged = bool(person.kinds & EXCHANGES)  # it goes from one row and stands, for now, in another
        theirs = person.last[value] == "removed" or value in person.excused or bool(unread) or exchanged
        if not theirs and value not in lost:
            yield Violation("nothing is taken that nobody took", f"person{person.number}: {value}")


def filled(person: Person, row: Json, remark: str) -> Iterator[Violation]:
    """A slot is reused for its own kommKz only, and never one that keeps somebody's text."""
    slot, told = SLOT.match(row["bemerkung"] or ""), MARKER.match(remark)
    if slot is None or told is None:
        return
    if slot[1] != told[2] or own_text(row["bemerkung"]):
        yield Violation("a slot keeps its kommKz", f"person{person.number}: {row['bemerkung']} becomes {remark}")


def made_twice(person: Person, rows: Iterable[Json], value: str, remark: str) -> Iterator[Violation]:
    """A row is made whose value and marker stand in another one."""
    told = MARKER.match(remark)
    for row in rows:
        same = told and (row["bemerkung"] or "").startswith(told[0]) and canon(row["tlf"] or "") == canon(value)
        if same:
            yield Violation("nothing is made twice", f"person{person.number}: {value} is in row {row['id']}")

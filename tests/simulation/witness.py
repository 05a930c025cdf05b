"""What must hold at every single write, looked at when it arrives and before it takes effect.

Whatever people did since the sync last read the thing it writes is nobody's fault (``storm.note_window_edit``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.simulation.consent import OptOuts
from tests.simulation.invariants import Violation
from tests.simulation.oracle import (
    MARKER,
    canon,
    decode_base64,
    entries_of_items,
    is_relevant,
    text_in_remark,
    value_before_truncation,
)
from tests.simulation.told import values_in_conflicts
from tests.simulation.worlds import Firm, Person

SLOT = re.compile(r"\[ESPOCRM-SLOT:(\d+)\]")
ARRAYS = {"phoneNumberData": "phoneNumber", "emailAddressData": "emailAddress"}
OK = 200
FLAGS = ("optOut", "invalid")
SWAPS = {"swap_rows", "swap_items"}
MAX_REMOVALS, MIN_REMOVALS, MAX_REMOVAL_SHARE = (
    50,
    10,
    0.10,
)  # what a guard lets through without anybody's approval (rules §6)

Json = dict[str, Any]


@dataclass
class WriteChecker:
    """Looks at the writes of one run. ``removal_count``: how many values that people entered it took away or overwrote;
    ``unconfirmed``: what array PUTs were to bring and no GET has shown, by record;
    ``past_markers``: the markers each row had before it was overwritten, which may be put back; ``carried``: the
    records of array PUTs of this ``run``; ``seen_locked``: those that a GET of it showed locked."""

    firm: Firm
    path: Path
    opt_outs: OptOuts
    removal_count: int = 0
    violations: list[Violation] = field(default_factory=list)
    unconfirmed: dict[str, set[str]] = field(default_factory=dict)
    past_markers: dict[str, set[str]] = field(default_factory=dict)
    run: str = ""
    carried: set[str] = field(default_factory=set)
    seen_locked: set[str] = field(default_factory=set)

    def begin_run(self, run: str) -> None:
        """Another run."""
        self.run, self.removal_count = run, 0
        self.violations.clear()
        self.carried.clear()
        self.seen_locked.clear()

    def end_run(self, *, approved: bool) -> None:
        """Say what was seen; raises the first violation."""
        row_count = sum(len(self.firm.rows(person)) for person in self.firm.persons)
        if not approved and (
            self.removal_count > MAX_REMOVALS or self.removal_count > max(MIN_REMOVALS, MAX_REMOVAL_SHARE * row_count)
        ):
            self.violations.append(
                Violation("much is taken only with approval", f"{self.removal_count} values of {row_count} rows")
            )
        if self.violations:
            raise self.violations[0]

    def check_write(self, system: str, call: SimRequest, person: Person | None, unread_edits: set[str]) -> None:
        """A write is about to take effect.

        ``unread_edits``: what people changed of this person since it was last read.
        """
        if person is None or not call.is_write or call.path.endswith("/Note"):
            return
        body = call.json
        changes_entries = system == "advo" or bool(ARRAYS.keys() & body.keys())
        if changes_entries and person.entity_id in self.seen_locked & self.locked_ids():
            self.violations.append(Violation("a locked person waits", f"person{person.number}: {call.path}"))
        if system == "espo":
            self.note_sent(person, body)
            self.carried |= {person.entity_id} if ARRAYS.keys() & body.keys() else set()
            self.violations += [
                violation
                for name in ARRAYS
                if name in body
                for violation in self.check_array(person, name, body, unread_edits)
            ]
            lifted_opt_outs = [f"person{person.number}: of {key}" for key in self.opt_outs.keys_lifted_by(body)]
            self.violations += [Violation("no opt-out is lifted", detail) for detail in lifted_opt_outs]
        else:
            self.violations += self.check_row(person, call, body, unread_edits)

    def note_answer(self, call: SimRequest, answer: SimResponse) -> None:
        """A request was answered; what a GET shows of a record may be gone later."""
        entity_id = call.path.rpartition("/")[2]
        if call.method == "GET" and answer.status == OK and entity_id in self.locked_ids():
            self.seen_locked.add(entity_id)
        unconfirmed_values = self.unconfirmed.get(call.path.rpartition("/")[2]) if call.method == "GET" else None
        if not unconfirmed_values or answer.status != OK:
            return
        try:
            record = json.loads(answer.body)
        except ValueError:  # a page, or half an answer
            return
        unconfirmed_values.difference_update(
            entries_of_items(item for name in ARRAYS for item in record.get(name) or ())
        )

    def locked_ids(self) -> set[str]:
        """The records that staff keep locked now."""
        return {entity_id for entity_id, record in self.firm.espo.store.records.items() if record.is_locked}

    def note_sent(self, person: Person, body: Json) -> None:
        """An array PUT is to bring what its record does not hold."""
        current_entries = entries_of_items(self.firm.espo.items(person.entity_id))
        new_entries = entries_of_items(item for name in ARRAYS for item in body.get(name) or ()) - current_entries
        self.unconfirmed.setdefault(person.entity_id, set()).update(new_entries)

    # EspoCRM's arrays

    def check_array(self, person: Person, name: str, body: Json, unread_edits: set[str]) -> Iterator[Violation]:
        """Items go back whole, and none goes that nobody took."""
        key = ARRAYS[name]
        items_sent = {str(item[key]): item for item in body[name]}
        if "items" in unread_edits:
            return
        for item in self.firm.espo.items(person.entity_id):
            if key not in item:
                continue
            sent_item = items_sent.get(str(item[key]))
            value = canon(item[key])
            # a number typed into another row takes over that pair's flags; one that is shared is edited elsewhere too
            may_differ = (
                value in person.sides_by_value or value in self.firm.shared_values or bool(person.edit_kinds & SWAPS)
            )
            if sent_item is not None and not may_differ and any(sent_item.get(flag) != item[flag] for flag in FLAGS):
                yield Violation("EspoCRM's items are written whole", f"person{person.number}: {item} as {sent_item}")
            if value not in {canon(sent_value) for sent_value in items_sent}:
                yield from self.check_removal(person, value, unread_edits)

    # Advoware's rows

    def check_row(self, person: Person, call: SimRequest, body: Json, unread_edits: set[str]) -> Iterator[Violation]:
        """A marker follows its value, a slot keeps its kommKz, no value goes that nobody took."""
        number = call.path.rpartition("/")[2]
        rows = {str(row["id"]): row for row in self.firm.rows(person)}
        row = rows.get(number) if call.method == "PUT" else None
        remark, value = body.get("bemerkung") or "", body.get("tlf") or ""
        past_markers = self.past_markers.setdefault(number, set())
        if row is not None and (marker := MARKER.match(row["bemerkung"] or "")):
            past_markers.add(marker[0])
        yield from self.check_marker(person, remark, past_markers, unread_edits)
        if call.method == "POST":
            read_rows = [row for komm_id, row in rows.items() if f"row{komm_id}" not in unread_edits]
            yield from check_duplicate_row(person, read_rows, value, remark)
        if row is None or f"row{number}" in unread_edits:
            return
        if value and not row["tlf"]:
            yield from check_slot_reuse(person, row, remark)
        other_values = {
            canon(other_row["tlf"])
            for other_row in rows.values()
            if other_row is not row and is_relevant(other_row["tlf"])
        }
        limit = self.firm.traits.max_tlf
        other_values |= {
            canon(full_value)
            for other_row in rows.values()
            if (full_value := value_before_truncation(other_row, limit))
        }  # it is put back at once
        if is_relevant(row["tlf"]) and canon(row["tlf"]) not in {canon(value), *other_values}:
            yield from self.check_deletion(person, canon(row["tlf"]))
            yield from self.check_removal(person, canon(row["tlf"]), unread_edits)

    def check_marker(
        self, person: Person, remark: str, past_markers: set[str], unread_edits: set[str]
    ) -> Iterator[Violation]:
        """The value a marker speaks of is in EspoCRM, unless the row had this marker before.

        Without an array PUT nothing of EspoCRM is read again before a marker (rules §5): the look counts.
        """
        marker = MARKER.match(remark)
        looked = person.saved_in == self.run and person.entity_id not in self.carried
        if not marker or marker[0] in past_markers or "items" in unread_edits or looked:
            return
        value = decode_base64(marker[1])
        espo_values = {
            item.get("phoneNumber") or item.get("emailAddress") for item in self.firm.espo.items(person.entity_id)
        }
        if value is not None and canon(value) not in {canon(str(espo_value)) for espo_value in espo_values}:
            yield Violation("a marker is written after its value", f"person{person.number}: {value} is not in EspoCRM")

    # What goes

    def check_deletion(self, person: Person, value: str) -> Iterator[Violation]:
        """What goes from Advoware was shown by EspoCRM, if it was sent there: else nobody can have deleted it."""
        conflict_values = values_in_conflicts(self.path).get(person.entity_id, set())
        was_sent = value in self.unconfirmed.get(person.entity_id, ())
        if was_sent and person.last_edits.get(value, "removed") != "removed" and value not in conflict_values:
            yield Violation("nothing goes that EspoCRM never showed", f"person{person.number}: {value}")

    def check_removal(self, person: Person, value: str, unread_edits: set[str]) -> Iterator[Violation]:
        """A value people entered goes from one side: somebody took it away, or it lost and is kept in ``conflicts``."""
        if value not in person.last_edits:
            return
        self.removal_count += 1
        conflict_values = values_in_conflicts(self.path).get(person.entity_id, set())
        was_swapped = bool(person.edit_kinds & SWAPS)  # it goes from one row and stands, for now, in another
        is_intended = (
            person.last_edits[value] == "removed" or value in person.excused_values or bool(unread_edits) or was_swapped
        )
        if not is_intended and value not in conflict_values:
            yield Violation("nothing is taken that nobody took", f"person{person.number}: {value}")


def check_slot_reuse(person: Person, row: Json, remark: str) -> Iterator[Violation]:
    """A slot is reused for its own kommKz only, and never one that keeps somebody's text."""
    slot, marker = SLOT.match(row["bemerkung"] or ""), MARKER.match(remark)
    if slot is None or marker is None:
        return
    if slot[1] != marker[2] or text_in_remark(row["bemerkung"]):
        yield Violation("a slot keeps its kommKz", f"person{person.number}: {row['bemerkung']} becomes {remark}")


def check_duplicate_row(person: Person, rows: Iterable[Json], value: str, remark: str) -> Iterator[Violation]:
    """A row is made whose value and marker stand in another one."""
    marker = MARKER.match(remark)
    for row in rows:
        is_same = marker and (row["bemerkung"] or "").startswith(marker[0]) and canon(row["tlf"] or "") == canon(value)
        if is_same:
            yield Violation("nothing is made twice", f"person{person.number}: {value} is in row {row['id']}")

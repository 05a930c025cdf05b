"""Who opted out, and what of it the sync could see: EspoCRM keeps an opt-out once for all records with the value.

A value is named by EspoCRM's own key, the number as stored or the mail in small letters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jobs.sandbox.espocrm.arrays import AddressBook
from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.simulation.worlds import Firm

Json = dict[str, Any]
SCALARS = ("phoneNumber", "emailAddress")


@dataclass
class OptOuts:
    """``unread_keys``: what people opted out of in this run, since a read last showed it; ``known_keys``: what the
    state store saw opted out; ``is_blind``: an answer of EspoCRM since our last array PUT was no true one."""

    firm: Firm
    unread_keys: set[str] = field(default_factory=set)
    known_keys: set[str] = field(default_factory=set)
    is_blind: bool = False

    def begin_run(self) -> None:
        """Another run: whatever it writes, it reads before."""
        self.unread_keys.clear()
        self.is_blind = False

    def note_rest(self) -> None:
        """Everybody was looked at; an opt-out of a value that was dropped is remembered."""
        opt_outs = self.opt_out_keys()
        self.known_keys = {key for key in opt_outs if key in self.known_keys or self.is_in_use(key)}

    def opt_out_keys(self) -> set[str]:
        """What people opted out of, whoever has it."""
        return {key for book in self.address_books() for key, row in book.rows.items() if row.opt_out}

    def address_books(self) -> tuple[AddressBook, AddressBook]:
        """EspoCRM's rows of both kinds."""
        return self.firm.espo.store.phones, self.firm.espo.store.mails

    def holders(self, key: str) -> set[str]:
        """Whoever has the value, Contacts and deleted records included."""
        return {record_id for book in self.address_books() for record_id in book.holders([key])}

    def is_in_use(self, key: str) -> bool:
        """Whether a record that is not deleted, and that the sync may read, has the value."""
        records = self.firm.espo.store.records
        return any(record_id in records and not records[record_id].deleted for record_id in self.holders(key))

    def is_protected(self, key: str) -> bool:
        """Whether EspoCRM keeps its row whatever the sync sends."""
        return not self.holders(key).isdisjoint(self.firm.espo.store.role.protected_ids)

    def note_edits(self, before: Iterable[str]) -> None:
        """People edited in the middle of a run."""
        self.unread_keys |= self.opt_out_keys() - set(before)

    def note_answer(self, call: SimRequest, answer: SimResponse, *, altered: bool) -> None:
        """An answer of EspoCRM reached the sync: what it shows is seen."""
        if call.is_write:
            self.is_blind = self.is_blind and "Data" not in call.body
        elif altered or answer.status != 200 or not answer.body.startswith(b"{"):
            self.is_blind = True
        else:
            self.unread_keys -= keys_of_record(json.loads(answer.body))

    def keys_lifted_by(self, body: Json) -> Iterator[str]:
        """What an array PUT takes the opt-out from, though it could be seen: a record has it so, or it was known."""
        items_sent = {
            key: item for scalar in SCALARS for key, item in items_by_key(body, scalar) if not item.get("optOut")
        }
        for key in items_sent.keys() & self.opt_out_keys() - self.unread_keys:
            if not (self.is_blind or self.is_protected(key)) and (key in self.known_keys or self.is_in_use(key)):
                yield key


def items_by_key(record: Json, scalar: str) -> Iterator[tuple[str, Json]]:
    """The items of one kind by their keys."""
    for item in record.get(f"{scalar}Data") or ():
        value = str(item[scalar])
        yield value if scalar == "phoneNumber" else value.lower(), item


def keys_of_record(record: Json) -> set[str]:
    """Everything a record shows."""
    return {key for scalar in SCALARS for key, _ in items_by_key(record, scalar)}

"""Who opted out, and what of it the sync could see: EspoCRM keeps an opt-out once for all records with the value.

A value is named by EspoCRM's own key, the number as stored or the mail in small letters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jobs.sandbox.espocrm_arrays import AddressBook
from jobs.sandbox.simulator import Answer, Call
from tests.simulation.worlds import Firm

Json = dict[str, Any]
SCALARS = ("phoneNumber", "emailAddress")


@dataclass
class Consent:
    """``unseen``: what people opted out of in this run, since a read last showed it; ``known``: what the state store
    saw opted out; ``blind``: an answer of EspoCRM since our last array PUT was no true one."""

    firm: Firm
    unseen: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    blind: bool = False

    def begin(self) -> None:
        """Another run: whatever it writes, it reads before."""
        self.unseen.clear()
        self.blind = False

    def at_rest(self) -> None:
        """Everybody was looked at; an opt-out of a value that was dropped is remembered."""
        out = self.opted_out()
        self.known = {key for key in out if key in self.known or self.is_held(key)}

    def opted_out(self) -> set[str]:
        """What people opted out of, whoever has it."""
        return {key for book in self.books() for key, row in book.rows.items() if row.opt_out}

    def books(self) -> tuple[AddressBook, AddressBook]:
        """EspoCRM's rows of both kinds."""
        return self.firm.espo.store.phones, self.firm.espo.store.mails

    def holders(self, key: str) -> set[str]:
        """Whoever has the value, Contacts and deleted records included."""
        return {one for book in self.books() for one in book.holders([key])}

    def is_held(self, key: str) -> bool:
        """Whether a record that is not deleted, and that the sync may read, has the value."""
        records = self.firm.espo.store.records
        return any(one in records and not records[one].deleted for one in self.holders(key))

    def is_protected(self, key: str) -> bool:
        """Whether EspoCRM keeps its row whatever the sync sends."""
        return not self.holders(key).isdisjoint(self.firm.espo.store.role.protected)

    def edited(self, before: Iterable[str]) -> None:
        """People edited in the middle of a run."""
        self.unseen |= self.opted_out() - set(before)

    def answered(self, call: Call, answer: Answer, *, spoiled: bool) -> None:
        """An answer of EspoCRM reached the sync: what it shows is seen."""
        if call.is_write:
            self.blind = self.blind and "Data" not in call.body
        elif spoiled or answer.status != 200 or not answer.body.startswith(b"{"):
            self.blind = True
        else:
            self.unseen -= keys_of(json.loads(answer.body))

    def lifted(self, body: Json) -> Iterator[str]:
        """What an array PUT takes the opt-out from, though it could be seen: a record has it so, or it was known."""
        sent = {key: item for scalar in SCALARS for key, item in items_of(body, scalar) if not item.get("optOut")}
        for key in sent.keys() & self.opted_out() - self.unseen:
            if not (self.blind or self.is_protected(key)) and (key in self.known or self.is_held(key)):
                yield key


def items_of(record: Json, scalar: str) -> Iterator[tuple[str, Json]]:
    """The items of one kind by their keys."""
    for item in record.get(f"{scalar}Data") or ():
        value = str(item[scalar])
        yield value if scalar == "phoneNumber" else value.lower(), item


def keys_of(record: Json) -> set[str]:
    """Everything a record shows."""
    return {key for scalar in SCALARS for key, _ in items_of(record, scalar)}

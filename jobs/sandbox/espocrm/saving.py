"""What EspoCRM takes of a body, and EspoCRMs that store less: that die within an array PUT, or whose hook undoes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.sandbox.espocrm.arrays import InvalidField, StoredPart, check_mails, normalize_phones
from jobs.sandbox.espocrm.record import check_value, writable_attributes
from jobs.sandbox.espocrm.refusals import espo_refusal, field_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobs.sandbox.espocrm.arrays import AddressBook
    from jobs.sandbox.espocrm.record import Record
    from jobs.sandbox.simulator import Json, SimulatedFault


@dataclass(frozen=True, slots=True)
class PutCrash:
    """How far an array PUT gets before EspoCRM dies in it: the plain fields, and of the arrays what is said (fact B26).

    ``PutCrash()`` stores scalars and `modifiedAt` only, ``Death(Stored.ALL, Stored.UNLINKED)`` the mails and of the
    phones that old ones went. The caller gets 500 without a body, or ``fault``.
    """

    mails: StoredPart = StoredPart.NOTHING
    phones: StoredPart = StoredPart.NOTHING
    fault: type[SimulatedFault] | None = None

    def stored_part(self, book: AddressBook) -> StoredPart:
        """How much of this array was stored."""
        return self.phones if book.is_phone else self.mails

    def exception(self) -> Exception:
        """What the caller gets."""
        return self.fault() if self.fault else espo_refusal(500, "")


@dataclass(frozen=True, slots=True)
class ResettingHook:
    """A hook of the firm's own that undoes what an array PUT says of the values it ``guards``: of all of them.

    The PUT is answered with 200 and either echoes what was sent or shows what is stored.
    """

    echoes: bool = True
    guards: Callable[[str], bool] = lambda _value: True

    def surviving_items(self, sent: list[Json], stored: list[Json], scalar: str) -> list[Json]:
        """What of a sent array is stored: a guarded value as it stood, or not at all."""
        return [
            *(item for item in stored if self.guards(item[scalar])),
            *(item for item in sent if not self.guards(str(item.get(scalar) or ""))),
        ]


def validate_body(data: Json, fields: dict[str, Json], settings: Json) -> tuple[Json, Json]:
    """What of a body takes effect: plain values and normalised arrays. One bad value refuses it whole."""
    try:
        values = {name: data[name] for name in writable_attributes(fields) if name in data}
        for name, value in values.items():
            check_value(name, value, fields[name])
        arrays: Json = {}
        if data.get("phoneNumberData") is not None:
            types = fields["phoneNumber"]["typeList"]
            arrays["phoneNumberData"] = normalize_phones(data["phoneNumberData"], settings, types)
        if data.get("emailAddressData") is not None:
            arrays["emailAddressData"] = check_mails(data["emailAddressData"], settings)
    except InvalidField as error:
        raise field_refusal(error) from None
    return values, arrays


def stale_scalars(
    record: Record, books: Iterable[AddressBook], before: Iterable[tuple[str | None, Json]], *, always: bool
) -> Json:
    """The scalars in an array PUT's answer: a changed primary by its key, all else as it was before (fact B29).

    ``always``: the primary, too.
    """
    result: Json = {}
    for book, (old_primary, scalars) in zip(books, before, strict=True):
        new_primary = None if always else book.primary(record.id)
        result |= scalars if new_primary in {None, old_primary} else {**scalars, book.scalar: new_primary}
    return result

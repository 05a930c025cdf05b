"""EspoCRMs that store less than they are sent: one that dies within an array PUT, one whose hook undoes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.sandbox.espocrm.arrays import StoredPart
from jobs.sandbox.espocrm.refusals import espo_refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.sandbox.espocrm.arrays import AddressBook
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

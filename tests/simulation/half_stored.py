"""EspoCRMs that store less than they are sent, for a while: a hook, a role without a field, a death within the PUT.

All begin at an array PUT of ours, so that what the sync knew at the start of its run says nothing about them.
"""

from __future__ import annotations

from collections.abc import Callable

from jobs.sandbox.espocrm.arrays import StoredPart
from jobs.sandbox.espocrm.saving import PutCrash, ResettingHook
from jobs.sandbox.simulator import ConnectionLost, TimedOut
from tests.simulation.fault import FaultContext

NOTHING, UNLINKED, LINKED, ALL = StoredPart.NOTHING, StoredPart.UNLINKED, StoredPart.LINKED, StoredPart.ALL
MOST_RUNS = 2  # that meet a fault besides the one in which it began
NO_EDIT = {"read": "yes", "edit": "no"}
FIELDS = (("phoneNumber",), ("emailAddress",), ("phoneNumber", "emailAddress"))


def drop_array_values(*, echoes: bool, share: float = 1.0) -> Callable[[FaultContext], None]:
    """A hook of the firm's undoes what an array PUT says of this share of all values."""

    def inject(context: FaultContext) -> None:
        chance, store = context.injector.chance, context.injector.firm.espo.store
        context.injector.is_unstored = True
        store.hook = ResettingHook(echoes, lambda value: chance.rng(f"guarded {value.lower()}").random() < share)
        context.injector.undo_after(context.rng.randint(0, MOST_RUNS), lambda: setattr(store, "hook", None))

    return inject


def forbid_fields(context: FaultContext) -> None:
    """The API user's role may not edit the phones, the mails, or both."""
    context.injector.is_unstored = True
    fields = context.injector.firm.espo.store.role.fields
    fields |= dict.fromkeys(context.rng.choice(FIELDS), NO_EDIT)
    context.injector.undo_after(context.rng.randint(0, MOST_RUNS), fields.clear)


def die_in_put(*outcomes: tuple[StoredPart, StoredPart]) -> Callable[[FaultContext], None]:
    """EspoCRM dies in this PUT; how much of mails and phones it stored by then is one of these."""

    def inject(context: FaultContext) -> None:
        mails, phones = context.rng.choice(outcomes)
        context.injector.firm.espo.store.put_crashes[:] = [
            PutCrash(mails, phones, context.rng.choice((None, ConnectionLost, TimedOut)))
        ]

    return inject


MAILS_ONLY = die_in_put((ALL, NOTHING))
UNLINKED_ONLY = die_in_put((UNLINKED, NOTHING), (ALL, UNLINKED))
LINKED_ONLY = die_in_put((LINKED, NOTHING), (ALL, LINKED), (LINKED, LINKED))
SCALARS_ONLY = die_in_put((NOTHING, NOTHING))

"""EspoCRMs that store less than they are sent, for a while: a hook, a role without a field, a death within the PUT.

All begin at an array PUT of ours, so that what the sync knew at the start of its run says nothing about them.
"""

from __future__ import annotations

from collections.abc import Callable

from jobs.sandbox.espocrm_arrays import Stored
from jobs.sandbox.espocrm_saving import Death, Hook
from jobs.sandbox.simulator import ConnectionLost, TimedOut
from tests.simulation.fault import Hit

NOTHING, UNLINKED, LINKED, ALL = Stored.NOTHING, Stored.UNLINKED, Stored.LINKED, Stored.ALL
MOST_RUNS = 2  # that meet a fault besides the one in which it began
NO_EDIT = {"read": "yes", "edit": "no"}
FIELDS = (("phoneNumber",), ("emailAddress",), ("phoneNumber", "emailAddress"))


def stores_nothing(*, echoes: bool, share: float = 1.0) -> Callable[[Hit], None]:
    """A hook of the firm's undoes what an array PUT says of this share of all values."""

    def happens(hit: Hit) -> None:
        fate, store = hit.storm.fate, hit.storm.firm.espo.store
        hit.storm.is_unstored = True
        store.hook = Hook(echoes, lambda value: fate.dice(f"guarded {value.lower()}").random() < share)
        hit.storm.last(hit.dice.randint(0, MOST_RUNS), lambda: setattr(store, "hook", None))

    return happens


def withdraws_fields(hit: Hit) -> None:
    """The API user's role may not edit the phones, the mails, or both."""
    hit.storm.is_unstored = True
    fields = hit.storm.firm.espo.store.role.fields
    fields |= dict.fromkeys(hit.dice.choice(FIELDS), NO_EDIT)
    hit.storm.last(hit.dice.randint(0, MOST_RUNS), fields.clear)


def dies_in_a_put(*ways: tuple[Stored, Stored]) -> Callable[[Hit], None]:
    """EspoCRM dies in this PUT; how much of mails and phones it stored by then is one of these."""

    def happens(hit: Hit) -> None:
        mails, phones = hit.dice.choice(ways)
        hit.storm.firm.espo.store.deaths[:] = [Death(mails, phones, hit.dice.choice((None, ConnectionLost, TimedOut)))]

    return happens


MAILS_ONLY = dies_in_a_put((ALL, NOTHING))
UNLINKED_ONLY = dies_in_a_put((UNLINKED, NOTHING), (ALL, UNLINKED))
LINKED_ONLY = dies_in_a_put((LINKED, NOTHING), (ALL, LINKED), (LINKED, LINKED))
SCALARS_ONLY = dies_in_a_put((NOTHING, NOTHING))

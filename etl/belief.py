"""Whether a 404 speaks of the person, or of an address at which nobody is found (rules.md §1, Endings).

The first 404 of a run lets those be asked who were read last. It costs up to three requests, and none without a 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.errors import PersonError
from etl.records import Side
from etl.store.endings import seen_last
from etl.store.states import Absence

if TYPE_CHECKING:
    from etl.run import Run

ASKED: Final = 3
"""Most persons that are asked; one that answers is enough."""

SIDES: Final = {Absence.GONE_IN_ADVOWARE: Side.ADVO, Absence.GONE_IN_ESPOCRM: Side.ESPO}
"""Where somebody was not found."""

ADDRESS: Final = {
    Absence.GONE_IN_ADVOWARE: "Advoware knows {who}, so this says nothing of the person: check advoware.path_prefix, "
    "base_url, kanzlei and database",
    Absence.GONE_IN_ESPOCRM: "EspoCRM knows {who}, so this says nothing of the person: check espocrm.url and entity, "
    "and what the role of the API user may read",
}
"""Why a 404 is not believed, and what to look at."""

NONE_OF_THEM, NOBODY_TO_ASK = "none of those it showed last either", "nobody whom it ever showed"


def is_believed(run: Run, kind: Absence) -> bool:
    """Whether what was seen counts: a 404 does when the same system still shows anybody it showed before."""
    return kind not in SIDES or why_not(run, kind) is None


def why_not(run: Run, kind: Absence) -> str | None:
    """Why no 404 of this kind is believed in this run, in a sentence; None when they are. Asked once a run."""
    if kind not in run.unbelieved:
        known = seen_last(run.store, SIDES[kind], run.absent, ASKED)
        who = NONE_OF_THEM if known else NOBODY_TO_ASK
        there = any(answers(run, kind, one["entity_id"], one["betnr"]) for one in known)
        run.unbelieved[kind] = None if there else ADDRESS[kind].format(who=who)
    return run.unbelieved[kind]


def answers(run: Run, kind: Absence, entity_id: str, betnr: int) -> bool:
    """Whether a system shows a person now."""
    try:
        if kind is Absence.GONE_IN_ADVOWARE:
            run.advoware.fetch(betnr)
        else:
            run.espo.fetch(entity_id)
    except PersonError:
        return False
    return True

"""One run: what every stage is given, and what the run has seen and counted so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from etl.clients.advoware import Advoware
    from etl.clients.espocrm import EspoCrm
    from etl.errors import PersonError
    from etl.records import AdvoPerson, EspoRecord, Item, Row
    from etl.rules.entry import Policy
    from etl.rules.mending import Interrupted
    from etl.rules.plan import Plan
    from etl.store.database import Store
    from etl.store.states import Absence


Approved = frozenset[tuple[object, ...]]
"""What an operator allowed to be taken away or overwritten, one fact tuple a step (``guard.counted_facts``)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of ``config.yaml`` the stages go by (interface.md); units as their names say."""

    overlap_seconds: int = 120
    persons_per_run: int = 1000
    max_staleness_seconds: float = 2
    settle_seconds: int = 5
    poll_budget: int = 500
    espo_readers: int = 2
    advo_readers: int = 4
    outage_after: int = 3
    endings_after_minutes: int = 10
    max_removals: int = 50
    max_removal_share: float = 0.10
    backoff_minutes: tuple[int, ...] = (1, 5, 15, 60, 240)
    max_failures: int = 5
    auto_reset_hours: float = 24
    note_conflicts: bool = True
    language: str = "de"
    only: tuple[str, ...] = ()
    config_digest: str = ""

    def allows(self, entity_id: str, betnr: int | None) -> bool:
        """Whether a person belongs to the pilot group; without one everybody does."""
        return not self.only or entity_id in self.only or str(betnr) in self.only


@dataclass(slots=True)
class Look:
    """The latest reads of one person in this run, with the moments (monotonic seconds) they were answered at."""

    espo: EspoRecord
    espo_at: float
    advo: AdvoPerson
    advo_at: float

    @property
    def items(self) -> tuple[Item, ...]:
        """What EspoCRM showed."""
        return self.espo.items

    @property
    def rows(self) -> tuple[Row, ...]:
        """What Advoware showed."""
        return self.advo.rows


class Absent(NamedTuple):
    """How a person is not there as agreed, and which betnr was asked for, or seen, then."""

    kind: Absence
    seen_betnr: int | None = None


@dataclass
class Tally:
    """What the report counts; each person once.

    ``drifted_…``: whose entries a look found changed there, though no list had said so.
    """

    seen: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    clean: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    left_alone: int = 0
    conflicts: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    newly_held: set[str] = field(default_factory=set)
    drifted_espo: set[str] = field(default_factory=set)
    drifted_advo: set[str] = field(default_factory=set)
    notices: list[str] = field(default_factory=list)


@dataclass
class Run:
    """Store, clients, policy, clock and counters of one run. One thread writes the store; readers only answer.

    ``regular``: it may end people who vanished, and ``notes_absence``: let them wait; others only report them;
    ``absent``: who is not there as agreed with, and ``judged``: of whom that was taken into the store;
    ``unbelieved``: why no 404 of a kind counts in this run, None where they do;
    ``approved``: what an operator allowed, by person; ``counted``: the counted steps the run let through, by person;
    ``edited``: whose entries differ from the look before; ``foreign``: whom somebody else writes, with the reason;
    ``unstored``: persons in a row whose values EspoCRM confirmed and did not store;
    ``interrupted``: what a broken run left to be mended, by person;
    ``copied_at``: when the copy was made from which the store was put back, if it was;
    ``no_edit``: the sync's own fields, by our name, that the API user may not edit;
    ``planner``: what plans instead of the diff, where an operator puts something back.
    """

    id: int
    store: Store
    espo: EspoCrm
    advoware: Advoware
    policy: Policy
    limits: Limits
    user_id: str
    utcnow: Callable[[], str]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    log: Any
    write: bool = True
    no_edit: frozenset[str] = frozenset()
    regular: bool = True
    notes_absence: bool = True
    copied_at: str | None = None
    absent: dict[str, Absent] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)
    unbelieved: dict[Absence, str | None] = field(default_factory=dict)
    looks: dict[str, Look] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    unconfirmed: set[str] = field(default_factory=set)
    unstored: list[str] = field(default_factory=list)
    unread: dict[str, PersonError] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    approved: Mapping[str, Approved] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=Refusals)
    rows_seen: int = 0
    edited: set[str] = field(default_factory=set)
    foreign: dict[str, str] = field(default_factory=dict)
    interrupted: dict[str, Interrupted] = field(default_factory=dict)
    planner: Callable[[Run, Sequence[str]], Plan] | None = None
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None

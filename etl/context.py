"""One run: what every stage is given, and what the run has seen and counted so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from etl.errors import RIGHTS_HINT, ConsecutiveRefusals, Forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from etl.clients.advoware import AdvowareClient
    from etl.clients.espocrm import EspoClient
    from etl.enums import Absence, HoldKind
    from etl.errors import PersonError
    from etl.records import AdvoRecord, AdvoRow, EspoItem, EspoRecord, Side
    from etl.rules.entry import Policy
    from etl.rules.plan import PersonPlan, Plan
    from etl.rules.truncation import PendingRepair
    from etl.store.database import Store
    from etl.store.tables.journal import ChangeProgress

ApprovedSteps = frozenset[tuple[object, ...]]
"""What an operator allowed to be removed or overwritten: one tuple per step (``etl.guard.removal_facts``)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of ``config.yaml`` that the stages use (jobs/README.md); each name says its unit."""

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
        """Whether a person belongs to the pilot group; without such a group everybody does."""
        return not self.only or entity_id in self.only or str(betnr) in self.only


@dataclass(slots=True)
class PersonReads:
    """The latest reads of one person in this run, and when each was made (monotonic seconds)."""

    espo: EspoRecord
    espo_at: float
    advo: AdvoRecord
    advo_at: float

    @property
    def items(self) -> tuple[EspoItem, ...]:
        """What EspoCRM showed."""
        return self.espo.items

    @property
    def rows(self) -> tuple[AdvoRow, ...]:
        """What Advoware showed."""
        return self.advo.rows


class ObservedAbsence(NamedTuple):
    """How a person is gone or no longer linked as before, and the betnr that was asked for or seen then."""

    kind: Absence
    seen_betnr: int | None = None


@dataclass
class RunCounters:
    """What the report counts; each person once.

    ``hold_kinds``: why a person's steps of this run are held; ``drifted_…``: the persons whose entries a read found
    changed in that system although no list had said so; ``not_as_reviewed``: the persons that a reviewed plan was not
    carried out for, with the reason.
    """

    seen: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    clean: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    hold_kinds: dict[str, HoldKind] = field(default_factory=dict)
    deferred: set[str] = field(default_factory=set)
    locked: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    left_alone: int = 0
    conflicts: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    newly_held: set[str] = field(default_factory=set)
    drifted_espo: set[str] = field(default_factory=set)
    drifted_advo: set[str] = field(default_factory=set)
    not_as_reviewed: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


@dataclass
class Refusals:
    """When a 403 is not the person's fault: one person after another is refused, and nobody gets through (rules §6).

    A refused person fails, and is tried again after all others. Three in a row stop the run, unless one of its writes
    has succeeded (``has_written``); the next run begins behind them.

    Reads come before all writes. So a system that showed us anybody refuses persons, and not us; otherwise three
    persons without rights, read last, would keep everybody read before them from being written, in every run.
    """

    has_written: bool = False
    _streak: list[Forbidden] = field(default_factory=list)
    _answering_systems: set[str] = field(default_factory=set)

    @property
    def affects_everybody(self) -> bool:
        """Whether to believe that every further person would be refused, too."""
        return len(self._streak) >= REFUSALS_TO_STOP and not self.has_written

    def record_read(self, system: str, answer: object) -> None:
        """Note the answer to a person's read; call it in the order in which the reads were asked for."""
        if not isinstance(answer, Forbidden):
            self._answering_systems.add(system)
            self._streak.clear()
        elif system not in self._answering_systems:
            self._streak.append(answer)

    def record_person(self, error: Exception | None) -> None:
        """Note how the sync of one person ended."""
        self._streak = [*self._streak, error] if isinstance(error, Forbidden) else []

    def stop_if_affects_everybody(self) -> None:
        """End the run; call it once the refused persons have been reported."""
        if self.affects_everybody:
            raise ConsecutiveRefusals(self._streak[-1].system, f"403 {RIGHTS_HINT}")


@dataclass
class RunContext:
    """Store, clients, policy, clock and counters of one run. One thread writes the store; the readers only fetch.

    ``regular``: this run may end the sync of persons who vanished, and ``records_absence``: it may let them wait; other
    runs only report them; ``absences``: the persons that are gone or no longer linked as before, and
    ``judged_absences``: those of them that are dealt with;
    ``distrust_reasons``: why no 404 of a kind counts in this run, None where they count;
    ``approved_steps``: what an operator allowed, by person; ``removals_let_through``: the counted steps the run let
    through, by person; ``changed_since_last_read``: the persons whose entries differ from the last read;
    ``second_writer_reasons``: the persons that somebody else writes to, with the reason;
    ``unconfirmed_in_a_row``, ``unstored_in_a_row``: persons in a row whose writes were not confirmed, or were confirmed
    by EspoCRM but not stored; ``unstored_answers``: what Advoware answered since the last commit;
    ``pending_repairs``: what a broken-off run left to be repaired, by person;
    ``restored_copy_at``: the time of the backup that the store was restored from, if it was; ``no_edit``: the sync's
    own fields, by our name, that the API user may not edit; ``planner_override``: what makes the plans instead of the
    diff, where an operator puts something back; ``plan_filter``: whether a plan is the one that somebody reviewed, if
    only that one may be written; ``limit_notice``: by how much the guard's limit is exceeded, if it is;
    ``edited_holds``: the holds of persons an operator let be, whose entries changed since; ``edits``: when people made
    the edits that this run saw, by person and system.
    """

    id: int
    store: Store
    espo: EspoClient
    advo: AdvowareClient
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
    records_absence: bool = True
    restored_copy_at: str | None = None
    absences: dict[str, ObservedAbsence] = field(default_factory=dict)
    judged_absences: set[str] = field(default_factory=set)
    distrust_reasons: dict[Absence, str | None] = field(default_factory=dict)
    reads: dict[str, PersonReads] = field(default_factory=dict)
    counters: RunCounters = field(default_factory=RunCounters)
    unconfirmed_in_a_row: set[str] = field(default_factory=set)
    unstored_in_a_row: list[str] = field(default_factory=list)
    unstored_answers: list[ChangeProgress] = field(default_factory=list)
    read_errors: dict[str, PersonError] = field(default_factory=dict)
    deleted_to_show: list[str] = field(default_factory=list)
    approved_steps: Mapping[str, ApprovedSteps] = field(default_factory=dict)
    removals_let_through: dict[str, int] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=Refusals)
    limit_notice: str | None = None
    edited_holds: dict[str, int] = field(default_factory=dict)
    edits: dict[tuple[str, Side], str] = field(default_factory=dict)
    rows_seen: int = 0
    changed_since_last_read: set[str] = field(default_factory=set)
    second_writer_reasons: dict[str, str] = field(default_factory=dict)
    pending_repairs: dict[str, PendingRepair] = field(default_factory=dict)
    planner_override: Callable[[RunContext, Sequence[str]], Plan] | None = None
    plan_filter: Callable[[RunContext, str, PersonPlan | None], bool] | None = None
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None


REFUSALS_TO_STOP = 3


CONFIG_DIGEST: Final = "config_digest"
"""Setting: the digest of the configuration that was approved last, or else used first."""


def has_configuration_changed(run: RunContext) -> bool:
    """Whether the configuration differs from the one that was approved last (or used first)."""
    approved_digest = run.store.setting(CONFIG_DIGEST)
    return (
        approved_digest is not None and bool(run.limits.config_digest) and approved_digest != run.limits.config_digest
    )

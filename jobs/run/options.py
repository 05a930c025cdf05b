"""What a command asks of a run.

Whom a backfill is to take, out of what was typed; whatever cannot be meant is refused at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from etl.enums import PersonStatus
from etl.errors import ConfigError
from etl.times import format_utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from etl.records import Direction, Scope
    from etl.store.database import Store
    from jobs.config import Config
    from jobs.environment import Environment
    from jobs.run.plan_file import ReviewedPlan

@dataclass(frozen=True)
class RunOptions:
    """What is asked; None means: as the configuration says. ``write`` off is a plan.

    ``whole``: not only the run that is undone or approved, but all chunks of the longer work it belongs to.
    ``part_of``: the first run of the longer work of which this one is a later chunk. ``held``: a plan of those a guard
    holds. ``reviewed``: a plan of which only the steps that are still the same are carried out.
    """

    trigger: str = "sync"
    direction: Direction | None = None
    scope: Scope | None = None
    persons: tuple[str, ...] = ()
    sweep: bool = False
    held: bool = False
    write: bool = True
    operator: str | None = None
    reason: str | None = None
    approve_run: int | None = None
    undo_run: int | None = None
    restore: int | None = None
    backfill: Selection | None = None
    reviewed: ReviewedPlan | None = None
    whole: bool = False
    part_of: int | None = None

    @property
    def runs_in_chunks(self) -> bool:
        """Whether it is done in chunks that give way to others between them."""
        return self.sweep or self.whole or self.backfill is not None

    @property
    def is_regular(self) -> bool:
        """Whether it is a sync, a sweep or a backfill, not of persons who were named: one of them ends a person."""
        return self.records_absence and self.approve_run is None and self.reviewed is None

    @property
    def records_absence(self) -> bool:
        """Whether it lets people wait who vanished: an approval, too, so that whom a guard holds is looked at again."""
        is_approval = self.approve_run is not None
        is_named = self.held or (self.persons and not is_approval)
        return not is_named and self.undo_run is None and self.restore is None

    @property
    def can_be_reviewed(self) -> bool:
        """Whether it is a plan of what a sync would do, which ``sync --plan`` can carry out."""
        puts_back = self.undo_run is not None or self.restore is not None
        return not (self.write or puts_back or self.backfill)

    @property
    def kind(self) -> str:
        """What ``runs`` calls it: a sync of persons who were named is no run over everybody, as ``status`` wants it."""
        return "person" if (self.persons or self.reviewed) and self.trigger == "sync" else self.trigger

    @property
    def begins_anew(self) -> bool:
        """Whether it may be the first run of a firm: it is about no earlier one."""
        return self.target_id is None and not (self.backfill is not None and self.backfill.resume)

    @property
    def target_id(self) -> int | None:
        """The run or conflict the command was given."""
        reviewed_run = self.reviewed.run_id if self.reviewed is not None else None
        targets = (self.approve_run, self.undo_run, self.restore, reviewed_run)
        return next((target for target in targets if target is not None), None)


@dataclass(frozen=True)
class Selection:
    """Whom a backfill takes: those that fit one of the given marks; ``resume`` goes on with the last one's.

    ``begun_by``: only with the one this run began; another that was begun meanwhile has its own command.
    """

    everybody: bool = False
    betnrs: tuple[int, ...] = ()
    entities: tuple[str, ...] = ()
    since: str | None = None
    statuses: tuple[str, ...] = ()
    chunk: int = 200
    resume: bool = False
    begun_by: int | None = None


@dataclass(frozen=True)
class RunRequest:
    """A run as it was ordered: what is asked, by which configuration, in which world, on which store."""

    config: Config
    options: RunOptions
    environment: Environment
    store: Store

    @property
    def direction(self) -> Direction:
        """The direction of this run."""
        reviewed = self.options.reviewed
        return reviewed.direction if reviewed else self.options.direction or self.config.sync.direction

    @property
    def scope(self) -> Scope:
        """The conflict scope of this run."""
        reviewed = self.options.reviewed
        return reviewed.scope if reviewed else self.options.scope or self.config.sync.conflict_scope


def parse_selection(  # noqa: PLR0913 - an option each
    *,
    everybody: bool = False,
    betnrs: Sequence[int] | None = None,
    entities: Sequence[str] | None = None,
    since: str | None = None,
    zone: tzinfo = UTC,
    statuses: Sequence[str] | None = None,
    chunk: int = 200,
    resume: bool = False,
) -> Selection:
    """The selection; ConfigError when it selects nobody, or goes on with one and begins another.

    ``since``: a day in ``zone``.
    """
    has_criteria = bool(everybody or betnrs or entities or since or statuses)
    if resume and has_criteria:
        raise ConfigError("--resume goes on with the selection that was begun; leave the others out.")
    if not (resume or has_criteria):
        raise ConfigError("Say whom: --all, --betnr, --entity, --since or --status; or --resume the last one.")
    if everybody and (betnrs or entities):
        raise ConfigError("--all means everybody; leave --betnr and --entity out, or --all.")
    unknown_statuses = [status for status in statuses or () if status not in set(PersonStatus)]
    if unknown_statuses:
        raise ConfigError(f"--status {unknown_statuses[0]}: there is {', '.join(PersonStatus)}.")
    return Selection(
        everybody,
        tuple(betnrs or ()),
        tuple(entity_id.strip() for entity_id in entities or ()),
        None if since is None else format_utc(datetime.combine(parse_since_day(since), time(), zone)),
        tuple(statuses or ()),
        chunk,
        resume,
    )


def parse_since_day(text: str) -> date:
    """A day as people type it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--since {text}: a day is written like 2026-08-01.") from None

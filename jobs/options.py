"""What a command asks of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etl.records import Direction, Scope
    from etl.store.database import Store
    from jobs.config import Config
    from jobs.world import World


@dataclass(frozen=True)
class Options:
    """What is asked; None means: as the configuration says. ``write`` off is a plan.

    ``whole``: not only the run that is undone or approved, but all chunks of the longer work it belongs to.
    ``part_of``: the first run of the longer work of which this one is a later chunk.
    """

    trigger: str = "sync"
    direction: Direction | None = None
    scope: Scope | None = None
    persons: tuple[str, ...] = ()
    sweep: bool = False
    write: bool = True
    operator: str | None = None
    reason: str | None = None
    approve_run: int | None = None
    undo_run: int | None = None
    restore: int | None = None
    backfill: Selection | None = None
    whole: bool = False
    part_of: int | None = None

    @property
    def in_chunks(self) -> bool:
        """Whether it is done in chunks that give way to others between them."""
        return self.sweep or self.whole or self.backfill is not None

    @property
    def regular(self) -> bool:
        """Whether it is a sync, a sweep or a backfill, not of persons who were named: one of them ends a person."""
        return self.notes_absence and self.approve_run is None

    @property
    def notes_absence(self) -> bool:
        """Whether it lets people wait who vanished: an approval, too, so that whom a guard holds is looked at again."""
        return not self.persons and self.undo_run is None and self.restore is None

    @property
    def kind(self) -> str:
        """What ``runs`` calls it: a sync of persons who were named is no run over everybody, as ``status`` wants it."""
        return "person" if self.persons and self.trigger == "sync" else self.trigger

    @property
    def about(self) -> int | None:
        """The run or conflict the command was given."""
        return next((one for one in (self.approve_run, self.undo_run, self.restore) if one is not None), None)


@dataclass(frozen=True)
class Selection:
    """Whom a backfill takes: those that fit one of the given marks; ``resume`` goes on with the last one's."""

    everybody: bool = False
    betnrs: tuple[int, ...] = ()
    entities: tuple[str, ...] = ()
    since: str | None = None
    statuses: tuple[str, ...] = ()
    chunk: int = 200
    resume: bool = False


@dataclass(frozen=True)
class Order:
    """A run as it was ordered: what is asked, by which configuration, in which world, on which store."""

    config: Config
    options: Options
    world: World
    store: Store

    @property
    def direction(self) -> Direction:
        """The direction of this run."""
        return self.options.direction or self.config.sync.direction

    @property
    def scope(self) -> Scope:
        """The conflict scope of this run."""
        return self.options.scope or self.config.sync.conflict_scope

"""One entry and what is decided about it, as frozen values: what the joins hand to the per-person rules.

``key`` fields are those of ``etl.rules.joins.matching``: equal keys mean the same person, channel and canonical value,
None means no value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.rules.espo.array_read import PartialPut

if TYPE_CHECKING:
    from etl.enums import Action, LeftAloneReason
    from etl.records import Channel, Direction, EspoItem, Scope, Side
    from etl.rules.marker import MarkerKind
    from etl.rules.values.doubts import Doubt
    from etl.rules.values.kommkz import KommKzTable
    from etl.rules.variants import EntryFacts, Resolution, Variant


@dataclass(frozen=True, slots=True)
class Policy:
    """What a run may do: configuration, and what EspoCRM's settings say (``max_items`` infinite: no limit).

    ``readonly_channels``, ``unreadable_channels``: the channels whose field the API user may not edit, or read.
    """

    direction: Direction
    scope: Scope
    region: str
    table: KommKzTable
    international: bool = True
    max_items: float = 10
    readonly_channels: frozenset[Channel] = frozenset()
    unreadable_channels: frozenset[Channel] = frozenset()


@dataclass(frozen=True, slots=True)
class EspoEntry:
    """An item, with its key and the kommKz its type stands for; ``doubt`` and ``readings`` of an unclear value only."""

    item: EspoItem
    canonical: str
    key: int | None
    komm_kz: int
    doubt: Doubt | None = None
    readings: str | None = None


@dataclass(frozen=True, slots=True)
class AdvoEntry:
    """A row, with its remark taken apart; ``doubt`` and ``readings`` of an unclear value only.

    ``komm_kz`` is the payload's: 0 where Advoware does not tell.
    """

    komm_id: int
    row_id: str
    value: str
    canonical: str | None
    key: int | None
    remark: str | None
    own_text: str
    marker_kind: MarkerKind
    marker_key: int | None
    marker_komm_kz: int | None
    channel: Channel | None
    online: bool
    komm_kz: int
    doubt: Doubt | None = None
    readings: str | None = None


@dataclass(frozen=True, slots=True)
class BaselinePair:
    """A baseline row: what both sides last agreed on. ``pseudo``: read off a marker by a recovery."""

    komm_id: int
    espo_value: str
    espo_canonical: str
    espo_type: str | None
    advo_value: str
    advo_canonical: str
    komm_kz: int
    espo_key: int | None
    advo_key: int | None
    unmarked: bool = False
    remark: str | None = None
    pseudo: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One phone, fax or mail value of a person, with what each side and the baseline say of it.

    ``facts``: what its variant follows from; None for an entry of an operator's request or of a repair.
    ``retype_row``: the row that a retype takes instead of making one (``etl.rules.leftovers``).
    """

    channel: Channel
    variant: Variant
    komm_kz: int
    facts: EntryFacts | None = None
    base: BaselinePair | None = None
    row: AdvoEntry | None = None
    item: EspoEntry | None = None
    retype_row: AdvoEntry | None = None

    @property
    def marked(self) -> bool:
        """Whether the row's marker says what it should."""
        return self.facts is not None and self.facts.marked

    @property
    def type_edit(self) -> bool:
        """Whether somebody gave the item a type of another kommKz."""
        return self.facts is not None and self.facts.type_edit

    @property
    def row_key(self) -> int | None:
        """Key of the value Advoware holds, None without one."""
        return self.row.key if self.row is not None and self.row.value else None

    @property
    def item_key(self) -> int | None:
        """Key of the value EspoCRM holds, None without one."""
        return self.item.key if self.item is not None else None

    @property
    def row_holds_baseline(self) -> bool:
        """Whether the row was the pair of the very value it still holds."""
        return self.base is not None and self.row_key is not None and self.row_key == self.base.advo_key


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Why nothing is done about an entry.

    ``komm_id`` is the row of the entry; for a value that Advoware did not take, or that nobody can read, the row whose
    value it was to replace.
    """

    side: Side
    reason: LeftAloneReason
    detail: str
    value: str
    komm_id: int | None = None
    direction: Direction | None = None
    channel: Channel | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One write of one entry.

    ``item`` is what EspoCRM ends with, ``old_item`` what it had; rows carry all they are sent.
    """

    side: Side
    action: Action
    channel: Channel
    komm_id: int | None = None
    komm_kz: int | None = None
    old_value: str | None = None
    new_value: str | None = None
    old_remark: str | None = None
    new_remark: str | None = None
    online: bool = False
    old_item: EspoItem | None = None
    item: EspoItem | None = None
    old_row_id: str | None = None


@dataclass(frozen=True, slots=True)
class NextBaseline:
    """The baseline row a decision ends with; ``komm_id`` is None until Advoware assigns it."""

    komm_id: int | None
    channel: Channel
    espo_value: str
    espo_type: str | None
    advo_value: str
    komm_kz: int
    unmarked: bool = False
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one entry.

    ``keeps_baseline``: its baseline row stays as it is; else ``ended_komm_ids`` end and ``next_baseline`` is set.
    """

    entry: Entry
    variant: Variant
    resolution: Resolution
    reason: str
    steps: tuple[Step, ...] = ()
    keeps_baseline: bool = False
    next_baseline: NextBaseline | None = None
    ended_komm_ids: tuple[int, ...] = ()
    left_alone: LeftAlone | None = None
    lost_value: str | None = None


@dataclass(frozen=True, slots=True)
class PersonState:
    """A person as a whole: what the entries alone cannot tell.

    ``first_sync_interrupted``: its first sync was broken off. ``partial_put``: what array PUTs of ours did only in part
    (rules §5). ``unreadable_notes``: the notes about channels that may not be read.
    """

    entity_id: str
    betnr: int
    first_sync: bool
    first_sync_interrupted: bool = False
    recovery: bool = False
    empty_side: Side | None = None
    waiting_side: Side | None = None
    items: tuple[EspoItem, ...] = ()
    slots: tuple[AdvoEntry, ...] = ()
    left_alone: tuple[LeftAlone, ...] = field(default=())
    partial_put: PartialPut = field(default_factory=PartialPut)
    unreadable_notes: tuple[LeftAlone, ...] = ()
    duplicate_items: tuple[EspoEntry, ...] = ()

"""A channel whose field the API user may not read is not synced at all (rules.md §5). Pure.

EspoCRM leaves such a field out of every answer (espocrm-api.md ² 14): absent is not empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etl.frames import ENTRY, PERSON
from etl.records import Channel, Side
from etl.rules.columns import Columns
from etl.rules.entry import Left
from etl.rules.rights import FIELD, MAY_NOT, TOWARDS_ESPO
from etl.rules.seen import left_note
from etl.rules.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pandas as pd


def readable(frames: Mapping[str, pd.DataFrame], channels: Collection[Channel]) -> Mapping[str, pd.DataFrame]:
    """The frames without what belongs to ``channels``. A row is its pair's, whatever stands in it by now."""
    if not channels:
        return frames
    of_base = frames["baseline"]["channel"].isin(list(channels))
    pairs = frames["baseline"][ENTRY].assign(hidden=of_base)
    of_row = frames["rows"][ENTRY].merge(pairs, on=ENTRY, how="left", validate="m:1")["hidden"].astype("boolean")
    hidden = of_row.fillna(frames["rows"]["channel"].isin(list(channels))).to_numpy(dtype=bool)
    return {
        **frames,
        "items": frames["items"][~frames["items"]["channel"].isin(list(channels))].reset_index(drop=True),
        "rows": frames["rows"][~hidden].reset_index(drop=True),
        "baseline": frames["baseline"][~of_base].reset_index(drop=True),
    }


def unread_notes(frames: Mapping[str, pd.DataFrame], channels: Collection[Channel]) -> dict[str, list[Left]]:
    """By entity id, what is noted of ``channels``: the notes that stand, and what differs in Advoware."""
    notes: dict[str, list[Left]] = {}
    if channels:
        for entity_id, left in (*standing_notes(frames, channels), *changes_held(frames, channels)):
            notes.setdefault(entity_id, []).append(left)
    return notes


def standing_notes(frames: Mapping[str, pd.DataFrame], channels: Collection[Channel]) -> Iterator[tuple[str, Left]]:
    """The notes of earlier runs, but those this module made: they are made anew."""
    for one in records(frames["left_alone"]):
        left = left_note(one)
        if left.channel in channels and MAY_NOT not in left.detail:
            yield one["entity_id"], left


def changes_held(frames: Mapping[str, pd.DataFrame], channels: Collection[Channel]) -> Iterator[tuple[str, Left]]:
    """What Advoware shows otherwise than agreed, in ``channels``."""
    agreed = frames["baseline"][[*ENTRY, "channel", "advo_value", "advo_canonical"]]
    agreed = agreed.merge(frames["persons"][PERSON], on=PERSON, how="inner", validate="m:1")  # not of an earlier betnr
    shown = frames["rows"][[*ENTRY, "channel", "value", "canonical"]]
    for one in records(agreed.merge(shown, on=ENTRY, how="outer", validate="1:1", suffixes=("_agreed", ""))):
        channel = one["channel_agreed"] or one["channel"]
        if channel not in channels or one["advo_canonical"] == one["canonical"]:
            continue
        known, filled = one["advo_canonical"] is not None, bool((one["value"] or "").strip())
        if not known and not filled:
            continue
        change = Variant.VAR4 if not known else Variant.VAR6 if filled else Variant.VAR3
        detail = f"{TOWARDS_ESPO[change]}; {MAY_NOT} read {FIELD[Channel(channel)]} in EspoCRM"
        value = one["value"] if filled else one["advo_value"]
        yield one["entity_id"], Left(Side.ADVO, "held_back", detail, value, one["komm_id"], channel=Channel(channel))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries, NA as None."""
    return Columns(frame).records(np.arange(len(frame)), list(frame.columns))

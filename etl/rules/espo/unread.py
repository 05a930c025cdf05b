"""A channel whose field the API user may not read is not synced at all (rules §5). Pure.

EspoCRM leaves such a field out of every answer (EspoCRM fact B14): absent is not empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.enums import LeftAloneReason
from etl.frames import ENTRY, PERSON
from etl.records import Channel, Side
from etl.rules.entry import LeftAlone
from etl.rules.espo.rights import ESPO_FIELD, MISSING_RIGHT
from etl.rules.joins.columns import frame_records
from etl.rules.snapshot_records import note_from_record
from etl.rules.variants import VARIANT_WORDS, Variant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pandas as pd


def without_channels(frames: Mapping[str, pd.DataFrame], channels: Collection[Channel]) -> Mapping[str, pd.DataFrame]:
    """The frames without what belongs to ``channels``. A row belongs to its pair's channel, whatever it now holds."""
    if not channels:
        return frames
    is_hidden_pair = frames["baseline"]["channel"].isin(list(channels))
    pairs = frames["baseline"][ENTRY].assign(hidden=is_hidden_pair)
    is_hidden_row = frames["rows"][ENTRY].merge(pairs, on=ENTRY, how="left", validate="m:1")["hidden"].astype("boolean")
    is_hidden = is_hidden_row.fillna(frames["rows"]["channel"].isin(list(channels))).to_numpy(dtype=bool)
    return {
        **frames,
        "items": frames["items"][~frames["items"]["channel"].isin(list(channels))].reset_index(drop=True),
        "rows": frames["rows"][~is_hidden].reset_index(drop=True),
        "baseline": frames["baseline"][~is_hidden_pair].reset_index(drop=True),
    }


def unreadable_channel_notes(
    frames: Mapping[str, pd.DataFrame], channels: Collection[Channel]
) -> dict[str, list[LeftAlone]]:
    """The notes about ``channels``, by entity id: those of earlier runs, and one for each difference in Advoware."""
    notes: dict[str, list[LeftAlone]] = {}
    if channels:
        for entity_id, note in (*earlier_notes(frames, channels), *change_notes(frames, channels)):
            notes.setdefault(entity_id, []).append(note)
    return notes


def earlier_notes(frames: Mapping[str, pd.DataFrame], channels: Collection[Channel]) -> Iterator[tuple[str, LeftAlone]]:
    """The notes of earlier runs, without those of this module, which are made anew."""
    for record in frame_records(frames["left_alone"]):
        note = note_from_record(record)
        if note.channel in channels and MISSING_RIGHT not in note.detail:
            yield record["entity_id"], note


def change_notes(frames: Mapping[str, pd.DataFrame], channels: Collection[Channel]) -> Iterator[tuple[str, LeftAlone]]:
    """The notes about what differs in Advoware from the baseline, in ``channels``."""
    pairs = frames["baseline"][[*ENTRY, "channel", "advo_value", "advo_canonical"]]
    pairs = pairs.merge(frames["persons"][PERSON], on=PERSON, how="inner", validate="m:1")  # not of an earlier betnr
    rows = frames["rows"][[*ENTRY, "channel", "value", "canonical"]]
    for record in frame_records(pairs.merge(rows, on=ENTRY, how="outer", validate="1:1", suffixes=("_agreed", ""))):
        channel = record["channel_agreed"] or record["channel"]
        if channel not in channels or record["advo_canonical"] == record["canonical"]:
            continue
        has_baseline, has_value = record["advo_canonical"] is not None, bool((record["value"] or "").strip())
        if not has_baseline and not has_value:
            continue
        variant = Variant.VAR4 if not has_baseline else Variant.VAR6 if has_value else Variant.VAR3
        detail = f"{VARIANT_WORDS[variant]}; {MISSING_RIGHT} read {ESPO_FIELD[Channel(channel)]} in EspoCRM"
        value = record["value"] if has_value else record["advo_value"]
        yield (
            record["entity_id"],
            LeftAlone(Side.ADVO, LeftAloneReason.HELD_BACK, detail, value, record["komm_id"], channel=Channel(channel)),
        )

"""What EspoCRM said of a value when it was last seen: its rows outlive their holders (espocrm-api.md ², 6).

No list finds such a row, and the next PUT overwrites it. So the state store remembers an opt-out, and that a value is
invalid, beyond the last record that had it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.store.writing import insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.database import Store


def remember_marks(store: Store, entity_id: str) -> None:
    """Keep what the last look showed opted out or invalid, before another look takes its place."""
    store.execute(
        """
        insert into former_entries (entity_id, channel, canonical, value, opt_out, invalid, seen_at)
        select
            espo_entries.entity_id,
            espo_entries.channel,
            espo_entries.canonical,
            espo_entries.value,
            espo_entries.opt_out,
            espo_entries.invalid,
            persons.espo_seen_at
        from espo_entries
        left join persons using (entity_id)
        where espo_entries.entity_id = :entity_id
            and (espo_entries.opt_out or espo_entries.invalid)
        on conflict (entity_id, channel, canonical) do update
        set
            value = excluded.value,
            opt_out = excluded.opt_out,
            invalid = excluded.invalid,
            seen_at = excluded.seen_at
        """,
        {"entity_id": entity_id},
    )


def marks_of(store: Store, entity_id: str) -> list[dict[str, Any]]:
    """Return what is kept of values a record has no more, the latest last."""
    return store.rows(
        """
        select *
        from former_entries
        where entity_id = :entity_id
        order by seen_at, opt_out, invalid
        """,
        {"entity_id": entity_id},
    )


def save_marks(store: Store, entity_id: str, marks: Sequence[Mapping[str, Any]]) -> None:
    """Keep these of a record instead; of two that are one value now, the last."""
    columns = ("entity_id", "channel", "canonical", "value", "opt_out", "invalid", "seen_at")
    latest = {(mark["channel"], mark["canonical"]): mark for mark in marks}
    store.execute("delete from former_entries where entity_id = :entity_id", {"entity_id": entity_id})
    store.execute_many(insert("former_entries", columns), latest.values())
    forget_marks_of_held(store, entity_id)


def forget_marks_of_held(store: Store, entity_id: str) -> None:
    """Of what the record holds (again) its entry tells."""
    store.execute(
        """
        delete from former_entries
        where entity_id = :entity_id
            and exists (
                select 1
                from espo_entries
                where espo_entries.entity_id = former_entries.entity_id
                    and espo_entries.channel = former_entries.channel
                    and espo_entries.canonical = former_entries.canonical
            )
        """,
        {"entity_id": entity_id},
    )


def last_seen(store: Store, canonicals: Iterable[str]) -> list[dict[str, Any]]:
    """Return what was last seen of these values: ``channel``, ``canonical``, ``type``, ``opt_out``, ``invalid``.

    On whatever record, also one that is gone. In EspoCRM a value has one type and one opt-out for everybody; where
    our looks differ, the latest counts. ``type`` is null of what no look shows any more.
    """
    found = store.rows(
        """
        select
            espo_entries.channel,
            espo_entries.canonical,
            espo_entries.type,
            espo_entries.opt_out,
            espo_entries.invalid,
            persons.espo_seen_at as seen_at
        from json_each(:canonicals) as wanted
        join espo_entries on espo_entries.canonical = wanted.value
        join persons using (entity_id)
        union all
        select
            former_entries.channel,
            former_entries.canonical,
            null,
            former_entries.opt_out,
            former_entries.invalid,
            former_entries.seen_at
        from json_each(:canonicals) as wanted
        join former_entries on former_entries.canonical = wanted.value
        order by seen_at, opt_out, invalid
        """,
        {"canonicals": list(canonicals)},
    )
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for row in found:
        key = (row["channel"], row["canonical"])
        kind = row["type"] or latest.get(key, row)["type"]
        latest[key] = {name: value for name, value in row.items() if name != "seen_at"} | {"type": kind}
    return list(latest.values())

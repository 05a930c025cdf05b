"""The last agreed state of each pair, and the entries nothing is done about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.store.insert import insert_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.database import Store

BASELINE_KEY: Final = ("entity_id", "betnr", "komm_id")

BASELINE_COLUMNS: Final = (
    "channel",
    "espo_value",
    "espo_canonical",
    "espo_type",
    "advo_value",
    "advo_canonical",
    "komm_kz",
    "row_id",
    "remark",
    "unmarked",
    "other_row",
    "agreed_at",
)

LEFT_ALONE_KEY: Final = ("entity_id", "side", "komm_id", "channel", "value", "reason")

LEFT_ALONE_COLUMNS: Final = (*LEFT_ALONE_KEY, "betnr", "direction", "detail", "since")


def save_baseline(store: Store, records: Iterable[Mapping[str, Any]], now: str) -> None:
    """Set the agreed state of these pairs, key ``BASELINE_KEY``; ``agreed_at`` moves only with one of them."""
    columns = [*BASELINE_KEY, *BASELINE_COLUMNS]
    compared_columns = [column for column in BASELINE_COLUMNS if column != "agreed_at"]
    differs = " or ".join(f"excluded.{column} is not baseline.{column}" for column in compared_columns)
    assignments = ", ".join(f"{column} = excluded.{column}" for column in BASELINE_COLUMNS)
    insert_records(
        store,
        "baseline",
        columns,
        ({**dict.fromkeys(columns), "unmarked": False, **record, "agreed_at": now} for record in records),
        f"on conflict ({', '.join(BASELINE_KEY)}) do update set {assignments} where {differs}",
    )


def delete_pairs(store: Store, entity_id: str, komm_ids: Iterable[int]) -> None:
    """Delete the agreed pairs of one person on these rows, whatever betnr they were agreed with."""
    store.execute(
        """
        delete from baseline
        where entity_id = :entity_id
            and komm_id in (select value from json_each(:komm_ids))
        """,
        {"entity_id": entity_id, "komm_ids": list(komm_ids)},
    )


def delete_baseline(store: Store, entity_id: str) -> None:
    """Delete all agreed pairs of a person, whatever betnr they were agreed with."""
    params = {"entity_id": entity_id}
    with store.ensure_transaction():
        store.execute("delete from baseline where entity_id = :entity_id", params)
        store.execute(
            """
            update persons
            set
                agreed_betnr = null,
                synced_betnr = null,
                waiting_side = null
            where entity_id = :entity_id
            """,
            params,
        )


def save_synced_betnr(store: Store, entity_id: str, betnr: int) -> None:
    """Remember with which betnr a person was synced, and, once a pair is agreed, that a first sync came to its end."""
    store.execute(
        """
        update persons
        set
            synced_betnr = :betnr,
            agreed_betnr = (
                select baseline.betnr
                from baseline
                where baseline.entity_id = persons.entity_id
                    and baseline.betnr = :betnr
                limit 1
            )
        where entity_id = :entity_id
        """,
        {"entity_id": entity_id, "betnr": betnr},
    )


def last_synced_betnr(store: Store, entity_id: str) -> int | None:
    """Return the betnr a person was last synced with; of a first sync that was broken off the one it had come to."""
    betnr: int | None = store.scalar(
        """
        select coalesce(
            synced_betnr,
            (
                select max(baseline.betnr)
                from baseline
                where baseline.entity_id = persons.entity_id
            )
        )
        from persons
        where entity_id = :entity_id
        """,
        {"entity_id": entity_id},
    )
    return betnr


def save_left_alone(store: Store, entity_id: str, records: Sequence[Mapping[str, Any]], now: str) -> None:
    """Replace one person's list of what is left alone; an entry listed before keeps its ``id`` and ``since``."""
    full_records = [
        {**dict.fromkeys(LEFT_ALONE_COLUMNS), **record, "entity_id": entity_id, "since": now} for record in records
    ]
    with store.ensure_transaction():
        delete_left_alone(store, entity_id, full_records)
        insert_records(
            store,
            "left_alone",
            LEFT_ALONE_COLUMNS,
            full_records,
            """
            on conflict do update
            set
                betnr = excluded.betnr,
                direction = excluded.direction,
                detail = excluded.detail
            """,
        )


def add_left_alone(store: Store, entity_id: str, record: Mapping[str, Any], now: str) -> None:
    """Add one entry to what is left alone; adding it again changes nothing."""
    full_record = {**dict.fromkeys(LEFT_ALONE_COLUMNS), **record, "entity_id": entity_id, "since": now}
    insert_records(store, "left_alone", LEFT_ALONE_COLUMNS, [full_record], "on conflict do nothing")


def delete_left_alone(store: Store, entity_id: str, records_to_keep: Sequence[Mapping[str, Any]]) -> None:
    """Take from one person's list what is not among ``records_to_keep``, by ``LEFT_ALONE_KEY``."""
    is_same = " and ".join(
        f"json_extract(kept.value, '$.{column}') is left_alone.{column}" for column in LEFT_ALONE_KEY
    )
    store.execute(
        f"""
        delete from left_alone
        where entity_id = :entity_id
            and not exists (
                select 1
                from json_each(:kept) as kept
                where {is_same}
            )
        """,
        {
            "entity_id": entity_id,
            "kept": [{column: record[column] for column in LEFT_ALONE_KEY} for record in records_to_keep],
        },
    )


def delete_notes(store: Store, ids: Sequence[int]) -> None:
    """Delete these notes, by ``id``."""
    store.execute("delete from left_alone where id in (select value from json_each(:ids))", {"ids": list(ids)})


def count_left_alone(store: Store, *, excluding: Iterable[str] = ()) -> int:
    """Return how many entries are left alone now, not counting those of some persons."""
    count: int = store.scalar(
        "select count(*) from left_alone where entity_id not in (select value from json_each(:excluding))",
        {"excluding": list(excluding)},
    )
    return count


def load_left_alone(store: Store, entity_id: str) -> list[dict[str, Any]]:
    """Return the entries of one person that are left alone."""
    return store.rows("select * from left_alone where entity_id = :entity_id order by id", {"entity_id": entity_id})


def load_pairs(store: Store, entity_id: str, betnr: int) -> list[dict[str, Any]]:
    """Return the agreed pairs of a person with this betnr, ordered by komm_id."""
    return store.rows(
        """
        select *
        from baseline
        where entity_id = :entity_id
            and betnr = :betnr
        order by komm_id
        """,
        {"entity_id": entity_id, "betnr": betnr},
    )


def load_all_pairs(store: Store) -> list[dict[str, Any]]:
    """Return the agreed pairs of everybody."""
    return store.rows("select * from baseline order by entity_id, betnr, komm_id")


def has_type_changes(store: Store, entity_id: str) -> bool:
    """Whether EspoCRM's stored type of any agreed value is not the agreed one."""
    return bool(
        store.scalar(
            """
            select 1
            from baseline
            join espo_entries using (entity_id, channel)
            where baseline.entity_id = :entity_id
                and espo_entries.canonical = baseline.espo_canonical
                and espo_entries.type is not baseline.espo_type
            limit 1
            """,
            {"entity_id": entity_id},
        )
    )


def persons_left_alone_by_direction(store: Store, *, except_direction: str) -> list[str]:
    """Return the persons with an entry that another direction than ``except_direction`` held back."""
    rows = store.rows(
        """
        select distinct entity_id
        from left_alone indexed by left_alone_held_back
        where reason = 'held_back'
            and direction <> :but
        order by entity_id
        """,
        {"but": except_direction},
    )
    return [row["entity_id"] for row in rows]


def persons_with_note(store: Store, phrase: str, channels: Iterable[str]) -> list[str]:
    """Return the persons with an entry in these channels held back for a reason that says ``phrase``."""
    rows = store.rows(
        """
        select distinct entity_id
        from left_alone indexed by left_alone_held_back
        where reason = 'held_back'
            and direction is null
            and channel in (select value from json_each(:channels))
            and instr(detail, :phrase) > 0
        order by entity_id
        """,
        {"phrase": phrase, "channels": list(channels)},
    )
    return [row["entity_id"] for row in rows]


def count_pairs(store: Store) -> int:
    """Return how many pairs are agreed in all."""
    count: int = store.scalar("select count(*) from baseline")
    return count

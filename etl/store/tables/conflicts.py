"""Values that lost a conflict, kept until somebody has seen or restored them (rules §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.store.insert import insert_returning_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.store.database import Store

CONFLICT_COLUMNS: Final = (
    "run_id",
    "change_id",
    "entity_id",
    "betnr",
    "variant",
    "komm_id",
    "channel",
    "espo_value",
    "advo_value",
    "kept",
    "reason",
    "created_at",
)


def save_conflicts(store: Store, records: Iterable[Mapping[str, Any]]) -> list[int]:
    """Keep values that are about to lose (``CONFLICT_COLUMNS``) and return their ids in order.

    Called in the transaction that marks the overwriting change *started*.
    """
    return insert_returning_ids(store, "conflicts", CONFLICT_COLUMNS, {"kept": "espo"}, records)


def load_conflict(store: Store, conflict_id: int) -> dict[str, Any] | None:
    """Return one conflict, None when there is none with this number."""
    rows = store.rows("select * from conflicts where id = :id", {"id": conflict_id})
    return rows[0] if rows else None


def list_conflicts(store: Store, *, include_closed: bool = False) -> list[dict[str, Any]]:
    """Return the conflicts nobody has seen or restored yet; with ``include_closed`` all of them."""
    return store.rows(
        """
        select *
        from conflicts
        where :everything
            or (seen_at is null and restored_at is null)
        order by id
        """,
        {"everything": include_closed},
    )


def conflicts_to_note(store: Store, entity_id: str) -> list[dict[str, Any]]:
    """Return the person's conflicts whose overwriting write was carried out and whose note is not in EspoCRM yet."""
    return store.rows(
        """
        select conflicts.*
        from conflicts
        left join changes on changes.id = conflicts.change_id
        where conflicts.entity_id = :entity_id
            and conflicts.noted_at is null
            and (conflicts.change_id is null or changes.state = 'done')
        order by conflicts.id
        """,
        {"entity_id": entity_id},
    )


def set_noted_at(store: Store, conflict_ids: Iterable[int], now: str) -> None:
    """Record that the note stands in the record's stream; an earlier time stays."""
    set_conflict_time(store, "noted_at", conflict_ids, now)


def set_seen_at(store: Store, conflict_ids: Iterable[int], now: str) -> None:
    """Record that a person saw these conflicts; an earlier time stays."""
    set_conflict_time(store, "seen_at", conflict_ids, now)


def set_restored_at(store: Store, conflict_ids: Iterable[int], now: str) -> None:
    """Record that the values that lost were put back; an earlier time stays."""
    set_conflict_time(store, "restored_at", conflict_ids, now)


def presence_of_lost_values(
    store: Store, run_id: int, entity_ids: Iterable[str], *, since: str | None = None
) -> dict[int, bool]:
    """Return of each conflict of a run and these persons whether the value that lost stands in its row again.

    ``since``: only those restored since then.
    """
    rows = store.rows(
        """
        select conflicts.id, advo_entries.value is conflicts.advo_value as stands
        from conflicts
        left join advo_entries using (betnr, komm_id)
        where conflicts.run_id = :run_id
            and conflicts.entity_id in (select value from json_each(:entity_ids))
            and (:since is null or conflicts.restored_at >= :since)
        """,
        {"run_id": run_id, "entity_ids": list(entity_ids), "since": since},
    )
    return {row["id"]: bool(row["stands"]) for row in rows}


def reopen_conflicts(store: Store, conflict_ids: Iterable[int]) -> None:
    """Record that what was restored has lost again."""
    store.execute(
        """
        update conflicts
        set restored_at = null
        where id in (select value from json_each(:conflict_ids))
        """,
        {"conflict_ids": list(conflict_ids)},
    )


def set_conflict_time(store: Store, column: str, conflict_ids: Iterable[int], now: str) -> None:
    """Set one time of these conflicts where it is not set."""
    store.execute(
        f"""
        update conflicts
        set {column} = ifnull({column}, :now)
        where id in (select value from json_each(:conflict_ids))
        """,
        {"conflict_ids": list(conflict_ids), "now": now},
    )


def delete_conflicts(store: Store, change_ids: Iterable[int]) -> None:
    """Forget losses that did not happen: the write that would have overwritten the value never arrived."""
    store.execute(
        "delete from conflicts where change_id in (select value from json_each(:change_ids))",
        {"change_ids": list(change_ids)},
    )

"""What an operator asks for by name: try these persons again, and let happen again what was undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.store.database import Store


def failing(store: Store) -> list[dict[str, Any]]:
    """Return everybody who failed, permanently or not, by ID."""
    return store.rows(
        """
        select *
        from persons
        where status in ('failed', 'permanently_failed')
            and gone_at is null
        order by entity_id
        """
    )


def try_again(store: Store, entity_ids: Iterable[str], reason: str, now: str) -> None:
    """Make these persons due now, whatever time they were to wait for; who failed too often starts afresh."""
    store.execute(
        """
        update persons
        set
            due_since = ifnull(due_since, :now),
            due_reason = :reason,
            next_retry_at = null,
            auto_reset_at = null,
            retry_count = iif(status = 'permanently_failed', 0, retry_count),
            status = iif(status = 'permanently_failed', 'failed', status)
        where entity_id in (select value from json_each(:entity_ids))
            and (betnr is not null or synced_betnr is not null)
        """,
        {"entity_ids": list(entity_ids), "reason": reason, "now": now},
    )


def allow_again(store: Store, entity_ids: Iterable[str]) -> int:
    """Let happen again what an undo holds back of these persons; return how many entries that is."""
    return store.execute(
        """
        delete from left_alone
        where entity_id in (select value from json_each(:entity_ids))
            and reason = 'held_back'
            and direction is null
        """,
        {"entity_ids": list(entity_ids)},
    )

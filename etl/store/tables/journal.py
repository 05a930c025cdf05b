"""The journal: what was decided for each entry, and each write's way from *planned* to *done* (rules §5).

A decision carries what the baseline is to become; its changes are the writes that lead there. A change is open until
the person's baseline took it in (*settled*), so whoever comes after a crash finds what still counts.

Plans in the journal whose last word is spoken right before they are carried out.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from etl.enums import ChangeState
from etl.store.database import LEASE_IS_OURS
from etl.store.insert import insert_returning_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.store.database import Store

DECISION_COLUMNS: Final = (
    "run_id",
    "entity_id",
    "betnr",
    "variant",
    "reason",
    "komm_id",
    "channel",
    "foreseen",
    "drops",
    "facts",
    "state",
    "created_at",
)

CHANGE_COLUMNS: Final = (
    "run_id",
    "decision_id",
    "seq",
    "entity_id",
    "betnr",
    "variant",
    "reason",
    "side",
    "action",
    "komm_id",
    "komm_kz",
    "channel",
    "old_value",
    "new_value",
    "old_remark",
    "new_remark",
    "before",
    "after",
    "state",
)

JSON_COLUMNS: Final = frozenset({"foreseen", "drops", "facts", "before", "after"})

DECISION_DEFAULTS: Final = {"drops": [], "state": "planned"}

CHANGE_DEFAULTS: Final = {"seq": 0, "state": "planned"}


def save_decisions(store: Store, records: Iterable[Mapping[str, Any]]) -> list[int]:
    """Store decided entries (``DECISION_COLUMNS``) and return their ids in order; dicts and lists become JSON."""
    return insert_returning_ids(store, "decisions", DECISION_COLUMNS, DECISION_DEFAULTS, records)


def save_changes(store: Store, records: Iterable[Mapping[str, Any]]) -> list[int]:
    """Store planned writes (``CHANGE_COLUMNS``) and return their ids in order; dicts and lists become JSON."""
    return insert_returning_ids(store, "changes", CHANGE_COLUMNS, CHANGE_DEFAULTS, records)


@dataclass(frozen=True)
class ChangeProgress:
    """How far one write has come ``at`` this moment: *started* sets ``started_at``, every end sets ``finished_at``.

    ``komm_id`` is the row a creation was answered with, ``answered_row_id`` the rowId of that answer; what is not
    given stays.
    """

    change_id: int
    state: str
    at: str
    error: str | None = None
    answered_row_id: str | None = None
    komm_id: int | None = None


def save_progress(store: Store, progress: Iterable[ChangeProgress]) -> None:
    """Record how far these writes have come, in one statement."""
    records = [asdict(change) for change in progress]
    if not records:
        return
    store.execute_alone(
        f"""
        update changes
        set
            state = progress.state,
            started_at = iif(progress.state = 'started', progress.at, started_at),
            finished_at = iif(progress.state in ('done', 'failed', 'unknown', 'dropped'), progress.at, finished_at),
            error = ifnull(progress.error, changes.error),
            answered_row_id = ifnull(progress.answered_row_id, changes.answered_row_id),
            komm_id = ifnull(progress.komm_id, changes.komm_id)
        from (
            select
                json_extract(value, '$.change_id') as change_id,
                json_extract(value, '$.state') as state,
                json_extract(value, '$.at') as at,
                json_extract(value, '$.error') as error,
                json_extract(value, '$.answered_row_id') as answered_row_id,
                json_extract(value, '$.komm_id') as komm_id
            from json_each(:progress)
        ) as progress
        where changes.id = progress.change_id and {LEASE_IS_OURS}
        """,
        {"progress": records},
    )


def set_change_state(
    store: Store, change_ids: Iterable[int], state: str, *, now: str, error: str | None = None
) -> None:
    """Set the state of these writes."""
    save_progress(store, [ChangeProgress(change_id, state, now, error) for change_id in change_ids])


def set_decision_state(store: Store, decision_ids: Iterable[int], state: str) -> None:
    """Set the state of these decisions."""
    store.execute(
        """
        update decisions
        set state = :state
        where id in (select value from json_each(:decision_ids))
        """,
        {"decision_ids": list(decision_ids), "state": state},
    )


def open_changes(store: Store, entity_ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the writes that were begun and that no baseline took in yet, of these persons or of everybody.

    In the order they were made; with ``decision_variant``, ``decision_state``, ``foreseen``, ``drops`` and ``facts``
    of their decision. JSON comes decoded.
    """
    rows = store.rows(
        """
        select
            changes.*,
            decisions.variant as decision_variant,
            decisions.state as decision_state,
            decisions.foreseen,
            decisions.drops,
            decisions.facts
        from changes
        left join decisions on decisions.id = changes.decision_id
        where changes.settled = 0
            and changes.state in ('started', 'done', 'unknown')
            and (
                :entity_ids is null
                or changes.entity_id in (select value from json_each(:entity_ids))
            )
        order by changes.entity_id, changes.id
        """,
        {"entity_ids": None if entity_ids is None else list(entity_ids)},
    )
    return [decode_json_columns(row) for row in rows]


def has_open_plan(store: Store, entity_id: str) -> bool:
    """Whether ``close_plans`` has anything to close for this person."""
    return bool(
        store.scalar(
            """
            select
                exists (
                    select 1
                    from decisions
                    where entity_id = :entity_id and state in ('planned', 'done', 'held', 'failed')
                )
                or exists (
                    select 1
                    from changes
                    where entity_id = :entity_id and settled = 0 and state <> 'held'
                )
            """,
            {"entity_id": entity_id},
        )
    )


def last_unconfirmed_put(store: Store, entity_id: str) -> str | None:
    """Return when the last array PUT of a person ended, or began, whose outcome nobody knows; None without one."""
    put_at: str | None = store.scalar(
        """
        select max(ifnull(finished_at, started_at))
        from changes
        where entity_id = :entity_id
            and settled = 0
            and side = 'espo'
            and state in ('started', 'unknown')
        """,
        {"entity_id": entity_id},
    )
    return put_at


def has_writes_since(store: Store, entity_id: str, read_at: str | None) -> bool:
    """Whether a write of ours that no baseline took in yet may be newer than a look at that moment."""
    return bool(
        store.scalar(
            """
            select 1
            from changes
            where entity_id = :entity_id
                and settled = 0
                and side = 'advo'
                and state in ('started', 'done', 'unknown')
                and started_at >= ifnull(:moment, '')
            limit 1
            """,
            {"entity_id": entity_id, "moment": read_at},
        )
    )


def count_writes_in_run(store: Store, run_id: int, entity_id: str, actions: Iterable[str]) -> int:
    """Return how many writes of these kinds a run carried out, or may have carried out, for one person."""
    count: int = store.scalar(
        """
        select count(*)
        from changes
        where run_id = :run_id
            and entity_id = :entity_id
            and state in ('started', 'done', 'unknown')
            and action in (select value from json_each(:actions))
        """,
        {"run_id": run_id, "entity_id": entity_id, "actions": list(actions)},
    )
    return count


def open_decisions(store: Store, entity_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the decided entries of these persons that are neither settled nor superseded, JSON decoded."""
    rows = store.rows(
        """
        select *
        from decisions
        where entity_id in (select value from json_each(:entity_ids))
            and state in ('planned', 'done', 'held', 'failed')
        order by entity_id, id
        """,
        {"entity_ids": list(entity_ids)},
    )
    return [decode_json_columns(row) for row in rows]


def close_plans(
    store: Store, entity_id: str, *, done_decisions: Iterable[int] = (), keep_change_ids: Sequence[int] = ()
) -> None:
    """Close the person's plans: the baseline took in what was done, and what was not begun is dropped.

    Called in the transaction that moves the baseline, and before a person is planned again; steps a guard holds end
    with their hold. ``done_decisions``: those carried out just now. ``keep_change_ids``: changes that stay open, with
    their decisions, until they are mended.
    """
    params = {"entity_id": entity_id, "keeping": list(keep_change_ids)}
    with store.ensure_transaction():
        store.execute(
            """
            update decisions
            set state = iif(
                state = 'done' or id in (select value from json_each(:done)), 'settled', 'superseded'
            )
            where entity_id = :entity_id
                and state in ('planned', 'done', 'held', 'failed')
                and id not in (
                    select decision_id
                    from changes
                    where id in (select value from json_each(:keeping)) and decision_id is not null
                )
            """,
            {**params, "done": list(done_decisions)},
        )
        store.execute(
            """
            update changes
            set
                settled = 1,
                state = iif(state = 'planned', 'dropped', state)
            where entity_id = :entity_id
                and settled = 0
                and state <> 'held'
                and id not in (select value from json_each(:keeping))
            """,
            params,
        )


def changes_of_run(store: Store, run_id: int) -> list[dict[str, Any]]:
    """Return what a run wrote, in order, with the before-images decoded: what ``undo`` puts back."""
    rows = store.rows(
        """
        select *
        from changes
        where run_id = :run_id
            and state = :state
        order by id
        """,
        {"run_id": run_id, "state": ChangeState.DONE},
    )
    return [decode_json_columns(row) for row in rows]


def has_writes(store: Store, run_id: int) -> bool:
    """Whether a run wrote anything."""
    params = {"run_id": run_id, "done": ChangeState.DONE}
    return store.scalar("select 1 from changes where run_id = :run_id and state = :done limit 1", params) is not None


def decisions_of_run(store: Store, run_id: int) -> list[dict[str, Any]]:
    """Return what a run decided, in order, JSON decoded."""
    rows = store.rows("select * from decisions where run_id = :run_id order by id", {"run_id": run_id})
    return [decode_json_columns(row) for row in rows]


def decode_json_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with its JSON columns as Python values."""
    return {
        column: json.loads(value) if column in JSON_COLUMNS and value is not None else value
        for column, value in row.items()
    }


REVISABLE_COLUMNS: Final = ("new_value", "new_remark", "after")


def revise_changes(store: Store, records: Iterable[Mapping[str, Any]]) -> None:
    """Let planned writes (``id`` and ``REVISABLE_COLUMNS``) say what is really going to be sent, before it is."""
    assignments = ", ".join(f"{column} = :{column}" for column in REVISABLE_COLUMNS)
    revisions = ({column: record[column] for column in ("id", *REVISABLE_COLUMNS)} for record in records)
    store.execute_many(f"update changes set {assignments} where id = :id", revisions)


def revise_decisions(store: Store, records: Iterable[Mapping[str, Any]]) -> None:
    """Let decided entries (``id``, ``foreseen``) foresee what is really going to stand."""
    store.execute_many("update decisions set foreseen = :foreseen where id = :id", records)

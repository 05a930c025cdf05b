"""Intent before effect: how one write is journalled, whoever sends it (rules §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.enums import ChangeState
from etl.errors import AdvosyncError, RunAborted, UnknownOutcome
from etl.records import AdvoRow, RowDraft
from etl.store.tables.conflicts import delete_conflicts, save_conflicts
from etl.store.tables.journal import set_change_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.context import RunContext


def put_row(
    run: RunContext,
    change_id: int,
    betnr: int,
    komm_id: int | None,
    draft: RowDraft,
    conflicts: Sequence[Mapping[str, Any]] = (),
) -> AdvoRow:
    """Create or update one Kommunikation; the row as answered, its ``row_id`` empty where the answer did not say."""
    start_write(run, [change_id], conflicts)
    try:
        row = run.advo.create(betnr, draft) if komm_id is None else run.advo.update(betnr, komm_id, draft)
    except AdvosyncError as error:
        fail_write(run, [change_id], error)
        raise
    answer = row or AdvoRow(komm_id or 0, "", draft.value, draft.remark)
    confirm_write(run, [change_id], "advoware", komm_id=answer.komm_id, answered_row_id=answer.row_id or None)
    return answer


def start_write(run: RunContext, change_ids: Sequence[int], conflicts: Sequence[Mapping[str, Any]] = ()) -> None:
    """Commit *started*, and what the write will make lose, before the request leaves; the lease must still be ours.

    The transaction asks for it itself: nobody can take it between that question and the commit.
    """
    with run.store.transaction():
        set_change_state(run.store, change_ids, ChangeState.STARTED, now=run.utcnow())
        save_conflicts(run.store, conflicts)


def confirm_write(
    run: RunContext,
    change_ids: Sequence[int],
    system: str,
    *,
    komm_id: int | None = None,
    answered_row_id: str | None = None,
) -> None:
    """Commit *done*."""
    run.unconfirmed_in_a_row.clear()
    run.refusals.has_written = True
    run.counters.writes[system] += 1
    with run.store.transaction_without_fsync():
        set_change_state(
            run.store, change_ids, ChangeState.DONE, now=run.utcnow(), answered_row_id=answered_row_id, komm_id=komm_id
        )


def fail_write(run: RunContext, change_ids: Sequence[int], error: Exception) -> None:
    """Record how a write ended that was not confirmed: *unknown*, or certainly not written."""
    failed_state = ChangeState.DROPPED if isinstance(error, RunAborted) else ChangeState.FAILED
    state = ChangeState.UNKNOWN if isinstance(error, UnknownOutcome) else failed_state
    with run.store.transaction():
        set_change_state(run.store, change_ids, state, now=run.utcnow(), error=str(error))
        if state is not ChangeState.UNKNOWN:
            delete_conflicts(run.store, change_ids)

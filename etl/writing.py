"""Intent before effect: how one write is journalled, whoever sends it (rules.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.errors import AdvosyncError, RunEnds, UnknownOutcome
from etl.records import Row, RowDraft
from etl.store.conflicts import drop_conflicts, save_conflicts
from etl.store.journal import set_change_state
from etl.store.states import ChangeState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.run import Run


def put_row(
    run: Run, change: int, betnr: int, komm_id: int | None, draft: RowDraft, conflicts: Sequence[Mapping[str, Any]] = ()
) -> Row:
    """Create or update one Kommunikation; the row as answered, its ``row_id`` empty where the answer did not say."""
    begin(run, [change], conflicts)
    try:
        row = run.advoware.create(betnr, draft) if komm_id is None else run.advoware.update(betnr, komm_id, draft)
    except AdvosyncError as error:
        end_badly(run, [change], error)
        raise
    answer = row or Row(komm_id or 0, "", draft.value, draft.remark)
    end_well(run, [change], "advoware", komm_id=answer.komm_id, answered_row_id=answer.row_id or None)
    return answer


def begin(run: Run, changes: Sequence[int], conflicts: Sequence[Mapping[str, Any]] = ()) -> None:
    """Commit *started*, and what the write will make lose, before the request leaves; the lease must still be ours.

    The transaction asks for it itself: nobody can take it between that question and the commit.
    """
    with run.store.transaction():
        set_change_state(run.store, changes, ChangeState.STARTED, now=run.utcnow())
        save_conflicts(run.store, conflicts)


def end_well(
    run: Run, changes: Sequence[int], system: str, *, komm_id: int | None = None, answered_row_id: str | None = None
) -> None:
    """Commit *done*."""
    run.unconfirmed.clear()
    run.refusals.wrote = True
    run.tally.writes[system] += 1
    with run.store.what_happened():
        set_change_state(
            run.store, changes, ChangeState.DONE, now=run.utcnow(), answered_row_id=answered_row_id, komm_id=komm_id
        )


def end_badly(run: Run, changes: Sequence[int], error: Exception) -> None:
    """Record how a write ended that was not confirmed: *unknown*, or certainly not written."""
    nothing_written = ChangeState.DROPPED if isinstance(error, RunEnds) else ChangeState.FAILED
    state = ChangeState.UNKNOWN if isinstance(error, UnknownOutcome) else nothing_written
    with run.store.transaction():
        set_change_state(run.store, changes, state, now=run.utcnow(), error=str(error))
        if state is not ChangeState.UNKNOWN:
            drop_conflicts(run.store, changes)

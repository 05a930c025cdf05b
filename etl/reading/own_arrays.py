"""Judge an array PUT by reading the record: first the journal, then the baseline (rules §5, *Seen before gone*).

The read right after the PUT, and the first read of a run that finds a PUT not yet judged, use the same judgement.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from etl.enums import ChangeState, PutOutcome
from etl.reading.snapshot import is_own_write
from etl.records import Channel, EspoItem, Side
from etl.rules.espo.array_read import ArrayRead, ChangeOutcome, item_from_journal, item_value_key
from etl.store.tables.array_puts import puts_of_run, puts_to_verify, save_put_outcome
from etl.store.tables.baseline import delete_pairs, load_pairs
from etl.store.tables.journal import set_change_state
from etl.store.tables.persons import load_person

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.context import RunContext
    from etl.records import EspoRecord

    ChangeRow = Mapping[str, Any]

NOT_STORED_ERROR = "EspoCRM confirmed it and did not store it"
IN_PART_ERROR = "EspoCRM took the old value and did not store the new one"
EDITED_ERROR = "somebody edited the record in that moment"
NOT_ARRIVED_ERROR = "did not arrive"


@dataclass(frozen=True)
class PutJudgement:
    """What a read shows about the open array PUTs of a person.

    ``outcome_by_change``: what became of each change, by its id. ``is_own_save``: the record shows our own save and
    nobody's since.
    """

    read: ArrayRead
    outcome_by_change: Mapping[int, ChangeOutcome]
    is_own_save: bool

    @property
    def is_complete(self) -> bool:
        """Whether all that was to come is there, all that was to go is gone, and nothing else is missing."""
        return not self.read.missing_values() and all(
            outcome is ChangeOutcome.COMPLETE for outcome in self.outcome_by_change.values()
        )


def judge_open_puts(run: RunContext, changes: Sequence[ChangeRow], espo: EspoRecord) -> PutJudgement:
    """Compare the open array PUTs with the record. ``changes``: their journal rows for EspoCRM."""
    read = ArrayRead.from_puts(puts_to_verify(run.store, espo.entity_id), espo.items, run.policy.region)
    outcome_by_change = {
        change["id"]: read.change_outcome(Channel(change["channel"]), change["old_value"], change["new_value"])
        for change in changes
    }
    is_own_save = is_own_write(run, load_person(run.store, espo.entity_id), espo)
    return PutJudgement(read, outcome_by_change, is_own_save)


def has_unreadable_put(run: RunContext, entity_id: str) -> bool:
    """Whether an open array PUT carried a channel that may not be read now: absent does not mean gone."""
    return bool(run.policy.unreadable_channels) and any(
        Channel(name) in run.policy.unreadable_channels
        for put in puts_to_verify(run.store, entity_id)
        for name in put["items_sent"]
    )


def is_judged(run: RunContext, change: ChangeRow) -> bool:
    """Whether a read has shown what became of this change; never for PUTs of the first edition, which left no row."""
    if change["state"] != ChangeState.DONE:
        return False
    puts = puts_of_run(run.store, change["entity_id"], change["run_id"])
    return bool(puts) and all(put["judged_at"] is not None for put in puts)


def journal_judgement(
    run: RunContext, changes: Sequence[ChangeRow], espo: EspoRecord, judgement: PutJudgement
) -> list[ChangeRow]:
    """Journal what became of each change and end the baseline rows of what is missing; the changes as they now stand.

    Call inside a transaction. A value that was removed without its successor, or was sent unchanged and is missing, was
    lost to our own half-done write or to an edit at that moment: its row counts as new to EspoCRM, and the item that it
    had is kept.
    """
    final_changes: list[ChangeRow] = []
    removed_items: list[dict[str, Any]] = []
    added_values: list[dict[str, Any]] = []
    for change in changes:
        outcome = judgement.outcome_by_change[change["id"]]
        if outcome is ChangeOutcome.COMPLETE:
            set_change_state(run.store, [change["id"]], ChangeState.DONE, now=run.utcnow())
            final_changes.append({**change, "state": ChangeState.DONE})
            continue
        was_confirmed = change["state"] == ChangeState.DONE
        set_change_state(
            run.store,
            [change["id"]],
            ChangeState.FAILED,
            now=run.utcnow(),
            error=failure_reason(outcome, judgement, was_confirmed),
        )
        final_changes.append({**change, "state": ChangeState.FAILED})
        if outcome is ChangeOutcome.REMOVED_ONLY or (was_confirmed and not judgement.is_own_save):
            delete_pairs(run.store, change["entity_id"], change["drops"] or ())
        if outcome is ChangeOutcome.REMOVED_ONLY and change["before"] and change["komm_id"]:
            removed_items.append({"komm_id": change["komm_id"], "item": change["before"]})
        if outcome is ChangeOutcome.ADDED_ONLY:
            added_values.append({"channel": change["channel"], "value": change["new_value"]})
    removed_items += drop_lost_pairs(run, changes, judgement)
    put_ids = [put["id"] for put in puts_to_verify(run.store, espo.entity_id)]
    in_part = {"taken": removed_items, "brought": added_values} if removed_items or added_values else None
    save_put_outcome(run.store, put_ids, put_outcome(judgement, changes), run.utcnow(), in_part)
    return final_changes


def failure_reason(outcome: ChangeOutcome, judgement: PutJudgement, was_confirmed: bool) -> str:  # noqa: FBT001 - two facts of one change
    """The sentence in the journal about a change that did not take effect."""
    if outcome is ChangeOutcome.REMOVED_ONLY:
        return IN_PART_ERROR
    if not was_confirmed:
        return NOT_ARRIVED_ERROR
    return NOT_STORED_ERROR if judgement.is_own_save else EDITED_ERROR


def put_outcome(judgement: PutJudgement, changes: Sequence[ChangeRow]) -> PutOutcome:
    """What became of the PUT as a whole."""
    outcomes = set(judgement.outcome_by_change.values())
    if judgement.is_complete:
        return PutOutcome.SEEN
    if not judgement.is_own_save and any(change["state"] == ChangeState.DONE for change in changes):
        return PutOutcome.EDITED
    is_nothing_stored = outcomes == {ChangeOutcome.NOTHING} and not judgement.read.missing_values()
    return PutOutcome.NOT_STORED if is_nothing_stored else PutOutcome.IN_PART


def drop_lost_pairs(run: RunContext, changes: Sequence[ChangeRow], judgement: PutJudgement) -> list[dict[str, Any]]:
    """End the pairs whose items the PUT sent unchanged and that are gone; return each item with its row."""
    missing_values = judgement.read.missing_values()
    if not missing_values or not changes:
        return []
    entity_id, betnr = changes[0]["entity_id"], changes[0]["betnr"]
    items_before = [
        item_from_journal(item) for put in puts_to_verify(run.store, entity_id)[::-1] for item in put["items_before"]
    ]
    item_of_value = {item_value_key(item, run.policy.region): item for item in items_before}
    pairs = [
        pair
        for pair in load_pairs(run.store, entity_id, betnr)
        if (Channel(pair["channel"]), pair["espo_canonical"]) in missing_values
    ]
    delete_pairs(run.store, entity_id, [pair["komm_id"] for pair in pairs])
    return [
        {"komm_id": pair["komm_id"], "item": asdict(item_of_value[Channel(pair["channel"]), pair["espo_canonical"]])}
        for pair in pairs
    ]


def item_with_value(items: Sequence[EspoItem], channel: Channel, value: str, region: str) -> EspoItem | None:
    """The item that holds a value, with EspoCRM's own spelling, type and flags as read."""
    value_key = item_value_key(EspoItem(channel, value), region)
    return next((item for item in items if item_value_key(item, region) == value_key), None)


def espo_changes(changes: Sequence[ChangeRow]) -> list[ChangeRow]:
    """The journal rows for EspoCRM, which array PUTs carried."""
    return [change for change in changes if change["side"] == Side.ESPO]

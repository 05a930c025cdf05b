"""What became of an array PUT, read off the record (rules.md §5, *Seen before gone*): the journal, then the baseline.

The same judgement serves the read right after the PUT and the first read of a run that finds a PUT nobody judged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from etl.records import Channel, Item, Side
from etl.rules.array_read import ArrayRead, Stored, item_from, value_of
from etl.saves import is_our_write
from etl.store.array_puts import judge_puts, puts_of_run, unjudged_puts
from etl.store.baseline import drop_baseline, pairs_of
from etl.store.journal import set_change_state
from etl.store.persons import load_person
from etl.store.states import ArrayOutcome, ChangeState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.records import EspoRecord
    from etl.run import Run

    Change = Mapping[str, Any]

NOT_STORED = "EspoCRM confirmed it and did not store it"
IN_PART = "EspoCRM took the old value and did not store the new one"
EDITED = "somebody edited the record in that moment"
DID_NOT_ARRIVE = "did not arrive"


@dataclass(frozen=True)
class Judgement:
    """What a read shows of the open array PUTs of a person.

    ``of_change``: what became of each change, by its id. ``ours``: the record shows our own save and nobody's since.
    """

    read: ArrayRead
    of_change: Mapping[int, Stored]
    ours: bool

    @property
    def whole(self) -> bool:
        """Whether everything that was to come is there, what was to go is not, and nothing else lacks."""
        return not self.read.lacking() and all(stored is Stored.WHOLE for stored in self.of_change.values())


def judgement(run: Run, changes: Sequence[Change], espo: EspoRecord) -> Judgement:
    """Compare the open array PUTs with the record. ``changes``: their journal rows, EspoCRM's side only."""
    read = ArrayRead.of(unjudged_puts(run.store, espo.entity_id), espo.items, run.policy.region)
    of_change = {
        change["id"]: read.of_change(Channel(change["channel"]), change["old_value"], change["new_value"])
        for change in changes
    }
    ours = is_our_write(run, load_person(run.store, espo.entity_id), espo)
    return Judgement(read, of_change, ours)


def awaits_judgement(run: Run, entity_id: str) -> bool:
    """Whether an array PUT is open that carried a channel which may not be read now: absent is not gone."""
    return bool(run.policy.no_read) and any(
        Channel(name) in run.policy.no_read for put in unjudged_puts(run.store, entity_id) for name in put["items_sent"]
    )


def is_judged(run: Run, change: Change) -> bool:
    """Whether a read has shown what became of this change; a PUT of the first edition left no row to say so."""
    if change["state"] != ChangeState.DONE:
        return False
    puts = puts_of_run(run.store, change["entity_id"], change["run_id"])
    return bool(puts) and all(put["judged_at"] is not None for put in puts)


def judge(run: Run, changes: Sequence[Change], espo: EspoRecord, judged: Judgement) -> list[Change]:
    """Write down what became of each change and end the baseline rows it speaks of; the changes as they stand now.

    Call inside a transaction. A value taken without its successor, and one that was carried along and lacks, was taken
    by our own half-done write or in the moment of somebody's edit: its row is new to EspoCRM, and what it was is kept.
    """
    result: list[Change] = []
    taken: list[dict[str, Any]] = []
    brought: list[dict[str, Any]] = []
    for change in changes:
        stored = judged.of_change[change["id"]]
        if stored is Stored.WHOLE:
            set_change_state(run.store, [change["id"]], ChangeState.DONE, now=run.utcnow())
            result.append({**change, "state": ChangeState.DONE})
            continue
        confirmed = change["state"] == ChangeState.DONE
        set_change_state(
            run.store, [change["id"]], ChangeState.FAILED, now=run.utcnow(), error=why(stored, judged, confirmed)
        )
        result.append({**change, "state": ChangeState.FAILED})
        if stored is Stored.TAKEN_ONLY or (confirmed and not judged.ours):
            drop_baseline(run.store, change["entity_id"], change["drops"] or ())
        if stored is Stored.TAKEN_ONLY and change["before"] and change["komm_id"]:
            taken.append({"komm_id": change["komm_id"], "item": change["before"]})
        if stored is Stored.BROUGHT_ONLY:
            brought.append({"channel": change["channel"], "value": change["new_value"]})
    taken += carried_and_taken(run, changes, judged)
    puts = [put["id"] for put in unjudged_puts(run.store, espo.entity_id)]
    in_part = {"taken": taken, "brought": brought} if taken or brought else None
    judge_puts(run.store, puts, outcome(judged, changes), run.utcnow(), in_part)
    return result


def why(stored: Stored, judged: Judgement, confirmed: bool) -> str:  # noqa: FBT001 - two facts of one change
    """The journal's sentence about a change that did not come to pass."""
    if stored is Stored.TAKEN_ONLY:
        return IN_PART
    if not confirmed:
        return DID_NOT_ARRIVE
    return NOT_STORED if judged.ours else EDITED


def outcome(judged: Judgement, changes: Sequence[Change]) -> ArrayOutcome:
    """The PUT as a whole."""
    stored = set(judged.of_change.values())
    if judged.whole:
        return ArrayOutcome.SEEN
    if not judged.ours and any(change["state"] == ChangeState.DONE for change in changes):
        return ArrayOutcome.EDITED
    nothing = stored == {Stored.NOTHING} and not judged.read.lacking()
    return ArrayOutcome.NOT_STORED if nothing else ArrayOutcome.IN_PART


def carried_and_taken(run: Run, changes: Sequence[Change], judged: Judgement) -> list[dict[str, Any]]:
    """End the pairs whose items the PUT carried unchanged and that are not there any more; each item with its row."""
    lacking = judged.read.lacking()
    if not lacking or not changes:
        return []
    entity_id, betnr = changes[0]["entity_id"], changes[0]["betnr"]
    before = [item_from(item) for put in unjudged_puts(run.store, entity_id)[::-1] for item in put["items_before"]]
    was = {value_of(item, run.policy.region): item for item in before}
    pairs = [
        pair
        for pair in pairs_of(run.store, entity_id, betnr)
        if (Channel(pair["channel"]), pair["espo_canonical"]) in lacking
    ]
    drop_baseline(run.store, entity_id, [pair["komm_id"] for pair in pairs])
    return [
        {"komm_id": pair["komm_id"], "item": asdict(was[Channel(pair["channel"]), pair["espo_canonical"]])}
        for pair in pairs
    ]


def shown_as(items: Sequence[Item], channel: Channel, value: str, region: str) -> Item | None:
    """The item that holds a value, as the read showed it: EspoCRM's own spelling, type and flags."""
    wanted = value_of(Item(channel, value), region)
    return next((item for item in items if value_of(item, region) == wanted), None)


def of_espo(changes: Sequence[Change]) -> list[Change]:
    """The journal rows that array PUTs carried."""
    return [change for change in changes if change["side"] == Side.ESPO]

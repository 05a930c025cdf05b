"""EspoCRM's half of a person's plan: one array PUT, and one read right after it (rules.md §5, *Seen before gone*).

The answer to an array PUT is an echo. What a read does not show is not believed: nothing of it is written to Advoware.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from etl.errors import AdvosyncError, Forbidden, Moved, NotStored, Refused, UnknownOutcome
from etl.judging import judge, judgement, of_espo
from etl.reading import stale
from etl.records import Channel, EspoRecord, Item, Side
from etl.rules.array_read import value_of
from etl.rules.canonical import e164, has_extension
from etl.rules.entry import Left
from etl.rules.items import same_items, whole
from etl.shared_rows import respelled
from etl.snapshot import save_espo_meta
from etl.store.array_puts import judge_puts, note_answered, save_array_put
from etl.store.baseline import add_left_alone
from etl.store.due import mark_due
from etl.store.journal import open_changes
from etl.store.persons import update_person
from etl.store.states import ArrayOutcome, ChangeState, Status
from etl.writing import begin, end_badly, end_well

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.guard import Saved
    from etl.judging import Judgement
    from etl.rules.array_read import Value
    from etl.rules.entry import Decision, Step
    from etl.rules.plan import PersonPlan
    from etl.run import Look, Run

REFUSALS_OF_A_VALUE = frozenset({400, 409, 413, 422})
FIELDS_OF = {
    "phoneNumber": Channel.PHONE,
    "phoneNumberData": Channel.PHONE,
    "emailAddress": Channel.MAIL,
    "emailAddressData": Channel.MAIL,
}
EDITED_MEANWHILE = "edited while it was synced"
UNSENT = "EspoCRM shows it in place of what was sent; nobody entered it"


def write_arrays(run: Run, saved: Saved, look: Look) -> None:
    """All item changes of the person in one PUT, ``syncing`` riding on it; a refusal is traced to its item."""
    plan = saved.plan
    steps = [step for step in plan.steps if step.side is Side.ESPO]
    try:
        put_arrays(run, saved, steps, look, plan.arrays)
    except Refused as refusal:
        of_a_value = refusal.field is None or refusal.field in FIELDS_OF
        if refusal.status not in REFUSALS_OF_A_VALUE or not of_a_value:
            raise
        put_without_the_refused(run, saved, steps, look, refusal)


def put_arrays(
    run: Run, saved: Saved, steps: Sequence[Step], look: Look, arrays: dict[Channel, list[dict[str, Any]]]
) -> None:
    """One array PUT, journalled for all of ``steps``."""
    changes, entity_id = [saved.change_of(step) for step in steps], look.espo.entity_id
    with run.store.transaction():
        begin(run, changes)
        put = save_array_put(run.store, array_put_record(run, saved, look, arrays))
        if "sync_status" not in run.no_edit:
            update_person(run.store, entity_id, status_sent=Status.SYNCING)
    try:
        answer = run.espo.write(entity_id, {"sync_status": Status.SYNCING}, arrays, look.espo.version)
    except AdvosyncError as error:
        with run.store.transaction():
            end_badly(run, changes, error)
            if not isinstance(error, UnknownOutcome):
                judge_puts(run.store, [put], ArrayOutcome.REFUSED, run.utcnow())
        raise
    with run.store.what_happened():
        end_well(run, changes, "espocrm")
        note_answered(run.store, put, run.utcnow())
        save_espo_meta(run, answer)
        if "sync_status" not in run.no_edit:
            update_person(run.store, entity_id, status_written=Status.SYNCING)


def array_put_record(
    run: Run, saved: Saved, look: Look, arrays: Mapping[Channel, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """What the journal keeps of an array PUT: the items of its channels as they stand, and those it is to leave."""
    return {
        "run_id": run.id,
        "entity_id": look.espo.entity_id,
        "betnr": saved.plan.betnr,
        "items_before": [asdict(item) for item in look.items if item.channel in arrays],
        "items_sent": arrays,
        "started_at": run.utcnow(),
    }


def see_arrays(run: Run, saved: Saved, look: Look) -> Saved:
    """Read the record once and journal what became of the array PUT; the plan knows then what was not stored.

    ``Moved`` when somebody edited in that moment and it shows in our values: the record may be half written, so the
    next look judges it, once it has settled.
    """
    entity_id = look.espo.entity_id
    changes = of_espo(open_changes(run.store, [entity_id]))
    shown = run.espo.fetch(entity_id)
    judged = judgement(run, changes, shown)
    if judged.ours and not (judged.whole and is_as_planned_beside(saved.plan, shown)):
        # a save may show its arrays late: only what two reads lack was not stored
        run.sleep(run.limits.settle_seconds)
        shown = run.espo.fetch(entity_id)
        judged = judgement(run, changes, shown)
    edited = not judged.ours and not same_items(saved.plan.expected_items, shown.items)
    if not is_as_planned_beside(saved.plan, shown):
        # our PUT's time hides that somebody saved just before it
        with run.store.transaction():
            mark_due(run.store, [entity_id], EDITED_MEANWHILE, run.utcnow(), edited_by_other=True)
        raise Moved(f"EspoCRM's record {entity_id} was edited just before it was written.")
    if not judged.ours and not judged.whole:
        raise Moved(f"EspoCRM's record {entity_id} was edited while it was written.")
    with run.store.transaction():
        after = judge(run, changes, shown, judged)
        if edited:
            mark_due(run.store, [entity_id], EDITED_MEANWHILE, run.utcnow(), edited_by_other=True)
    look.espo, look.espo_at = shown, run.monotonic()
    if judged.whole:
        run.unstored.clear()
    saved = replace(saved, disturbed=edited or bool(judged.read.unsent()))
    return without_unstored(run, saved, judged, shown, {change["id"] for change in after if failed(change)})


def is_as_planned_beside(plan: PersonPlan, shown: EspoRecord) -> bool:
    """Whether the channels that an array PUT did not carry, and so cannot have changed, are as planned with."""
    planned, found = (
        [item for item in items if item.channel not in plan.arrays] for items in (plan.expected_items, shown.items)
    )
    return same_items(planned, found)


def failed(change: Mapping[str, Any]) -> bool:
    """Whether a change did not come to pass."""
    return bool(change["state"] == ChangeState.FAILED)


def without_unstored(run: Run, saved: Saved, judged: Judgement, shown: EspoRecord, changes: set[int]) -> Saved:
    """The plan with what EspoCRM did not store named: those decisions, and the sentence the person fails with."""
    if judged.whole:
        return saved
    unstored = [
        decision
        for decision in saved.plan.decisions
        if any(step.side is Side.ESPO and saved.change_of(step) in changes for step in decision.steps)
    ]
    lacking = judged.read.lacking()
    unstored += [
        one
        for one in saved.plan.decisions
        if one not in unstored and (leaves_an_unremoved(one, unstored) or speaks_of(one, lacking, run.policy.region))
    ]
    values = {
        step.new_value or step.old_value or ""
        for decision in unstored
        for step in decision.steps
        if step.side is Side.ESPO
    }
    values |= {value for _, value in lacking}
    failure = NotStored(sorted(values))
    return replace(saved, unstored=tuple(unstored), failure=failure, unsent=unsent(run, judged, shown))


def speaks_of(decision: Decision, lacking: Collection[Value], region: str) -> bool:
    """Whether it is about an item that the PUT carried and that lacks: a marker would name what nobody has there."""
    item = decision.entry.item
    return item is not None and value_of(item.item, region) in lacking


def leaves_an_unremoved(decision: Decision, unstored: Sequence[Decision]) -> bool:
    """Whether a pair moves on from an item that EspoCRM kept: moved, its baseline would make what was kept look new."""
    base = decision.entry.base
    removed = {
        (step.channel, step.old_value)
        for other in unstored
        for step in other.steps
        if step.side is Side.ESPO and step.new_value is None
    }
    return base is not None and (decision.entry.channel, base.espo_value) in removed


def unsent(run: Run, judged: Judgement, shown: EspoRecord) -> tuple[Left, ...]:
    """What the record shows in place of what was sent: nobody entered it, so it is carried nowhere."""
    values = judged.read.unsent()
    return tuple(
        Left(Side.ESPO, "unsyncable", UNSENT, item.value, channel=item.channel)
        for item in shown.items
        if value_of(item, run.policy.region) in values
    )


def put_without_the_refused(run: Run, saved: Saved, steps: Sequence[Step], look: Look, refusal: Refused) -> None:
    """EspoCRM names the field, never the item: once more with E.164, then item by item; what is refused is unsyncable.

    Always ends in ``Moved``, unless the second try was taken: the person is planned again without the refused values.
    """
    plan = saved.plan
    items = respelled(run, look, [(item, in_e164(item, run.policy.region)) for item in plan.expected_items])
    spelled = {channel: [whole(item) for item in items if item.channel is channel] for channel in plan.arrays}
    if spelled != plan.arrays:
        demand_as_read(run, look, plan.items)
        try:
            return put_arrays(run, saved, steps, look, spelled)
        except Forbidden:
            raise  # it says nothing about a value
        except Refused:
            pass  # the spelling was not it: one of the new items is
    named = FIELDS_OF.get(refusal.field or "")
    bringing = [step for step in steps if step.item is not None and named in (None, step.channel)]
    if not bringing or old_items_refused(run, look, plan.arrays):
        raise refusal
    items = list(plan.items)
    for step in bringing:
        tried = replaced_or_added(items, step)
        try:
            if len(bringing) == 1:
                raise refusal
            of_channel = [whole(item) for item in tried if item.channel is step.channel]
            demand_as_read(run, look, items)
            put_arrays(run, saved, [step], look, {step.channel: of_channel})
            items = tried
        except Forbidden:
            raise
        except Refused as why:
            note_unsyncable(run, saved, step, f"EspoCRM refused it ({why.reason})", Side.ADVO)
    raise Moved(f"EspoCRM refused values of {plan.entity_id}.")


def old_items_refused(run: Run, look: Look, arrays: Mapping[Channel, object]) -> bool:
    """Whether EspoCRM refuses what it holds itself, merely echoed: then no new value is to blame (fact 8)."""
    demand_as_read(run, look, look.items)
    echo = {channel: [whole(item) for item in look.items if item.channel is channel] for channel in arrays}
    run.store.still_ours()
    try:
        save_espo_meta(run, run.espo.write(look.espo.entity_id, {}, echo, look.espo.version))
    except Forbidden:
        raise
    except Refused:
        return True
    run.tally.writes["espocrm"] += 1
    return False


def demand_as_read(run: Run, look: Look, items: Sequence[Item]) -> None:
    """Read the record again where its last read is too old to be echoed; ``Moved`` where it does not show ``items``.

    An echo stamps what it says on rows that other records share (espocrm-api.md ², 9).
    """
    if not stale(run, look.espo_at):
        return
    look.espo, look.espo_at = run.espo.fetch(look.espo.entity_id), run.monotonic()
    if not same_items(items, look.items):
        raise Moved(f"EspoCRM's record {look.espo.entity_id} changed while its values were tried.")


def in_e164(item: Item, region: str) -> Item:
    """The item with a number that parses spelled internationally; one with an extension would lose that, and stays."""
    number = e164(item.value, region) if item.channel is Channel.PHONE else None
    return replace(item, value=number) if number and not has_extension(item.value, region) else item


def replaced_or_added(items: Sequence[Item], step: Step) -> list[Item]:
    """EspoCRM's items after this step alone."""
    if step.item is None:
        return list(items)
    if step.was is None:
        return [*items, step.item]
    return [step.item if item is step.was else item for item in items]


def note_unsyncable(run: Run, saved: Saved, step: Step, why: str, side: Side) -> None:
    """Name a value that one side cannot hold; it stays on the other side and is not tried again until edited."""
    decision = next(one for one in saved.plan.decisions if any(own is step for own in one.steps))
    entry = decision.entry
    of_row = side is Side.ADVO and entry.row is not None
    value = entry.row.value if of_row and entry.row else entry.item.item.value if entry.item else step.new_value or ""
    record = {
        "betnr": saved.plan.betnr,
        "side": side,
        "komm_id": entry.row.komm_id if entry.row else None,
        "channel": entry.channel,
        "value": value,
        "reason": "unsyncable",
        "detail": why,
    }
    add_left_alone(run.store, saved.plan.entity_id, record, run.utcnow())

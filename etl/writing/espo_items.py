"""Write EspoCRM's side of a person's plan: one array PUT, and a read right after it (rules §5, *Seen before gone*).

The answer to an array PUT is only an echo. What the read does not show is not believed, and not written to Advoware.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from etl.enums import ChangeState, LeftAloneReason, PersonStatus, PutOutcome
from etl.errors import AdvosyncError, ConcurrentEdit, Forbidden, NotStored, RecordLocked, Refused, UnknownOutcome
from etl.reading.own_arrays import espo_changes, journal_judgement, judge_open_puts
from etl.reading.parallel import is_stale
from etl.reading.snapshot import save_own_write
from etl.records import Channel, EspoItem, EspoRecord, Side
from etl.rules.entry import LeftAlone
from etl.rules.espo.array_read import item_value_key
from etl.rules.espo.items import has_same_items, item_payload
from etl.rules.values.canonical import e164, has_extension
from etl.store.tables.array_puts import confirm_put, save_array_put, save_put_outcome
from etl.store.tables.baseline import add_left_alone
from etl.store.tables.journal import open_changes
from etl.store.tables.persons import update_person
from etl.store.tables.queue import mark_due
from etl.writing.journal import confirm_write, fail_write, start_write
from etl.writing.shared_values import respell_items

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.context import PersonReads, RunContext
    from etl.reading.own_arrays import PutJudgement
    from etl.rules.entry import Decision, Step
    from etl.rules.espo.array_read import ValueKey
    from etl.rules.plan import PersonPlan
    from etl.writing.journal import PlanJournal

VALUE_REFUSAL_STATUSES = frozenset({400, 409, 413, 422})
CHANNEL_OF_FIELD = {
    "phoneNumber": Channel.PHONE,
    "phoneNumberData": Channel.PHONE,
    "emailAddress": Channel.MAIL,
    "emailAddressData": Channel.MAIL,
}
EDITED_MEANWHILE = "edited while it was synced"
SHOWN_IN_PLACE = "EspoCRM shows it in place of what was sent; nobody entered it"


def write_espo_items(run: RunContext, journal: PlanJournal, reads: PersonReads) -> None:
    """Send all item changes of the person, with status ``syncing``, in one PUT; a refusal is traced to its item."""
    plan = journal.plan
    steps = [step for step in plan.steps if step.side is Side.ESPO]
    try:
        put_espo_items(run, journal, steps, reads, plan.espo_payload)
    except Refused as refusal:
        concerns_value = refusal.field is None or refusal.field in CHANNEL_OF_FIELD
        if refusal.status not in VALUE_REFUSAL_STATUSES or not concerns_value:
            raise
        retry_without_refused_values(run, journal, steps, reads, refusal)


def put_espo_items(
    run: RunContext,
    journal: PlanJournal,
    steps: Sequence[Step],
    reads: PersonReads,
    payload: dict[Channel, list[dict[str, Any]]],
) -> None:
    """Send one array PUT, journalled for all of ``steps``."""
    change_ids, entity_id = [journal.change_id(step) for step in steps], reads.espo.entity_id
    with run.store.transaction():
        start_write(run, change_ids)
        put_id = save_array_put(run.store, array_put_record(run, journal, reads, payload))
        if "sync_status" not in run.no_edit:
            update_person(run.store, entity_id, status_sent=PersonStatus.SYNCING)
    try:
        answer = run.espo.write(entity_id, {"sync_status": PersonStatus.SYNCING}, payload, reads.espo.version)
    except AdvosyncError as error:
        with run.store.transaction():
            fail_write(run, change_ids, error)
            if not isinstance(error, UnknownOutcome):
                save_put_outcome(run.store, [put_id], PutOutcome.REFUSED, run.utcnow())
        raise
    with run.store.transaction_without_fsync():
        confirm_write(run, change_ids, "espocrm")
        confirm_put(run.store, put_id, run.utcnow())
        save_own_write(
            run, answer, {"status_written": PersonStatus.SYNCING} if "sync_status" not in run.no_edit else {}
        )


def array_put_record(
    run: RunContext, journal: PlanJournal, reads: PersonReads, payload: Mapping[Channel, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """What the journal keeps of an array PUT: the items of its channels before it, and those it sends."""
    return {
        "run_id": run.id,
        "entity_id": reads.espo.entity_id,
        "betnr": journal.plan.betnr,
        "items_before": [asdict(item) for item in reads.items if item.channel in payload],
        "items_sent": payload,
        "started_at": run.utcnow(),
    }


def read_back_espo(run: RunContext, journal: PlanJournal, reads: PersonReads) -> PlanJournal:
    """Read the record and journal what became of the array PUT; the returned plan names what was not stored.

    Raises ``ConcurrentEdit`` when somebody edited at that moment and our values show it: the record may be half
    written, so the next read judges it once it has settled. Raises ``RecordLocked`` when staff locked it after our PUT:
    what became of that is journalled, and the writes to Advoware wait.
    """
    entity_id = reads.espo.entity_id
    changes = espo_changes(open_changes(run.store, [entity_id]))
    record = run.espo.fetch(entity_id)
    judgement = judge_open_puts(run, changes, record)
    if judgement.is_own_save and not (judgement.is_complete and has_other_channels_as_planned(journal.plan, record)):
        # a save may show its arrays late: only what is missing in two reads was not stored
        run.sleep(run.limits.settle_seconds)
        record = run.espo.fetch(entity_id)
        judgement = judge_open_puts(run, changes, record)
    edited_meanwhile = not judgement.is_own_save and not has_same_items(journal.plan.expected_items, record.items)
    if not has_other_channels_as_planned(journal.plan, record):
        # the time of our PUT hides that somebody saved just before it
        with run.store.transaction():
            mark_due(run.store, [entity_id], EDITED_MEANWHILE, run.utcnow(), edited_by_other=True)
        raise ConcurrentEdit(f"EspoCRM's record {entity_id} was edited just before it was written.")
    if not judgement.is_own_save and not judgement.is_complete:
        raise ConcurrentEdit(f"EspoCRM's record {entity_id} was edited while it was written.")
    with run.store.transaction():
        final_changes = journal_judgement(run, changes, record, judgement)
        if edited_meanwhile:
            mark_due(run.store, [entity_id], EDITED_MEANWHILE, run.utcnow(), edited_by_other=True)
    if record.is_locked:
        raise RecordLocked(entity_id)
    reads.espo, reads.espo_at = record, run.monotonic()
    if judgement.is_complete:
        run.unstored_in_a_row.clear()
    journal = replace(journal, edited_by_others=edited_meanwhile or bool(judgement.read.unexpected_values()))
    return with_unstored_decisions(
        run, journal, judgement, record, {change["id"] for change in final_changes if is_failed_change(change)}
    )


def has_other_channels_as_planned(plan: PersonPlan, record: EspoRecord) -> bool:
    """Whether the channels that the PUT did not carry, and so did not change, are as they were planned with."""
    planned_items, items_read = (
        [item for item in items if item.channel not in plan.espo_payload]
        for items in (plan.expected_items, record.items)
    )
    return has_same_items(planned_items, items_read)


def is_failed_change(change: Mapping[str, Any]) -> bool:
    """Whether a change did not take effect."""
    return bool(change["state"] == ChangeState.FAILED)


def with_unstored_decisions(
    run: RunContext, journal: PlanJournal, judgement: PutJudgement, record: EspoRecord, failed_ids: set[int]
) -> PlanJournal:
    """Add to the plan what EspoCRM did not store: those decisions, and the error the person fails with."""
    if judgement.is_complete:
        return journal
    unstored_decisions = [
        decision
        for decision in journal.plan.decisions
        if any(step.side is Side.ESPO and journal.change_id(step) in failed_ids for step in decision.steps)
    ]
    missing_values = judgement.read.missing_values()
    unstored_decisions += [
        decision
        for decision in journal.plan.decisions
        if decision not in unstored_decisions
        and (
            leaves_unremoved_item(decision, unstored_decisions)
            or speaks_of(decision, missing_values, run.policy.region)
        )
    ]
    values = {
        step.new_value or step.old_value or ""
        for decision in unstored_decisions
        for step in decision.steps
        if step.side is Side.ESPO
    }
    values |= {value for _, value in missing_values}
    failure = NotStored(sorted(values))
    return replace(
        journal,
        unstored_decisions=tuple(unstored_decisions),
        failure=failure,
        shown_in_place=notes_of_shown_in_place(run, judgement, record),
    )


def speaks_of(decision: Decision, lacking: Collection[ValueKey], region: str) -> bool:
    """Whether the item of this decision is ``lacking``: a marker would name a value that EspoCRM does not have."""
    item = decision.entry.item
    return item is not None and item_value_key(item.item, region) in lacking


def leaves_unremoved_item(decision: Decision, unstored_decisions: Sequence[Decision]) -> bool:
    """Whether a pair leaves an item that EspoCRM did not remove: if its baseline moved, that item would look new."""
    base = decision.entry.base
    items_to_remove = {
        (step.channel, step.old_value)
        for other in unstored_decisions
        for step in other.steps
        if step.side is Side.ESPO and step.new_value is None
    }
    return base is not None and (decision.entry.channel, base.espo_value) in items_to_remove


def notes_of_shown_in_place(run: RunContext, judgement: PutJudgement, record: EspoRecord) -> tuple[LeftAlone, ...]:
    """Notes about what the record shows in place of what was sent: nobody entered it, so it is not synced."""
    values = judgement.read.unexpected_values()
    return tuple(
        LeftAlone(Side.ESPO, LeftAloneReason.UNSYNCABLE, SHOWN_IN_PLACE, item.value, channel=item.channel)
        for item in record.items
        if item_value_key(item, run.policy.region) in values
    )


def retry_without_refused_values(
    run: RunContext, journal: PlanJournal, steps: Sequence[Step], reads: PersonReads, refusal: Refused
) -> None:
    """Find the refused values: EspoCRM names the field, never the item.

    Tries once more with E.164, then item by item; what is refused becomes unsyncable. Unless E.164 is taken, raises
    ``ConcurrentEdit``, to plan again without the refused values, or the refusal if no new value is to blame.
    """
    plan = journal.plan
    items = respell_items(
        run, reads, [(item, with_e164_value(item, run.policy.region)) for item in plan.expected_items]
    )
    e164_payload = {
        channel: [item_payload(item) for item in items if item.channel is channel] for channel in plan.espo_payload
    }
    if e164_payload != plan.espo_payload:
        require_unchanged_items(run, reads, plan.items)
        try:
            return put_espo_items(run, journal, steps, reads, e164_payload)
        except Forbidden:
            raise  # it says nothing about a value
        except Refused:
            pass  # it was not the spelling but one of the new items
    refused_channel = CHANNEL_OF_FIELD.get(refusal.field or "")
    item_steps = [step for step in steps if step.item is not None and refused_channel in (None, step.channel)]
    if not item_steps or refuses_existing_items(run, reads, plan.espo_payload):
        raise refusal
    items = list(plan.items)
    for step in item_steps:
        trial_items = items_after_step(items, step)
        try:
            if len(item_steps) == 1:
                raise refusal
            channel_payload = [item_payload(item) for item in trial_items if item.channel is step.channel]
            require_unchanged_items(run, reads, items)
            put_espo_items(run, journal, [step], reads, {step.channel: channel_payload})
            items = trial_items
        except Forbidden:
            raise
        except Refused as item_refusal:
            mark_unsyncable(run, journal, step, f"EspoCRM refused it ({item_refusal.reason})", Side.ADVO)
    raise ConcurrentEdit(f"EspoCRM refused values of {plan.entity_id}.")


def refuses_existing_items(run: RunContext, reads: PersonReads, payload: Mapping[Channel, object]) -> bool:
    """Whether EspoCRM refuses its own items when they are sent back: then no new value is to blame (fact A8)."""
    require_unchanged_items(run, reads, reads.items)
    echo = {channel: [item_payload(item) for item in reads.items if item.channel is channel] for channel in payload}
    run.store.check_lease()
    try:
        save_own_write(run, run.espo.write(reads.espo.entity_id, {}, echo, reads.espo.version), {})
    except Forbidden:
        raise
    except Refused:
        return True
    run.counters.writes["espocrm"] += 1
    return False


def require_unchanged_items(run: RunContext, reads: PersonReads, items: Sequence[EspoItem]) -> None:
    """Read the record again if its last read is too old to be sent back.

    Raises ``ConcurrentEdit`` if it does not show ``items``. What is sent back overwrites rows that other records share
    (EspoCRM fact B9).
    """
    if not is_stale(run, reads.espo_at):
        return
    reads.espo, reads.espo_at = run.espo.fetch(reads.espo.entity_id), run.monotonic()
    if not has_same_items(items, reads.items):
        raise ConcurrentEdit(f"EspoCRM's record {reads.espo.entity_id} changed while its values were tried.")


def with_e164_value(item: EspoItem, region: str) -> EspoItem:
    """The item with its number as E.164; unchanged if it is no number, or has an extension, which would be lost."""
    number = e164(item.value, region) if item.channel is Channel.PHONE else None
    return replace(item, value=number) if number and not has_extension(item.value, region) else item


def items_after_step(items: Sequence[EspoItem], step: Step) -> list[EspoItem]:
    """The items with this one step applied."""
    if step.item is None:
        return list(items)
    if step.old_item is None:
        return [*items, step.item]
    return [step.item if item is step.old_item else item for item in items]


def mark_unsyncable(run: RunContext, journal: PlanJournal, step: Step, detail: str, side: Side) -> None:
    """Note a value that one side cannot hold; it stays on the other side and is not tried again until edited."""
    decision = next(
        candidate for candidate in journal.plan.decisions if any(other is step for other in candidate.steps)
    )
    entry = decision.entry
    is_row_value = side is Side.ADVO and entry.row is not None
    value = (
        entry.row.value if is_row_value and entry.row else entry.item.item.value if entry.item else step.new_value or ""
    )
    record = {
        "betnr": journal.plan.betnr,
        "side": side,
        "komm_id": entry.row.komm_id if entry.row else None,
        "channel": entry.channel,
        "value": value,
        "reason": LeftAloneReason.UNSYNCABLE,
        "detail": detail,
    }
    add_left_alone(run.store, journal.plan.entity_id, record, run.utcnow())

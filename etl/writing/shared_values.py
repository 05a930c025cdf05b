"""Before an array PUT adds values, find out what EspoCRM already stores for them (rules §3, Shared address rows).

EspoCRM is asked once per person which records hold the new values, and one of these records is read for each value.
Records that the API user may not read cannot be asked for: for these the state store knows what it saw last, if
anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.errors import ConcurrentEdit, PersonError, Refused
from etl.reading.snapshot import may_be_half_written
from etl.rules.espo.shared_rows import (
    LastSeen,
    espo_row_key,
    item_to_send,
    items_not_in,
    items_to_add,
    keys_of_spellings,
    value_attributes,
    with_stored_items,
)
from etl.rules.values.canonical import canonical
from etl.store.tables.journal import revise_changes, revise_decisions
from etl.store.tables.snapshots import load_last_seen
from etl.writing.journal import baseline_record, change_record, decisions_to_journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etl.context import PersonReads, RunContext
    from etl.records import EspoItem, EspoRecord
    from etl.rules.espo.shared_rows import EspoRowKey
    from etl.rules.plan import PersonPlan
    from etl.writing.journal import PlanJournal

LONG_AGO = float("-inf")


def adopt_shared_rows(run: RunContext, journal: PlanJournal) -> PlanJournal:
    """Return the plan with its new items as EspoCRM stores them already; the journal is changed likewise."""
    reads, plan = run.reads[journal.plan.entity_id], journal.plan
    items = [item for _, item in items_to_add(plan)]
    if not items:
        return journal
    items_elsewhere = find_items_elsewhere(run, reads, items_not_in(items, reads.items))
    return revise_plan(run, journal, with_stored_items(plan, items_elsewhere, last_seen_by_key(run, items)))


def respell_items(run: RunContext, reads: PersonReads, pairs: Iterable[tuple[EspoItem, EspoItem]]) -> list[EspoItem]:
    """Return the second item of each pair, which is the first in another spelling, as EspoCRM stores it already.

    Another spelling of a number is another row in EspoCRM.
    """
    pairs = list(pairs)
    new_items = items_not_in([item for old_item, item in pairs if item != old_item], reads.items)
    items_elsewhere, last_seen_items = find_items_elsewhere(run, reads, new_items), last_seen_by_key(run, new_items)
    last_seen_of_key = {key: [item] for key, item in last_seen_items.items()}
    return [
        item_to_send(
            item, old_item, items_elsewhere.get(espo_row_key(item)), last_seen_of_key.get(espo_row_key(item), [])
        )
        if item in new_items
        else item
        for old_item, item in pairs
    ]


def revise_plan(run: RunContext, journal: PlanJournal, plan: PersonPlan) -> PlanJournal:
    """Replace the plan, also in the journal, and return it."""
    if plan is journal.plan:
        return journal
    new_journal = replace(journal, plan=plan)
    decision_of_step = {id(step): decision for decision in decisions_to_journal(plan) for step in decision.steps}
    steps = [
        (step, old_step) for step, old_step in zip(plan.steps, journal.plan.steps, strict=True) if step != old_step
    ]
    changes = [
        {**change_record(run, plan, step, decision_of_step[id(step)]), "id": new_journal.change_id(step)}
        for step, _ in steps
    ]
    next_baselines = [
        {"id": decision_id, "foreseen": baseline_record(plan, decision.next_baseline, run.policy.region)}
        for decision_id, decision in zip(journal.decision_ids, decisions_to_journal(plan), strict=True)
        if decision.next_baseline is not None
    ]
    with run.store.transaction_without_fsync():
        revise_changes(run.store, changes)
        revise_decisions(run.store, next_baselines)
    return new_journal


def last_seen_by_key(run: RunContext, items: Iterable[EspoItem]) -> dict[EspoRowKey, LastSeen]:
    """Return what the state store last saw of these values on any record."""
    values = {
        espo_row_key(item): (item.channel, canonical(item.channel, item.value, run.policy.region)) for item in items
    }
    last_seen_by_value = {
        (row["channel"], row["canonical"]): LastSeen(row["type"], bool(row["opt_out"]), bool(row["invalid"]))
        for row in load_last_seen(run.store, sorted({value for _, value in values.values() if value}))
    }
    return {key: last_seen_by_value[value] for key, value in values.items() if value in last_seen_by_value}


def find_items_elsewhere(run: RunContext, reads: PersonReads, items: Sequence[EspoItem]) -> dict[EspoRowKey, EspoItem]:
    """Return the items of other records that share EspoCRM's rows with these; what may not be read is not found.

    This takes one request, and one read for each value found. The list does not say which record holds which value:
    only where more records are left than values are missing, it is asked for once more. Raises ``ConcurrentEdit`` where
    somebody is just saving one of the records: half saved, it may show nothing (EspoCRM fact A4).
    """
    missing = {row: espo_row_key(item) for item in items for row in keys_of_spellings(item, run.policy.region)}
    found_items: dict[EspoRowKey, EspoItem] = {}
    read_ids: set[str] = {reads.espo.entity_id}
    half_written: list[str] = []
    candidates = find_holders(run, reads, missing)
    while missing and (unread_ids := [entity_id for entity_id in candidates if entity_id not in read_ids]):
        read_ids.add(unread_ids[0])
        record = fetch_if_readable(run, unread_ids[0])
        if record is None:
            continue
        half_written += [record.entity_id] if may_be_half_written(run, record) else []
        require_new_read(run, record)
        if contradicts_own_rows(record.items, reads.items):
            reads.espo_at = LONG_AGO
        matches = {missing[espo_row_key(item)]: item for item in record.items if espo_row_key(item) in missing}
        found_items |= matches
        missing = {row: key for row, key in missing.items() if key not in found_items}
        if matches and missing and len(unread_ids) - 1 > len(set(missing.values())):
            candidates = find_holders(run, reads, missing)
    if missing and half_written:
        raise ConcurrentEdit(
            f"EspoCRM's record {half_written[0]} is being saved, and may have a value of {reads.espo.entity_id}."
        )
    return found_items


def require_new_read(run: RunContext, record: EspoRecord) -> None:
    """Have a person of this run read again before its write if this read shows an edit since it was planned.

    Otherwise its array would be written as planned, and lift an opt-out that this run has seen.
    """
    reads = run.reads.get(record.entity_id)
    if reads is not None and (record.modified_at, record.items) != (reads.espo.modified_at, reads.espo.items):
        reads.espo_at = LONG_AGO


def find_holders(run: RunContext, reads: PersonReads, rows: Iterable[EspoRowKey]) -> list[str]:
    """Return the records that hold any of these rows, none if the API user may not ask; a firewall's 403 is raised."""
    try:
        entity_ids = run.espo.list_holders(sorted(rows))
    except Refused as refusal:
        if not refusal.explained:
            raise
        run.log.warning("shared_values_not_asked_for", error=refusal.kind)
        return []
    if reads.espo.entity_id in entity_ids:  # somebody has typed it in since the record was read
        reads.espo_at = LONG_AGO
    return entity_ids


def fetch_if_readable(run: RunContext, entity_id: str) -> EspoRecord | None:
    """Return a record; None if it is gone by now, or the API user may not read it."""
    try:
        return run.espo.fetch(entity_id)
    except PersonError as error:
        if isinstance(error, Refused) and not error.explained:
            raise
        run.log.info("shared_values_not_read", error=error.kind)
        return None


def contradicts_own_rows(items: Iterable[EspoItem], own_items: Iterable[EspoItem]) -> bool:
    """Return whether another record shows one of our rows differently from what we read: the PUT would undo that."""
    stored_by_key = {espo_row_key(item): value_attributes(item) for item in own_items}
    return any(
        value_attributes(item) != stored_by_key.get(espo_row_key(item), value_attributes(item)) for item in items
    )

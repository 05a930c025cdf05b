"""Before an array PUT that brings values: what EspoCRM has of them already (rules.md §3, Shared address rows).

EspoCRM is asked once for the person which records hold the new values, and one of them for each value found is read.
Records the key may not read cannot be asked for: of these the state store tells what it saw last, if anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.errors import Moved, PersonError, Refused
from etl.guard import baseline_record, change_record, decided
from etl.rules.canonical import canonical
from etl.rules.shared_rows import (
    LastSeen,
    as_stored,
    items_brought,
    key_of,
    not_held,
    spellings,
    stored_of,
    with_stored,
)
from etl.saves import is_unsettled
from etl.store.last_seen import last_seen
from etl.store.revision import revise_changes, revise_decisions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etl.guard import Saved
    from etl.records import EspoRecord, Item
    from etl.rules.plan import PersonPlan
    from etl.rules.shared_rows import Key
    from etl.run import Look, Run

LONG_AGO = float("-inf")


def with_what_is_stored(run: Run, saved: Saved) -> Saved:
    """Return the plan with its new items as EspoCRM has them stored, in the journal too."""
    look, plan = run.looks[saved.plan.entity_id], saved.plan
    items = [item for _, item in items_brought(plan)]
    if not items:
        return saved
    elsewhere = found_elsewhere(run, look, not_held(items, look.items))
    return revised(run, saved, with_stored(plan, elsewhere, seen_before(run, items)))


def respelled(run: Run, look: Look, pairs: Iterable[tuple[Item, Item]]) -> list[Item]:
    """Return items in another spelling, each in the place of the first of its pair, as EspoCRM has them stored.

    Another spelling of a number is another row there.
    """
    pairs = list(pairs)
    new = not_held([item for was, item in pairs if item != was], look.items)
    elsewhere, seen = found_elsewhere(run, look, new), seen_before(run, new)
    known = {key: [one] for key, one in seen.items()}
    return [
        as_stored(item, was, elsewhere.get(key_of(item)), known.get(key_of(item), [])) if item in new else item
        for was, item in pairs
    ]


def revised(run: Run, saved: Saved, plan: PersonPlan) -> Saved:
    """Return the person's plan as it is now; the journal says the same."""
    if plan is saved.plan:
        return saved
    now = replace(saved, plan=plan)
    of_step = {id(step): decision for decision in decided(plan) for step in decision.steps}
    steps = [(step, was) for step, was in zip(plan.steps, saved.plan.steps, strict=True) if step != was]
    changes = [{**change_record(run, plan, step, of_step[id(step)]), "id": now.change_of(step)} for step, _ in steps]
    foreseen = [
        {"id": number, "foreseen": baseline_record(plan, decision.pair, run.policy.region)}
        for number, decision in zip(saved.decision_ids, decided(plan), strict=True)
        if decision.pair is not None
    ]
    with run.store.what_happened():
        revise_changes(run.store, changes)
        revise_decisions(run.store, foreseen)
    return now


def seen_before(run: Run, items: Iterable[Item]) -> dict[Key, LastSeen]:
    """Return what the state store last saw of these values, on whatever record."""
    values = {key_of(item): (item.channel, canonical(item.channel, item.value, run.policy.region)) for item in items}
    found = {
        (row["channel"], row["canonical"]): LastSeen(row["type"], bool(row["opt_out"]), bool(row["invalid"]))
        for row in last_seen(run.store, sorted({value for _, value in values.values() if value}))
    }
    return {key: found[value] for key, value in values.items() if value in found}


def found_elsewhere(run: Run, look: Look, items: Sequence[Item]) -> dict[Key, Item]:
    """Return the items of other records that stand in the rows of these; what cannot be asked for is not found.

    One request, and one read for each value found. Only where more records hold some of several values than values are
    missing still, they are asked for once more: which record holds which, a list does not say. ``Moved`` where somebody
    is just saving one of them: half saved, it may show nothing (espocrm-api.md, fact 4).
    """
    missing = {row: key_of(item) for item in items for row in spellings(item, run.policy.region)}
    found: dict[Key, Item] = {}
    read: set[str] = {look.espo.entity_id}
    unsettled: list[str] = []
    candidates = holders(run, look, missing)
    while missing and (left := [one for one in candidates if one not in read]):
        read.add(left[0])
        record = record_of(run, left[0])
        if record is None:
            continue
        unsettled += [record.entity_id] if is_unsettled(run, record) else []
        if contradict(record.items, look.items):
            look.espo_at = LONG_AGO
        more = {missing[key_of(item)]: item for item in record.items if key_of(item) in missing}
        found |= more
        missing = {row: key for row, key in missing.items() if key not in found}
        if more and missing and len(left) - 1 > len(set(missing.values())):
            candidates = holders(run, look, missing)
    if missing and unsettled:
        raise Moved(f"EspoCRM's record {unsettled[0]} is being saved, and may have a value of {look.espo.entity_id}.")
    return found


def holders(run: Run, look: Look, rows: Iterable[Key]) -> list[str]:
    """Return the records that hold any of these rows, as far as the key may ask; a firewall's 403 is no such answer."""
    try:
        found = run.espo.holders(sorted(rows))
    except Refused as refusal:
        if not refusal.explained:
            raise
        run.log.warning("shared_values_not_asked_for", error=refusal.kind)
        return []
    if look.espo.entity_id in found:  # somebody typed it in since the record was read
        look.espo_at = LONG_AGO
    return found


def record_of(run: Run, entity_id: str) -> EspoRecord | None:
    """Return a record; None where it is gone by now, or the key may not read it."""
    try:
        return run.espo.fetch(entity_id)
    except PersonError as error:
        if isinstance(error, Refused) and not error.explained:
            raise
        run.log.info("shared_values_not_read", error=error.kind)
        return None


def contradict(shown: Iterable[Item], ours: Iterable[Item]) -> bool:
    """Return whether another record shows a row of ours otherwise than we read it: the PUT would undo that."""
    own = {key_of(item): stored_of(item) for item in ours}
    return any(stored_of(item) != own.get(key_of(item), stored_of(item)) for item in shown)

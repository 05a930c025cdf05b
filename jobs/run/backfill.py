"""``backfill``: whoever an operator selects, looked at on both sides, in chunks, resumable; like a sweep of a part.

The selection is made once and kept in the store with the position, so that a killed backfill goes on where it was:
whole chunks are not repeated, and of the one under way nobody who was finished. The periodic cursor is never touched;
what EspoCRM's list shows of the selected is noted as any list is, so an edit seen here is never lost to the next run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from etl.errors import ConfigError, NotFound, Stopped
from etl.reading.poll import record_listings
from etl.records import Direction, EspoListing, Scope
from etl.store.tables.holds import open_holds
from etl.store.tables.persons import load_persons
from jobs.run.sync_persons import read_both_sides, skip_shared_betnrs, sync_persons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.context import RunContext
    from etl.rules.plan import Plan
    from etl.store.database import Store
    from jobs.run.options import RunOptions, Selection

STATE_KEY: Final = "backfill"
"""Setting: the backfill under way, JSON; nothing when none is."""

POSITION_KEY: Final = "backfill_done"
"""Setting: how far it has come, JSON."""

PAGE_SIZE: Final = 1000


@dataclass(frozen=True)
class Backfill:
    """A backfill as it was begun, by ``run``. Behind the first ``size`` entities stand those to be looked at again."""

    entities: list[str]
    size: int
    direction: str
    scope: str
    chunk: int
    began_at: str
    run: int | None = None


@dataclass(frozen=True)
class Position:
    """How far it has come: persons done, and what that took."""

    done: int = 0
    calls: int = 0
    seconds: float = 0.0


def resume_options(store: Store, options: RunOptions) -> RunOptions:
    """The options of a backfill that is resumed: a part of it, with direction and scope as it was begun with."""
    if options.backfill is None or not options.backfill.resume:
        return options
    backfill, begun_by = load_backfill(store), options.backfill.begun_by
    if begun_by is not None and (backfill is None or backfill.run != begun_by):
        successor = f"that of run {backfill.run}" if backfill is not None else "another, which is through,"
        raise Stopped(f"This backfill ended, because {successor} took its place.")
    if backfill is None:
        raise ConfigError("There is no backfill to resume; start one with --all, --betnr, --entity, --since, --status.")
    return replace(options, direction=Direction(backfill.direction), scope=Scope(backfill.scope), part_of=backfill.run)


def load_backfill(store: Store) -> Backfill | None:
    """The backfill that was begun and has not ended."""
    stored = store.setting(STATE_KEY)
    return None if stored is None else Backfill(**json.loads(stored))


def resume_notice(store: Store, begun_by: int | None) -> list[str]:
    """How many persons the backfill has left and how it goes on; nothing once it is through or another took over."""
    backfill = load_backfill(store)
    if backfill is None or backfill.run != begun_by:
        return []
    remaining = len(backfill.entities) - load_position(store).done
    return [f"{remaining} persons of the backfill are left; `advosync backfill --resume` goes on"]


def load_position(store: Store) -> Position:
    """How far it has come."""
    return Position(**json.loads(store.setting(POSITION_KEY) or "{}"))


def last_entity_id(store: Store) -> str | None:
    """The last record of the chunk a backfill has come to; None when it is through."""
    backfill, position = load_backfill(store), load_position(store)
    return None if backfill is None else backfill.entities[position.done - 1] if position.done else ""


def run_backfill_chunks(run: RunContext, selection: Selection) -> Plan:
    """One chunk of a backfill; a plan makes all of them, as it holds no lock that others wait for."""
    if not selection.resume:
        start_backfill(run, selection)
    backfill = load_backfill(run.store)
    plans: Plan = {}
    while backfill is not None:
        chunk_plans = sync_backfill_chunk(run, backfill)
        plans |= {} if run.write else chunk_plans
        run.reads.clear()
        backfill = None if run.write else load_backfill(run.store)
    return plans


def start_backfill(run: RunContext, selection: Selection) -> None:
    """Find whom the selection means, and remember them."""
    previous = load_backfill(run.store)
    if previous is not None:
        remaining = len(previous.entities) - load_position(run.store).done
        run.counters.notices.append(
            f"ends the backfill begun {previous.began_at} UTC, of which {remaining} persons were left"
        )
    entity_ids: list[str] = []
    for listings in iter_selection(run, selection):
        matching = [listing for listing in listings if matches_selection(run, listing, selection)]
        record_listings(run, matching)
        entity_ids += [listing.entity_id for listing in matching]
    policy = run.policy
    entities = sorted(set(entity_ids))
    backfill = Backfill(
        entities, len(entities), policy.direction, policy.scope, selection.chunk, run.utcnow(), run.id
    )
    with run.store.transaction():
        run.store.set_setting(STATE_KEY, json.dumps(asdict(backfill)))
        run.store.set_setting(POSITION_KEY, None)


def iter_selection(run: RunContext, selection: Selection) -> Iterator[Sequence[EspoListing]]:
    """The records that are named; everybody who is linked where none is."""
    if not selection.betnrs and not selection.entities:
        yield from iter_linked_persons(run)
        return
    listings = run.espo.list_by_betnr(selection.betnrs) if selection.betnrs else []
    betnrs_in_espo = {listing.betnr for listing in listings}
    for betnr in selection.betnrs:
        if betnr not in betnrs_in_espo:
            run.counters.notices.append(f"no record in EspoCRM carries betnr {betnr}")
    yield [*listings, *(listing for entity_id in selection.entities for listing in find_by_id(run, entity_id))]


def iter_linked_persons(run: RunContext) -> Iterator[Sequence[EspoListing]]:
    """Every linked record, by id."""
    after, size = None, PAGE_SIZE
    while size == PAGE_SIZE:
        listings = run.espo.list_sweep_chunk(after, PAGE_SIZE).listings
        yield listings
        size, after = len(listings), listings[-1].entity_id if listings else None


def find_by_id(run: RunContext, entity_id: str) -> list[EspoListing]:
    """A record by its ID, as a list would show it; unknown and unlinked ones are reported."""
    try:
        record = run.espo.fetch(entity_id)
    except NotFound:
        run.counters.notices.append(f"EspoCRM has no record {entity_id}")
        return []
    if record.betnr is None:
        run.counters.notices.append(f"record {entity_id} carries no betnr")
        return []
    return [
        EspoListing(
            entity_id,
            record.betnr,
            record.name,
            record.status,
            record.fingerprint,
            record.modified_at,
            record.modified_by,
        )
    ]


def matches_selection(run: RunContext, listing: EspoListing, selection: Selection) -> bool:
    """Whether a record is meant: saved since the date, on one of the statuses, and of the pilot group."""
    if selection.since and (listing.modified_at or "") < selection.since:
        return False
    if selection.statuses:
        persons = load_persons(run.store, [listing.entity_id])
        status = persons[0]["status"] if persons and persons[0]["status"] else listing.status
        if status not in selection.statuses:
            return False
    return run.limits.allows(listing.entity_id, listing.betnr)


def sync_backfill_chunk(run: RunContext, backfill: Backfill) -> Plan:
    """Look at the next chunk and sync it; then remember how far it is.

    A record that may be half written, by a person or by a backfill that was killed, has its turn again at the end.
    """
    position, started = load_position(run.store), run.monotonic()
    chunk = backfill.entities[position.done : position.done + backfill.chunk]
    report_backfill_progress(run, backfill, position)
    skip_shared_betnrs(run)
    entities_read = read_both_sides(run, persons_left(run, backfill, chunk), force=True)
    plans = sync_persons(run, entities_read)
    unread = [
        entity_id
        for entity_id in backfill.entities[position.done : backfill.size][: backfill.chunk]
        if entity_id not in entities_read
    ]
    backfill = replace(
        backfill, entities=[*backfill.entities, *(entity_id for entity_id in unread if is_half_written(run, entity_id))]
    )
    calls = sum(run.espo.calls.values()) + sum(run.advo.calls.values())
    new_position = Position(
        position.done + len(chunk), position.calls + calls, position.seconds + run.monotonic() - started
    )
    is_complete = new_position.done >= len(backfill.entities)
    with run.store.transaction():
        run.store.set_setting(STATE_KEY, None if is_complete else json.dumps(asdict(backfill)))
        run.store.set_setting(POSITION_KEY, None if is_complete else json.dumps(asdict(new_position)))
    report_backfill_progress(run, backfill, new_position)
    run.log.info("backfill", done=new_position.done, of=len(backfill.entities))
    return plans


def is_half_written(run: RunContext, entity_id: str) -> bool:
    """Whether a person waits for nothing but its record to be whole."""
    return entity_id in run.counters.deferred and entity_id not in run.absences


def persons_left(run: RunContext, backfill: Backfill, chunk: Sequence[str]) -> list[dict[str, Any]]:
    """Who of a chunk is still to be looked at: not who was brought into agreement since the backfill began."""
    held_ids = {record["entity_id"] for record in open_holds(run.store)}
    run.counters.held |= held_ids & set(chunk)
    return [
        person
        for person in load_persons(run.store, chunk)
        if person["entity_id"] not in held_ids | run.counters.skipped | run.absences.keys()
        and person["gone_at"] is None
        and not (person["due_since"] is None and (person["last_sync_at"] or "") > backfill.began_at)
    ]


def report_backfill_progress(run: RunContext, backfill: Backfill, position: Position) -> None:
    """How far it is, and what the rest will take at the pace so far."""
    remaining = len(backfill.entities) - position.done
    calls = round(position.calls / position.done * remaining) if position.done else None
    minutes = round(position.seconds / position.done * remaining / 60, 1) if position.done else None
    estimate = "" if calls is None else f"|about {minutes:g} min and {calls:,} calls left"
    run.progress(f"backfill{estimate}", max(position.done - 1, 0), len(backfill.entities))

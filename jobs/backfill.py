"""``backfill``: whoever an operator selects, looked at on both sides, in chunks, resumable; like a sweep of a part.

The selection is made once and kept in the store with the position, so that a killed backfill goes on where it was:
whole chunks are not repeated, and of the one under way nobody who was finished. The periodic cursor is never touched;
what EspoCRM's list shows of the selected is noted as any list is, so an edit seen here is never lost to the next run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from etl.candidates import note_modified
from etl.errors import ConfigError, Gone
from etl.records import Direction, Listing, Scope
from etl.store.holds import open_holds
from etl.store.persons import load_persons
from jobs.persons import looked_at, set_apart, sync_persons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.rules.plan import Plan
    from etl.run import Run
    from etl.store.database import Store
    from jobs.options import Options, Selection

SETTING: Final = "backfill"
"""Setting: the backfill under way, JSON; nothing when none is."""

POSITION: Final = "backfill_done"
"""Setting: how far it has come, JSON."""

PAGE: Final = 1000


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


def as_begun(store: Store, options: Options) -> Options:
    """The options of a backfill that is resumed: a part of it, with direction and scope as it was begun with."""
    if options.backfill is None or not options.backfill.resume:
        return options
    begun = under_way(store)
    if begun is None:
        raise ConfigError("There is no backfill to resume; start one with --all, --betnr, --entity, --since, --status.")
    return replace(options, direction=Direction(begun.direction), scope=Scope(begun.scope), part_of=begun.run)


def under_way(store: Store) -> Backfill | None:
    """The backfill that was begun and has not ended."""
    told = store.setting(SETTING)
    return None if told is None else Backfill(**json.loads(told))


def position(store: Store) -> Position:
    """How far it has come."""
    return Position(**json.loads(store.setting(POSITION) or "{}"))


def reached(store: Store) -> str | None:
    """The last record of the chunk a backfill has come to; None when it is through."""
    begun, at = under_way(store), position(store)
    return None if begun is None else begun.entities[at.done - 1] if at.done else ""


def backfilled(run_: Run, selection: Selection) -> Plan:
    """One chunk of a backfill; a plan makes all of them, as it holds no lock that others wait for."""
    if not selection.resume:
        begin(run_, selection)
    begun = under_way(run_.store)
    plans: Plan = {}
    while begun is not None:
        made = one_chunk(run_, begun)
        plans |= {} if run_.write else made
        run_.looks.clear()
        begun = None if run_.write else under_way(run_.store)
    return plans


def begin(run_: Run, selection: Selection) -> None:
    """Find whom the selection means, and remember them."""
    before = under_way(run_.store)
    if before is not None:
        left = len(before.entities) - position(run_.store).done
        run_.tally.notices.append(f"ends the backfill begun {before.began_at} UTC, of which {left} persons were left")
    chosen: list[str] = []
    for listings in selected(run_, selection):
        mine = [one for one in listings if fits(run_, one, selection)]
        note_modified(run_, mine)
        chosen += [one.entity_id for one in mine]
    policy = run_.policy
    entities = sorted(set(chosen))
    begun = Backfill(
        entities, len(entities), policy.direction, policy.scope, selection.chunk, run_.utcnow(), run_.id
    )
    with run_.store.transaction():
        run_.store.set_setting(SETTING, json.dumps(asdict(begun)))
        run_.store.set_setting(POSITION, None)


def selected(run_: Run, selection: Selection) -> Iterator[Sequence[Listing]]:
    """The records that are named; everybody who is linked where none is."""
    if not selection.betnrs and not selection.entities:
        yield from everybody_linked(run_)
        return
    found = run_.espo.with_betnr(selection.betnrs) if selection.betnrs else []
    there = {one.betnr for one in found}
    for betnr in selection.betnrs:
        if betnr not in there:
            run_.tally.notices.append(f"no record in EspoCRM carries betnr {betnr}")
    yield [*found, *(one for entity_id in selection.entities for one in named(run_, entity_id))]


def everybody_linked(run_: Run) -> Iterator[Sequence[Listing]]:
    """Every linked record, by id."""
    after, size = None, PAGE
    while size == PAGE:
        listings = run_.espo.linked(after, PAGE).listings
        yield listings
        size, after = len(listings), listings[-1].entity_id if listings else None


def named(run_: Run, entity_id: str) -> list[Listing]:
    """A record by its ID, as a list would show it; unknown and unlinked ones are reported."""
    try:
        one = run_.espo.fetch(entity_id)
    except Gone:
        run_.tally.notices.append(f"EspoCRM has no record {entity_id}")
        return []
    if one.betnr is None:
        run_.tally.notices.append(f"record {entity_id} carries no betnr")
        return []
    return [Listing(entity_id, one.betnr, one.name, one.status, one.fingerprint, one.modified_at, one.modified_by)]


def fits(run_: Run, listing: Listing, selection: Selection) -> bool:
    """Whether a record is meant: saved since the date, on one of the statuses, and of the pilot group."""
    if selection.since and (listing.modified_at or "") < selection.since:
        return False
    if selection.statuses:
        known = load_persons(run_.store, [listing.entity_id])
        status = known[0]["status"] if known and known[0]["status"] else listing.status
        if status not in selection.statuses:
            return False
    return run_.limits.allows(listing.entity_id, listing.betnr)


def one_chunk(run_: Run, begun: Backfill) -> Plan:
    """Look at the next chunk and sync it; then remember how far it is.

    A record that may be half written, by a person or by a backfill that was killed, has its turn again at the end.
    """
    at, started = position(run_.store), run_.monotonic()
    chunk = begun.entities[at.done : at.done + begun.chunk]
    tell(run_, begun, at)
    set_apart(run_)
    ready = looked_at(run_, unfinished(run_, begun, chunk), everybody=True)
    plans = sync_persons(run_, ready)
    half_written = [one for one in begun.entities[at.done : begun.size][: begun.chunk] if one not in ready]
    begun = replace(begun, entities=[*begun.entities, *(one for one in half_written if waits_to_settle(run_, one))])
    calls = sum(run_.espo.calls.values()) + sum(run_.advoware.calls.values())
    here = Position(at.done + len(chunk), at.calls + calls, at.seconds + run_.monotonic() - started)
    over = here.done >= len(begun.entities)
    with run_.store.transaction():
        run_.store.set_setting(SETTING, None if over else json.dumps(asdict(begun)))
        run_.store.set_setting(POSITION, None if over else json.dumps(asdict(here)))
    tell(run_, begun, here)
    run_.log.info("backfill", done=here.done, of=len(begun.entities))
    return plans


def waits_to_settle(run_: Run, entity_id: str) -> bool:
    """Whether a person waits for nothing but its record to be whole."""
    return entity_id in run_.tally.waiting and entity_id not in run_.absent


def unfinished(run_: Run, begun: Backfill, chunk: Sequence[str]) -> list[dict[str, Any]]:
    """Who of a chunk is still to be looked at: not who was brought into agreement since the backfill began."""
    held = {one["entity_id"] for one in open_holds(run_.store)}
    run_.tally.held |= held & set(chunk)
    return [
        one
        for one in load_persons(run_.store, chunk)
        if one["entity_id"] not in held | run_.tally.skipped | run_.absent.keys()
        and one["gone_at"] is None
        and not (one["due_since"] is None and (one["last_sync_at"] or "") > begun.began_at)
    ]


def tell(run_: Run, begun: Backfill, at: Position) -> None:
    """How far it is, and what the rest will take at the pace so far."""
    left = len(begun.entities) - at.done
    calls = round(at.calls / at.done * left) if at.done else None
    minutes = round(at.seconds / at.done * left / 60, 1) if at.done else None
    more = "" if calls is None else f"|about {minutes:g} min and {calls:,} calls left"
    run_.progress(f"backfill{more}", max(at.done - 1, 0), len(begun.entities))

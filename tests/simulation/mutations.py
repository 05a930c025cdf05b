"""Protections of the engine, each taken away by name: whatever breaks one of them, the simulation must see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from etl.apply import row_steps, second_look, write_row
from etl.arrays import write_arrays
from etl.errors import CredentialsRefused, Moved, UnknownOutcome
from etl.guard import baseline_record
from etl.readback import ReadBack
from etl.rules.array_read import Stored
from etl.rules.columns import Columns
from etl.rules.conflicts import Verdict
from etl.rules.entry import NONE, Decision
from etl.rules.marker import as_compared
from etl.rules.mending import Reading
from etl.rules.values import Value
from etl.rules.writes import clash, var6
from etl.run import Absent
from etl.store.baseline import save_baseline
from etl.store.due import clear_due, known_between
from etl.store.journal import settle
from etl.store.states import Absence, ChangeState
from etl.unlinking import end
from etl.verify import verify_person
from tests.simulation import test_absent as absent
from tests.simulation import test_hard_cases as cases
from tests.simulation import test_second_edition as second
from tests.simulation.mutations_of_marks import MUTATIONS_OF_MARKS
from tests.simulation.mutations_of_values import MUTATIONS_OF_VALUES
from tests.simulation.taken_away import Broken, Mutation, Worlds


def answers(value: Any) -> Broken:
    """The function does nothing and returns this."""
    return lambda _real: lambda *_args, **_kwargs: value


def not_synced(real: Any) -> Callable[..., Any]:
    """An intent is committed like what lies behind us: a power loss takes it along."""

    def begin(run: Any, *intended: Any) -> None:
        with run.store.what_happened():
            real(run, *intended)

    return begin


def repeats_blindly(real: Any) -> Callable[..., Any]:
    """A write whose answer never came is sent once more."""

    def sent(border: Any, ask: Any) -> Any:
        try:
            return real(border, ask)
        except UnknownOutcome:
            return real(border, ask)

    return sent


def believed_unread(_real: Any) -> Callable[..., Any]:
    """Whatever an array PUT was to do is taken for done."""
    return lambda _run, changes, _espo: {
        change["id"]: {**change, "state": ChangeState.DONE} for change in changes if change["side"] == "espo"
    }


def as_written(real: Any) -> Callable[..., Any]:
    """Whatever a value says, it is compared as it was typed."""

    def read(channel: Any, value: Any, region: Any) -> Any:
        says = real(channel, value, region)
        return replace(says, canonical=value) if isinstance(says, Value) else value or None

    return read


def rows_before_arrays(_real: Any) -> Callable[..., Any]:
    """Advoware's rows are written first, their markers with them, and EspoCRM's arrays after them."""
    def applied(run: Any, saved: Any) -> None:
        look = run.looks[saved.plan.entity_id]
        second_look(run, saved)
        written = [write_row(run, saved, decision, step) for decision, step in row_steps(saved)]
        if saved.plan.arrays:
            write_arrays(run, saved, look)
        verify_person(run, saved, [one for one in written if one is not None])

    return applied


def baseline_of_what_is_read(real: Any) -> Callable[..., Any]:
    """Whatever the verifying GET shows of a row is agreed."""

    def move(run: Any, saved: Any, decision: Any, written: Any, back: Any, found: Any) -> None:
        real(run, saved, decision, written, back, found)
        own = [one.komm_id for one in written if one.decision is decision]
        komm_id = own[0] if own else decision.pair and decision.pair.komm_id
        if decision.pair is None or komm_id not in found or not found[komm_id].value:
            return
        pair, row = replace(decision.pair, advo_value=found[komm_id].value), found[komm_id]
        record = baseline_record(saved.plan, pair, run.policy.region, komm_id=komm_id, row_id=row.row_id)
        save_baseline(run.store, [record], run.utcnow())

    return move


def without_reading_back(_real: Any) -> Callable[..., Any]:
    """Every write is believed to stand as sent, without a look."""

    def read_back(_run: Any, look: Any, written: Any) -> ReadBack:
        return ReadBack(look.advo, {one.komm_id: Reading.AS_SENT for one in written}, disturbed=False)

    return read_back


def without_comparing(real: Any) -> Callable[..., Any]:
    """The side is read again, and whatever it shows is taken for what was planned with."""
    def read_again(run: Any, look: Any) -> None:
        try:
            real(run, look)
        except Moved:
            return

    return read_again


def by_key_alone(_real: Any) -> Callable[..., Any]:
    """A join in which one item serves several rows."""

    def join(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first = {key: place for place, key in reversed([*enumerate(right.tolist())]) if key != NONE}
        met = [(place, first[key]) for place, key in enumerate(left.tolist()) if key in first]
        ours, theirs = zip(*met, strict=True) if met else ((), ())
        return np.array(ours, dtype="int64"), np.array(theirs, dtype="int64")

    return join


def null_is_a_place(_real: Any) -> Callable[..., Any]:
    """Where there is nothing, something is found all the same: the last thing of all."""

    def take(column: Any, where: Any, missing: Any = NONE) -> np.ndarray:
        values, at = np.asarray(column), np.asarray(where)
        return values[at] if len(values) else np.full(len(at), missing)

    return take


def missing_is_gone(real: Any) -> Callable[..., Any]:
    """Who is known and not in the list of all records is taken for deleted."""

    def list_candidates(run: Any) -> None:
        real(run)
        listed = {one.entity_id for page in run.espo.everyone() for one in page.listings}
        with run.store.transaction():
            for entity_id in known_between(run.store, "", None):
                if entity_id not in listed:
                    end(run, entity_id, Absent(Absence.GONE_IN_ESPOCRM))

    return list_candidates


def undue_once_planned(real: Any) -> Callable[..., Any]:
    """The due mark goes when the plan is made, not when it is carried out."""

    def journalled(run: Any, plan: Any) -> Any:
        clear_due(run.store, [plan.entity_id])
        return real(run, plan)

    return journalled


def undue_instead(_real: Any) -> Callable[..., Any]:
    """Who is to stay due is not."""
    return lambda store, entity_ids, *_args, **_kwargs: clear_due(store, entity_ids)


def any_slot(_real: Any) -> Callable[..., Any]:
    """The first free slot is reused, whatever its kommKz."""
    return lambda slots, _komm_kz: slots._free.pop(0) if slots._free else None  # noqa: SLF001


def advoware_wins(_real: Any) -> Callable[..., Any]:
    """A value that both sides changed becomes Advoware's."""
    return lambda entry, means: (clash if entry.item is None else var6)(entry, means)


def without_flags(real: Any) -> Callable[..., Any]:
    """Items are sent with the keys that matter to us only."""
    dropped = ("optOut", "invalid")
    return lambda item: {key: value for key, value in real(item).items() if key not in dropped}


def without_first_syncs(real: Any) -> Callable[..., Any]:
    """Nobody counts as new, nor as recovered."""

    def with_history(persons: Any, *others: Any) -> Columns:
        told, nobody = real(persons, *others), np.zeros(len(persons), dtype=bool)
        kept = {name: told[name] for name in ("edited_by_other", "noted")}
        return Columns(persons, **kept, first_sync=nobody, begun=nobody, recovery=nobody, trusted=nobody)

    return with_history


def believed_seen(real: Any) -> Callable[..., Any]:
    """Whatever an array PUT was to do counts as shown by the read."""

    def judgement(*args: Any) -> Any:
        judged = real(*args)
        read = replace(judged.read, shown=judged.read.before | judged.read.sent)
        return replace(judged, read=read, of_change=dict.fromkeys(judged.of_change, Stored.WHOLE))

    return judgement


def read_once(real: Any) -> Callable[..., Any]:
    """After an array PUT one read is all: a second one shows what the first showed."""

    def see_arrays(run: Any, saved: Any, look: Any) -> Any:
        client, fetch = run.espo, run.espo.fetch
        shown = fetch(look.espo.entity_id)
        client.fetch = lambda _entity_id: shown
        try:
            return real(run, saved, look)
        finally:
            del client.fetch

    return see_arrays


def taken_is_deleted(real: Any) -> Callable[..., Any]:
    """A value that our own half-done PUT took, without bringing the new one, counts as done."""

    def of_change(*args: Any) -> Any:
        stored = real(*args)
        return Stored.WHOLE if stored is Stored.TAKEN_ONLY else stored

    return of_change


def pages_count(real: Any) -> Callable[..., Any]:
    """A 404 is a 404, whoever says it."""
    return lambda border, answer: None if answer.status == NOT_FOUND else real(border, answer)


def without_recoveries(real: Any) -> Callable[..., Any]:
    """Whoever returns is new."""

    def with_history(persons: Any, *others: Any) -> Columns:
        told, nobody = real(persons, *others), np.zeros(len(persons), dtype=bool)
        kept = {name: told[name] for name in ("edited_by_other", "noted", "first_sync", "begun")}
        return Columns(persons, **kept, recovery=nobody, trusted=nobody)

    return with_history


def credentials_refused(_real: Any) -> Callable[..., Any]:
    """A 403 to anybody is our login's fault."""

    def demand_access(*_args: Any) -> None:
        raise CredentialsRefused("Advoware", "403")

    return demand_access


NOT_FOUND = 404
MEANWHILE = Worlds("people edit meanwhile")
IN_ESPO = Worlds(persons=6, people=0.4, side="espo", nature={"concurrency": False, "latency": 0.4})
IN_ESPO_GUARDED = Worlds(persons=6, people=0.06, side="espo", nature={"concurrency": True, "latency": 0.05})
CUT = Worlds("values shortened", persons=6)
KILLED, LOST = Worlds("killed"), Worlds("request lost")
CALM, CROWD, FIRST = Worlds(), Worlds(persons=10), Worlds(rounds=0)

MUTATIONS = (
    Mutation("no guard", ("jobs.persons:held_persons",), answers({}), Worlds(persons=25)),
    Mutation(
        "a write is repeated blindly",
        ("etl.clients.http:Border.send",),
        repeats_blindly,
        Worlds("answer lost", rounds=0),
    ),
    Mutation("the marker is written before the value", ("jobs.persons:apply_person",), rows_before_arrays, KILLED),
    Mutation(
        "the baseline is what was sent", ("etl.readback:reading",), answers(Reading.AS_SENT), CUT
    ),
    Mutation(
        "the baseline is whatever is read",
        ("etl.verify:move_baseline",),
        baseline_of_what_is_read,
        MEANWHILE,
        case=cases.test_a_row_edited_after_our_write_and_before_our_verifying_get,
    ),
    Mutation("verification off", ("etl.verify:read_back",), without_reading_back, CUT),
    Mutation(
        "no settle time",
        ("etl.extract:is_unsettled", "etl.apply:is_unsettled"),
        answers(value=False),
        Worlds("torn EspoCRM reads", rounds=0),
    ),
    Mutation(
        "no second look",
        ("etl.apply:sides_things_vanished_from",),
        answers(frozenset()),
        Worlds("rows missing in a GET"),
        case=cases.test_a_row_that_one_get_does_not_show_is_no_deletion,
    ),
    Mutation(
        "no wait when everything vanished",
        ("etl.rules.people:waits_for",),
        answers(None),
        Worlds("no rows shown in a run"),
    ),
    Mutation(
        "rows are not compared before they are written",
        ("etl.apply:read_advoware_again",),
        without_comparing,
        MEANWHILE,
    ),
    Mutation("the array PUT is made from the stale look", ("etl.apply:read_espo_again",), without_comparing, IN_ESPO),
    Mutation(
        "EspoCRM's version is not sent",
        ("etl.clients.espocrm:EspoCrm.write",),
        lambda real: lambda client, entity_id, values, items=None, _=None: real(client, entity_id, values, items),
        IN_ESPO_GUARDED,
        case=partial(cases.test_an_item_added_between_our_read_and_our_array_put, concurrency=True),
    ),
    Mutation("a join uses an item twice", ("etl.rules.matching:join_once",), by_key_alone, CALM),
    Mutation("null is a place", ("etl.rules.matching:take", "etl.rules.facts:take"), null_is_a_place, CALM),
    Mutation(
        "values are compared as written",
        ("etl.rules.observed:classify", "etl.rules.observed:canonical", "etl.guard:canonical"),
        as_written,
        FIRST,
    ),
    Mutation(
        "a list is trusted for deletion",
        ("jobs.pipeline:list_candidates",),
        missing_is_gone,
        Worlds("list truncated, total lies"),
    ),
    Mutation(
        "an incomplete list is believed",
        ("etl.clients.listing:Tally.confirm",),
        answers(None),
        Worlds("list with a hole", persons=8),
    ),
    Mutation("an edit behind our array PUT is not seen", ("etl.verify:same_items",), answers(value=True), MEANWHILE),
    Mutation("a slot is reused across kommKz", ("etl.rules.slots:Slots.take",), any_slot, Worlds(rounds=3, persons=5)),
    Mutation("the due mark goes with the plan", ("jobs.persons:journalled",), undue_once_planned, KILLED),
    Mutation("who was edited meanwhile is not due", ("etl.verify:mark_due",), undue_instead, MEANWHILE),
    Mutation("Advoware wins a clash", ("etl.rules.writes:WRITERS.clash",), advoware_wins, CROWD),
    Mutation("no conflict is a person's", ("etl.diff:in_conflict",), answers(value=False), CROWD),
    Mutation("a value that loses is not kept", ("etl.writing:save_conflicts",), answers(None), CROWD),
    Mutation(
        "own text is dropped",
        ("etl.rules.writes:encode",),
        lambda real: lambda value, komm_kz, _own_text: real(value, komm_kz, ""),
        FIRST,
    ),
    Mutation("items are not sent whole", ("etl.rules.plan:whole",), without_flags, Worlds(rounds=2)),
    Mutation(
        "an intent is not synced",
        ("etl.writing:begin",),
        not_synced,
        Worlds("power lost"),
        case=cases.test_a_value_that_lost_is_kept_when_the_power_goes_after_the_write_that_overwrote_it,
    ),
    Mutation(
        "one value, several pairs",
        ("etl.diff:one_pair_a_value",),
        lambda _real: list,
        MEANWHILE,
        case=cases.test_both_sides_move_to_one_value_from_different_entries,
    ),
    Mutation(
        "a first sync is like any other",
        ("etl.rules.keys:with_history",),
        without_first_syncs,
        Worlds(rounds=0, persons=8, nature={"scope": "person"}),
    ),
    Mutation(
        "what an unfinished run did is forgotten",
        ("etl.extract:settle_person",),
        lambda _real: lambda run, entity_id, _espo, _advo: settle(run.store, entity_id),
        KILLED,
        case=partial(cases.test_a_remark_advoware_shortens_keeps_its_text, killed=True),
    ),
    Mutation("an unknown outcome is believed", ("etl.settle:row_arrived",), answers((True, None)), LOST),
    Mutation(
        "an unknown array PUT is believed",
        ("etl.settle:judged_by_reading",),
        believed_unread,
        LOST,
        case=cases.test_an_array_put_that_never_arrived_is_made_again,
    ),
    Mutation(
        "a run goes on without its lease",
        ("jobs.lock:Lease.check",),
        answers(None),
        Worlds("a run sleeps beyond its lease", persons=8),
        case=cases.test_a_run_whose_lease_was_taken_stores_nothing_over_what_its_successor_saw,
    ),
    Mutation(
        "an array PUT is believed unread",
        ("etl.arrays:judgement", "etl.settle:judgement"),
        believed_seen,
        Worlds("arrays not stored, echoed"),
        case=second.test_what_espocrm_confirms_and_does_not_store_stays_in_advoware,
    ),
    Mutation(
        "no second read once EspoCRM has settled",
        ("etl.apply:see_arrays",),
        read_once,
        Worlds("torn EspoCRM reads"),
        case=second.test_a_read_that_comes_too_early_is_no_failure,
    ),
    Mutation(
        "what a half-done PUT took is somebody's deletion",
        ("etl.rules.array_read:ArrayRead.of_change",),
        taken_is_deleted,
        Worlds("dies: unlinked, not linked"),
        case=second.test_an_old_number_that_our_half_done_put_took_is_nobodys_deletion,
    ),
    Mutation(
        "the flags of a taken item are forgotten",
        ("etl.diff:Means",),
        lambda real: lambda slots, policy, *_taken: real(slots, policy, {}),
        Worlds("dies: unlinked, not linked"),
        case=second.test_what_was_chosen_for_an_item_that_our_half_done_put_took_comes_back_with_it,
    ),
    Mutation(
        "what a half-done PUT brought is EspoCRM's edit",
        ("etl.diff:is_our_half",),
        answers(value=False),
        Worlds("dies: linked, not unlinked"),
        case=second.test_what_our_half_done_put_brought_beside_the_old_value_is_nobodys_edit,
    ),
    Mutation(
        "an unknown PUT is judged while it may be under way",
        ("etl.saves:last_uncertain_put",),
        answers(None),
        Worlds("timeout after effect"),
        case=second.test_a_put_that_is_still_under_way_is_not_judged,
    ),
    Mutation(
        "an edit just before our array PUT is not looked for",
        ("etl.arrays:is_as_planned_beside",),
        answers(value=True),
        IN_ESPO,
        case=cases.test_a_mail_entered_between_our_look_and_our_put_of_phones_is_synced,
    ),
    Mutation(
        "an absence ends a person at once",
        ("etl.ending:is_over",),
        answers(value=True),
        Worlds("404 of some in Advoware", edition=2),
        case=absent.test_one_404_of_somebody_who_is_there_ends_nothing,
    ),
    Mutation(
        "a page that says 404 is believed",
        ("etl.clients.http:Border._passing",),
        pages_count,
        Worlds("HTML 404 of some in Advoware", edition=2),
        case=absent.test_a_page_that_says_404_ends_nothing,
    ),
    Mutation(
        "the first 404 is believed without asking others",
        ("etl.ending:why_not", "etl.belief:why_not"),
        answers(None),
        Worlds("404 for everybody", edition=2),
        case=absent.test_a_404_for_everybody_ends_nothing,
    ),
    Mutation(
        "endings are not guarded",
        ("etl.ending:why_all",),
        answers(None),
        Worlds("betnr blanked", persons=8, edition=2),
        case=absent.test_an_import_that_blanks_many_is_held,
    ),
    Mutation(
        "whoever returns is a first sync",
        ("etl.rules.keys:with_history",),
        without_recoveries,
        Worlds("away and back", edition=2),
        case=absent.test_whoever_returns_is_recovered,
    ),
    Mutation(
        "EspoCRM is not asked what it has of a value",
        ("etl.apply:with_what_is_stored",),
        lambda _real: lambda _run, saved: saved,
        Worlds("shared address rows", persons=6, edition=2),
        case=second.test_an_opt_out_of_another_record_stays_when_its_number_is_typed_in,
    ),
    Mutation(
        "the type is agreed as it was sent",
        ("etl.verify:as_shown",),
        lambda _real: lambda _run, _saved, _decision, pair: pair,
        Worlds("shared address rows", persons=6, edition=2),
        case=second.test_a_type_that_espocrm_keeps_is_nobodys_edit,
    ),
    Mutation(
        "a leftover is not made a slot",
        ("etl.rules.writes:WRITERS.leftover",),
        lambda _real: lambda entry, _means: Decision(entry, entry.variant, Verdict.GO, "", ()),
        KILLED,
        case=second.test_an_empty_row_with_our_marker_becomes_a_slot,
    ),
    Mutation(
        "a retype makes a row though one stands",
        ("etl.rules.retyping:row_for",),
        answers(None),
        KILLED,
        case=second.test_a_retype_takes_the_row_that_has_the_value_and_the_new_kommkz,
    ),
    Mutation(
        "a trimmed remark is not what was sent",
        ("etl.rules.marker:as_compared", "etl.rules.mending:as_compared"),
        lambda _real: lambda text: text or "",
        Worlds("remarks trimmed"),
        case=second.test_a_trimmed_remark_is_stored_as_sent,
    ),
    Mutation(
        "half a letter at a cut is somebody's edit",
        ("etl.rules.mending:uncut",),
        lambda _real: as_compared,
        Worlds("remarks cut inside a letter", nature={"answers_put": False}),
        case=second.test_a_remark_cut_inside_a_letter_is_no_persons_edit,
    ),
    Mutation(
        "a 403 ends the run as credentials",
        ("etl.clients.advoware:Advoware._demand_access",),
        credentials_refused,
        Worlds("403 to writes of some"),
        case=second.test_a_refused_write_fails_one_person_and_no_login,
    ),
    Mutation(
        "what was refused is tried again",
        ("etl.rules.leaving:remembered",),
        answers(None),
        Worlds("4xx", persons=8),
        case=partial(cases.test_a_value_advoware_shortens, killed=False),
    ),
    *MUTATIONS_OF_MARKS,
    *MUTATIONS_OF_VALUES,
)
"""Each breaks one protection of rules.md."""

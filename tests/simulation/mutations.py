"""Protections of the engine, each taken away by name: whatever breaks one of them, the simulation must see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from etl.apply import advo_steps, revalidate, write_row
from etl.context import ObservedAbsence, PersonReads, RunContext
from etl.enums import Absence, ChangeState
from etl.errors import ConcurrentEdit, CredentialsRefused, UnknownOutcome
from etl.reading.own_arrays import PutJudgement
from etl.records import AdvoRow
from etl.rules.actions import clash, var6
from etl.rules.entry import Decision
from etl.rules.espo.array_read import ChangeOutcome
from etl.rules.marker import comparable_text
from etl.rules.plan import PersonPlan
from etl.rules.truncation import WriteOutcome
from etl.rules.values.classify import Value
from etl.rules.variants import Resolution
from etl.store.tables.journal import close_plans
from etl.store.tables.queue import clear_due, ids_of_linked_between
from etl.writing.baseline_moves import BaselineMove
from etl.writing.espo_items import write_espo_items
from etl.writing.journal import PlanJournal, baseline_record, store_answers
from etl.writing.readback import AcknowledgedWrite, ReadBack
from etl.writing.unlinked import end_person_sync
from tests.simulation import test_absent as absent
from tests.simulation import test_hard_cases as cases
from tests.simulation import test_second_edition as second
from tests.simulation.mutations_of_marks import MUTATIONS_OF_MARKS
from tests.simulation.mutations_of_values import MUTATIONS_OF_VALUES
from tests.simulation.taken_away import Mutation, Replacement, WorldSpec


def return_value(value: Any) -> Replacement:
    """The function does nothing and returns this."""
    return lambda _real: lambda *_args, **_kwargs: value


def without_fsync(real: Any) -> Callable[..., Any]:
    """An intent is committed like what lies behind us: a power loss takes it along."""

    def begin(run: RunContext, *changes: Any) -> None:
        with run.store.transaction_without_fsync():
            real(run, *changes)

    return begin


def repeat_write(real: Any) -> Callable[..., Any]:
    """A write whose answer never came is sent once more."""

    def send(session: Any, request: Any) -> Any:
        try:
            return real(session, request)
        except UnknownOutcome:
            return real(session, request)

    return send


def believe_array_put(_real: Any) -> Callable[..., Any]:
    """Whatever an array PUT was to do is taken for done."""
    return lambda _run, changes, _espo: {
        change["id"]: {**change, "state": ChangeState.DONE} for change in changes if change["side"] == "espo"
    }


def compare_raw_text(real: Any) -> Callable[..., Any]:
    """Whatever a value says, it is compared as it was typed."""

    def read(channel: Any, value: Any, region: Any) -> Any:
        parsed = real(channel, value, region)
        return replace(parsed, canonical=value) if isinstance(parsed, Value) else value or None

    return read


def rows_before_arrays(_real: Any) -> Callable[..., Any]:
    """Advoware's rows are written first, their markers with them, and EspoCRM's arrays after them."""
    def apply_person(run: RunContext, journal: PlanJournal) -> tuple[PlanJournal, list[AcknowledgedWrite]]:
        read = run.reads[journal.plan.entity_id]
        revalidate(run, journal)
        with store_answers(run):
            written_rows = [write_row(run, journal, decision, step) for decision, step in advo_steps(journal)]
        if journal.plan.espo_payload:
            write_espo_items(run, journal, read)
        return journal, [written_row for written_row in written_rows if written_row is not None]

    return apply_person


def baseline_from_read(real: Any) -> Callable[..., Any]:
    """Whatever the verifying GET shows of a row is agreed."""

    def move(
        run: RunContext,
        saved_plan: PlanJournal,
        decision: Decision,
        written_rows: Sequence[AcknowledgedWrite],
        readback: ReadBack,
        rows_by_id: Mapping[int, AdvoRow],
    ) -> BaselineMove:
        real_move: BaselineMove = real(run, saved_plan, decision, written_rows, readback, rows_by_id)
        komm_ids = [write.komm_id for write in written_rows if write.decision is decision]
        planned = decision.next_baseline
        komm_id = komm_ids[0] if komm_ids else planned.komm_id if planned is not None else None
        row = rows_by_id.get(komm_id) if komm_id is not None else None
        if planned is None or row is None or not row.value:
            return real_move
        pair = replace(planned, advo_value=row.value)
        record = baseline_record(saved_plan.plan, pair, run.policy.region, komm_id=komm_id, row_id=row.row_id)
        return real_move._replace(pair=record)

    return move


def without_readback(_real: Any) -> Callable[..., Any]:
    """Every write is believed to stand as sent, without a look."""

    def read_back(_run: RunContext, read: PersonReads, written_rows: Sequence[AcknowledgedWrite]) -> ReadBack:
        return ReadBack(
            read.advo,
            {written_row.komm_id: WriteOutcome.AS_SENT for written_row in written_rows},
            edited_by_others=False,
        )

    return read_back


def without_comparison(real: Any) -> Callable[..., Any]:
    """The side is read again, and whatever it shows is taken for what was planned with."""
    def read_again(run: RunContext, read: PersonReads) -> None:
        try:
            real(run, read)
        except ConcurrentEdit:
            return

    return read_again


def join_by_key_only(_real: Any) -> Callable[..., Any]:
    """A join in which one item serves several rows."""

    def join(left: pd.DataFrame, right: pd.DataFrame, numbers: Sequence[str], on: list[str]) -> pd.DataFrame:
        left, right = left[[numbers[0], *on]].dropna(), right[[numbers[1], *on]].dropna().drop_duplicates(on)
        return left.merge(right, on=on, how="inner", validate="m:1")[list(numbers)]

    return join


def null_takes_last(real: Any) -> Callable[..., Any]:
    """Where there is nothing, something is found all the same: the last thing of all."""

    def join_part(entries: pd.DataFrame, part: pd.DataFrame, number: str) -> pd.DataFrame:
        last = None if part.empty else part[number].iloc[-1]
        real_part: pd.DataFrame = real(entries.assign(**{number: entries[number].fillna(last)}), part, number)
        return real_part

    return join_part


def treat_missing_as_deletion(real: Any) -> Callable[..., Any]:
    """Who is known and not in the list of all records is taken for deleted."""

    def list_candidates(run: RunContext) -> None:
        real(run)
        listed_ids = {listing.entity_id for page in run.espo.iter_pages([]) for listing in page.listings}
        with run.store.transaction():
            for entity_id in ids_of_linked_between(run.store, "", None):
                if entity_id not in listed_ids:
                    end_person_sync(run, entity_id, ObservedAbsence(Absence.GONE_IN_ESPOCRM))

    return list_candidates


def clear_due_at_planning(real: Any) -> Callable[..., Any]:
    """The due mark goes when the plan is made, not when it is carried out."""

    def journal_plan(run: RunContext, plan: PersonPlan) -> Any:
        clear_due(run.store, [plan.entity_id])
        return real(run, plan)

    return journal_plan


def clear_due_instead(_real: Any) -> Callable[..., Any]:
    """Who is to stay due is not."""
    return lambda store, entity_ids, *_args, **_kwargs: clear_due(store, entity_ids)


def take_any_slot(_real: Any) -> Callable[..., Any]:
    """The first free slot is reused, whatever its kommKz."""
    return lambda slots, _komm_kz: slots._free.pop(0) if slots._free else None  # noqa: SLF001


def advoware_wins(_real: Any) -> Callable[..., Any]:
    """A value that both sides changed becomes Advoware's."""
    return lambda entry, means: (clash if entry.item is None else var6)(entry, means)


def without_flags(real: Any) -> Callable[..., Any]:
    """Items are sent with the keys that matter to us only."""
    flags = ("optOut", "invalid")
    return lambda item: {key: value for key, value in real(item).items() if key not in flags}


def without_first_syncs(real: Any) -> Callable[..., Any]:
    """Nobody counts as new, nor as recovered."""

    return lambda *frames: real(*frames).assign(first_sync=False, begun=False, recovery=False, trusted=False)


def believe_all_shown(real: Any) -> Callable[..., Any]:
    """Whatever an array PUT was to do counts as shown by the read."""

    def judgement(*args: Any) -> PutJudgement:
        judged: PutJudgement = real(*args)
        array_read = replace(judged.read, values_shown=judged.read.values_before | judged.read.values_sent)
        outcomes = dict.fromkeys(judged.outcome_by_change, ChangeOutcome.COMPLETE)
        return replace(judged, read=array_read, outcome_by_change=outcomes)

    return judgement


def read_once(real: Any) -> Callable[..., Any]:
    """After an array PUT one read is all: a second one shows what the first showed."""

    def see_arrays(run: RunContext, saved_plan: PlanJournal, read: PersonReads) -> Any:
        client: Any = run.espo
        fetch = run.espo.fetch
        record = fetch(read.espo.entity_id)
        client.fetch = lambda _entity_id: record
        try:
            return real(run, saved_plan, read)
        finally:
            del client.fetch

    return see_arrays


def count_removal_as_done(real: Any) -> Callable[..., Any]:
    """A value that our own half-done PUT took, without bringing the new one, counts as done."""

    def of_change(*args: Any) -> Any:
        outcome = real(*args)
        return ChangeOutcome.COMPLETE if outcome is ChangeOutcome.REMOVED_ONLY else outcome

    return of_change


def believe_404_pages(real: Any) -> Callable[..., Any]:
    """A 404 is a 404, whoever says it."""
    return lambda session, answer: None if answer.status == NOT_FOUND else real(session, answer)


def without_recoveries(real: Any) -> Callable[..., Any]:
    """Whoever returns is new."""

    return lambda *frames: real(*frames).assign(recovery=False, trusted=False)


def treat_403_as_credentials(_real: Any) -> Callable[..., Any]:
    """A 403 to anybody is our login's fault."""

    def demand_access(*_args: Any) -> None:
        raise CredentialsRefused("Advoware", "403")

    return demand_access


NOT_FOUND = 404
EDITS_MEANWHILE = WorldSpec("people edit meanwhile")
IN_ESPO = WorldSpec(persons=6, edit_probability=0.4, side="espo", traits={"concurrency": False, "latency": 0.4})
IN_ESPO_GUARDED = WorldSpec(
    persons=6, edit_probability=0.06, side="espo", traits={"concurrency": True, "latency": 0.05}
)
TRUNCATING = WorldSpec("values shortened", persons=6)
KILLED, REQUEST_LOST = WorldSpec("killed"), WorldSpec("request lost")
NO_FAULT, TEN_PERSONS, FIRST_SYNC = WorldSpec(), WorldSpec(persons=10), WorldSpec(rounds=0)

MUTATIONS = (
    Mutation("no guard", ("jobs.run.sync_persons:persons_to_hold",), return_value({}), WorldSpec(persons=25)),
    Mutation(
        "a write is repeated blindly",
        ("etl.clients.http:HttpSession.send",),
        repeat_write,
        WorldSpec("answer lost", rounds=0),
    ),
    Mutation(
        "the marker is written before the value", ("jobs.run.sync_persons:apply_person",), rows_before_arrays, KILLED
    ),
    Mutation(
        "the baseline is what was sent",
        ("etl.writing.readback:verify_write",),
        return_value(WriteOutcome.AS_SENT),
        TRUNCATING,
    ),
    Mutation(
        "the baseline is whatever is read",
        ("etl.verify:baseline_move",),
        baseline_from_read,
        EDITS_MEANWHILE,
        case=cases.test_a_row_edited_after_our_write_and_before_our_verifying_get,
    ),
    Mutation("verification off", ("etl.verify:read_back",), without_readback, TRUNCATING),
    Mutation(
        "no settle time",
        ("etl.extract:may_be_half_written", "etl.apply:may_be_half_written"),
        return_value(value=False),
        WorldSpec("torn EspoCRM reads", rounds=0),
    ),
    Mutation(
        "no second look",
        ("etl.apply:sides_missing_entries",),
        return_value(frozenset()),
        WorldSpec("rows missing in a GET"),
        case=cases.test_a_row_that_one_get_does_not_show_is_no_deletion,
    ),
    Mutation(
        "no wait when everything vanished",
        ("etl.rules.joins.entries:side_to_wait_for",),
        return_value(None),
        WorldSpec("no rows shown in a run"),
    ),
    Mutation(
        "rows are not compared before they are written",
        ("etl.apply:refresh_advo",),
        without_comparison,
        EDITS_MEANWHILE,
    ),
    Mutation("the array PUT is made from the stale look", ("etl.apply:refresh_espo",), without_comparison, IN_ESPO),
    Mutation(
        "EspoCRM's version is not sent",
        ("etl.clients.espocrm:EspoClient.write",),
        lambda real: lambda client, entity_id, values, items=None, _=None: real(client, entity_id, values, items),
        IN_ESPO_GUARDED,
        case=partial(cases.test_an_item_added_between_our_read_and_our_array_put, concurrency=True),
    ),
    Mutation("a join uses an item twice", ("etl.rules.joins.matching:merge_one_to_one",), join_by_key_only, NO_FAULT),
    Mutation(
        "null is a place",
        ("etl.rules.joins.facts:join_part",),
        null_takes_last,
        NO_FAULT,
    ),
    Mutation(
        "values are compared as written",
        (
            "etl.rules.snapshot_records:classify",
            "etl.rules.snapshot_records:canonical",
            "etl.writing.journal:canonical",
        ),
        compare_raw_text,
        FIRST_SYNC,
    ),
    Mutation(
        "a list is trusted for deletion",
        ("jobs.pipeline:mark_candidates_due",),
        treat_missing_as_deletion,
        WorldSpec("list truncated, total lies"),
    ),
    Mutation(
        "an incomplete list is believed",
        ("etl.clients.paging:CompletenessCheck.check_total",),
        return_value(None),
        WorldSpec("list with a hole", persons=8),
    ),
    Mutation(
        "an edit behind our array PUT is not seen",
        ("etl.verify:has_same_items",),
        return_value(value=True),
        EDITS_MEANWHILE,
    ),
    Mutation(
        "a slot is reused across kommKz", ("etl.rules.slots:Slots.take",), take_any_slot, WorldSpec(rounds=3, persons=5)
    ),
    Mutation(
        "the due mark goes with the plan", ("jobs.run.sync_persons:journal_person",), clear_due_at_planning, KILLED
    ),
    Mutation("who was edited meanwhile is not due", ("etl.verify:mark_due",), clear_due_instead, EDITS_MEANWHILE),
    Mutation("Advoware wins a clash", ("etl.rules.actions:WRITERS.clash",), advoware_wins, TEN_PERSONS),
    Mutation("no conflict is a person's", ("etl.diff:is_person_conflict",), return_value(value=False), TEN_PERSONS),
    Mutation(
        "a value that loses is not kept", ("etl.writing.journal:save_conflicts",), return_value(None), TEN_PERSONS
    ),
    Mutation(
        "own text is dropped",
        ("etl.rules.actions:encode",),
        lambda real: lambda value, komm_kz, _own_text: real(value, komm_kz, ""),
        FIRST_SYNC,
    ),
    Mutation("items are not sent whole", ("etl.rules.plan:item_payload",), without_flags, WorldSpec(rounds=2)),
    Mutation(
        "an intent is not synced",
        ("etl.writing.journal:start_write",),
        without_fsync,
        WorldSpec("power lost"),
        case=cases.test_a_value_that_lost_is_kept_when_the_power_goes_after_the_write_that_overwrote_it,
    ),
    Mutation(
        "one value, several pairs",
        ("etl.diff:merge_same_value",),
        lambda _real: list,
        EDITS_MEANWHILE,
        case=cases.test_both_sides_move_to_one_value_from_different_entries,
    ),
    Mutation(
        "a first sync is like any other",
        ("etl.rules.joins.keys:add_history",),
        without_first_syncs,
        WorldSpec(rounds=0, persons=8, traits={"scope": "person"}),
    ),
    Mutation(
        "what an unfinished run did is forgotten",
        ("jobs.run.sync_persons:recover_person", "jobs.pipeline:recover_person"),
        lambda _real: lambda run, entity_id, _espo, _advo: close_plans(run.store, entity_id),
        KILLED,
        case=partial(cases.test_a_remark_advoware_shortens_keeps_its_text, killed=True),
    ),
    Mutation(
        "an unknown outcome is believed", ("etl.recover:find_written_row",), return_value((True, None)), REQUEST_LOST
    ),
    Mutation(
        "an unknown array PUT is believed",
        ("etl.recover:judge_espo_changes",),
        believe_array_put,
        REQUEST_LOST,
        case=cases.test_an_array_put_that_never_arrived_is_made_again,
    ),
    Mutation(
        "a run goes on without its lease",
        ("jobs.lock:Lease.check",),
        return_value(None),
        WorldSpec("a run sleeps beyond its lease", persons=8),
        case=cases.test_a_run_whose_lease_was_taken_stores_nothing_over_what_its_successor_saw,
    ),
    Mutation(
        "an array PUT is believed unread",
        ("etl.writing.espo_items:judge_open_puts", "etl.recover:judge_open_puts"),
        believe_all_shown,
        WorldSpec("arrays not stored, echoed"),
        case=second.test_what_espocrm_confirms_and_does_not_store_stays_in_advoware,
    ),
    Mutation(
        "no second read once EspoCRM has settled",
        ("etl.apply:read_back_espo",),
        read_once,
        WorldSpec("torn EspoCRM reads"),
        case=second.test_a_read_that_comes_too_early_is_no_failure,
    ),
    Mutation(
        "what a half-done PUT took is somebody's deletion",
        ("etl.rules.espo.array_read:ArrayRead.change_outcome",),
        count_removal_as_done,
        WorldSpec("dies: unlinked, not linked"),
        case=second.test_an_old_number_that_our_half_done_put_took_is_nobodys_deletion,
    ),
    Mutation(
        "the flags of a taken item are forgotten",
        ("etl.diff:WriteContext",),
        lambda real: lambda slots, policy, *_taken: real(slots, policy, {}),
        WorldSpec("dies: unlinked, not linked"),
        case=second.test_what_was_chosen_for_an_item_that_our_half_done_put_took_comes_back_with_it,
    ),
    Mutation(
        "what a half-done PUT brought is EspoCRM's edit",
        ("etl.diff:is_own_partial_write",),
        return_value(value=False),
        WorldSpec("dies: linked, not unlinked"),
        case=second.test_what_our_half_done_put_brought_beside_the_old_value_is_nobodys_edit,
    ),
    Mutation(
        "an unknown PUT is judged while it may be under way",
        ("etl.reading.snapshot:last_unconfirmed_put",),
        return_value(None),
        WorldSpec("timeout after effect"),
        case=second.test_a_put_that_is_still_under_way_is_not_judged,
    ),
    Mutation(
        "an edit just before our array PUT is not looked for",
        ("etl.writing.espo_items:has_other_channels_as_planned",),
        return_value(value=True),
        IN_ESPO,
        case=cases.test_a_mail_entered_between_our_look_and_our_put_of_phones_is_synced,
    ),
    Mutation(
        "an absence ends a person at once",
        ("etl.endings:is_wait_over",),
        return_value(value=True),
        WorldSpec("404 of some in Advoware", edition=2),
        case=absent.test_one_404_of_somebody_who_is_there_ends_nothing,
    ),
    Mutation(
        "a page that says 404 is believed",
        ("etl.clients.http:HttpSession._transient_error",),
        believe_404_pages,
        WorldSpec("HTML 404 of some in Advoware", edition=2),
        case=absent.test_a_page_that_says_404_ends_nothing,
    ),
    Mutation(
        "the first 404 is believed without asking others",
        ("etl.endings:distrust_reason", "etl.reading.absences:distrust_reason"),
        return_value(None),
        WorldSpec("404 for everybody", edition=2),
        case=absent.test_a_404_for_everybody_ends_nothing,
    ),
    Mutation(
        "endings are not guarded",
        ("etl.endings:common_hold_reason",),
        return_value(None),
        WorldSpec("betnr blanked", persons=8, edition=2),
        case=absent.test_an_import_that_blanks_many_is_held,
    ),
    Mutation(
        "whoever returns is a first sync",
        ("etl.rules.joins.keys:add_history",),
        without_recoveries,
        WorldSpec("away and back", edition=2),
        case=absent.test_whoever_returns_is_recovered,
    ),
    Mutation(
        "EspoCRM is not asked what it has of a value",
        ("etl.apply:adopt_shared_rows",),
        lambda _real: lambda _run, saved_plan: saved_plan,
        WorldSpec("shared address rows", persons=6, edition=2),
        case=second.test_an_opt_out_of_another_record_stays_when_its_number_is_typed_in,
    ),
    Mutation(
        "the type is agreed as it was sent",
        ("etl.writing.baseline_moves:with_espo_spelling",),
        lambda _real: lambda _run, _saved_plan, _decision, pair: pair,
        WorldSpec("shared address rows", persons=6, edition=2),
        case=second.test_a_type_that_espocrm_keeps_is_nobodys_edit,
    ),
    Mutation(
        "a leftover is not made a slot",
        ("etl.rules.actions:WRITERS.leftover",),
        lambda _real: lambda entry, _means: Decision(entry, entry.variant, Resolution.APPLY, "", ()),
        KILLED,
        case=second.test_an_empty_row_with_our_marker_becomes_a_slot,
    ),
    Mutation(
        "a retype makes a row though one stands",
        ("etl.rules.leftovers:find_retype_row",),
        return_value(None),
        KILLED,
        case=second.test_a_retype_takes_the_row_that_has_the_value_and_the_new_kommkz,
    ),
    Mutation(
        "a trimmed remark is not what was sent",
        ("etl.rules.marker:comparable_text", "etl.rules.truncation:comparable_text"),
        lambda _real: lambda text: text or "",
        WorldSpec("remarks trimmed"),
        case=second.test_a_trimmed_remark_is_stored_as_sent,
    ),
    Mutation(
        "half a letter at a cut is somebody's edit",
        ("etl.rules.truncation:without_cut_letter",),
        lambda _real: comparable_text,
        WorldSpec("remarks cut inside a letter", traits={"answers_put": False}),
        case=second.test_a_remark_cut_inside_a_letter_is_no_persons_edit,
    ),
    Mutation(
        "a 403 ends the run as credentials",
        ("etl.clients.advoware:AdvowareClient._require_access",),
        treat_403_as_credentials,
        WorldSpec("403 to writes of some"),
        case=second.test_a_refused_write_fails_one_person_and_no_login,
    ),
    Mutation(
        "what was refused is tried again",
        ("etl.rules.left_alone:find_note",),
        return_value(None),
        WorldSpec("4xx", persons=8),
        case=partial(cases.test_a_value_advoware_shortens, killed=False),
    ),
    *MUTATIONS_OF_MARKS,
    *MUTATIONS_OF_VALUES,
)
"""Each breaks one protection of etl/rules/README.md."""

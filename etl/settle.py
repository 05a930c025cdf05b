"""What an unfinished run did counts first (rules.md §5): before a person is planned, its open writes are settled.

*done* counts as it is, unless the row still has the rowId it had before the write: then Advoware confirmed what it did
not do (every write gives a row another rowId; advoware-api.md §2). *started* and *unknown* are settled by reading: a
PUT arrived when its row carries the marker or slot it was to get, a POST when a row that did not exist carries its
marker (or either shows what was sent, only shortened). An array PUT, acknowledged or not, is judged value by value, as
``etl.judging`` says, until a read has shown what became of it. Nothing is ever repeated on suspicion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from etl.as_it_stands import plan_with, standing
from etl.judging import is_judged, judge, judgement, of_espo, shown_as
from etl.records import AdvoPerson, Channel, EspoRecord, Row, Side
from etl.renewal import as_read_now, note_parted
from etl.rules.canonical import canonical
from etl.rules.leftovers import OURS
from etl.rules.marker import MarkerKind, decode, same_text
from etl.rules.mending import interrupted, mending, shortened, text_cut
from etl.rules.pairs import typed_meanwhile
from etl.rules.variants import Variant
from etl.store.baseline import BASELINE_COLUMNS, BASELINE_KEY, add_left_alone, drop_baseline, save_baseline
from etl.store.conflicts import drop_conflicts
from etl.store.journal import open_changes, open_decisions, set_change_state, settle
from etl.store.states import ChangeState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.rules.plan import PersonPlan
    from etl.run import Run

WITH_THE_ARRAY = frozenset({Variant.VAR3, Variant.VAR4, Variant.VAR6, Variant.LINK, Variant.REPAIR, Variant.SAME})
"""Once EspoCRM's arrays stand (or needed nothing) both sides held these values, markers or not."""

Change = Mapping[str, Any]


def settle_person(run: Run, entity_id: str, espo: EspoRecord, advo: AdvoPerson) -> None:
    """Take what was done for this person into the baseline and close its old plans. Call inside a transaction.

    What Advoware shortened before it was read back stays open and is named in ``run.interrupted``: it is mended before
    anything else is planned.
    """
    run.interrupted.pop(entity_id, None)
    changes = open_changes(run.store, [entity_id])
    if not changes:
        settle(run.store, entity_id)
        return
    judged = judged_by_reading(run, changes, espo)
    arrived = [judged.get(change["id"]) or decided_by_reading(run, change, advo) for change in changes]
    done = [change for change in arrived if change["state"] == ChangeState.DONE]
    unmended = interrupted(done, advo.rows)
    if unmended.changes:
        run.interrupted[entity_id] = unmended
    if done:
        for decision in open_decisions(run.store, [entity_id]):
            if decision["id"] in unmended.edited:
                drop_baseline(run.store, entity_id, decision["drops"])
            elif decision["id"] in unmended.undone:
                keep_recovered(run, decision)
            else:
                take_in(run, decision, done, espo, advo, unmended.unmarked)
    settle(run.store, entity_id, keeping=unmended.changes)


def mending_plan(run: Run, entity_id: str) -> PersonPlan:
    """The plan that finishes what a broken run left unmended; the person stays due for all else."""
    look = run.looks[entity_id]
    return plan_with(look, *mending(run.interrupted[entity_id], standing(run, look)))


def judged_by_reading(run: Run, changes: Sequence[Change], espo: EspoRecord) -> dict[int, Change]:
    """EspoCRM's changes by id, with the state the record shows; those a read has judged before keep theirs."""
    arrays = [change for change in of_espo(changes) if not is_judged(run, change)]
    judged = judge(run, arrays, espo, judgement(run, arrays, espo)) if arrays else []
    return {change["id"]: change for change in judged}


def decided_by_reading(run: Run, change: Change, advo: AdvoPerson) -> Change:
    """The change with a state that is *done* or *failed*, read off Advoware where the answer never came."""
    if change["state"] == ChangeState.DONE and not was_ignored(change, advo):
        return change
    there, komm_id = row_arrived(change, advo)
    state = ChangeState.DONE if there else ChangeState.FAILED
    set_change_state(
        run.store, [change["id"]], state, now=run.utcnow(), error=None if there else "did not arrive", komm_id=komm_id
    )
    if not there and stands_as_before(change, advo):
        drop_conflicts(run.store, [change["id"]])
    return {**change, "state": state, "komm_id": komm_id or change["komm_id"]}


def stands_as_before(change: Change, advo: AdvoPerson) -> bool:
    """Whether a row shows the value this write would have overwritten.

    Where it shows another one, a person may have retyped what our write left: a write of the marker that stood there
    leaves no trace then. So what it made lose stays kept, at worst for nothing.
    """
    return any((row.komm_id, row.value) == (change["komm_id"], change["old_value"]) for row in advo.rows)


def was_ignored(change: Change, advo: AdvoPerson) -> bool:
    """Whether Advoware confirmed this write and did nothing: the row is the very one that was to be overwritten."""
    row_id = (change["before"] or {}).get("row_id") if change["side"] == "advo" else None
    return bool(row_id) and any((row.komm_id, row.row_id) == (change["komm_id"], row_id) for row in advo.rows)


def row_arrived(change: Change, advo: AdvoPerson) -> tuple[bool, int | None]:
    """Whether the row carries the marker or slot it was to get; for a creation, which new row does."""
    if change["action"] != "create":
        rows = [row for row in advo.rows if row.komm_id == change["komm_id"]]
        return any(carries(row, change) or came_shortened(row, change) for row in rows), None
    there_before = set((change["before"] or {}).get("komm_ids", ()))
    found = [
        row.komm_id
        for row in advo.rows
        if row.komm_id not in there_before
        and (carries(row, change) or stands_shorter(row, change))
    ]
    return bool(found), min(found, default=None)


def carries(row: Row, change: Change) -> bool:
    """Whether a row shows that a write arrived: its marker, and where that is nothing new or there is none, the value.

    (rules.md §5 names the marker only; a revert writes the marker that is there already, so there it proves nothing.)
    """
    marked = decode(change["new_remark"]).kind in (MarkerKind.MARKER, MarkerKind.SLOT)
    told_before = same_marker(change["old_remark"], change["new_remark"])
    value_too = (marked and not told_before) or same_text(row.value, change["new_value"])
    return same_marker(row.remark, change["new_remark"]) and value_too


def came_shortened(row: Row, change: Change) -> bool:
    """Whether a PUT arrived and was stored shorter than sent, its marker perhaps cut in two."""
    overwritten = row.row_id != (change["before"] or {}).get("row_id")
    return overwritten and stands_shorter(row, change)


def stands_shorter(row: Row, change: Change) -> bool:
    """Whether a row shows what was sent, only shorter; its value somebody may have retyped since."""
    of_ours = row.remark != change["old_remark"] and text_cut(change["new_remark"], row.remark)
    return of_ours or shortened(change["new_value"], change["new_remark"], row)


def same_marker(found: str | None, sent: str | None) -> bool:
    """Whether a remark begins with the marker that was sent; without one, whether it is what was sent."""
    ours, theirs = decode(sent), decode(found)
    if ours.value is None and ours.komm_kz is None:
        return same_text(found, sent)
    return (ours.kind, ours.value, ours.komm_kz) == (theirs.kind, theirs.value, theirs.komm_kz)


def take_in(
    run: Run,
    decision: Change,
    done: Sequence[Change],
    espo: EspoRecord,
    advo: AdvoPerson,
    unmarked: Mapping[int, str],
) -> None:
    """Move the baseline of one decided entry to what its done writes left on both sides; ``unmarked``: on purpose."""
    own = [change for change in done if change["decision_id"] == decision["id"]]
    if not counts_as_done(decision, own, [change for change in done if change["run_id"] == decision["run_id"]]):
        return
    if decision["foreseen"] is not None:
        now = as_read_now(decision["foreseen"], run.policy.region)
        if now is None:  # foreseen by an earlier version, whose pairs may be none: deleting one half empties the other
            drop_baseline(run.store, decision["entity_id"], decision["drops"])
            note_parted(run, decision["entity_id"], {**decision["foreseen"], "komm_id": komm_id_of(decision, own)})
            return
        decision = {**decision, "foreseen": now}
    retyped = half_retyped(run, decision, own, advo)
    if retyped is not None:
        save_baseline(run.store, [retyped], run.utcnow())
        return
    drop_baseline(run.store, decision["entity_id"], decision["drops"])
    second = [change for change in own if holds_it_too(run, change, advo)]
    for change in second:
        add_left_alone(run.store, decision["entity_id"], second_row(change, advo), run.utcnow())
    if decision["foreseen"] is not None and not second:
        komm_id = komm_id_of(decision, own)
        removed = unmarked.get(komm_id or 0)
        on_purpose = {} if removed is None else {"unmarked": True, "remark": removed}
        foreseen = foreseen_as_shown(run, decision["foreseen"], own, espo)
        save_baseline(run.store, [{**foreseen, "komm_id": komm_id, **on_purpose}], run.utcnow())


def komm_id_of(decision: Change, own: Sequence[Change]) -> int | None:
    """The row of the pair a decision foresaw: the one it had, or the one its writes made."""
    made: Iterator[int] = (change["komm_id"] for change in own if change["komm_id"])
    known: int | None = decision["foreseen"]["komm_id"]
    return known or next(made, None)


def foreseen_as_shown(
    run: Run, foreseen: Mapping[str, Any], own: Sequence[Change], espo: EspoRecord
) -> Mapping[str, Any]:
    """The pair with EspoCRM's spelling and type as shown, where a PUT of ours brought the value."""
    sent = next((change for change in of_espo(own) if change["new_value"]), None)
    if sent is None:
        return foreseen
    shown = shown_as(espo.items, Channel(sent["channel"]), sent["new_value"], run.policy.region)
    if shown is None:
        return foreseen
    as_sent = foreseen["espo_type"] == sent["after"]["type"]
    return {**foreseen, "espo_value": shown.value, "espo_type": shown.type if as_sent else foreseen["espo_type"]}


def holds_it_too(run: Run, change: Change, advo: AdvoPerson) -> bool:
    """Whether a row that was not there when it was planned holds the value this creation wrote."""
    if change["action"] != "create":
        return False
    known = {*(change["before"] or {}).get("komm_ids", ()), change["komm_id"]}
    return typed_meanwhile(advo.rows, known, Channel(change["channel"]), change["new_value"], run.policy.region)


def second_row(change: Change, advo: AdvoPerson) -> dict[str, Any]:
    """The note about a row we made beside another one of its value: that one is the pair, ours becomes a slot."""
    value = next((row.value for row in advo.rows if row.komm_id == change["komm_id"]), None)
    named = {name: change[name] for name in ("betnr", "komm_id", "channel")}
    return {**named, "side": Side.ADVO, "value": value or "", "reason": "duplicate", "detail": OURS}


def keep_recovered(run: Run, decision: Change) -> None:
    """What is put back stays the pair it was; one that a recovery read off a marker enters the baseline by that."""
    base = (decision["facts"] or {}).get("base")
    if base is not None and base["pseudo"]:
        pair = {column: base[column] for column in (*BASELINE_KEY, *BASELINE_COLUMNS) if column in base}
        whose = {"entity_id": decision["entity_id"], "betnr": decision["betnr"], "channel": decision["channel"]}
        save_baseline(run.store, [{**pair, **whose}], run.utcnow())


def counts_as_done(decision: Change, own: Sequence[Change], of_run: Sequence[Change]) -> bool:
    """Whether both sides are to be believed to hold what the decision foresaw; ``facts`` were written with the plan."""
    facts = decision["facts"] or {}
    if Variant(decision["variant"]) not in WITH_THE_ARRAY or reverting(decision):
        return bool(own)
    if facts.get("writes_espo"):
        return any(change["side"] == "espo" for change in own)
    return any(change["side"] == "espo" for change in of_run) if facts.get("array") else bool(of_run)


def reverting(decision: Change) -> bool:
    """Whether the decision put Advoware back instead of carrying the variant out."""
    return bool((decision["facts"] or {}).get("verdict") == "revert")


def half_retyped(run: Run, decision: Change, own: Sequence[Change], advo: AdvoPerson) -> dict[str, Any] | None:
    """The baseline row of a retype whose old row is not a slot yet.

    The new row is the pair and the old one is still to become a slot (``other_row``), unless the old one was given
    another value meanwhile: then it stays the pair and the new one is to become the slot. A row that stood before and
    was only marked is no slot of ours to make: it stays the pair, and the old one is unlinked.
    """
    if decision["variant"] != Variant.RETYPE or any(change["action"] == "empty" for change in own):
        return None
    made = next((change for change in own if change["action"] in ("create", "fill", "mark")), None)
    old = next((row for row in advo.rows if row.komm_id == decision["komm_id"]), None)
    if made is None or old is None or not old.value:
        return None
    foreseen = decision["foreseen"]
    drop_baseline(run.store, decision["entity_id"], decision["drops"])
    channel = Channel(foreseen["channel"])
    if canonical(channel, old.value, run.policy.region) == foreseen["advo_canonical"]:
        return {**foreseen, "komm_id": made["komm_id"], "other_row": old.komm_id}
    if made["action"] == "mark":
        return {**foreseen}
    kept = {
        "komm_id": old.komm_id,
        "other_row": made["komm_id"],
        "komm_kz": (decision["facts"] or {}).get("old_komm_kz"),
        "row_id": None,
    }
    return {**foreseen, **kept}

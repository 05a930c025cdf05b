"""``undo`` and ``restore``: both sides come back, what was edited since is named, nothing happens again by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import ConfigError
from etl.records import Channel
from etl.rules.values.canonical import canonical
from jobs.pipeline import RunOptions, run_to_completion
from jobs.run.options import Selection
from jobs.sandbox import firm, people
from jobs.sandbox.simulator import ConnectionLost
from tests.harness import Harness
from tests.notation import marker_text, own_text_of_remark

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.run.report import RunReport
    from jobs.sandbox.simulator import SimRequest, SimResponse
    from tests.http_harness import HttpHarness

WIDE_GUARDS = {"max_removals": 5000, "max_removal_share": 1.0}
Sides = tuple[dict[str, Any], dict[int, Any]]


class UndoHarness(Harness):
    """A filled firm, what both sides hold, and undos; guards wide unless a test narrows them."""

    seconds_between = 120

    def __init__(self, folder: Path, persons: int) -> None:
        super().__init__(folder, guards=WIDE_GUARDS)
        self.persons = firm.fill_firm(self.espo, self.advo, persons, seed=1)

    def undo(self, run_number: int | None, **options: Any) -> RunReport:
        return self.run(trigger="undo", undo_run=run_number, operator="olga", **options)

    def sides(self) -> Sides:
        """Both sides in the canonical sense, flags and own texts included; of empty rows only their own text counts."""
        espo = {
            person.entity_id: sorted(
                (item.get("type") or "", canonical_of_item(item), item["primary"], item["optOut"], item["invalid"])
                for item in self.espo.items(person.entity_id)
            )
            for person in self.persons
        }
        advo = {
            person.betnr: {
                row["id"]: (row["tlf"] or "", own_text_of_remark(row["bemerkung"]), row["kommKz"], row["online"])
                for row in self.advo.rows(person.betnr)
                if row["tlf"] or own_text_of_remark(row["bemerkung"])
            }
            for person in self.persons
        }
        return espo, advo

    def assert_quiet(self) -> None:
        """The next run, and a sweep, write nothing."""
        for sweep in (False, True):
            report = self.run(sweep=sweep)
            assert (report.outcome, report.errors, self.writes) == ("done", [], [])


def canonical_of_item(item: dict[str, Any]) -> str | None:
    if "phoneNumber" in item:
        return canonical(Channel.PHONE, item["phoneNumber"], "DE")
    return canonical(Channel.MAIL, item["emailAddress"], "DE")


@pytest.fixture
def harness(tmp_path: Path) -> UndoHarness:
    harness = UndoHarness(tmp_path, 40)
    assert harness.run().outcome == "done"
    return harness


def test_undo_of_a_run_brings_both_sides_back_and_undo_of_the_undo_takes_it_forward_again(harness: UndoHarness) -> None:
    variants: set[str] = set()
    for seed in (1, 2, 4):
        people.random_edits(harness.espo, harness.advo, 60, seed=seed)
        before = harness.sides()
        report = harness.run(sweep=True)
        after = harness.sides()
        variants |= set(report.variants)

        undo_report = harness.undo(report.run_id)
        assert (undo_report.outcome, undo_report.notices) == ("done", [])
        assert harness.sides() == before
        harness.assert_quiet()
        assert harness.sides() == before

        redo_report = harness.undo(undo_report.run_id)
        assert (redo_report.outcome, redo_report.notices) == ("done", [])
        assert harness.sides() == after
        harness.assert_quiet()
        assert harness.sides() == after
    assert {"var1", "var2", "var3", "var4", "var5", "var6", "retype"} <= variants


ALL = {
    "var1", "var2", "var3", "var4", "var5", "var6", "retype", "link", "repair", "clash", "forget", "leftover",
}  # fmt: skip


def edit_every_variant(harness: UndoHarness) -> None:  # noqa: C901, PLR0912 - a case a variant
    """People's edits, a variant a person, on twelve who have a phone on each side that is a pair."""
    espo, advo = harness.espo, harness.advo
    chosen = [
        person
        for person in harness.persons
        if espo.record(person.entity_id)["betnr"] and phones_on_both_sides(harness, person)
    ][:12]
    for run_number, (person, variant) in enumerate(zip(chosen, sorted(ALL), strict=True)):
        item, row = phones_on_both_sides(harness, person)[0]
        phones = [phone for phone in espo.items(person.entity_id) if "phoneNumber" in phone]
        others = [phone for phone in phones if phone != item]
        new = f"+49511765432{run_number % 10}"
        match variant:
            case "var1":
                espo.edit(person.entity_id, phones=[*phones, {"phoneNumber": new, "type": "Office"}])
            case "var2":
                espo.edit(person.entity_id, phones=others)
            case "var3":
                advo.remove_row(person.betnr, row["id"])
            case "var4":
                advo.add_row(person.betnr, new, "neu")
            case "var5":
                espo.edit(person.entity_id, phones=[*others, {**item, "phoneNumber": new}])
            case "var6":
                advo.edit_row(person.betnr, row["id"], value=new)
            case "retype":
                espo.edit(person.entity_id, phones=[*others, {**item, "type": "Other"}])
            case "link":
                espo.edit(person.entity_id, phones=[*phones, {"phoneNumber": new, "type": "Office"}])
                advo.add_row(person.betnr, new, "auch hier")
            case "repair":
                advo.edit_row(person.betnr, row["id"], remark="Marker weg")
            case "clash":
                espo.edit(person.entity_id, phones=[*others, {**item, "phoneNumber": new}])
                advo.edit_row(person.betnr, row["id"], value="0511 7654399")
            case "forget":
                espo.edit(person.entity_id, phones=others)
                advo.empty_row(person.betnr, row["id"])
            case "leftover":
                advo.add_row(person.betnr, row["tlf"], marker_text(item["phoneNumber"], row["kommKz"]))


def phones_on_both_sides(harness: UndoHarness, person: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The phones that stand on both sides, where more than one does, so that no side is ever emptied."""
    items = {canonical_of_item(item): item for item in harness.espo.items(person.entity_id) if "phoneNumber" in item}
    rows = [row for row in harness.advo.rows(person.betnr) if "ESPOCRM:" in (row["bemerkung"] or "")]
    pairs_found = [
        (items[phone], row) for row in rows if (phone := canonical(Channel.PHONE, row["tlf"], "DE")) in items
    ]
    return pairs_found if len(pairs_found) > 1 else []


def test_undo_of_a_run_that_used_every_variant_but_for_what_was_edited_since_and_undo_of_that(
    harness: UndoHarness,
) -> None:
    edit_every_variant(harness)
    before = harness.sides()
    report = harness.run(sweep=True)
    assert set(report.variants) == ALL
    assert report.conflicts >= 1
    edited_person = next(
        person
        for person in harness.persons
        if any("765432" in (row["tlf"] or "") for row in harness.advo.rows(person.betnr))
    )
    after = harness.sides()
    row = next(row for row in harness.advo.rows(edited_person.betnr) if "765432" in (row["tlf"] or ""))
    harness.advo.edit_row(edited_person.betnr, row["id"], value="0511 7000000")

    undo_report = harness.undo(report.run_id)
    assert undo_report.outcome == "done"
    assert [
        f"/ {edited_person.betnr}:" in notice and f"row {row['id']}" in notice for notice in undo_report.notices
    ] == [True]
    assert differing_keys(before, harness.sides()) == {edited_person.entity_id, edited_person.betnr} - equal_keys(
        before, harness.sides(), edited_person
    )
    assert harness.run(sweep=True).outcome == "done", "the edit is synced"
    harness.assert_quiet()
    sides_now = harness.sides()
    assert differing_keys(before, sides_now) <= {edited_person.entity_id, edited_person.betnr}

    assert harness.undo(undo_report.run_id).outcome == "done"
    assert differing_keys(after, harness.sides()) <= {edited_person.entity_id, edited_person.betnr}
    harness.assert_quiet()


def differing_keys(first: Sides, second: Sides) -> set[Any]:
    espo = {key for key in first[0] if first[0][key] != second[0][key]}
    return espo | {key for key in first[1] if first[1][key] != second[1][key]}


def equal_keys(first: Sides, second: Sides, person: Any) -> set[Any]:
    return {person.entity_id, person.betnr} - differing_keys(first, second)


def test_undo_of_a_first_sync_unlinks_everybody_and_nothing_links_them_again(tmp_path: Path) -> None:
    harness = UndoHarness(tmp_path, 25)
    before = harness.sides()
    first = harness.run()
    undo_report = harness.undo(first.run_id)
    assert (undo_report.outcome, harness.sides()) == ("done", before)
    harness.assert_quiet()
    assert all(
        "[ESPOCRM:" not in (row["bemerkung"] or "")
        for person in harness.persons
        for row in harness.advo.rows(person.betnr)
    )
    assert harness.undo(undo_report.run_id).outcome == "done"
    harness.assert_quiet()


def test_what_was_edited_since_stays_and_is_named(harness: UndoHarness) -> None:
    people.random_edits(harness.espo, harness.advo, 40, seed=3)
    report = harness.run(sweep=True)
    betnr, row = next(
        (person.betnr, row)
        for person in harness.persons
        for row in harness.advo.rows(person.betnr)
        if any(change.json and change.json.get("tlf") == row["tlf"] for change in harness.advo.writes) and row["tlf"]
    )
    harness.advo.edit_row(betnr, row["id"], value="0511 7654321")
    undo_report = harness.undo(report.run_id)
    assert [notice for notice in undo_report.notices if str(row["id"]) in notice]
    assert [row_json["tlf"] for row_json in harness.advo.rows(betnr) if row_json["id"] == row["id"]] == ["0511 7654321"]
    assert harness.run(sweep=True).outcome == "done"
    harness.assert_quiet()


def test_who_shares_its_betnr_by_now_is_not_put_back(harness: UndoHarness) -> None:
    harness.run()
    person, other = harness.persons[:2]
    harness.espo.edit(other.entity_id, betnr=person.betnr)
    rows = harness.advo.rows(person.betnr)
    undo_report = harness.undo(1)
    assert harness.advo.rows(person.betnr) == rows
    assert (
        f"not put back: {person.entity_id} / {person.betnr}: it cannot be read on both sides now" in undo_report.notices
    )


def test_an_entry_that_is_edited_after_the_undo_is_synced_again(http_harness: HttpHarness) -> None:
    """Only that entry: what else the undo took back stays taken back."""
    espo, advo = http_harness.espo, http_harness.advo
    entity = espo.add_person("Max Muster", 104711, phones=["+495111234560", "+493022334455"])
    advo.add_person(104711, "Max Muster")
    first = http_harness.run()
    assert sorted(row["tlf"] for row in advo.rows(104711)) == ["+493022334455", "+495111234560"]
    run_to_completion(
        http_harness.config, RunOptions(trigger="undo", undo_run=first.run_id), environment=http_harness.environment
    )
    assert [row["tlf"] for row in advo.rows(104711)] == ["", ""]
    espo.edit(entity, phones=["+495111234561", "+493022334455"])
    http_harness.run()
    assert sorted(row["tlf"] for row in advo.rows(104711)) == ["", "+495111234561"]


def test_a_plan_of_an_undo_lists_it_and_writes_nothing(harness: UndoHarness) -> None:
    people.random_edits(harness.espo, harness.advo, 10, seed=9)
    report = harness.run(sweep=True)
    sides_before = harness.sides()
    plan = harness.run(trigger="plan", undo_run=report.run_id, write=False)
    assert (int(plan.exit_code()), harness.writes, harness.sides()) == (2, [], sides_before)
    assert {change["variant"] for change in plan.changes} == {"undo"}


def test_an_undo_that_overwrites_much_is_held_and_carried_out_when_approved(tmp_path: Path) -> None:
    harness = UndoHarness(tmp_path, 40)
    before = harness.sides()
    first = harness.run()
    harness.configure(guards={"max_removals": 5, "max_removal_share": 0.01})
    held_report = harness.undo(first.run_id)
    assert (held_report.outcome, held_report.persons.held > 0) == ("held", True)
    approved_report = harness.run(trigger="approve", approve_run=held_report.run_id, operator="olga")
    assert (approved_report.outcome, approved_report.errors) == ("done", [])
    assert harness.sides() == before
    harness.configure(guards=WIDE_GUARDS)
    harness.assert_quiet()


def test_an_undo_that_breaks_off_does_not_happen_forward_by_itself_and_is_finished_by_another(
    harness: UndoHarness,
) -> None:
    people.random_edits(harness.espo, harness.advo, 40, seed=8)
    before = harness.sides()
    report = harness.run(sweep=True)
    harness.assert_quiet()
    writes = 0

    def lose_connection(call: SimRequest) -> SimResponse | None:
        nonlocal writes
        writes += call.is_write
        if writes > 5:
            raise ConnectionLost
        return None

    harness.espo.before = harness.advo.before = lose_connection
    assert harness.undo(report.run_id).outcome == "outage"
    harness.espo.before = harness.advo.before = None
    halfway = harness.sides()
    assert harness.run(sweep=True).outcome == "done"
    assert harness.sides() == halfway
    harness.undo(report.run_id)
    assert harness.sides() == before
    harness.assert_quiet()


@pytest.mark.parametrize("run_number", [99, None])
def test_a_run_that_wrote_nothing_cannot_be_undone(harness: UndoHarness, run_number: int | None) -> None:
    empty = run_number or harness.run().run_id
    with pytest.raises(ConfigError, match=f"Run {empty} wrote nothing"):
        harness.undo(empty)


# A conflict of the run ----------------------------------------------------------------------------------------------


def test_a_conflict_of_an_undone_run_is_over_until_that_is_undone_and_so_on(http_harness: HttpHarness) -> None:
    conflict = PersonInConflict(http_harness)
    ((run_number,),) = http_harness.query_store("select run_id from conflicts")
    open_conflicts = []
    for _ in range(3):
        run_number = run_to_completion(
            http_harness.config, RunOptions(trigger="undo", undo_run=run_number), environment=http_harness.environment
        ).run_id
        is_advo_value_back = ("0511 1234562", "Zentrale") in conflict.rows
        open_conflicts.append(
            (is_advo_value_back, http_harness.query_store("select count(*) from open_conflicts")[0][0])
        )
    assert open_conflicts == [(True, 0), (False, 1), (True, 0)]


def test_a_conflict_whose_entry_was_edited_since_stays_open(http_harness: HttpHarness) -> None:
    conflict = PersonInConflict(http_harness)
    ((run_number,),) = http_harness.query_store("select run_id from conflicts")
    http_harness.advo.edit_row(conflict.betnr, conflict.row, value="0511 1234569")
    http_harness.espo.edit(conflict.entity, phones=[("+495111234561", "Office")])
    run_to_completion(
        http_harness.config, RunOptions(trigger="undo", undo_run=run_number), environment=http_harness.environment
    )
    assert http_harness.query_store("select count(*) from open_conflicts") == [(1,)]


# Longer work in chunks ------------------------------------------------------------------------------------------------


def test_a_backfill_in_chunks_is_undone_as_a_whole_and_that_too(tmp_path: Path) -> None:
    harness = UndoHarness(tmp_path, 14)
    before = harness.sides()
    backfill_report = harness.run(trigger="backfill", backfill=Selection(everybody=True, chunk=3))
    after = harness.sides()
    assert len(backfill_report.chunks) > 3
    changes_planned = harness.run(trigger="plan", undo_run=backfill_report.run_id, whole=True, write=False).changes
    assert harness.sides() == after
    undo_report = harness.undo(backfill_report.chunks[2], whole=True)
    assert (undo_report.outcome, harness.sides(), len(undo_report.chunks)) == (
        "done",
        before,
        len(backfill_report.chunks),
    )
    assert sum(undo_report.variants.values()) == len(
        {(change["entity_id"], change["komm_id"]) for change in changes_planned}
    )
    harness.assert_quiet()
    assert harness.undo(undo_report.run_id, whole=True).outcome == "done"
    assert harness.sides() == after
    harness.assert_quiet()


def test_what_a_guard_held_of_an_undo_in_chunks_is_approved_as_a_whole(tmp_path: Path) -> None:
    harness = UndoHarness(tmp_path, 14)
    before = harness.sides()
    backfill_report = harness.run(trigger="backfill", backfill=Selection(everybody=True, chunk=3))
    after = harness.sides()
    harness.configure(guards={"max_removals": 0})
    held_report = harness.undo(backfill_report.run_id, whole=True)
    assert (held_report.outcome, held_report.persons.held > 1) == ("held", True)
    approved_report = harness.run(trigger="approve", approve_run=held_report.run_id, whole=True, operator="olga")
    assert (approved_report.outcome, approved_report.errors, harness.sides()) == ("done", [], before)
    assert len(approved_report.chunks) > 1
    assert harness.undo(held_report.run_id, whole=True).outcome == "done"  # what was approved belongs to it
    assert harness.sides() == after


# Restore ----------------------------------------------------------------------------------------------------------


class PersonInConflict:
    """A person whose number was changed on both sides: EspoCRM won, Advoware's 0511 1234562 is kept."""

    def __init__(self, harness: HttpHarness) -> None:
        self.harness, self.betnr = harness, 104711
        phones = [("+495111234560", "Office"), ("+494099887766", "Home")]
        self.entity = harness.espo.add_person("Max Muster", self.betnr, phones=phones)
        harness.advo.add_person(self.betnr, "Max Muster")
        self.row = harness.advo.add_row(self.betnr, "0511/1234560", "Zentrale", komm_kz=1)
        harness.run()
        harness.espo.edit(self.entity, phones=[("+495111234561", "Office"), ("+494099887766", "Home")])
        harness.advo.edit_row(self.betnr, self.row, value="0511 1234562")
        harness.run()
        ((self.conflict_id,),) = harness.query_store("select id from conflicts")

    def restore(self, **options: Any) -> RunReport:
        self.harness.clock.advance(300)
        run_options = RunOptions(trigger="restore", restore=self.conflict_id, operator="olga", **options)
        return run_to_completion(self.harness.config, run_options, environment=self.harness.environment)

    @property
    def phones(self) -> list[tuple[str, str]]:
        return sorted((item["phoneNumber"], item["type"]) for item in self.harness.espo.items(self.entity))

    @property
    def rows(self) -> list[tuple[str, str]]:
        return [(row["tlf"], own_text_of_remark(row["bemerkung"])) for row in self.harness.advo.rows(self.betnr)]


def assert_quiet(harness: HttpHarness) -> None:
    harness.may_write = False
    for sweep in (False, True):
        assert (harness.run(sweep=sweep).outcome, harness.writes) == ("done", [])
    harness.may_write = True


def test_restore_puts_the_value_in_the_place_of_the_winner_and_undo_takes_it_back(http_harness: HttpHarness) -> None:
    conflict = PersonInConflict(http_harness)
    report = conflict.restore()
    assert (report.outcome, report.variants) == ("done", {"restore": 1})
    assert conflict.phones == [("+494099887766", "Home"), ("+495111234562", "Office")]
    assert conflict.rows == [("0511 1234562", "Zentrale"), ("+494099887766", "")]
    assert http_harness.query_store("select count(*) from conflicts where restored_at is not null") == [(1,)]
    assert_quiet(http_harness)
    run_to_completion(
        http_harness.config, RunOptions(trigger="undo", undo_run=report.run_id), environment=http_harness.environment
    )
    assert conflict.phones == [("+494099887766", "Home"), ("+495111234561", "Office")]
    assert conflict.rows == [("+495111234561", "Zentrale"), ("+494099887766", "")]
    assert http_harness.query_store("select count(*) from conflicts where restored_at is null") == [(1,)]
    assert_quiet(http_harness)


def test_restore_puts_the_value_beside_a_winner_that_was_edited_since(http_harness: HttpHarness) -> None:
    conflict = PersonInConflict(http_harness)
    http_harness.espo.edit(conflict.entity, phones=[("+495111234569", "Office"), ("+494099887766", "Home")])
    http_harness.run()
    assert conflict.restore().outcome == "done"
    assert conflict.phones == [("+494099887766", "Home"), ("+495111234562", "Office"), ("+495111234569", "Office")]
    assert conflict.rows == [("+495111234569", "Zentrale"), ("+494099887766", ""), ("0511 1234562", "")]
    assert_quiet(http_harness)


def test_a_value_is_restored_once(http_harness: HttpHarness) -> None:
    conflict = PersonInConflict(http_harness)
    conflict.restore()
    with pytest.raises(ConfigError, match="was restored at"):
        conflict.restore()


def test_a_value_that_was_typed_in_again_meanwhile_is_only_marked_as_restored(http_harness: HttpHarness) -> None:
    conflict = PersonInConflict(http_harness)
    http_harness.advo.add_row(conflict.betnr, "0511-1234562", "neu")
    http_harness.run(sweep=True)
    rows = conflict.rows
    report = conflict.restore()
    assert (report.outcome, conflict.rows) == ("done", rows)
    assert http_harness.query_store("select count(*) from conflicts where restored_at is not null") == [(1,)]
    assert_quiet(http_harness)

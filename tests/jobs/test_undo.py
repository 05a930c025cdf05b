"""``undo`` and ``restore``: both sides come back, what was edited since is named, nothing happens again by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import ConfigError
from etl.records import Channel
from etl.rules.canonical import canonical
from jobs.config import Config
from jobs.options import Selection
from jobs.pipeline import Options, run
from jobs.sandbox import firm, people
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.server import config
from jobs.sandbox.simulator import ConnectionLost, SimClock
from jobs.sandbox.transport import InProcess
from jobs.world import World
from tests.notation import marker, own_text

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.report import RunReport
    from jobs.sandbox.simulator import Answer, Call

Sides = tuple[dict[str, Any], dict[int, Any]]


class Desk:
    """A firm in process, its clock, and runs of the pipeline; guards wide unless a test narrows them."""

    def __init__(self, folder: Path, persons: int, seed: int = 1, **guards: Any) -> None:
        self.clock = SimClock()
        self.espo, self.advo = EspoSim(self.clock), AdvoSim(self.clock)
        self.advo.address = "https://advoware.advo-net.net"
        self.firm = firm.fill(self.espo, self.advo, persons, seed=seed)
        told = config("http://crm.test", "https://x.advo-net.net")
        told |= {"state": {"path": str(folder / "state.db")}}
        told |= {"guards": {"max_removals": 5000, "max_removal_share": 1.0, **guards}}
        self.config = Config.model_validate(told)
        self.world = World(
            utcnow=self.clock,
            sleep=self.clock.advance,
            espo_transport=InProcess(self.espo),
            advo_transport=InProcess(self.advo),
            durable=False,
            heartbeat=False,
        )

    def run(self, **options: Any) -> RunReport:
        self.clock.advance(120)
        self.espo.forget_calls()
        self.advo.forget_calls()
        return run(self.config, Options(**options), world=self.world)

    def undo(self, number: int | None, **options: Any) -> RunReport:
        return self.run(trigger="undo", undo_run=number, operator="olga", **options)

    @property
    def writes(self) -> int:
        return len(self.espo.writes) + len(self.advo.writes)

    def sides(self) -> Sides:
        """Both sides in the canonical sense, flags and own texts included; of empty rows only their own text counts."""
        espo = {
            one.entity_id: sorted(
                (item.get("type") or "", value_of(item), item["primary"], item["optOut"], item["invalid"])
                for item in self.espo.items(one.entity_id)
            )
            for one in self.firm
        }
        advo = {
            one.betnr: {
                row["id"]: (row["tlf"] or "", own_text(row["bemerkung"]), row["kommKz"], row["online"])
                for row in self.advo.rows(one.betnr)
                if row["tlf"] or own_text(row["bemerkung"])
            }
            for one in self.firm
        }
        return espo, advo

    def quiet(self) -> None:
        """The next run, and a sweep, write nothing."""
        for sweep in (False, True):
            report = self.run(sweep=sweep)
            assert (report.outcome, report.errors, self.writes) == ("done", [], 0)


def value_of(item: dict[str, Any]) -> str | None:
    if "phoneNumber" in item:
        return canonical(Channel.PHONE, item["phoneNumber"], "DE")
    return canonical(Channel.MAIL, item["emailAddress"], "DE")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path, 40)
    assert desk.run().outcome == "done"
    return desk


def test_undo_of_a_run_brings_both_sides_back_and_undo_of_the_undo_takes_it_forward_again(desk: Desk) -> None:
    variants: set[str] = set()
    for seed in (1, 2, 4):
        people.random_edits(desk.espo, desk.advo, 60, seed=seed)
        before = desk.sides()
        report = desk.run(sweep=True)
        after = desk.sides()
        variants |= set(report.variants)

        undone = desk.undo(report.run_id)
        assert (undone.outcome, undone.notices) == ("done", [])
        assert desk.sides() == before
        desk.quiet()
        assert desk.sides() == before

        redone = desk.undo(undone.run_id)
        assert (redone.outcome, redone.notices) == ("done", [])
        assert desk.sides() == after
        desk.quiet()
        assert desk.sides() == after
    assert {"var1", "var2", "var3", "var4", "var5", "var6", "retype"} <= variants


ALL = {
    "var1", "var2", "var3", "var4", "var5", "var6", "retype", "link", "repair", "clash", "forget", "leftover",
}  # fmt: skip


def use_every_variant(desk: Desk) -> None:  # noqa: C901, PLR0912 - a case a variant
    """People's edits, a variant a person, on twelve who have a phone on each side that is a pair."""
    espo, advo = desk.espo, desk.advo
    chosen = [one for one in desk.firm if espo.record(one.entity_id)["betnr"] and pairs(desk, one)][:12]
    for number, (one, variant) in enumerate(zip(chosen, sorted(ALL), strict=True)):
        item, row = pairs(desk, one)[0]
        phones = [each for each in espo.items(one.entity_id) if "phoneNumber" in each]
        others = [each for each in phones if each != item]
        new = f"+49511765432{number % 10}"
        match variant:
            case "var1":
                espo.edit(one.entity_id, phones=[*phones, {"phoneNumber": new, "type": "Office"}])
            case "var2":
                espo.edit(one.entity_id, phones=others)
            case "var3":
                advo.remove_row(one.betnr, row["id"])
            case "var4":
                advo.add_row(one.betnr, new, "neu")
            case "var5":
                espo.edit(one.entity_id, phones=[*others, {**item, "phoneNumber": new}])
            case "var6":
                advo.edit_row(one.betnr, row["id"], value=new)
            case "retype":
                espo.edit(one.entity_id, phones=[*others, {**item, "type": "Other"}])
            case "link":
                espo.edit(one.entity_id, phones=[*phones, {"phoneNumber": new, "type": "Office"}])
                advo.add_row(one.betnr, new, "auch hier")
            case "repair":
                advo.edit_row(one.betnr, row["id"], remark="Marker weg")
            case "clash":
                espo.edit(one.entity_id, phones=[*others, {**item, "phoneNumber": new}])
                advo.edit_row(one.betnr, row["id"], value="0511 7654399")
            case "forget":
                espo.edit(one.entity_id, phones=others)
                advo.empty_row(one.betnr, row["id"])
            case "leftover":
                advo.add_row(one.betnr, row["tlf"], marker(item["phoneNumber"], row["kommKz"]))


def pairs(desk: Desk, one: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The phones that stand on both sides, where more than one does, so that no side is ever emptied."""
    items = {value_of(item): item for item in desk.espo.items(one.entity_id) if "phoneNumber" in item}
    rows = [row for row in desk.advo.rows(one.betnr) if "ESPOCRM:" in (row["bemerkung"] or "")]
    found = [(items[phone], row) for row in rows if (phone := canonical(Channel.PHONE, row["tlf"], "DE")) in items]
    return found if len(found) > 1 else []


def test_undo_of_a_run_that_used_every_variant_but_for_what_was_edited_since_and_undo_of_that(desk: Desk) -> None:
    use_every_variant(desk)
    before = desk.sides()
    report = desk.run(sweep=True)
    assert set(report.variants) == ALL
    assert report.conflicts >= 1
    edited = next(one for one in desk.firm if any("765432" in (row["tlf"] or "") for row in desk.advo.rows(one.betnr)))
    after = desk.sides()
    row = next(row for row in desk.advo.rows(edited.betnr) if "765432" in (row["tlf"] or ""))
    desk.advo.edit_row(edited.betnr, row["id"], value="0511 7000000")

    undone = desk.undo(report.run_id)
    assert undone.outcome == "done"
    assert [f"/ {edited.betnr}:" in notice and f"row {row['id']}" in notice for notice in undone.notices] == [True]
    assert different(before, desk.sides()) == {edited.entity_id, edited.betnr} - same(before, desk.sides(), edited)
    assert desk.run(sweep=True).outcome == "done", "the edit is synced"
    desk.quiet()
    stands = desk.sides()
    assert different(before, stands) <= {edited.entity_id, edited.betnr}

    assert desk.undo(undone.run_id).outcome == "done"
    assert different(after, desk.sides()) <= {edited.entity_id, edited.betnr}
    desk.quiet()


def different(one: Sides, other: Sides) -> set[Any]:
    espo = {key for key in one[0] if one[0][key] != other[0][key]}
    return espo | {key for key in one[1] if one[1][key] != other[1][key]}


def same(one: Sides, other: Sides, person: Any) -> set[Any]:
    return {person.entity_id, person.betnr} - different(one, other)


def test_undo_of_a_first_sync_unlinks_everybody_and_nothing_links_them_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 25)
    before = desk.sides()
    first = desk.run()
    undone = desk.undo(first.run_id)
    assert (undone.outcome, desk.sides()) == ("done", before)
    desk.quiet()
    assert all("[ESPOCRM:" not in (row["bemerkung"] or "") for one in desk.firm for row in desk.advo.rows(one.betnr))
    assert desk.undo(undone.run_id).outcome == "done"
    desk.quiet()


def test_what_was_edited_since_stays_and_is_named(desk: Desk) -> None:
    people.random_edits(desk.espo, desk.advo, 40, seed=3)
    report = desk.run(sweep=True)
    betnr, row = next(
        (one.betnr, row)
        for one in desk.firm
        for row in desk.advo.rows(one.betnr)
        if any(change.json and change.json.get("tlf") == row["tlf"] for change in desk.advo.writes) and row["tlf"]
    )
    desk.advo.edit_row(betnr, row["id"], value="0511 7654321")
    undone = desk.undo(report.run_id)
    assert [notice for notice in undone.notices if str(row["id"]) in notice]
    assert [one["tlf"] for one in desk.advo.rows(betnr) if one["id"] == row["id"]] == ["0511 7654321"]
    assert desk.run(sweep=True).outcome == "done"
    desk.quiet()


def test_who_shares_its_betnr_by_now_is_not_put_back(desk: Desk) -> None:
    desk.run()
    one, other = desk.firm[:2]
    desk.espo.edit(other.entity_id, betnr=one.betnr)
    rows = desk.advo.rows(one.betnr)
    told = desk.undo(1)
    assert desk.advo.rows(one.betnr) == rows
    assert f"not put back: {one.entity_id} / {one.betnr}: it cannot be read on both sides now" in told.notices


def test_an_entry_that_is_edited_after_the_undo_is_synced_again(office: Any) -> None:
    """Only that entry: what else the undo took back stays taken back."""
    espo, advo = office.espo, office.advo
    entity = espo.add_person("Max Muster", 104711, phones=["+495111234560", "+493022334455"])
    advo.add_person(104711, "Max Muster")
    first = office.run()
    assert sorted(row["tlf"] for row in advo.rows(104711)) == ["+493022334455", "+495111234560"]
    run(office.config, Options(trigger="undo", undo_run=first.run_id), world=office.world)
    assert [row["tlf"] for row in advo.rows(104711)] == ["", ""]
    espo.edit(entity, phones=["+495111234561", "+493022334455"])
    office.run()
    assert sorted(row["tlf"] for row in advo.rows(104711)) == ["", "+495111234561"]


def test_a_plan_of_an_undo_lists_it_and_writes_nothing(desk: Desk) -> None:
    people.random_edits(desk.espo, desk.advo, 10, seed=9)
    report = desk.run(sweep=True)
    stood = desk.sides()
    plan = desk.run(trigger="plan", undo_run=report.run_id, write=False)
    assert (int(plan.exit_code()), desk.writes, desk.sides()) == (2, 0, stood)
    assert {change["variant"] for change in plan.changes} == {"undo"}


def test_an_undo_that_overwrites_much_is_held_and_carried_out_when_approved(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 40)
    before = desk.sides()
    first = desk.run()
    narrow = desk.config.guards.model_copy(update={"max_removals": 5, "max_removal_share": 0.01})
    wide = desk.config
    desk.config = desk.config.model_copy(update={"guards": narrow})
    held = desk.undo(first.run_id)
    assert (held.outcome, held.persons.held > 0) == ("held", True)
    approved = desk.run(trigger="approve", approve_run=held.run_id, operator="olga")
    assert (approved.outcome, approved.errors) == ("done", [])
    assert desk.sides() == before
    desk.config = wide
    desk.quiet()


def test_an_undo_that_breaks_off_does_not_happen_forward_by_itself_and_is_finished_by_another(desk: Desk) -> None:
    people.random_edits(desk.espo, desk.advo, 40, seed=8)
    before = desk.sides()
    report = desk.run(sweep=True)
    desk.quiet()
    writes = 0

    def breaks_off(call: Call) -> Answer | None:
        nonlocal writes
        writes += call.is_write
        if writes > 5:
            raise ConnectionLost
        return None

    desk.espo.before = desk.advo.before = breaks_off
    assert desk.undo(report.run_id).outcome == "outage"
    desk.espo.before = desk.advo.before = None
    halfway = desk.sides()
    assert desk.run(sweep=True).outcome == "done"
    assert desk.sides() == halfway
    desk.undo(report.run_id)
    assert desk.sides() == before
    desk.quiet()


@pytest.mark.parametrize("number", [99, None])
def test_a_run_that_wrote_nothing_cannot_be_undone(desk: Desk, number: int | None) -> None:
    empty = number or desk.run().run_id
    with pytest.raises(ConfigError, match=f"Run {empty} wrote nothing"):
        desk.undo(empty)


# A conflict of the run ----------------------------------------------------------------------------------------------


def test_a_conflict_of_an_undone_run_is_over_until_that_is_undone_and_so_on(office: Any) -> None:
    clash = Clash(office)
    ((number,),) = office.remembered("select run_id from conflicts")
    open_conflicts = []
    for _ in range(3):
        number = run(office.config, Options(trigger="undo", undo_run=number), world=office.world).run_id
        stands = ("0511 1234562", "Zentrale") in clash.rows
        open_conflicts.append((stands, office.remembered("select count(*) from open_conflicts")[0][0]))
    assert open_conflicts == [(True, 0), (False, 1), (True, 0)]


def test_a_conflict_whose_entry_was_edited_since_stays_open(office: Any) -> None:
    clash = Clash(office)
    ((number,),) = office.remembered("select run_id from conflicts")
    office.advo.edit_row(clash.betnr, clash.row, value="0511 1234569")
    office.espo.edit(clash.entity, phones=[("+495111234561", "Office")])
    run(office.config, Options(trigger="undo", undo_run=number), world=office.world)
    assert office.remembered("select count(*) from open_conflicts") == [(1,)]


# Longer work in chunks ------------------------------------------------------------------------------------------------


def test_a_backfill_in_chunks_is_undone_as_a_whole_and_that_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 14)
    before = desk.sides()
    filled = desk.run(trigger="backfill", backfill=Selection(everybody=True, chunk=3))
    after = desk.sides()
    assert len(filled.chunks) > 3
    planned = desk.run(trigger="plan", undo_run=filled.run_id, whole=True, write=False).changes
    assert desk.sides() == after
    undone = desk.undo(filled.chunks[2], whole=True)
    assert (undone.outcome, desk.sides(), len(undone.chunks)) == ("done", before, len(filled.chunks))
    assert sum(undone.variants.values()) == len({(one["entity_id"], one["komm_id"]) for one in planned})
    desk.quiet()
    assert desk.undo(undone.run_id, whole=True).outcome == "done"
    assert desk.sides() == after
    desk.quiet()


def test_what_a_guard_held_of_an_undo_in_chunks_is_approved_as_a_whole(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 14)
    before = desk.sides()
    filled = desk.run(trigger="backfill", backfill=Selection(everybody=True, chunk=3))
    after = desk.sides()
    narrow = desk.config.guards.model_copy(update={"max_removals": 0})
    desk.config = desk.config.model_copy(update={"guards": narrow})
    held = desk.undo(filled.run_id, whole=True)
    assert (held.outcome, held.persons.held > 1) == ("held", True)
    approved = desk.run(trigger="approve", approve_run=held.run_id, whole=True, operator="olga")
    assert (approved.outcome, approved.errors, desk.sides()) == ("done", [], before)
    assert len(approved.chunks) > 1
    assert desk.undo(held.run_id, whole=True).outcome == "done"  # what was approved belongs to it
    assert desk.sides() == after


# Restore ----------------------------------------------------------------------------------------------------------


class Clash:
    """A person whose number was changed on both sides: EspoCRM won, Advoware's 0511 1234562 is kept."""

    def __init__(self, office: Any) -> None:
        self.office, self.betnr = office, 104711
        phones = [("+495111234560", "Office"), ("+494099887766", "Home")]
        self.entity = office.espo.add_person("Max Muster", self.betnr, phones=phones)
        office.advo.add_person(self.betnr, "Max Muster")
        self.row = office.advo.add_row(self.betnr, "0511/1234560", "Zentrale", komm_kz=1)
        office.run()
        office.espo.edit(self.entity, phones=[("+495111234561", "Office"), ("+494099887766", "Home")])
        office.advo.edit_row(self.betnr, self.row, value="0511 1234562")
        office.run()
        ((self.conflict,),) = office.remembered("select id from conflicts")

    def restore(self, **options: Any) -> RunReport:
        self.office.clock.advance(300)
        asked = Options(trigger="restore", restore=self.conflict, operator="olga", **options)
        return run(self.office.config, asked, world=self.office.world)

    @property
    def phones(self) -> list[tuple[str, str]]:
        return sorted((one["phoneNumber"], one["type"]) for one in self.office.espo.items(self.entity))

    @property
    def rows(self) -> list[tuple[str, str]]:
        return [(row["tlf"], own_text(row["bemerkung"])) for row in self.office.advo.rows(self.betnr)]


def quiet(office: Any) -> None:
    office.may_write = False
    for sweep in (False, True):
        assert (office.run(sweep=sweep).outcome, office.writes) == ("done", [])
    office.may_write = True


def test_restore_puts_the_value_in_the_place_of_the_winner_and_undo_takes_it_back(office: Any) -> None:
    clash = Clash(office)
    report = clash.restore()
    assert (report.outcome, report.variants) == ("done", {"restore": 1})
    assert clash.phones == [("+494099887766", "Home"), ("+495111234562", "Office")]
    assert clash.rows == [("0511 1234562", "Zentrale"), ("+494099887766", "")]
    assert office.remembered("select count(*) from conflicts where restored_at is not null") == [(1,)]
    quiet(office)
    run(office.config, Options(trigger="undo", undo_run=report.run_id), world=office.world)
    assert clash.phones == [("+494099887766", "Home"), ("+495111234561", "Office")]
    assert clash.rows == [("+495111234561", "Zentrale"), ("+494099887766", "")]
    assert office.remembered("select count(*) from conflicts where restored_at is null") == [(1,)]
    quiet(office)


def test_restore_puts_the_value_beside_a_winner_that_was_edited_since(office: Any) -> None:
    clash = Clash(office)
    office.espo.edit(clash.entity, phones=[("+495111234569", "Office"), ("+494099887766", "Home")])
    office.run()
    assert clash.restore().outcome == "done"
    assert clash.phones == [("+494099887766", "Home"), ("+495111234562", "Office"), ("+495111234569", "Office")]
    assert clash.rows == [("+495111234569", "Zentrale"), ("+494099887766", ""), ("0511 1234562", "")]
    quiet(office)


def test_a_value_is_restored_once(office: Any) -> None:
    clash = Clash(office)
    clash.restore()
    with pytest.raises(ConfigError, match="was restored at"):
        clash.restore()


def test_a_value_that_was_typed_in_again_meanwhile_is_only_marked_as_restored(office: Any) -> None:
    clash = Clash(office)
    office.advo.add_row(clash.betnr, "0511-1234562", "neu")
    office.run(sweep=True)
    rows = clash.rows
    report = clash.restore()
    assert (report.outcome, clash.rows) == ("done", rows)
    assert office.remembered("select count(*) from conflicts where restored_at is not null") == [(1,)]
    quiet(office)

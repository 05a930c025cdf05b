"""Cases by name of the second edition's protections (rules); ``mutations.py`` takes each protection away in one.

Every one ends at rest, all invariants checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobs.sandbox.espocrm.arrays import StoredPart
from jobs.sandbox.espocrm.saving import PutCrash, ResettingHook
from jobs.sandbox.simulator import TimedOut
from tests.simulation.absences import FORBIDDEN_PAGE
from tests.simulation.test_hard_cases import BETNR, MOBILE, OFFICE, CaseWorld, case
from tests.simulation.worlds import Traits, add_person_row

NEW = "+495112000009"
TWO = {OFFICE: "Office", MOBILE: "Mobile"}
ROWS = {"0511 2000001": "Zentrale", "0171 2000001": ""}


def type_new_row(world: CaseWorld) -> None:
    with world.note_edits():
        add_person_row(world.firm, world.person, "0171 2000001", "", 3)


def raise_timeout() -> None:
    raise TimedOut


@contextmanager
def half_done_put(stored_part: StoredPart, scope: str = "entry") -> Iterator[CaseWorld]:
    """A number is changed in Advoware, and EspoCRM dies within our PUT of it; then all comes to rest."""
    with case({OFFICE: "Home", MOBILE: "Mobile"}, rows=ROWS, traits=Traits(persons=0, scope=scope)) as world:
        phones = world.sim.people.phones(world.person)
        with world.note_edits():
            world.firm.espo.edit(
                world.entity_id, phones=[{**item, "optOut": item["type"] == "Home"} for item in phones]
            )
        world.run_to_rest()
        world.type_in("05112000001", "0511 2000009")
        world.firm.espo.store.put_crashes[:] = [PutCrash(phones=stored_part)]
        world.sync()
        world.run_to_rest()
        yield world


def test_what_espocrm_confirms_and_does_not_store_stays_in_advoware() -> None:
    """Row 1 of issue 13: believed, the next run emptied the row that a person had typed."""
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}) as world:
        type_new_row(world)
        world.firm.espo.store.hook = ResettingHook(echoes=True)
        assert world.sync() == "failed_persons"
        world.sync()
        world.firm.espo.store.hook = None
        world.run_to_rest()
        assert world.espo == world.advo == {OFFICE, MOBILE}


def test_a_read_that_comes_too_early_is_no_failure() -> None:
    """A GET in the second of a save may show no items at all; a second one, once it has settled, tells."""
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}, traits=Traits(persons=0, torn_reads=1)) as world:
        type_new_row(world)
        assert world.sync() == "done"
        world.run_to_rest()
        assert world.espo == world.advo == {OFFICE, MOBILE}


def test_an_old_number_that_our_half_done_put_took_is_nobodys_deletion() -> None:
    """Row 10: EspoCRM died between unlinking and linking; only Advoware was edited, and the number was lost."""
    with half_done_put(StoredPart.UNLINKED) as world:
        assert world.espo == world.advo == {NEW, MOBILE}


def test_what_was_chosen_for_an_item_that_our_half_done_put_took_comes_back_with_it() -> None:
    with half_done_put(StoredPart.UNLINKED) as world:
        (item,) = [item for item in world.sim.people.phones(world.person) if item["phoneNumber"] == NEW]
        assert (item["type"], item["optOut"]) == ("Home", True)


def test_what_our_half_done_put_brought_beside_the_old_value_is_nobodys_edit() -> None:
    """With EspoCRM's conflicts for the whole person it made Advoware's edit lose against our own write."""
    with half_done_put(StoredPart.LINKED, scope="person") as world:
        assert world.espo == world.advo == {NEW, MOBILE}


def test_a_put_that_is_still_under_way_is_not_judged() -> None:
    """After a timeout the request may still be running: read at once it has not arrived, and would be sent again."""
    with case(TWO, rows=ROWS) as world:
        world.type_in("05112000001", "0511 2000009")
        world.edit_at("PUT", world.entity_id, raise_timeout, moment="before")
        world.sync()
        assert len([call for call in world.firm.espo.writes if "phoneNumberData" in call.body]) == 1
        world.run_to_rest()
        assert world.espo == world.advo == {NEW, MOBILE}


def test_an_empty_row_with_our_marker_becomes_a_slot() -> None:
    """Row 5: a number that was deleted stayed readable in the remark of an empty row for ever."""
    with case(TWO, rows=ROWS) as world:
        with world.note_edits():
            world.firm.advo.add_row(BETNR, "  ", world.row("05112000001")["bemerkung"].removesuffix(" Zentrale"))
        world.run_to_rest()
        assert world.espo == world.advo == set(TWO)
        assert "[ESPOCRM-SLOT:1]" in world.remarks


def test_a_trimmed_remark_is_stored_as_sent() -> None:
    traits = Traits(persons=0, scope="entry", trims=True)
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}, traits=traits) as world:
        with world.note_edits():
            add_person_row(world.firm, world.person, "0171 2000001", "nur vormittags  ", 3)
        assert world.sync() == "done"
        world.run_to_rest()
        assert world.row("01712000001")["bemerkung"].endswith(":3] nur vormittags")


def test_a_remark_cut_inside_a_letter_is_no_persons_edit() -> None:
    """Row 6: half a letter read as somebody's own text, the rest of it was gone. No answer names the rowId here."""
    traits = Traits(persons=0, scope="entry", max_bemerkung=39, utf16=True, answers_put=False)
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}, traits=traits) as world:
        with world.note_edits():
            add_person_row(world.firm, world.person, "0171 2000001", "Büro 📞 links", 3)
        assert world.sync() == "done"
        world.run_to_rest()
        assert world.row("01712000001")["bemerkung"] == "Büro 📞 links"


def test_a_refused_write_fails_one_person_and_no_login() -> None:
    """Row 8: a firewall's 403 ended every run with "check api_key"."""
    with case(TWO, rows=ROWS) as world:
        world.set_items((NEW, "Office"), (MOBILE, "Mobile"))
        forbidden_answers = [FORBIDDEN_PAGE]
        world.sim.injector.overrides.append(
            lambda system, call, _person: (
                forbidden_answers.pop() if forbidden_answers and system == "advo" and call.is_write else None
            )
        )
        assert world.sync() == "failed_persons"
        world.run_to_rest()
        assert world.espo == world.advo == {NEW, MOBILE}


@pytest.mark.parametrize("mails", [StoredPart.NOTHING, StoredPart.ALL])
def test_a_put_that_stored_its_mails_only_brings_the_phones_again(mails: StoredPart) -> None:
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}) as world:
        type_new_row(world)
        with world.note_edits():
            add_person_row(world.firm, world.person, "neu@muster.de", "", 4)
        world.firm.espo.store.put_crashes[:] = [PutCrash(mails)]
        world.sync()
        world.run_to_rest()
        assert world.espo == world.advo == {OFFICE, MOBILE, "neu@muster.de"}


def test_an_opt_out_of_another_record_stays_when_its_number_is_typed_in() -> None:
    """Row 3: the number was linked with optOut false, and that is stored once for all records."""
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}) as world:
        other_item = {"phoneNumber": MOBILE, "type": "Mobile", "primary": True, "optOut": True, "invalid": False}
        other = world.firm.espo.add_person("Ben Beispiel", phones=[other_item])
        type_new_row(world)
        world.run_to_rest()
        assert world.espo == world.advo == {OFFICE, MOBILE}
        assert world.firm.espo.items(other)[0]["optOut"]


def test_a_type_that_espocrm_keeps_is_nobodys_edit() -> None:
    """Row 4: a Contact holds the number as Fax, the API user may not change that, and the row was retyped."""
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}) as world:
        contact_item = {"phoneNumber": MOBILE, "type": "Fax", "primary": True, "optOut": False, "invalid": False}
        world.firm.espo.add_contact("Carla Kontakt", phones=[contact_item])
        type_new_row(world)
        world.sync()
        with world.note_edits():
            world.firm.espo.edit(world.entity_id, description="Geburtstag")
        world.run_to_rest()
        assert world.espo == world.advo == {OFFICE, MOBILE}
        assert [remark[-3:] for remark in world.remarks] == [":1]", ":3]"]


def test_a_retype_takes_the_row_that_has_the_value_and_the_new_kommkz() -> None:
    """Somebody typed the number as a fax before its type in EspoCRM became Fax: nothing is created a third time."""
    nature = Traits(persons=0, scope="entry", real_komm_kz=True)
    with case({OFFICE: "Office"}, rows={"0511 2000001": "Zentrale"}, traits=nature) as one:
        with one.note_edits():
            add_person_row(one.firm, one.person, "(0511) 2000001", "", 2)
        one.sync()
        with one.note_edits():
            one.firm.espo.edit(one.entity_id, phones=[(OFFICE, "Fax")])
        one.run_to_rest()
        assert len(one.remarks) == len(ROWS), "no duplicate we made"
        assert one.row("05112000001")["bemerkung"].endswith(":2] Zentrale")


@pytest.mark.parametrize("is_marked", [False, True])
def test_an_item_that_lacks_after_our_put_gets_no_marker(is_marked: bool) -> None:  # noqa: FBT001
    """World 2041: edited just before our PUT, whose echo of the old number EspoCRM does not store."""
    with case({OFFICE: "Office"}, rows={"0511 2000001": ""}) as one:
        type_new_row(one)
        remark = one.row("05112000001")["bemerkung"] if is_marked else ""
        with one.note_edits():
            one.firm.advo.edit_row(BETNR, one.row("05112000001")["id"], remark=remark)
        one.firm.espo.store.hook = ResettingHook(echoes=False, guards=lambda value: value != MOBILE)
        one.edit_at("PUT", one.entity_id, lambda: one.set_items((NEW, "Office")), moment="before")
        assert one.sync() == "failed_persons"
        assert one.row("05112000001")["bemerkung"] == remark
        one.firm.espo.store.hook = None
        one.run_to_rest()
        assert (one.espo, one.advo) == ({OFFICE, NEW, MOBILE}, {OFFICE, MOBILE})  # what nobody sent is carried nowhere


def test_an_old_number_that_espocrm_keeps_beside_the_new_one_does_not_come_back() -> None:
    """A hook keeps the old value and stores the new one (seed 720061 of 10 persons).

    The second run links the row to the new item and tries to remove the old one, in vain again. Had its pair moved to
    the new value by then, the third run would take what still stands for new in EspoCRM, and bring it to Advoware.
    """
    with case(TWO, rows=ROWS) as world:
        world.type_in("05112000001", "0511 2000009")
        world.firm.espo.store.hook = ResettingHook(echoes=False, guards=lambda value: value == OFFICE)
        world.sync()
        world.firm.clock.advance(600)
        world.sync()
        world.firm.espo.store.hook = None
        world.run_to_rest()
        assert world.espo == world.advo == {NEW, MOBILE}

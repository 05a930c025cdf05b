"""What the API user may not edit is held back, what it may not read is not synced: nothing is lost (rules.md §5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl.records import Direction
from tests.desk import Desk, Person

FIELDS = {"phone": "phoneNumber", "mail": "emailAddress"}
NO_EDIT, NO_READ = {"read": "yes", "edit": "no"}, {"read": "no", "edit": "no"}
NEW = {"phone": ("0511 888888", "+49511888888"), "mail": ("Neu@Firma.de", "Neu@Firma.de")}
OTHER = {"phone": "mail", "mail": "phone"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def hired(desk: Desk) -> Person:
    """A synced person with two phones and two mails."""
    person = desk.hire(2)
    name = str(person.betnr)
    mails = [f"a{name}@firma.de", f"b{name}@firma.de"]
    desk.espo.edit(person.entity_id, mails=mails)
    rows = tuple(desk.advo.add_row(person.betnr, mail, komm_kz=4) for mail in mails)
    assert desk.run().outcome == "done"
    return Person(person.entity_id, person.betnr, (*person.rows, *rows))


def rows_of(person: Person, channel: str) -> tuple[int, ...]:
    return person.rows[:2] if channel == "phone" else person.rows[2:]


def role(desk: Desk, channel: str, rights: dict[str, str] | None) -> None:
    """The administrator changes the role."""
    desk.espo.store.role.fields = {} if rights is None else {FIELDS[channel]: rights}


def both(desk: Desk, person: Person) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Everything of the person on both sides."""
    return desk.espo.items(person.entity_id), desk.advo.rows(person.betnr)


def values(desk: Desk, person: Person) -> set[str]:
    """EspoCRM's phones and mails."""
    return {one.get("phoneNumber") or one["emailAddress"] for one in desk.espo.items(person.entity_id)}


def change_in_advoware(desk: Desk, person: Person, channel: str) -> None:
    """One row is new, one is changed, one is deleted."""
    first, second = rows_of(person, channel)
    komm_kz = 1 if channel == "phone" else 4
    desk.advo.add_row(person.betnr, NEW[channel][0], "Büro", komm_kz=komm_kz)
    desk.advo.edit_row(person.betnr, first, value="0511 777777" if channel == "phone" else "c@firma.de")
    desk.advo.empty_row(person.betnr, second)


@pytest.mark.parametrize("gone", [True, False], ids=["edited", "added"])
@pytest.mark.parametrize("channel", FIELDS)
def test_what_a_row_that_is_held_back_holds_is_not_written_a_second_time(
    desk: Desk, channel: str, *, gone: bool
) -> None:
    """Both sides were given one value; Advoware's half waits for the right, so EspoCRM's does, too."""
    person = hired(desk)
    role(desk, channel, NO_EDIT)
    typed, brought = NEW[channel]
    first = rows_of(person, channel)[0]
    desk.advo.edit_row(person.betnr, first, value=typed)
    desk.run(sweep=True)
    named = {"phone": "phoneNumber", "mail": "emailAddress"}[channel]
    items = [one for one in desk.espo.items(person.entity_id) if named in one]
    wanted: list[str | tuple[str, str] | dict[str, Any]] = [*items[: 1 if gone else 2], brought]
    if channel == "phone":
        desk.espo.edit(person.entity_id, phones=wanted)
    else:
        desk.espo.edit(person.entity_id, mails=wanted)
    desk.run()
    held = [row["tlf"] for row in desk.advo.rows(person.betnr)]
    assert held.count(typed) == 1
    assert brought == typed or brought not in held
    role(desk, channel, None)
    desk.run(sweep=True)
    desk.run(sweep=True)
    held = [row["tlf"] for row in desk.advo.rows(person.betnr)]
    assert held.count(typed) == 1
    assert brought == typed or brought not in held
    assert brought in values(desk, person)


@pytest.mark.parametrize("rights", [NO_EDIT, NO_READ], ids=["edit", "read"])
@pytest.mark.parametrize("channel", FIELDS)
def test_changes_of_advoware_wait_for_the_right_and_then_arrive(
    desk: Desk, channel: str, rights: dict[str, str]
) -> None:
    person = hired(desk)
    role(desk, channel, rights)
    change_in_advoware(desk, person, channel)
    before = both(desk, person)
    report = desk.run(sweep=True)
    assert (report.outcome, report.persons.failed, report.conflicts) == ("done", 0, 0)
    assert both(desk, person) == before
    details = [detail for (detail,) in desk.ask("select detail from left_alone where reason = 'held_back'")]
    what = "read" if rights == NO_READ else "edit"
    assert len(details) == 3
    assert all(f"the API user may not {what} {FIELDS[channel]} in EspoCRM" in one for one in details)
    assert [one for one in report.notices if FIELDS[channel] in one] == report.notices != []
    for sweep in (False, True):
        assert desk.quiet(sweep=sweep).outcome == "done"
    role(desk, channel, None)
    assert desk.run().outcome == "done"
    assert NEW[channel][1] in values(desk, person)
    assert len(values(desk, person)) == 4
    assert desk.ask("select count(*) from left_alone") == [(0,)]
    assert desk.quiet(sweep=True).outcome == "done"


@pytest.mark.parametrize("rights", [NO_EDIT, NO_READ], ids=["edit", "read"])
@pytest.mark.parametrize("channel", FIELDS)
def test_the_other_channel_goes_on(desk: Desk, channel: str, rights: dict[str, str]) -> None:
    person = hired(desk)
    role(desk, channel, rights)
    change_in_advoware(desk, person, OTHER[channel])
    kept = [one for one in desk.advo.rows(person.betnr) if one["id"] in rows_of(person, channel)]
    desk.run(sweep=True)
    assert desk.run(sweep=True).outcome == "done"
    assert NEW[OTHER[channel]][1] in values(desk, person)
    assert len(values(desk, person)) == 4
    assert [one for one in desk.advo.rows(person.betnr) if one["id"] in rows_of(person, channel)] == kept
    assert desk.quiet(sweep=True).outcome == "done"


def test_what_may_be_read_and_not_edited_still_goes_to_advoware(desk: Desk) -> None:
    person = hired(desk)
    role(desk, "phone", NO_EDIT)
    desk.espo.edit(person.entity_id, phones=["+49511888888"])
    assert desk.run().outcome == "done"
    assert [one for one in desk.values(person) if "@" not in one] == ["+49511888888"]
    assert desk.quiet(sweep=True).outcome == "done"


def test_what_is_edited_in_espocrm_while_it_may_not_be_read_arrives_once_it_may(desk: Desk) -> None:
    person = hired(desk)
    role(desk, "phone", NO_READ)
    desk.espo.edit(person.entity_id, phones=["+49511888888"])
    before = both(desk, person)
    assert desk.run(sweep=True).outcome == "done"
    assert both(desk, person) == before
    role(desk, "phone", None)
    assert desk.run(sweep=True).outcome == "done"
    assert [one for one in desk.values(person) if "@" not in one] == ["+49511888888"]
    assert desk.quiet(sweep=True).outcome == "done"


def test_what_waits_for_a_right_is_nobodys_change_in_a_conflict(desk: Desk) -> None:
    """EspoCRM wins for the whole person: the number typed in Advoware is neither reverted nor lost."""
    person = hired(desk)
    role(desk, "phone", NO_EDIT)
    desk.advo.edit_row(person.betnr, person.rows[0], value="0511 777777")
    desk.espo.edit(person.entity_id, mails=["neu@firma.de"])
    assert desk.run(sweep=True).conflicts == 0
    assert "0511 777777" in desk.values(person)
    assert "neu@firma.de" in desk.values(person)


def test_to_advoware_sends_espocrm_nothing_and_needs_no_right(desk: Desk) -> None:
    person = hired(desk)
    role(desk, "phone", NO_EDIT)
    desk.advo.edit_row(person.betnr, person.rows[0], value="0511 777777")
    report = desk.run(sweep=True, direction=Direction.TO_ADVOWARE)
    assert (report.outcome, report.conflicts, report.notices) == ("done", 1, [])
    assert "0511 777777" not in desk.values(person)


@pytest.mark.parametrize("rights", [NO_EDIT, NO_READ], ids=["edit", "read"])
def test_a_first_sync_without_the_right_invents_nothing(desk: Desk, rights: dict[str, str]) -> None:
    person = desk.hire(2)
    desk.advo.add_row(person.betnr, "0511 888888")
    role(desk, "phone", rights)
    before = both(desk, person)
    assert desk.run().outcome == "done"
    assert both(desk, person)[0] == before[0]
    if rights == NO_READ:
        assert both(desk, person)[1] == before[1]
    assert desk.quiet(sweep=True).outcome == "done"
    role(desk, "phone", None)
    assert desk.run().outcome == "done"
    assert (len(desk.phones(person)), len(desk.values(person))) == (3, 3)
    assert desk.quiet(sweep=True).outcome == "done"


def test_a_mail_whose_row_was_given_a_number_is_not_taken_for_deleted(desk: Desk) -> None:
    """The row is its pair's, also while it holds what belongs to the channel that may not be read."""
    person = hired(desk)
    role(desk, "phone", NO_READ)
    desk.advo.edit_row(person.betnr, person.rows[2], value="0511 777777")
    before = both(desk, person)
    assert desk.run(sweep=True).outcome == "done"
    assert desk.run(sweep=True).outcome == "done"
    assert both(desk, person) == before


def test_a_note_about_a_channel_that_may_not_be_read_stays(desk: Desk) -> None:
    person = hired(desk)
    desk.advo.add_row(person.betnr, "Mutter fragen", komm_kz=1)
    assert desk.run(sweep=True).outcome == "done"
    noted = desk.ask("select id, reason, value from left_alone")
    assert noted
    role(desk, "phone", NO_READ)
    assert desk.run(sweep=True).outcome == "done"
    assert [one for one in desk.ask("select id, reason, value from left_alone") if one in noted] == noted


SYNC_FIELDS = [
    "syncStatus", "advowareLastSync", "kommunikationHash", "syncErrorMessage", "syncRetryCount", "syncNextRetry",
]  # fmt: skip


@pytest.mark.parametrize("field", SYNC_FIELDS)
def test_a_field_of_ours_that_may_not_be_edited_blocks_nothing_and_comes_to_rest(desk: Desk, field: str) -> None:
    desk.espo.store.role.fields = {field: NO_EDIT}
    person, other = desk.hire(), desk.hire()
    assert desk.run().outcome == "done"
    desk.add_phone(person, "+49511888888")
    desk.advo.add_row(other.betnr, "0511 999999")
    for _ in range(3):
        assert desk.run(sweep=True).outcome == "done"
    assert (len(desk.values(person)), len(desk.phones(other))) == (3, 3)
    assert desk.held() == []
    assert desk.quiet().outcome == "done"
    assert desk.quiet(sweep=True).outcome == "done"

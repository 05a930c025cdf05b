"""What the API user may not edit is held back, what it may not read is not synced: nothing is lost (rules §5)."""

from __future__ import annotations

from typing import Any

import pytest

from etl.records import Direction
from tests.harness import FaultHarness, PersonWithRows

FIELDS = {"phone": "phoneNumber", "mail": "emailAddress"}
NO_EDIT, NO_READ = {"read": "yes", "edit": "no"}, {"read": "no", "edit": "no"}
NEW = {"phone": ("0511 888888", "+49511888888"), "mail": ("Neu@Firma.de", "Neu@Firma.de")}
OTHER = {"phone": "mail", "mail": "phone"}


def person_in_sync(harness: FaultHarness) -> PersonWithRows:
    """A synced person with two phones and two mails."""
    person = harness.add_person(2)
    name = str(person.betnr)
    mails = [f"a{name}@firma.de", f"b{name}@firma.de"]
    harness.espo.edit(person.entity_id, mails=mails)
    rows = tuple(harness.advo.add_row(person.betnr, mail, komm_kz=4) for mail in mails)
    assert harness.run().outcome == "done"
    return PersonWithRows(person.entity_id, person.betnr, (*person.rows, *rows))


def rows_of_channel(person: PersonWithRows, channel: str) -> tuple[int, ...]:
    return person.rows[:2] if channel == "phone" else person.rows[2:]


def set_role_rights(harness: FaultHarness, channel: str, rights: dict[str, str] | None) -> None:
    """The administrator changes the role."""
    harness.espo.store.role.fields = {} if rights is None else {FIELDS[channel]: rights}


def person_sides(harness: FaultHarness, person: PersonWithRows) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Everything of the person on both sides."""
    return harness.espo.items(person.entity_id), harness.advo.rows(person.betnr)


def espo_addresses(harness: FaultHarness, person: PersonWithRows) -> set[str]:
    """EspoCRM's phones and mails."""
    return {item.get("phoneNumber") or item["emailAddress"] for item in harness.espo.items(person.entity_id)}


def change_in_advoware(harness: FaultHarness, person: PersonWithRows, channel: str) -> None:
    """One row is new, one is changed, one is deleted."""
    first, second = rows_of_channel(person, channel)
    komm_kz = 1 if channel == "phone" else 4
    harness.advo.add_row(person.betnr, NEW[channel][0], "Büro", komm_kz=komm_kz)
    harness.advo.edit_row(person.betnr, first, value="0511 777777" if channel == "phone" else "c@firma.de")
    harness.advo.empty_row(person.betnr, second)


@pytest.mark.parametrize("is_edited", [True, False], ids=["edited", "added"])
@pytest.mark.parametrize("channel", FIELDS)
def test_what_a_row_that_is_held_back_holds_is_not_written_a_second_time(
    harness: FaultHarness, channel: str, *, is_edited: bool
) -> None:
    """Both sides were given one value; Advoware's half waits for the right, so EspoCRM's does, too."""
    person = person_in_sync(harness)
    set_role_rights(harness, channel, NO_EDIT)
    advo_value, espo_value = NEW[channel]
    first = rows_of_channel(person, channel)[0]
    harness.advo.edit_row(person.betnr, first, value=advo_value)
    harness.run(sweep=True)
    key = {"phone": "phoneNumber", "mail": "emailAddress"}[channel]
    items = [item for item in harness.espo.items(person.entity_id) if key in item]
    items_after: list[str | tuple[str, str] | dict[str, Any]] = [*items[: 1 if is_edited else 2], espo_value]
    if channel == "phone":
        harness.espo.edit(person.entity_id, phones=items_after)
    else:
        harness.espo.edit(person.entity_id, mails=items_after)
    harness.run()
    values_held = [row["tlf"] for row in harness.advo.rows(person.betnr)]
    assert values_held.count(advo_value) == 1
    assert espo_value == advo_value or espo_value not in values_held
    set_role_rights(harness, channel, None)
    harness.run(sweep=True)
    harness.run(sweep=True)
    values_held = [row["tlf"] for row in harness.advo.rows(person.betnr)]
    assert values_held.count(advo_value) == 1
    assert espo_value == advo_value or espo_value not in values_held
    assert espo_value in espo_addresses(harness, person)


@pytest.mark.parametrize("rights", [NO_EDIT, NO_READ], ids=["edit", "read"])
@pytest.mark.parametrize("channel", FIELDS)
def test_changes_of_advoware_wait_for_the_right_and_then_arrive(
    harness: FaultHarness, channel: str, rights: dict[str, str]
) -> None:
    person = person_in_sync(harness)
    set_role_rights(harness, channel, rights)
    change_in_advoware(harness, person, channel)
    before = person_sides(harness, person)
    report = harness.run(sweep=True)
    assert (report.outcome, report.persons.failed, report.conflicts) == ("done", 0, 0)
    assert person_sides(harness, person) == before
    details = [detail for (detail,) in harness.query_store("select detail from left_alone where reason = 'held_back'")]
    action = "read" if rights == NO_READ else "edit"
    assert len(details) == 3
    assert all(f"the API user may not {action} {FIELDS[channel]} in EspoCRM" in detail for detail in details)
    assert [notice for notice in report.notices if FIELDS[channel] in notice] == report.notices != []
    for sweep in (False, True):
        assert harness.run_without_writes(sweep=sweep).outcome == "done"
    set_role_rights(harness, channel, None)
    assert harness.run().outcome == "done"
    assert NEW[channel][1] in espo_addresses(harness, person)
    assert len(espo_addresses(harness, person)) == 4
    assert harness.query_store("select count(*) from left_alone") == [(0,)]
    assert harness.run_without_writes(sweep=True).outcome == "done"


@pytest.mark.parametrize("rights", [NO_EDIT, NO_READ], ids=["edit", "read"])
@pytest.mark.parametrize("channel", FIELDS)
def test_the_other_channel_goes_on(harness: FaultHarness, channel: str, rights: dict[str, str]) -> None:
    person = person_in_sync(harness)
    set_role_rights(harness, channel, rights)
    change_in_advoware(harness, person, OTHER[channel])
    rows_before = [
        row_json for row_json in harness.advo.rows(person.betnr) if row_json["id"] in rows_of_channel(person, channel)
    ]
    harness.run(sweep=True)
    assert harness.run(sweep=True).outcome == "done"
    assert NEW[OTHER[channel]][1] in espo_addresses(harness, person)
    assert len(espo_addresses(harness, person)) == 4
    assert [
        row_json for row_json in harness.advo.rows(person.betnr) if row_json["id"] in rows_of_channel(person, channel)
    ] == rows_before
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_what_may_be_read_and_not_edited_still_goes_to_advoware(harness: FaultHarness) -> None:
    person = person_in_sync(harness)
    set_role_rights(harness, "phone", NO_EDIT)
    harness.espo.edit(person.entity_id, phones=["+49511888888"])
    assert harness.run().outcome == "done"
    assert [value for value in harness.advo_values(person) if "@" not in value] == ["+49511888888"]
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_what_is_edited_in_espocrm_while_it_may_not_be_read_arrives_once_it_may(harness: FaultHarness) -> None:
    person = person_in_sync(harness)
    set_role_rights(harness, "phone", NO_READ)
    harness.espo.edit(person.entity_id, phones=["+49511888888"])
    before = person_sides(harness, person)
    assert harness.run(sweep=True).outcome == "done"
    assert person_sides(harness, person) == before
    set_role_rights(harness, "phone", None)
    assert harness.run(sweep=True).outcome == "done"
    assert [value for value in harness.advo_values(person) if "@" not in value] == ["+49511888888"]
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_what_waits_for_a_right_is_nobodys_change_in_a_conflict(harness: FaultHarness) -> None:
    """EspoCRM wins for the whole person: the number typed in Advoware is neither reverted nor lost."""
    person = person_in_sync(harness)
    set_role_rights(harness, "phone", NO_EDIT)
    harness.advo.edit_row(person.betnr, person.rows[0], value="0511 777777")
    harness.espo.edit(person.entity_id, mails=["neu@firma.de"])
    assert harness.run(sweep=True).conflicts == 0
    assert "0511 777777" in harness.advo_values(person)
    assert "neu@firma.de" in harness.advo_values(person)


def test_to_advoware_sends_espocrm_nothing_and_needs_no_right(harness: FaultHarness) -> None:
    person = person_in_sync(harness)
    set_role_rights(harness, "phone", NO_EDIT)
    harness.advo.edit_row(person.betnr, person.rows[0], value="0511 777777")
    report = harness.run(sweep=True, direction=Direction.TO_ADVOWARE)
    assert (report.outcome, report.conflicts, report.notices) == ("done", 1, [])
    assert "0511 777777" not in harness.advo_values(person)


@pytest.mark.parametrize("rights", [NO_EDIT, NO_READ], ids=["edit", "read"])
def test_a_first_sync_without_the_right_invents_nothing(harness: FaultHarness, rights: dict[str, str]) -> None:
    person = harness.add_person(2)
    harness.advo.add_row(person.betnr, "0511 888888")
    set_role_rights(harness, "phone", rights)
    before = person_sides(harness, person)
    assert harness.run().outcome == "done"
    assert person_sides(harness, person)[0] == before[0]
    if rights == NO_READ:
        assert person_sides(harness, person)[1] == before[1]
    assert harness.run_without_writes(sweep=True).outcome == "done"
    set_role_rights(harness, "phone", None)
    assert harness.run().outcome == "done"
    assert (len(harness.espo_phones(person)), len(harness.advo_values(person))) == (3, 3)
    assert harness.run_without_writes(sweep=True).outcome == "done"


def test_a_mail_whose_row_was_given_a_number_is_not_taken_for_deleted(harness: FaultHarness) -> None:
    """The row is its pair's, also while it holds what belongs to the channel that may not be read."""
    person = person_in_sync(harness)
    set_role_rights(harness, "phone", NO_READ)
    harness.advo.edit_row(person.betnr, person.rows[2], value="0511 777777")
    before = person_sides(harness, person)
    assert harness.run(sweep=True).outcome == "done"
    assert harness.run(sweep=True).outcome == "done"
    assert person_sides(harness, person) == before


def test_a_note_about_a_channel_that_may_not_be_read_stays(harness: FaultHarness) -> None:
    person = person_in_sync(harness)
    harness.advo.add_row(person.betnr, "Mutter fragen", komm_kz=1)
    assert harness.run(sweep=True).outcome == "done"
    left_alone = harness.query_store("select id, reason, value from left_alone")
    assert left_alone
    set_role_rights(harness, "phone", NO_READ)
    assert harness.run(sweep=True).outcome == "done"
    assert [
        note for note in harness.query_store("select id, reason, value from left_alone") if note in left_alone
    ] == left_alone


SYNC_FIELDS = [
    "syncStatus", "advowareLastSync", "kommunikationHash", "syncErrorMessage", "syncRetryCount", "syncNextRetry",
]  # fmt: skip


@pytest.mark.parametrize("field", SYNC_FIELDS)
def test_a_field_of_ours_that_may_not_be_edited_blocks_nothing_and_comes_to_rest(
    harness: FaultHarness, field: str
) -> None:
    harness.espo.store.role.fields = {field: NO_EDIT}
    person, other = harness.add_person(), harness.add_person()
    assert harness.run().outcome == "done"
    harness.add_phone(person, "+49511888888")
    harness.advo.add_row(other.betnr, "0511 999999")
    for _ in range(3):
        assert harness.run(sweep=True).outcome == "done"
    assert (len(harness.advo_values(person)), len(harness.espo_phones(other))) == (3, 3)
    assert harness.open_hold_rows() == []
    assert harness.run_without_writes().outcome == "done"
    assert harness.run_without_writes(sweep=True).outcome == "done"

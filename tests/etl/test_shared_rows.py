"""A number or mail that other records of EspoCRM hold: our PUT stamps what it says on the row they share.

Rules §3, Shared address rows; EspoCRM facts B1 to B11. A and B are records, X the value that A has and somebody
types at B in Advoware.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from etl.rules.marker import MarkerKind, decode
from jobs.sandbox.simulator import ConnectionLost, SimResponse, make_json_response
from tests.harness import SyncHarness
from tests.notation import marker_text, own_text_of_remark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest

X, Y, Z, W = "+495111234560", "+495112222222", "+495119999999", "+495113333333"
MAIL = "Anna.Huber@Kanzlei-Muster.DE"
Item = dict[str, Any]


def phone_item_json(value: str, kind: str = "Office", *, opt_out: bool = False, invalid: bool = False) -> Item:
    return {"phoneNumber": value, "type": kind, "primary": False, "optOut": opt_out, "invalid": invalid}


def mail_item_json(value: str, *, opt_out: bool = False, invalid: bool = False) -> Item:
    return {"emailAddress": value, "primary": True, "optOut": opt_out, "invalid": invalid}


@dataclass
class TwoRecords:
    """Two records of a practice, A and B, in sync."""

    harness: SyncHarness
    a: str
    b: str

    def item(self, entity_id: str, value: str) -> Item:
        """What EspoCRM shows of a value on a record, primary or not."""
        items = self.harness.espo.items(entity_id)
        items_by_value = {
            item_json.get("phoneNumber") or item_json["emailAddress"].lower(): item_json for item_json in items
        }
        item_json = items_by_value[value.lower()]
        return {name: item_json.get(name) for name in ("type", "optOut", "invalid")}

    def values(self, entity_id: str) -> set[str]:
        """The numbers and mails of a record, as written."""
        return {
            item_json.get("phoneNumber") or item_json["emailAddress"]
            for item_json in self.harness.espo.items(entity_id)
        }

    def type_value(self, value: str, betnr: int = 2) -> int:
        """Somebody types a value at B in Advoware."""
        return self.harness.advo.add_row(betnr, value)

    def remark(self, komm_id: int, betnr: int = 2) -> str:
        """The remark of a row."""
        return str(next(row["bemerkung"] for row in self.harness.advo.rows(betnr) if row["id"] == komm_id))

    def row(self, number: int = 0) -> int:
        """One of B's rows."""
        return int(self.harness.advo.rows(2)[number]["id"])

    def run_to_rest(self) -> None:
        """Run until nothing is written any more, twice at most; then a sweep writes nothing."""
        self.harness.run()
        self.harness.run()
        assert self.harness.writes == []
        self.harness.run(sweep=True)
        assert self.harness.writes == []

    def reads(self, entity_id: str) -> int:
        """How often the last run read a record."""
        return sum(call.method == "GET" and call.path.endswith(entity_id) for call in self.harness.espo.request_log)

    def searches(self) -> list[str]:
        """The look-ups of the last run: which values were asked for."""
        lists = [call.target for call in self.harness.espo.request_log if call.path.endswith("/CBeteiligte")]
        return [target for target in lists if "phoneNumber" in target or "emailAddress" in target]


def two_records(folder: Path, a: list[Item], b: list[Item]) -> TwoRecords:
    """A and B with these items and the same rows in Advoware, synced."""
    harness = SyncHarness(folder, 0)
    ids = []
    for betnr, items in ((1, a), (2, b)):
        mails = [item_json for item_json in items if "emailAddress" in item_json]
        phones = [item_json for item_json in items if "phoneNumber" in item_json]
        ids.append(harness.espo.add_person(f"Max Muster{betnr}", betnr, phones=phones, mails=mails))
        harness.advo.add_person(betnr, f"Max Muster{betnr}")
        for item_json in items:
            harness.advo.add_row(betnr, item_json.get("phoneNumber") or item_json["emailAddress"])
    records = TwoRecords(harness, *ids)
    records.run_to_rest()
    return records


def once_before_call(
    matches: Callable[[SimRequest], bool], effect: Callable[[], SimResponse | None]
) -> Callable[[SimRequest], SimResponse | None]:
    """Something that happens before the first request of a kind, and not again."""
    calls: list[SimRequest] = []

    def before(call: SimRequest) -> SimResponse | None:
        if matches(call) and not calls:
            calls.append(call)
            return effect()
        return None

    return before


def is_holder_search(call: SimRequest) -> bool:
    return call.path.endswith("/CBeteiligte") and ("phoneNumber" in call.target or "emailAddress" in call.target)


# New at B, held by A ------------------------------------------------------------------------------------------------


def test_an_opted_out_number_typed_at_another_person_stays_opted_out_for_both(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X, "Fax", opt_out=True)], [phone_item_json(Z)])
    records.type_value("0511/123456-0")
    records.run_to_rest()
    flags_before = {"type": "Fax", "optOut": True, "invalid": False}
    assert (records.item(records.a, X), records.item(records.b, X)) == (flags_before, flags_before)


def test_an_invalid_mail_keeps_its_flag_and_its_letters(tmp_path: Path) -> None:
    records = two_records(tmp_path, [mail_item_json(MAIL, invalid=True, opt_out=True)], [phone_item_json(Z)])
    row = records.type_value(MAIL.lower())
    records.run_to_rest()
    assert records.values(records.a) == {MAIL}
    assert records.values(records.b) == {MAIL, Z}
    assert (
        records.item(records.a, MAIL)
        == records.item(records.b, MAIL)
        == {"type": None, "optOut": True, "invalid": True}
    )
    assert records.remark(row) == marker_text(MAIL, 4), "the marker holds the value as EspoCRM has it"


def test_a_number_changed_into_one_of_another_person_takes_what_is_stored_there(tmp_path: Path) -> None:
    records = two_records(
        tmp_path,
        [phone_item_json(Y), phone_item_json(X, "Home", opt_out=True, invalid=True)],
        [phone_item_json(Z, "Mobile"), phone_item_json(W)],
    )
    records.harness.advo.edit_row(2, records.row(), value="0511 1234560")
    records.run_to_rest()
    flags_before = {"type": "Home", "optOut": True, "invalid": True}
    assert (records.item(records.a, X), records.item(records.b, X)) == (flags_before, flags_before)
    assert records.values(records.b) == {X, W}


def test_who_opted_out_stays_so_when_the_number_is_changed_into_one_of_another_person(tmp_path: Path) -> None:
    """The item that is replaced was opted out: whose consent it was, nobody knows."""
    records = two_records(
        tmp_path,
        [phone_item_json(Y), phone_item_json(X, "Home")],
        [phone_item_json(Z, "Mobile", opt_out=True), phone_item_json(W)],
    )
    records.harness.advo.edit_row(2, records.row(), value="0511 1234560")
    records.run_to_rest()
    assert records.item(records.b, X) == {"type": "Home", "optOut": True, "invalid": False}


def test_rows_that_change_places_lift_no_opt_out(tmp_path: Path) -> None:
    records = two_records(
        tmp_path, [phone_item_json(Y)], [phone_item_json(X, "Office", opt_out=True), phone_item_json(Z, "Home")]
    )
    records.harness.advo.edit_row(2, records.row(0), value="0511 9999999")
    records.harness.advo.edit_row(2, records.row(1), value="0511 1234560")
    records.run_to_rest()
    assert records.item(records.b, X)["optOut"]
    assert records.searches() == []


def test_of_two_new_values_one_is_found(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X, opt_out=True)], [phone_item_json(Z)])
    records.type_value("0511 1234560")
    records.type_value("neu@kanzlei-muster.de")
    records.harness.run()
    assert (len(records.searches()), records.reads(records.a)) == (1, 1)
    assert records.item(records.b, X)["optOut"]
    assert not records.item(records.b, "neu@kanzlei-muster.de")["optOut"]


def test_each_of_several_values_is_found_where_it_is(tmp_path: Path) -> None:
    """Many hold one of them: who holds the other is asked once more, no record is read in vain."""
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X, opt_out=True)], [phone_item_json(Z)])
    other_records = [
        records.harness.espo.add_person(f"Z{number}", 10 + number, phones=[phone_item_json(W)]) for number in range(5)
    ]
    records.harness.espo.edit(
        records.a, phones=[phone_item_json(Y), phone_item_json(X, opt_out=True), phone_item_json(W)]
    )
    records.type_value("0511 1234560")
    records.type_value("0511 3333333")
    expected = {W: {"type": "Office", "optOut": False, "invalid": False}}
    records.harness.run(persons=("2",))
    assert {W: records.item(records.b, W)} == expected
    assert records.item(records.b, X)["optOut"]
    assert len(records.searches()) <= 2
    assert sum(records.reads(entity_id) for entity_id in (records.a, *other_records)) <= 2


# Nobody holds it any more -------------------------------------------------------------------------------------------


def delete_first_record(records: TwoRecords) -> None:
    records.harness.espo.delete(records.a)


def drop_number(records: TwoRecords) -> None:
    records.harness.espo.edit(records.a, phones=[phone_item_json(Y)])


def remove_row_in_advoware(records: TwoRecords) -> None:
    records.harness.advo.remove_row(1, records.harness.advo.rows(1)[1]["id"])


@pytest.mark.parametrize("drop", [delete_first_record, drop_number, remove_row_in_advoware])
@pytest.mark.parametrize("is_seen", [True, False], ids=["seen", "in the same run"])
def test_an_opt_out_outlives_the_last_record_that_had_the_number(
    tmp_path: Path, drop: Callable[[TwoRecords], None], *, is_seen: bool
) -> None:
    records = two_records(
        tmp_path, [phone_item_json(Y), phone_item_json(X, "Home", opt_out=True)], [phone_item_json(Z)]
    )
    drop(records)
    if is_seen:
        records.harness.run(sweep=True)
        records.harness.run(sweep=True)
    records.type_value("0511 1234560")
    records.harness.run(sweep=True)
    records.run_to_rest()
    assert records.item(records.b, X)["optOut"]


def test_a_number_that_comes_back_to_its_own_record_is_opted_out_as_it_was(tmp_path: Path) -> None:
    records = two_records(
        tmp_path, [phone_item_json(Y)], [phone_item_json(Z), phone_item_json(X, "Home", opt_out=True, invalid=True)]
    )
    records.harness.advo.remove_row(2, records.row(1))
    records.run_to_rest()
    assert records.values(records.b) == {Z}
    records.type_value("0511 1234560")
    records.run_to_rest()
    assert records.item(records.b, X) == {"type": "Office", "optOut": True, "invalid": True}


def test_who_opted_in_again_is_not_opted_out_for_what_was_seen_before(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X, opt_out=True)], [phone_item_json(Z)])
    records.harness.espo.edit(records.a, phones=[phone_item_json(Y), phone_item_json(X)])
    records.run_to_rest()
    records.harness.espo.edit(records.a, phones=[phone_item_json(Y)])
    records.run_to_rest()
    records.type_value("0511 1234560")
    records.run_to_rest()
    assert not records.item(records.b, X)["optOut"]


def test_an_opt_out_is_found_by_a_newer_grammar_too(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X, opt_out=True)], [phone_item_json(Z)])
    drop_number(records)
    records.harness.run()
    assert records.harness.query_store("select value, opt_out from former_entries") == [(X, 1)]
    with closing(sqlite3.connect(records.harness.config.state.path)) as store, store:
        store.execute("update former_entries set canonical = '+4951112345;ext=60'")
        store.execute("update espo_entries set canonical = value || ';' ")
        store.execute("delete from settings where key = 'grammar'")
    records.type_value("0511 1234560")
    records.harness.run()
    assert records.item(records.b, X)["optOut"]
    assert records.harness.query_store("select entity_id from former_entries") == [(records.a,)]


# What the look-up meets ---------------------------------------------------------------------------------------------


def test_a_value_somebody_types_at_this_very_record_meanwhile_is_linked(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y)], [phone_item_json(Z)])
    records.type_value("0511 1234560")

    def edit_meanwhile() -> None:
        records.harness.espo.edit(records.b, phones=[phone_item_json(Z), phone_item_json(X, "Home", opt_out=True)])

    records.harness.espo.before = once_before_call(is_holder_search, edit_meanwhile)
    records.harness.run()
    records.harness.espo.before = None
    records.run_to_rest()
    assert records.item(records.b, X) == {"type": "Home", "optOut": True, "invalid": False}
    assert records.values(records.b) == {X, Z}


def test_a_record_that_is_gone_at_its_read_holds_nothing(tmp_path: Path) -> None:
    records = two_records(
        tmp_path, [phone_item_json(Y), phone_item_json(X, "Home", opt_out=True)], [phone_item_json(Z)]
    )
    other = records.harness.espo.add_person(
        "Zweite", 3, phones=[phone_item_json(X, "Home", opt_out=True)], entity_id="f" * 17
    )
    records.type_value("0511 1234560")
    path = f"/CBeteiligte/{records.a}"

    def answer_404(call: SimRequest) -> SimResponse | None:
        was_searched = any(is_holder_search(call) for call in records.harness.espo.request_log)
        is_read = call.method == "GET" and call.path.endswith(path) and was_searched
        return make_json_response(404, {}, {"X-Status-Reason": "Record does not exist."}) if is_read else None

    records.harness.espo.before = answer_404
    records.harness.run(persons=("2",))
    assert records.item(records.b, X) == {"type": "Home", "optOut": True, "invalid": False}
    assert records.reads(other) == 1


def test_a_record_that_is_half_saved_at_its_read_is_asked_again_when_it_has_settled(tmp_path: Path) -> None:
    """A list finds it by its number, and a GET in that moment shows none (fact A4): nobody knows who opted out."""
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X, "Home")], [phone_item_json(Z)])
    records.type_value("0511 1234560")

    def edit_meanwhile() -> None:
        records.harness.espo.edit(records.a, phones=[phone_item_json(Y), phone_item_json(X, "Home", opt_out=True)])

    def answer_without_phones(call: SimRequest, answer: SimResponse) -> SimResponse | None:
        is_read = call.method == "GET" and call.path.endswith(records.a) and answer.status == 200
        return make_json_response(200, {**json.loads(answer.body), "phoneNumberData": []}) if is_read else None

    records.harness.espo.before, records.harness.espo.after = (
        once_before_call(is_holder_search, edit_meanwhile),
        answer_without_phones,
    )
    records.harness.run(persons=("2",))
    assert records.values(records.b) == {Z}
    records.harness.espo.before = records.harness.espo.after = None
    records.run_to_rest()
    assert records.item(records.b, X) == {"type": "Home", "optOut": True, "invalid": False}


def test_a_look_up_that_is_not_answered_is_an_outage_and_nothing_was_written(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X, opt_out=True)], [phone_item_json(Z)])
    records.type_value("0511 1234560")
    records.harness.espo.before = lambda call: SimResponse(500, {}, b"") if is_holder_search(call) else None
    assert records.harness.run().outcome == "outage"
    assert records.harness.writes == []
    records.harness.espo.before = None
    records.run_to_rest()
    assert records.item(records.b, X)["optOut"]


def test_what_may_not_be_asked_for_is_as_it_was_last_seen(tmp_path: Path) -> None:
    records = two_records(
        tmp_path, [phone_item_json(Y), phone_item_json(X, "Home", opt_out=True)], [phone_item_json(Z)]
    )
    records.type_value("0511 1234560")
    forbidden_answer = make_json_response(403, {}, {"X-Status-Reason": "Forbidden attribute 'phoneNumber' in where."})
    records.harness.espo.before = lambda call: forbidden_answer if is_holder_search(call) else None
    assert records.harness.run().outcome == "done"
    assert records.item(records.b, X) == {"type": "Home", "optOut": True, "invalid": False}


@pytest.mark.parametrize("blocked_call", ["look-up", "read"])
def test_what_a_firewall_keeps_back_fails_the_person_and_lifts_nothing(tmp_path: Path, blocked_call: str) -> None:
    """A 403 without a word of EspoCRM's: nobody knows who opted out."""
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X, "Home")], [phone_item_json(Z)])
    records.harness.espo.edit(records.a, phones=[phone_item_json(Y), phone_item_json(X, "Home", opt_out=True)])
    records.type_value("0511 1234560")

    def refuse_call(call: SimRequest) -> SimResponse | None:
        is_read = call.path.endswith(records.a) and any(
            is_holder_search(call) for call in records.harness.espo.request_log
        )
        return SimResponse(403, {}, b"") if (is_holder_search(call) if blocked_call == "look-up" else is_read) else None

    records.harness.espo.before = refuse_call
    assert records.harness.run(persons=("2",)).outcome == "failed_persons"
    records.harness.espo.before = None
    assert records.values(records.b) == {Z}
    records.harness.clock.advance(3600)
    records.run_to_rest()
    assert records.item(records.b, X) == {"type": "Home", "optOut": True, "invalid": False}


def test_a_stale_item_of_ours_undoes_nothing_that_a_record_we_read_shows(tmp_path: Path) -> None:
    """B echoes its own item of Y; that A has opted out of Y meanwhile is seen where A is read for X."""
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X)], [phone_item_json(Z), phone_item_json(Y)])
    records.type_value("0511 1234560")

    def edit_meanwhile() -> None:
        records.harness.espo.edit(records.a, phones=[phone_item_json(Y, opt_out=True), phone_item_json(X)])

    records.harness.espo.before = once_before_call(is_holder_search, edit_meanwhile)
    records.harness.run()
    records.harness.espo.before = None
    assert records.item(records.a, Y)["optOut"]
    records.run_to_rest()
    assert records.item(records.b, Y)["optOut"]


def test_a_record_that_was_read_for_another_person_is_read_again_before_its_own_write(tmp_path: Path) -> None:
    """B opts out of Y after it was read; A's look-up of Z reads B and shows it, so B's own PUT may not lift it."""
    records = two_records(tmp_path, [phone_item_json(X)], [phone_item_json(Z), phone_item_json(Y)])
    records.type_value("0511 9999999", betnr=1)
    records.type_value("0511 3333333")

    def edit_meanwhile() -> None:
        records.harness.espo.edit(records.b, phones=[phone_item_json(Z), phone_item_json(Y, opt_out=True)])

    records.harness.espo.before = once_before_call(is_holder_search, edit_meanwhile)
    records.harness.run()
    records.harness.espo.before = None
    assert records.item(records.b, Y)["optOut"]
    records.run_to_rest()
    assert records.item(records.b, Y)["optOut"]
    assert records.values(records.b) == {Z, Y, W}


def test_a_number_written_in_another_spelling_is_looked_up_in_that_one_too(tmp_path: Path) -> None:
    """An old item is refused as it stands and sent once more as E.164: that is another row in EspoCRM."""
    records = two_records(
        tmp_path,
        [phone_item_json(Y), phone_item_json(X, "Home", opt_out=True)],
        [phone_item_json(Z), phone_item_json("0511 1234560")],
    )
    records.harness.espo.store.settings["phoneNumberInternational"] = True
    records.type_value("0511 3333333")
    records.harness.run()
    records.run_to_rest()
    assert records.item(records.a, X) == {"type": "Home", "optOut": True, "invalid": False}
    assert records.values(records.b) == {Z, X, W}


# Rows that EspoCRM keeps as they are --------------------------------------------------------------------------------


def baseline_of_value(records: TwoRecords, value: str = X) -> dict[str, Any]:
    """What was agreed on B's value."""
    question = "select espo_value, espo_type, komm_kz from baseline where betnr = 2 and espo_canonical = ?"
    with closing(sqlite3.connect(records.harness.config.state.path)) as store:
        [row] = store.execute(question, (value.lower(),)).fetchall()
    return dict(zip(("value", "type", "komm_kz"), row, strict=True))


@pytest.mark.parametrize("way", ["typed", "changed", "answer lost", "killed"])
def test_a_number_that_a_contact_holds_as_fax_is_retyped_by_nobody(tmp_path: Path, way: str) -> None:
    """The key has no rights on the Contact: EspoCRM keeps the row, and the type it shows is the one agreed on."""
    records = two_records(tmp_path, [phone_item_json(Y)], [phone_item_json(Z), phone_item_json(W)])
    contact = records.harness.espo.add_contact("Kontakt", phones=[phone_item_json(X, "Fax", opt_out=True)])
    if way == "changed":
        records.harness.advo.edit_row(2, records.row(), value="0511 1234560")
    else:
        records.type_value("0511 1234560")

    def lose_answer(call: SimRequest, _answer: SimResponse) -> None:
        if "phoneNumberData" in call.body:
            raise ConnectionLost

    def lose_write(call: SimRequest) -> None:
        if call.is_write:
            raise ConnectionLost

    records.harness.espo.after = lose_answer if way == "answer lost" else None
    records.harness.advo.before = lose_write if way == "killed" else None
    records.harness.run()
    records.harness.espo.after = records.harness.advo.before = None
    for _ in range(3):  # somebody saves the record for its birthday, again and again
        records.harness.espo.edit(records.b, description="Geburtstag")
        records.harness.run()
    records.run_to_rest()
    assert records.item(records.b, X) == records.item(contact, X) == {"type": "Fax", "optOut": True, "invalid": False}
    assert baseline_of_value(records) == {"value": X, "type": "Fax", "komm_kz": 1}
    assert len(records.harness.advo.rows(2)) == (2 if way == "changed" else 3), "no row was made for another type"
    assert records.harness.query_store("select error from persons where error is not null") == []


def test_a_mail_that_a_contact_holds_in_other_letters_is_edited_by_nobody(tmp_path: Path) -> None:
    """EspoCRM echoes what was sent with a capital, and shows at the next read what it kept (fact B8)."""
    records = two_records(tmp_path, [phone_item_json(Y)], [phone_item_json(Z)])
    records.harness.espo.add_contact("Kontakt", mails=[mail_item_json(MAIL, opt_out=True, invalid=True)])
    row = records.type_value("ANNA.huber@kanzlei-muster.de")
    records.run_to_rest()
    assert records.values(records.b) == {MAIL, Z}
    assert records.item(records.b, MAIL) == {"type": None, "optOut": True, "invalid": True}
    assert baseline_of_value(records, MAIL)["value"] == MAIL
    assert decode(records.remark(row)).kind is MarkerKind.MARKER


def test_what_a_contact_lifts_later_is_no_edit_of_this_record(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y)], [phone_item_json(Z)])
    contact = records.harness.espo.add_contact("Kontakt", phones=[phone_item_json(X, "Fax", opt_out=True)])
    records.type_value("0511 1234560")
    records.run_to_rest()
    records.harness.espo.edit_contact(contact, phones=[phone_item_json(X, "Home")])
    records.harness.run(sweep=True)
    records.harness.run(sweep=True)
    assert records.harness.writes == []
    assert baseline_of_value(records) == {"value": X, "type": "Home", "komm_kz": 1}


# Types --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [X, Z], ids=["brought by us", "agreed before"])
@pytest.mark.parametrize("between", [0, 1], ids=["at once", "a held run later"])
def test_a_type_set_and_set_back_moves_no_row(tmp_path: Path, value: str, between: int) -> None:
    records = two_records(tmp_path, [phone_item_json(Y)], [phone_item_json(Z)])
    records.type_value("0511 1234560")
    records.run_to_rest()
    before = [(row["id"], row["tlf"], row["bemerkung"]) for row in records.harness.advo.rows(2)]
    phones = [phone_item_json(Z), phone_item_json(X)]
    as_home = [
        phone_item_json(item_json["phoneNumber"], "Home" if item_json["phoneNumber"] == value else "Office")
        for item_json in phones
    ]
    records.harness.espo.edit(records.b, phones=as_home)
    for _ in range(between):  # Advoware is out: the person stays due, and that somebody edited it is kept with that
        records.harness.advo.before = lambda call: make_json_response(503, {}) if not call.is_login else None
        records.harness.run()
        records.harness.advo.before = None
    records.harness.espo.edit(records.b, phones=phones)
    records.run_to_rest()
    assert [(row["id"], row["tlf"], row["bemerkung"]) for row in records.harness.advo.rows(2)] == before


def test_a_type_set_back_between_our_put_and_our_last_one_moves_no_row(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y)], [phone_item_json(Z)])
    row = records.type_value("0511 1234560")
    kinds = iter(["Home", "Office"])

    def set_type_again(call: SimRequest) -> None:
        is_read = call.method == "GET" and call.path.endswith("/Beteiligte/2")
        was_sent = any("phoneNumberData" in call.body for call in records.harness.espo.request_log)
        kind = next(kinds, None) if is_read and was_sent else None
        if kind is not None:
            records.harness.espo.edit(records.b, phones=[phone_item_json(Z), phone_item_json(X, kind)])

    records.harness.advo.before = set_type_again
    records.harness.run()
    records.harness.advo.before = None
    assert next(kinds, None) is None, "it was set and set back within the run"
    records.harness.run()
    records.run_to_rest()
    assert [row_json["id"] for row_json in records.harness.advo.rows(2) if row_json["tlf"]][-1] == row
    assert len(records.harness.advo.rows(2)) == 2


def test_a_type_set_behind_our_put_is_acted_on_once(tmp_path: Path) -> None:
    """What the read after our PUT showed is agreed on; what somebody sets on this record later is a type change."""
    records = two_records(tmp_path, [phone_item_json(Y)], [phone_item_json(Z)])
    records.type_value("0511 1234560")

    def set_home() -> None:
        records.harness.espo.edit(records.b, phones=[phone_item_json(Z), phone_item_json(X, "Home")])

    records.harness.espo.before = once_before_call(lambda call: call.method == "PUT" and "clean" in call.body, set_home)
    records.harness.run()
    records.harness.espo.before = None
    records.harness.run()
    records.run_to_rest()
    assert baseline_of_value(records) == {"value": X, "type": "Home", "komm_kz": 6}


def test_what_is_tried_again_after_a_refusal_echoes_nothing_stale(tmp_path: Path) -> None:
    """EspoCRM is slow to refuse a value; meanwhile somebody opts out of another one, on another record."""
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(W)], [phone_item_json(Z), phone_item_json(Y)])
    records.type_value("0511 1234560")
    refusal_body = {
        "messageTranslation": {"label": "validationFailure", "data": {"field": "phoneNumber", "type": "valid"}}
    }
    refused_calls: list[SimRequest] = []

    def refuse_once(call: SimRequest) -> SimResponse | None:
        if call.method != "PUT" or X not in call.body:
            return None
        if not refused_calls:
            records.harness.clock.advance(3)
            records.harness.espo.edit(records.a, phones=[phone_item_json(Y, opt_out=True), phone_item_json(W)])
        refused_calls.append(call)
        return make_json_response(400, refusal_body)

    records.harness.espo.before = refuse_once
    records.harness.run()
    records.harness.espo.before = None
    records.harness.run()
    assert refused_calls
    assert records.item(records.a, Y)["optOut"]


# What an operator puts back -----------------------------------------------------------------------------------------


def test_what_an_undo_puts_back_is_as_it_is_stored_elsewhere_by_now(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y)], [phone_item_json(Z), phone_item_json(X, "Home")])
    records.harness.advo.remove_row(2, records.row(1))
    run_id = records.harness.run().run_id
    assert records.values(records.b) == {Z}
    records.harness.espo.edit(records.a, phones=[phone_item_json(Y), phone_item_json(X, "Fax", opt_out=True)])
    records.harness.run()
    records.harness.run(trigger="undo", undo_run=run_id, operator="olga")
    assert records.item(records.a, X) == records.item(records.b, X) == {"type": "Fax", "optOut": True, "invalid": False}


# The journal --------------------------------------------------------------------------------------------------------


def test_the_journal_says_what_was_sent(tmp_path: Path) -> None:
    records = two_records(tmp_path, [mail_item_json(MAIL, opt_out=True)], [phone_item_json(Z)])
    records.type_value(MAIL.upper())
    records.harness.run()
    question = """
        select new_value, json_extract(after, '$.value'), json_extract(after, '$.opt_out')
        from changes where side = 'espo' and action = 'add'
    """
    assert records.harness.query_store(question) == [(MAIL, MAIL, 1)]
    row = "select espo_value from baseline where betnr = 2 and channel = 'mail'"
    assert records.harness.query_store(row) == [(MAIL,)]


def test_a_look_up_before_a_put_whose_answer_is_lost_is_remembered_as_sent(tmp_path: Path) -> None:
    records = two_records(tmp_path, [phone_item_json(Y), phone_item_json(X, "Fax", opt_out=True)], [phone_item_json(Z)])
    row = records.type_value("0511 1234560")

    def lose_answer(call: SimRequest, _answer: SimResponse) -> None:
        if "phoneNumberData" in call.body:
            raise ConnectionLost

    records.harness.espo.after = lose_answer
    records.harness.run()
    records.harness.espo.after = None
    records.run_to_rest()
    assert records.item(records.b, X) == {"type": "Fax", "optOut": True, "invalid": False}
    assert own_text_of_remark(records.remark(row)) == ""

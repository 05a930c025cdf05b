"""A number or mail that other records of EspoCRM hold: our PUT stamps what it says on the row they share.

Rules.md §3, Shared address rows; espocrm-api.md ² 1 to 11. A and B are records, X the value that A has and somebody
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
from jobs.sandbox.simulator import Answer, ConnectionLost, json_answer
from tests.notation import marker, own_text
from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.sandbox.simulator import Call

X, Y, Z, W = "+495111234560", "+495112222222", "+495119999999", "+495113333333"
MAIL = "Anna.Huber@Kanzlei-Muster.DE"
Item = dict[str, Any]


def phone(value: str, kind: str = "Office", *, opt_out: bool = False, invalid: bool = False) -> Item:
    return {"phoneNumber": value, "type": kind, "primary": False, "optOut": opt_out, "invalid": invalid}


def mail(value: str, *, opt_out: bool = False, invalid: bool = False) -> Item:
    return {"emailAddress": value, "primary": True, "optOut": opt_out, "invalid": invalid}


@dataclass
class Two:
    """Two records of a practice, A and B, in sync."""

    practice: Practice
    a: str
    b: str

    def item(self, entity_id: str, value: str) -> Item:
        """What EspoCRM shows of a value on a record, primary or not."""
        shown = self.practice.espo.items(entity_id)
        keyed = {one.get("phoneNumber") or one["emailAddress"].lower(): one for one in shown}
        found = keyed[value.lower()]
        return {name: found.get(name) for name in ("type", "optOut", "invalid")}

    def values(self, entity_id: str) -> set[str]:
        """The numbers and mails of a record, as written."""
        return {one.get("phoneNumber") or one["emailAddress"] for one in self.practice.espo.items(entity_id)}

    def typed(self, value: str, betnr: int = 2) -> int:
        """Somebody types a value at B in Advoware."""
        return self.practice.advo.add_row(betnr, value)

    def remark(self, komm_id: int, betnr: int = 2) -> str:
        """The remark of a row."""
        return str(next(row["bemerkung"] for row in self.practice.advo.rows(betnr) if row["id"] == komm_id))

    def row(self, number: int = 0) -> int:
        """One of B's rows."""
        return int(self.practice.advo.rows(2)[number]["id"])

    def to_rest(self) -> None:
        """Run until nothing is written any more, twice at most; then a sweep writes nothing."""
        self.practice.run()
        self.practice.run()
        assert self.practice.writes == []
        self.practice.run(sweep=True)
        assert self.practice.writes == []

    def reads(self, entity_id: str) -> int:
        """How often the last run read a record."""
        return sum(call.method == "GET" and call.path.endswith(entity_id) for call in self.practice.espo.journal)

    def asked(self) -> list[str]:
        """The look-ups of the last run: which values were asked for."""
        lists = [call.target for call in self.practice.espo.journal if call.path.endswith("/CBeteiligte")]
        return [target for target in lists if "phoneNumber" in target or "emailAddress" in target]


def two(folder: Path, a: list[Item], b: list[Item]) -> Two:
    """A and B with these items and the same rows in Advoware, synced."""
    practice = Practice.of(folder, 0)
    ids = []
    for betnr, items in ((1, a), (2, b)):
        mails = [one for one in items if "emailAddress" in one]
        phones = [one for one in items if "phoneNumber" in one]
        ids.append(practice.espo.add_person(f"Max Muster{betnr}", betnr, phones=phones, mails=mails))
        practice.advo.add_person(betnr, f"Max Muster{betnr}")
        for one in items:
            practice.advo.add_row(betnr, one.get("phoneNumber") or one["emailAddress"])
    found = Two(practice, *ids)
    found.to_rest()
    return found


def once(matches: Callable[[Call], bool], effect: Callable[[], Answer | None]) -> Callable[[Call], Answer | None]:
    """Something that happens before the first request of a kind, and not again."""
    done: list[Call] = []

    def before(call: Call) -> Answer | None:
        if matches(call) and not done:
            done.append(call)
            return effect()
        return None

    return before


def is_look_up(call: Call) -> bool:
    return call.path.endswith("/CBeteiligte") and ("phoneNumber" in call.target or "emailAddress" in call.target)


# New at B, held by A ------------------------------------------------------------------------------------------------


def test_an_opted_out_number_typed_at_another_person_stays_opted_out_for_both(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, "Fax", opt_out=True)], [phone(Z)])
    firm.typed("0511/123456-0")
    firm.to_rest()
    as_it_was = {"type": "Fax", "optOut": True, "invalid": False}
    assert (firm.item(firm.a, X), firm.item(firm.b, X)) == (as_it_was, as_it_was)


def test_an_invalid_mail_keeps_its_flag_and_its_letters(tmp_path: Path) -> None:
    firm = two(tmp_path, [mail(MAIL, invalid=True, opt_out=True)], [phone(Z)])
    row = firm.typed(MAIL.lower())
    firm.to_rest()
    assert firm.values(firm.a) == {MAIL}
    assert firm.values(firm.b) == {MAIL, Z}
    assert firm.item(firm.a, MAIL) == firm.item(firm.b, MAIL) == {"type": None, "optOut": True, "invalid": True}
    assert firm.remark(row) == marker(MAIL, 4), "the marker holds the value as EspoCRM has it"


def test_a_number_changed_into_one_of_another_person_takes_what_is_stored_there(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, "Home", opt_out=True, invalid=True)], [phone(Z, "Mobile"), phone(W)])
    firm.practice.advo.edit_row(2, firm.row(), value="0511 1234560")
    firm.to_rest()
    as_it_was = {"type": "Home", "optOut": True, "invalid": True}
    assert (firm.item(firm.a, X), firm.item(firm.b, X)) == (as_it_was, as_it_was)
    assert firm.values(firm.b) == {X, W}


def test_who_opted_out_stays_so_when_the_number_is_changed_into_one_of_another_person(tmp_path: Path) -> None:
    """The item that is replaced was opted out: whose consent it was, nobody knows."""
    firm = two(tmp_path, [phone(Y), phone(X, "Home")], [phone(Z, "Mobile", opt_out=True), phone(W)])
    firm.practice.advo.edit_row(2, firm.row(), value="0511 1234560")
    firm.to_rest()
    assert firm.item(firm.b, X) == {"type": "Home", "optOut": True, "invalid": False}


def test_rows_that_change_places_lift_no_opt_out(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y)], [phone(X, "Office", opt_out=True), phone(Z, "Home")])
    firm.practice.advo.edit_row(2, firm.row(0), value="0511 9999999")
    firm.practice.advo.edit_row(2, firm.row(1), value="0511 1234560")
    firm.to_rest()
    assert firm.item(firm.b, X)["optOut"]
    assert firm.asked() == []


def test_of_two_new_values_one_is_found(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, opt_out=True)], [phone(Z)])
    firm.typed("0511 1234560")
    firm.typed("neu@kanzlei-muster.de")
    firm.practice.run()
    assert (len(firm.asked()), firm.reads(firm.a)) == (1, 1)
    assert firm.item(firm.b, X)["optOut"]
    assert not firm.item(firm.b, "neu@kanzlei-muster.de")["optOut"]


def test_each_of_several_values_is_found_where_it_is(tmp_path: Path) -> None:
    """Many hold one of them: who holds the other is asked once more, no record is read in vain."""
    firm = two(tmp_path, [phone(Y), phone(X, opt_out=True)], [phone(Z)])
    central = [firm.practice.espo.add_person(f"Z{number}", 10 + number, phones=[phone(W)]) for number in range(5)]
    firm.practice.espo.edit(firm.a, phones=[phone(Y), phone(X, opt_out=True), phone(W)])
    firm.typed("0511 1234560")
    firm.typed("0511 3333333")
    found = {W: {"type": "Office", "optOut": False, "invalid": False}}
    firm.practice.run(persons=("2",))
    assert {W: firm.item(firm.b, W)} == found
    assert firm.item(firm.b, X)["optOut"]
    assert len(firm.asked()) <= 2
    assert sum(firm.reads(one) for one in (firm.a, *central)) <= 2


# Nobody holds it any more -------------------------------------------------------------------------------------------


def deleted(firm: Two) -> None:
    firm.practice.espo.delete(firm.a)


def dropped(firm: Two) -> None:
    firm.practice.espo.edit(firm.a, phones=[phone(Y)])


def removed_by_us(firm: Two) -> None:
    firm.practice.advo.remove_row(1, firm.practice.advo.rows(1)[1]["id"])


@pytest.mark.parametrize("vanishes", [deleted, dropped, removed_by_us])
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "in the same run"])
def test_an_opt_out_outlives_the_last_record_that_had_the_number(
    tmp_path: Path, vanishes: Callable[[Two], None], *, seen: bool
) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, "Home", opt_out=True)], [phone(Z)])
    vanishes(firm)
    if seen:
        firm.practice.run(sweep=True)
        firm.practice.run(sweep=True)
    firm.typed("0511 1234560")
    firm.practice.run(sweep=True)
    firm.to_rest()
    assert firm.item(firm.b, X)["optOut"]


def test_a_number_that_comes_back_to_its_own_record_is_opted_out_as_it_was(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y)], [phone(Z), phone(X, "Home", opt_out=True, invalid=True)])
    firm.practice.advo.remove_row(2, firm.row(1))
    firm.to_rest()
    assert firm.values(firm.b) == {Z}
    firm.typed("0511 1234560")
    firm.to_rest()
    assert firm.item(firm.b, X) == {"type": "Office", "optOut": True, "invalid": True}


def test_who_opted_in_again_is_not_opted_out_for_what_was_seen_before(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, opt_out=True)], [phone(Z)])
    firm.practice.espo.edit(firm.a, phones=[phone(Y), phone(X)])
    firm.to_rest()
    firm.practice.espo.edit(firm.a, phones=[phone(Y)])
    firm.to_rest()
    firm.typed("0511 1234560")
    firm.to_rest()
    assert not firm.item(firm.b, X)["optOut"]


def test_an_opt_out_is_found_by_a_newer_grammar_too(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, opt_out=True)], [phone(Z)])
    dropped(firm)
    firm.practice.run()
    assert remembered(firm.practice, "select value, opt_out from former_entries") == [(X, 1)]
    with closing(sqlite3.connect(firm.practice.config.state.path)) as store, store:
        store.execute("update former_entries set canonical = '+4951112345;ext=60'")
        store.execute("update espo_entries set canonical = value || ';' ")
        store.execute("delete from settings where key = 'grammar'")
    firm.typed("0511 1234560")
    firm.practice.run()
    assert firm.item(firm.b, X)["optOut"]
    assert remembered(firm.practice, "select entity_id from former_entries") == [(firm.a,)]


# What the look-up meets ---------------------------------------------------------------------------------------------


def test_a_value_somebody_types_at_this_very_record_meanwhile_is_linked(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y)], [phone(Z)])
    firm.typed("0511 1234560")

    def meanwhile() -> None:
        firm.practice.espo.edit(firm.b, phones=[phone(Z), phone(X, "Home", opt_out=True)])

    firm.practice.espo.before = once(is_look_up, meanwhile)
    firm.practice.run()
    firm.practice.espo.before = None
    firm.to_rest()
    assert firm.item(firm.b, X) == {"type": "Home", "optOut": True, "invalid": False}
    assert firm.values(firm.b) == {X, Z}


def test_a_record_that_is_gone_at_its_read_holds_nothing(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, "Home", opt_out=True)], [phone(Z)])
    other = firm.practice.espo.add_person("Zweite", 3, phones=[phone(X, "Home", opt_out=True)], entity_id="f" * 17)
    firm.typed("0511 1234560")
    path = f"/CBeteiligte/{firm.a}"

    def gone(call: Call) -> Answer | None:
        looked_up = any(is_look_up(one) for one in firm.practice.espo.journal)
        is_read = call.method == "GET" and call.path.endswith(path) and looked_up
        return json_answer(404, {}, {"X-Status-Reason": "Record does not exist."}) if is_read else None

    firm.practice.espo.before = gone
    firm.practice.run(persons=("2",))
    assert firm.item(firm.b, X) == {"type": "Home", "optOut": True, "invalid": False}
    assert firm.reads(other) == 1


def test_a_record_that_is_half_saved_at_its_read_is_asked_again_when_it_has_settled(tmp_path: Path) -> None:
    """A list finds it by its number, and a GET in that moment shows none (fact 4): nobody knows who opted out."""
    firm = two(tmp_path, [phone(Y), phone(X, "Home")], [phone(Z)])
    firm.typed("0511 1234560")

    def meanwhile() -> None:
        firm.practice.espo.edit(firm.a, phones=[phone(Y), phone(X, "Home", opt_out=True)])

    def torn(call: Call, answer: Answer) -> Answer | None:
        is_read = call.method == "GET" and call.path.endswith(firm.a) and answer.status == 200
        return json_answer(200, {**json.loads(answer.body), "phoneNumberData": []}) if is_read else None

    firm.practice.espo.before, firm.practice.espo.after = once(is_look_up, meanwhile), torn
    firm.practice.run(persons=("2",))
    assert firm.values(firm.b) == {Z}
    firm.practice.espo.before = firm.practice.espo.after = None
    firm.to_rest()
    assert firm.item(firm.b, X) == {"type": "Home", "optOut": True, "invalid": False}


def test_a_look_up_that_is_not_answered_is_an_outage_and_nothing_was_written(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, opt_out=True)], [phone(Z)])
    firm.typed("0511 1234560")
    firm.practice.espo.before = lambda call: Answer(500, {}, b"") if is_look_up(call) else None
    assert firm.practice.run().outcome == "outage"
    assert firm.practice.writes == []
    firm.practice.espo.before = None
    firm.to_rest()
    assert firm.item(firm.b, X)["optOut"]


def test_what_may_not_be_asked_for_is_as_it_was_last_seen(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, "Home", opt_out=True)], [phone(Z)])
    firm.typed("0511 1234560")
    forbidden = json_answer(403, {}, {"X-Status-Reason": "Forbidden attribute 'phoneNumber' in where."})
    firm.practice.espo.before = lambda call: forbidden if is_look_up(call) else None
    assert firm.practice.run().outcome == "done"
    assert firm.item(firm.b, X) == {"type": "Home", "optOut": True, "invalid": False}


@pytest.mark.parametrize("what", ["look-up", "read"])
def test_what_a_firewall_keeps_back_fails_the_person_and_lifts_nothing(tmp_path: Path, what: str) -> None:
    """A 403 without a word of EspoCRM's: nobody knows who opted out."""
    firm = two(tmp_path, [phone(Y), phone(X, "Home")], [phone(Z)])
    firm.practice.espo.edit(firm.a, phones=[phone(Y), phone(X, "Home", opt_out=True)])
    firm.typed("0511 1234560")

    def blocked(call: Call) -> Answer | None:
        is_read = call.path.endswith(firm.a) and any(is_look_up(one) for one in firm.practice.espo.journal)
        return Answer(403, {}, b"") if (is_look_up(call) if what == "look-up" else is_read) else None

    firm.practice.espo.before = blocked
    assert firm.practice.run(persons=("2",)).outcome == "failed_persons"
    firm.practice.espo.before = None
    assert firm.values(firm.b) == {Z}
    firm.practice.clock.advance(3600)
    firm.to_rest()
    assert firm.item(firm.b, X) == {"type": "Home", "optOut": True, "invalid": False}


def test_a_stale_item_of_ours_undoes_nothing_that_a_record_we_read_shows(tmp_path: Path) -> None:
    """B echoes its own item of Y; that A has opted out of Y meanwhile is seen where A is read for X."""
    firm = two(tmp_path, [phone(Y), phone(X)], [phone(Z), phone(Y)])
    firm.typed("0511 1234560")

    def meanwhile() -> None:
        firm.practice.espo.edit(firm.a, phones=[phone(Y, opt_out=True), phone(X)])

    firm.practice.espo.before = once(is_look_up, meanwhile)
    firm.practice.run()
    firm.practice.espo.before = None
    assert firm.item(firm.a, Y)["optOut"]
    firm.to_rest()
    assert firm.item(firm.b, Y)["optOut"]


def test_a_number_written_in_another_spelling_is_looked_up_in_that_one_too(tmp_path: Path) -> None:
    """An old item is refused as it stands and sent once more as E.164: that is another row in EspoCRM."""
    firm = two(tmp_path, [phone(Y), phone(X, "Home", opt_out=True)], [phone(Z), phone("0511 1234560")])
    firm.practice.espo.store.settings["phoneNumberInternational"] = True
    firm.typed("0511 3333333")
    firm.practice.run()
    firm.to_rest()
    assert firm.item(firm.a, X) == {"type": "Home", "optOut": True, "invalid": False}
    assert firm.values(firm.b) == {Z, X, W}


# Rows that EspoCRM keeps as they are --------------------------------------------------------------------------------


def kept_row(firm: Two, value: str = X) -> dict[str, Any]:
    """What was agreed on B's value."""
    question = "select espo_value, espo_type, komm_kz from baseline where betnr = 2 and espo_canonical = ?"
    with closing(sqlite3.connect(firm.practice.config.state.path)) as store:
        [row] = store.execute(question, (value.lower(),)).fetchall()
    return dict(zip(("value", "type", "komm_kz"), row, strict=True))


@pytest.mark.parametrize("how", ["typed", "changed", "answer lost", "killed"])
def test_a_number_that_a_contact_holds_as_fax_is_retyped_by_nobody(tmp_path: Path, how: str) -> None:
    """The key has no rights on the Contact: EspoCRM keeps the row, and the type it shows is the one agreed on."""
    firm = two(tmp_path, [phone(Y)], [phone(Z), phone(W)])
    contact = firm.practice.espo.add_contact("Kontakt", phones=[phone(X, "Fax", opt_out=True)])
    if how == "changed":
        firm.practice.advo.edit_row(2, firm.row(), value="0511 1234560")
    else:
        firm.typed("0511 1234560")

    def lost(call: Call, _answer: Answer) -> None:
        if "phoneNumberData" in call.body:
            raise ConnectionLost

    def broken(call: Call) -> None:
        if call.is_write:
            raise ConnectionLost

    firm.practice.espo.after = lost if how == "answer lost" else None
    firm.practice.advo.before = broken if how == "killed" else None
    firm.practice.run()
    firm.practice.espo.after = firm.practice.advo.before = None
    for _ in range(3):  # somebody saves the record for its birthday, again and again
        firm.practice.espo.edit(firm.b, description="Geburtstag")
        firm.practice.run()
    firm.to_rest()
    assert firm.item(firm.b, X) == firm.item(contact, X) == {"type": "Fax", "optOut": True, "invalid": False}
    assert kept_row(firm) == {"value": X, "type": "Fax", "komm_kz": 1}
    assert len(firm.practice.advo.rows(2)) == (2 if how == "changed" else 3), "no row was made for another type"
    assert remembered(firm.practice, "select error from persons where error is not null") == []


def test_a_mail_that_a_contact_holds_in_other_letters_is_edited_by_nobody(tmp_path: Path) -> None:
    """EspoCRM echoes what was sent with a capital, and shows at the next read what it kept (fact 8)."""
    firm = two(tmp_path, [phone(Y)], [phone(Z)])
    firm.practice.espo.add_contact("Kontakt", mails=[mail(MAIL, opt_out=True, invalid=True)])
    row = firm.typed("ANNA.huber@kanzlei-muster.de")
    firm.to_rest()
    assert firm.values(firm.b) == {MAIL, Z}
    assert firm.item(firm.b, MAIL) == {"type": None, "optOut": True, "invalid": True}
    assert kept_row(firm, MAIL)["value"] == MAIL
    assert decode(firm.remark(row)).kind is MarkerKind.MARKER


def test_what_a_contact_lifts_later_is_no_edit_of_this_record(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y)], [phone(Z)])
    contact = firm.practice.espo.add_contact("Kontakt", phones=[phone(X, "Fax", opt_out=True)])
    firm.typed("0511 1234560")
    firm.to_rest()
    firm.practice.espo.edit_contact(contact, phones=[phone(X, "Home")])
    firm.practice.run(sweep=True)
    firm.practice.run(sweep=True)
    assert firm.practice.writes == []
    assert kept_row(firm) == {"value": X, "type": "Home", "komm_kz": 1}


# Types --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [X, Z], ids=["brought by us", "agreed before"])
@pytest.mark.parametrize("between", [0, 1], ids=["at once", "a held run later"])
def test_a_type_set_and_set_back_moves_no_row(tmp_path: Path, value: str, between: int) -> None:
    firm = two(tmp_path, [phone(Y)], [phone(Z)])
    firm.typed("0511 1234560")
    firm.to_rest()
    before = [(row["id"], row["tlf"], row["bemerkung"]) for row in firm.practice.advo.rows(2)]
    phones = [phone(Z), phone(X)]
    as_home = [phone(one["phoneNumber"], "Home" if one["phoneNumber"] == value else "Office") for one in phones]
    firm.practice.espo.edit(firm.b, phones=as_home)
    for _ in range(between):  # Advoware is out: the person stays due, and that somebody edited it is kept with that
        firm.practice.advo.before = lambda call: json_answer(503, {}) if not call.is_login else None
        firm.practice.run()
        firm.practice.advo.before = None
    firm.practice.espo.edit(firm.b, phones=phones)
    firm.to_rest()
    assert [(row["id"], row["tlf"], row["bemerkung"]) for row in firm.practice.advo.rows(2)] == before


def test_a_type_set_back_between_our_put_and_our_last_one_moves_no_row(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y)], [phone(Z)])
    row = firm.typed("0511 1234560")
    kinds = iter(["Home", "Office"])

    def typed_again(call: Call) -> None:
        is_read = call.method == "GET" and call.path.endswith("/Beteiligte/2")
        sent = any("phoneNumberData" in one.body for one in firm.practice.espo.journal)
        kind = next(kinds, None) if is_read and sent else None
        if kind is not None:
            firm.practice.espo.edit(firm.b, phones=[phone(Z), phone(X, kind)])

    firm.practice.advo.before = typed_again
    firm.practice.run()
    firm.practice.advo.before = None
    assert next(kinds, None) is None, "it was set and set back within the run"
    firm.practice.run()
    firm.to_rest()
    assert [one["id"] for one in firm.practice.advo.rows(2) if one["tlf"]][-1] == row
    assert len(firm.practice.advo.rows(2)) == 2


def test_a_type_set_behind_our_put_is_acted_on_once(tmp_path: Path) -> None:
    """What the read after our PUT showed is agreed on; what somebody sets on this record later is a type change."""
    firm = two(tmp_path, [phone(Y)], [phone(Z)])
    firm.typed("0511 1234560")

    def set_home() -> None:
        firm.practice.espo.edit(firm.b, phones=[phone(Z), phone(X, "Home")])

    firm.practice.espo.before = once(lambda call: call.method == "PUT" and "clean" in call.body, set_home)
    firm.practice.run()
    firm.practice.espo.before = None
    firm.practice.run()
    firm.to_rest()
    assert kept_row(firm) == {"value": X, "type": "Home", "komm_kz": 6}


def test_what_is_tried_again_after_a_refusal_echoes_nothing_stale(tmp_path: Path) -> None:
    """EspoCRM is slow to refuse a value; meanwhile somebody opts out of another one, on another record."""
    firm = two(tmp_path, [phone(Y), phone(W)], [phone(Z), phone(Y)])
    firm.typed("0511 1234560")
    told = {"messageTranslation": {"label": "validationFailure", "data": {"field": "phoneNumber", "type": "valid"}}}
    refused: list[Call] = []

    def refuses(call: Call) -> Answer | None:
        if call.method != "PUT" or X not in call.body:
            return None
        if not refused:
            firm.practice.clock.advance(3)
            firm.practice.espo.edit(firm.a, phones=[phone(Y, opt_out=True), phone(W)])
        refused.append(call)
        return json_answer(400, told)

    firm.practice.espo.before = refuses
    firm.practice.run()
    firm.practice.espo.before = None
    firm.practice.run()
    assert refused
    assert firm.item(firm.a, Y)["optOut"]


# What an operator puts back -----------------------------------------------------------------------------------------


def test_what_an_undo_puts_back_is_as_it_is_stored_elsewhere_by_now(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y)], [phone(Z), phone(X, "Home")])
    firm.practice.advo.remove_row(2, firm.row(1))
    run_id = firm.practice.run().run_id
    assert firm.values(firm.b) == {Z}
    firm.practice.espo.edit(firm.a, phones=[phone(Y), phone(X, "Fax", opt_out=True)])
    firm.practice.run()
    firm.practice.run(trigger="undo", undo_run=run_id, operator="olga")
    assert firm.item(firm.a, X) == firm.item(firm.b, X) == {"type": "Fax", "optOut": True, "invalid": False}


# The journal --------------------------------------------------------------------------------------------------------


def test_the_journal_says_what_was_sent(tmp_path: Path) -> None:
    firm = two(tmp_path, [mail(MAIL, opt_out=True)], [phone(Z)])
    firm.typed(MAIL.upper())
    firm.practice.run()
    question = """
        select new_value, json_extract(after, '$.value'), json_extract(after, '$.opt_out')
        from changes where side = 'espo' and action = 'add'
    """
    assert remembered(firm.practice, question) == [(MAIL, MAIL, 1)]
    row = "select espo_value from baseline where betnr = 2 and channel = 'mail'"
    assert remembered(firm.practice, row) == [(MAIL,)]


def test_a_look_up_before_a_put_whose_answer_is_lost_is_remembered_as_sent(tmp_path: Path) -> None:
    firm = two(tmp_path, [phone(Y), phone(X, "Fax", opt_out=True)], [phone(Z)])
    row = firm.typed("0511 1234560")

    def lost(call: Call, _answer: Answer) -> None:
        if "phoneNumberData" in call.body:
            raise ConnectionLost

    firm.practice.espo.after = lost
    firm.practice.run()
    firm.practice.espo.after = None
    firm.to_rest()
    assert firm.item(firm.b, X) == {"type": "Fax", "optOut": True, "invalid": False}
    assert own_text(firm.remark(row)) == ""

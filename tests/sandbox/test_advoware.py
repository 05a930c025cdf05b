"""What Advoware §1 to §3 say, both readings of its assumptions included."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.sandbox.advoware import login
from jobs.sandbox.advoware.api import AdvoSim, ErrorStyle
from jobs.sandbox.simulator import SimClock, SimResponse

NOON = datetime(2026, 8, 30, 12, 0, 0, tzinfo=UTC)
PERSONS_PATH = "/relay/api/v1/advonet/Beteiligte"


@pytest.fixture
def clock() -> SimClock:
    return SimClock(NOON)


@pytest.fixture
def advo(clock: SimClock) -> AdvoSim:
    sim = AdvoSim(clock)
    sim.add_person(104860, "Max Mustermann", mobil="0171 2223334")
    return sim


def token_request_body(nonce: str = "n1", stamp: str = "2026-08-30T12:00:00.000Z", **changed: Any) -> dict[str, Any]:
    body = {
        "AppID": login.APP_ID, "Kanzlei": login.KANZLEI, "Database": login.DATABASE, "User": login.USER,
        "Role": 2, "Product": 64, "Password": login.PASSWORD, "Nonce": nonce, "RequestTimeStamp": stamp,
    }  # fmt: skip
    return {**body, "HMAC512Signature": login.request_signature(login.API_KEY, body), **changed}


def request_token(sim: AdvoSim, body: dict[str, Any]) -> SimResponse:
    return sim.handle("POST", "/gateway/api/v1/Token", {}, json.dumps(body).encode())


def send_to_advoware(sim: AdvoSim, method: str, path: str, data: Any = None) -> SimResponse:
    bearer = next(reversed(sim.login.tokens), "") or sim.login.issue(sim.clock())["access_token"]
    body = json.dumps(data).encode() if data is not None else b""
    return sim.handle(method, f"{PERSONS_PATH}/{path}", {"Authorization": f"Bearer {bearer}"}, body)


def error_message(answer: SimResponse) -> str:
    return str(json.loads(answer.body)["message"])


def test_the_signature_is_that_of_the_test_vector() -> None:
    body = {"Product": 64, "AppID": "app-123", "Nonce": "nonce-abc", "RequestTimeStamp": "2026-08-30T00:00:00.000Z"}
    assert login.request_signature("dGVzdC1zZWNyZXQta2V5", body) == (
        "o7rz9KmoXZs550HfzO6ffiG17XwiPmlBHlksUYKZ3jcfolELow51Fw5KlrQqCK5y41aIValDjrh1iQ2GZ2WtqQ=="
    )


def test_discovery_names_relay_and_gateway(advo: AdvoSim) -> None:
    answer = advo.handle("GET", f"/AdvonetConfigurator/api/Url?Kanzlei={login.KANZLEI}", {})
    assert json.loads(answer.body) == {
        "relayUrl": "https://advoware.advo-net.net/relay/",
        "connectorUrl": None,
        "securityGateway": "https://advoware.advo-net.net/gateway/",
    }


def test_a_connector_takes_the_place_of_the_relay(advo: AdvoSim) -> None:
    advo.behaviour.connector = True
    assert send_to_advoware(advo, "GET", "104860").status == 404
    bearer = {"Authorization": f"Bearer {next(iter(advo.login.tokens))}"}
    assert advo.handle("GET", PERSONS_PATH.replace("relay", "connector") + "/104860", bearer).status == 200


def test_a_good_request_gets_a_token_that_runs_out(advo: AdvoSim, clock: SimClock) -> None:
    token_answer = json.loads(request_token(advo, token_request_body()).body)
    bearer = {"Authorization": f"Bearer {token_answer['access_token']}"}
    assert (token_answer["expires_in"], token_answer["expiration_utc"]) == (3600, "2026-08-30T13:00:00.0000000Z")
    assert advo.handle("GET", f"{PERSONS_PATH}/104860", bearer).status == 200
    clock.advance(3600)
    assert advo.handle("GET", f"{PERSONS_PATH}/104860", bearer).status == 401


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"Password": "x"}, "Falscher Name oder falsches Kennwort"),
        ({"HMAC512Signature": "x"}, "Signatur ist ungültig"),
        ({"Nonce": "n2"}, "Signatur ist ungültig"),
        ({"Product": 1}, "Signatur ist ungültig"),
    ],
)
def test_a_bad_token_request_is_refused(advo: AdvoSim, changed: dict[str, Any], reason: str) -> None:
    answer = request_token(advo, token_request_body(**changed))
    assert (answer.status, error_message(answer)) == (401, reason)


def test_a_replayed_nonce_and_an_old_timestamp_are_refused(advo: AdvoSim) -> None:
    assert request_token(advo, token_request_body("n1")).status == 200
    assert error_message(request_token(advo, token_request_body("n1"))) == "Nonce wurde bereits verwendet"
    assert (
        error_message(request_token(advo, token_request_body("n2", "2026-08-30T11:50:00.000Z")))
        == "RequestTimeStamp ist abgelaufen"
    )


def test_a_get_hides_komm_kz_and_a_post_shows_it(advo: AdvoSim) -> None:
    new = {"tlf": "0511/12345-60", "bemerkung": None, "kommKz": 6, "online": False}
    created = json.loads(send_to_advoware(advo, "POST", "104860/Kommunikationen", new).body)
    assert created["kommKz"] == 6
    assert re.fullmatch("[A-P]{40}", created["rowId"])
    person_json = json.loads(send_to_advoware(advo, "GET", "104860").body)
    assert person_json["kommunikation"] == [{**created, "kommKz": 0}]
    assert (person_json["mobil"], person_json["geaendertAm"]) == ("0171 2223334", "2026-08-30T12:00:00.0000000")
    advo.behaviour.real_komm_kz = True
    advo.behaviour.wrapped = True
    [wrapped] = json.loads(send_to_advoware(advo, "GET", "104860").body)
    assert wrapped["kommunikation"] == [created]


@pytest.mark.parametrize(("replaces", "remark"), [(False, "Büro"), (True, None)])
def test_a_put_merges_or_replaces_and_keeps_komm_kz(advo: AdvoSim, replaces: bool, remark: str | None) -> None:  # noqa: FBT001
    advo.behaviour.replaces = replaces
    komm_id = advo.add_row(104860, "0511 1", "Büro", komm_kz=3)
    before = advo.rows(104860)[0]
    send_to_advoware(advo, "PUT", f"104860/Kommunikationen/{komm_id}", {"tlf": "0511 2", "kommKz": 1})
    after = advo.rows(104860)[0]
    assert after == {**before, "tlf": "0511 2", "bemerkung": remark, "rowId": after["rowId"]}
    assert after["rowId"] != before["rowId"]


def test_writing_a_row_leaves_the_persons_own_row_id_alone(advo: AdvoSim) -> None:
    komm_id = advo.add_row(104860, "0511 1")
    before = json.loads(send_to_advoware(advo, "GET", "104860").body)["rowId"]
    send_to_advoware(advo, "PUT", f"104860/Kommunikationen/{komm_id}", {"tlf": "0511 1"})
    assert json.loads(send_to_advoware(advo, "GET", "104860").body)["rowId"] == before


def test_delete_is_forbidden_and_remembered(advo: AdvoSim) -> None:
    komm_id = advo.add_row(104860, "0511 1")
    assert send_to_advoware(advo, "DELETE", f"104860/Kommunikationen/{komm_id}").status == 403
    assert advo.counts["DELETE"] == 1
    assert len(advo.rows(104860)) == 1


def test_unknown_persons_and_rows_are_404(advo: AdvoSim) -> None:
    advo.copy_person(104860, 104861)
    other = advo.add_row(104861, "0511 1")
    assert send_to_advoware(advo, "GET", "1").status == 404
    assert send_to_advoware(advo, "PUT", f"104860/Kommunikationen/{other}", {"tlf": ""}).status == 404
    advo.delete_person(104861)
    assert send_to_advoware(advo, "GET", "104861").status == 404


def test_copying_a_person_copies_remarks_but_no_row_ids(advo: AdvoSim) -> None:
    advo.add_row(104860, "0511 1", "[ESPOCRM:MDUxMSAx:1] Büro")
    advo.copy_person(104860, 104861)
    [old], [new] = advo.rows(104860), advo.rows(104861)
    assert (new["tlf"], new["bemerkung"]) == (old["tlf"], old["bemerkung"])
    assert new["rowId"] != old["rowId"]


def test_long_texts_are_cut_or_refused(advo: AdvoSim) -> None:
    advo.behaviour.max_bemerkung = 5
    komm_id = advo.add_row(104860, "0511 1")
    path = f"104860/Kommunikationen/{komm_id}"
    assert send_to_advoware(advo, "PUT", path, {"bemerkung": "123456789"}).status == 200
    assert advo.rows(104860)[0]["bemerkung"] == "12345"
    advo.behaviour.refuses_too_long = True
    assert send_to_advoware(advo, "PUT", path, {"bemerkung": "123456789"}).status == 400


@pytest.mark.parametrize("style", ErrorStyle)
def test_refusals_speak_json_text_or_html(advo: AdvoSim, style: ErrorStyle) -> None:
    advo.behaviour.error_style = style
    advo.behaviour.offline = True
    answer = send_to_advoware(advo, "GET", "104860")
    assert answer.status == 400
    assert b"ist nicht angemeldet" in answer.body
    assert style in answer.headers["Content-Type"].replace("plain", "text")


def test_people_edit_empty_and_remove_rows(advo: AdvoSim) -> None:
    first, second = advo.add_row(104860, "0511 1", "Büro"), advo.add_row(104860, "0511 2")
    advo.edit_row(104860, first, value="0511 3")
    advo.empty_row(104860, second, null=True)
    assert [(row["tlf"], row["bemerkung"]) for row in advo.rows(104860)] == [("0511 3", "Büro"), (None, None)]
    advo.remove_row(104860, second)
    assert [row["id"] for row in advo.rows(104860)] == [first]


@pytest.mark.parametrize("path", ["104860", "104860/Kommunikationen", "nobody"])
def test_below_a_mistyped_prefix_every_call_gets_a_page_that_says_404(advo: AdvoSim, path: str) -> None:
    bearer = {"Authorization": f"Bearer {advo.login.issue(advo.clock())['access_token']}"}
    for headers in (bearer, {}):
        for method in ("GET", "POST", "PUT"):
            answer = advo.handle(method, f"/relay/api/v1/advonett/Beteiligte/{path}", headers, b"{}")
            assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("style", ErrorStyle)
def test_everybody_may_be_404_in_any_style(advo: AdvoSim, style: ErrorStyle) -> None:
    advo.behaviour.not_found_style = style
    answer = send_to_advoware(advo, "GET", "104860")
    assert (answer.status, style in answer.headers["Content-Type"].replace("plain", "text")) == (404, True)
    advo.behaviour.not_found_style = None
    assert send_to_advoware(advo, "GET", "104860").status == 200


def test_a_persons_own_404_is_never_a_page(advo: AdvoSim) -> None:
    for style in ErrorStyle:
        advo.behaviour.error_style = style
        assert not send_to_advoware(advo, "GET", "1").headers["Content-Type"].startswith("text/html")


def test_a_person_may_be_missed_for_some_calls(advo: AdvoSim) -> None:
    advo.copy_person(104860, 104861)
    advo.behaviour.transient_404s[104860] = 2
    assert [send_to_advoware(advo, "GET", betnr).status for betnr in ("104860", "104861", "104860", "104860")] == [
        404, 200, 404, 200,
    ]  # fmt: skip
    assert error_message(send_to_advoware(advo, "GET", "4711")) == "Beteiligter nicht gefunden."


def test_a_firewall_blocks_a_persons_writes_or_reads(advo: AdvoSim) -> None:
    komm_id = advo.add_row(104860, "0511 1")
    advo.behaviour.blocked_requests.add(("PUT", 104860))
    answer = send_to_advoware(advo, "PUT", f"104860/Kommunikationen/{komm_id}", {"tlf": ""})
    assert (answer.status, answer.headers["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert (advo.rows(104860)[0]["tlf"], send_to_advoware(advo, "GET", "104860").status) == ("0511 1", 200)
    advo.behaviour.blocked_requests.add(("GET", 104860))
    assert send_to_advoware(advo, "GET", "104860").status == 403


def remark_after_put(advo: AdvoSim, remark: str) -> str:
    """A remark as a GET shows it after a PUT."""
    komm_id = advo.add_row(104860, "0511 1")
    assert send_to_advoware(advo, "PUT", f"104860/Kommunikationen/{komm_id}", {"bemerkung": remark}).status == 200
    return str(json.loads(send_to_advoware(advo, "GET", "104860").body)["kommunikation"][-1]["bemerkung"])


def test_remarks_are_trimmed_and_get_other_line_ends(advo: AdvoSim) -> None:
    advo.behaviour.trims, advo.behaviour.line_ends = True, "\r\n"
    assert remark_after_put(advo, " eins\nzwei\r\n\r drei \n") == "eins\r\nzwei\r\n\r\n drei"
    advo.behaviour.trims, advo.behaviour.line_ends = False, "\n"
    assert remark_after_put(advo, " eins\r\nzwei\r") == " eins\nzwei\n"


@pytest.mark.parametrize(
    ("half_letters", "stored_remark"), [("surrogatepass", "ab\ud83d"), ("replace", "ab\ufffd"), ("ignore", "ab")]
)
def test_a_cut_by_utf_16_units_may_go_through_a_letter(advo: AdvoSim, half_letters: str, stored_remark: str) -> None:
    advo.behaviour.utf16, advo.behaviour.half_letters = True, half_letters
    advo.behaviour.max_bemerkung = 3
    assert [remark_after_put(advo, text) for text in ("ab\U0001f4de", "a\U0001f4de", "abc", "äöü")] == [
        stored_remark, "a\U0001f4de", "abc", "äöü",
    ]  # fmt: skip
    advo.behaviour.refuses_too_long = True
    komm_id = advo.add_row(104860, "0511 1")
    assert (
        send_to_advoware(advo, "PUT", f"104860/Kommunikationen/{komm_id}", {"bemerkung": "ab\U0001f4de"}).status == 400
    )


def test_half_a_letter_is_escaped_in_the_answer(advo: AdvoSim) -> None:
    advo.behaviour.utf16, advo.behaviour.max_bemerkung = True, 1
    remark_after_put(advo, "\U0001f4de")
    assert b'"bemerkung":"\\ud83d"' in send_to_advoware(advo, "GET", "104860").body


def test_a_backup_put_back_gives_the_same_ids_out_again(advo: AdvoSim) -> None:
    kept_row = advo.add_row(104860, "0511 1")
    backup = advo.backup()
    lost_row = advo.add_row(104860, "0511 2")
    advo.edit_row(104860, kept_row, value="0511 3")
    after = advo.rows(104860)
    advo.restore_backup(backup)
    assert [row["tlf"] for row in advo.rows(104860)] == ["0511 1"]
    assert advo.add_row(104860, "0511 4") == lost_row
    assert advo.rows(104860)[1]["rowId"] == after[1]["rowId"]
    advo.restore_backup(backup)
    assert [row["tlf"] for row in advo.rows(104860)] == ["0511 1"]

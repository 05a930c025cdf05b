"""What the world outside hears of a run; none of it can make a run fail."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from etl.errors import LockHeld
from etl.store.holds import hold_persons
from etl.store.persons import update_person
from etl.store.runs import latest_run
from etl.store.states import HoldKind
from jobs import notify
from jobs.config import Language
from jobs.exit_codes import Outcome
from jobs.lock import Lease
from jobs.options import Options
from jobs.pipeline import run
from jobs.sandbox.simulator import Unreachable
from jobs.telling import attended
from tests.firm import Firm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.report import RunReport

SECRET = "https://ping.test/4711-secret"


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    return Firm.of(tmp_path, persons=4, report={"ping_url": SECRET, "metrics_file": str(tmp_path / "advosync.prom")})


def told(firm: Firm, **options: Any) -> RunReport:
    firm.clock.advance(60)
    asked = Options(**options)
    return attended(firm.config, asked, lambda: run(firm.config, asked, world=firm.world), world=firm.world)


# The dead man's switch -----------------------------------------------------------------------------------------


def test_a_run_that_went_to_its_end_is_told_with_start_and_success(firm: Firm) -> None:
    told(firm)
    assert firm.pings.told == [("/4711-secret/start", ""), ("/4711-secret", "")]


def test_an_outage_is_told_as_a_failure_with_its_reason(firm: Firm) -> None:
    def out(_call: Any) -> None:
        raise Unreachable

    firm.advo.before = out
    assert told(firm).outcome is Outcome.OUTAGE
    assert firm.pings.told[-1][0] == "/4711-secret/fail"
    assert "Advoware is out" in firm.pings.told[-1][1]


def test_a_crash_is_told_as_a_failure_without_its_words(firm: Firm) -> None:
    def crash() -> RunReport:
        raise RuntimeError("+495111234567")

    with pytest.raises(RuntimeError):
        attended(firm.config, Options(), crash, world=firm.world)
    assert firm.pings.told[-1] == ("/4711-secret/fail", "RuntimeError")


def test_a_locked_out_run_is_silent_after_its_start_because_the_other_one_tells(firm: Firm) -> None:
    with (
        firm.store() as store,
        Lease.acquire_here(store, lease_seconds=3600, now=firm.world.now()),
        pytest.raises(LockHeld),
    ):
        told(firm)
    assert [path for path, _ in firm.pings.told] == ["/4711-secret/start"]


@pytest.mark.parametrize("options", [{"trigger": "plan", "write": False}, {"persons": ("200001",)}])
def test_only_runs_over_everybody_are_watched(firm: Firm, options: dict[str, Any]) -> None:
    told(firm)
    firm.pings.told.clear()
    told(firm, **options)
    assert firm.pings.told == []


def test_a_switch_that_refuses_is_logged_without_its_address_and_fails_nothing(
    firm: Firm, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    firm.pings.answer = 500
    others = structlog.get_config()  # the simulation, in the same process, logs what is critical only
    structlog.reset_defaults()
    try:
        assert told(firm).outcome is Outcome.DONE
    finally:
        structlog.configure(**others)
    printed = capsys.readouterr()
    everything = caplog.text + printed.out + printed.err
    assert "ping_failed" in everything
    assert "4711-secret" not in everything


# The metrics ---------------------------------------------------------------------------------------------------


def metrics(firm: Firm) -> dict[str, float]:
    assert firm.config.report.metrics_file is not None
    lines = firm.config.report.metrics_file.read_text("utf-8").splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_the_metrics_file_says_how_everything_stands_and_what_the_run_did(firm: Firm) -> None:
    report = told(firm)
    seen = metrics(firm)
    assert seen["advosync_last_success_timestamp_seconds"] == firm.clock().timestamp()
    assert seen['advosync_persons{status="clean"}'] == report.persons.clean
    assert seen['advosync_last_run_outcome{outcome="done"}'] == 1
    assert seen['advosync_last_run_calls{method="GET",system="advoware"}'] == report.calls.advoware["GET"]
    assert seen['advosync_last_run_variants{variant="link"}'] == report.variants["link"]
    assert seen['advosync_held_persons{kind="removals"}'] == 0
    assert seen["advosync_open_conflicts"] == 0
    assert seen["advosync_oldest_look_timestamp_seconds"] > 0
    assert seen["advosync_promise_advoware_edit_seconds"] > 0


def test_after_an_outage_the_last_success_stays_what_it_was(firm: Firm) -> None:
    told(firm)
    before = metrics(firm)["advosync_last_success_timestamp_seconds"]

    def out(_call: Any) -> None:
        raise Unreachable

    firm.espo.before = out
    told(firm)
    seen = metrics(firm)
    assert seen["advosync_last_success_timestamp_seconds"] == before
    assert seen['advosync_last_run_outcome{outcome="outage"}'] == 1


def test_the_metrics_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it(firm: Firm, tmp_path: Path) -> None:
    told(firm)
    told(firm)
    assert [path.name for path in tmp_path.glob("*prom*")] == ["advosync.prom"]


def test_a_place_that_cannot_be_written_fails_nothing(firm: Firm, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    firm.configured(report={"metrics_file": tmp_path / "file" / "advosync.prom"})
    assert told(firm).outcome is Outcome.DONE


# Messages to people --------------------------------------------------------------------------------------------


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook on this machine, and what it was sent."""
    received: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hold_is_told_once_through_apprise_and_not_every_run(
    firm: Firm, inbox: tuple[str, list[dict[str, Any]]]
) -> None:
    address, received = inbox
    told(firm)
    firm.configured(report={"notify": [address]})
    [person, *_] = [one.id for one in firm.espo.store.records.values() if one.values["betnr"]]
    with firm.store() as store:
        last = latest_run(store) or {}
        held = {"run_id": last["id"], "entity_id": person, "betnr": 200001, "kind": "removals", "held_at": "2026-08-31"}
        hold_persons(store, [held])
    told(firm)
    told(firm)
    [message] = received
    assert message["title"] == "advosync braucht eine Entscheidung"
    assert f"advosync approve {last['id']}" in message["message"]
    assert "200001" in message["message"]


def test_what_could_not_be_sent_is_told_next_time(firm: Firm) -> None:
    told(firm)
    sent: list[str] = []
    with firm.store() as store:
        run_id = (latest_run(store) or {})["id"]
        hold_persons(store, [{"run_id": run_id, "entity_id": "a", "betnr": 1, "kind": "recovery", "held_at": "x"}])
        assert notify.tell(store, Language.EN, lambda _title, _text: False) is False
        assert notify.tell(store, Language.EN, lambda _title, text: not sent.append(text)) is True  # type: ignore[func-returns-value]
        assert notify.tell(store, Language.EN, lambda _title, _text: False) is None
    assert len(sent) == 1


def test_a_person_that_fails_for_good_is_told_once_until_it_was_in_sync_again(firm: Firm) -> None:
    told(firm)
    sent: list[str] = []

    def send(_title: str, text: str) -> bool:
        sent.append(text)
        return True

    with firm.store() as store:
        person = store.value("select entity_id from persons where betnr is not null limit 1")
        for status in ("permanently_failed", "failed", "permanently_failed", "clean", "failed", "permanently_failed"):
            update_person(store, person, status=status)
            notify.tell(store, Language.DE, send)
            notify.tell(store, Language.DE, send)
    assert len(sent) == 2
    assert all("Mehrmals fehlgeschlagen" in text for text in sent)


@pytest.mark.parametrize("language", list(Language))
def test_every_kind_of_hold_has_words_in_every_language(language: Language) -> None:
    assert set(notify.PHRASES[language].kinds) == {str(kind) for kind in HoldKind}


def test_many_persons_are_counted_not_named() -> None:
    holds = [{"id": n, "run_id": 7, "kind": "removals", "betnr": n, "entity_id": "x"} for n in range(100, 150)]
    _, text = notify.message(notify.News(holds, [], []), Language.EN)
    assert "holds 50 back" in text
    assert "119 and 30 more" in text

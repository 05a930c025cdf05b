"""What the world outside hears of a run; none of it can make a run fail."""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from etl.enums import HoldKind
from etl.errors import ConfigError, LockHeld
from etl.store.tables.holds import insert_holds
from etl.store.tables.persons import update_person
from etl.times import add_seconds, parse_utc
from jobs.commands.check import check_notify_addresses, check_test_messages, run_checks
from jobs.commands.checks.findings import CheckState
from jobs.config import Language
from jobs.exit_codes import CommandOutcome
from jobs.lock import Lease
from jobs.pipeline import run_to_completion
from jobs.run.options import RunOptions
from jobs.run.report import RunReport
from jobs.sandbox.simulator import Unreachable
from jobs.telemetry import logs, notify
from jobs.telemetry.after_run import run_with_notifications
from jobs.telemetry.notice_texts import NOTICE_TEXTS
from jobs.telemetry.notify import apprise_sender
from tests.harness import CommandHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from etl.store.database import Store

SECRET = "https://ping.test/4711-secret"


@pytest.fixture
def harness(tmp_path: Path) -> CommandHarness:
    return CommandHarness(
        tmp_path, persons=4, report={"ping_url": SECRET, "metrics_file": str(tmp_path / "advosync.prom")}
    )


def run_with_telemetry(harness: CommandHarness, **options: Any) -> RunReport:
    harness.clock.advance(60)
    run_options = RunOptions(**options)
    return run_with_notifications(
        harness.config,
        run_options,
        lambda: run_to_completion(harness.config, run_options, environment=harness.environment),
        environment=harness.environment,
    )


# The dead man's switch -----------------------------------------------------------------------------------------


def test_a_run_that_went_to_its_end_is_told_with_start_and_success(harness: CommandHarness) -> None:
    run_with_telemetry(harness)
    assert harness.pings.requests == [("/4711-secret/start", ""), ("/4711-secret", "")]


def test_an_outage_is_told_as_a_failure_with_its_reason(harness: CommandHarness) -> None:
    def raise_unreachable(_call: Any) -> None:
        raise Unreachable

    harness.advo.before = raise_unreachable
    assert run_with_telemetry(harness).outcome is CommandOutcome.OUTAGE
    assert harness.pings.requests[-1][0] == "/4711-secret/fail"
    assert "Advoware is out" in harness.pings.requests[-1][1]


def test_a_crash_is_told_as_a_failure_without_its_words(harness: CommandHarness) -> None:
    def raise_error() -> RunReport:
        raise RuntimeError("+495111234567")

    with pytest.raises(RuntimeError):
        run_with_notifications(harness.config, RunOptions(), raise_error, environment=harness.environment)
    assert harness.pings.requests[-1] == ("/4711-secret/fail", "RuntimeError")


def test_a_locked_out_run_is_silent_after_its_start_because_the_other_one_tells(harness: CommandHarness) -> None:
    with (
        harness.open_store() as store,
        Lease.acquire_here(store, lease_seconds=3600, now=harness.environment.now()),
        pytest.raises(LockHeld),
    ):
        run_with_telemetry(harness)
    assert [path for path, _ in harness.pings.requests] == ["/4711-secret/start"]


@pytest.mark.parametrize("options", [{"trigger": "plan", "write": False}, {"persons": ("200001",)}])
def test_only_runs_over_everybody_are_watched(harness: CommandHarness, options: dict[str, Any]) -> None:
    run_with_telemetry(harness)
    harness.pings.requests.clear()
    run_with_telemetry(harness, **options)
    assert harness.pings.requests == []


def test_a_switch_that_refuses_is_logged_without_its_address_and_fails_nothing(
    harness: CommandHarness, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.pings.status_code = 500
    logging_config = structlog.get_config()  # the simulation, in the same process, logs what is critical only
    structlog.reset_defaults()
    try:
        assert run_with_telemetry(harness).outcome is CommandOutcome.DONE
    finally:
        structlog.configure(**logging_config)
    printed = capsys.readouterr()
    everything = caplog.text + printed.out + printed.err
    assert "ping_failed" in everything
    assert "4711-secret" not in everything


# The metrics ---------------------------------------------------------------------------------------------------


def read_metrics(harness: CommandHarness) -> dict[str, float]:
    assert harness.config.report.metrics_file is not None
    lines = harness.config.report.metrics_file.read_text("utf-8").splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_the_metrics_file_says_how_everything_stands_and_what_the_run_did(harness: CommandHarness) -> None:
    report = run_with_telemetry(harness)
    metrics_read = read_metrics(harness)
    assert metrics_read["advosync_last_success_timestamp_seconds"] == harness.clock().timestamp()
    assert metrics_read['advosync_persons{status="clean"}'] == report.persons.clean
    assert metrics_read['advosync_last_run_outcome{outcome="done"}'] == 1
    assert metrics_read['advosync_last_run_calls{method="GET",system="advoware"}'] == report.calls.advoware["GET"]
    assert metrics_read['advosync_last_run_variants{variant="link"}'] == report.variants["link"]
    assert metrics_read['advosync_held_persons{kind="removals"}'] == 0
    assert metrics_read["advosync_open_conflicts"] == 0
    assert metrics_read["advosync_oldest_look_timestamp_seconds"] > 0
    assert metrics_read["advosync_promise_advoware_edit_seconds"] > 0


def test_after_an_outage_the_last_success_stays_what_it_was(harness: CommandHarness) -> None:
    run_with_telemetry(harness)
    before = read_metrics(harness)["advosync_last_success_timestamp_seconds"]

    def raise_unreachable(_call: Any) -> None:
        raise Unreachable

    harness.espo.before = raise_unreachable
    run_with_telemetry(harness)
    metrics_read = read_metrics(harness)
    assert metrics_read["advosync_last_success_timestamp_seconds"] == before
    assert metrics_read['advosync_last_run_outcome{outcome="outage"}'] == 1


def test_the_metrics_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it(
    harness: CommandHarness, tmp_path: Path
) -> None:
    run_with_telemetry(harness)
    run_with_telemetry(harness)
    assert [path.name for path in tmp_path.glob("*prom*")] == ["advosync.prom"]


def test_a_place_that_cannot_be_written_fails_nothing(harness: CommandHarness, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    harness.configure(report={"metrics_file": tmp_path / "file" / "advosync.prom"})
    assert run_with_telemetry(harness).outcome is CommandOutcome.DONE


# Messages to people --------------------------------------------------------------------------------------------


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook on this machine, and what it was sent."""
    messages: list[dict[str, Any]] = []

    class WebhookHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), WebhookHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}", messages
    server.shutdown()
    thread.join()
    server.server_close()


def hold_a_person(harness: CommandHarness) -> int:
    """Hold a linked person back, as a guard does; the run that holds it."""
    [person, *_] = [record.id for record in harness.espo.store.records.values() if record.values["betnr"]]
    with harness.open_store() as store:
        run_id: int = store.scalar("select max(id) from runs")
        hold = {"run_id": run_id, "entity_id": person, "betnr": 200001, "kind": "removals", "held_at": "2026-08-31"}
        insert_holds(store, [hold])
    return run_id


def test_a_hold_is_told_once_through_apprise_and_not_every_run(
    harness: CommandHarness, inbox: tuple[str, list[dict[str, Any]]]
) -> None:
    address, messages = inbox
    run_with_telemetry(harness)
    harness.configure(report={"notify": [address]})
    run_id = hold_a_person(harness)
    run_with_telemetry(harness)
    run_with_telemetry(harness)
    [message] = messages
    assert message["title"] == "advosync braucht eine Entscheidung"
    assert f"advosync approve {run_id}" in message["message"]
    assert "200001" in message["message"]


def test_without_the_extra_nothing_is_started_where_people_are_to_be_told(
    harness: CommandHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # what Python takes as "is not there"
    harness.configure(report={"notify": ["json://127.0.0.1"]})
    with pytest.raises(ConfigError, match=r"pip install 'advosync\[notify\]'"):
        run_with_telemetry(harness)
    assert (harness.pings.requests, harness.espo.request_log) == ([], [])
    [point] = check_notify_addresses(["json://127.0.0.1"])
    assert (point.state, "advosync[notify]" in point.message) == (CheckState.BAD, True)


REFUSED_BY_ALL = notify.Delivery([], [1, 2])


def tell(store: Store, send: Callable[[str, str], notify.Delivery]) -> notify.Delivery:
    """What people are told after a run that went to its end."""
    wording = notify.Wording(Language.DE, UTC)
    return notify.notify_once(store, wording, RunReport(), send, datetime(2026, 9, 1, tzinfo=UTC))


def test_what_no_address_took_is_told_next_time_and_what_one_took_is_not(harness: CommandHarness) -> None:
    """The address that works would else hear the same after each run, as long as the other one refuses."""
    run_with_telemetry(harness)
    sent: list[str] = []

    def accept_by_first(_title: str, text: str) -> notify.Delivery:
        sent.append(text)
        return notify.Delivery([1], [2])

    with harness.open_store() as store:
        run_id = store.scalar("select max(id) from runs")
        insert_holds(store, [{"run_id": run_id, "entity_id": "a", "betnr": 1, "kind": "recovery", "held_at": "x"}])
        assert tell(store, lambda _title, _text: REFUSED_BY_ALL) == REFUSED_BY_ALL
        assert tell(store, accept_by_first).refused == [2]
        assert tell(store, accept_by_first) == notify.NOTHING_SENT
    assert len(sent) == 1


def test_a_person_that_fails_for_good_is_told_once_until_it_was_in_sync_again(harness: CommandHarness) -> None:
    run_with_telemetry(harness)
    sent: list[str] = []

    def keep_text(_title: str, text: str) -> notify.Delivery:
        sent.append(text)
        return notify.Delivery([1], [])

    with harness.open_store() as store:
        person = store.scalar("select entity_id from persons where betnr is not null limit 1")
        for status in ("permanently_failed", "failed", "permanently_failed", "clean", "failed", "permanently_failed"):
            update_person(store, person, status=status)
            tell(store, keep_text)
            tell(store, keep_text)
    assert len(sent) == 2
    assert all("Mehrmals fehlgeschlagen" in text for text in sent)


@pytest.mark.parametrize("language", list(Language))
def test_every_kind_of_hold_has_words_in_every_language(language: Language) -> None:
    assert set(NOTICE_TEXTS[language].kinds) == {str(kind) for kind in HoldKind}


def test_many_persons_are_counted_not_named() -> None:
    holds = [{"id": n, "run_id": 7, "kind": "removals", "betnr": n, "entity_id": "x"} for n in range(100, 150)]
    _, text = notify.notice_message(notify.PendingNotices(holds, [], [], None), notify.Wording(Language.EN, UTC))
    assert "holds 50 back" in text
    assert "119 and 30 more" in text


# Outages ---------------------------------------------------------------------------------------------------------

DAY = 86_400


@pytest.fixture
def messages(harness: CommandHarness, inbox: tuple[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What people of this firm are sent."""
    address, sent = inbox
    harness.configure(report={"notify": [address]})
    return sent


def be_unreachable(_call: Any) -> None:
    raise Unreachable


def test_an_outage_is_told_once_it_lasts_a_day_and_again_when_it_is_over(
    harness: CommandHarness, messages: list[dict[str, Any]]
) -> None:
    run_with_telemetry(harness)
    harness.advo.before = be_unreachable
    run_with_telemetry(harness)
    with harness.open_store() as store:
        began = parse_utc(store.scalar("select started_at from runs where outcome = 'outage'"))
    harness.clock.advance(DAY - 120)
    run_with_telemetry(harness)
    assert messages == []
    harness.clock.advance(DAY)
    run_with_telemetry(harness)
    run_with_telemetry(harness, persons=("200001",))
    run_with_telemetry(harness)
    [outage] = messages
    assert outage["title"] == "advosync kann nicht abgleichen"
    assert f"Seit {began.astimezone(harness.config.schedule.zone):%Y-%m-%d %H:%M:%S} kommt" in outage["message"]
    assert "Advoware is out" in outage["message"]
    harness.advo.before = None
    run_with_telemetry(harness)
    run_with_telemetry(harness)
    assert [message["title"] for message in messages[1:]] == ["advosync gleicht wieder ab"]


def test_an_outage_that_ends_within_a_day_is_told_to_nobody(
    harness: CommandHarness, messages: list[dict[str, Any]]
) -> None:
    for _ in range(3):
        harness.advo.before = be_unreachable
        run_with_telemetry(harness)
        harness.advo.before = None
        harness.clock.advance(DAY)
        run_with_telemetry(harness)
    assert messages == []


def test_a_refused_login_is_told_at_once_and_once(harness: CommandHarness, messages: list[dict[str, Any]]) -> None:
    run_with_telemetry(harness)
    api_key = harness.config.espocrm.api_key.get_secret_value()
    harness.configure(espocrm={"api_key": "outdated"})
    for _ in range(3):
        run_with_telemetry(harness)
    [message] = messages
    assert "wird die Anmeldung abgelehnt: EspoCRM refuses the login" in message["message"]
    assert "outdated" not in message["message"]
    harness.configure(espocrm={"api_key": api_key})
    harness.clock.advance(3600)
    run_with_telemetry(harness)
    assert messages[-1]["title"] == "advosync gleicht wieder ab"


def test_a_broken_promise_is_told_once_and_that_it_holds_again_a_day_later(
    harness: CommandHarness, messages: list[dict[str, Any]]
) -> None:
    run_with_telemetry(harness)
    late = {"side": "espo", "at": harness.environment.now()}
    late["edited_at"] = add_seconds(late["at"], -926)  # promised are 925
    in_time = {"side": "advo", "edited_at": late["at"], "at": late["at"]}
    with harness.open_store() as store:
        for edit in (late, in_time):
            store.execute(
                """
                insert into arrivals (run_id, entity_id, edited_in, edited_at, arrived_at)
                values (1, 'a', :side, :edited_at, :at)
                """,
                edit,
            )
    run_with_telemetry(harness, persons=("200001",))
    assert messages == []
    run_with_telemetry(harness)
    run_with_telemetry(harness)
    [message] = messages
    assert message["title"] == "advosync braucht länger als zugesagt"
    assert "aus EspoCRM kommen später an" in message["message"]
    assert "von 1 in 7 Tagen brauchten 95 von 100 bis zu 15 min 26 s statt 15 min 25 s." in message["message"]
    with harness.open_store() as store:
        store.execute("update arrivals set edited_at = arrived_at")
    run_with_telemetry(harness)
    assert len(messages) == 1  # around the limit there shall be no message with every run
    harness.clock.advance(DAY)
    run_with_telemetry(harness)
    run_with_telemetry(harness)
    assert [message["title"] for message in messages[1:]] == ["advosync hält die Zusage wieder ein"]


def test_check_sends_a_test_message_on_request(harness: CommandHarness, messages: list[dict[str, Any]]) -> None:
    addresses = [address.get_secret_value() for address in harness.config.report.notify]
    [point] = check_test_messages(addresses, Language.EN)
    assert point.state is CheckState.OK
    assert messages[-1]["message"] == "A test: this is how messages of advosync reach you."
    [point] = check_test_messages([], Language.EN)
    assert point.state is CheckState.BAD
    points = check_test_messages([*addresses, "json://127.0.0.1:9"], Language.EN)
    assert [(point.state, point.message.split(" did")[0]) for point in points] == [(CheckState.BAD, "address 2")]


@pytest.mark.parametrize("address", ["tgram://123geheim/", "slack://geheimgeheim", "jsn://user:geheim@127.0.0.1"])
def test_an_address_that_cannot_work_is_refused_and_no_part_of_it_logged(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Apprise logs what it cannot read; the mask of our logs knows the whole address, not its parts."""
    [point] = check_notify_addresses([address])
    assert point.state is CheckState.BAD
    assert apprise_sender([address])("title", "text") == ([], [1])
    assert "geheim" not in caplog.text + point.message


def test_an_address_that_refuses_is_named_by_its_number_and_the_others_hear_it_once(
    harness: CommandHarness, messages: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    stream = StringIO()
    logs.configure_logging(stream=stream)
    good_address = harness.config.report.notify[0].get_secret_value()
    run_with_telemetry(harness)
    harness.configure(report={"notify": [good_address, "json://127.0.0.1:9/geheim"]})
    hold_a_person(harness)
    run_with_telemetry(harness)
    run_with_telemetry(harness)
    assert len(messages) == 1
    assert stream.getvalue().count("address 2 of report.notify refused it") == 1
    assert "geheim" not in stream.getvalue() + caplog.text


def test_no_test_message_is_sent_while_an_address_cannot_work(
    harness: CommandHarness, inbox: tuple[str, list[dict[str, Any]]]
) -> None:
    address, sent = inbox
    harness.configure(report={"notify": [address, "tgram://123geheim/"]})
    points = [point.about for point in run_checks(harness.config, test_message=True)]
    assert "report.notify" in points
    assert "test message" not in points
    assert sent == []

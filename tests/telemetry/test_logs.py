"""Logs: one format, one place, no secret."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from jobs.config import LogFormat
from jobs.sandbox.people import random_edits
from jobs.sandbox.simulator import SimRequest, SimResponse
from jobs.telemetry import logs
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from pathlib import Path

SECRET = 'p"ä w/ö+rd'


def log_stream(log_format: LogFormat = LogFormat.AUTO, level: int = logging.DEBUG) -> io.StringIO:
    stream = io.StringIO()
    logs.configure_logging(log_format, secrets=[SECRET, "abc"], level=level, stream=stream)
    return stream


def test_without_a_terminal_a_line_is_json_with_run_and_person() -> None:
    stream = log_stream()
    with structlog.contextvars.bound_contextvars(run_id=4, entity_id="a1"):
        structlog.get_logger("advosync").info("person_synced", rows=3)
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "person_synced", "level": "info", "logger": "advosync", "run_id": 4, "entity_id": "a1", "rows": 3,
    }  # fmt: skip


def test_pretty_is_for_people() -> None:
    stream = log_stream(LogFormat.PRETTY)
    structlog.get_logger().info("person synced", rows=3)
    assert "person synced" in stream.getvalue()
    assert "rows=3" in stream.getvalue()


def test_libraries_use_the_same_format() -> None:
    stream = log_stream()
    logging.getLogger("somebody").warning("%s rows", 3)
    assert json.loads(stream.getvalue())["event"] == "3 rows"


@pytest.mark.parametrize("name", ["httpx", "httpcore.connection", "urllib3"])
def test_http_libraries_are_quiet_at_every_level(name: str) -> None:
    stream = log_stream(level=logging.DEBUG)
    logging.getLogger(name).info("HTTP Request: GET https://crm.example.de/?key=1")
    logging.getLogger(name).debug("headers")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_a_secret_is_masked_wherever_it_slips_in(log_format: LogFormat) -> None:
    stream = log_stream(log_format)
    log = structlog.get_logger()
    log.info(SECRET, field=SECRET, nested={"deep": [SECRET]}, address="x/?p=p%22%C3%A4%20w/%C3%B6%2Brd")
    log.info("bearer", header="Authorization: Bearer abcdefgh.ijkl-mnop")
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("failed")
    logging.getLogger("somebody").warning("says %s", SECRET)
    log_text = stream.getvalue()
    assert log_text.count("***") >= 7
    assert not [spelling for spelling in logs.secret_variants([SECRET]) if spelling in log_text]
    assert "ijkl" not in log_text


def test_a_trace_shows_no_local_variables() -> None:
    stream = log_stream(LogFormat.PRETTY)
    number = "+49 511 " + "1234560"
    try:
        raise ValueError(len(number))
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError" in stream.getvalue()
    assert "1234560" not in stream.getvalue().replace('"1234560"', "")


REQUEST = ("GET", "https://crm.example.de/api/v1/CBeteiligte/a1?q=+49511123456", "HTTP/1.1", 200, "OK")


@pytest.mark.parametrize(
    ("level", "line"),
    [
        (logging.INFO, "request GET crm.example.de/api/v1/CBeteiligte/a1 200"),
        (logging.DEBUG, "request GET crm.example.de/api/v1/CBeteiligte/a1?q=+49511123456 200"),
    ],
)
def test_a_request_is_a_line_on_request_without_its_query(level: int, line: str) -> None:
    stream = io.StringIO()
    logs.configure_logging(details=True, level=level, stream=stream)
    logging.getLogger("httpx").info('HTTP Request: %s %s "%s %d %s"', *REQUEST)
    logging.getLogger("httpx").info("something else about https://crm.example.de/?q=1")
    assert [json.loads(text)["event"] for text in stream.getvalue().splitlines()] == [line]


@pytest.mark.parametrize(("level", "values"), [(logging.INFO, False), (logging.DEBUG, True)], ids=["-v", "-vv"])
def test_details_name_requests_and_decisions_by_ids_and_values_only_at_debug(
    tmp_path: Path, level: int, *, values: bool
) -> None:
    stream = io.StringIO()
    harness = SyncHarness(tmp_path, 6)
    logs.configure_logging(details=True, level=level, stream=stream)
    seen = names_and_values(harness)
    harness.run(sweep=True)
    random_edits(harness.espo, harness.advo, 20, 1)
    seen |= names_and_values(harness)
    harness.run(sweep=True)
    log_text = stream.getvalue()
    lines = [json.loads(line) for line in log_text.splitlines()]
    decisions = [line for line in lines if line["event"] == "decision"]
    requests = [line for line in lines if line["event"].startswith("request ")]
    assert {line["side"] for line in decisions if "side" in line} == {"espo", "advo"}
    assert all(line["entity_id"] and line["run_id"] for line in decisions)
    assert len([line for line in requests if " PUT " in line["event"]]) > 2
    assert any(value in log_text for value in seen) is values


def refuse_with_quotation(call: SimRequest) -> SimResponse | None:
    return SimResponse(400, {"Content-Type": "text/plain"}, call.body.encode()) if call.is_write else None


def names_and_values(harness: SyncHarness) -> set[str]:
    """What stands in both systems of people: names, numbers, mails, remarks."""
    records = [harness.espo.record(entity_id) for entity_id, _ in harness.person_links()]
    items = [item for record in records for item in harness.espo.items(record["id"])]
    rows = [row for _, betnr in harness.person_links() for row in harness.advo.rows(betnr)]
    return {
        *(record["name"] for record in records),
        *(item.get("phoneNumber") or item["emailAddress"] for item in items),
        *(row[name] for row in rows for name in ("tlf", "bemerkung") if row[name]),
    }


@pytest.mark.parametrize(("level", "quotes"), [(logging.INFO, False), (logging.DEBUG, True)])
def test_above_debug_no_name_and_no_value_of_a_person_is_logged(tmp_path: Path, level: int, *, quotes: bool) -> None:
    stream = log_stream(level=level)
    harness, values_seen = SyncHarness(tmp_path, 12), set()
    for seed, system in enumerate((None, harness.espo, harness.advo, None)):
        if system is not None:
            system.before = refuse_with_quotation
        harness.run(sweep=True)
        harness.espo.before = harness.advo.before = None
        values_seen |= names_and_values(harness)
        random_edits(harness.espo, harness.advo, 20, seed)
        values_seen |= names_and_values(harness)
    log_text = stream.getvalue()
    assert "person_failed" in log_text
    assert any(value in log_text for value in values_seen) is quotes

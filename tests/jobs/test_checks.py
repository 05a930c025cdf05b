"""`check` finds what would make a sync fail late or mislead somebody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from etl.clients.espocrm_admin import WANTED
from etl.clients.espocrm_payload import FIELDS, EspoServer, EspoUser
from etl.records import Direction
from jobs.checks import server
from jobs.config import Config
from jobs.espocrm_fields import NEEDED, STATUSES, flaw_of
from jobs.espocrm_rights import field_rights, notes_allowed
from jobs.findings import State
from jobs.sandbox.server import config as settings
from jobs.sandbox.transport import InProcess
from jobs.systems import espocrm
from tests.desk import Desk

NOW = datetime(2026, 8, 30, 10, 0, tzinfo=UTC)
SERVER = EspoServer(
    version="9.2.7",
    international=True,
    extensions=False,
    max_mails=10,
    max_phones=10,
    maintenance=False,
    answered_at="2026-08-30 10:00:00",
)

@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


#   our name       the field as it stands                                 what is wrong with it
FLAWS = [
    ("fingerprint", {"type": "int"},                                      "is of type int; it must be varchar or text"),
    ("fingerprint", {"type": "varchar", "maxLength": 10},                 "holds 10 characters; it must hold 16"),
    ("error",       {"type": "varchar", "maxLength": 255},                "holds 255 characters; it must hold 2000"),
    ("next_retry",  {"type": "datetime", "readOnly": True},               "is read-only"),
    ("sync_status", {"type": "enum", "options": STATUSES[1:]},            "lacks the options pending_sync;"),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "definition", "told"), FLAWS)
def test_a_field_that_cannot_hold_what_is_written_is_named(ours: str, definition: dict[str, Any], told: str) -> None:
    assert (flaw_of(ours, definition) or "").startswith(told)


def test_the_fields_setup_makes_are_without_flaw() -> None:
    assert {ours: flaw_of(ours, WANTED[ours]) for ours in NEEDED} == dict.fromkeys(NEEDED)


def test_betnr_is_only_read_and_may_be_read_only() -> None:
    assert flaw_of("betnr", {"type": "int", "readOnly": True}) is None


@pytest.mark.parametrize(("stream", "told"), [("all", 0), ("own", 0), ("no", 1)])
def test_without_the_stream_nobody_is_told_of_values_that_lost(stream: str, told: int) -> None:
    user = EspoUser("u1", "sync_api", {"CBeteiligte": {"read": "all", "edit": "all", "stream": stream}})
    config = Config.model_validate(settings("http://crm.test", "https://a.test"))
    assert len(list(notes_allowed(user, config))) == told
    quiet = config.model_copy(update={"espocrm": config.espocrm.model_copy(update={"note_conflicts": False})})
    assert list(notes_allowed(user, quiet)) == []


VERSIONS = [("7.5.6", True), ("8.4.2", False), ("10.0.0", False), ("unknown", False)]


@pytest.mark.parametrize(("version", "noted"), VERSIONS)
def test_a_version_nobody_tried_is_noted(version: str, noted: bool) -> None:  # noqa: FBT001  a column of the table
    findings = list(server(replace(SERVER, version=version), NOW))
    assert (State.NOTE in {one.state for one in findings}) is noted


def rights(user: EspoUser, direction: Direction = Direction.BOTH) -> list[str]:
    """What check says of the role's field rights, without the user's name."""
    return [one.message for one in field_rights(user, FIELDS, direction) if one.state is State.BAD]


LACKING = [
    ("phoneNumber",       "edit", "phones that change in Advoware are held back"),
    ("emailAddress",      "edit", "mails that change in Advoware are held back"),
    ("phoneNumber",       "read", "phones are not synced at all"),
    ("emailAddress",      "read", "mails are not synced at all"),
    ("betnr",             "read", "no run could begin"),
    ("syncStatus",        "edit", "nobody sees how a person stands"),
    ("kommunikationHash", "edit", "if the state store is ever lost"),
    ("syncErrorMessage",  "edit", "people would not see it"),
    ("syncNextRetry",     "edit", "people would not see it"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "action", "effect"), LACKING)
def test_a_field_right_the_role_lacks_is_named_with_what_that_does(name: str, action: str, effect: str) -> None:
    user = EspoUser("u1", "sync_api", {}, {name: {"read": "yes", "edit": "yes"} | {action: "no"}})
    (message,) = rights(user)
    assert f"may not {action} {name}: " in message
    assert effect in message
    assert f"set {action}: yes in its role" in message


@pytest.mark.parametrize("fields", [{}, {"phoneNumber": {"read": "yes", "edit": "yes"}}, {"phoneNumber": []}])
def test_a_role_that_says_nothing_of_a_field_allows_it(fields: dict[str, Any]) -> None:
    (finding,) = field_rights(EspoUser("u1", "sync_api", {}, fields), FIELDS, Direction.BOTH)
    assert finding.state is State.OK


def test_a_sync_that_sends_espocrm_nothing_needs_no_right_to_edit_phones() -> None:
    user = EspoUser("u1", "sync_api", {}, {"phoneNumber": {"read": "yes", "edit": "no"}})
    assert rights(user, Direction.TO_ADVOWARE) == []
    assert len(rights(user, Direction.TO_ESPOCRM)) == 1


def test_check_reads_the_field_table_of_a_running_espocrm(desk: Desk) -> None:
    """0ddc3ba said of such a role: all ok (issue 13, row 1)."""
    desk.espo.store.role.fields = {"phoneNumber": {"read": "yes", "edit": "no"}}
    with espocrm(desk.config, transport=InProcess(desk.espo)) as client:
        (message,) = rights(client.user())
    assert "may not edit phoneNumber" in message

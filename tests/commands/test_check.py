"""`check` finds what would make a sync fail late or mislead somebody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from etl.clients.espocrm_admin import CUSTOM_FIELDS
from etl.clients.espocrm_payload import DEFAULT_FIELD_NAMES, EspoServer, EspoUser
from etl.enums import PersonStatus
from etl.records import Direction
from jobs.client_factory import make_espo_client
from jobs.commands.check import check_server
from jobs.commands.checks.espocrm_fields import REQUIRED_FIELDS, field_problem
from jobs.commands.checks.findings import CheckState
from jobs.commands.checks.rights import check_field_rights, check_note_permission
from jobs.config import Config
from jobs.sandbox.server import sandbox_config
from tests.harness import FaultHarness
from tests.in_process import InProcess

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

#   our name       the field as it stands                                 what is wrong with it
FLAWS = [
    ("fingerprint", {"type": "int"},                                      "is of type int; it must be varchar or text"),
    ("fingerprint", {"type": "varchar", "maxLength": 10},                 "holds 10 characters; it must hold 16"),
    ("error",       {"type": "varchar", "maxLength": 255},                "holds 255 characters; it must hold 2000"),
    ("next_retry",  {"type": "datetime", "readOnly": True},               "is read-only"),
    ("sync_status", {"type": "enum", "options": [*PersonStatus][1:]},            "lacks the options pending_sync;"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "definition", "message"), FLAWS)
def test_a_field_that_cannot_hold_what_is_written_is_named(name: str, definition: dict[str, Any], message: str) -> None:
    assert (field_problem(name, definition) or "").startswith(message)


def test_the_fields_setup_makes_are_without_flaw() -> None:
    assert {name: field_problem(name, CUSTOM_FIELDS[name]) for name in REQUIRED_FIELDS} == dict.fromkeys(
        REQUIRED_FIELDS
    )


def test_betnr_is_only_read_and_may_be_read_only() -> None:
    assert field_problem("betnr", {"type": "int", "readOnly": True}) is None


@pytest.mark.parametrize(("stream", "finding_count"), [("all", 0), ("own", 0), ("no", 1)])
def test_without_the_stream_nobody_is_told_of_values_that_lost(stream: str, finding_count: int) -> None:
    user = EspoUser("u1", "sync_api", {"CBeteiligte": {"read": "all", "edit": "all", "stream": stream}})
    config = Config.model_validate(sandbox_config("http://crm.test", "https://a.test"))
    assert len(list(check_note_permission(user, config))) == finding_count
    config_without_notes = config.model_copy(
        update={"espocrm": config.espocrm.model_copy(update={"note_conflicts": False})}
    )
    assert list(check_note_permission(user, config_without_notes)) == []


VERSIONS = [("7.5.6", True), ("8.4.2", False), ("10.0.0", False), ("unknown", False)]


@pytest.mark.parametrize(("version", "is_noted"), VERSIONS)
def test_a_version_nobody_tried_is_noted(version: str, is_noted: bool) -> None:  # noqa: FBT001  a column of the table
    findings = list(check_server(replace(SERVER, version=version), NOW))
    assert (CheckState.NOTE in {finding.state for finding in findings}) is is_noted


def rights_messages(user: EspoUser, direction: Direction = Direction.BOTH) -> list[str]:
    """What check says of the role's field rights, without the user's name."""
    return [
        finding.message
        for finding in check_field_rights(user, DEFAULT_FIELD_NAMES, direction)
        if finding.state is CheckState.BAD
    ]


MISSING_RIGHTS = [
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


@pytest.mark.parametrize(("name", "action", "consequence"), MISSING_RIGHTS)
def test_a_field_right_the_role_lacks_is_named_with_what_that_does(name: str, action: str, consequence: str) -> None:
    user = EspoUser("u1", "sync_api", {}, {name: {"read": "yes", "edit": "yes"} | {action: "no"}})
    (message,) = rights_messages(user)
    assert f"may not {action} {name}: " in message
    assert consequence in message
    assert f"set {action}: yes in its role" in message


@pytest.mark.parametrize("fields", [{}, {"phoneNumber": {"read": "yes", "edit": "yes"}}, {"phoneNumber": []}])
def test_a_role_that_says_nothing_of_a_field_allows_it(fields: dict[str, Any]) -> None:
    (finding,) = check_field_rights(EspoUser("u1", "sync_api", {}, fields), DEFAULT_FIELD_NAMES, Direction.BOTH)
    assert finding.state is CheckState.OK


def test_a_sync_that_sends_espocrm_nothing_needs_no_right_to_edit_phones() -> None:
    user = EspoUser("u1", "sync_api", {}, {"phoneNumber": {"read": "yes", "edit": "no"}})
    assert rights_messages(user, Direction.TO_ADVOWARE) == []
    assert len(rights_messages(user, Direction.TO_ESPOCRM)) == 1


def test_check_reads_the_field_table_of_a_running_espocrm(harness: FaultHarness) -> None:
    """0ddc3ba said of such a role: all ok (issue 13, row 1)."""
    harness.espo.store.role.fields = {"phoneNumber": {"read": "yes", "edit": "no"}}
    with make_espo_client(harness.config, transport=InProcess(harness.espo)) as client:
        (message,) = rights_messages(client.get_user())
    assert "may not edit phoneNumber" in message

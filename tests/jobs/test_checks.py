"""`check` finds what would make a sync fail late or mislead somebody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from etl.clients.espocrm_admin import WANTED
from etl.clients.espocrm_payload import EspoServer, EspoUser
from jobs.checks import NEEDED, STATUSES, State, flaw_of, notes_allowed, server
from jobs.config import Config
from jobs.sandbox.server import config as settings

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

"""The schema keeps the promises of state/README.md: names and columns others build on."""

from __future__ import annotations

import re
import sqlite3
from enum import StrEnum
from typing import TYPE_CHECKING

import pytest

from etl import frames
from etl.enums import (
    Absence,
    ChangeState,
    DecisionState,
    HoldKind,
    LeftAloneReason,
    PersonStatus,
    PutOutcome,
    RunOutcome,
)
from etl.store.migrations import split_statements
from etl.store.schema import MIGRATIONS
from etl.store.views import VIEWS

if TYPE_CHECKING:
    from etl.store.database import Store

PUBLIC_COLUMNS = {
    "persons": "entity_id, betnr, name, status, due_since, due_reason, last_sync_at, fingerprint, retry_count, "
    "next_retry_at, auto_reset_at, error, espo_modified_at, espo_seen_at, advo_seen_at",
    "espo_entries": "entity_id, channel, value, canonical, type, is_primary, opt_out, invalid",
    "advo_entries": "komm_id, betnr, row_id, value, canonical, remark, marker_value, marker_komm_kz, is_slot, komm_kz, "
    "channel, online",
    "baseline": "entity_id, betnr, komm_id, channel, espo_value, espo_canonical, espo_type, advo_value, "
    "advo_canonical, komm_kz, row_id, unmarked, agreed_at",
    "left_alone": "entity_id, betnr, side, komm_id, channel, value, reason, since",
    "runs": "id, version, trigger, operator, reason, direction, started_at, finished_at, outcome, persons_seen, "
    "persons_changed, persons_failed, espo_reads, espo_writes, advo_reads, advo_writes, error",
    "changes": "id, run_id, entity_id, betnr, variant, reason, side, action, komm_id, komm_kz, old_value, new_value, "
    "old_remark, new_remark, state, error, started_at, finished_at",
    "conflicts": "id, run_id, entity_id, betnr, variant, espo_value, advo_value, kept, reason, seen_at, restored_at",
    "holds": "id, run_id, entity_id, betnr, reason, digest, held_at, released_at, released_by",
}

WORDS: list[tuple[str, str, type[StrEnum]]] = [
    ("persons", "status", PersonStatus),
    ("left_alone", "reason", LeftAloneReason),
    ("runs", "outcome", RunOutcome),
    ("array_puts", "outcome", PutOutcome),
    ("decisions", "state", DecisionState),
    ("changes", "state", ChangeState),
    ("holds", "kind", HoldKind),
    ("endings", "kind", Absence),
]


@pytest.mark.parametrize("table", PUBLIC_COLUMNS)
def test_a_table_has_the_columns_others_build_on(store: Store, table: str) -> None:
    assert set(PUBLIC_COLUMNS[table].split(", ")) <= set(store.db[table].columns_dict)


def test_the_views_others_build_on_exist_and_answer(store: Store) -> None:
    assert set(store.db.view_names()) == set(VIEWS)
    assert {
        "last_runs",
        "failing_persons",
        "open_conflicts",
        "unsyncable_entries",
        "stale_persons",
        "changes_by_day",
        "differences",
    } <= set(VIEWS)
    assert all(store.rows(f"select * from {view}") == [] for view in VIEWS)


def test_every_table_is_strict(store: Store) -> None:
    tables_not_strict = store.rows(
        "select name from pragma_table_list where schema = 'main' and type = 'table' and not strict"
    )
    assert {row["name"] for row in tables_not_strict} == {"sqlite_schema", "sqlite_sequence"}


@pytest.mark.parametrize(("table", "column", "words"), WORDS)
def test_a_column_takes_exactly_the_words_the_program_knows(
    store: Store, table: str, column: str, words: type[StrEnum]
) -> None:
    check = re.search(rf"{column} in \(([^)]*)\)", store.db[table].schema)
    assert check
    assert re.findall(r"'(\w+)'", check.group(1)) == [str(word) for word in words]


@pytest.mark.parametrize(
    ("table", "schema", "joined_columns"),
    [
        ("persons", frames.PERSONS, {"ended"}),
        ("espo_entries", frames.ITEMS, {"betnr"}),
        ("advo_entries", frames.ROWS, {"entity_id"}),
        ("baseline", frames.BASELINE, set()),
        ("left_alone", frames.LEFT_ALONE, set()),
    ],
)
def test_a_frame_has_columns_of_its_table(
    store: Store, table: str, schema: frames.Schema, joined_columns: set[str]
) -> None:
    assert joined_columns <= set(schema) <= set(store.db[table].columns_dict) | joined_columns
    assert joined_columns.isdisjoint(store.db[table].columns_dict)


@pytest.mark.parametrize("script", MIGRATIONS)
def test_a_migration_is_taken_apart_where_its_statements_end(script: str) -> None:
    parts = split_statements(script)
    assert all(sqlite3.complete_statement(f"{part};") and not sqlite3.complete_statement(part) for part in parts)
    assert len(parts) == script.count(";")

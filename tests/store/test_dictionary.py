"""state/README.md is held to the schema: every table, view, column and word in plain words, no more and no less."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

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
from etl.rules.values.doubts import Doubt
from etl.rules.variants import Variant
from etl.store.queries.canned import CANNED_QUERIES

if TYPE_CHECKING:
    from enum import StrEnum

    from etl.store.database import Store

DICTIONARY = Path(__file__).parents[2] / "state" / "README.md"

ENUM_BY_HEADING: dict[str, type[StrEnum]] = {
    "status": PersonStatus,
    "variant": Variant,
    "reason of left_alone": LeftAloneReason,
    "doubt": Doubt,
    "outcome of array_puts": PutOutcome,
    "state of decisions": DecisionState,
    "state of changes": ChangeState,
    "outcome": RunOutcome,
    "kind of holds": HoldKind,
    "kind of endings": Absence,
}


@cache
def dictionary_sections(title: str) -> dict[str, list[str]]:
    """The names explained under each third-level heading of one part of the page, in order."""
    text = DICTIONARY.read_text(encoding="utf-8")
    body = re.split(r"^## ", text, flags=re.MULTILINE)
    part_text = next(piece for piece in body if piece.startswith(title))
    pieces = re.split(r"^### `(.+)`$", part_text, flags=re.MULTILINE)
    return {
        heading: re.findall(r"^\| `(\w+)` \| .+ \|$", table, flags=re.MULTILINE)
        for heading, table in zip(pieces[1::2], pieces[2::2], strict=True)
    }


def example_queries() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", DICTIONARY.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_every_table_is_explained_with_every_column(store: Store) -> None:
    tables = [name for name in store.db.table_names() if not name.startswith("sqlite_")]
    assert dictionary_sections("Tables") == {table: list(store.db[table].columns_dict) for table in tables}


def test_every_view_is_explained_with_every_column(store: Store) -> None:
    columns = {view: [column.name for column in store.db.view(view).columns] for view in store.db.view_names()}
    assert dictionary_sections("Views") == columns


def test_every_word_a_column_may_hold_is_explained() -> None:
    assert dictionary_sections("Words") == {
        heading: [str(word) for word in words] for heading, words in ENUM_BY_HEADING.items()
    }


def test_every_question_of_inspect_is_listed() -> None:
    question_lines = re.findall(
        r"^\| `(\w+)` \| (.+\?) \|$", DICTIONARY.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert [pair for pair in question_lines if pair[0] in CANNED_QUERIES] == [
        (name, question.title) for name, question in CANNED_QUERIES.items()
    ]


@pytest.mark.parametrize("name", CANNED_QUERIES)
def test_every_question_of_inspect_is_a_question_to_the_schema(store: Store, name: str) -> None:
    filled_in = dict.fromkeys(re.findall(r":([a-z_]+)", CANNED_QUERIES[name].sql), "")
    assert store.rows(CANNED_QUERIES[name].sql, filled_in) == []


def test_there_are_five_example_queries() -> None:
    assert len(example_queries()) == 5


@pytest.mark.parametrize("query", example_queries())
def test_an_example_query_runs(store: Store, query: str) -> None:
    assert store.rows(query) == []

"""state/README.md is held to the schema: every table, view, column and word in plain words, no more and no less."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from etl.rules.doubts import Doubt
from etl.rules.variants import Variant
from etl.store.questions import QUESTIONS
from etl.store.states import (
    Absence,
    ArrayOutcome,
    ChangeState,
    DecisionState,
    HoldKind,
    LeftAloneReason,
    Outcome,
    Status,
)

if TYPE_CHECKING:
    from enum import StrEnum

    from etl.store.database import Store

DICTIONARY = Path(__file__).parents[2] / "state" / "README.md"

WORDS: dict[str, type[StrEnum]] = {
    "status": Status,
    "variant": Variant,
    "reason of left_alone": LeftAloneReason,
    "doubt": Doubt,
    "outcome of array_puts": ArrayOutcome,
    "state of decisions": DecisionState,
    "state of changes": ChangeState,
    "outcome": Outcome,
    "kind of holds": HoldKind,
    "kind of endings": Absence,
}


@cache
def sections(part: str) -> dict[str, list[str]]:
    """The names explained under each third-level heading of one part of the page, in order."""
    text = DICTIONARY.read_text(encoding="utf-8")
    body = re.split(r"^## ", text, flags=re.MULTILINE)
    chosen = next(piece for piece in body if piece.startswith(part))
    found = re.split(r"^### `(.+)`$", chosen, flags=re.MULTILINE)
    return {
        heading: re.findall(r"^\| `(\w+)` \| .+ \|$", table, flags=re.MULTILINE)
        for heading, table in zip(found[1::2], found[2::2], strict=True)
    }


def examples() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", DICTIONARY.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_every_table_is_explained_with_every_column(store: Store) -> None:
    tables = [name for name in store.db.table_names() if not name.startswith("sqlite_")]
    assert sections("Tables") == {table: list(store.db[table].columns_dict) for table in tables}


def test_every_view_is_explained_with_every_column(store: Store) -> None:
    columns = {view: [column.name for column in store.db.view(view).columns] for view in store.db.view_names()}
    assert sections("Views") == columns


def test_every_word_a_column_may_hold_is_explained() -> None:
    assert sections("Words") == {heading: [str(word) for word in words] for heading, words in WORDS.items()}


def test_every_question_of_inspect_is_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.+\?) \|$", DICTIONARY.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [pair for pair in listed if pair[0] in QUESTIONS] == [(name, one.title) for name, one in QUESTIONS.items()]


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_of_inspect_is_a_question_to_the_schema(store: Store, name: str) -> None:
    filled_in = dict.fromkeys(re.findall(r":([a-z_]+)", QUESTIONS[name].sql), "")
    assert store.rows(QUESTIONS[name].sql, filled_in) == []


def test_there_are_five_example_queries() -> None:
    assert len(examples()) == 5


@pytest.mark.parametrize("query", examples())
def test_an_example_query_runs(store: Store, query: str) -> None:
    assert store.rows(query) == []

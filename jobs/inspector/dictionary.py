"""The data dictionary, ``state/README.md``, as data: ``inspect`` shows its words beside each table.

The page is the one source; a test holds it to the schema. A link beside this module leads to it, which an installed
advosync carries as a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.errors import ConfigError

DICTIONARY_PATH: Final = Path(__file__).with_name("dictionary.md")

WORDS_HINT: Final = re.compile(r",? see the words below")


@dataclass(frozen=True, slots=True)
class TableDoc:
    """A table or view: what one row is, or what it asks, and what each column means."""

    about: str
    columns: dict[str, str]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Tables, views and words of the dictionary."""

    tables: dict[str, TableDoc]
    views: dict[str, TableDoc]
    words: dict[str, dict[str, str]]


def load_dictionary() -> Dictionary:
    """The dictionary that came with this program."""
    try:
        return parse_dictionary(DICTIONARY_PATH.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{DICTIONARY_PATH} is missing from this installation; install advosync again.") from error


def parse_dictionary(page: str) -> Dictionary:
    """The dictionary a page holds: its parts Tables, Views and Words, one ``### `name` `` each."""
    words = {name: doc.columns for name, doc in parse_section(page, "Words").items()}
    with_words = {
        name: {column: with_word_list(name, column, meaning, words) for column, meaning in doc.columns.items()}
        for name, doc in parse_section(page, "Tables").items()
    }
    tables = parse_section(page, "Tables")
    return Dictionary(
        {name: TableDoc(doc.about, with_words[name]) for name, doc in tables.items()},
        parse_section(page, "Views"),
        words,
    )


def parse_section(page: str, title: str) -> dict[str, TableDoc]:
    """The entries of one second-level part."""
    body = re.split(rf"^## {title}$", page, maxsplit=1, flags=re.MULTILINE)[1]
    body = re.split(r"^## ", body, maxsplit=1, flags=re.MULTILINE)[0]
    pieces = re.split(r"^### `(.+)`$", body, flags=re.MULTILINE)
    return {name: parse_table_doc(text) for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def parse_table_doc(text: str) -> TableDoc:
    """The sentences before the table as one line, and the table's rows."""
    sentences, _, table = text.partition("\n|")
    rows = re.findall(r"^\|? ?`(\w+)` \| (.+) \|$", table, flags=re.MULTILINE)
    about = strip_markdown(" ".join(sentences.split()))
    return TableDoc(about, {name: strip_markdown(meaning) for name, meaning in rows})


def strip_markdown(text: str) -> str:
    """A sentence without Markdown's marks."""
    return text.replace("`", "")


def with_word_list(table: str, column: str, meaning: str, words: dict[str, dict[str, str]]) -> str:
    """A column's meaning, with the words it may hold in the place of a hint to them."""
    if not WORDS_HINT.search(meaning):
        return meaning
    word_meanings = words.get(f"{column} of {table}") or words.get(column) or {}
    word_list = "; ".join(f"{word}: {explanation}" for word, explanation in word_meanings.items())
    return WORDS_HINT.sub("", meaning) + (f" – {word_list}" if word_list else "")

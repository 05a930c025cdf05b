"""The data dictionary, ``state/README.md``, as data: what ``inspect`` says of a table is what is written there.

The page is the one source; a test holds it to the schema. A link beside this module leads to it, which an installed
advosync carries as a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.errors import ConfigError

PAGE: Final = Path(__file__).with_name("dictionary.md")

SEE_WORDS: Final = re.compile(r",? see the words below")


@dataclass(frozen=True, slots=True)
class Explained:
    """A table or view: what one row is, or what it asks, and what each column means."""

    about: str
    columns: dict[str, str]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """All of the page that a browser of the database can use."""

    tables: dict[str, Explained]
    views: dict[str, Explained]
    words: dict[str, dict[str, str]]


def load() -> Dictionary:
    """The dictionary that came with this program."""
    try:
        return read(PAGE.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{PAGE} is missing from this installation; install advosync again.") from error


def read(page: str) -> Dictionary:
    """The dictionary a page holds: its parts Tables, Views and Words, one ``### `name` `` each."""
    words = {name: explained.columns for name, explained in part(page, "Words").items()}
    with_words = {
        name: {column: spelled_out(name, column, told, words) for column, told in explained.columns.items()}
        for name, explained in part(page, "Tables").items()
    }
    tables = part(page, "Tables")
    return Dictionary(
        {name: Explained(explained.about, with_words[name]) for name, explained in tables.items()},
        part(page, "Views"),
        words,
    )


def part(page: str, title: str) -> dict[str, Explained]:
    """The entries of one second-level part."""
    body = re.split(rf"^## {title}$", page, maxsplit=1, flags=re.MULTILINE)[1]
    body = re.split(r"^## ", body, maxsplit=1, flags=re.MULTILINE)[0]
    pieces = re.split(r"^### `(.+)`$", body, flags=re.MULTILINE)
    return {name: explained(told) for name, told in zip(pieces[1::2], pieces[2::2], strict=True)}


def explained(told: str) -> Explained:
    """The sentences before the table as one line, and the table's rows."""
    sentences, _, table = told.partition("\n|")
    rows = re.findall(r"^\|? ?`(\w+)` \| (.+) \|$", table, flags=re.MULTILINE)
    return Explained(" ".join(sentences.split()), {name: plain(meaning) for name, meaning in rows})


def plain(text: str) -> str:
    """A sentence without Markdown's marks."""
    return text.replace("`", "")


def spelled_out(table: str, column: str, told: str, words: dict[str, dict[str, str]]) -> str:
    """A column's meaning, with the words it may hold in the place of a hint to them."""
    if not SEE_WORDS.search(told):
        return told
    known = words.get(f"{column} of {table}") or words.get(column) or {}
    listed = "; ".join(f"{word}: {meaning}" for word, meaning in known.items())
    return SEE_WORDS.sub("", told) + (f" – {listed}" if listed else "")

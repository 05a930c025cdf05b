"""The strings of ``tests/corpus``: what people type, and what each is (rules §0)."""

from __future__ import annotations

import ast
import csv
from dataclasses import dataclass
from pathlib import Path

from etl.records import Channel

CORPUS = Path(__file__).parent / "corpus"
FILES = ("contacts", "more_contacts", "odd_contacts")
NOT_CERTAIN = {"UNCLEAR", "TEXT"}


@dataclass(frozen=True)
class CorpusLine:
    """One line: ``says`` is E.164 (with ;ext=) or the mail address where it is certain, else UNCLEAR or TEXT."""

    value: str
    kind: str
    says: str
    shape: str

    @property
    def channel(self) -> Channel:
        return Channel.MAIL if self.kind == "mail" else Channel.PHONE

    @property
    def certain(self) -> bool:
        return self.says not in NOT_CERTAIN


def corpus_lines(*names: str) -> list[CorpusLine]:
    """The lines of these files, of all unless some are named."""
    return [line for name in names or FILES for line in _read_lines(CORPUS / f"{name}.tsv")]


def _read_lines(path: Path) -> list[CorpusLine]:
    text = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("# ")]
    rows = csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [CorpusLine(_unescape(row["string"]), row["kind"], _unescape(row["is"]), row["shape"]) for row in rows]


def _unescape(text: str) -> str:
    return str(ast.literal_eval('"' + text.replace('"', '\\"') + '"')) if "\\" in text else text

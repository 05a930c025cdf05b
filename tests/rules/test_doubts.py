"""Why a value is unclear, in words: each doubt is explained, and its examples are written as it says."""

from __future__ import annotations

import re

import pytest

from etl.records import Channel
from etl.rules.values.classify import Clarity, classify
from etl.rules.values.doubts import ADVICE, Doubt

DE = "DE"
DOUBT_EXAMPLES = [
    ("0171 2223334 privat", Doubt.WORDS),
    ("Tel. 0511 1234567", Doubt.WORDS),
    ("0511:1234567", Doubt.SIGNS),
    ("0511 1234567¹", Doubt.SIGNS),
    ("491711234567", Doubt.START_LOST),
    ("110", Doubt.START_LOST),
    ("0511 2345 0511 2346", Doubt.SEVERAL),
    ("+49 511 12345 +49 511 12346", Doubt.SEVERAL),
    ("0511 0511 12345", Doubt.SEVERAL),
    ("0511 12345/12346", Doubt.OR_SIGN),
    ("0511 12345-60-65", Doubt.OR_SIGN),
    ("030 234560, 234561", Doubt.OR_SIGN),
    ("0511 12345\n12346", Doubt.OR_SIGN),
    ("040 2345 (6789)", Doubt.BRACKETS),
    ("(0511 1234567", Doubt.BRACKETS),
    ("0511 12345-", Doubt.CUT_OFF),
    ("049 511 1234567", Doubt.PREFIX),
    ("+49 49 511 1234567", Doubt.PREFIX),
    ("0-0511-1234567", Doubt.PREFIX),
    ("02.03.2020", Doubt.DATE),
    ("01712223334.0", Doubt.DECIMAL),
    ("0511 12345-0 DW 60", Doubt.EXTENSIONS),
    ("0163 651068", Doubt.UNKNOWN),
    ("Max Muster <max@example.com>", Doubt.MORE_THAN_MAIL),
]


@pytest.mark.parametrize(("value", "doubt"), DOUBT_EXAMPLES)
def test_the_doubt_people_are_told_of(value: str, doubt: Doubt) -> None:
    value_meaning = classify(Channel.MAIL if "@" in value else Channel.PHONE, value, DE)
    assert value_meaning is not None
    assert (value_meaning.clarity, value_meaning.doubt) == (Clarity.UNCLEAR, doubt)


def test_every_doubt_was_seen() -> None:
    assert {doubt for _, doubt in DOUBT_EXAMPLES} == set(Doubt)


@pytest.mark.parametrize("doubt", Doubt)
def test_every_doubt_is_explained_by_what_is_certain(doubt: Doubt) -> None:
    """Who writes it as the advice says is understood."""
    advice = ADVICE[doubt]
    examples = re.findall(r'"([^"]+)"', advice.correction)
    assert advice.reason.endswith(".")
    assert examples
    for example in examples:
        value_meaning = classify(Channel.MAIL if "@" in example else Channel.PHONE, example, DE)
        assert value_meaning is not None
        assert value_meaning.clarity is Clarity.CERTAIN

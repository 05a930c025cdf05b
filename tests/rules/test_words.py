"""Staff read German: every sentence that can reach a record's error field has one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from etl.errors import Forbidden, Gone, Refused
from etl.rules.words import GERMAN, for_staff

ETL = Path(__file__).parents[2] / "etl"
READ_BY_STAFF = {"Malformed", "Unverified"}


def sentence(node: ast.expr) -> str:
    """An f-string with a word for each thing put in."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "something" for part in parts)


def sentences() -> list[str]:
    """What the code says where it raises an error of one person."""
    found = []
    for path in sorted(ETL.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in READ_BY_STAFF
            if called and isinstance(node, ast.Call):
                found.append(sentence(node.args[0]))
    return found


def test_the_code_is_found() -> None:
    assert len(sentences()) >= 10


OF_CLASSES = [str(Gone("EspoCRM", "x")), str(Refused("Advoware", 400, "no")), str(Forbidden("EspoCRM", "no"))]


@pytest.mark.parametrize("english", [*sentences(), *OF_CLASSES])
def test_every_sentence_about_a_person_has_its_german(english: str) -> None:
    assert for_staff(english, "de") != english
    assert for_staff(english, "en") == english


@pytest.mark.parametrize(("english", "german"), GERMAN.items())
def test_nothing_is_lost_but_what_only_programmers_ask_for(english: str, german: str) -> None:
    named = {part.split("}")[0] for part in english.split("{")[1:]}
    assert {part.split("}")[0] for part in german.split("{")[1:]} >= named - {"kind"}


def test_the_sentence_that_fits_best_is_taken_and_values_are_kept() -> None:
    twice = for_staff("Advoware's Beteiligter 104711: kommunikation holds an id twice.", "de")
    assert twice == "Advoware nennt bei Beteiligtem 104711 eine Kommunikation zweimal."
    refused = for_staff("EspoCRM refused the write (400): {field: phone}\nzwei Zeilen", "de")
    assert refused == "EspoCRM hat den Eintrag abgelehnt (400): {field: phone}\nzwei Zeilen"


def test_a_sentence_nobody_knows_stays_as_it_is() -> None:
    assert for_staff("Something new.", "de") == "Something new."

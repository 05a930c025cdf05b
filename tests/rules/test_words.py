"""Staff read German: every sentence that can reach a record's error field has one; some sentences are data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from etl.enums import NoteCause
from etl.errors import Forbidden, NotFound, Refused
from etl.rules.espo.german_errors import GERMAN_ERRORS, translate_error

ETL = Path(__file__).parents[2] / "etl"
ERRORS_FOR_STAFF = {"MalformedPayload", "VerificationFailed"}


def sentence_of(node: ast.expr) -> str:
    """An f-string with a word for each thing put in."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "something" for part in parts)


def error_sentences() -> list[str]:
    """What the code says where it raises an error of one person."""
    texts = []
    for path in sorted(ETL.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_error = (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS_FOR_STAFF
            )
            if is_error and isinstance(node, ast.Call):
                texts.append(sentence_of(node.args[0]))
    return texts


def test_the_code_is_found() -> None:
    assert len(error_sentences()) >= 10


CLASS_MESSAGES = [str(NotFound("EspoCRM", "x")), str(Refused("Advoware", 400, "no")), str(Forbidden("EspoCRM", "no"))]


@pytest.mark.parametrize("english", [*error_sentences(), *CLASS_MESSAGES])
def test_every_sentence_about_a_person_has_its_german(english: str) -> None:
    assert translate_error(english, "de") != english
    assert translate_error(english, "en") == english


@pytest.mark.parametrize(("english", "german"), GERMAN_ERRORS.items())
def test_nothing_is_lost_but_what_only_programmers_ask_for(english: str, german: str) -> None:
    placeholders = {part.split("}")[0] for part in english.split("{")[1:]}
    assert {part.split("}")[0] for part in german.split("{")[1:]} >= placeholders - {"kind"}


def test_the_sentence_that_fits_best_is_taken_and_values_are_kept() -> None:
    german_twice = translate_error("Advoware's Beteiligter 104711: kommunikation holds an id twice.", "de")
    assert german_twice == "Advoware nennt bei Beteiligtem 104711 eine Kommunikation zweimal."
    german_refusal = translate_error("EspoCRM refused the write (400): {field: phone}\nzwei Zeilen", "de")
    assert german_refusal == "EspoCRM hat den Eintrag abgelehnt (400): {field: phone}\nzwei Zeilen"


def test_a_sentence_nobody_knows_stays_as_it_is() -> None:
    assert translate_error("Something new.", "de") == "Something new."


def test_a_note_is_known_by_the_words_that_stores_of_every_age_hold() -> None:
    assert {cause.name: cause.value for cause in NoteCause} == {
        "UNDO": "undone",
        "TYPE_CHANGE": "type changed in EspoCRM",
        "OWN_LEFTOVER": "our own second row",
        "SPLIT_PAIR": "an earlier version took two values for one",
    }
    assert NoteCause.UNDO.is_cause_of("undone by run 7; edit it to sync it again")
    assert not NoteCause.UNDO.is_cause_of("direction to_advoware holds it back")

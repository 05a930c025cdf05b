"""The phone table of tests/scenarios.md, each spelling through whole runs over HTTP (region DE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.notation import LEGEND
from tests.play import run_scenarios

if TYPE_CHECKING:
    from tests.http_harness import HttpHarness

SAME_NUMBER = ["0511/12345-60", "(0511) 12345 60", "+49 511 1234560", "0049 511 1234560"]
NO_PLAIN_NUMBER = [
    # written                         a number somebody could read in it
    ("0511 12345 DW 60",              "+4951112345"),
    ("+49 511 12345 ext. 60",         "+495111234560"),
    ("abc",                           "+495111234560"),
]  # fmt: skip
UNCLEAR = [
    # written                         a number somebody could read in it
    ("0171 2223334 privat",           "+491712223334"),
    ("0511-123456 (nur 9-12)",        "+49511123456"),
    ("0511 12345 App. 12",            "+4951112345"),
    ("0511 123456 ab 18",             "+49511123456"),
    ("Mutter: 0511 123456",           "+49511123456"),
    ("privat 0171 2223334",           "+491712223334"),
    ("0511 12345 oder 0171 2223334",  "+491712223334"),
]  # fmt: skip
SPELLINGS = [
    ("+49 511 12345 ext. 60",         "0511/12345 DW 60"),
    *((text, f" {text.replace(' ', '  ')} ") for text, _ in (NO_PLAIN_NUMBER[2], *UNCLEAR)),
]  # fmt: skip

LINKED = """one entry: no second number anywhere, nobody's spelling changes
before   e Office *        | 88001 1 v         | Zentrale
after    e Office *        | 88001 1 v         | m(e:1) Zentrale
calls    E:GET A:GET A:PUT A:GET E:PUT
did      link
"""

APART = """two entries: what is no plain number stays in Advoware as it is, is named, and is nobody's failure
before   e Office *        | 88001 1 v         | Zentrale
after    e Office *        | 88001 1 v         | Zentrale
                           | 88002 1 e         | m(e:1)
left     unsyncable advo v
calls    E:GET A:GET A:POST A:GET E:PUT
did      var1
"""


BESIDE = """nobody can tell whether they are one entry: both stay as they are, are named, and are nobody's failure
before   y Fax *           | 88001 2 y         |
         e Office          | 88002 1 v         | Zentrale
after    y Fax *           | 88001 2 y         | m(y:2)
         e Office          | 88002 1 v         | Zentrale
left     unclear advo v
         unclear espo e
did      link
"""


@pytest.mark.parametrize("advo_value", SAME_NUMBER)
def test_spellings_of_one_number_are_one_entry(http_harness: HttpHarness, advo_value: str) -> None:
    run_scenarios(http_harness, LINKED, legend={"e": LEGEND["x"], "v": advo_value})


@pytest.mark.parametrize(("advo_value", "number"), NO_PLAIN_NUMBER)
def test_what_espocrm_cannot_hold_is_never_sent_to_it_as_a_number(
    http_harness: HttpHarness, advo_value: str, number: str
) -> None:
    run_scenarios(http_harness, APART, legend={"e": number, "v": advo_value})


@pytest.mark.parametrize(("advo_value", "number"), UNCLEAR)
def test_what_may_be_the_number_is_left_alone_with_it(http_harness: HttpHarness, advo_value: str, number: str) -> None:
    run_scenarios(http_harness, BESIDE, legend={"e": number, "v": advo_value})


@pytest.mark.parametrize("advo_value", ["123456", "0511/12345-60/61"])
def test_what_nobody_can_read_never_reaches_espocrm(http_harness: HttpHarness, advo_value: str) -> None:
    run_scenarios(http_harness, APART.replace("unsyncable", "unclear"), legend={"e": LEGEND["z"], "v": advo_value})


@pytest.mark.parametrize(("in_espo", "in_advo"), SPELLINGS)
def test_extensions_and_texts_are_compared_where_espocrm_keeps_them(
    http_harness: HttpHarness, in_espo: str, in_advo: str
) -> None:
    """An upgraded EspoCRM takes any text: an extension is part of a number, and inner blanks do not count."""
    http_harness.espo.store.settings["phoneNumberInternational"] = False
    run_scenarios(http_harness, LINKED, legend={"e": in_espo, "v": in_advo})

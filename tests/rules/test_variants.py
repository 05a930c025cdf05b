"""The decision table: every combination has exactly one row, and it is the one rules §3 tells in words."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import pytest

from etl.records import Direction, Scope
from etl.rules.joins.facts import decision_table
from etl.rules.variants import FACTS, RULES, Resolution, Variant, is_person_conflict, resolve, rule_matches

COMBINATIONS = list(product((False, True), repeat=len(FACTS)))


class FactsOfEntry(NamedTuple):
    """The seven facts by name."""

    known: bool
    in_espo: bool
    in_advo: bool
    espo_edit: bool
    advo_edit: bool
    type_edit: bool
    marked: bool


def variant_in_words(entry: FactsOfEntry) -> str:  # noqa: PLR0911 - one history, one return
    """rules §3 told a second time: what happened to an entry."""
    if not entry.known:
        sides = (entry.in_espo, entry.in_advo)
        return {(True, False): "var1", (False, True): "var4", (True, True): "link", (False, False): "same"}[sides]
    if not entry.in_espo and not entry.in_advo:
        return "forget"
    if not entry.in_espo:
        return "clash" if entry.advo_edit else "var2"
    if not entry.in_advo:
        return "var1" if entry.espo_edit else "var3"
    if entry.advo_edit:
        return "clash" if entry.espo_edit else "var6"
    if entry.type_edit:
        return "retype"
    if entry.espo_edit:
        return "var5"
    return "same" if entry.marked else "repair"


def test_every_combination_has_exactly_one_rule() -> None:
    assert {facts: sum(rule_matches(rule, facts) for rule in RULES) for facts in COMBINATIONS} == dict.fromkeys(
        COMBINATIONS, 1
    )


def test_every_rule_is_needed() -> None:
    assert [rule for rule in RULES if not any(rule_matches(rule, facts) for facts in COMBINATIONS)] == []


def test_table_has_each_of_the_128_combinations_once() -> None:
    table = decision_table()
    assert len(table) == 128
    assert not table.duplicated(FACTS).any()


@pytest.mark.parametrize("facts", COMBINATIONS, ids=lambda facts: "".join("NY"[fact] for fact in facts))
def test_variant_is_what_the_rules_tell_in_words(facts: tuple[bool, ...]) -> None:
    assert list(FactsOfEntry._fields) == FACTS
    [rule] = [rule for rule in RULES if rule_matches(rule, facts)]
    assert rule.variant == variant_in_words(FactsOfEntry(*facts))


def test_what_was_never_agreed_is_never_emptied_removed_or_overwritten() -> None:
    """A first sync destroys nothing: without a known pair there are only these."""
    unknown = decision_table().query("not known")
    assert set(unknown["variant"]) == {"var1", "var4", "link", "same"}


# Who wins ---------------------------------------------------------------------------------------------------------

WHO_WINS = """
            both   both, person's conflict   to_advoware   to_espocrm
var1        go     go                        go            hold
var2        go     go                        go            hold
var3        go     revert                    revert        go
var4        go     revert                    revert        go
var5        go     go                        go            hold
var6        go     revert                    revert        go
retype      go     go                        go            hold
link        go     go                        go            go
repair      go     go                        go            go
clash       go     go                        go            hold
forget      go     go                        go            go
leftover    go     go                        go            hold
same        go     go                        go            go
"""

VERDICT_LINES = [line.split() for line in WHO_WINS.splitlines()[2:]]
DIRECTIONS_AND_CONFLICTS = [
    (Direction.BOTH, False),
    (Direction.BOTH, True),
    (Direction.TO_ADVOWARE, None),  # whether the person is in conflict makes no difference
    (Direction.TO_ESPOCRM, None),
]
VERDICTS = [
    (Variant(name), direction, person_conflict, Resolution(expected))
    for name, *verdicts in VERDICT_LINES
    for (direction, conflict), expected in zip(DIRECTIONS_AND_CONFLICTS, verdicts, strict=True)
    for person_conflict in ([False, True] if conflict is None else [conflict])
]


def test_the_table_of_verdicts_has_every_variant_that_is_decided() -> None:
    assert {name for name, *_ in VERDICT_LINES} == {rule.variant for rule in RULES} | {Variant.LEFTOVER}


@pytest.mark.parametrize(("variant", "direction", "conflict", "expected"), VERDICTS)
def test_the_winner_is_as_the_table_says(
    variant: Variant, direction: Direction, conflict: bool, expected: Resolution  # noqa: FBT001
) -> None:
    assert resolve(variant, direction, person_conflict=conflict, unsafe_to_revert=False) == expected


@pytest.mark.parametrize(("variant", "direction", "conflict", "expected"), VERDICTS)
def test_first_sync_reverts_nothing(
    variant: Variant, direction: Direction, conflict: bool, expected: Resolution  # noqa: FBT001
) -> None:
    """What to_advoware would take away is held back; in the other directions it goes its way."""
    without_revert = Resolution.LEAVE if direction is Direction.TO_ADVOWARE else Resolution.APPLY
    assert resolve(variant, direction, person_conflict=conflict, unsafe_to_revert=True) == (
        without_revert if expected is Resolution.REVERT else expected
    )


@pytest.mark.parametrize(
    ("variants", "conflict"),
    [
        ("var1 var4",       True),
        ("var2 var3",       True),
        ("var5 var6",       True),
        ("retype var6",     True),
        ("clash",           True),   # one entry is enough: both sides changed
        ("var1 var2 var5",  False),
        ("var3 var4 var6",  False),
        ("var5 link",       False),  # an agreement is a change of nobody
        ("var6 repair",     False),
        ("forget var6",     False),
        ("leave var1",      False),
        ("leftover var4",   False),
        ("",                False),
    ],
)  # fmt: skip
def test_person_is_in_conflict_when_both_sides_changed(variants: str, conflict: bool) -> None:  # noqa: FBT001
    assert is_person_conflict(set(variants.split()), Scope.PERSON) == conflict
    assert not is_person_conflict(set(variants.split()), Scope.ENTRY)

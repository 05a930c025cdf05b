"""The protections of typed values (rules.md §0), each taken away by name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from etl.records import Channel
from etl.rules.cleaning import clean
from etl.rules.doubts import Doubt
from etl.rules.entry import NONE
from etl.rules.values import LITERAL, Clarity, Value
from tests import test_unclear_values as typed
from tests.practice import Practice
from tests.simulation import test_typed_values as cases
from tests.simulation.taken_away import Mutation, Worlds

Read = Callable[[Channel, str | None, str], Value | None]


def in_practice(test: Callable[..., None], *values: str) -> None:
    """A case of whole runs, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        test(Practice.of(Path(folder), 0), *values)


def uncleaned(real: Read) -> Read:
    """What is not typed plainly is text."""

    def read(channel: Channel, value: str | None, region: str) -> Value | None:
        plain = value is None or clean(value) == value
        return real(channel, value, region) if plain else Value(Clarity.TEXT, f"{LITERAL}{value}")

    return read


def casefolded(real: Read) -> Read:
    """Mails are compared folded, as the first edition did."""

    def read(channel: Channel, value: str | None, region: str) -> Value | None:
        says = real(channel, value, region)
        return replace(says, canonical=says.canonical.casefold()) if says and channel is Channel.MAIL else says

    return read


def completed(real: Read) -> Read:
    """What has neither + nor 0 gets the country code, as the first edition did it."""

    def read(channel: Channel, value: str | None, region: str) -> Value | None:
        says = real(channel, value, region)
        lost = says is not None and says.doubt is Doubt.START_LOST
        return Value(Clarity.CERTAIN, f"+49{clean(value or '')}") if lost else says

    return read


def by_value_only(_real: object) -> Callable[..., Any]:
    """No item is known by the string that the baseline keeps."""
    return lambda items, base: (np.full(len(items[0]), NONE), np.full(len(base[0]), NONE))


MUTATIONS_OF_VALUES = (
    Mutation(
        "values are not cleaned",
        ("etl.rules.observed:classify",),
        uncleaned,
        Worlds(),
        case=partial(
            in_practice,
            typed.test_the_same_number_written_oddly_links_and_is_not_posted_a_second_time,
            "0511\u200b1234560",
        ),
    ),
    Mutation(
        "readings prevent nothing",
        ("etl.rules.unclear:is_reading",),
        lambda _real: lambda *_args: False,
        Worlds(),
        case=partial(
            in_practice,
            typed.test_a_reading_of_an_unclear_row_is_not_posted_beside_it,
            "0511 1234560 / 0171 2223334",
            "+491712223334",
        ),
    ),
    Mutation(
        "a number is made of what lost its beginning",
        ("etl.rules.observed:classify", "etl.rules.canonical:classify"),
        completed,
        Worlds(),
        case=cases.test_no_number_is_made_of_what_lost_its_beginning,
    ),
    Mutation(
        "mails are casefolded",
        ("etl.rules.observed:classify", "etl.rules.canonical:classify"),
        casefolded,
        Worlds(),
        case=partial(in_practice, typed.test_two_domains_that_only_folding_makes_one_are_two_addresses),
    ),
    Mutation(
        "kept strings do not go first",
        ("etl.rules.keys:kept_keys",),
        by_value_only,
        Worlds(),
        case=partial(in_practice, typed.test_two_agreed_pairs_that_are_one_number_for_a_newer_grammar_stay_pairs),
    ),
)

"""The protections of typed values (rules §0), each taken away by name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from etl.records import Channel
from etl.rules.values.classify import LITERAL, Clarity, Value
from etl.rules.values.cleaning import clean
from etl.rules.values.doubts import Doubt
from tests.etl import test_unclear_values as typed
from tests.harness import SyncHarness
from tests.simulation import test_typed_values as cases
from tests.simulation.taken_away import Mutation, WorldSpec

ParseValue = Callable[[Channel, str | None, str], Value | None]


def run_in_harness(test: Callable[..., None], *values: str) -> None:
    """A case of whole runs, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        test(SyncHarness(Path(folder), 0), *values)


def without_cleaning(real: ParseValue) -> ParseValue:
    """What is not typed plainly is text."""

    def parse(channel: Channel, value: str | None, region: str) -> Value | None:
        is_plain = value is None or clean(value) == value
        return real(channel, value, region) if is_plain else Value(Clarity.TEXT, f"{LITERAL}{value}")

    return parse


def casefold_mails(real: ParseValue) -> ParseValue:
    """Mails are compared folded, as the first edition did."""

    def parse(channel: Channel, value: str | None, region: str) -> Value | None:
        parsed = real(channel, value, region)
        return replace(parsed, canonical=parsed.canonical.casefold()) if parsed and channel is Channel.MAIL else parsed

    return parse


def complete_numbers(real: ParseValue) -> ParseValue:
    """What has neither + nor 0 gets the country code, as the first edition did it."""

    def parse(channel: Channel, value: str | None, region: str) -> Value | None:
        parsed = real(channel, value, region)
        start_lost = parsed is not None and parsed.doubt is Doubt.START_LOST
        return Value(Clarity.CERTAIN, f"+49{clean(value or '')}") if start_lost else parsed

    return parse


def match_by_value_only(_real: object) -> Callable[..., Any]:
    """No item is known by the string that the baseline keeps."""
    return lambda *frames: tuple(frame.assign(text=pd.array([None] * len(frame), dtype="Int64")) for frame in frames)


MUTATIONS_OF_VALUES = (
    Mutation(
        "values are not cleaned",
        ("etl.rules.snapshot_records:classify",),
        without_cleaning,
        WorldSpec(),
        case=partial(
            run_in_harness,
            typed.test_the_same_number_written_oddly_links_and_is_not_posted_a_second_time,
            "0511\u200b1234560",
        ),
    ),
    Mutation(
        "readings prevent nothing",
        ("etl.rules.unclear:is_reading",),
        lambda _real: lambda *_args: False,
        WorldSpec(),
        case=partial(
            run_in_harness,
            typed.test_a_reading_of_an_unclear_row_is_not_posted_beside_it,
            "0511 1234560 / 0171 2223334",
            "+491712223334",
        ),
    ),
    Mutation(
        "a number is made of what lost its beginning",
        ("etl.rules.snapshot_records:classify", "etl.rules.values.canonical:classify"),
        complete_numbers,
        WorldSpec(),
        case=cases.test_no_number_is_made_of_what_lost_its_beginning,
    ),
    Mutation(
        "mails are casefolded",
        ("etl.rules.snapshot_records:classify", "etl.rules.values.canonical:classify"),
        casefold_mails,
        WorldSpec(),
        case=partial(run_in_harness, typed.test_two_domains_that_only_folding_makes_one_are_two_addresses),
    ),
    Mutation(
        "kept strings do not go first",
        ("etl.rules.joins.keys:add_texts",),
        match_by_value_only,
        WorldSpec(),
        case=partial(run_in_harness, typed.test_two_agreed_pairs_that_are_one_number_for_a_newer_grammar_stay_pairs),
    ),
)

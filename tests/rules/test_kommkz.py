"""The kommKz table and how a row finds its channel and kommKz: Advoware §3, rules §3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.records import Channel
from etl.rules.joins.facts import first_valid
from etl.rules.marker import MarkerKind
from etl.rules.values.canonical import e164
from etl.rules.values.kommkz import KommKzTable, channel_by_shape, field_komm_kz, row_channel

PHONE, MAIL = Channel.PHONE, Channel.MAIL
NONE, MARKER, SLOT, DAMAGED = MarkerKind
TABLE = KommKzTable.default()
LANDLINE = "0511 1234560"
MOBILE = "0171 2223334"
TEXT = "nur abends"
UNCLEAR = "Mutter: 0511 123456"


@pytest.mark.parametrize(
    ("komm_kz", "channel", "espo_type"),
    [
        (1, PHONE, "Office"),
        (2, PHONE, "Fax"),
        (3, PHONE, "Mobile"),
        (4, MAIL, None),
        (5, None, None),
        (6, PHONE, "Home"),
        (7, PHONE, "Fax"),
        (8, MAIL, None),
        (9, PHONE, "Mobile"),
        (10, PHONE, "Other"),
        (11, None, None),
        (12, None, None),
        (0, None, None),
        (13, None, None),
        (None, None, None),
    ],
)
def test_table_is_the_one_of_the_api_page(komm_kz: int | None, channel: Channel | None, espo_type: str | None) -> None:
    """Every row of Advoware §3, and what it does not list."""
    assert TABLE.channel(komm_kz) is channel
    assert TABLE.espo_type(komm_kz) == espo_type


@pytest.mark.parametrize(
    ("espo_type", "channel", "komm_kz"),
    [
        ("Office", PHONE, 1),
        ("Fax", PHONE, 2),
        ("Mobile", PHONE, 3),
        ("Home", PHONE, 6),
        ("Other", PHONE, 10),
        ("Hotline", PHONE, 1),
        (None, PHONE, 1),
        (None, MAIL, 4),
        ("Office", MAIL, 4),
    ],
)
def test_espocrm_type_gives_the_kommkz(espo_type: str | None, channel: Channel, komm_kz: int) -> None:
    """From EspoCRM: the last line of Advoware §3."""
    assert TABLE.komm_kz_for_type(espo_type, channel) == komm_kz


def test_text_is_never_filed_under_sonstige() -> None:
    """There it would not be sync-relevant any more, and the pair would be lost."""
    assert TABLE.komm_kz_for_type("Other", PHONE, is_number=False) == 1
    assert TABLE.komm_kz_for_type("Mobile", PHONE, is_number=False) == 3


@pytest.mark.parametrize(
    ("overrides", "komm_kz", "channel", "espo_type"),
    [
        ({}, 1, PHONE, "Office"),
        ({9: {"relevant": False}}, 9, None, None),
        ({9: {"espo_type": "Car"}}, 9, PHONE, "Car"),
        ({11: {"channel": "mail", "relevant": True}}, 11, MAIL, None),
        ({9: {"channel": "mail"}}, 9, MAIL, None),
        ({5: {"channel": "phone", "espo_type": "Other", "relevant": True, "name": "Funk"}}, 5, PHONE, "Other"),
        ({9: {"channel": None, "relevant": False}}, 9, None, None),
    ],
)
def test_firm_overrides_a_kind(
    overrides: dict[int, dict[str, Any]], komm_kz: int, channel: Channel | None, espo_type: str | None
) -> None:
    """A partial override changes what it names, and the default table stays as it is."""
    table = TABLE.with_overrides(overrides)
    assert (table.channel(komm_kz), table.espo_type(komm_kz)) == (channel, espo_type)
    assert KommKzTable.default() == TABLE


def test_types_follow_the_overridden_table() -> None:
    """An overridden type is found, and a kind that was switched off is not used for new entries."""
    table = TABLE.with_overrides({9: {"espo_type": "Car"}, 3: {"relevant": False}})
    assert table.komm_kz_for_type("Car", PHONE) == 9
    assert table.komm_kz_for_type("Mobile", PHONE) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({13: {"name": "x"}}, "sync.komm_kz.13: there is no such kommKz"),
        ({0: {}}, "sync.komm_kz.0: there is no such kommKz"),
        ({1: {"typ": "Office"}}, "sync.komm_kz.1: unknown key typ"),
        ({1: {"numbers_only": True}}, "unknown key numbers_only"),
        ({1: None}, "None is not a mapping"),
        ({1: {"channel": "fax"}}, "the channel 'fax' is not phone, mail or null"),
        ({1: {"channel": ["mail"]}}, "is not phone, mail or null"),
        ({1: {"relevant": "yes"}}, "relevant is 'yes'"),
        ({1: {"name": " "}}, "the name ' ' is no text"),
        ({1: {"espo_type": None}}, "a phone needs EspoCRM's type"),
        ({1: {"espo_type": 3}}, "a phone needs EspoCRM's type"),
        ({4: {"espo_type": "Office"}}, "only a phone has a type"),
        ({5: {"relevant": True}}, "what is relevant needs a channel"),
        ({4: {"relevant": False}, 8: {"relevant": False}}, "no kommKz is left for the channel mail"),
    ],
)
def test_nonsense_in_the_configuration_is_refused_in_one_sentence(overrides: Any, message: str) -> None:
    """The message names kommKz and key."""
    with pytest.raises(ValueError, match=r"sync\.komm_kz") as error:
        TABLE.with_overrides(overrides)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("value", "channel"),
    [
        ("https://kanzlei.de", None),
        ("HTTP://max@kanzlei.de/x", None),
        ("www.kanzlei.de", None),
        ("a@b.de", MAIL),
        ("Max Muster <a@b.de>", MAIL),
        ("mailto:a@b.de", MAIL),
        ("kanzlei-muster.de", None),
        ("kanzlei.de/kontakt", None),
        ("Kanzlei-Müller.de", None),
        ("recht.kanzlei.co.uk:8080/a?b#c", None),
        ("DE.BRAK_SPT.0f3a-12.4711", None),
        ("DE.BRAK.0f3a1b2c-12.4711", None),
        ("DE.Justiz.abc-12.0001", None),
        (LANDLINE, PHONE),
        ("0511.12345.60", PHONE),
        ("skype:max", PHONE),
        ("Zentrale: 0511.12345", PHONE),
        ("nach Termin.bitte", PHONE),
        (TEXT, PHONE),
        ("abc", PHONE),
    ],
)
def test_value_shows_its_channel(value: str, channel: Channel | None) -> None:
    """Web addresses, bare domains and beA ids are none of ours; what is nothing else is a phone."""
    assert channel_by_shape(value) is channel
    assert channel_by_shape(f" {value}\n") is channel


@given(st.text("0123456789 +()-./", max_size=20))
def test_every_number_is_a_phone_by_shape(value: str) -> None:
    """No number is mistaken for a domain."""
    if e164(value, "DE") is not None:
        assert channel_by_shape(value) is PHONE


@pytest.mark.parametrize(
    ("value", "kind", "marker_komm_kz", "komm_kz", "channel"),
    [
        (LANDLINE, NONE, None, 0, PHONE),
        ("a@b.de", NONE, None, 0, MAIL),
        ("a@b.de", DAMAGED, None, 0, MAIL),
        ("www.kanzlei.de", NONE, None, 0, None),
        ("a@b.de", NONE, None, 1, MAIL),  # a person typed a mail into a phone row
        (LANDLINE, NONE, None, 5, None),
        (LANDLINE, NONE, None, 11, None),
        ("a@b.de", NONE, None, 12, None),
        (LANDLINE, NONE, None, 99, None),
        (LANDLINE, NONE, None, 10, PHONE),
        (TEXT, NONE, None, 10, None),
        (UNCLEAR, NONE, None, 10, PHONE),  # it may be a number
        ("a@b.de", NONE, None, 10, None),
        (LANDLINE, SLOT, 1, 0, PHONE),
        ("a@b.de", SLOT, 1, 0, MAIL),
        ("www.kanzlei.de", SLOT, 1, 0, None),
        (LANDLINE, SLOT, 10, 0, PHONE),
        (TEXT, SLOT, 10, 0, None),
        (TEXT, SLOT, 1, 0, PHONE),
        (LANDLINE, MARKER, 3, 0, PHONE),
        ("a@b.de", MARKER, 3, 0, PHONE),  # unsyncable, yet the pair is kept
        ("www.kanzlei.de", MARKER, 3, 0, PHONE),
        (LANDLINE, MARKER, 4, 0, MAIL),
        (LANDLINE, MARKER, 5, 0, None),
        (LANDLINE, MARKER, 3, 5, PHONE),
        (LANDLINE, MARKER, 10, 0, PHONE),
        (TEXT, MARKER, 10, 0, None),
        (None, NONE, None, 0, None),
        ("", NONE, None, 1, None),
        (" ", MARKER, 4, 0, MAIL),
        ("", SLOT, 3, 0, PHONE),
        ("", SLOT, 10, 0, PHONE),
        ("", SLOT, 5, 0, None),
    ],
)
def test_row_finds_its_channel(
    value: str | None, kind: MarkerKind, marker_komm_kz: int | None, komm_kz: int, channel: Channel | None
) -> None:
    """Unmarked rows and filled slots by the shape of their value, marked rows by their kommKz."""
    assert row_channel(value, kind, marker_komm_kz, komm_kz, "DE", TABLE) is channel


def first_komm_kz(channel: Channel, *candidates: int, number: bool = True) -> int:
    """The kommKz of one entry: marker, baseline, payload, top-level field, EspoCRM's type, mobile."""
    sources = [np.array([komm_kz]) for komm_kz in candidates]
    return int(first_valid(sources, np.array([channel is MAIL]), np.array([number]), TABLE)[0])


@pytest.mark.parametrize(
    ("channel", "candidates", "komm_kz"),
    [
        (PHONE, (3, 1), 3),  # K1
        (PHONE, (0, 0, 0, 3), 3),  # K2
        (MAIL, (), 4),  # K4
        (PHONE, (0, 0, 0, 0, 0, 3), 3),  # K4
        (PHONE, (), 1),  # K5
        (PHONE, (0, 6, 2), 6),
        (PHONE, (0, 0, 2, 3), 2),
        (PHONE, (0, 0, 0, 9, 6), 9),
        (PHONE, (0, 0, 0, 0, 6, 3), 6),
        (MAIL, (3, 8), 8),  # a mail typed into a phone slot
        (MAIL, (3, 0, 0, 0, 0, 3), 4),
        (PHONE, (0, 0, 5, 4), 1),
        (PHONE, (0, 10), 10),
    ],
)
def test_first_answer_that_fits_the_channel_is_the_kommkz(
    channel: Channel, candidates: tuple[int, ...], komm_kz: int
) -> None:
    """Marker, baseline, payload, top-level field, EspoCRM's type, a mobile number, the default."""
    assert first_komm_kz(channel, *candidates) == komm_kz


@pytest.mark.parametrize(("number", "komm_kz"), [(True, 10), (False, 1)])
def test_text_is_never_sonstige(number: bool, komm_kz: int) -> None:  # noqa: FBT001
    assert first_komm_kz(PHONE, 0, 10, number=number) == komm_kz


@given(st.sampled_from(Channel), st.lists(st.integers(0, 13), max_size=6), st.booleans())
def test_kommkz_always_fits_the_channel_of_its_row(channel: Channel, candidates: list[int], number: bool) -> None:  # noqa: FBT001
    """Whatever is told, the marker written from it leads back to the same channel."""
    komm_kz = first_komm_kz(channel, *candidates, number=number)
    value = (LANDLINE if number else TEXT) if channel is PHONE else "a@b.de"
    assert row_channel(value, MARKER, komm_kz, 0, "DE", TABLE) is channel


@pytest.mark.parametrize(
    ("value", "channel", "fields", "komm_kz"),
    [
        ("0171/2223334", PHONE, {"mobil": "+49 171 2223334"}, 3),
        (LANDLINE, PHONE, {"TelGesch": "0511/12345-60", "telPrivat": "030 1"}, 1),
        (LANDLINE, PHONE, {"faxPrivat": LANDLINE, "faxGesch": LANDLINE}, 2),
        (LANDLINE, PHONE, {"telPrivat": LANDLINE}, 6),
        (LANDLINE, PHONE, {"autotelefon": LANDLINE}, 9),
        (LANDLINE, PHONE, {"sonstige": LANDLINE}, 10),
        (TEXT, PHONE, {"sonstige": TEXT}, None),
        (TEXT, PHONE, {"telPrivat": TEXT}, 6),
        ("A@b.de", MAIL, {"emailGesch": "a@B.de"}, 4),
        ("a@b.de", MAIL, {"mailGesch": "a@b.de"}, 4),
        ("a@b.de", MAIL, {"emailPrivat": "a@b.de"}, 8),
        ("a@b.de", MAIL, {"MAILPRIVAT": "a@b.de"}, 8),
        ("a@b.de", MAIL, {"mobil": "a@b.de"}, None),
        (LANDLINE, PHONE, {"emailGesch": LANDLINE}, None),
        (LANDLINE, PHONE, {"mobil": MOBILE, "name": LANDLINE}, None),
        (None, PHONE, {"mobil": ""}, None),
        (" ", PHONE, {"mobil": " "}, None),
        (LANDLINE, PHONE, {}, None),
    ],
)
def test_top_level_field_with_the_same_value_tells_the_kommkz(
    value: str | None, channel: Channel, fields: dict[str, str], komm_kz: int | None
) -> None:
    """Spelling does not count, names are compared whatever their letter case, the channel has to fit."""
    assert field_komm_kz(value, channel, fields, "DE", TABLE) == komm_kz

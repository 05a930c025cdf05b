"""EspoCRM's arrays: rules §3 "Written to EspoCRM", EspoCRM facts A5 to A10."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.records import Channel, EspoItem
from etl.rules.espo.items import (
    espo_key,
    has_same_items,
    item_payload,
    new_item,
    rejection_reason,
    with_value,
)
from etl.rules.values.canonical import canonical

PHONE, MAIL = Channel.PHONE, Channel.MAIL
DE = "DE"


def phone_item_read(
    value: str, type: str = "Office", *, primary: bool = False, opt_out: bool = False, **more: Any  # noqa: A002
) -> EspoItem:
    """Return a phone item as the client reads it."""
    raw = {"phoneNumber": value, "type": type, "primary": primary, "optOut": opt_out, "invalid": False, **more}
    return EspoItem(PHONE, value, type, primary=primary, opt_out=opt_out, raw=json.dumps(raw, sort_keys=True))


def mail_item_read(value: str, *, primary: bool = False, invalid: bool = False) -> EspoItem:
    """Return a mail item as the client reads it."""
    raw = {"emailAddress": value, "lower": value.lower(), "primary": primary, "optOut": False, "invalid": invalid}
    return EspoItem(MAIL, value, primary=primary, invalid=invalid, raw=json.dumps(raw, sort_keys=True))


def test_item_is_echoed_with_every_key_it_was_read_with() -> None:
    """Keys left out would be reset for all who share the address; unknown ones may matter to EspoCRM."""
    item = phone_item_read("030 12345", "Fax", primary=True, opt_out=True, erased=False)
    assert item_payload(item) == json.loads(item.raw)
    assert item_payload(mail_item_read("Max@A.de", invalid=True))["lower"] == "max@a.de"


def test_new_phone_has_all_keys_and_is_e164() -> None:
    """A new item leaves nothing to EspoCRM's defaults."""
    assert item_payload(replace(new_item(PHONE, "0511/12345-60", "Home", "+495111234560"), primary=True)) == {
        "phoneNumber": "+495111234560",
        "type": "Home",
        "primary": True,
        "optOut": False,
        "invalid": False,
    }


def test_new_mail_is_trimmed_and_keeps_its_letters() -> None:
    """EspoCRM keeps mails as typed; lower is its key."""
    assert item_payload(new_item(MAIL, " Max@A.de ", "Office", "max@a.de")) == {
        "emailAddress": "Max@A.de",
        "lower": "max@a.de",
        "primary": False,
        "optOut": False,
        "invalid": False,
    }


@pytest.mark.parametrize("value", ["0511 12345 DW 60", "skype:max", "0511-123456 (nur 9-12)"])
def test_phone_that_e164_cannot_hold_is_sent_as_written(value: str) -> None:
    """Nothing is shortened: neither an extension nor text."""
    assert new_item(PHONE, value, "Office", canonical(PHONE, value, DE)).value == value


def test_replaced_phone_keeps_everything_but_its_value() -> None:
    """Var6: type, primary, optOut, invalid and unknown keys stay."""
    item = phone_item_read("+495111234560", "Fax", primary=True, opt_out=True, erased=False)
    replaced_item = with_value(item, "0511 1234561", "+495111234561")
    assert item_payload(replaced_item) == {**json.loads(item.raw), "phoneNumber": "+495111234561"}
    assert replaced_item == phone_item_read("+495111234561", "Fax", primary=True, opt_out=True, erased=False)


def test_replaced_mail_gets_a_new_key() -> None:
    """``lower`` follows the value."""
    assert with_value(mail_item_read("a@b.de", primary=True, invalid=True), " X@b.de", "x@b.de") == mail_item_read(
        "X@b.de", primary=True, invalid=True
    )


def test_changed_flag_is_sent() -> None:
    """An item whose primary was changed is not sent with the old one."""
    assert item_payload(replace(phone_item_read("+495111234560"), primary=True))["primary"] is True


@pytest.mark.parametrize(
    ("channel", "value", "international", "reason"),
    [
        (PHONE, "0511/12345-60", True, None),
        (PHONE, "abc", True, "not an international number"),
        (PHONE, "123456", True, "not an international number"),
        (PHONE, "0511 12345 DW 60", True, "EspoCRM would drop the extension"),
        (PHONE, "0511/12345-60", False, None),  # sent as E.164
        (PHONE, "0511 12345 DW 60", False, None),  # kept raw
        (PHONE, "skype:max", False, "not a phone number"),
        (PHONE, "Büro / Zentrale", False, "not a phone number"),
        (PHONE, "0511/12345 DW 60", False, 'EspoCRM refuses "/" in a phone'),
        (PHONE, f"0511 12345{' ' * 20}Durchwahl 6", False, "longer than 36 characters"),
        (PHONE, " ", True, "empty"),
        (MAIL, " ", False, "empty"),
    ],
)
def test_phone_espocrm_cannot_hold_is_named_with_its_reason(
    channel: Channel,
    value: str,
    international: bool,  # noqa: FBT001
    reason: str | None,
) -> None:
    """Judged is what would be sent, in both modes of EspoCRM."""
    assert rejection_reason(channel, value, canonical(channel, value, DE), international=international) == reason


@pytest.mark.parametrize(
    "value", ["a@b.de", " Max.Muster+x@Kanzlei-Muster.example.com ", "o'neil@xn--mller-kva.de", "a_b-c@1und1.de"]
)
def test_plain_mail_is_held(value: str) -> None:
    """ASCII mails, punycode too."""
    assert rejection_reason(MAIL, value, canonical(MAIL, value, DE), international=True) is None


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "a@b",
        "@b.de",
        "a@",
        "a@@b.de",
        "a b@c.de",
        "a@b c.de",
        "a@müller.de",
        "jürgen@b.de",
        "a@-b.de",
        "a@b-.de",
        "a@b..de",
        ".a@b.de",
        "a.@b.de",
        "a..b@c.de",
        "Max <a@b.de>",
        "a@b.de, c@d.de",
        "a@b.de\nc",
        f"{'x' * 65}@b.de",
        f"a@{'x' * 64}.de",
        f"a@{'x.' * 130}de",
    ],
)
def test_what_is_no_plausible_mail_is_not_sent(value: str) -> None:
    """One of them would fail the whole PUT (fact A9)."""
    assert rejection_reason(MAIL, value, canonical(MAIL, value, DE), international=True) is not None


@pytest.mark.parametrize(
    ("expected", "items_read", "expected_same"),
    [
        ([], [], True),
        ([phone_item_read("+491")], [], False),
        (
            [phone_item_read("+491", primary=True), phone_item_read("+492")],
            [phone_item_read("+492"), phone_item_read("+491", primary=True)],
            True,
        ),
        (
            [phone_item_read("+491"), phone_item_read("+492")],
            [phone_item_read("+492"), phone_item_read("+491", primary=True)],
            True,
        ),
        (
            [phone_item_read("+491"), phone_item_read("+492")],
            [phone_item_read("+492", primary=True), phone_item_read("+491")],
            False,
        ),
        (
            [phone_item_read("+491"), phone_item_read("+492")],
            [phone_item_read("+492"), phone_item_read("+491")],
            True,
        ),  # untouched, as read
        (
            [phone_item_read("+491", primary=True), phone_item_read("+492", primary=True)],
            [phone_item_read("+491"), phone_item_read("+492", primary=True)],
            True,
        ),
        (
            [phone_item_read("+491"), mail_item_read("a@b.de")],
            [mail_item_read("a@b.de", primary=True), phone_item_read("+491", primary=True)],
            True,
        ),
        ([phone_item_read("+491", "Fax", primary=True)], [phone_item_read("+491", "Office", primary=True)], False),
        ([phone_item_read("+491", opt_out=True)], [phone_item_read("+491", primary=True)], False),
        ([mail_item_read("a@b.de")], [mail_item_read("a@b.de", primary=True, invalid=True)], False),
        ([mail_item_read("A@b.de", primary=True)], [mail_item_read("a@B.de", primary=True)], True),
        (
            [phone_item_read("+49 (0)30 12345")],
            [phone_item_read("+493012345", primary=True)],
            True,
        ),  # normalised by EspoCRM
        ([phone_item_read("030 12345")], [phone_item_read("+493012345", primary=True)], False),
        (
            [phone_item_read("+49 30 12345 ext. 6")],
            [phone_item_read("+493012345", primary=True)],
            False,
        ),  # the extension was dropped
        ([phone_item_read("+491"), phone_item_read("+491")], [phone_item_read("+491", primary=True)], False),
    ],
)
def test_arrays_are_compared_as_espocrm_settles_them(
    expected: list[EspoItem], items_read: list[EspoItem], expected_same: bool  # noqa: FBT001
) -> None:
    """As sets, with one primary a channel."""
    assert has_same_items(expected, items_read) is expected_same


def test_keys_are_espocrms_own() -> None:
    """Lower-cased mail, exact phone."""
    assert espo_key(MAIL, " Max@A.de") == "max@a.de"
    assert espo_key(PHONE, "030 12345") == "030 12345"


values = st.one_of(
    st.sampled_from(["0511/12345-60", "0171 2223334", "0511 12345 DW 60", "skype:max", "Ä@b.de"]), st.text(min_size=1)
)
values = values.filter(lambda value: bool(value.strip()))
channels = st.sampled_from(Channel)


@given(channels, values, st.booleans(), st.booleans())
def test_spelling_sent_is_the_same_value(channel: Channel, value: str, primary: bool, international: bool) -> None:  # noqa: FBT001
    """What is sent compares equal to what was written, and can be held as well as that."""
    item = replace(new_item(channel, value, "Office", canonical(channel, value, DE)), primary=primary)
    assert canonical(channel, item.value, DE) == canonical(channel, value, DE)
    refusal = rejection_reason(channel, value, canonical(channel, value, DE), international=international)
    assert (
        rejection_reason(channel, item.value, canonical(channel, item.value, DE), international=international)
        == refusal
    )


@given(channels, values, values)
def test_replacing_there_and_back_changes_nothing(channel: Channel, value: str, other: str) -> None:
    """Reverting an entry restores every key."""
    canonical_value, other_canonical = canonical(channel, value, DE), canonical(channel, other, DE)
    item = replace(new_item(channel, value, "Home", canonical_value), primary=True)
    item = with_value(item, value, canonical_value)
    assert with_value(with_value(item, other, other_canonical), value, canonical_value) == item


@given(
    st.lists(st.builds(new_item, channels, values, st.sampled_from(["Office", "Home"]), st.just(DE)), max_size=5),
    st.randoms(),
)
def test_order_of_items_does_not_count(items: list[EspoItem], random: Any) -> None:
    """The same items in any order are the same."""
    shuffled = list(items)
    random.shuffle(shuffled)
    assert has_same_items(items, shuffled)

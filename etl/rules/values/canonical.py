"""What all spellings of a value have in common (rules §0 "canonical value").

Values are compared by their canonical value and kept as written. The grammar (``etl.rules.values.classify``) decides
what a value means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from etl.records import Channel
from etl.rules.values.classify import Clarity, classify
from etl.rules.values.cleaning import clean

if TYPE_CHECKING:
    from etl.rules.values.classify import Value

EXTENSION: Final = ";ext="
"""What separates a number from its extension in a canonical value."""

NO_REGION: Final = "ZZ"
"""The region for values that are numbers only if they start with "+"."""

SIMILAR_DIGITS: Final = 3


def canonical(channel: Channel, value: str | None, region: str) -> str | None:
    """Return what ``value`` is compared by, or None when it is empty.

    A certain mail: its address in lower case; a certain phone: ``+495111234560``, with an extension
    ``+4951112345;ext=60``. Everything else: the cleaned text after a sign that no number or address begins with.
    """
    parsed = classify(channel, value, region)
    return None if parsed is None else parsed.canonical


def certain_number(value: str | None, region: str) -> Value | None:
    """Return what ``value`` means if it is certainly one number, else None."""
    parsed = classify(Channel.PHONE, value, region)
    return parsed if parsed is not None and parsed.clarity is Clarity.CERTAIN else None


def e164(value: str | None, region: str) -> str | None:
    """Return the number as E.164 without its extension, or None if ``value`` is not certainly one number."""
    number = certain_number(value, region)
    return number.canonical.partition(EXTENSION)[0] if number is not None else None


def has_extension(value: str | None, region: str) -> bool:
    """Tell whether ``value`` is a number with an extension, which E.164 cannot hold."""
    number = certain_number(value, region)
    return number is not None and EXTENSION in number.canonical


def may_be_number(value: str | None, region: str) -> bool:
    """Tell whether ``value`` is a number or may be one or several, that is, whether it is not text."""
    parsed = classify(Channel.PHONE, value, region)
    return parsed is not None and parsed.clarity is not Clarity.TEXT


def spelling_to_send(channel: Channel, value: str, canonical_value: str | None) -> str:
    """Return the spelling in which a value is sent to EspoCRM as a new one (rules §3, Written to EspoCRM).

    A phone as E.164; with an extension, which E.164 would drop, as written. A mail cleaned, in its own letter case.
    """
    if channel is Channel.MAIL:
        return clean(value)
    is_plain_number = (
        canonical_value is not None and canonical_value.startswith("+") and EXTENSION not in canonical_value
    )
    return canonical_value if is_plain_number and canonical_value is not None else value.strip()


def is_similar(channel: Channel, a: str, b: str) -> bool:
    """Tell whether two canonical values may be one entry before and after a correction (rules §2 step 6).

    Mails: same mailbox or same domain. Numbers: at most 3 digits differ, either one run of digits that was replaced,
    added or dropped, or single digits. Text is similar to nothing.
    """
    if channel is Channel.MAIL:
        return _same_mailbox_or_domain(a, b)
    digits_a, digits_b = _digits(a), _digits(b)
    if digits_a is None or digits_b is None:
        return False
    return _few_positions_differ(digits_a, digits_b) or _short_run_differs(digits_a, digits_b)


def _same_mailbox_or_domain(a: str, b: str) -> bool:
    mailbox_a, _, domain_a = a.rpartition("@")
    mailbox_b, _, domain_b = b.rpartition("@")
    return (mailbox_a == mailbox_b != "") or ("@" in a and "@" in b and domain_a == domain_b != "")


def _digits(value: str) -> str | None:
    """Return the digits of a certain number, those of its extension last, or None for anything else."""
    main, _, extension = value.partition(EXTENSION)
    return main + extension if main.startswith("+") else None


def _few_positions_differ(a: str, b: str) -> bool:
    return len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) <= SIMILAR_DIGITS


def _short_run_differs(a: str, b: str) -> bool:
    shorter = min(len(a), len(b))
    prefix = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    suffix = next((i for i in range(shorter - prefix) if a[-1 - i] != b[-1 - i]), shorter - prefix)
    return max(len(a), len(b)) - prefix - suffix <= SIMILAR_DIGITS

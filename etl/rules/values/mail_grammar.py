"""The grammar of one mail address, and the addresses contained in a text (rules §0)."""

from __future__ import annotations

import re
from itertools import pairwise

from etl.rules.values.cleaning import is_other_number

# A mailbox may contain "/" and "|", but people type them for "or". Both patterns also match backwards.
_ATOM = r"[\w!#$%&'*+=?^`{}~\-]++"
_LABEL = r"\w++(?:-+\w++)*+"
_MAILBOX = re.compile(rf"{_ATOM}(?:\.{_ATOM})*+")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_WRAPPING = re.compile(r"[^\w.+\-]+")  # "cc=max@example.com" has no mailbox "cc=max"
_BOUNDARY = re.compile(r"[.\-_]")


def is_mail(cleaned: str) -> bool:
    """Tell whether a cleaned value is one mail address and nothing else."""
    mailbox, _, domain = _without_footnotes(cleaned).partition("@")
    return _MAILBOX.fullmatch(mailbox) is not None and _DOMAIN.fullmatch(domain) is not None


def addresses_in(cleaned: str) -> set[str]:
    """Return each mail address in a cleaned value, whatever surrounds it, in lower case."""
    addresses = set()
    for before, after in pairwise(_without_footnotes(cleaned).lower().split("@")):
        mailbox, domain = _MAILBOX.match(before[::-1]), _DOMAIN.match(after)
        if mailbox and domain:
            addresses |= _address_variants(mailbox[0][::-1], domain[0])
    return addresses


def _without_footnotes(cleaned: str) -> str:
    return cleaned if cleaned.isascii() else "".join(" " if is_other_number(char) else char for char in cleaned)


def _address_variants(mailbox: str, domain: str) -> set[str]:
    """Return the address, with and without the signs and words that may be stuck to its ends."""
    starts = [0, *(match.end() for match in _WRAPPING.finditer(mailbox))]
    domains = [domain, *(domain[: match.start()] for match in _BOUNDARY.finditer(domain))]
    return {
        f"{mailbox[start:]}@{variant}"
        for start in starts
        if start < len(mailbox)
        for variant in domains
        if "." in variant
    }

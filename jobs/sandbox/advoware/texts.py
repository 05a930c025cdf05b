"""What an Advoware may make of a text before it stores it (Advoware §2: not known of the real one)."""

from __future__ import annotations

import re

LINE_END = re.compile(r"\r\n|\r|\n")


def normalize_remark(text: str, *, line_ends: str | None, trims: bool) -> str:
    """A remark with other ends of lines, and without blanks at its own ends."""
    normalized = text if line_ends is None else LINE_END.sub(line_ends, text)
    return normalized.strip() if trims else normalized


def truncate_text(text: str, limit: int, *, utf16: bool, half_letters: str) -> str:
    """What fits into so many letters, or UTF-16 units: then a cut may go through a letter.

    ``half_letters`` says what is left of such a letter, by Python's names: "surrogatepass" half of it, "replace"
    U+FFFD, "ignore" nothing.
    """
    if not utf16:
        return text[:limit]
    return text.encode("utf-16-le", "surrogatepass")[: 2 * limit].decode("utf-16-le", half_letters)

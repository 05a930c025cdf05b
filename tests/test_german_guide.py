"""The guide in German says what the guide in English says, as far as a test can see."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.test_docs import GERMAN_GUIDE, GUIDE, anchor

if TYPE_CHECKING:
    from collections.abc import Iterator

FENCE = re.compile(r"^( *```.*?^ *```)$", re.DOTALL | re.MULTILINE)
BLOCK_START = re.compile(r"^\s*(?:(?P<row>\|)|(?P<item>\* |\d+\. ))")
CHECKSUM = re.compile(r"\n*<!-- README\.md (\w+) -->")


@dataclass(frozen=True)
class GuideSection:
    """A heading and what stands under it, up to the next heading of any level."""

    level: int
    heading: str
    text: str


def sections(page: str) -> list[GuideSection]:
    """The page, heading by heading; a comment in a block of code is none."""
    hidden = FENCE.sub(lambda fence: re.sub(r"^#", "\0", fence[1], flags=re.MULTILINE), page)
    parts = re.split(r"^(#+) (.+)\n", hidden, flags=re.MULTILINE)[1:]
    return [
        GuideSection(len(level), heading, text.replace("\0", "#"))
        for level, heading, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]


ENGLISH, GERMAN = sections(GUIDE), sections(GERMAN_GUIDE)
PAIRS = [pytest.param(*pair, id=pair[0].heading) for pair in zip(ENGLISH, GERMAN, strict=False)]


def blocks(text: str) -> Iterator[str]:
    """Blocks of code, rows of tables, items of lists and paragraphs, in their order."""
    for part in FENCE.split(CHECKSUM.sub("", text)):
        if FENCE.fullmatch(part):
            yield part
            continue
        lines: list[str] = []
        for line in [*part.splitlines(), ""]:
            if lines and (not line.strip() or BLOCK_START.match(line)):
                yield "\n".join(lines)
                lines = []
            if line.strip():
                lines.append(line)


def facts(page: list[GuideSection], text: str) -> list[object]:
    """What must be the same in both languages, block by block; of a row, cell by cell."""
    return [block_facts(page, block) for block in blocks(text)]


def block_facts(page: list[GuideSection], block: str) -> object:
    """A block of code is the same but for its comments."""
    if FENCE.fullmatch(block):
        return re.sub(r"(^|\s)#.*", r"\1#", block, flags=re.MULTILINE)
    start = BLOCK_START.match(block)
    if start and start["row"]:
        return ["row", *(text_facts(page, cell) for cell in block.strip().strip("|").split("|"))]
    return [start["item"] if start else "paragraph", text_facts(page, block[start.end() :] if start else block)]


def text_facts(page: list[GuideSection], text: str) -> dict[str, object]:
    """Code, links, texts in quotes, figures and emphasis, in any order: that of the words is each language's own."""
    words = " ".join(text.split())
    code = re.findall(r"`([^`]+)`", words)
    links = re.findall(r"\]\(([^)\s]+)\)", words)
    plain = re.sub(r"`[^`]+`|\]\([^)\s]+\)", " ", words)
    quotes = re.findall(r'"([^"]+)"', plain)
    numbers = re.sub(r'(?<=\d)[.,](?=\d{3}\b)|"[^"]+"', "", plain)
    if page is GERMAN:
        numbers = re.sub(r"(?<=\d),(?=\d)", ".", numbers)
    figures = re.findall(r"\d+(?:[.:]\d+)*", numbers)
    seen = {
        "code": sorted(code),
        "whole cell": words == f"`{code[0]}`" if code else False,
        "links": sorted(place(page, link) for link in links),
        "quotes": sorted(quotes),
        "figures": sorted(figures),
        "bold": len(re.findall(r"\*\*[^*]+\*\*", plain)),
    }
    return {name: fact for name, fact in seen.items() if fact}


def place(page: list[GuideSection], link: str) -> str:
    """Where a link leads: a heading of its own page by its number; the two guides lead to each other."""
    if link.startswith("#"):
        return f"heading {[anchor(part.heading) for part in page].index(link[1:])}"
    return "the other guide" if link in {"README.md", "README.de.md"} else link


def checksum(section: GuideSection) -> str:
    """Changes with every word, and not with the breaks of lines."""
    return hashlib.sha256(" ".join(f"{section.heading} {section.text}".split()).encode()).hexdigest()[:8]


def test_both_guides_have_the_same_headings_in_the_same_order() -> None:
    assert [part.level for part in GERMAN] == [part.level for part in ENGLISH]


@pytest.mark.parametrize(("english", "german"), PAIRS)
def test_both_guides_show_the_same_commands_keys_tables_links_and_figures(
    english: GuideSection, german: GuideSection
) -> None:
    assert facts(GERMAN, german.text) == facts(ENGLISH, english.text)


def test_a_german_number_has_a_comma_and_is_the_same_number() -> None:
    assert not re.findall(r"\d\.\d+ (?:s|h|min|ms|[KMGT]B|%)", GERMAN_GUIDE)
    english = facts(ENGLISH, "takes 0.13 s, and 1,000 persons 25 s")
    assert facts(GERMAN, "braucht 0,13 s, und 1.000 Personen 25 s") == english
    for wrong in ("0,14", "0,1", "13", "0, 13"):
        assert facts(GERMAN, f"braucht {wrong} s, und 1.000 Personen 25 s") != english


@pytest.mark.parametrize(("english", "german"), PAIRS)
def test_the_german_was_looked_at_after_the_last_change_of_the_english(
    english: GuideSection, german: GuideSection
) -> None:
    written = CHECKSUM.match(german.text)
    assert written is not None, german.heading
    assert written[1] == checksum(english), (
        f"{english.heading!r} changed. Once {german.heading!r} says the same, write under it: "
        f"<!-- README.md {checksum(english)} -->"
    )

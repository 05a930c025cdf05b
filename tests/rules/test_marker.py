"""The marker and the slot of rules §0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.rules.marker import MarkerKind, Remark, decode, encode, encode_slot

MAX = "bWF4QGEuZGU="  # max@a.de
values = st.text(min_size=1)
komm_kzs = st.integers(1, 12)
own_texts = st.text() | st.builds(
    "".join,
    st.lists(st.sampled_from(["[ESPOCRM", ":", f"[ESPOCRM:{MAX}:4]", "-SLOT:1]", "]", " ", "\n", "\r\n", "ä", "☎️"])),
)


def own_text_remark(text: str) -> Remark:
    """Return a remark that is own text only."""
    return Remark(MarkerKind.NONE, None, None, text)


def marker_remark(text: str) -> Remark:
    """Return the marker of max@a.de with that own text."""
    return Remark(MarkerKind.MARKER, "max@a.de", 4, text)


def slot_remark(komm_kz: int, text: str) -> Remark:
    """Return a slot with that own text."""
    return Remark(MarkerKind.SLOT, None, komm_kz, text)


def remark_with_bad_marker(text: str) -> Remark:
    """Return a damaged marker with that own text."""
    return Remark(MarkerKind.DAMAGED, None, None, text)


@pytest.mark.parametrize(
    ("remark", "expected"),
    [
        (None, own_text_remark("")),
        ("", own_text_remark("")),
        ("  nur vormittags ", own_text_remark("  nur vormittags ")),
        (f"[ESPOCRM:{MAX}:4]", marker_remark("")),
        (f"[ESPOCRM:{MAX}:4] ", marker_remark("")),
        (f"[ESPOCRM:{MAX}:4] Büro", marker_remark("Büro")),
        (f"[ESPOCRM:{MAX}:4]Büro", marker_remark("Büro")),
        (f"[ESPOCRM:{MAX}:4]  Büro", marker_remark(" Büro")),
        (f"[ESPOCRM:{MAX}:4]\nBüro", marker_remark("\nBüro")),
        (f" \t\n[ESPOCRM:{MAX}:4] Büro", marker_remark("Büro")),
        (f"[ESPOCRM:{MAX}:4] [ESPOCRM:{MAX}:1] x", marker_remark(f"[ESPOCRM:{MAX}:1] x")),
        (f"siehe [ESPOCRM:{MAX}:4]", own_text_remark(f"siehe [ESPOCRM:{MAX}:4]")),
        ("[ESPOCRM-SLOT:1] nur vormittags", slot_remark(1, "nur vormittags")),
        ("[ESPOCRM-SLOT:12]", slot_remark(12, "")),
    ],
)
def test_remark_is_taken_apart(remark: str | None, expected: Remark) -> None:
    """Marker or slot at the start only; exactly one blank belongs to it, everything after is own text."""
    assert decode(remark) == expected


@pytest.mark.parametrize(
    "bracket",
    [
        "[ESPOCRM]",
        "[ESPOCRM:]",
        "[ESPOCRM::1]",
        f"[ESPOCRM:{MAX}]",
        f"[ESPOCRM:{MAX}:]",
        f"[ESPOCRM:{MAX}:0]",
        f"[ESPOCRM:{MAX}:04]",
        f"[ESPOCRM:{MAX}:13]",
        f"[ESPOCRM:{MAX}: 4]",
        f"[ESPOCRM:{MAX}:\N{ARABIC-INDIC DIGIT FOUR}]",
        f"[ESPOCRM:{MAX[:-1]}:4]",  # no padding
        f"[ESPOCRM:{MAX}=:4]",  # too much of it
        "[ESPOCRM:bWF4QGEuZGV=:4]",  # bits behind the end
        "[ESPOCRM:bWF4 QGEuZGU=:4]",
        "[ESPOCRM:bWF4\u00e4GEuZGU=:4]",
        "[ESPOCRM:_-8=:4]",  # the URL alphabet
        "[ESPOCRM:/w==:4]",  # not UTF-8
        "[ESPOCRM-SLOT]",
        "[ESPOCRM-SLOT:]",
        "[ESPOCRM-SLOT:0]",
        "[ESPOCRM-SLOT:13]",
        "[ESPOCRM-SLOT:01]",
    ],
)
def test_damaged_marker_is_dropped_and_the_own_text_stays(bracket: str) -> None:
    """What stands in brackets of ours but cannot be read is no marker and not own text either."""
    assert decode(f"{bracket} Mutter") == remark_with_bad_marker("Mutter")
    assert decode(bracket) == remark_with_bad_marker("")


@pytest.mark.parametrize(
    "remark",
    [
        "[ESPOCRM",
        f"[ESPOCRM:{MAX}:4",
        f"[ESPOCRM:{MAX}:4 Mutter",
        f"[ESPOCRM:{MAX}\n:4] Mutter",
        f"[ESPOCRM:{MAX} [alt] Mutter",
        f"[espocrm:{MAX}:4] Mutter",
        f"ESPOCRM:{MAX}:4] Mutter",
    ],
)
def test_what_is_not_closed_as_we_close_it_is_own_text(remark: str) -> None:
    """Without a closing bracket nothing is dropped."""
    assert decode(remark) == own_text_remark(remark)


@given(values, komm_kzs, own_texts)
def test_marker_reads_back_as_written(value: str, komm_kz: int, own_text: str) -> None:
    """Value, kommKz and every byte of own text survive."""
    assert decode(encode(value, komm_kz, own_text)) == Remark(MarkerKind.MARKER, value, komm_kz, own_text)


@given(komm_kzs, own_texts)
def test_slot_reads_back_as_written(komm_kz: int, own_text: str) -> None:
    """An emptied row keeps its kommKz and its own text."""
    assert decode(encode_slot(komm_kz, own_text)) == slot_remark(komm_kz, own_text)


@given(own_texts, values, komm_kzs)
def test_decoding_never_fails_and_a_second_write_changes_nothing(remark: str, value: str, komm_kz: int) -> None:
    """Whatever a person left in the remark, it is read, and what we then write of it is stable."""
    first = encode(value, komm_kz, decode(remark).own_text)
    assert encode(value, komm_kz, decode(first).own_text) == first


@given(own_texts)
def test_own_text_is_the_end_of_the_remark(remark: str) -> None:
    """Nothing is rewritten: own text is always a suffix, byte for byte."""
    assert remark.endswith(decode(remark).own_text)


@given(values, komm_kzs)
def test_no_blank_stands_without_text(value: str, komm_kz: int) -> None:
    """The marker costs its own length and nothing more."""
    assert encode(value, komm_kz, "").endswith("]")
    assert encode_slot(komm_kz, "") == f"[ESPOCRM-SLOT:{komm_kz}]"


def test_marker_looks_as_other_tools_expect_it() -> None:
    """The form is shared with others, so it is pinned literally."""
    assert encode("max@a.de", 4, "Büro") == f"[ESPOCRM:{MAX}:4] Büro"
    assert encode_slot(1, "nur vormittags") == "[ESPOCRM-SLOT:1] nur vormittags"


@pytest.mark.parametrize("komm_kz", [-1, 0, 13])
def test_kommkz_out_of_range_is_not_written(komm_kz: int) -> None:
    """What would read back as damage is refused."""
    with pytest.raises(ValueError, match="does not exist"):
        encode("x", komm_kz, "")
    with pytest.raises(ValueError, match="does not exist"):
        encode_slot(komm_kz, "")


def test_marker_without_value_is_not_written() -> None:
    """An emptied row gets a slot."""
    with pytest.raises(ValueError, match="needs a value"):
        encode("", 1, "")

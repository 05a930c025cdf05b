"""The fingerprint of rules §0."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from etl.rules.snapshot_records import fingerprint

row_ids = st.lists(st.text("ABCDEFGHIJKLMNOP", min_size=40, max_size=40), unique=True, max_size=8)


def test_fingerprint_is_the_pinned_one() -> None:
    """MD5 over the sorted rowIds without separator, first 16 hex digits; other tools compute the same."""
    assert fingerprint([]) == "d41d8cd98f00b204"
    assert fingerprint(["B", "A"]) == fingerprint(["AB"]) == "b86fc6b051f63d73"


@given(row_ids, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_count(ids: list[str], random: object) -> None:
    """Advoware promises no order."""
    shuffled = list(ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fingerprint(shuffled) == fingerprint(iter(ids))


@given(row_ids.filter(bool), st.data())
def test_every_row_counts(ids: list[str], data: st.DataObject) -> None:
    """A row that goes away changes the fingerprint."""
    missing_id = data.draw(st.sampled_from(ids))
    assert fingerprint(row_id for row_id in ids if row_id != missing_id) != fingerprint(ids)

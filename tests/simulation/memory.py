"""Plans remembered for the time of a block: the diff is pure, so what it once said of the same frames it says again.

Where one world is gone back to again and again (``kills.py``) most plans are of states planned before. That the same
frames give the same plan is held by ``tests/etl/test_diff.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from etl import diff
from etl.rules.entry import Policy
from etl.rules.espo.array_read import PartialPut
from etl.rules.plan import Plan
from etl.store.tables import snapshots

PLAN_NAME = "plan_from_frames"  # the name by which it is asked for

@contextmanager
def cache_plans() -> Iterator[None]:
    """Build no frame and make no plan twice."""
    frames: dict[tuple[object, ...], pd.DataFrame] = {}
    plans: dict[tuple[object, ...], Plan] = {}
    real_frame, real_plan = snapshots.build_frame, diff.plan_from_frames

    def frame(rows: Sequence[tuple[Any, ...]], schema: Mapping[str, str]) -> pd.DataFrame:
        key = (id(schema), *rows)
        if key not in frames:
            frames[key] = real_frame(rows, schema)
        return frames[key]

    def plan(
        of: Mapping[str, pd.DataFrame], policy: Policy, in_part: Mapping[str, PartialPut] | None = None
    ) -> Plan:
        key = (*(id(person_frame) for person_frame in of.values()), repr(policy), repr(in_part))
        if key not in plans:
            plans[key] = real_plan(of, policy, in_part)
        return plans[key]

    snapshots.build_frame = frame
    setattr(diff, PLAN_NAME, plan)
    try:
        yield
    finally:
        snapshots.build_frame = real_frame
        setattr(diff, PLAN_NAME, real_plan)

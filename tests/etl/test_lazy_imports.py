"""The planner is loaded while the network waits."""

from __future__ import annotations

import subprocess
import sys

TWICE = """
import sys
from etl.lazy_imports import preload_planner
preload_planner()
preload_planner()
from etl import diff
assert diff.plan_from_frames and "pandas" in sys.modules
"""


def test_a_thread_that_needs_the_planner_while_it_loads_gets_it_complete() -> None:
    subprocess.run([sys.executable, "-c", TWICE], check=True, timeout=120)


def test_a_run_that_plans_nothing_loads_no_planner() -> None:
    """Everything a run imports at its start: half a second, and 80 MB."""
    code = "import sys, jobs.pipeline; sys.exit(str({'pandas', 'numpy', 'pyarrow'} & set(sys.modules) or ''))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (process.returncode, process.stderr.strip()) in ((0, ""), (1, ""))

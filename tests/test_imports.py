"""The planner is loaded while the network waits."""

from __future__ import annotations

import subprocess
import sys

TWICE = """
import sys
from etl.imports import begin_to_load_planner
begin_to_load_planner()
begin_to_load_planner()
from etl import diff
assert diff.plan and "pandas" in sys.modules
"""


def test_who_needs_the_planner_meanwhile_gets_it_whole() -> None:
    subprocess.run([sys.executable, "-c", TWICE], check=True, timeout=120)


def test_a_run_that_plans_nothing_loads_no_planner() -> None:
    """Everything a run imports at its start: half a second, and 80 MB."""
    code = "import sys, jobs.pipeline; sys.exit(str({'pandas', 'numpy', 'pyarrow'} & set(sys.modules) or ''))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (found.returncode, found.stderr.strip()) in ((0, ""), (1, ""))

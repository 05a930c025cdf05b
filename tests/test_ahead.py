"""The planner is loaded while the network waits."""

from __future__ import annotations

import subprocess
import sys

TWICE = """
import sys
from etl.ahead import begin_to_load_planner
begin_to_load_planner()
begin_to_load_planner()
from etl import diff
assert diff.plan and "pandas" in sys.modules
"""


def test_who_needs_the_planner_meanwhile_gets_it_whole() -> None:
    subprocess.run([sys.executable, "-c", TWICE], check=True, timeout=120)

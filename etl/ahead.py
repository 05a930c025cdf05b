"""Pandas takes half a second to load. A run that will plan begins with it while the network keeps it waiting."""

from __future__ import annotations

import sys
from importlib import import_module
from threading import Thread

PLANNER = "etl.diff"


def begin_to_load_planner() -> None:
    """Begin to load the planner in a thread, once; who needs it imports it as always, and waits for it if need be."""
    if PLANNER not in sys.modules:
        Thread(target=import_module, args=(PLANNER,), name="advosync-planner").start()

"""How not to wait for slow imports: pandas takes half a second, rich a tenth."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PLANNER_MODULE = "etl.diff"
THREAD_SWITCH_SECONDS = 0.0005


@cache
def preload_planner() -> None:
    """Begin to import the planner in a thread, once per process, while a run that will plan waits for the network.

    Code that needs the planner imports it as usual, and waits if it is not ready.
    """
    if PLANNER_MODULE not in sys.modules:
        Thread(target=load_planner, name="advosync-planner").start()


def load_planner() -> None:
    """Import the planner, letting threads that read answers take over after half a millisecond instead of five.

    numpy's linear algebra, which is not used here, is told not to start threads: they would keep the other core busy.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    usual_interval = sys.getswitchinterval()
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    try:
        import_module(PLANNER_MODULE)
    finally:
        sys.setswitchinterval(usual_interval)


@contextmanager
def hide_modules(*modules: str) -> Iterator[None]:
    """Within the block, make imports of these libraries fail, unless they are imported already."""
    hidden_modules = [name for name in modules if name not in sys.modules]
    for name in hidden_modules:
        sys.modules[name] = None  # type: ignore[assignment]  # Python then says that there is no such module
    try:
        yield
    finally:
        for name in hidden_modules:
            del sys.modules[name]

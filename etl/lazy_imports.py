"""What loading a library costs, and how not to wait for it: pandas takes half a second, rich a tenth."""

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
THREAD_SWITCH_SECONDS = 0.0005  # seconds


@cache
def preload_planner() -> None:
    """Begin to load the planner in a thread, once a process, while the network keeps a run waiting that will plan.

    Who needs it imports it as always, and waits for it if need be.
    """
    if PLANNER_MODULE not in sys.modules:
        Thread(target=load_planner, name="advosync-planner").start()


def load_planner() -> None:
    """Load it, giving way to whoever has an answer of the network to read after half a millisecond, not after five.

    numpy's linear algebra, which nobody here uses, is told not to start threads: they spin on the other processor.
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
    """Let imports of the block not find these libraries, unless somebody imported them already."""
    hidden_modules = [name for name in modules if name not in sys.modules]
    for name in hidden_modules:
        sys.modules[name] = None  # type: ignore[assignment]  # what Python takes as "is not there"
    try:
        yield
    finally:
        for name in hidden_modules:
            del sys.modules[name]

"""What loading a library costs, and how not to wait for it: pandas takes half a second, rich a tenth."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PLANNER = "etl.diff"


def begin_to_load_planner() -> None:
    """Begin to load the planner in a thread, once, while the network keeps a run waiting that will plan.

    Who needs it imports it as always, and waits for it if need be.
    """
    if PLANNER not in sys.modules:
        Thread(target=import_module, args=(PLANNER,), name="advosync-planner").start()


@contextmanager
def invisible(*libraries: str) -> Iterator[None]:
    """Let imports of the block not find these libraries, unless somebody imported them already."""
    hidden = [name for name in libraries if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # what Python takes as "is not there"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]

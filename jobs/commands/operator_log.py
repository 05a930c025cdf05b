"""What an operator does to the store alone, as a row in ``runs``: who, why, when."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from etl.enums import RunOutcome
from etl.store.tables.runs import finish_run, start_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.store.database import Store


@dataclass(frozen=True)
class OperatorRequest:
    """Who asks, and why."""

    operator: str
    reason: str | None = None


def record_operation(
    store: Store,
    trigger: str,
    request: OperatorRequest,
    now: str,
    report: Mapping[str, Any] | None = None,
    *,
    about: int | None = None,
) -> int:
    """Write the row, begun and done at once, so that nobody takes it for a run under way; its number."""
    with store.transaction():
        number = start_run(
            store,
            now=now,
            version=version("advosync"),
            trigger=trigger,
            operator=request.operator,
            reason=request.reason,
            about=about,
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        finish_run(store, number, now=now, outcome=RunOutcome.DONE, report=report)
    return number

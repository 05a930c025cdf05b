"""Commands as a process of their own runs them, and nothing beside: imports are part of what a start costs."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout
from typing import Any

sys.modules["trio"] = None  # type: ignore[assignment]  # selenium brought it, for tests; httpcore would load it


def sync_command(config: str) -> dict[str, Any]:
    """``advosync sync --json``."""
    from jobs.cli import run_command_line  # noqa: PLC0415 - what a start costs is the question

    with redirect_stdout(io.StringIO()) as output:
        run_command_line(["--config", config, "sync", "--json"])
    report: dict[str, Any] = json.loads(output.getvalue())
    return report


def imports_pandas() -> bool:
    """Whether ``advosync --help`` imports pandas."""
    from jobs.cli import run_command_line  # noqa: PLC0415 - likewise

    with redirect_stdout(io.StringIO()):
        run_command_line(["--help"])
    return "pandas" in sys.modules

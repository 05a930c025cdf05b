"""How much goes to the screen: ``--quiet`` and ``-v`` hold for everything a command line starts."""

from __future__ import annotations

from contextvars import ContextVar

QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
"""Whether progress and the words of what went well stay away; answers, errors and JSON never do."""

DECISION_LOGGER = "advosync.decisions"
"""The logger that ``-v`` lets through: what was decided about which entry."""

"""Who gives an order, as it is recorded with a run."""

from __future__ import annotations

import os
from getpass import getuser


def current_user() -> str:
    """Who is at the keyboard; a container may run under a number without a name."""
    try:
        return getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"

"""Files that hold people's names and numbers: written whole, and for their owner only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from etl.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, mode 0600, in the place of what was there; ConfigError when that cannot be done."""
    partial_path = path.with_name(f".{path.name}.part")
    try:
        partial_path.unlink(missing_ok=True)
        with os.fdopen(
            os.open(partial_path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
        partial_path.replace(path)
    except OSError as error:
        partial_path.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written ({error.strerror}); name another file with --output.") from error

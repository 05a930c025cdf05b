"""The state store's file on the disk: private, and refused with advice where it cannot be used."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from etl.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def require_file(path: Path) -> None:
    """Raise StoreError when there is nothing to read yet."""
    if not path.is_file():
        raise StoreError(f"There is no state store {path} yet; check state.path, or run `advosync sync` first.")


def create_private_file(path: Path) -> None:
    """Create folder and empty file where missing; the file is its owner's alone, as it holds personal data.

    A file that is there is not opened beside SQLite: closing it would drop the locks of every connection this process
    has to it. After a run's first heartbeat another process that came and went took the log away from under the run.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path.resolve(), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(path, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            make_private(path.with_name(name))
    except OSError as error:
        raise StoreError(
            f"The state store {path} cannot be opened for writing ({error.strerror}); "
            "check path, owner and mode of the file and of its folder."
        ) from error


def make_private(path: Path) -> None:
    """Set mode 0600 where the file exists, is ours and is more open: a restored copy may have come with any mode."""
    if path.exists() and path.stat().st_mode & 0o077 and path.stat().st_uid == os.getuid():
        path.chmod(0o600)

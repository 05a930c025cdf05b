"""Let whatever processes the tests or the bench start end with them, also when these are killed with -9.

They inherit a mark in their environment, and so do their children. This file, as a process of its own, waits for the
end of the process it serves, and then kills whoever bears its mark.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import uuid
from contextlib import suppress
from pathlib import Path

MARK = "ADVOSYNC_STARTED_BY_"

PASSES = 5
"""Who is about to start a child when it is killed may leave one more behind."""


def end_children_with_me() -> None:
    """Mark what this process will start, and start its watcher."""
    name, value = f"{MARK}{os.getpid()}", uuid.uuid4().hex
    os.environ[name] = value
    no_output = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), f"{name}={value}"]
    os.posix_spawn(sys.executable, command, {}, file_actions=no_output, setsid=True)


def marks() -> dict[str, str]:
    """What a child needs that is given an environment of its own."""
    return {name: value for name, value in os.environ.items() if name.startswith(MARK)}


def bears_mark(process: Path, mark: bytes) -> bool:
    """Whether a process was started by the one we serve, or by its children."""
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:  # another user's, or gone meanwhile
        return False


def kill_after(pid: int, mark: bytes) -> None:
    """Wait for the end of a process, and kill what it leaves behind."""
    with suppress(ProcessLookupError):  # it is gone already
        select.select([os.pidfd_open(pid)], [], [])
    for _ in range(PASSES):
        for process in Path("/proc").glob("[0-9]*"):
            if bears_mark(process, mark):
                with suppress(ProcessLookupError):
                    os.kill(int(process.name), signal.SIGKILL)


if __name__ == "__main__":
    kill_after(int(sys.argv[1]), sys.argv[2].encode())

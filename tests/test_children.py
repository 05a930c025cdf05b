"""What a test starts ends with the tests."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import PIPE, Popen

from tests.firms.machines import wait_for

PARENT = """\
from subprocess import DEVNULL, Popen
from tests.children import end_children_with_me
end_children_with_me()
child = Popen(["sleep", "600"], start_new_session=True, stdout=DEVNULL)
print(child.pid, flush=True)
child.wait()
"""


def command_of(pid: int) -> bytes:
    """Empty for a process that ended and waits for its parent to ask."""
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_bytes() if path.exists() else b""


def test_children_in_sessions_of_their_own_end_with_tests_that_are_killed() -> None:
    with Popen([sys.executable, "-c", PARENT], stdout=PIPE, text=True, cwd=Path(__file__).parents[1]) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert command_of(child).startswith(b"sleep")
        parent.kill()
    wait_for(lambda: not command_of(child))

"""``sandbox``: both simulated systems as local servers, for trying every command on them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import yaml

from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.espocrm_login import ADMIN_NAME, ADMIN_PASSWORD
from jobs.sandbox.firm import fill
from jobs.sandbox.people import random_edits
from jobs.sandbox.server import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HINT = """\
# Both simulated systems are running until Ctrl-C. Save these lines as sandbox.yaml, then in another window:
#   advosync --config sandbox.yaml plan
# Press Enter here, and people make a few edits in both systems.
# The secrets here protect nothing. The administrator for `advosync setup-espocrm` is {user}, password {password}.
"""

SEED = 1
"""The same firm every time, and the same edits."""

FEW = 5
"""Edits at once."""


def serve(
    persons: int,
    say: Callable[[str], None],
    tell: Callable[[str], None],
    pressed: Iterable[object] = (),
    done: threading.Event | None = None,
) -> None:
    """Run a firm of so many persons until ``done`` is set; without one, until SIGTERM or Ctrl-C.

    The settings are said; each of ``pressed`` lets people make a few edits, which are told.
    """
    if done is None:
        done = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: done.set())
    espo, advo = EspoSim(), AdvoSim()
    fill(espo, advo, persons, SEED)
    with Servers(espo, advo) as servers:
        settings = {**servers.config(), "state": {"path": "state/sandbox.db"}}
        settings["espocrm"]["settle_seconds"] = 0  # an edit is seen at once: nobody is half way through one here
        hint = HINT.format(user=ADMIN_NAME, password=ADMIN_PASSWORD)
        say(hint + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
        threading.Thread(target=let_edit, args=[espo, advo, tell, pressed], daemon=True).start()
        done.wait()


def let_edit(espo: EspoSim, advo: AdvoSim, tell: Callable[[str], None], pressed: Iterable[object]) -> None:
    """Let people make a few edits each time, and tell what they did."""
    for number, _ in enumerate(pressed):
        tell("\n".join(random_edits(espo, advo, FEW, SEED + number)))


def keyboard() -> Iterable[object]:
    """The lines somebody types here; none in the background, where reading from a terminal stops a process."""
    if sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        return ()
    return sys.stdin

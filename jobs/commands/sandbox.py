"""``sandbox``: both simulated systems as local servers, for trying every command on them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import yaml

from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.login import ADMIN_NAME, ADMIN_PASSWORD
from jobs.sandbox.espocrm.versions import NEWEST
from jobs.sandbox.firm import fill_firm
from jobs.sandbox.incidents import INCIDENTS
from jobs.sandbox.people import random_edits
from jobs.sandbox.server import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HINT = """\
# Both simulated systems are running until Ctrl-C. Save these lines as sandbox.yaml, then in another window:
#   advosync --config sandbox.yaml plan
# The secrets here protect nothing. The administrator for `advosync setup-espocrm` is {user}, password {password}.
"""

READY = """\
Ready: a fresh firm of {persons} persons, with a state of its own ({state}). In this window:
  Enter     people make {edits} edits in both systems
  outage    Advoware goes out, or comes back
  conflict  one number is changed on both sides, differently
  deletion  most entries in Advoware are deleted: a guard holds the next run
  Ctrl-C    ends the sandbox and all it knows
"""

SEED = 1
"""The same firm every time, and the same edits."""

EDITS_PER_ENTER = 5
"""Edits at once."""


def serve_sandbox(
    persons: int,
    print_settings: Callable[[str], None],
    print_edits: Callable[[str], None],
    presses: Iterable[object] = (),
    stop_event: threading.Event | None = None,
    *,
    espocrm: str = NEWEST.name,
) -> None:
    """Run a firm of so many persons until ``stop_event`` is set; without one, until SIGTERM or Ctrl-C.

    The settings are said; each of ``presses`` lets people make a few edits, or what its word says, and is answered.
    ``espocrm`` is the version.
    """
    stop_event = stop_event or stop_event_on_signals()
    espo, advo = EspoSim(espocrm=espocrm), AdvoSim()
    fill_firm(espo, advo, persons, SEED)
    with Servers(espo, advo) as servers:
        state = f"state/sandbox-{datetime.now(UTC):%Y%m%d-%H%M%S}.db"  # an older one knows of another firm
        settings = {**servers.config(), "state": {"path": state}}
        settings["espocrm"]["settle_seconds"] = 0  # an edit is seen at once: nobody is half way through one here
        hint = HINT.format(user=ADMIN_NAME, password=ADMIN_PASSWORD)
        print_settings(hint + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
        print_edits(READY.format(persons=persons, state=state, edits=EDITS_PER_ENTER))
        threading.Thread(target=edit_on_enter, args=[espo, advo, print_edits, presses], daemon=True).start()
        stop_event.wait()


def stop_event_on_signals() -> threading.Event:
    """What SIGTERM or Ctrl-C sets."""
    stop_event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop_event.set())
    return stop_event


def edit_on_enter(espo: EspoSim, advo: AdvoSim, print_edits: Callable[[str], None], presses: Iterable[object]) -> None:
    """Let people make a few edits each time, or what was typed happen, and say what it was."""
    for number, press in enumerate(presses):
        word = str(press).strip().lower()
        if word in INCIDENTS:
            lines = INCIDENTS[word](espo, advo, SEED + number)
        elif word:
            lines = [f"Enter, or one of: {', '.join(INCIDENTS)}"]
        else:
            lines = random_edits(espo, advo, EDITS_PER_ENTER, SEED + number)
        print_edits("\n".join(lines))


def enter_presses() -> Iterable[object]:
    """The lines somebody types here; none in the background, where reading from a terminal stops a process."""
    if sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        return ()
    return sys.stdin

"""``sandbox``: both simulated systems as local servers, for trying every command on them."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import yaml

from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.espocrm_login import ADMIN_NAME, ADMIN_PASSWORD
from jobs.sandbox.firm import fill
from jobs.sandbox.server import Servers

if TYPE_CHECKING:
    from collections.abc import Callable

HINT = """\
# Both simulated systems are running until Ctrl-C. Save these lines as sandbox.yaml, then in another window:
#   advosync --config sandbox.yaml plan
# The secrets here protect nothing. The administrator for `advosync setup-espocrm` is {user}, password {password}.
"""

SEED = 1
"""The same firm every time."""


def serve(persons: int, say: Callable[[str], None], done: threading.Event | None = None) -> None:
    """Run a firm of so many persons until ``done`` is set; without one, until SIGTERM or Ctrl-C. ``say`` prints."""
    if done is None:
        done = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: done.set())
    espo, advo = EspoSim(), AdvoSim()
    fill(espo, advo, persons, SEED)
    with Servers(espo, advo) as servers:
        settings = {**servers.config(), "state": {"path": "state/sandbox.db"}}
        hint = HINT.format(user=ADMIN_NAME, password=ADMIN_PASSWORD)
        say(hint + yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
        done.wait()

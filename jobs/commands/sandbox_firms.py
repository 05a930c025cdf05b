"""``sandbox --firms N``: both systems of many simulated firms, and a folder of files to try ``advosync firms`` on."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from jobs.commands.sandbox import EDITS_PER_ENTER, SEED, stop_event_on_signals
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.firm import fill_firm
from jobs.sandbox.incidents import INCIDENTS
from jobs.sandbox.people import random_edits
from jobs.sandbox.server import FirmsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Firms = Mapping[str, tuple[EspoSim, AdvoSim]]

DEFAULTS = """\
# What all firms of this sandbox have in common
espocrm:  {settle_seconds: 0}
schedule: {sync: {minutes: 1}}
state:    {path: "state/${FIRM}.db"}
"""

READY = """\
Ready: {count} firms of {persons} persons, their files in {folder}. In another window:
  advosync firms plan --dir {folder}
In this window:
  Enter        people make {edits} edits in each firm
  outage NAME  that firm's Advoware goes out, or comes back; also: conflict, deletion
  Ctrl-C       ends the sandbox and all it knows
"""


def serve_firms_sandbox(  # noqa: PLR0913 - as the sandbox of one firm
    count: int,
    persons: int,
    show: Callable[[str], None],
    presses: Iterable[object] = (),
    stop_event: threading.Event | None = None,
    *,
    espocrm: str,
    parent: Path = Path(),
) -> None:
    """Serve so many firms until ``stop_event`` is set; their files are in a new folder under ``parent``."""
    stop_event = stop_event or stop_event_on_signals()
    width = len(str(count))
    firms: Firms = {f"firm{number:0{width}}": (EspoSim(espocrm=espocrm), AdvoSim()) for number in range(1, count + 1)}
    for number, (espo, advo) in enumerate(firms.values()):
        fill_firm(espo, advo, persons, SEED + number)
    with FirmsServer(firms) as server:
        folder = parent / f"sandbox-firms-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        folder.mkdir()
        (folder / "_defaults.yaml").write_text(DEFAULTS, "utf-8")
        for name in firms:
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(server.config(name), sort_keys=False), "utf-8")
        show(READY.format(count=count, persons=persons, folder=folder, edits=EDITS_PER_ENTER))
        threading.Thread(target=edit_firms, args=[firms, show, presses], daemon=True).start()
        stop_event.wait()


def edit_firms(firms: Firms, show: Callable[[str], None], presses: Iterable[object]) -> None:
    """Let people edit in each firm, or what was typed happen in the firm it names, and say what it was."""
    for number, press in enumerate(presses):
        word, _, name = str(press).strip().partition(" ")
        if not word:
            for espo, advo in firms.values():
                random_edits(espo, advo, EDITS_PER_ENTER, SEED + number)
            show(f"{EDITS_PER_ENTER} edits in each of {len(firms)} firms")
        elif word.lower() in INCIDENTS and name in firms:
            show("\n".join(INCIDENTS[word.lower()](*firms[name], SEED + number)))
        else:
            show(f"Enter, or one of {', '.join(INCIDENTS)} and a firm: outage {next(iter(firms))}")

"""``python -m tests.bench.troubled_firms``: whether a firm in trouble delays any other, by the clock on the wall.

``firms run`` serves ten firms with two workers: the Advoware of one hangs for so many minutes, the file of one is
broken, one has a wrong password, the guard holds one. In each of the other six people edit again and again; measured is
how long an edit takes to be on both sides, against what ``firms status`` promises. It then prints that table.
"""

# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, run
from typing import TYPE_CHECKING, NamedTuple

from tests.children import end_children_with_me
from tests.firms.folder_of_firms import open_folder

if TYPE_CHECKING:
    from jobs.sandbox.simulator import SimRequest
    from tests.firms.folder_of_firms import SimulatedFirm

HANGS, BROKEN, PASSWORD, HELD = "d-hangs", "f-broken", "h-password", "j-held"
WELL = ("a-well", "b-well", "c-well", "e-well", "g-well", "i-well")
LOOK_SECONDS = 0.5


class Delivery(NamedTuple):
    """How many edits of a firm arrived, and the longest that any took."""

    edits: int
    longest_seconds: float


def main() -> int:
    end_children_with_me()
    parser = argparse.ArgumentParser(prog="python -m tests.bench.troubled_firms", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long the one Advoware hangs")
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory(prefix="advosync-firms-") as name:
        return serve_with_trouble(Path(name), minutes)


def serve_with_trouble(folder: Path, minutes: float) -> int:
    """Sync all, make the four firms trouble, serve, and tell; 1 where a firm that is well waited too long."""
    with open_folder(folder, *sorted([*WELL, HANGS, BROKEN, PASSWORD, HELD])) as firms:
        by_name = {firm.path.stem: firm for firm in firms}
        for firm in firms:
            firm.configure("schedule", sync={"minutes": 1})
        ask(folder, "sync", "--workers", "2")
        hang_ends = threading.Event()
        make_trouble(by_name, hang_ends)
        scheduler = Popen(command(folder, "run", "--workers", "2"), stderr=DEVNULL)
        try:
            deliveries = let_people_edit({name: by_name[name] for name in WELL}, time.monotonic() + minutes * 60)
            print(ask(folder, "status"))
            promises = read_promises(folder)
        finally:
            hang_ends.set()
            scheduler.send_signal(signal.SIGTERM)
            scheduler.wait()
    print(f"{HANGS} hung for {minutes:g} minutes; of the others:")
    for name, (edits, longest) in deliveries.items():
        print(f"{name}: {edits} edits arrived, the last to come after {longest:.0f} s; promised {promises[name]:.0f} s")
    return int(any(longest > promises[name] for name, (_, longest) in deliveries.items()))


def make_trouble(firms: dict[str, SimulatedFirm], hang_ends: threading.Event) -> None:
    """From now on four firms are not well."""

    def hang(_call: SimRequest) -> None:
        hang_ends.wait()

    firms[HANGS].advo.before = hang
    firms[PASSWORD].configure("advoware", password="wrong")
    firms[HELD].configure("guards", max_removals=0)
    firms[HELD].remove_some_phones()
    firms[BROKEN].path.write_text("espocrm: [", "utf-8")


def let_people_edit(firms: dict[str, SimulatedFirm], end: float) -> dict[str, Delivery]:
    """Somebody adds a phone, and the next one as soon as it was carried over."""
    longest, edits = dict.fromkeys(firms, 0.0), dict.fromkeys(firms, 0)
    edited_at: dict[str, float] = {}
    while (now := time.monotonic()) < end:
        for name, firm in firms.items():
            agrees = not firm.disagreements()
            if name in edited_at:
                longest[name] = max(longest[name], now - edited_at[name])
            if agrees:
                edits[name] += name in edited_at
                add_phone(firm, edits[name])
                edited_at[name] = now
        time.sleep(LOOK_SECONDS)
    return {name: Delivery(edits[name], longest[name]) for name in firms}


def add_phone(firm: SimulatedFirm, number: int) -> None:
    """Somebody gives the next person one more phone; nothing that a guard would hold."""
    entity_ids = sorted(firm.espo.store.records)
    entity_id = entity_ids[number % len(entity_ids)]
    phones = [item["phoneNumber"] for item in firm.espo.items(entity_id) if "phoneNumber" in item]
    firm.espo.edit(entity_id, phones=[*phones, f"+4951177{number:04}1"])


def read_promises(folder: Path) -> dict[str, float]:
    """Within how many seconds an edit in EspoCRM arrives, by firm."""
    firms = json.loads(ask(folder, "status", "--json"))["firms"]
    return {
        result["firm"]: result["document"]["promise"]["espocrm_edit_seconds"] for result in firms if result["document"]
    }


def ask(folder: Path, *arguments: str) -> str:
    """What a command for all firms prints."""
    return run(command(folder, *arguments), stdout=PIPE, stderr=DEVNULL, text=True, check=False).stdout


def command(folder: Path, *arguments: str) -> list[str]:
    """``advosync firms …`` as a process of its own."""
    return [sys.executable, "-m", "jobs", "firms", "--dir", str(folder), *arguments]


if __name__ == "__main__":
    sys.exit(main())

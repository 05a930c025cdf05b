"""Both simulated systems in a process of their own, so that their work is not counted as ours; a line steers them.

``clock ISO`` sets the time they show, ``edit N SEED`` lets people edit N persons on both sides, ``add N SEED`` gives N
persons another phone in EspoCRM; anything else ends it.
"""

# ruff: noqa: T201 - a program that answers on its standard output

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Self

from jobs.sandbox.advoware import login as advoware_login
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.firm import fill_firm
from jobs.sandbox.people import random_edits
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimClock
from tests.bench.measure import ROOT

if TYPE_CHECKING:
    from pathlib import Path

START_TIME = datetime(2026, 8, 30, 8, 0, tzinfo=UTC)
FIRM_SEED = 7


class Sandbox:
    """The process; ``config`` is what config.yaml must say to reach it, without any ceiling of requests."""

    def __init__(self, persons: int, latency_seconds: float) -> None:
        command = [sys.executable, "-m", "tests.bench.sandbox", str(persons), str(latency_seconds)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.config: dict[str, Any] = json.loads(self._read_line())
        self.config["espocrm"]["settle_seconds"] = 0  # people's edits are not half written here
        self.config["guards"] = {"max_removals": 1_000_000}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send("end")
        self._process.communicate()

    def set_clock(self, now: datetime) -> None:
        """Set the time both systems show."""
        self._command(f"clock {now.isoformat()}")

    def edit(self, persons: int, seed: int) -> None:
        """Let people edit on both sides."""
        self._command(f"edit {persons} {seed}")

    def add(self, persons: int, seed: int) -> None:
        """Let so many persons get another phone in EspoCRM."""
        self._command(f"add {persons} {seed}")

    def write_config(self, folder: Path, **sections: dict[str, Any]) -> Path:
        """A config.yaml (JSON is YAML) in ``folder``, its state store beside it."""
        content = {**self.config, "state": {"path": str(folder / "state.db")}}
        for name, section in sections.items():
            content[name] = {**content.get(name, {}), **section}
        path = folder / "config.yaml"
        path.write_text(json.dumps(content))
        return path

    def _command(self, line: str) -> None:
        self._send(line)
        assert self._read_line() == "done\n"

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def serve(persons: int, latency_seconds: float) -> None:
    advoware_login.OLDEST_REQUEST = timedelta(days=1)  # a recorded login is sent again later
    clock = SimClock(START_TIME)
    espo, advo = EspoSim(clock), AdvoSim(clock)
    fill_firm(espo, advo, persons, FIRM_SEED)
    clock.at = None
    espo.latency_seconds = advo.latency_seconds = latency_seconds
    with Servers(espo, advo) as servers:
        print(json.dumps(servers.config()), flush=True)
        for line in sys.stdin:
            match line.split():
                case ["clock", moment]:
                    clock.offset = datetime.fromisoformat(moment) - datetime.now(UTC)
                case ["edit", count, seed]:
                    random_edits(espo, advo, int(count), int(seed))
                case ["add", count, seed]:
                    give_phones(espo, int(count), int(seed))
                case _:
                    return
            print("done", flush=True)


def give_phones(espo: EspoSim, count: int, seed: int) -> None:
    """Another number for so many persons; none has more than ten."""
    linked_ids = [record_id for record_id in espo.store.records if espo.record(record_id)["betnr"] is not None]
    for place in Random(seed).sample(range(len(linked_ids)), count):  # noqa: S311 - people, no secret
        phones = [item for item in espo.items(linked_ids[place]) if "phoneNumber" in item]
        new = {"phoneNumber": f"+49421{2_000_000 + seed * 10_000 + place}", "type": "Home"}
        espo.edit(linked_ids[place], phones=[*phones[-8:], new])


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))

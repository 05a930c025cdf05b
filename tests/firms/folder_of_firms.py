"""A folder of simulated firms behind real HTTP servers, for whole commands with real worker processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from etl.store.database import Store
from jobs.commands.side_by_side import compare_sides
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.firm import fill_firm
from jobs.sandbox.people import random_edits
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimClock

DEFAULTS = """\
espocrm: {settle_seconds: 0}
state: {path: "state/${FIRM}.db"}
"""


SETTLED_SECONDS = 2
"""A record saved within this second may be half written, and would wait for the next run."""


@dataclass
class SimulatedFirm:
    """A firm of the folder: its file and both its systems."""

    path: Path
    clock: SimClock
    espo: EspoSim
    advo: AdvoSim
    document: dict[str, Any]

    def configure(self, section: str, **values: object) -> None:
        """Change the file."""
        self.document.setdefault(section, {}).update(values)
        self.path.write_text(yaml.safe_dump(self.document), "utf-8")

    def remove_some_phones(self) -> None:
        """Somebody deletes in EspoCRM what Advoware has, too, a moment ago; the last one of each person stays."""
        for entity_id in self.espo.store.records:
            numbers = [item["phoneNumber"] for item in self.espo.items(entity_id) if "phoneNumber" in item]
            self.espo.edit(entity_id, phones=numbers[-1:])
        self.clock.advance(SETTLED_SECONDS)

    def let_people_edit(self, seed: int) -> None:
        """People change things on both sides, a moment ago."""
        random_edits(self.espo, self.advo, 20, seed)
        self.clock.advance(SETTLED_SECONDS)

    def disagreements(self) -> list[str]:
        """What the two systems do not agree on, read past the store."""
        return [str(line) for line in compare_sides(self.espo, self.advo) if not line.agrees]

    def query_store(self, sql: str) -> list[dict[str, Any]]:
        path = self.path.parent / "state" / f"{self.path.stem}.db"
        with Store.open(path, now="2026-01-01 00:00:00", read_only=True) as store:
            return store.rows(sql)


@contextmanager
def open_folder(folder: Path, *names: str, persons: int = 4) -> Iterator[list[SimulatedFirm]]:
    """The firms by name, each filled alike, and their files in ``folder``."""
    (folder / "_defaults.yaml").write_text(DEFAULTS, "utf-8")
    with ExitStack() as stack:
        firms = []
        for name in names:
            clock = SimClock()
            espo, advo = EspoSim(clock), AdvoSim(clock)
            fill_firm(espo, advo, persons, seed=1)
            clock.advance(SETTLED_SECONDS)
            servers = stack.enter_context(Servers(espo, advo))
            firm = SimulatedFirm(folder / f"{name}.yaml", clock, espo, advo, servers.config())
            firm.configure("espocrm")
            firms.append(firm)
        yield firms


def parse_results(text: str) -> dict[str, dict[str, Any]]:
    """The firms of ``--json`` in their order, by name."""
    return {result["firm"]: result for result in json.loads(text)["firms"]}

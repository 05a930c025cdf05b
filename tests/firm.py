"""A firm in one process: both simulated systems without sockets, a clock that stands unless moved, and whole runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import httpx

from etl.store.database import Store
from jobs.config import Config
from jobs.options import Options
from jobs.pipeline import run
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.firm import fill
from jobs.sandbox.server import config as settings
from jobs.sandbox.simulator import SimClock
from jobs.sandbox.transport import InProcess
from jobs.side_by_side import side_by_side
from jobs.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.report import RunReport

START = datetime(2026, 8, 31, 6, 0, tzinfo=UTC)


@dataclass
class Pings:
    """A dead man's switch: what it was told."""

    told: list[tuple[str, str]]
    answer: int = 200

    def transport(self) -> httpx.MockTransport:
        """A transport that reaches it."""

        def handle(request: httpx.Request) -> httpx.Response:
            self.told.append((request.url.path, request.read().decode()))
            return httpx.Response(self.answer)

        return httpx.MockTransport(handle)


@dataclass
class Firm:
    """Two systems, a configuration, a world, and what people see of it."""

    espo: EspoSim
    advo: AdvoSim
    clock: SimClock
    config: Config
    world: World
    pings: Pings

    @classmethod
    def of(cls, folder: Path, persons: int = 5, seed: int = 1, **sections: dict[str, Any]) -> Self:
        """So many persons that were never synced; ``sections`` overrides the configuration."""
        clock = SimClock()
        clock.set(START)
        espo, advo = EspoSim(clock), AdvoSim(clock)
        fill(espo, advo, persons, seed)
        clock.advance(60)
        written: dict[str, Any] = settings("http://crm.test", "https://advoware.advo-net.net")
        written["state"] = {"path": str(folder / "state.db")}
        for name, section in sections.items():
            written[name] = {**written.get(name, {}), **section}
        pings = Pings([])
        world = World(
            utcnow=clock,
            monotonic=lambda: clock().timestamp(),
            sleep=clock.advance,
            espo_transport=InProcess(espo),
            advo_transport=InProcess(advo),
            ping_transport=pings.transport(),
            durable=False,
            heartbeat=False,
        )
        return cls(espo, advo, clock, Config.model_validate(written), world, pings)

    def configured(self, **sections: dict[str, Any]) -> None:
        """Change the configuration from here on."""
        changed = {
            name: getattr(self.config, name).model_validate({**getattr(self.config, name).model_dump(), **section})
            for name, section in sections.items()
        }
        self.config = self.config.model_copy(update=changed)

    def go(self, **options: Any) -> RunReport:
        """One run; a minute passes before it."""
        self.clock.advance(60)
        return run(self.config, Options(**options), world=self.world)

    def store(self) -> Store:
        """The state store, open."""
        return Store.open(self.config.state.path, now=self.world.now(), durable=False)

    def disagreements(self) -> list[str]:
        """What the two systems do not agree on, read past the store."""
        return [str(line) for line in side_by_side(self.espo, self.advo) if not line.agrees]

    def heeding(self, **surroundings: Any) -> World:
        """The same world with some of it changed."""
        return replace(self.world, **surroundings)


def setting(store: Store, key: str) -> Any:
    """A setting that is JSON."""
    return json.loads(store.setting(key) or "null")

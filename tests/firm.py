"""A firm in one process: both simulated systems without sockets, a clock that stands unless moved, and whole runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import httpx

from etl.store.database import Store
from jobs.commands.side_by_side import compare_sides
from jobs.config import Config
from jobs.environment import Environment
from jobs.pipeline import run_to_completion
from jobs.run.options import RunOptions
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.firm import fill_firm
from jobs.sandbox.server import sandbox_config
from jobs.sandbox.simulator import SimClock
from tests.in_process import InProcess

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.run.report import RunReport

START = datetime(2026, 8, 31, 6, 0, tzinfo=UTC)


@dataclass
class PingReceiver:
    """A dead man's switch: what it was told."""

    requests: list[tuple[str, str]]
    status_code: int = 200

    def transport(self) -> httpx.MockTransport:
        """A transport that reaches it."""

        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append((request.url.path, request.read().decode()))
            return httpx.Response(self.status_code)

        return httpx.MockTransport(handle)


@dataclass
class CommandHarness:
    """Two systems, a configuration, a world, and what people see of it."""

    espo: EspoSim
    advo: AdvoSim
    clock: SimClock
    config: Config
    environment: Environment
    pings: PingReceiver

    @classmethod
    def create(cls, folder: Path, persons: int = 5, seed: int = 1, **sections: dict[str, Any]) -> Self:
        """So many persons that were never synced; ``sections`` overrides the configuration."""
        clock = SimClock()
        clock.set(START)
        espo, advo = EspoSim(clock), AdvoSim(clock)
        fill_firm(espo, advo, persons, seed)
        clock.advance(60)
        document: dict[str, Any] = sandbox_config("http://crm.test", "https://advoware.advo-net.net")
        document["state"] = {"path": str(folder / "state.db")}
        for name, section in sections.items():
            document[name] = {**document.get(name, {}), **section}
        pings = PingReceiver([])
        environment = Environment(
            utcnow=clock,
            monotonic=lambda: clock().timestamp(),
            sleep=clock.advance,
            espo_transport=InProcess(espo),
            advo_transport=InProcess(advo),
            ping_transport=pings.transport(),
            durable=False,
            heartbeat=False,
        )
        return cls(espo, advo, clock, Config.model_validate(document), environment, pings)

    def configure(self, **sections: dict[str, Any]) -> None:
        """Change the configuration from here on."""
        section_models = {
            name: getattr(self.config, name).model_validate({**getattr(self.config, name).model_dump(), **section})
            for name, section in sections.items()
        }
        self.config = self.config.model_copy(update=section_models)

    def run(self, **options: Any) -> RunReport:
        """One run; a minute passes before it."""
        self.clock.advance(60)
        return run_to_completion(self.config, RunOptions(**options), environment=self.environment)

    def open_store(self) -> Store:
        """The state store, open."""
        return Store.open(self.config.state.path, now=self.environment.now(), durable=False)

    def disagreements(self) -> list[str]:
        """What the two systems do not agree on, read past the store."""
        return [str(line) for line in compare_sides(self.espo, self.advo) if not line.agrees]

    def environment_with(self, **changes: Any) -> Environment:
        """The same world with some of it changed."""
        return replace(self.environment, **changes)


def json_setting(store: Store, key: str) -> Any:
    """A setting that is JSON."""
    return json.loads(store.setting(key) or "null")

"""A practice: both systems in process, a store, and a clock that moves between runs; quick enough for many persons."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from etl.records import Channel
from etl.rules.values.canonical import canonical, e164, has_extension
from jobs.config import Config
from jobs.environment import Environment
from jobs.pipeline import RunOptions, run_to_completion
from jobs.sandbox import firm
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.versions import NEWEST
from jobs.sandbox.server import sandbox_config as sandbox_config  # noqa: PLC0414 - it is part of this harness
from jobs.sandbox.simulator import SimClock
from tests.in_process import InProcess
from tests.notation import own_text_of_remark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.run.report import RunReport
    from jobs.sandbox.simulator import SimRequest

REGION = "DE"


@dataclass
class SyncHarness:
    """A firm in both systems, and runs of the pipeline over it."""

    espo: EspoSim
    advo: AdvoSim
    clock: SimClock
    config: Config
    environment: Environment

    @classmethod
    def create(
        cls, folder: Path, persons: int, seed: int = 7, espocrm: str = NEWEST.name, **sections: Any
    ) -> SyncHarness:
        clock = SimClock(datetime(2026, 8, 30, 8, 0, tzinfo=UTC))
        espo, advo = EspoSim(clock, espocrm=espocrm), AdvoSim(clock)
        firm.fill_firm(espo, advo, persons, seed)
        document = sandbox_config("http://crm.test", "https://advoware.advo-net.net")
        document["espocrm"]["read_concurrency"] = document["advoware"]["read_concurrency"] = 1
        config = Config.model_validate({**document, "state": {"path": str(folder / "state.db")}, **sections})
        environment = Environment(
            utcnow=clock,
            monotonic=lambda: clock().timestamp(),
            sleep=clock.advance,
            espo_transport=InProcess(espo),
            advo_transport=InProcess(advo),
            durable=False,
            heartbeat=False,
        )
        return cls(espo, advo, clock, config, environment)

    def run(self, **options: Any) -> RunReport:
        """One run, a quarter of an hour after whatever happened before."""
        self.clock.advance(900)
        self.espo.clear_request_log()
        self.advo.clear_request_log()
        return run_to_completion(self.config, RunOptions(**options), environment=self.environment)

    @property
    def writes(self) -> list[SimRequest]:
        return [*self.espo.writes, *self.advo.writes]

    def person_links(self) -> Iterator[tuple[str, int]]:
        for entity_id in self.espo.store.records:
            betnr = self.espo.record(entity_id)["betnr"]
            if betnr is not None and betnr in self.advo.beteiligte.persons:
                yield entity_id, betnr

    def disagreements(self) -> list[tuple[int, set[tuple[str, str]], set[tuple[str, str]]]]:
        """Per person: the values only EspoCRM has, and those only Advoware has although EspoCRM can hold them."""
        differences = []
        for entity_id, betnr in self.person_links():
            espo_keys, advo_keys = self.espo_values(entity_id), self.advo_values(betnr)
            only_in_advo = {key for key in advo_keys - espo_keys if espo_can_store(*key)}
            if espo_keys - advo_keys or only_in_advo:
                differences.append((betnr, espo_keys - advo_keys, only_in_advo))
        return differences

    def espo_values(self, entity_id: str) -> set[tuple[str, str]]:
        items = self.espo.items(entity_id)
        phones = {item["phoneNumber"] for item in items if "phoneNumber" in item}
        mails = {item["emailAddress"] for item in items if "emailAddress" in item}
        return canonical_keys("phone", phones) | canonical_keys("mail", mails)

    def advo_values(self, betnr: int) -> set[tuple[str, str]]:
        rows = [row for row in self.advo.rows(betnr) if row["tlf"] and row["kommKz"] not in {5, 11, 12}]
        mails = {row["tlf"] for row in rows if "@" in row["tlf"]}
        return canonical_keys("mail", mails) | canonical_keys("phone", {row["tlf"] for row in rows} - mails)

    def own_texts(self) -> dict[int, str]:
        rows = [row for _, betnr in self.person_links() for row in self.advo.rows(betnr)]
        return {row["id"]: own_text_of_remark(row["bemerkung"]) for row in rows}


def canonical_keys(channel: str, values: set[str]) -> set[tuple[str, str]]:
    return {(channel, canonical(Channel(channel), value, REGION) or "") for value in values}


def espo_can_store(channel: str, value: str) -> bool:
    """Whether EspoCRM takes this canonical value as a new one."""
    if channel == "phone":
        return value.startswith("+") and ";" not in value and e164(value, REGION) is not None
    return bool(re.fullmatch(r"[!-~]+@[!-~]+\.[!-~]+", value)) and not has_extension(value, REGION)


def query_state(harness: SyncHarness, sql: str) -> list[tuple[Any, ...]]:
    """What the state store answers."""
    with closing(sqlite3.connect(harness.config.state.path)) as store:
        return store.execute(sql).fetchall()

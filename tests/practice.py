"""A practice: both systems in process, a store, and a clock that moves between runs; quick enough for many persons."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from etl.records import Channel
from etl.rules.canonical import canonical, e164, has_extension
from jobs.config import Config
from jobs.pipeline import Options, run
from jobs.sandbox import firm
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.server import config as sandbox_config
from jobs.sandbox.simulator import SimClock
from jobs.sandbox.transport import InProcess
from jobs.world import World
from tests.notation import own_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.report import RunReport
    from jobs.sandbox.simulator import Call

REGION = "DE"


@dataclass
class Practice:
    """A firm in both systems, and runs of the pipeline over it."""

    espo: EspoSim
    advo: AdvoSim
    clock: SimClock
    config: Config
    world: World

    @classmethod
    def of(cls, folder: Path, persons: int, seed: int = 7, **sections: Any) -> Practice:
        clock = SimClock(datetime(2026, 8, 30, 8, 0, tzinfo=UTC))
        espo, advo = EspoSim(clock), AdvoSim(clock)
        firm.fill(espo, advo, persons, seed)
        written = sandbox_config("http://crm.test", "https://advoware.advo-net.net")
        written["espocrm"]["read_concurrency"] = written["advoware"]["read_concurrency"] = 1
        config = Config.model_validate({**written, "state": {"path": str(folder / "state.db")}, **sections})
        world = World(
            utcnow=clock,
            monotonic=lambda: clock().timestamp(),
            sleep=clock.advance,
            espo_transport=InProcess(espo),
            advo_transport=InProcess(advo),
            durable=False,
            heartbeat=False,
        )
        return cls(espo, advo, clock, config, world)

    def run(self, **options: Any) -> RunReport:
        """One run, a quarter of an hour after whatever happened before."""
        self.clock.advance(900)
        self.espo.forget_calls()
        self.advo.forget_calls()
        return run(self.config, Options(**options), world=self.world)

    @property
    def writes(self) -> list[Call]:
        return [*self.espo.writes, *self.advo.writes]

    def linked(self) -> Iterator[tuple[str, int]]:
        for entity_id in self.espo.store.records:
            betnr = self.espo.record(entity_id)["betnr"]
            if betnr is not None and betnr in self.advo.beteiligte.persons:
                yield entity_id, betnr

    def disagreements(self) -> list[tuple[int, set[tuple[str, str]], set[tuple[str, str]]]]:
        """Per person: the values only EspoCRM has, and those only Advoware has although EspoCRM can hold them."""
        found = []
        for entity_id, betnr in self.linked():
            ours, theirs = self.espo_values(entity_id), self.advo_values(betnr)
            only_theirs = {one for one in theirs - ours if can_be_held(*one)}
            if ours - theirs or only_theirs:
                found.append((betnr, ours - theirs, only_theirs))
        return found

    def espo_values(self, entity_id: str) -> set[tuple[str, str]]:
        items = self.espo.items(entity_id)
        phones = {one["phoneNumber"] for one in items if "phoneNumber" in one}
        mails = {one["emailAddress"] for one in items if "emailAddress" in one}
        return keys("phone", phones) | keys("mail", mails)

    def advo_values(self, betnr: int) -> set[tuple[str, str]]:
        rows = [row for row in self.advo.rows(betnr) if row["tlf"] and row["kommKz"] not in {5, 11, 12}]
        mails = {row["tlf"] for row in rows if "@" in row["tlf"]}
        return keys("mail", mails) | keys("phone", {row["tlf"] for row in rows} - mails)

    def own_texts(self) -> dict[int, str]:
        rows = [row for _, betnr in self.linked() for row in self.advo.rows(betnr)]
        return {row["id"]: own_text(row["bemerkung"]) for row in rows}


def keys(channel: str, values: set[str]) -> set[tuple[str, str]]:
    return {(channel, canonical(Channel(channel), value, REGION) or "") for value in values}


def can_be_held(channel: str, value: str) -> bool:
    """Whether EspoCRM takes this canonical value as a new one."""
    if channel == "phone":
        return value.startswith("+") and ";" not in value and e164(value, REGION) is not None
    return bool(re.fullmatch(r"[!-~]+@[!-~]+\.[!-~]+", value)) and not has_extension(value, REGION)


def remembered(practice: Practice, question: str) -> list[tuple[Any, ...]]:
    """What the state store answers."""
    with closing(sqlite3.connect(practice.config.state.path)) as store:
        return store.execute(question).fetchall()

"""Firms as commit 0ddc3ba, the last of the first edition, left them: its state store as SQL, both systems as JSON.

Only that commit can make them, so this runs in a checkout of it and writes beside itself::

    git worktree add --detach /tmp/first 0ddc3ba
    cd /tmp/first && PYTHONPATH=. python …/tests/first_edition/make.py [FIRM …]

``tests.old_store`` opens what it wrote. A firm is a function here: people, edits, runs.
"""

from __future__ import annotations

import json
import lzma
import runpy
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.world import World

from jobs.config import Config
from jobs.pipeline import Options, run
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.server import config
from jobs.sandbox.simulator import Answer, Call, SimClock, json_answer
from tests.in_process import InProcess

START = datetime(2026, 8, 30, 8, 0, tzinfo=UTC)
HERE = Path(__file__).parent
ADVOWARE = "https://advoware.advo-net.net"
SYNC_FIELDS = (
    "syncStatus", "advowareLastSync", "kommunikationHash", "syncErrorMessage", "syncRetryCount", "syncNextRetry",
    "syncAutoResetAt",
)  # fmt: skip


class FirstEditionKilled(BaseException):
    """The process is dead."""


@dataclass
class FirstEditionHarness:
    """Both systems and a state store of the checked-out program."""

    folder: Path

    def __post_init__(self) -> None:
        self.clock = SimClock(START)
        self.espo, self.advo = EspoSim(self.clock), AdvoSim(self.clock)
        document = config("http://crm.test", ADVOWARE)
        self.config = Config.model_validate({**document, "state": {"path": str(self.folder / "state.db")}})
        self.environment = World(
            utcnow=self.clock,
            monotonic=lambda: self.clock().timestamp(),
            sleep=self.clock.advance,
            espo_transport=InProcess(self.espo),
            advo_transport=InProcess(self.advo),
            durable=False,
            heartbeat=False,
        )

    def add_person(self, phones: list[str], rows: list[tuple[str, str | None]], mails: list[str] | None = None) -> str:
        """A person; EspoCRM's id."""
        betnr = 104_711 + len(self.advo.beteiligte.persons)
        name = f"Max Muster{betnr}"
        entity_id = self.espo.add_person(name, betnr, phones=[(one, "Office") for one in phones], mails=mails or ())
        self.advo.add_person(betnr, name)
        for value, remark in rows:
            self.advo.add_row(betnr, value, remark)
        return entity_id

    def sync(self) -> None:
        """A run, a quarter of an hour later."""
        self.clock.advance(900)
        run(self.config, Options(), environment=self.environment)

    def sync_with_fault(self, before: Callable[[Call], Answer | None]) -> None:
        """A run that meets a fault of Advoware, or dies of it."""
        self.advo.before = before
        with suppress(FirstEditionKilled):
            self.sync()
        self.advo.before = None


def make_leftovers(harness: FirstEditionHarness) -> None:
    """Issue 13, row 5: emptied rows that kept their marker, beside whom the next run must leave alone."""
    espo, advo = harness.espo, harness.advo
    numbers = [f"+49511222{n:04}" for n in range(20)]
    rows = [f"0511 222{n:04}" for n in range(20)]
    persons = [
        harness.add_person(numbers[2 * n : 2 * n + 2], [(rows[2 * n], "nur vormittags"), (rows[2 * n + 1], None)], mails)
        for n, mails in enumerate(([], ["anna@muster.de"], [], [], [], [], [], []))
    ]
    advo.add_row(104_712, "Anna@muster.de")
    advo.add_row(104_716, "Mutter: 0511 123456")  # text: it stays in Advoware
    harness.sync()
    harness.sync()

    first = {betnr: min(row["id"] for row in advo.rows(betnr)) for betnr in range(104_711, 104_719)}

    def fail_put(fault: Callable[[], Answer | None]) -> Callable[[Call], Answer | None]:
        return lambda call: fault() if call.method == "PUT" and "/Kommunikationen/" in call.path else None

    def die() -> None:
        raise FirstEditionKilled

    advo.empty_row(104_711, first[104_711])
    harness.sync_with_fault(fail_put(die))  # killed between EspoCRM's arrays and the row
    harness.sync()
    mail = next(row["id"] for row in advo.rows(104_712) if "@" in row["tlf"])
    advo.empty_row(104_712, mail, null=True)
    harness.sync_with_fault(fail_put(lambda: json_answer(500, {})))
    advo.edit_row(104_713, first[104_713], value="   ")  # blanks typed over a number
    harness.sync()
    harness.sync()
    advo.empty_row(104_714, first[104_714])  # emptied as it should be: a slot
    harness.sync()
    espo.edit(persons[4], phones=[numbers[8], ("+491711234567", "Mobile")])  # a replaced number, a new row
    advo.edit_row(104_717, first[104_717], remark="[ESPOCRM:kaputt] Gegner")  # a damaged marker
    harness.sync()
    advo.empty_row(104_718, first[104_718])
    harness.sync_with_fault(fail_put(die))  # killed, and no run since: its journal is still open


ANCHOR = "+4930901820"
UNCLEAR_PAIRS = [
    ("0163 651068", "+49163651068"),
    ("Kanzlei M\u00fcller 0511 1234560", "+495111234560"),
    ("0511 1234560 / 0171 2223334", "+491712223334"),
    ("491711234567", "+49491711234567"),  # the number of a stranger
    ("491711234567", "+491711234567"),
    ("info@weiss-recht.de", "info@wei\u00df-recht.de"),
]
"""What stands in Advoware, and what stands in EspoCRM."""


def make_corpus(harness: FirstEditionHarness) -> None:
    """Issue 14, row 6: every typed string alone in Advoware, beside the right value, and beside a reading."""
    lines = runpy.run_path(str(HERE.parent / "typed.py"))["corpus_lines"]("contacts")
    value_pairs = [
        *((line.value, None) for line in lines),
        *((line.value, line.says) for line in lines if line.certain and ";ext=" not in line.says),
        *UNCLEAR_PAIRS,
    ]
    for value, espo_value in value_pairs:
        espo_values = [] if espo_value is None else [espo_value]
        phones = [ANCHOR, *(other for other in espo_values if "@" not in other)]
        harness.add_person(phones, [("030/901820", None), (value, None)], [other for other in espo_values if "@" in other])
    harness.sync()
    harness.sync()
    harness.sync()


def make_typed_corpus(harness: FirstEditionHarness) -> None:
    """Every typed string in an upgraded EspoCRM, which keeps what was typed; alone, and beside the right value."""
    harness.espo.store.settings["phoneNumberInternational"] = False
    for line in runpy.run_path(str(HERE.parent / "typed.py"))["corpus_lines"]("contacts"):
        if line.kind == "mail" or len(line.value) > 36:
            continue
        for row in [None, line.says] if line.certain else [None]:
            rows = ["030/901820", row] if row else ["030/901820"]
            harness.add_person([ANCHOR, line.value], [(value, None) for value in rows])
    harness.sync()
    harness.sync()
    harness.sync()


def make_killed_run(harness: FirstEditionHarness) -> None:
    """A stranger's number is in EspoCRM, and the process died before the row got its marker: the journal is open."""
    harness.add_person([ANCHOR], [("030/901820", None)])
    harness.sync()
    harness.advo.add_row(104_711, "491711234567")

    def die(call: Call) -> Answer | None:
        if call.method == "PUT" and "/Kommunikationen/" in call.path:
            raise FirstEditionKilled
        return None

    harness.sync_with_fault(die)


FIRMS = {"leftovers": make_leftovers, "corpus": make_corpus, "corpus_as_typed": make_typed_corpus, "killed": make_killed_run}
LONG = 200_000
PRAGMAS = ("user_version", "application_id")  # what a dump leaves out


def system_contents(harness: FirstEditionHarness) -> dict[str, Any]:
    """What both systems hold, as ``tests.old_store`` fills it in again."""
    records = []
    for entity_id in harness.espo.store.records:
        record = harness.espo.record(entity_id)
        names = ("id", "betnr", "name", "createdAt", "modifiedAt", "modifiedById", *SYNC_FIELDS)
        records.append({**{name: record[name] for name in names}, "items": harness.espo.items(entity_id)})
    persons = [
        {"betnr": betnr, "fields": person.fields, "rows": harness.advo.rows(betnr)}
        for betnr, person in harness.advo.beteiligte.persons.items()
    ]
    settings = harness.espo.store.settings
    return {"at": harness.clock().isoformat(), "settings": settings, "records": records, "persons": persons}


def main(names: list[str]) -> None:
    """Write these firms, or every one."""
    for name in names or FIRMS:
        with tempfile.TemporaryDirectory() as folder:
            harness = FirstEditionHarness(Path(folder))
            FIRMS[name](harness)
            with closing(sqlite3.connect(harness.config.state.path)) as store:
                pragmas = {name: store.execute(f"pragma {name}").fetchone()[0] for name in PRAGMAS}
                statements = [*(f"pragma {name} = {value};" for name, value in pragmas.items()), *store.iterdump()]
            document = json.dumps(system_contents(harness), ensure_ascii=False, indent=1)
            write_fixture(f"{name}.sql", "\n".join(statements) + "\n")
            write_fixture(f"{name}.json", document + "\n")


def write_fixture(name: str, text: str) -> None:
    """Keep a text as it is, or compressed where it is long."""
    if len(text) < LONG:
        (HERE / name).write_text(text, "utf-8")
    else:
        (HERE / f"{name}.xz").write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    main(sys.argv[1:])

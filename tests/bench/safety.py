"""vdirsyncer 0.21 and advosync under the same faults: who loses, doubles or wrongly deletes an entry, and how often.

    python -m tests.bench.safety --trials 200 --readme        (needs the extra `bench`)

vdirsyncer is used as its documentation and its own command line say: one ``sync`` a run with its SQLite status in a
file, its protection of emptied collections on, "a wins" as its rule for conflicts, errors of single entries collected.
Its best case is chosen: entries carry UIDs that both sides share from the beginning, and both storages are its own
``MemoryStorage``, which refuses what is there already and whatever has another etag than expected. Nobody edits one
entry on both sides. Each trial is first sync, or edits after an agreed one; the fault strikes one run; calm runs
follow; then it is counted. advosync lives the trial of the simulation with the same fault and seed.
"""

# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

from vdirsyncer.exceptions import Error
from vdirsyncer.storage.memory import MemoryStorage
from vdirsyncer.sync import sync
from vdirsyncer.sync.status import SqliteStatus
from vdirsyncer.vobject import Item

from tests.simulation.figures import KEPT_FILE, README, RESULTS, run_tasks, trial_tasks
from tests.simulation.ledger import ResultLine, ResultLog
from tests.simulation.tables import markdown_table, replace_section

CALM_RUNS = 3
CARD = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nTEL:{value}\r\nEND:VCARD"


class VdirsyncerKilled(BaseException):
    """The process is gone: no ``except Exception`` of it runs any more."""


class ServerError(Error):  # type: ignore[misc]  # it ships no types
    """What vdirsyncer makes of a 500 or a lost connection: an error of one request."""


@dataclass
class VdirsyncerFault:
    """What goes wrong in one run: at its ``position``-th request or write, or at the listing of one side."""

    kind: str
    position: int
    side: str
    count: int = 0
    injected: bool = False

    def count_one(self) -> bool:
        """One more of what is counted; whether it is this one."""
        self.count += 1
        self.injected |= self.count == self.position
        return self.count == self.position

    def before_request(self) -> None:
        """Before any request."""
        if self.kind == "500" and self.count_one():
            raise ServerError("500")

    def after_write(self) -> None:
        """After a write had its effect."""
        if self.kind == "killed" and self.count_one():
            raise VdirsyncerKilled
        if self.kind == "answer lost" and self.count_one():
            raise ServerError("the connection was lost")

    def filter_listing(self, side: str, hrefs: Sequence[Any]) -> Sequence[Any]:
        """What a listing shows."""
        if side != self.side or self.kind not in {"truncated listing", "empty listing"}:
            return hrefs
        self.injected = bool(hrefs)
        return hrefs[: len(hrefs) // 2] if self.kind == "truncated listing" else ()


NO_VDIRSYNCER_FAULT = VdirsyncerFault("control", 0, "")


class FaultyStorage(MemoryStorage):  # type: ignore[misc]  # it ships no types
    """One side, with faults and a list of what the sync deleted."""

    def __init__(self, side: str) -> None:
        super().__init__()
        self.side = side
        self.fault = NO_VDIRSYNCER_FAULT
        self.deleted_hrefs: list[str] = []

    async def list(self) -> AsyncIterator[Any]:
        self.fault.before_request()
        for listing_row in self.fault.filter_listing(
            self.side, [(href, etag) for href, (etag, _) in self.items.items()]
        ):
            yield listing_row

    async def get(self, href: str) -> Any:
        self.fault.before_request()
        return await super().get(href)

    async def upload(self, item: Item) -> Any:
        self.fault.before_request()
        result = await super().upload(item)
        self.fault.after_write()
        return result

    async def update(self, href: str, item: Item, etag: str) -> Any:
        self.fault.before_request()
        result = await super().update(href, item, etag)
        self.fault.after_write()
        return result

    async def delete(self, href: str, etag: str) -> None:
        self.fault.before_request()
        await super().delete(href, etag)
        self.deleted_hrefs.append(href)
        self.fault.after_write()

    @property
    def values(self) -> Counter[str]:
        """What stands here."""
        return Counter(item_number(item) for _, item in self.items.values())


def item_number(item: Item) -> str:
    """The number of an entry."""
    return str(item.raw.partition("TEL:")[2].partition("\r\n")[0])


@dataclass
class StoragePair:
    """Two sides, the status between them, and what people mean to be there."""

    rng: Random
    folder: Path
    a: FaultyStorage = field(default_factory=lambda: FaultyStorage("a"))
    b: FaultyStorage = field(default_factory=lambda: FaultyStorage("b"))
    expected: dict[str, str] = field(default_factory=dict)
    removed_uids: set[str] = field(default_factory=set)
    entry_count: int = 0

    def add_entry(self, shelves: Sequence[FaultyStorage]) -> None:
        """A person enters a new number on these sides."""
        self.entry_count += 1
        uid, value = f"entry{self.entry_count}", f"+49511{2_000_000 + self.entry_count}"
        for shelf in shelves:
            self.put_item(shelf, uid, value)
        self.expected[uid] = value

    def put_item(self, shelf: FaultyStorage, uid: str, value: str) -> None:
        """A number stands there, with an etag of its own."""
        shelf.items[uid] = (f"{uid}/{value}/{self.rng.random()}", Item(CARD.format(uid=uid, value=value)))

    def edit(self) -> None:
        """People add, change and delete; each entry on one side only, and never all of a side."""
        for uid in list(self.expected)[1:]:
            shelf, action = self.rng.choice((self.a, self.b)), self.rng.choice(("keep", "change", "delete"))
            if action == "change":
                self.entry_count += 1
                self.expected[uid] = f"+49511{2_000_000 + self.entry_count}"
                self.put_item(shelf, uid, self.expected[uid])
            elif action == "delete":
                del shelf.items[uid]
                del self.expected[uid]
                self.removed_uids.add(uid)
        for _ in range(self.rng.randint(0, 3)):
            self.add_entry([self.rng.choice((self.a, self.b))])

    def run(self, fault: VdirsyncerFault = NO_VDIRSYNCER_FAULT) -> str:
        """One run of vdirsyncer; how it ended."""
        self.a.fault = self.b.fault = fault
        errors: list[Exception] = []
        with contextlib.closing(SqliteStatus(str(self.folder / "status.db"))) as status:
            try:
                asyncio.run(sync(self.a, self.b, status, conflict_resolution="a wins", error_callback=errors.append))
            except VdirsyncerKilled:
                return "dead"
            except Error as error:  # the whole run, as its command line reports it
                errors.append(error)
            finally:
                self.a.fault = self.b.fault = NO_VDIRSYNCER_FAULT
        return "failed" if errors else "done"

    def harms(self, outcome: str) -> set[str]:
        """What is wrong at rest."""
        a_values, b_values = self.a.values, self.b.values
        expected_values = set(self.expected.values())
        values_by_harm = {
            "lost": expected_values - set(a_values) - set(b_values),
            "doubled": {value for value in expected_values if a_values[value] > 1 or b_values[value] > 1},
            "wrongly deleted": (set(self.a.deleted) | set(self.b.deleted)) - self.removed_uids,
            "brought back": (set(a_values) | set(b_values)) - expected_values,
            "stuck": {outcome} if outcome != "done" or a_values != b_values else set(),
        }
        return {name for name, values in values_by_harm.items() if values}


# One trial ----------------------------------------------------------------------------------------------------------

MAX_POSITION = 6  # writes or requests among which the struck one is drawn


def vdirsyncer_trial(kind: str, *, later: bool, seed: int) -> set[str] | None:
    """What is wrong with vdirsyncer after one fault and calm runs; None where the fault never came."""
    rng = Random(f"{kind}/{later}/{seed}")  # noqa: S311  a simulation, no secret
    with tempfile.TemporaryDirectory(prefix="vdirsyncer-") as folder:
        pair = StoragePair(rng, Path(folder))
        for _ in range(rng.randint(3, 12)):
            pair.add_entry(rng.choice(([pair.a, pair.b], [pair.a, pair.b], [pair.a], [pair.b])))
        if later:
            pair.run()
            pair.edit()
        fault = VdirsyncerFault(kind, rng.randint(1, MAX_POSITION), rng.choice("ab"))
        pair.run(fault)
        if kind != "control" and not fault.injected:
            return None
        return pair.harms([pair.run() for _ in range(CALM_RUNS)][-1])


# Side by side -------------------------------------------------------------------------------------------------------

SIMULATION_FAULTS = {
    "control":           ("none",),
    "killed":            ("killed",),
    "answer lost":       ("answer lost",),
    "500":               ("5xx before effect",),
    "truncated listing": ("list truncated", "list truncated, total lies", "rows missing in a GET"),
    "empty listing":     ("list empty", "list empty, total lies"),
}  # fmt: skip
"""The faults of the simulation that are the same; where it has several, each is tried as often."""

FAULT_LABELS = {
    "control":           "none",
    "killed":            "killed after the k-th write",
    "answer lost":       "effect, answer lost",
    "500":               "one 500",
    "truncated listing": "truncated listing",
    "empty listing":     "empty listing",
}  # fmt: skip

HARM_RULES = {
    "lost": ("nothing a person entered is lost", "first sync destroys nothing", "own texts survive",
             "every value that loses is kept"),
    "doubled": ("no duplicate we made", "nothing is made twice"),
    "wrongly deleted": ("nothing is taken that nobody took",),
}  # fmt: skip
"""Which promise of ours, broken, is which kind of harm."""


def harm_kind(line: ResultLine) -> str:
    """What a bad trial of ours did."""
    return next(
        (kind for kind, rules in HARM_RULES.items() if any(rule in line.told for rule in rules)), "otherwise wrong"
    )


def harm_cell(trials: int, bad: int, harms: Counter[str]) -> str:
    """Bad trials of how many, and why."""
    details = ", ".join(f"{kind} {count}" for kind, count in harms.items())
    return f"{bad} of {trials}" + (f" ({details})" if details else "")


def vdirsyncer_cell(kind: str, *, later: bool, trials: int) -> str:
    """A cell of vdirsyncer."""
    all_trials = (vdirsyncer_trial(kind, later=later, seed=seed) for seed in count())
    results = list(islice((result for result in all_trials if result is not None), trials))
    return harm_cell(
        trials,
        sum(bool(result) for result in results),
        Counter(harm_name for result in results for harm_name in sorted(result)),
    )


def advosync_cell(kind: str, lines: Sequence[ResultLine], *, later: bool) -> str:
    """A cell of ours, from the ledger of the simulation."""
    cell_lines = [
        line for line in lines if line.kind == "trial" and line.name in SIMULATION_FAULTS[kind] and line.later == later
    ]
    bad_lines = [line for line in cell_lines if line.bad]
    return harm_cell(sum(line.done for line in cell_lines), len(bad_lines), Counter(map(harm_kind, bad_lines)))


def main(arguments: Sequence[str]) -> int:
    """Live what the ledger lacks of ours, vdirsyncer's beside it, and print both."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.safety")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--readme", action="store_true", help="write the table into tests/README.md")
    options = parser.parse_args(arguments)
    logging.getLogger("vdirsyncer").setLevel(logging.CRITICAL)
    log = ResultLog(options.results, KEPT_FILE)
    faults = [fault for of_kind in SIMULATION_FAULTS.values() for fault in of_kind]
    run_tasks(trial_tasks(faults, options.trials, log.latest_lines()), log, processes=options.processes, seconds=1e9)
    lines = list(log.latest_lines().values())
    text = markdown_table(
        ("fault", "when", f"vdirsyncer {version('vdirsyncer')}", "advosync"),
        [
            (FAULT_LABELS[kind], "later run" if later else "first sync",
             vdirsyncer_cell(kind, later=later, trials=options.trials), advosync_cell(kind, lines, later=later))
            for kind in SIMULATION_FAULTS
            for later in (False, True)
        ],
    )  # fmt: skip
    print(text)
    if options.readme:
        README.write_text(replace_section(README.read_text("utf-8"), text, "side by side"), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

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

from tests.simulation.figures import KEPT, README, RESULTS, lived, trials_of
from tests.simulation.ledger import Ledger, Line
from tests.simulation.tables import table, written_into

CALM_RUNS = 3
CARD = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nTEL:{value}\r\nEND:VCARD"


class Dead(BaseException):
    """The process is gone: no ``except Exception`` of it runs any more."""


class ServerError(Error):  # type: ignore[misc]  # it ships no types
    """What vdirsyncer makes of a 500 or a lost connection: an error of one request."""


@dataclass
class Fault:
    """What goes wrong in one run: at its ``at``-th request or write, or at the listing of one side."""

    kind: str
    at: int
    side: str
    seen: int = 0
    struck: bool = False

    def due(self) -> bool:
        """One more of what is counted; whether it is this one."""
        self.seen += 1
        self.struck |= self.seen == self.at
        return self.seen == self.at

    def before(self) -> None:
        """Before any request."""
        if self.kind == "500" and self.due():
            raise ServerError("500")

    def after_write(self) -> None:
        """After a write had its effect."""
        if self.kind == "killed" and self.due():
            raise Dead
        if self.kind == "answer lost" and self.due():
            raise ServerError("the connection was lost")

    def listed(self, side: str, hrefs: Sequence[Any]) -> Sequence[Any]:
        """What a listing shows."""
        if side != self.side or self.kind not in {"truncated listing", "empty listing"}:
            return hrefs
        self.struck = bool(hrefs)
        return hrefs[: len(hrefs) // 2] if self.kind == "truncated listing" else ()


CONTROL = Fault("control", 0, "")


class Shelf(MemoryStorage):  # type: ignore[misc]  # it ships no types
    """One side, with faults and a list of what the sync deleted."""

    def __init__(self, side: str) -> None:
        super().__init__()
        self.side = side
        self.fault = CONTROL
        self.deleted: list[str] = []

    async def list(self) -> AsyncIterator[Any]:
        self.fault.before()
        for one in self.fault.listed(self.side, [(href, etag) for href, (etag, _) in self.items.items()]):
            yield one

    async def get(self, href: str) -> Any:
        self.fault.before()
        return await super().get(href)

    async def upload(self, item: Item) -> Any:
        self.fault.before()
        done = await super().upload(item)
        self.fault.after_write()
        return done

    async def update(self, href: str, item: Item, etag: str) -> Any:
        self.fault.before()
        done = await super().update(href, item, etag)
        self.fault.after_write()
        return done

    async def delete(self, href: str, etag: str) -> None:
        self.fault.before()
        await super().delete(href, etag)
        self.deleted.append(href)
        self.fault.after_write()

    @property
    def values(self) -> Counter[str]:
        """What stands here."""
        return Counter(value_of(item) for _, item in self.items.values())


def value_of(item: Item) -> str:
    """The number of an entry."""
    return str(item.raw.partition("TEL:")[2].partition("\r\n")[0])


@dataclass
class Pair:
    """Two sides, the status between them, and what people mean to be there."""

    dice: Random
    folder: Path
    a: Shelf = field(default_factory=lambda: Shelf("a"))
    b: Shelf = field(default_factory=lambda: Shelf("b"))
    meant: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    drawn: int = 0

    def enter(self, shelves: Sequence[Shelf]) -> None:
        """A person enters a new number on these sides."""
        self.drawn += 1
        uid, value = f"entry{self.drawn}", f"+49511{2_000_000 + self.drawn}"
        for shelf in shelves:
            self.put(shelf, uid, value)
        self.meant[uid] = value

    def put(self, shelf: Shelf, uid: str, value: str) -> None:
        """A number stands there, with an etag of its own."""
        shelf.items[uid] = (f"{uid}/{value}/{self.dice.random()}", Item(CARD.format(uid=uid, value=value)))

    def edit(self) -> None:
        """People add, change and delete; each entry on one side only, and never all of a side."""
        for uid in list(self.meant)[1:]:
            shelf, what = self.dice.choice((self.a, self.b)), self.dice.choice(("keep", "change", "delete"))
            if what == "change":
                self.drawn += 1
                self.meant[uid] = f"+49511{2_000_000 + self.drawn}"
                self.put(shelf, uid, self.meant[uid])
            elif what == "delete":
                del shelf.items[uid]
                del self.meant[uid]
                self.removed.add(uid)
        for _ in range(self.dice.randint(0, 3)):
            self.enter([self.dice.choice((self.a, self.b))])

    def run(self, fault: Fault = CONTROL) -> str:
        """One run of vdirsyncer; how it ended."""
        self.a.fault = self.b.fault = fault
        failed: list[Exception] = []
        with contextlib.closing(SqliteStatus(str(self.folder / "status.db"))) as status:
            try:
                asyncio.run(sync(self.a, self.b, status, conflict_resolution="a wins", error_callback=failed.append))
            except Dead:
                return "dead"
            except Error as error:  # the whole run, as its command line reports it
                failed.append(error)
            finally:
                self.a.fault = self.b.fault = CONTROL
        return "failed" if failed else "done"

    def judged(self, ended: str) -> set[str]:
        """What is wrong at rest."""
        here, there = self.a.values, self.b.values
        wanted = set(self.meant.values())
        found = {
            "lost": wanted - set(here) - set(there),
            "doubled": {value for value in wanted if here[value] > 1 or there[value] > 1},
            "wrongly deleted": (set(self.a.deleted) | set(self.b.deleted)) - self.removed,
            "brought back": (set(here) | set(there)) - wanted,
            "stuck": {ended} if ended != "done" or here != there else set(),
        }
        return {name for name, what in found.items() if what}


# One trial ----------------------------------------------------------------------------------------------------------

MOST = 6  # writes or requests among which the struck one is drawn


def tried(kind: str, *, later: bool, seed: int) -> set[str] | None:
    """What is wrong with vdirsyncer after one fault and calm runs; None where the fault never came."""
    dice = Random(f"{kind}/{later}/{seed}")  # noqa: S311  a simulation, no secret
    with tempfile.TemporaryDirectory(prefix="vdirsyncer-") as folder:
        pair = Pair(dice, Path(folder))
        for _ in range(dice.randint(3, 12)):
            pair.enter(dice.choice(([pair.a, pair.b], [pair.a, pair.b], [pair.a], [pair.b])))
        if later:
            pair.run()
            pair.edit()
        fault = Fault(kind, dice.randint(1, MOST), dice.choice("ab"))
        pair.run(fault)
        if kind != "control" and not fault.struck:
            return None
        return pair.judged([pair.run() for _ in range(CALM_RUNS)][-1])


# Side by side -------------------------------------------------------------------------------------------------------

OURS = {
    "control":           ("none",),
    "killed":            ("killed",),
    "answer lost":       ("answer lost",),
    "500":               ("5xx before effect",),
    "truncated listing": ("list truncated", "list truncated, total lies", "rows missing in a GET"),
    "empty listing":     ("list empty", "list empty, total lies"),
}  # fmt: skip
"""The faults of the simulation that are the same; where it has several, each is tried as often."""

WORDS = {
    "control":           "none",
    "killed":            "killed after the k-th write",
    "answer lost":       "effect, answer lost",
    "500":               "one 500",
    "truncated listing": "truncated listing",
    "empty listing":     "empty listing",
}  # fmt: skip

HARMS = {
    "lost": ("nothing a person entered is lost", "first sync destroys nothing", "own texts survive",
             "every value that loses is kept"),
    "doubled": ("no duplicate we made", "nothing is made twice"),
    "wrongly deleted": ("nothing is taken that nobody took",),
}  # fmt: skip
"""Which promise of ours, broken, is which kind of harm."""


def harm(line: Line) -> str:
    """What a bad trial of ours did."""
    return next((kind for kind, rules in HARMS.items() if any(rule in line.told for rule in rules)), "otherwise wrong")


def told(trials: int, bad: int, harms: Counter[str]) -> str:
    """Bad trials of how many, and why."""
    why = ", ".join(f"{kind} {count}" for kind, count in harms.items())
    return f"{bad} of {trials}" + (f" ({why})" if why else "")


def theirs(kind: str, *, later: bool, trials: int) -> str:
    """A cell of vdirsyncer."""
    every = (tried(kind, later=later, seed=seed) for seed in count())
    found = list(islice((one for one in every if one is not None), trials))
    return told(trials, sum(bool(one) for one in found), Counter(what for one in found for what in sorted(one)))


def ours(kind: str, lines: Sequence[Line], *, later: bool) -> str:
    """A cell of ours, from the ledger of the simulation."""
    own = [line for line in lines if line.kind == "trial" and line.name in OURS[kind] and line.later == later]
    bad = [line for line in own if line.bad]
    return told(sum(line.done for line in own), len(bad), Counter(map(harm, bad)))


def main(asked: Sequence[str]) -> int:
    """Live what the ledger lacks of ours, vdirsyncer's beside it, and print both."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.safety")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--readme", action="store_true", help="write the table into tests/README.md")
    options = parser.parse_args(asked)
    logging.getLogger("vdirsyncer").setLevel(logging.CRITICAL)
    ledger = Ledger(options.results, KEPT)
    faults = [fault for of_kind in OURS.values() for fault in of_kind]
    lived(trials_of(faults, options.trials, ledger.lived()), ledger, processes=options.processes, seconds=1e9)
    lines = list(ledger.lived().values())
    text = table(
        ("fault", "when", f"vdirsyncer {version('vdirsyncer')}", "advosync"),
        [
            (WORDS[kind], "later run" if later else "first sync",
             theirs(kind, later=later, trials=options.trials), ours(kind, lines, later=later))
            for kind in OURS
            for later in (False, True)
        ],
    )  # fmt: skip
    print(text)
    if options.readme:
        README.write_text(written_into(README.read_text("utf-8"), text, "side by side"), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

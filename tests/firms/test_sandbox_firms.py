"""``sandbox --firms N``: a folder of simulated firms for every command of ``advosync firms``."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

from jobs.commands.sandbox_firms import serve_firms_sandbox
from jobs.firms.result import FirmCommand
from jobs.firms.round import RoundOptions, do_round

PATIENCE_SECONDS = 60


@contextmanager
def sandbox(parent: Path, presses: Iterator[object] | None = None) -> Iterator[tuple[Path, Queue[str]]]:
    said: Queue[str] = Queue()
    stop_event = threading.Event()
    thread = threading.Thread(
        target=serve_firms_sandbox,
        args=(3, 4, said.put, presses or iter(())),
        kwargs={"stop_event": stop_event, "espocrm": "10", "parent": parent},
    )
    thread.start()
    try:
        ready = said.get(timeout=PATIENCE_SECONDS)
        [folder] = parent.iterdir()
        assert str(folder) in ready
        yield folder, said
    finally:
        stop_event.set()
        thread.join()


def outcomes(folder: Path, command: FirmCommand) -> dict[str, str]:
    results = do_round(command, RoundOptions(folder, (), 2, None, "operator", 30, details=False))
    return {result.firm: result.outcome for result in sorted(results, key=lambda result: result.firm)}


def test_every_firm_of_the_sandbox_can_be_synced_and_each_is_another_one(tmp_path: Path) -> None:
    with sandbox(tmp_path) as (folder, _):
        assert outcomes(folder, FirmCommand.SYNC) == dict.fromkeys(("firm1", "firm2", "firm3"), "done")
        stores = [(folder / f"state/firm{number}.db").read_bytes() for number in (1, 2, 3)]
        assert len(set(stores)) == 3


def test_enter_lets_people_edit_everywhere_and_an_outage_is_one_firms(tmp_path: Path) -> None:
    presses: Queue[str] = Queue()
    with sandbox(tmp_path, iter(presses.get, "end")) as (folder, said):
        assert outcomes(folder, FirmCommand.SYNC)["firm2"] == "done"
        for press in ("", "outage firm2", "outage nobody"):
            presses.put(press)
        assert said.get(timeout=PATIENCE_SECONDS) == "5 edits in each of 3 firms"
        assert "out" in said.get(timeout=PATIENCE_SECONDS).lower()
        assert "and a firm: outage firm1" in said.get(timeout=PATIENCE_SECONDS)
        assert outcomes(folder, FirmCommand.SYNC) == {"firm1": "done", "firm2": "outage", "firm3": "done"}
        presses.put("end")

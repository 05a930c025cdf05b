"""What users wait for: whole runs over a thousand persons, the systems in another process and some milliseconds away.

Against a bare loop over httpx that sends the same requests in the same order with the same overlap to a sandbox in the
same state, and does nothing else: what is left is what reading, storing, planning and journalling cost.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from jobs.config import load
from jobs.options import Options
from jobs.pipeline import run
from jobs.world import World
from tests.bench.measure import cost_of
from tests.bench.results import Line
from tests.bench.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.bench.__main__ import Asked

MOST_PERSONS, EDITS = 1000, 10
WITH_TARGET, TARGET = 20, 1.15
FAR = 100
"""Milliseconds from which on the rounds go side by side. At 20 ms five at once took a third longer, ours and bare."""
QUARTER = timedelta(minutes=15)
KINDS = ("first sync", "no change", "10 edits")
LOGINS = ("/api/Url", "/Token")
READERS = "reader"
"""What the threads are called whose requests overlap (etl/reading.py)."""


@dataclass(frozen=True)
class Sent:
    """One request as it went out: ``lane`` is the thread's name, ``host`` which of the two systems."""

    lane: str
    host: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: str

    @property
    def phase(self) -> tuple[bool, str, bool]:
        """What overlaps are readers' requests of one system; a login comes before them."""
        login = self.target.partition("?")[0].endswith(LOGINS)
        return self.lane.startswith(READERS) and not login, self.host, login


class Recorder(httpx.BaseTransport):
    """Keeps every request of one system, with its thread's name, and sends it; it is written down after the run."""

    def __init__(self, host: str, kept: list[tuple[str, str, httpx.Request]]) -> None:
        self._wire, self._host, self._kept = httpx.HTTPTransport(), host, kept

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._kept.append((threading.current_thread().name, self._host, request))
        return self._wire.handle_request(request)

    def close(self) -> None:
        self._wire.close()


def written_down(lane: str, host: str, request: httpx.Request) -> Sent:
    """What the bare loop needs to send it again."""
    headers = [(name, value) for name, value in request.headers.items() if name not in {"host", "content-length"}]
    body = base64.b64encode(request.content).decode()
    return Sent(lane, host, request.method, request.url.raw_path.decode(), headers, body)


def ours(config: str, later: str, recording: str) -> dict[str, object]:
    """One run, so many seconds later than now; its requests go into a file, its wall time into the answer."""
    kept: list[tuple[str, str, httpx.Request]] = []
    world = World(
        utcnow=lambda: datetime.now(UTC) + timedelta(seconds=float(later)),
        espo_transport=Recorder("espocrm", kept),
        advo_transport=Recorder("advoware", kept),
    )
    begun = time.perf_counter()
    report = run(load(Path(config)), Options(), world=world)
    seconds = time.perf_counter() - begun
    Path(recording).write_text(json.dumps([asdict(written_down(*one)) for one in kept]))
    return {"seconds": seconds, "outcome": report.outcome, "changed": report.persons.changed}


def bare(recording: str, espocrm: str, advoware: str) -> dict[str, float]:
    """The same requests, as quickly as httpx sends them; overlapping where ours did, with as many readers."""
    written = [Sent(**one) for one in json.loads(Path(recording).read_text())]
    phases = [(overlap, list(sent)) for (overlap, *_), sent in groupby(written, key=lambda one: one.phase)]
    urls = {"espocrm": espocrm, "advoware": advoware}
    begun = time.perf_counter()
    with httpx.Client(timeout=60) as client:

        def send(one: Sent) -> bytes:
            answer = client.request(
                one.method, urls[one.host] + one.target, headers=one.headers, content=base64.b64decode(one.body)
            )
            if answer.status_code >= httpx.codes.BAD_REQUEST:
                raise AssertionError(f"{one.method} {one.target}: {answer.status_code} {answer.text[:200]}")
            return answer.content

        for overlap, phase in phases:
            with ThreadPoolExecutor(len({one.lane for one in phase}) if overlap else 1) as pool:
                list(pool.map(send, phase))
    return {"seconds": time.perf_counter() - begun, "requests": len(written)}


# Side by side -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waited:
    """One kind of run, both ways."""

    ours: float
    bare: float
    requests: int


def once(folder: Path, persons: int, milliseconds: int, seed: int) -> list[Waited]:
    """The three kinds one after the other, ours and then the bare loop, each on a sandbox of its own."""
    began = datetime.now(UTC)
    recordings = [folder / f"{number}.json" for number in range(len(KINDS))]
    seconds = []
    for file in folder.glob("state.db*"):
        file.unlink()
    with Sandbox(persons, milliseconds / 1000) as sandbox:
        config = sandbox.write_config(folder)
        for number, recording in enumerate(recordings):
            prepare(sandbox, number, began, seed)
            found = cost_of("tests.bench.waiting:ours", config, number * QUARTER.total_seconds(), recording).answer
            assert found["outcome"] == "done", found
            assert (found["changed"] > 0) is (number != 1), found
            seconds.append(found["seconds"])
    waited = []
    with Sandbox(persons, milliseconds / 1000) as sandbox:
        urls = sandbox.config["espocrm"]["url"], root_of(sandbox.config["advoware"]["configurator_url"])
        for number, recording in enumerate(recordings):
            prepare(sandbox, number, began, seed)
            found = cost_of("tests.bench.waiting:bare", recording, *urls).answer
            waited.append(Waited(seconds[number], found["seconds"], int(found["requests"])))
    return waited


def prepare(sandbox: Sandbox, number: int, began: datetime, seed: int) -> None:
    """What happens before a run of this kind; each sandbox lives the same."""
    sandbox.clock(began + number * QUARTER)
    if number == KINDS.index("10 edits"):
        sandbox.edit(EDITS, seed)


def root_of(url: str) -> str:
    """Scheme and host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def measured(asked: Asked) -> list[Line]:
    """Each latency, each kind."""
    persons, lines = min(MOST_PERSONS, *asked.persons), []
    folders = [asked.folder / f"waiting-{seed}" for seed in range(asked.runs)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    for milliseconds in asked.milliseconds:
        with ThreadPoolExecutor(asked.runs if milliseconds >= FAR else 1) as pool:
            rounds = [pool.submit(once, folder, persons, milliseconds, seed) for seed, folder in enumerate(folders)]
            taken = [one.result() for one in rounds]
        for kind, waited in zip(KINDS, zip(*taken, strict=True), strict=True):
            share = median(one.ours / one.bare for one in waited)
            promised = milliseconds == WITH_TARGET and kind != "no change"
            lines.append(
                Line(
                    f"waiting for {kind}, {persons:,} persons, {milliseconds} ms away ÷ a bare httpx loop"
                    f" ({waited[0].requests:,} requests)",
                    f"{median(one.ours for one in waited):.1f} s ÷ {median(one.bare for one in waited):.1f} s"
                    f" = {share:.2f}",
                    f"≤ {TARGET}" if promised else "",
                    not promised or share <= TARGET,
                )
            )
    return lines

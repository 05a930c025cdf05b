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

from jobs.config_file import read_config
from jobs.environment import Environment
from jobs.pipeline import run_to_completion
from jobs.run.options import RunOptions
from tests.bench.measure import cost_of
from tests.bench.results import BenchLine
from tests.bench.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.bench.__main__ import BenchOptions

MOST_PERSONS, EDITS = 1000, 10
WITH_TARGET, TARGET = 20, 1.15
FAR = 100
"""Milliseconds from which on the rounds go side by side. At 20 ms five at once took a third longer, ours and bare."""
QUARTER = timedelta(minutes=15)
KINDS = ("first sync", "no change", "10 edits")
LOGINS = ("/api/Url", "/Token")
READERS = "reader"
"""What the threads are called whose requests overlap (etl/reading/parallel.py)."""


@dataclass(frozen=True)
class RecordedRequest:
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

    def __init__(self, host: str, requests: list[tuple[str, str, httpx.Request]]) -> None:
        self._transport, self._host, self._requests = httpx.HTTPTransport(), host, requests

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._requests.append((threading.current_thread().name, self._host, request))
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()


def to_recorded_request(lane: str, host: str, request: httpx.Request) -> RecordedRequest:
    """What the bare loop needs to send it again."""
    headers = [(name, value) for name, value in request.headers.items() if name not in {"host", "content-length"}]
    body = base64.b64encode(request.content).decode()
    return RecordedRequest(lane, host, request.method, request.url.raw_path.decode(), headers, body)


def record_run(config: str, later: str, recording: str) -> dict[str, object]:
    """One run, so many seconds later than now; its requests go into a file, its wall time into the answer."""
    requests: list[tuple[str, str, httpx.Request]] = []
    environment = Environment(
        utcnow=lambda: datetime.now(UTC) + timedelta(seconds=float(later)),
        espo_transport=Recorder("espocrm", requests),
        advo_transport=Recorder("advoware", requests),
    )
    started = time.perf_counter()
    report = run_to_completion(read_config(Path(config)), RunOptions(), environment=environment)
    seconds = time.perf_counter() - started
    Path(recording).write_text(json.dumps([asdict(to_recorded_request(*recorded)) for recorded in requests]))
    return {"seconds": seconds, "outcome": report.outcome, "changed": report.persons.changed}


def replay_requests(recording: str, espocrm: str, advoware: str) -> dict[str, float]:
    """The same requests, as quickly as httpx sends them; overlapping where ours did, with as many readers."""
    recorded_requests = [RecordedRequest(**record) for record in json.loads(Path(recording).read_text())]
    phases = [
        (overlap, list(group))
        for (overlap, *_), group in groupby(recorded_requests, key=lambda recorded: recorded.phase)
    ]
    urls = {"espocrm": espocrm, "advoware": advoware}
    started = time.perf_counter()
    with httpx.Client(timeout=60) as client:

        def send(recorded: RecordedRequest) -> bytes:
            answer = client.request(
                recorded.method,
                urls[recorded.host] + recorded.target,
                headers=recorded.headers,
                content=base64.b64decode(recorded.body),
            )
            if answer.status_code >= httpx.codes.BAD_REQUEST:
                raise AssertionError(f"{recorded.method} {recorded.target}: {answer.status_code} {answer.text[:200]}")
            return answer.content

        for overlap, phase in phases:
            with ThreadPoolExecutor(len({recorded.lane for recorded in phase}) if overlap else 1) as pool:
                list(pool.map(send, phase))
    return {"seconds": time.perf_counter() - started, "requests": len(recorded_requests)}


# Side by side -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WaitTimes:
    """One kind of run, both ways."""

    engine_seconds: float
    replay_seconds: float
    request_count: int


def measure_round(folder: Path, persons: int, milliseconds: int, seed: int) -> list[WaitTimes]:
    """The three kinds one after the other, ours and then the bare loop, each on a sandbox of its own."""
    start = datetime.now(UTC)
    recordings = [folder / f"{number}.json" for number in range(len(KINDS))]
    seconds = []
    for file in folder.glob("state.db*"):
        file.unlink()
    with Sandbox(persons, milliseconds / 1000) as sandbox:
        config = sandbox.write_config(folder)
        for number, recording in enumerate(recordings):
            prepare_run(sandbox, number, start, seed)
            result = cost_of(
                "tests.bench.waiting:record_run", config, number * QUARTER.total_seconds(), recording
            ).answer
            assert result["outcome"] == "done", result
            assert (result["changed"] > 0) is (number != 1), result
            seconds.append(result["seconds"])
    wait_times = []
    with Sandbox(persons, milliseconds / 1000) as sandbox:
        urls = sandbox.config["espocrm"]["url"], base_url(sandbox.config["advoware"]["configurator_url"])
        for number, recording in enumerate(recordings):
            prepare_run(sandbox, number, start, seed)
            result = cost_of("tests.bench.waiting:replay_requests", recording, *urls).answer
            wait_times.append(WaitTimes(seconds[number], result["seconds"], int(result["requests"])))
    return wait_times


def prepare_run(sandbox: Sandbox, number: int, start: datetime, seed: int) -> None:
    """What happens before a run of this kind; each sandbox lives the same."""
    sandbox.set_clock(start + number * QUARTER)
    if number == KINDS.index("10 edits"):
        sandbox.edit(EDITS, seed)


def base_url(url: str) -> str:
    """Scheme and host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def measure_waiting(options: BenchOptions) -> list[BenchLine]:
    """Each latency, each kind."""
    persons, lines = min(MOST_PERSONS, *options.persons), []
    folders = [options.folder / f"waiting-{seed}" for seed in range(options.runs)]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    for milliseconds in options.milliseconds:
        with ThreadPoolExecutor(options.runs if milliseconds >= FAR else 1) as pool:
            rounds = [
                pool.submit(measure_round, folder, persons, milliseconds, seed) for seed, folder in enumerate(folders)
            ]
            times_by_folder = [future.result() for future in rounds]
        for kind, wait_times in zip(KINDS, zip(*times_by_folder, strict=True), strict=True):
            ours, bare = (
                median(getattr(wait, field) for wait in wait_times) for field in ("engine_seconds", "replay_seconds")
            )
            ratio = median(wait.engine_seconds / wait.replay_seconds for wait in wait_times)
            has_target = milliseconds == WITH_TARGET and kind != "no change"
            lines.append(
                BenchLine(
                    f"waiting for {kind}, {persons:,} persons, {milliseconds} ms away ÷ a bare httpx loop"
                    f" ({wait_times[0].request_count:,} requests)",
                    f"{ours:.1f} s ÷ {bare:.1f} s = {ratio:.2f}",
                    f"≤ {TARGET}" if has_target else "",
                    not has_target or ratio <= TARGET,
                )
            )
    return lines

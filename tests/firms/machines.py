"""Machines with workers of Dask's distributed, for tests: processes that come, go and are killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from jobs.firms.cluster import open_cluster
from jobs.firms.result import FirmCommand, FirmResult
from jobs.firms.round import RoundOptions, do_round

PATIENCE_SECONDS = 120


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        threading.Event().wait(0.3)


class Machines:
    """A scheduler of Dask's, and workers that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.file = folder / "scheduler.json"
        self.scheduler = self.start_scheduler("0")
        wait_for(self.file.exists)
        self.address = str(json.loads(self.file.read_text("utf-8"))["address"])

    def start_scheduler(self, port: str) -> subprocess.Popen[bytes]:
        return self.start("scheduler", "--scheduler-file", str(self.file), "--host", "127.0.0.1", "--port", port)

    def kill_scheduler(self) -> None:
        """The scheduler is gone, and with it in a while its workers, which end by themselves."""
        self.scheduler.kill()
        self.scheduler.wait()

    def start_scheduler_again(self) -> None:
        """At the same address, as a service manager does."""
        self.scheduler = self.start_scheduler(self.address.rpartition(":")[2])

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], "--no-dashboard", *arguments[1:]]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)
        self.processes.append(process)
        return process

    def start_worker(self, name: str, *resources: str, nanny: bool = False) -> subprocess.Popen[bytes]:
        """A worker; without a nanny it dies as a machine does, and nothing puts another one in its place."""
        offered = ["--resources", " ".join(f"{resource}=1" for resource in resources)] if resources else []
        offered += [] if nanny else ["--no-nanny"]
        process = self.start(
            "worker", self.address, "--name", name, "--nthreads", "1", "--host", "127.0.0.1", *offered
        )
        wait_for(lambda: name in self.worker_names())
        return process

    def worker_names(self) -> set[str]:
        with open_cluster(self.address) as cluster:
            return {worker["name"] for worker in cluster.client.scheduler_info()["workers"].values()}

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def ask(machines: Machines, folder: Path, command: FirmCommand, *only: str) -> dict[str, FirmResult]:
    options = RoundOptions(folder, only, 1, machines.address, "operator", 20, details=False)
    return {result.firm: result for result in do_round(command, options)}

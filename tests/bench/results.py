"""What was measured, kept in ``results.json`` beside this file and shown as a table in the README."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench.measure import ROOT

KEPT = Path(__file__).with_name("results.json")
README = ROOT / "README.md"
SHOWN = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- /measured -->)", re.DOTALL)
PACKAGES = ("pandas", "pyarrow", "numpy", "httpx", "adbc-driver-sqlite", "vdirsyncer", "duckdb")


@dataclass(frozen=True)
class Line:
    """One row of the table: a figure of ours, and what it was to reach, where anything was promised."""

    what: str
    measured: str
    target: str = ""
    met: bool = True


@dataclass(frozen=True)
class Measured:
    """The lines of one benchmark, and where and with what they were measured."""

    name: str
    runs: int
    commit: str
    machine: str
    versions: str
    lines: tuple[Line, ...]


def here(name: str, runs: int, lines: list[Line]) -> Measured:
    """The lines as measured on this machine."""
    return Measured(name, runs, commit(), machine(), versions(), tuple(lines))


def commit() -> str:
    """What was measured; a plus for changes that are not committed."""
    git = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(git, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def machine() -> str:
    """Cores, processor and memory."""
    cpu = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", cpu.read_text()) if cpu.exists() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({found[1].strip() if found else platform.machine()}), {memory:.0f} GB"


def versions() -> str:
    """Python and the libraries that matter, those that are there."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def kept() -> dict[str, Measured]:
    """What was measured so far, by benchmark."""
    written = json.loads(KEPT.read_text()) if KEPT.exists() else []
    return {one["name"]: Measured(**{**one, "lines": tuple(Line(**line) for line in one["lines"])}) for one in written}


def keep(measured: Measured) -> None:
    """Keep a benchmark's lines in place of its earlier ones, and show all in the README."""
    together = kept() | {measured.name: measured}
    KEPT.write_text(json.dumps([asdict(one) for one in together.values()], indent=1, ensure_ascii=False) + "\n")
    README.write_text(SHOWN.sub(lambda _: table(together), README.read_text()))


def table(together: dict[str, Measured]) -> str:
    """The README's section."""
    rows = [
        f"| {line.what} | {line.measured} | {line.target}{'' if line.met else ' (not reached)'} |"
        for one in together.values()
        for line in one.lines
    ]
    places = dict.fromkeys(f"{one.machine}; {one.versions}" for one in together.values())
    return "\n".join(["| what | measured | target |", "|---|---|---|", *rows, "", *places, ""])

"""What was measured: kept in ``results.json``, shown as a table in README.md beside it, three lines in the README."""

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
PAGE = Path(__file__).with_name("README.md")
SHOWN = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- /measured -->)", re.DOTALL)
README = ROOT / "README.md"
SHOWN_IN_README = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)
FIGURES = (
    "requests per changed person",
    "waiting for first sync, 1,000 persons, 20 ms away",
    "a run without a change, 250,000 persons",
)
"""How the lines begin that the main README shows."""

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
    """Keep a benchmark's lines in place of its earlier ones, and show them on both pages."""
    together = kept() | {measured.name: measured}
    KEPT.write_text(json.dumps([asdict(one) for one in together.values()], indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(SHOWN.sub(lambda _: table(together), PAGE.read_text("utf-8")), "utf-8")
    README.write_text(SHOWN_IN_README.sub(lambda _: figures(together), README.read_text("utf-8")), "utf-8")


def table(together: dict[str, Measured]) -> str:
    """The table of README.md beside this file."""
    rows = [
        f"| {line.what} | {line.measured} | {line.target}{'' if line.met else ' (not reached)'} |"
        for one in together.values()
        for line in one.lines
    ]
    places = dict.fromkeys(f"{one.machine}; {one.versions}" for one in together.values())
    return "\n".join(["| what | measured | target |", "|---|---|---|", *rows, "", *places, ""])


def figures(together: dict[str, Measured]) -> str:
    """The figures the main README shows, as a table."""
    lines = [line for measured in together.values() for line in measured.lines if line.what.startswith(FIGURES)]
    rows = [f"| {line.what} | {line.measured} |" for line in lines]
    return "\n".join(["| figure | measured |", "|---|---|", *rows, ""])

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

RESULTS_FILE = Path(__file__).with_name("results.json")
PAGE = Path(__file__).with_name("README.md")
TABLE_SECTION = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- /measured -->)", re.DOTALL)
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
class BenchLine:
    """One row of the table: a figure of ours, and what it was to reach, where anything was promised."""

    what: str
    measured: str
    target: str = ""
    met: bool = True


@dataclass(frozen=True)
class BenchResult:
    """The lines of one benchmark, and where and with what they were measured."""

    name: str
    runs: int
    commit: str
    machine: str
    versions: str
    lines: tuple[BenchLine, ...]


def bench_result(name: str, runs: int, lines: list[BenchLine]) -> BenchResult:
    """The lines as measured on this machine."""
    return BenchResult(name, runs, git_commit(), machine_summary(), library_versions(), tuple(lines))


def git_commit() -> str:
    """What was measured; a plus for changes that are not committed."""
    git = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(git, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def machine_summary() -> str:
    """Cores, processor and memory."""
    cpu = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", cpu.read_text()) if cpu.exists() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model[1].strip() if model else platform.machine()}), {memory:.0f} GB"


def library_versions() -> str:
    """Python and the libraries that matter, those that are there."""
    names = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            names.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(names)


def load_results() -> dict[str, BenchResult]:
    """What was measured so far, by benchmark."""
    records = json.loads(RESULTS_FILE.read_text()) if RESULTS_FILE.exists() else []
    return {
        record["name"]: BenchResult(**{**record, "lines": tuple(BenchLine(**line) for line in record["lines"])})
        for record in records
    }


def save_result(result: BenchResult) -> None:
    """Keep a benchmark's lines in place of its earlier ones, and show them on both pages."""
    results = load_results() | {result.name: result}
    RESULTS_FILE.write_text(
        json.dumps([asdict(benchmark) for benchmark in results.values()], indent=1, ensure_ascii=False) + "\n"
    )
    PAGE.write_text(TABLE_SECTION.sub(lambda _: results_table(results), PAGE.read_text("utf-8")), "utf-8")
    README.write_text(SHOWN_IN_README.sub(lambda _: figures(results), README.read_text("utf-8")), "utf-8")


def results_table(results: dict[str, BenchResult]) -> str:
    """The table of README.md beside this file."""
    rows = [
        f"| {line.what} | {line.measured} | {line.target}{'' if line.met else ' (not reached)'} |"
        for result in results.values()
        for line in result.lines
    ]
    places = dict.fromkeys(f"{result.machine}; {result.versions}" for result in results.values())
    return "\n".join(["| what | measured | target |", "|---|---|---|", *rows, "", *places, ""])


def figures(together: dict[str, BenchResult]) -> str:
    """The figures the main README shows, as a table."""
    lines = [line for measured in together.values() for line in measured.lines if line.what.startswith(FIGURES)]
    rows = [f"| {line.what} | {line.measured} |" for line in lines]
    return "\n".join(["| figure | measured |", "|---|---|", *rows, ""])

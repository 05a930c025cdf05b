"""``python -m tests.bench [NAME …]``: measure, print the table; with ``--keep`` also into results.json and the pages.

Needs the extra ``bench`` and no network. All of it takes two hours; a name, fewer persons or fewer runs take less.
"""

# ruff: noqa: T201 - a program for the terminal

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.results import bench_result, results_table, save_result
from tests.children import end_children_with_me

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.results import BenchLine

NAMES = ("requests", "waiting", "statements", "planning", "growth", "early", "firms")
SIZES = (1000, 10_000, 100_000, 250_000)


@dataclass(frozen=True)
class BenchOptions:
    """How much is measured: firms of these sizes, so many runs each; ``folder`` is for whatever is needed meanwhile."""

    persons: tuple[int, ...]
    runs: int
    folder: Path
    milliseconds: tuple[int, ...] = ()

    def store_path(self, persons: int, fill: Callable[[Path, int], None]) -> Path:
        """A filled store, made once."""
        path = self.folder / f"{persons}.db"
        if not path.exists():
            fill(path, persons)
        return path


def bench_parts(name: str, options: BenchOptions) -> dict[str, BenchOptions]:
    """What is measured and kept on its own: of the waiting each distance, as that takes half an hour each."""
    if name != "waiting":
        return {name: options}
    return {
        f"{name}, {distance} ms away": replace(options, milliseconds=(distance,)) for distance in options.milliseconds
    }


def main() -> int:
    end_children_with_me()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all unless given")
    parser.add_argument("--persons", type=int, nargs="+", default=SIZES, help="sizes of the firm")
    parser.add_argument("--milliseconds", type=int, nargs="+", default=(0, 20, 100), help="how far the systems are")
    parser.add_argument("--runs", type=int, default=5, help="medians of so many")
    parser.add_argument("--folder", type=Path, help="where filled stores are kept for the next time")
    parser.add_argument("--keep", action="store_true", help="write results.json, its page, and the README")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"nothing is called {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="advosync-bench-") as folder:
        options = BenchOptions(
            tuple(arguments.persons), arguments.runs, arguments.folder or Path(folder), tuple(arguments.milliseconds)
        )
        for name in arguments.names or NAMES:
            for part, part_options in bench_parts(name, options).items():
                lines: list[BenchLine] = getattr(
                    import_module(f"tests.bench.{name}"), f"measure_{name}"
                )(part_options)
                result = bench_result(part, options.runs, lines)
                print(results_table({part: result}), flush=True)
                if arguments.keep:
                    save_result(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

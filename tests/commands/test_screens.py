"""What stands on a screen, letter by letter: at 80 and 120 columns, piped, without colours, without umlauts.

The pages in ``screens`` are the screens. After a change that is meant, ``ADVOSYNC_WRITE_SCREENS=1`` writes them anew.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.cells import cell_len

from jobs.screen import REPLACE_UNPRINTABLE, make_console
from tests.commands.screens_firm import CONFIG, VALUES, ScreensFirm
from tests.telemetry.test_progress import read_terminal

SCREENS = Path(__file__).parent / "screens"
COMMANDS = (
    "help", "help-undo", "plan", "plan-held", "held", "status", "explain", "conflicts", "check", "check-data", "sync",
    "undo", "backfill", "firms-status", "config-show",
)  # fmt: skip


class Output(NamedTuple):
    """Where a command writes to; no ``columns``: to a file."""

    name: str
    columns: int | None
    colours: bool = False
    encoding: str = "utf-8"


OUTPUTS = (
    Output("80", 80),
    Output("80 in colour", 80, colours=True),
    Output("80 without umlauts", 80, encoding="ascii"),
    Output("120", 120),
    Output("piped", None),
)


class StandardOutput(io.TextIOWrapper):
    """Standard output of a process: a terminal, or a file."""

    def __init__(self, output: Output) -> None:
        self.written = io.BytesIO()
        super().__init__(self.written, encoding=output.encoding, errors=REPLACE_UNPRINTABLE, write_through=True)
        self.is_terminal = output.columns is not None

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> ScreensFirm:
    return ScreensFirm(tmp_path_factory.mktemp("screens"))


def look_at(firm: ScreensFirm, command: str, output: Output) -> str:
    """What the command writes to standard output, there."""
    with pytest.MonkeyPatch.context() as environment, redirect_stdout(StandardOutput(output)) as stdout:
        # the terminal is what a command finds in these variables
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            environment.delenv(name, raising=False)
        environment.setenv("TERM", "xterm")
        if output.columns is not None:
            environment.setenv("COLUMNS", str(output.columns))
        if not output.colours:
            environment.setenv("NO_COLOR", "1")
        firm.draw(command, make_console())
        return stdout.written.getvalue().decode(output.encoding)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_screen_is_the_one_that_was_looked_at(firm: ScreensFirm, command: str) -> None:
    path = SCREENS / f"{command}.txt"
    outputs_by_text: dict[str, list[str]] = {}
    for output in OUTPUTS:
        outputs_by_text.setdefault(look_at(firm, command, output), []).append(output.name)
    text = "\n".join(f"######## {'; '.join(names)}\n{screen}" for screen, names in outputs_by_text.items())
    if os.environ.get("ADVOSYNC_WRITE_SCREENS"):
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")
    assert "geheim" not in text


def test_every_page_is_a_screen() -> None:
    assert {path.stem for path in SCREENS.iterdir()} == set(COMMANDS)


@pytest.mark.parametrize("columns", [80, 100, 120, None])
def test_no_value_is_split_over_lines(firm: ScreensFirm, columns: int | None) -> None:
    seen = set()
    for command in COMMANDS:
        text = re.sub(r"\x1b\[[\d;]*m", "", look_at(firm, command, Output("", columns)))
        unbroken = re.sub(r" *\n *", " ", text), re.sub(r" *\n *", "", text)
        split = [value for value in values_of(firm) for whole in unbroken if whole.count(value) > text.count(value)]
        too_wide = [line for line in text.splitlines() if columns is not None and cell_len(line) > columns]
        assert (command, split, too_wide) == (command, [], [])
        seen |= {value for value in values_of(firm) if value in text}
    assert seen == set(values_of(firm))


def test_a_real_terminal_without_umlauts_shows_the_same(firm: ScreensFirm) -> None:
    no_umlauts = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    env = {**os.environ, **no_umlauts, "TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1", "ESPOCRM_API_KEY": "geheim-1"}
    (firm.folder / "real.yaml").write_text(CONFIG.replace("/var/lib/advosync", str(firm.folder)), "utf-8")
    command = [sys.executable, "-m", "jobs", "--config", str(firm.folder / "real.yaml"), "held"]
    own_end, process_end = pty.openpty()
    with subprocess.Popen(command, env=env, stdin=process_end, stdout=process_end) as process:
        os.close(process_end)
        written = read_terminal(own_end).decode().replace("\r\n", "\n")
    assert process.returncode == 0
    assert written == look_at(firm, "held", Output("", 80, encoding="ascii"))


def values_of(firm: ScreensFirm) -> tuple[str, ...]:
    return *VALUES, *firm.ids.values()

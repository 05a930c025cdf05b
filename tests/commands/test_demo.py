"""The first thing a newcomer runs: the demo tells its story, and says so itself when it does not go as told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from etl.rules.variants import VARIANT_WORDS
from jobs.commands import side_by_side
from jobs.commands.side_by_side import ComparisonLine, RowMark
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim

VARIANTS_OF_DEMO = {"var1", "var2", "var3", "var4", "var5", "var6", "link", "clash", "retype", "repair"}
"""The variants that happen to this firm; what happens to nobody, or leads to nothing, is not demo_process."""

PROXY = "http://127.0.0.1:9"
"""Nobody listens there: whoever asks this proxy gets no answer."""


def run_demo(**changes: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.defpath, "COLUMNS": "80", "PYTHONUTF8": "1", **changes}
    return subprocess.run(
        [sys.executable, "-m", "jobs", "demo"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=variables,
    )


@pytest.fixture(scope="module")
def demo_process() -> subprocess.CompletedProcess[str]:
    started = time.monotonic()
    process = run_demo(HTTP_PROXY=PROXY, HTTPS_PROXY=PROXY, ALL_PROXY=PROXY)
    assert time.monotonic() - started < 60
    return process


def test_the_demo_ends_well_without_configuration_network_and_noise(
    demo_process: subprocess.CompletedProcess[str],
) -> None:
    assert demo_process.stderr == ""
    assert demo_process.returncode == 0


def test_the_demo_names_every_variant_that_happens(demo_process: subprocess.CompletedProcess[str]) -> None:
    text = " ".join(demo_process.stdout.split())  # a narrow screen may break a name
    assert [name for name in sorted(VARIANTS_OF_DEMO) if VARIANT_WORDS[name] not in text] == []


def test_the_second_run_writes_nothing_and_both_sides_agree(demo_process: subprocess.CompletedProcess[str]) -> None:
    assert demo_process.stdout.splitlines()[-1] == "0 writes to EspoCRM, 0 to Advoware. ✓ Both sides agree."


def test_the_readme_shows_lines_of_the_demo(demo_process: subprocess.CompletedProcess[str]) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    quoted = readme.split("```\n")[1].splitlines()
    lines = iter([line.rstrip() for line in demo_process.stdout.splitlines()])
    assert len(quoted) == 12
    assert [line for line in quoted if line not in lines] == []  # an iterator: in this order


def test_a_lost_value_is_shown_with_where_it_is_kept(demo_process: subprocess.CompletedProcess[str]) -> None:
    text = " ".join(demo_process.stdout.split())
    assert "+495111234588 of EspoCRM wins over 0511 1234577 of Advoware, which is kept as number 1" in text
    assert "To keep 0511 1234577, enter it here again" in text


def test_the_demo_fits_two_screens_of_plain_text(demo_process: subprocess.CompletedProcess[str]) -> None:
    lines = demo_process.stdout.splitlines()
    assert len(lines) <= 2 * 50
    assert max(len(line) for line in lines) <= 80
    assert "\x1b" not in demo_process.stdout


def test_a_terminal_without_umlauts_and_arrows_is_no_reason_to_fail() -> None:
    process = run_demo(PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (process.returncode, process.stderr) == (0, "")
    assert "Both sides agree." in process.stdout


# Telling whether two sides agree ------------------------------------------------------------------------------------


def side_by_side_lines(espo: EspoSim, advo: AdvoSim) -> list[str]:
    return [str(line) for line in side_by_side.compare_sides(espo, advo)]


def test_each_line_says_how_it_stands() -> None:
    espo, advo = EspoSim(), AdvoSim()
    espo.add_person("Max Muster", 104711, phones=["+495111234560", "+491712223334", "+495113210011"])
    advo.add_person(104711, "Max Muster")
    advo.add_row(104711, "0511/1234560", "[ESPOCRM:KzQ5NTExMTIzNDU2MA==:1] nur vormittags")
    advo.add_row(104711, "0171 2223334", "privat", komm_kz=3)
    advo.add_row(104711, "0511 999888")
    advo.add_row(104711, "0511 1234560", "noch einmal")
    advo.add_row(104711, "Mutter: 0511 123456")
    advo.add_row(104711, "käthe@krämer.de", komm_kz=4)
    advo.add_row(104711, "www.muster.de", komm_kz=5)
    advo.add_row(104711, "", "[ESPOCRM-SLOT:2]", komm_kz=2)
    espo.add_person("Fritz Ohne", None, phones=["+495113210099"])
    assert side_by_side_lines(espo, advo) == [
        "Max Muster: +495111234560 = 0511/1234560",
        "Max Muster: +491712223334 ≈ 0171 2223334",
        "Max Muster: +495113210011 → –",
        "Max Muster: – ← 0511 999888",
        "Max Muster: – · 0511 1234560",
        "Max Muster: – · Mutter: 0511 123456",
        "Max Muster: – · käthe@krämer.de",
        "Max Muster: – · www.muster.de",
        "Max Muster: – · (slot for the next FaxGesch)",
        "Fritz Ohne: +495113210099 · –",
    ]


@pytest.mark.parametrize("sign", list(RowMark))
def test_only_what_is_in_sync_or_left_alone_agrees(sign: RowMark) -> None:
    assert ComparisonLine("x", sign).agrees is (sign in {RowMark.IN_SYNC, RowMark.LEFT_ALONE})

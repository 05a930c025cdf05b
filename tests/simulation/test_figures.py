"""The command behind the figures of ``tests/README.md``, in small: the same functions, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.simulation import figures
from tests.simulation.ledger import Ledger, Line, Task, ended
from tests.simulation.tables import tables, written_into
from tests.simulation.trials import trials


def line(task: Task, *, done: int = 1, bad: int = 0, told: str = "") -> Line:
    return ended(task, done=done, bad=bad, told=told, seconds=1.0)


def test_a_world_is_lived_once_and_the_file_says_how_it_ended(tmp_path: Path) -> None:
    files = ["--results", str(tmp_path / "found.jsonl"), "--kept", str(tmp_path / "lived.json")]
    asked = ["--histories", "4", "--persons", "2", "--processes", "1", *files]
    assert figures.figures(asked) == 0
    first = (tmp_path / "found.jsonl").read_text()
    assert [(one["kind"], one["seed"], one["done"]) for one in map(json.loads, first.splitlines())] == [
        ("history", 0, 2),
        ("history", 1, 2),
    ]
    assert figures.figures(asked) == 0
    assert (tmp_path / "found.jsonl").read_text() == first


def test_only_what_is_missing_is_lived(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "found.jsonl")
    ledger.write(line(Task("trial", 0, "killed", persons=3)))
    ledger.write(line(Task("history", 1, persons=50, episodes=2), done=50))
    options = figures.asked_for(["--trials", "2", "--only", "killed", "--histories", "120"])
    assert [(task.kind, task.seed, task.later) for task in figures.wanted(options, ledger)] == [
        ("trial", 1, False),
        ("trial", 0, True),
        ("trial", 1, True),
        ("history", 0, False),
        ("history", 2, False),
    ]


def test_a_bad_seed_that_holds_after_a_repair_is_told_as_both(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "found.jsonl")
    task = Task("history", 7, persons=50, episodes=2)
    ledger.write(line(task, done=50, bad=1, told="nothing a person entered is lost"))
    assert figures.wanted(figures.asked_for(["--again"]), ledger) == [task]
    ledger.write(line(task, done=50))
    assert "of 50 persons | 50 | 0 | 1 |" in tables(ledger)
    assert figures.wanted(figures.asked_for(["--again"]), ledger) == []


def test_a_trial_in_which_the_fault_never_struck_is_no_trial(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "found.jsonl")
    for seed, done, bad in ((0, 1, 0), (1, 0, 0), (2, 1, 1)):
        ledger.write(line(Task("trial", seed, "killed", later=True, persons=3), done=done, bad=bad))
    assert "| killed |  | 1 of 2 |" in tables(ledger)


@pytest.mark.parametrize("later", [False, True])
def test_trials_of_one_seed_share_their_beginning_and_nothing_else(later: bool) -> None:  # noqa: FBT001
    faults = ["none", "killed", "people edit meanwhile", "a second writer", "old backup put back", "answer lost"]
    together = dict(trials(faults, later=later, seed=5))
    assert [one.wrong for one in together.values()] == [None] * len(faults)
    assert together == {fault: found for name in faults for fault, found in trials([name], later=later, seed=5)}


def test_every_person_that_lived_counts_as_a_history(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "found.jsonl")
    ledger.write(line(Task("history", 1, persons=50, episodes=2), done=50))
    ledger.write(line(Task("kills", 1, persons=2), done=80))
    ledger.write(line(Task("trial", 1, "killed", persons=3)))
    ledger.write(line(Task("trial", 2, "killed", persons=3), done=0))  # the fault never came
    assert "| 213 | 0 | 0 |" in tables(ledger)


def test_a_line_torn_by_a_crash_is_none(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    ledger = Ledger(path)
    ledger.write(line(Task("kills", 1, persons=2), done=80))
    path.write_text(path.read_text() + '{"kind": "ki')
    assert [one.done for one in ledger.lines()] == [80]


def test_what_earlier_machines_lived_is_kept_in_few_words_and_not_lived_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "found.jsonl", tmp_path / "lived.json")
    for seed in (0, 1, 2, 5):
        ledger.write(line(Task("history", seed, persons=50, episodes=2), done=50))
    ledger.write(line(Task("history", 3, persons=50, episodes=2), done=50, bad=1, told="lost"))
    ledger.write(line(Task("history", 3, persons=50, episodes=2), done=50))
    before = tables(ledger)
    ledger.keep()
    assert not ledger.path.exists()
    assert [one["seeds"] for one in json.loads((tmp_path / "lived.json").read_text())] == ["3", "0-3 5"]
    assert tables(ledger) == before
    options = figures.asked_for(["--histories", "350"])
    assert [task.seed for task in figures.wanted(options, ledger)] == [4, 6]


def test_the_tables_stand_between_their_marks() -> None:
    readme = figures.README.read_text("utf-8")
    for name in ("figures", "side by side"):
        before, begin, rest = readme.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        again = written_into(written_into(readme, "| a |", name), "| b |", name)
        assert again == f"{before}{begin}\n\n| b |\n\n{end}{after}"

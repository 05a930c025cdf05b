"""The command behind the figures of ``tests/README.md``, in small: the same functions, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.simulation import figures
from tests.simulation.ledger import ResultLine, ResultLog, Task, result_line
from tests.simulation.tables import markdown_report, replace_section
from tests.simulation.trials import trial_results


def new_line(task: Task, *, done: int = 1, bad: int = 0, detail: str = "") -> ResultLine:
    return result_line(task, done=done, bad=bad, detail=detail, seconds=1.0)


def test_a_world_is_lived_once_and_the_file_says_how_it_ended(tmp_path: Path) -> None:
    files = ["--results", str(tmp_path / "found.jsonl"), "--kept", str(tmp_path / "lived.json")]
    arguments = ["--histories", "4", "--persons", "2", "--processes", "1", *files]
    assert figures.run_figures(arguments) == 0
    first_result = (tmp_path / "found.jsonl").read_text()
    assert [
        (record["kind"], record["seed"], record["done"]) for record in map(json.loads, first_result.splitlines())
    ] == [
        ("history", 0, 2),
        ("history", 1, 2),
    ]
    assert figures.run_figures(arguments) == 0
    assert (tmp_path / "found.jsonl").read_text() == first_result


def test_only_what_is_missing_is_lived(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "found.jsonl")
    log.write(new_line(Task("trial", 0, "killed", persons=3)))
    log.write(new_line(Task("history", 1, persons=50, episodes=2), done=50))
    options = figures.parse_figure_options(["--trials", "2", "--only", "killed", "--histories", "120"])
    assert [(task.kind, task.seed, task.later) for task in figures.tasks_to_run(options, log)] == [
        ("trial", 1, False),
        ("trial", 0, True),
        ("trial", 1, True),
        ("history", 0, False),
        ("history", 2, False),
    ]


def test_a_bad_seed_that_holds_after_a_repair_is_told_as_both(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "found.jsonl")
    task = Task("history", 7, persons=50, episodes=2)
    log.write(new_line(task, done=50, bad=1, detail="nothing a person entered is lost"))
    assert figures.tasks_to_run(figures.parse_figure_options(["--again"]), log) == [task]
    log.write(new_line(task, done=50))
    assert "of 50 persons | 50 | 0 | 1 |" in markdown_report(log)
    assert figures.tasks_to_run(figures.parse_figure_options(["--again"]), log) == []


def test_a_trial_in_which_the_fault_never_struck_is_no_trial(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "found.jsonl")
    for seed, done, bad in ((0, 1, 0), (1, 0, 0), (2, 1, 1)):
        log.write(new_line(Task("trial", seed, "killed", later=True, persons=3), done=done, bad=bad))
    assert "| killed |  | 1 of 2 |" in markdown_report(log)


@pytest.mark.parametrize("later", [False, True])
def test_trials_of_one_seed_share_their_beginning_and_nothing_else(later: bool) -> None:  # noqa: FBT001
    faults = ["none", "killed", "people edit meanwhile", "a second writer", "old backup put back", "answer lost"]
    together = dict(trial_results(faults, later=later, seed=5))
    assert [result.failure for result in together.values()] == [None] * len(faults)
    assert together == {
        fault: result for name in faults for fault, result in trial_results([name], later=later, seed=5)
    }


def test_every_person_that_lived_counts_as_a_history(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "found.jsonl")
    log.write(new_line(Task("history", 1, persons=50, episodes=2), done=50))
    log.write(new_line(Task("kills", 1, persons=2), done=80))
    log.write(new_line(Task("trial", 1, "killed", persons=3)))
    log.write(new_line(Task("trial", 2, "killed", persons=3), done=0))  # the fault never came
    assert "| 213 | 0 | 0 |" in markdown_report(log)


def test_a_line_torn_by_a_crash_is_none(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    log = ResultLog(path)
    log.write(new_line(Task("kills", 1, persons=2), done=80))
    path.write_text(path.read_text() + '{"kind": "ki')
    assert [result.done for result in log.lines()] == [80]


def test_what_earlier_machines_lived_is_kept_in_few_words_and_not_lived_again(tmp_path: Path) -> None:
    log = ResultLog(tmp_path / "found.jsonl", tmp_path / "lived.json")
    for seed in (0, 1, 2, 5):
        log.write(new_line(Task("history", seed, persons=50, episodes=2), done=50))
    log.write(new_line(Task("history", 3, persons=50, episodes=2), done=50, bad=1, detail="lost"))
    log.write(new_line(Task("history", 3, persons=50, episodes=2), done=50))
    report_before = markdown_report(log)
    log.keep()
    assert not log.path.exists()
    assert [record["seeds"] for record in json.loads((tmp_path / "lived.json").read_text())] == ["3", "0-3 5"]
    assert markdown_report(log) == report_before
    options = figures.parse_figure_options(["--histories", "350"])
    assert [task.seed for task in figures.tasks_to_run(options, log)] == [4, 6]


def test_the_tables_stand_between_their_marks() -> None:
    readme = figures.README.read_text("utf-8")
    for name in ("figures", "side by side"):
        before, begin, rest = readme.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        again = replace_section(replace_section(readme, "| a |", name), "| b |", name)
        assert again == f"{before}{begin}\n\n| b |\n\n{end}{after}"

"""`undo` and `restore` ask at a terminal, lead through the guard, and write nothing unasked without one."""

from __future__ import annotations

import io
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import yaml

from jobs import cli
from jobs.exit_codes import ExitCode
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import Servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PERSONS = 15


class Terminal(io.StringIO):
    """Somebody who types these lines: in place of standard input, which under pytest is no terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def systems() -> Iterator[Servers]:
    """Fifteen persons with one number each."""
    with Servers(EspoSim(), AdvoSim()) as servers:
        for number in range(1, PERSONS + 1):
            servers.espo.add_person(f"Max Muster{number}", number, phones=[f"+4951123456{number:02}"])
            servers.advo.add_person(number, f"Max Muster{number}")
        yield servers


@pytest.fixture
def config_file(tmp_path: Path, systems: Servers) -> Path:
    path = tmp_path / "config.yaml"
    settings = systems.config()
    settings["state"] = {"path": str(tmp_path / "state.db")}
    settings["espocrm"]["settle_seconds"] = 0
    path.write_text(yaml.safe_dump(settings), "utf-8")
    assert advosync(path, "sync") == ExitCode.DONE
    for number in range(1, PERSONS + 1):
        (row,) = systems.advo.rows(number)
        systems.advo.edit_row(number, row["id"], value=f"0511 98765{number:02}")
    assert advosync(path, "sync", "--sweep") in {ExitCode.DONE, ExitCode.HELD}
    if systems_numbers(systems) != changed_numbers():
        assert advosync(path, "approve", "2") == ExitCode.DONE
    assert systems_numbers(systems) == changed_numbers()
    return path


def changed_numbers() -> set[str]:
    return {f"+4951198765{number:02}" for number in range(1, PERSONS + 1)}


def systems_numbers(systems: Servers) -> set[str]:
    return {item["phoneNumber"] for entity_id in systems.espo.store.records for item in systems.espo.items(entity_id)}


def advosync(config_file: Path, *arguments: str) -> int:
    return cli.run_command_line(["--config", str(config_file), *arguments])


def latest_writing_run(config_file: Path) -> str:
    with closing(sqlite3.connect(config_file.parent / "state.db")) as connection:
        return str(connection.execute("select max(run_id) from changes where state = 'done'").fetchone()[0])


@pytest.mark.parametrize("as_json", [True, False])
def test_without_a_terminal_nothing_is_written_unless_told_so(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    run_id = latest_writing_run(config_file)
    systems.espo.clear_request_log()
    systems.advo.clear_request_log()
    options = ["--json"] if as_json else []
    assert advosync(config_file, "undo", run_id, *options) == ExitCode.USAGE
    assert advosync(config_file, "restore", "1", *options) == ExitCode.USAGE
    assert (systems.espo.writes, systems.advo.writes) == ([], [])
    captured = capsys.readouterr()
    assert "give --yes, or --dry-run" in captured.out + captured.err
    assert advosync(config_file, "undo", run_id, "--dry-run") in {ExitCode.CHANGES_PLANNED, ExitCode.HELD}
    assert systems_numbers(systems) == changed_numbers()


def test_an_undo_larger_than_the_guard_leads_through_it(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = latest_writing_run(config_file)
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", Terminal("l\ny\ny\n"))
    assert advosync(config_file, "undo", run_id) == ExitCode.DONE
    screen = capsys.readouterr().out
    summary, _, rest = screen.partition("l(ist every step)")
    assert f"would be held: {2 * PERSONS} steps of {PERSONS} persons" in summary
    assert f"EspoCRM: {PERSONS} values to replace" in summary
    assert len(summary.splitlines()) < 15
    assert "Max Muster7" in rest
    assert "Approve it now?" in rest
    assert systems_numbers(systems) == {f"+4951123456{number:02}" for number in range(1, PERSONS + 1)}


def test_who_says_no_to_the_guard_finds_it_held(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = latest_writing_run(config_file)
    monkeypatch.setattr(sys, "stdin", Terminal("y\nn\n"))
    assert advosync(config_file, "undo", run_id) == ExitCode.HELD
    assert "advosync approve" in capsys.readouterr().out
    assert systems_numbers(systems) == changed_numbers()
    assert advosync(config_file, "held") == ExitCode.DONE
    assert f"holds {PERSONS} persons" in capsys.readouterr().out


def test_an_undo_that_the_guard_lets_pass_asks_for_no_approval_while_another_run_holds_somebody(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = systems.advo.rows(1)
    systems.advo.edit_row(1, row["id"], value="0511 7654321")
    assert advosync(config_file, "sync", "--sweep") == ExitCode.DONE
    run_id = latest_writing_run(config_file)
    for number in range(2, PERSONS + 1):
        (row,) = systems.advo.rows(number)
        systems.advo.edit_row(number, row["id"], value=f"0511 87654{number:02}")
    assert advosync(config_file, "sync", "--sweep") == ExitCode.HELD
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert advosync(config_file, "undo", run_id) == ExitCode.DONE
    assert "Approve it now?" not in capsys.readouterr().out
    assert systems_numbers(systems) == changed_numbers()


def test_who_says_no_changes_nothing(config_file: Path, systems: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = latest_writing_run(config_file)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    advosync(config_file, "undo", run_id)
    assert systems_numbers(systems) == changed_numbers()

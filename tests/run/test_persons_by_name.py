"""Whom and what an operator names: a person, a run, an address; what is not there is said, and nothing is done."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from jobs import cli
from jobs.exit_codes import ExitCode
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.firm import small_law_firm
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clock() -> SimClock:
    return SimClock()


@pytest.fixture
def systems(clock: SimClock) -> Iterator[Servers]:
    """A small firm that was typed in an hour ago; both systems tell the real time."""
    clock.advance(-3600)
    espo, advo = EspoSim(clock), AdvoSim(clock)
    small_law_firm(espo, advo)
    clock.advance(3600)
    with Servers(espo, advo) as servers:
        yield servers


@pytest.fixture
def config_file(tmp_path: Path, systems: Servers) -> Path:
    return write_yaml(tmp_path / "config.yaml", systems.config())


def write_yaml(path: Path, settings: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def run_with_json(config_file: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = cli.run_command_line(["--config", str(config_file), *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def run_endings(config_file: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(config_file.parent / "state/state.db")) as store:
        return store.execute("select outcome, ifnull(error, '') from runs order by id").fetchall()


@pytest.mark.parametrize("command", ["plan", "sync"])
def test_a_person_nobody_knows_is_named_and_nobody_is_synced(
    command: str, config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = run_with_json(config_file, capsys, command, "--person", "104711", "--person", "4711")
    assert code == ExitCode.USAGE
    assert document == {
        "outcome": "refused",
        "error": "Nobody is known as 4711: name the id of an EspoCRM record, or a betnr.",
    }
    assert systems.espo.writes == systems.advo.writes == []


def test_a_run_that_holds_nobody_cannot_be_approved(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_with_json(config_file, capsys, "plan")
    code, document = run_with_json(config_file, capsys, "approve", "77")
    assert code == ExitCode.USAGE
    assert document["error"] == "Run 77 holds nobody back; `advosync held` shows which runs do."
    assert run_endings(config_file)[1:] == [("refused", document["error"])]


def test_an_address_without_an_espocrm_is_a_mistake_in_the_configuration(
    tmp_path: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = systems.config()
    settings["espocrm"]["url"] += "/crm"
    config_file = write_yaml(tmp_path / "config.yaml", settings)
    code, document = run_with_json(config_file, capsys, "sync")
    assert code == ExitCode.USAGE
    assert document["error"].startswith("espocrm.url: no EspoCRM answers at http://127.0.0.1:")
    assert run_endings(config_file) == [("refused", document["error"])]


def test_check_thinks_of_a_wrong_kanzlei_when_advoware_says_not_registered(
    tmp_path: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = systems.config()
    settings["advoware"]["kanzlei"] = "MUSTER"
    code, document = run_with_json(write_yaml(tmp_path / "config.yaml", settings), capsys, "check")
    assert code == ExitCode.OUTAGE
    assert [point["message"] for point in document["points"] if point["state"] == "bad"] == [
        'Advoware is out: the answer says "ist nicht registriert"; '
        "does the firm's local Advoware service run, and is advoware.kanzlei right (MUSTER)?"
    ]


@pytest.mark.parametrize(
    ("section", "key", "hint"),
    [
        ("espocrm", "url", "check espocrm.url, and whether this machine reaches it"),
        ("advoware", "configurator_url", "check advoware.configurator_url, and whether this machine reaches it"),
    ],
)
def test_check_says_which_address_does_not_answer(
    section: str, key: str, hint: str, tmp_path: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = systems.config()
    settings[section][key] = "http://127.0.0.1:9"
    code, document = run_with_json(write_yaml(tmp_path / "config.yaml", settings), capsys, "check")
    assert code == ExitCode.OUTAGE
    messages = [point["message"] for point in document["points"] if point["state"] == "bad"]
    assert len(messages) == 1
    assert messages[0].endswith(hint)


def test_who_is_held_is_counted_by_every_run_shown_by_a_plan_and_released_by_an_approval(
    config_file: Path, systems: Servers, clock: SimClock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with_json(config_file, capsys, "sync")[0] == ExitCode.DONE
    (config_file.parent / "state/state.db").unlink()  # lost: what was synced before is held until somebody looks
    systems.espo.edit(next(iter(systems.espo.store.records)), phones=["+495111234599"])
    clock.advance(60)
    code, document = run_with_json(config_file, capsys, "sync")
    assert (code, document["persons"]["held"]) == (ExitCode.HELD, 1)
    code, document = run_with_json(config_file, capsys, "sync")
    assert (code, document["persons"]["held"]) == (ExitCode.DONE, 1)
    code, document = run_with_json(config_file, capsys, "plan", "--held")
    assert code == ExitCode.DONE
    assert {(change["name"], change["held"]) for change in document["changes"]} == {("Max Mustermann", "recovery")}
    code, held_document = run_with_json(config_file, capsys, "held")
    assert [(hold["name"], hold["steps"]) for hold in held_document["held"]] == [
        ("Max Mustermann", document["changes"])
    ]  # fmt: skip
    assert cli.run_command_line(["--config", str(config_file), "held"]) == ExitCode.DONE
    assert "`advosync plan --held`" in capsys.readouterr().out
    code, document = run_with_json(config_file, capsys, "approve", "1")
    assert (code, document["persons"]["held"]) == (ExitCode.DONE, 0)
    assert run_with_json(config_file, capsys, "plan")[0] == ExitCode.DONE

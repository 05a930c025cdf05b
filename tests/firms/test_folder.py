"""A folder of firms: a file each, and a broken one that harms nobody else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from etl.errors import ConfigError
from etl.store.database import Store
from jobs import cli
from jobs.exit_codes import ExitCode
from jobs.firms.folder import list_firms

DEFAULTS = """\
espocrm: {url: "https://${FIRM}.example.de", api_key: "${API_KEY}"}
advoware: {database: D1, user: sync, app_id: app, api_key: "${API_KEY}", password: "${API_KEY}"}
schedule:
  sync: {minutes: 15}
  jitter_seconds: 7
state: {path: "state/${FIRM}.db"}
"""
ENV = {"API_KEY": "secret"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_defaults.yaml").write_text(DEFAULTS, "utf-8")
    return tmp_path


def add_firm(folder: Path, name: str, text: str = "") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text or f"advoware: {{kanzlei: {name}}}\n", "utf-8")
    return path


def problems(folder: Path) -> dict[str, str | None]:
    return {firm.name: firm.problem for firm in list_firms(folder, (), ENV)}


def test_a_firm_is_added_and_removed_by_a_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("not a firm")
    (folder / ".hidden.yaml").write_text("")
    bussard = add_firm(folder, "bussard")
    add_firm(folder, "adler")
    assert problems(folder) == {"adler": None, "bussard": None}
    bussard.unlink()
    assert problems(folder) == {"adler": None}


def test_a_broken_file_is_that_firms_problem_and_nobody_elses(folder: Path) -> None:
    add_firm(folder, "adler", "advoware: [")
    add_firm(folder, "bussard", "advoware: {kanzlei: K1, kanzlie: K2}")
    add_firm(folder, "dohle")
    found = problems(folder)
    assert found.pop("dohle") is None
    assert {name: (problem or "").partition(": ")[0] for name, problem in found.items()} == {
        "adler": f"{folder / 'adler.yaml'}, line 1",
        "bussard": f"{folder / 'bussard.yaml'}, line 1",
    }


def test_a_file_of_thousands_of_brackets_is_that_firms_problem_too(folder: Path) -> None:
    path = add_firm(folder, "adler", "advoware: " + "[" * 5000)
    add_firm(folder, "bussard")
    assert problems(folder) == {"adler": f"{path}: has too many brackets within each other", "bussard": None}


def test_a_file_with_another_ending_is_a_problem_instead_of_a_firm_that_is_forgotten(folder: Path) -> None:
    add_firm(folder, "adler")
    (folder / "bussard.yml").write_text("advoware: {kanzlei: K1}\n")
    assert problems(folder) == {"adler": None, "bussard": f"{folder / 'bussard.yml'}: must be called bussard.yaml"}


def test_a_name_that_is_no_text_is_a_problem_and_stops_nobody(folder: Path) -> None:
    """An archive of Windows brings umlauts in another encoding; such a name can be neither printed nor sent."""
    add_firm(folder, "adler")
    Path(os.fsdecode(os.fsencode(folder) + b"/m\xfcller.yaml")).write_text("advoware: {kanzlei: K1}\n")
    assert problems(folder) == {
        "adler": None,
        "m?ller": f"{folder / 'm?ller.yaml'}: its name is not in UTF-8; rename it",
    }


@pytest.mark.parametrize(
    ("text", "key"),
    [("state: {path: state/same.db}\n", "state.path"), ("report: {metrics_file: same.prom}\n", "report.metrics_file")],
)
def test_two_firms_that_would_write_one_file_are_both_refused(folder: Path, text: str, key: str) -> None:
    for name in ("adler", "bussard"):
        add_firm(folder, name, f"advoware: {{kanzlei: {name}}}\n{text}")
    add_firm(folder, "dohle")
    found = problems(folder)
    assert found["dohle"] is None
    assert f"{folder / 'adler.yaml'}: {key} is the same as bussard's" in (found["adler"] or "")
    assert f"{folder / 'bussard.yaml'}: {key} is the same as adler's" in (found["bussard"] or "")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("espocrm: {url: 'https://crm.example.de/'}\nadvoware: {kanzlei: NAME}\n", "espocrm.url"),
        ("advoware: {kanzlei: K1}\n", "advoware.database"),
    ],
)
def test_a_file_copied_to_begin_another_writes_into_nobodys_system(folder: Path, text: str, key: str) -> None:
    for name in ("adler", "bussard"):
        add_firm(folder, name, text.replace("NAME", name))
    add_firm(folder, "dohle")
    found = problems(folder)
    assert found["dohle"] is None
    assert f"{folder / 'adler.yaml'}: {key} is the same as bussard's; give each firm its own" == found["adler"]
    assert f"{folder / 'bussard.yaml'}: {key} is the same as adler's; give each firm its own" == found["bussard"]


def test_one_system_by_two_spellings_of_its_address_is_still_one_system(folder: Path) -> None:
    for name, url in (("adler", "https://crm.example.de/crm"), ("bussard", "https://CRM.example.de:443/crm/")):
        add_firm(folder, name, f"espocrm: {{url: '{url}'}}\nadvoware: {{kanzlei: {name}}}\n")
    add_firm(folder, "dohle", "espocrm: {url: 'https://crm.example.de:8443/crm'}\nadvoware: {kanzlei: dohle}\n")
    assert [name for name, problem in problems(folder).items() if problem] == ["adler", "bussard"]


def test_one_file_under_two_names_is_still_one_file(folder: Path) -> None:
    (folder / "elsewhere").symlink_to(folder)
    add_firm(folder, "adler", "advoware: {kanzlei: A}\nstate: {path: x.db}\n")
    add_firm(folder, "bussard", "advoware: {kanzlei: B}\nstate: {path: elsewhere/x.db}\n")
    assert all(problem and "state.path" in problem for problem in problems(folder).values())


def test_only_these_firms_and_a_name_that_is_not_there_is_refused(folder: Path) -> None:
    for name in ("adler", "bussard", "dohle"):
        add_firm(folder, name)
    assert [firm.name for firm in list_firms(folder, ("dohle", "adler"), ENV)] == ["adler", "dohle"]
    with pytest.raises(ConfigError, match=r"there is no firm busard; did you mean bussard\?"):
        list_firms(folder, ("busard",), ENV)


def test_a_folder_without_firms_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="holds no firm"):
        list_firms(folder, (), ENV)
    with pytest.raises(ConfigError, match="there is no such folder"):
        list_firms(folder / "none", (), ENV)


@pytest.mark.parametrize("command", ["status", "plan", "sync", "run", "held", "backup", "undo 1 --yes"])
def test_a_command_of_a_firm_whose_store_is_on_another_machine_is_refused_and_makes_none(
    folder: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_KEY", "c2VjcmV0")
    path = add_firm(folder, "adler", 'advoware: {kanzlei: K}\nstate: {path: "state/${FIRM}.db", worker: disk-1}\n')
    assert cli.run_command_line(["--config", str(path), *command.split()]) == ExitCode.USAGE
    assert "the state store is with the worker disk-1" in capsys.readouterr().err
    assert sorted(entry.name for entry in folder.iterdir()) == ["_defaults.yaml", "adler.yaml"]


def test_where_the_store_is_a_command_of_the_firm_works_as_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_KEY", "c2VjcmV0")
    path = add_firm(folder, "adler", 'advoware: {kanzlei: K}\nstate: {path: "state/${FIRM}.db", worker: disk-1}\n')
    (folder / "state").mkdir()
    Store.open(folder / "state/adler.db", now="2026-01-01 00:00:00").close()
    assert cli.run_command_line(["--config", str(path), "held", "--json"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == {"held": []}

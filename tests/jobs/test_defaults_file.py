"""``_defaults.yaml``: what all firms of a folder have in common, laid under each file beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etl.errors import ConfigError
from jobs import cli
from jobs.config_file import read_config
from jobs.exit_codes import ExitCode

DEFAULTS = """\
espocrm: {url: "https://crm.example.de", api_key: "${API_KEY}"}
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


def test_what_a_firm_does_not_say_the_defaults_beside_it_say(folder: Path) -> None:
    config = read_config(add_firm(folder, "adler"), ENV)
    assert (config.advoware.kanzlei, config.advoware.database) == ("adler", "D1")
    assert config.schedule.jitter_seconds == 7
    assert config.state.path == folder / "state/adler.db"


def test_a_value_of_the_firms_own_replaces_the_whole_value_laid_under(folder: Path) -> None:
    text = 'advoware: {kanzlei: K9, database: D9}\nschedule: {sync: {cron: "0 * * * *"}}\nstate:\n'
    config = read_config(add_firm(folder, "adler", text), ENV)
    assert (config.advoware.database, config.advoware.user) == ("D9", "sync")
    assert (config.schedule.sync.minutes, config.schedule.sync.cron) == (None, "0 * * * *")
    assert config.schedule.jitter_seconds == 7
    assert config.state.path.name == "adler.db"


def test_the_firms_name_is_its_files_whatever_the_environment_says(folder: Path) -> None:
    config = read_config(add_firm(folder, "adler"), ENV | {"FIRM": "bussard"})
    assert config.state.path.name == "adler.db"


def test_without_defaults_beside_it_a_file_is_read_as_ever(tmp_path: Path) -> None:
    path = add_firm(tmp_path, "config", DEFAULTS.replace("database", "kanzlei: K1, database"))
    assert read_config(path, ENV | {"FIRM": "mine"}).state.path.name == "mine.db"


def test_a_mistake_is_named_with_the_file_it_stands_in(folder: Path) -> None:
    (folder / "_defaults.yaml").write_text(DEFAULTS + "guards: {max_removals: many}\n", "utf-8")
    path = add_firm(folder, "adler", "advoware:\n  kanzlei: K1\n  user:\nsync: {direction: up}\n")
    with pytest.raises(ConfigError) as error:
        read_config(path, ENV)
    assert str(error.value).splitlines() == [
        f"{path}, line 3: advoware.user must be text (put it in quotes)",
        f"{path}, line 4: sync.direction must be 'both', 'to_advoware' or 'to_espocrm'",
        f"{folder / '_defaults.yaml'}, line 7: guards.max_removals must be a whole number",
    ]


def test_config_show_says_which_file_a_value_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    path = add_firm(folder, "adler")
    assert cli.run_command_line(["--config", str(path), "config", "show", "--json"]) == ExitCode.DONE
    sources = {row["key"]: row["source"] for row in json.loads(capsys.readouterr().out)["settings"]}
    expected = {
        "advoware.kanzlei": "line 1",
        "advoware.database": "_defaults.yaml, line 2",
        "espocrm.api_key": "_defaults.yaml, line 1, API_KEY",
        "state.path": "_defaults.yaml, line 6, FIRM",
        "guards.max_removals": "default",
    }
    assert {key: sources[key] for key in expected} == expected

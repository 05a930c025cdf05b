"""What the README says is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from etl.rules.variants import Variant
from jobs.cli import app
from jobs.config import Advoware, Config, Espocrm, Section
from jobs.exit_codes import ExitCode, Outcome
from jobs.report import ENDINGS, VARIANT_WORDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def first_column(section: str) -> list[str]:
    """The backquoted first cells of the tables of a README section."""
    text = README.split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)


def test_the_command_table_lists_the_commands() -> None:
    commands = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert first_column("Commands") == commands


def test_the_exit_code_table_lists_the_exit_codes() -> None:
    codes = re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)
    assert [int(code) for code in codes] == [code.value for code in ExitCode]


def test_the_decision_table_lists_the_variants() -> None:
    assert first_column("What happens to an entry") == [variant.value for variant in Variant]


def test_every_variant_and_every_ending_has_words_for_the_screen() -> None:
    assert list(VARIANT_WORDS) == [variant.value for variant in Variant]
    assert list(ENDINGS) == list(Outcome)


def test_every_outcome_has_its_exit_code() -> None:
    assert {outcome.exit_code for outcome in Outcome} == set(ExitCode) - {ExitCode.CHANGES_PLANNED}


def test_every_file_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:etl|jobs|tests|state)/[^`]*)`", README) + re.findall(r"\]\(([^)]+)\)", README)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    commands = [line for line in README.splitlines() if "'.[test]'" in line]
    assert len(commands) == 1
    assert "grep -m 1 -F \"'.[test]'\" README.md" in (ROOT / ".ci/run").read_text("utf-8")


def test_the_version_stands_once_and_the_script_is_the_command_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"advosync": "jobs.cli:main"}


def written_keys(model: type[Section], section: dict[str, object]) -> None:
    """Fails unless the section of config.yaml has every key of the model, with the model's default where it has one."""
    assert list(section) == list(model.model_fields)
    defaults = model.model_construct().model_dump(mode="json", warnings=False)
    assert {key: value for key, value in section.items() if key in defaults and key not in TO_FILL_IN} == {
        key: without_nothing(value) for key, value in defaults.items()
    }


def without_nothing(value: object) -> object:
    """A time is written with the one key that counts."""
    return {key: part for key, part in value.items() if part is not None} if isinstance(value, dict) else value


TO_FILL_IN = {
    name for model in (Espocrm, Advoware) for name, field in model.model_fields.items() if field.is_required()
}


def test_the_configuration_that_comes_along_has_every_key_with_its_default_and_a_comment() -> None:
    text = (ROOT / "config.yaml").read_text("utf-8")
    written = yaml.safe_load(text)
    assert list(written) == list(Config.model_fields)
    for name, section in written.items():
        model = Config.model_fields[name].annotation
        assert isinstance(model, type)
        assert issubclass(model, Section)
        written_keys(model, section)
    settings = [line for line in text.splitlines() if re.match(r"  \w", line)]
    assert [line for line in settings if "#" not in line] == []

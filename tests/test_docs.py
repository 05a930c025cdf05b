"""What the pages say is what the code does, and what they name is there."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from etl.records import Channel, Direction
from etl.rules.values.kommkz import KommKzTable
from etl.rules.variants import RULES, VARIANT_WORDS, Variant, resolve
from jobs.cli import app
from jobs.command_line.groups import COMMAND_GROUPS
from jobs.config import AdvowareSection, Config, EspocrmSection, Section
from jobs.exit_codes import CommandOutcome, ExitCode
from jobs.run.report import OUTCOME_TEXTS, ReviewedOutcome, RunReport

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "jobs/README.md",
    "etl/README.md",
    "etl/rules/README.md",
    "etl/clients/README.md",
    "state/README.md",
    "tests/README.md",
    "tests/scenarios.md",
    "tests/bench/README.md",
    "jobs/README.de.md",
)
TEXTS = [(ROOT / page).read_text("utf-8") for page in PAGES]
README, GUIDE, WALK, THE_RULES, APIS, _, TESTS, SCENARIOS, _, GERMAN_GUIDE = TEXTS


def section(page: str, heading: str) -> str:
    """The text under a heading, up to the next heading of any level."""
    return re.split(r"\n#+ ", page.split(f"# {heading}\n", 1)[1], maxsplit=1)[0]


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of a section's tables, without the backquotes around a cell; headings are left out."""
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    cells = [[re.sub(r"^`([^`]*)`$", r"\1", cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    return [row for place, row in enumerate(cells) if not any(set(row[0]) == {"-"} for row in cells[place : place + 2])]


def first_column(page: str, heading: str) -> list[str]:
    """The first cells of a section's tables."""
    return [row[0] for row in rows(page, heading)]


def test_the_guide_lists_the_commands() -> None:
    commands: list[str] = []
    for name in chain(*COMMAND_GROUPS.values()):
        parts = vars(vars(get_command(app))["commands"][name]).get("commands")
        commands += [f"{name} {part}" for part in parts] if parts else [name]
    assert first_column(GUIDE, "Commands") == commands


def test_the_guide_lists_the_exit_codes() -> None:
    assert first_column(GUIDE, "Exit codes") == [str(code.value) for code in ExitCode]


def test_the_guide_lists_the_keys_of_the_json_document_and_the_outcomes() -> None:
    reviewed: ReviewedOutcome = {"plan": 1, "carried_out": 0, "left": []}
    report = RunReport(trigger="plan", sweep_after="6b09", chunks=[1, 2], review={}, reviewed=reviewed)
    keys = {row[0]: row[1] for row in rows(GUIDE, "The JSON document")}
    assert list(keys) == list(report.to_dict())
    assert re.findall(r"`(\w+)`", keys["outcome"]) == [outcome.value for outcome in CommandOutcome]
    assert re.findall(r"`(\w+)`", keys["persons"]) == list(report.to_dict()["persons"])


def test_the_way_of_a_changed_number_leads_through_functions_that_are_there() -> None:
    steps = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", WALK, flags=re.MULTILINE)
    assert len(steps) > 40
    missing = [
        f"{path} {name}"
        for path, names in steps
        for name in re.findall(r"`([^`]+)`", names)
        if not re.search(rf"^(?:def|class) {name}\b", (ROOT / path).read_text("utf-8"), flags=re.MULTILINE)
    ]
    assert missing == []


def test_the_rules_explain_every_variant() -> None:
    assert first_column(THE_RULES, "Variants") == [variant.value for variant in Variant]


def test_the_decision_table_of_the_rules_is_the_one_that_decides() -> None:
    answers = {True: "yes", False: "no", None: "·"}
    assert rows(THE_RULES, "§3 The decision table") == [
        [*(answers[want] for want in rule[:-1]), rule.variant.value] for rule in RULES
    ]


def test_the_conflict_table_of_the_rules_is_the_one_that_decides() -> None:
    columns = [
        (Direction.BOTH, False),
        (Direction.BOTH, True),
        (Direction.TO_ADVOWARE, False),
        (Direction.TO_ESPOCRM, False),
    ]
    assert {row[0]: row[1:] for row in rows(THE_RULES, "§4 Conflicts and directions")} == {
        variant.value: [
            resolve(variant, direction, person_conflict=in_conflict, unsafe_to_revert=False).value
            for direction, in_conflict in columns
        ]
        for variant in list(Variant)[: list(Variant).index(Variant.FORGET)]
    }


def test_the_kommkz_table_of_the_advoware_page_is_the_one_in_force() -> None:
    table = KommKzTable.default()
    channels = {Channel.PHONE: "phone", Channel.MAIL: "mail", None: "–"}
    listed = [(int(row[0]), row[2], row[3], row[4].startswith("yes")) for row in rows(APIS, "Advoware §3: kommKz")]
    assert listed == [
        (number, channels[table.channel(number)], table.espo_type(number) or "–", table.channel(number) is not None)
        for number in range(1, 13)
    ]


def test_every_scenario_of_the_page_is_a_test_and_every_test_a_scenario_of_the_page() -> None:
    listed = re.findall(r"^\| ([A-Z]\d)\b", SCENARIOS, flags=re.MULTILINE)
    source = (ROOT / "tests/test_scenarios.py").read_text("utf-8")
    tested = re.findall(r"^    \"([A-Z]\d)|id=\"([A-Z]\d)\"", source, flags=re.MULTILINE)
    assert len(listed) == 32
    assert set(listed) == {one or other for one, other in tested}


def test_facts_of_the_apis_are_numbered_without_a_gap() -> None:
    numbers = re.findall(r"^\*\*([AB])(\d+)\.\*\*", APIS, flags=re.MULTILINE)
    assert numbers == [("A", str(n)) for n in range(1, 14)] + [("B", str(n)) for n in range(1, 34)]


def test_every_variant_and_every_ending_has_words_for_the_screen() -> None:
    assert list(VARIANT_WORDS) == [variant.value for variant in Variant]
    assert list(OUTCOME_TEXTS) == list(CommandOutcome)


def test_every_outcome_has_its_exit_code() -> None:
    assert {outcome.exit_code for outcome in CommandOutcome} == set(ExitCode) - {ExitCode.CHANGES_PLANNED}


def test_the_readme_is_of_one_screen_or_two() -> None:
    assert len(README.split()) <= 1000


def anchor(heading: str) -> str:
    """What a link to a heading says, as GitHub spells it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: str) -> set[str]:
    """What a link may lead to in a page."""
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("guide", [GUIDE, GERMAN_GUIDE], ids=["English", "German"])
def test_the_guide_begins_with_a_link_to_each_of_its_chapters(guide: str) -> None:
    chapters = re.findall(r"^## (.+)$", guide, flags=re.MULTILINE)
    linked = re.findall(r"\]\(#([^)]+)\)", guide.split("\n## ", 1)[0])
    assert sorted(linked) == sorted(anchor(chapter) for chapter in chapters)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    paths = re.findall(r"`((?:etl|jobs|tests|state)/[^`\s]*)`", text)
    assert [name for name in paths if not (ROOT / name).exists()] == []


def test_no_comment_points_to_a_page_that_is_not_here() -> None:
    elsewhere = re.compile(r"\b(?:rules|interface|style|espocrm-api|advoware-api)\.md|(?<!tests/)\bscenarios\.md|spec/")
    sources = [path for folder in ("etl", "jobs", "tests") for path in (ROOT / folder).rglob("*.py")]
    sources = [path for path in sources if path != Path(__file__)]
    assert [path for path in sources if elsewhere.search(path.read_text("utf-8"))] == []


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    commands = [line for line in README.splitlines() if "'.[test]'" in line]
    assert len(commands) == 1
    assert "grep -m 1 -F \"'.[test]'\" README.md" in (ROOT / ".ci/run").read_text("utf-8")


def test_the_version_stands_once_and_the_script_is_the_command_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"advosync": "jobs.cli:main"}


def assert_keys_and_defaults(model: type[Section], section: dict[str, object]) -> None:
    """Fails unless the section of config.yaml has every key of the model, with the model's default where it has one."""
    assert list(section) == list(model.model_fields)
    defaults = model.model_construct().model_dump(mode="json", warnings=False)
    assert {key: value for key, value in section.items() if key in defaults and key not in REQUIRED_KEYS} == {
        key: without_none(value) for key, value in defaults.items()
    }


def without_none(value: object) -> object:
    """A time is written with the one key that counts."""
    return {key: part for key, part in value.items() if part is not None} if isinstance(value, dict) else value


REQUIRED_KEYS = {
    name
    for model in (EspocrmSection, AdvowareSection)
    for name, field in model.model_fields.items()
    if field.is_required()
}


def test_the_configuration_that_comes_along_has_every_key_with_its_default_and_a_comment() -> None:
    text = (ROOT / "config.yaml").read_text("utf-8")
    document = yaml.safe_load(text)
    assert list(document) == list(Config.model_fields)
    for name, section in document.items():
        model = Config.model_fields[name].annotation
        assert isinstance(model, type)
        assert issubclass(model, Section)
        assert_keys_and_defaults(model, section)
    settings = [line for line in text.splitlines() if re.match(r"  \w", line)]
    assert [line for line in settings if "#" not in line] == []

"""The command line: what people and scripts read, and the exit codes."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pytest
import yaml
from typer.main import get_command

from etl import errors
from etl.store.database import Store
from etl.store.lease import save_lease
from jobs import cli
from jobs.command_line import try_it
from jobs.command_line.groups import COMMAND_GROUPS
from jobs.commands import sandbox as sandbox_command
from jobs.exit_codes import CommandOutcome, ExitCode, outcome_of
from jobs.sandbox.espocrm.versions import NEWEST, VERSIONS
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimResponse

if TYPE_CHECKING:
    pass


def run_check(config_file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = cli.run_command_line(["--config", str(config_file), "check", "--json"])
    return code, json.loads(capsys.readouterr().out)


def problem_lines(document: dict[str, Any]) -> list[str]:
    return [f"{point['about']}: {point['message']}" for point in document["points"] if point["state"] != "ok"]


def test_a_sentence_on_the_screen_has_the_firms_time_and_json_utc(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_file.parent / "state.db"
    with Store.open(path, now="2026-01-05 10:00:00") as store:
        save_lease(
            store,
            token="x",
            host="elsewhere",
            pid=7,
            process_started_at=None,
            run=None,
            now="2026-01-05 10:00:00",
            expires_at="2999-01-01 00:00:00",
        )
    settings = yaml.safe_load(config_file.read_text("utf-8")) | {"state": {"path": str(path)}}
    config_file.write_text(yaml.safe_dump(settings), "utf-8")
    assert cli.run_command_line(["--config", str(config_file), "sync", "--json"]) == ExitCode.LOCKED
    screen = capsys.readouterr()
    assert "holds the lock since 2026-01-05 11:00:00, last heard of at 2026-01-05 11:00:00; wait" in screen.err
    assert "since 2026-01-05 10:00:00 UTC, last heard of at 2026-01-05 10:00:00 UTC" in json.loads(screen.out)["error"]


# Usage -----------------------------------------------------------------------------------------------------------


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "jobs", *arguments], capture_output=True, text=True, check=False)


def test_help_imports_nothing_heavy_and_answers_at_once() -> None:
    code = (
        "import sys; from jobs.cli import run_command_line; assert run_command_line(['--help']) == 0; "
        "sys.exit(str({'pandas', 'httpx', 'pydantic', 'structlog', 'rich', 'sqlite_utils'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.stderr.strip() == "set()"
    started = time.monotonic()
    assert run_module("--help").returncode == 0
    assert time.monotonic() - started < 2  # half a second is the promise; a busy machine is given more


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["syn"],
        ["sync", "--direction", "sideways"],
        ["sync", "--person"],
        ["approve"],
        ["approve", "the first"],
        ["plan", "--sweep"],
        ["sync", "--plan", "plan.json", "--sweep"],
        ["sync", "--plan", "plan.json", "--direction", "both"],
        ["--config"],
    ],
)
def test_wrong_usage_ends_with_64(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(arguments) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("advosync: ")
    assert err.endswith("Try `advosync --help`.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("approve first", "Invalid value for 'RUN': must be a whole number."),
        ("backfill --all --chunk 0", "Invalid value for '--chunk': must be at least 1."),
        ("inspect --port 99999", "Invalid value for '--port': must be at most 65535."),
        (
            "sync --direction up",
            "Invalid value for '--direction': 'up' is not one of 'both', 'to_advoware', 'to_espocrm'.",
        ),
        ("sync --directon both", "No such option: --directon; did you mean --direction?"),
        ("syn", "No such command 'syn'. Did you mean 'sync'?"),
    ],
)
def test_wrong_usage_is_explained_without_a_librarys_grammar(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_command_line(arguments.split()) == ExitCode.USAGE
    assert capsys.readouterr().err == f"advosync: {message} Try `advosync --help`.\n"


@pytest.mark.parametrize(
    "arguments", [["sync", "--sideways"], ["plan"], ["sync"], ["check"], ["held"], ["approve", "1"]]
)
def test_with_json_a_failure_is_one_document_too(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_command_line(["--config", str(tmp_path / "none.yaml"), *arguments, "--json"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["outcome"] == ("usage" if "--sideways" in arguments else "refused")
    assert err.startswith(f"advosync: {document['error']}")


def test_a_wrong_configuration_ends_with_64_and_names_file_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config_file = tmp_path / "config.yaml"
    config_file.write_text("espocrm: {}\nadvoware: {}\nsync: {direction: up}\n")
    assert cli.run_command_line(["--config", str(config_file), "plan"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert f"{config_file}, line 3: sync.direction must be 'both', 'to_advoware' or 'to_espocrm'" in err


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (errors.ConfigError("x"), CommandOutcome.REFUSED, 64),
        (errors.StoreError("x"), CommandOutcome.REFUSED, 64),
        (errors.LockHeld("x"), CommandOutcome.LOCKED, 5),
        (errors.Outage("EspoCRM", "x"), CommandOutcome.OUTAGE, 4),
        (errors.CredentialsRefused("Advoware", "x"), CommandOutcome.OUTAGE, 4),
        (errors.Stopped("x"), CommandOutcome.STOPPED, 6),
        (errors.UnknownOutcome("Advoware", "x"), CommandOutcome.OUTAGE, 4),
        (errors.MalformedPayload("x"), CommandOutcome.FAILED_PERSONS, 1),
        (KeyboardInterrupt(), CommandOutcome.STOPPED, 6),
        (ZeroDivisionError(), CommandOutcome.CRASHED, 70),
    ],
)
def test_every_error_has_one_outcome_and_one_exit_code(
    error: BaseException, outcome: CommandOutcome, code: int
) -> None:
    assert outcome_of(error) is outcome
    assert outcome.exit_code == code


def test_the_schema_of_the_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["check", "--schema"]) == ExitCode.DONE
    assert "espocrm" in json.loads(capsys.readouterr().out)["properties"]


def test_help_shows_every_command_in_one_group_with_its_whole_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["--help"]) == ExitCode.DONE
    page = " ".join(capsys.readouterr().out.split())
    commands = vars(get_command(cli.app))["commands"]
    assert Counter(name for names in COMMAND_GROUPS.values() for name in names) == Counter([*commands])
    sentences = [command.help for command in commands.values()]
    assert [sentence for sentence in sentences if not sentence or " ".join(sentence.split()) not in page] == []
    assert [heading for heading in COMMAND_GROUPS if f" {heading}: " not in page] == []


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["--version"]) == ExitCode.DONE
    assert capsys.readouterr().out == f"advosync {version('advosync')}\n"


@pytest.mark.parametrize(
    ("words", "place", "completions"),
    [
        ("advosync bac", "1", ["backfill", "backup"]),
        ("advosync sync --dir", "2", ["--direction"]),
        ("advosync sync --direction to_a", "3", ["to_advoware"]),
    ],
)
def test_a_shell_completes_commands_options_and_choices(words: str, place: str, completions: list[str]) -> None:
    env = {**os.environ, "_ADVOSYNC_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": place}
    answer = subprocess.run([sys.executable, "-m", "jobs"], env=env, capture_output=True, text=True, check=False)
    assert answer.stdout.split() == completions


@pytest.mark.parametrize("place", [2, 3], ids=["before the command", "after it"])
def test_quiet_says_nothing_of_a_run_that_went_well_and_all_of_one_that_did_not(
    config_file: Path, systems: Servers, capfd: pytest.CaptureFixture[str], place: int
) -> None:
    systems.espo.add_person("Max Muster", 104711, phones=[("+49511123456", "Office")])
    systems.advo.add_person(104711, "Max Muster")
    settings = systems.config()
    settings["espocrm"]["settle_seconds"] = 0
    config_file.write_text(yaml.safe_dump(settings), "utf-8")
    arguments = ["--config", str(config_file), "sync"]
    arguments.insert(place, "--quiet")
    assert cli.run_command_line(arguments) == ExitCode.DONE
    assert capfd.readouterr() == ("", "")
    assert [write.method for write in systems.advo.writes] == ["POST"]
    systems.espo.store.settings["maintenanceMode"] = True
    assert cli.run_command_line(arguments) == ExitCode.OUTAGE
    assert "EspoCRM" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("option", "requests", "values"), [("-q", False, False), ("-v", True, False), ("-vv", True, True)]
)
def test_verbose_shows_requests_and_twice_their_values(
    config_file: Path, systems: Servers, option: str, *, requests: bool, values: bool
) -> None:
    systems.espo.add_person("Max Muster", 104711, phones=[("+49511123456", "Office")])
    systems.advo.add_person(104711, "Max Muster")
    settings = systems.config()
    settings["espocrm"]["settle_seconds"] = 0
    config_file.write_text(yaml.safe_dump(settings), "utf-8")
    answer = run_module("--config", str(config_file), "sync", option)
    assert answer.returncode == ExitCode.DONE
    assert ("request POST " in answer.stderr, '"decision"' in answer.stderr) == (requests, requests)
    assert ("+49511123456" in answer.stderr) is values
    assert not [secret for secret in systems.environment().values() if secret in answer.stderr]


# config show ------------------------------------------------------------------------------------------------------

SETTINGS = """\
espocrm:
  url: "https://${HOST:-crm.example.de}"
  api_key: "${ESPOCRM_API_KEY}"
advoware: {kanzlei: K1, database: D1, user: sync, app_id: the-app-id, api_key: "${ADVOWARE_API_KEY}",
           password: "${ADVOWARE_PASSWORD}"}
sync: {komm_kz: {9: {relevant: false}}}
report: {notify: ["mailto://geheim@firma.de"]}
"""


def test_config_show_says_what_is_in_force_and_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config_file, secret_file = tmp_path / "config.yaml", tmp_path / "key"
    config_file.write_text(SETTINGS, "utf-8")
    secret_file.write_text("mounted-secret")
    monkeypatch.setenv("ESPOCRM_API_KEY", "espo-secret")
    monkeypatch.setenv("ADVOWARE_API_KEY_FILE", str(secret_file))
    for name in ("HOST", "ADVOWARE_API_KEY", "ADVOWARE_PASSWORD", "ADVOWARE_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert cli.run_command_line(["--config", str(config_file), "config", "show", "--json"]) == ExitCode.DONE
    out = capsys.readouterr().out
    settings = {row["key"]: (row["value"], row["source"]) for row in json.loads(out)["settings"]}
    expected = {
        "espocrm.url": ("https://crm.example.de", "line 2, HOST is not set"),
        "espocrm.api_key": ("***", "line 3, ESPOCRM_API_KEY"),
        "espocrm.fields.betnr": ("betnr", "default"),
        "advoware.kanzlei": ("K1", "line 4"),
        "advoware.app_id": ("***", "line 4"),
        "advoware.api_key": ("***", "line 4, ADVOWARE_API_KEY_FILE"),
        "advoware.password": ("***", "line 5, ADVOWARE_PASSWORD is not set"),
        "sync.komm_kz": ({"9": {"relevant": False}}, "line 6"),
        "guards.max_removals": (50, "default"),
        "schedule.sweep.cron": ("30 2 * * *", "default"),
        "state.path": (str(tmp_path / "state/state.db"), "default"),
        "report.notify": (["***"], "line 7"),
    }
    assert {key: settings[key] for key in expected} == expected
    assert cli.run_command_line(["--config", str(config_file), "config", "show"]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(settings)
    shown = out + str(lines)
    assert not [secret for secret in ("espo-secret", "mounted-secret", "the-app-id", "geheim") if secret in shown]


# check -----------------------------------------------------------------------------------------------------------


def test_check_finds_nothing_wrong_with_two_systems_that_are_ready(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = run_check(config_file, capsys)
    assert problem_lines(document) == []
    assert code == ExitCode.DONE
    assert document["ok"] is True
    assert [point["about"] for point in document["points"]] == [
        "configuration",
        "proxy and certificates",
        "EspoCRM login",
        "EspoCRM permissions",
        "EspoCRM field rights",
        "EspoCRM fields",
        "EspoCRM notes",
        "EspoCRM server",
        "EspoCRM phones",
        "clocks",
        "EspoCRM saves", "Advoware login",
        "Advoware person",
        "state store",
    ]
    assert not (config_file.parent / "state").exists()
    assert systems.espo.writes == []


def test_check_shows_a_table_to_people(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["--config", str(config_file), "check"]) == ExitCode.DONE
    assert "EspoCRM permissions" in capsys.readouterr().out


def test_check_names_each_missing_field_and_option(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = systems.espo.store.entity.fields
    del fields["syncNextRetry"]
    fields["syncStatus"] = {**fields["syncStatus"], "options": ["clean", "failed"]}
    fields["betnr"] = {"type": "varchar"}
    fields["phoneNumber"] = {**fields["phoneNumber"], "typeList": ["Mobile", "Office", "Home", "Other"]}
    code, document = run_check(config_file, capsys)
    assert code == ExitCode.USAGE
    assert problem_lines(document) == [
        "EspoCRM fields: betnr is of type varchar; it must be int",
        "EspoCRM fields: syncStatus lacks the options pending_sync, dirty, syncing, permanently_failed, conflict, "
        "deleted_in_advoware; add them in the Entity Manager",
        "EspoCRM fields: syncNextRetry is missing; `advosync setup-espocrm` creates it (datetime), or name yours in "
        "espocrm.fields.next_retry",
        "EspoCRM phone types: phoneNumber lacks the types Fax; add them in the Entity Manager, or change sync.komm_kz",
    ]


def test_check_says_which_login_is_refused(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = yaml.safe_load(config_file.read_text())
    settings["espocrm"]["api_key"] = "not-the-key"
    settings["advoware"]["password"] = "not the password"
    config_file.write_text(yaml.safe_dump(settings))
    code, document = run_check(config_file, capsys)
    assert code == ExitCode.OUTAGE
    assert [line.split(":")[0] for line in problem_lines(document)] == ["EspoCRM login", "Advoware login"]
    assert all("refuses the login" in line for line in problem_lines(document))
    assert "not-the-key" not in json.dumps(document)
    assert "not the password" not in json.dumps(document)


def test_check_says_which_system_is_out(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    systems.espo.store.settings["maintenanceMode"] = True
    code, document = run_check(config_file, capsys)
    assert code == ExitCode.OUTAGE
    assert problem_lines(document)
    assert all(line.startswith("EspoCRM") for line in problem_lines(document))


def test_check_knows_an_entity_that_is_not_there(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = yaml.safe_load(config_file.read_text())
    settings["espocrm"]["entity"] = "CPerson"
    config_file.write_text(yaml.safe_dump(settings))
    code, document = run_check(config_file, capsys)
    assert code == ExitCode.USAGE
    assert "CPerson" in problem_lines(document)[0]


def test_check_tells_an_entity_the_role_has_no_rights_on_from_one_that_is_not_there(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    systems.espo.store.role.table.clear()
    code, document = run_check(config_file, capsys)
    assert code == ExitCode.USAGE
    assert problem_lines(document)[0].startswith(
        "EspoCRM permissions: sync_api may not read and edit CBeteiligte; give its"
    )
    settings = yaml.safe_load(config_file.read_text())
    settings["espocrm"]["entity"] = "CPerson"
    config_file.write_text(yaml.safe_dump(settings))
    assert "EspoCRM knows no entity CPerson" in problem_lines(run_check(config_file, capsys)[1])[0]


def test_check_says_that_nobody_would_see_the_notes(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    """0ddc3ba was silent: EspoCRM takes a note without Stream, and shows it to nobody (issue 13, row 13)."""
    systems.espo.store.entity.stream = False
    code, document = run_check(config_file, capsys)
    (line,) = problem_lines(document)
    assert (code, "has no stream" in line, "Entity Manager" in line) == (ExitCode.DONE, True, True)
    settings = yaml.safe_load(config_file.read_text())
    settings["espocrm"]["note_conflicts"] = False
    config_file.write_text(yaml.safe_dump(settings))
    assert problem_lines(run_check(config_file, capsys)[1]) == []


def person_point(document: dict[str, Any]) -> tuple[str, str]:
    """State and message of the point about a person that was read."""
    ((state, message),) = [
        (point["state"], point["message"]) for point in document["points"] if point["about"] == "Advoware person"
    ]
    return state, message


@pytest.mark.parametrize("synced", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("with_page", [False, True], ids=["404", "a page says 404"])
def test_check_reads_a_person_and_so_finds_a_mistyped_path(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str], *, synced: bool, with_page: bool
) -> None:
    """0ddc3ba: check ok, and then 12 of 12 persons deleted_in_advoware (issue 13, row 2)."""
    for number in range(4):
        systems.espo.add_person("Max Muster", 104711 + number)
        systems.advo.add_person(104711 + number, "Max Muster")
    if synced:
        assert cli.run_command_line(["--config", str(config_file), "sync", "--json"]) == ExitCode.DONE
        capsys.readouterr()
    state, message = person_point(run_check(config_file, capsys)[1])
    assert (state, "can be read" in message) == ("ok", True)
    settings = yaml.safe_load(config_file.read_text())
    settings["advoware"]["path_prefix"] = "api/v2/advonet"
    config_file.write_text(yaml.safe_dump(settings))
    not_found = (
        SimResponse(404, {"Content-Type": "text/html"}, b"<html>404</html>") if with_page else SimResponse(404, {}, b"")
    )
    systems.advo.before = lambda call: not_found if "/v2/" in call.path else None
    code, document = run_check(config_file, capsys)
    state, message = person_point(document)
    assert (state, "advoware.path_prefix" in message) == ("bad", True)
    assert code == (ExitCode.OUTAGE if with_page else ExitCode.USAGE)


@pytest.mark.parametrize(
    "answer", [SimResponse(403, {}, b"verboten"), SimResponse(200, {}, b"{}")], ids=["403", "malformed"]
)
def test_check_says_that_a_person_cannot_be_read(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str], answer: SimResponse
) -> None:
    systems.espo.add_person("Max Muster", 104711)
    systems.advo.before = lambda call: answer if "/Beteiligte/" in call.path else None
    code, document = run_check(config_file, capsys)
    assert (code, person_point(document)[0]) == (ExitCode.USAGE, "bad")


def test_check_forgives_a_person_that_was_deleted_meanwhile(
    config_file: Path, systems: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        systems.espo.add_person("Max Muster", 104711 + number)
    systems.advo.add_person(104712, "Max Muster")
    assert person_point(run_check(config_file, capsys)[1])[0] == "ok"


def test_check_refuses_addresses_nobody_can_be_told_at_without_showing_them(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = yaml.safe_load(config_file.read_text())
    settings["report"] = {"notify": ["json://localhost/", "mailtoo://geheim@firma.de", "slack://zu-kurz"]}
    config_file.write_text(yaml.safe_dump(settings))
    code = cli.run_command_line(["--config", str(config_file), "check", "--json"])
    out, err = capsys.readouterr()
    assert code == ExitCode.USAGE
    assert [line.partition(" is ")[0] for line in problem_lines(json.loads(out))] == [
        "report.notify: address 2", "report.notify: address 3",
    ]  # fmt: skip
    assert not [part for part in ("geheim", "zu-kurz") if part in out + err]


# held, sandbox ----------------------------------------------------------------------------------------------------


def test_nobody_is_held_before_the_first_run(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command_line(["--config", str(config_file), "held", "--json"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == {"held": []}
    assert cli.run_command_line(["--config", str(config_file), "held"]) == ExitCode.DONE
    assert "Nobody is held back." in capsys.readouterr().out


def test_the_sandbox_offers_every_version_of_espocrm() -> None:
    assert get_args(get_type_hints(try_it.sandbox)["espocrm"]) == (*VERSIONS,)
    assert inspect.signature(try_it.sandbox).parameters["espocrm"].default == NEWEST.name


def test_whoever_types_a_word_in_the_sandbox_gets_an_outage_a_conflict_or_a_mass_deletion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, output, messages, keys = threading.Event(), Queue[str](), Queue[str](), Queue[str]()
    arguments = (20, output.put, messages.put, iter(keys.get, ""), stop)
    thread = threading.Thread(target=sandbox_command.serve_sandbox, args=arguments)
    thread.start()
    config_file = tmp_path / "sandbox.yaml"

    def type_and_sync(word: str) -> tuple[str, int, dict[str, Any]]:
        keys.put(f"{word}\n")
        answer = messages.get(timeout=30)
        code = cli.run_command_line(["--config", str(config_file), "sync", "--json"])
        return answer, code, json.loads(capsys.readouterr().out)

    try:
        config_file.write_text(output.get(timeout=30), "utf-8")
        messages.get(timeout=30)
        assert cli.run_command_line(["--config", str(config_file), "sync", "--json"]) == ExitCode.DONE
        capsys.readouterr()
        answer, code, _ = type_and_sync("outage")
        assert (answer.startswith("Advoware is out"), code) == (True, ExitCode.OUTAGE)
        assert type_and_sync(" OUTAGE ")[:2] == ("Advoware is back", ExitCode.DONE)
        assert type_and_sync("help")[:2] == ("Enter, or one of: outage, conflict, deletion", ExitCode.DONE)
        _, code, document = type_and_sync("conflict")
        assert (code, document["conflicts"], document["variants"]) == (ExitCode.DONE, 1, {"clash": 1})
        answer, code, document = type_and_sync("deletion")
        assert (answer.endswith(" persons deleted"), code) == (True, ExitCode.HELD)
        assert document["persons"]["held"] > 5
    finally:
        stop.set()
        keys.put("")
        thread.join()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_sandbox_prints_settings_that_work_and_whoever_presses_enter_lets_people_edit(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, output, messages, keys = threading.Event(), Queue[str](), Queue[str](), Queue[str]()
    thread = threading.Thread(
        target=sandbox_command.serve_sandbox,
        args=(5, output.put, messages.put, iter(keys.get, ""), stop),
        kwargs={"espocrm": version},
    )
    thread.start()
    try:
        config_file = tmp_path / "sandbox.yaml"
        config_file.write_text(output.get(timeout=30), "utf-8")
        assert messages.get(timeout=30).startswith("Ready: a fresh firm of 5 persons")
        code, document = run_check(config_file, capsys)
        assert (code, problem_lines(document)) == (ExitCode.DONE, [])
        arguments = ["--config", str(config_file), "plan", "--json"]
        assert cli.run_command_line(arguments) == ExitCode.CHANGES_PLANNED
        before = json.loads(capsys.readouterr().out)["changes"]
        keys.put("\n")
        assert len(messages.get(timeout=30).splitlines()) == sandbox_command.EDITS_PER_ENTER
        cli.run_command_line(arguments)
        assert json.loads(capsys.readouterr().out)["changes"] != before
    finally:
        stop.set()
        keys.put("")
        thread.join()


@pytest.mark.parametrize(
    "arguments",
    [
        *("approve 1", "let-be 1", "undo 1 --yes", "restore 1 --yes", "retry 200011", "conflicts --seen 1"),
        *("backfill --resume", "maintenance", "backup", "prune", "forget 200011", "explain 200011"),
    ],
)
def test_what_is_about_earlier_runs_makes_no_store_where_none_is(
    config_file: Path, capsys: pytest.CaptureFixture[str], arguments: str
) -> None:
    """A path that is wrong must not look like a firm of which nothing is known, or be backed up."""
    settings = yaml.safe_load(config_file.read_text("utf-8"))
    folder = config_file.parent / "elsewhere"
    config_file.write_text(yaml.safe_dump({**settings, "state": {"path": str(folder / "state.db")}}), "utf-8")
    code = cli.run_command_line(["--config", str(config_file), *arguments.split()])
    assert (code, folder.exists()) == (ExitCode.USAGE, False)
    assert f"There is no state store {folder / 'state.db'} yet; check state.path" in capsys.readouterr().err

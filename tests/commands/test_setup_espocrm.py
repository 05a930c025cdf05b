"""`setup-espocrm`: says what is missing, makes it after asking, changes nothing that is there, and can be repeated."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from rich.console import Console

from etl.clients.espocrm_payload import field_names
from etl.enums import PersonStatus
from etl.errors import ConfigError, CredentialsRefused
from jobs.commands.setup_espocrm import (
    CONCURRENCY,
    FREE_FIELDS,
    PASSWORD_VARIABLE,
    STATUS_FIELD_HELP,
    TRANSACTIONAL_SAVE,
    USER_VARIABLE,
    SetupConsent,
    Switch,
    make_admin_client,
    read_admin_login,
    refuse_to_ask,
    set_up_fields,
)
from jobs.commands.status_help import STATUS_HELP, status_help_text
from jobs.config import Config
from jobs.exit_codes import ExitCode
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.login import ADMIN_NAME, ADMIN_PASSWORD
from jobs.sandbox.server import sandbox_config
from tests.in_process import InProcess
from tests.test_docs import GERMAN_GUIDE, GUIDE

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = Config.model_validate(sandbox_config("http://crm.test", "https://a.test"))


def setup_result(sim: EspoSim, consent: SetupConsent, password: str = ADMIN_PASSWORD) -> tuple[ExitCode, str]:
    """The exit code, and what stood on the screen."""
    console = Console(file=io.StringIO(), width=200)
    with make_admin_client(CONFIG, ADMIN_NAME, SecretStr(password), transport=InProcess(sim)) as admin:
        code = set_up_fields(CONFIG, admin, console, consent)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


def test_setup_says_what_it_will_do_and_does_it_once() -> None:
    sim = EspoSim(custom_fields=False)
    code, screen_text = setup_result(sim, SetupConsent(None))
    assert code is ExitCode.DONE
    assert "Will be created in CBeteiligte: syncStatus, advowareLastSync, kommunikationHash" in screen_text
    before, _, after = screen_text.partition("Will be created")
    assert ("missing  syncStatus" in before, "there  syncStatus" in after) == (True, True)
    sim.clear_request_log()
    again, screen_text = setup_result(sim, SetupConsent(None))
    assert (again, sim.writes) == (ExitCode.DONE, [])
    assert "Will be created" not in screen_text


def test_who_says_no_changes_nothing() -> None:
    sim = EspoSim(custom_fields=False)
    code, screen_text = setup_result(sim, SetupConsent(lambda _question: False))
    assert (code, sim.writes) == (ExitCode.USAGE, [])
    assert "Some fields are not as they must be" in screen_text


def test_with_nobody_to_ask_nothing_is_changed() -> None:
    sim = EspoSim(custom_fields=False)
    with pytest.raises(ConfigError, match="Give --yes"):
        setup_result(sim, SetupConsent(refuse_to_ask))
    assert sim.writes == []


def test_a_field_of_another_type_is_named_and_left_alone() -> None:
    sim = EspoSim()
    sim.store.entity.fields["kommunikationHash"] = {"type": "int"}
    sim.store.entity.fields["syncStatus"]["options"].remove("conflict")
    code, screen_text = setup_result(sim, SetupConsent(None))
    assert (code, sim.writes) == (ExitCode.USAGE, [])
    assert "is of type int; it must be varchar or text. Or name another in espocrm.fields.fingerprint" in screen_text
    assert "lacks the options conflict" in screen_text


@pytest.mark.parametrize(
    ("switch", "version"), [(CONCURRENCY, "8.4"), (CONCURRENCY, "10"), (TRANSACTIONAL_SAVE, "10"), (FREE_FIELDS, "10")]
)
def test_a_switch_is_offered_and_never_switched_on_unasked(switch: Switch, version: str) -> None:
    sim = EspoSim(espocrm=version)
    sim.store.entity.lockable = True if switch is FREE_FIELDS else None
    assert f"{switch.option} " in setup_result(sim, SetupConsent(None))[1]
    questions: list[str] = []

    def refuse(question: str) -> bool:
        questions.append(question)
        return False

    setup_result(sim, SetupConsent(refuse))
    assert switch.question in questions
    assert sim.writes == []
    setup_result(sim, SetupConsent(None, {switch: True}))
    assert len(sim.writes) > 0
    questions.clear()
    assert f"{switch.option} " not in setup_result(sim, SetupConsent(refuse))[1]
    assert switch.question not in questions


def test_an_espocrm_without_locks_is_asked_nothing_about_them() -> None:
    questions: list[str] = []

    def refuse(question: str) -> bool:
        questions.append(question)
        return False

    setup_result(EspoSim(espocrm="9.3"), SetupConsent(refuse))
    assert questions == [STATUS_FIELD_HELP.question, CONCURRENCY.question]


def test_the_syncs_own_fields_are_freed_and_betnr_stays_under_the_lock() -> None:
    sim = EspoSim()
    sim.store.entity.lockable = True
    setup_result(sim, SetupConsent(None, {FREE_FIELDS: True}))
    freed = {name for name, definition in sim.store.entity.fields.items() if definition.get("notLockable")}
    assert freed == {
        "syncStatus", "advowareLastSync", "kommunikationHash", "syncErrorMessage", "syncRetryCount", "syncNextRetry",
        "syncAutoResetAt",
    }  # fmt: skip


def test_a_wrong_password_is_said_at_once() -> None:
    with pytest.raises(CredentialsRefused, match="administrator's name and password"):
        setup_result(EspoSim(), SetupConsent(None), "wrong")


def test_the_login_comes_from_the_environment_a_mounted_file_or_the_keyboard(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n", "utf-8")
    variables = {USER_VARIABLE: "root", f"{PASSWORD_VARIABLE}_FILE": str(tmp_path / "password")}
    assert read_admin_login(variables, None) == ("root", SecretStr("from a file"))
    questions: list[tuple[str, bool]] = []

    def type_answer(question: str, hidden: bool) -> str:  # noqa: FBT001  as typer is called
        questions.append((question, hidden))
        return question

    assert read_admin_login({}, type_answer) == ("EspoCRM administrator", SecretStr("Password"))
    assert questions == [("EspoCRM administrator", False), ("Password", True)]
    with pytest.raises(ConfigError, match="set ESPOCRM_ADMIN_USER and ESPOCRM_ADMIN_PASSWORD"):
        read_admin_login({USER_VARIABLE: "root"}, None)


def test_a_new_status_field_explains_each_status_to_staff_by_the_firms_own_names() -> None:
    sim = EspoSim(custom_fields=False)
    setup_result(sim, SetupConsent(None))
    assert sim.store.entity.fields["syncStatus"]["tooltip"] is True
    help_text = sim.store.entity.help_texts["syncStatus"]
    assert [status for status in PersonStatus if f"**{status}**" not in help_text] == []
    assert "Was zu tun ist: tun, was `syncErrorMessage` sagt." in help_text
    assert "`nummer` berichtigen" in status_help_text("de", admin_fields(betnr="nummer"))


def test_the_help_of_a_field_that_is_there_is_filled_on_request_and_never_overwritten() -> None:
    sim = EspoSim()
    definition = dict(sim.store.entity.fields["syncStatus"])
    _, screen_text = setup_result(sim, SetupConsent(None))
    assert (sim.writes, "stays empty (--status-help fills it)" in screen_text) == ([], True)
    _, screen_text = setup_result(sim, SetupConsent(None, {STATUS_FIELD_HELP: True}))
    assert "The help of the status field is there now." in screen_text
    assert sim.store.entity.fields["syncStatus"] == {**definition, "tooltip": True}
    sim.store.entity.help_texts["syncStatus"] = "the firm's own words"
    setup_result(sim, SetupConsent(None, {STATUS_FIELD_HELP: True}))
    assert sim.store.entity.help_texts["syncStatus"] == "the firm's own words"


@pytest.mark.parametrize(("language", "guide"), [("en", GUIDE), ("de", GERMAN_GUIDE)])
def test_guide_and_field_help_say_the_same_of_every_status(language: str, guide: str) -> None:
    assert [*STATUS_HELP[language]] == [*PersonStatus]
    rows = [
        f"| {' | '.join((f'`{status}`', *entry.named(admin_fields()).values()))} |"
        for status, entry in STATUS_HELP[language].items()
    ]
    assert "\n".join(rows) in guide


def admin_fields(**names: str) -> dict[str, str]:
    """EspoCRM's names of our fields."""
    return field_names({**CONFIG.espocrm.fields.model_dump(), **names})

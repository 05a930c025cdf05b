"""`setup-espocrm`: says what is missing, makes it after asking, changes nothing that is there, and can be repeated."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from rich.console import Console

from etl.errors import ConfigError, CredentialsRefused
from jobs.config import Config
from jobs.exit_codes import ExitCode
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.espocrm_login import ADMIN_NAME, ADMIN_PASSWORD
from jobs.sandbox.server import config as settings
from jobs.sandbox.transport import InProcess
from jobs.setup_espocrm import OFFER, PASSWORD, USER, Consent, administrator, carry_out, login, nobody

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = Config.model_validate(settings("http://crm.test", "https://a.test"))


def done(sim: EspoSim, consent: Consent, password: str = ADMIN_PASSWORD) -> tuple[ExitCode, str]:
    """The exit code, and what stood on the screen."""
    screen = Console(file=io.StringIO(), width=200)
    with administrator(CONFIG, ADMIN_NAME, SecretStr(password), transport=InProcess(sim)) as admin:
        code = carry_out(CONFIG, admin, screen, consent)
    assert isinstance(screen.file, io.StringIO)
    return code, screen.file.getvalue()


def test_it_says_what_it_will_do_and_does_it_once() -> None:
    sim = EspoSim(custom_fields=False)
    code, told = done(sim, Consent(None))
    assert code is ExitCode.DONE
    assert "Will be created in CBeteiligte: syncStatus, advowareLastSync, kommunikationHash" in told
    before, _, after = told.partition("Will be created")
    assert ("missing  syncStatus" in before, "there  syncStatus" in after) == (True, True)
    sim.forget_calls()
    again, told = done(sim, Consent(None))
    assert (again, sim.writes) == (ExitCode.DONE, [])
    assert "Will be created" not in told


def test_who_says_no_changes_nothing() -> None:
    sim = EspoSim(custom_fields=False)
    code, told = done(sim, Consent(lambda _question: False))
    assert (code, sim.writes) == (ExitCode.USAGE, [])
    assert "Some fields are not as they must be" in told


def test_with_nobody_to_ask_nothing_is_changed() -> None:
    sim = EspoSim(custom_fields=False)
    with pytest.raises(ConfigError, match="Give --yes"):
        done(sim, Consent(nobody))
    assert sim.writes == []


def test_a_field_of_another_type_is_named_and_left_alone() -> None:
    sim = EspoSim()
    sim.store.fields["kommunikationHash"] = {"type": "int"}
    sim.store.fields["syncStatus"]["options"].remove("conflict")
    code, told = done(sim, Consent(None))
    assert (code, sim.writes) == (ExitCode.USAGE, [])
    assert "is of type int; it must be varchar or text. Or name another in espocrm.fields.fingerprint" in told
    assert "lacks the options conflict" in told


def test_concurrency_control_is_offered_and_never_switched_on_unasked() -> None:
    sim = EspoSim()
    assert "stays off" in done(sim, Consent(None))[1]
    asked: list[str] = []

    def refuses(question: str) -> bool:
        asked.append(question)
        return False

    done(sim, Consent(refuses))
    assert asked == [OFFER]
    assert "on now" in done(sim, Consent(None, concurrency=True))[1]
    assert "is on." in done(sim, Consent(nobody))[1]


def test_a_wrong_password_is_said_at_once() -> None:
    with pytest.raises(CredentialsRefused, match="administrator's name and password"):
        done(EspoSim(), Consent(None), "wrong")


def test_the_login_comes_from_the_environment_a_mounted_file_or_the_keyboard(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n", "utf-8")
    mounted = {USER: "root", f"{PASSWORD}_FILE": str(tmp_path / "password")}
    assert login(mounted, None) == ("root", SecretStr("from a file"))
    asked: list[tuple[str, bool]] = []

    def typed(what: str, hidden: bool) -> str:  # noqa: FBT001  as typer is called
        asked.append((what, hidden))
        return what

    assert login({}, typed) == ("EspoCRM administrator", SecretStr("Password"))
    assert asked == [("EspoCRM administrator", False), ("Password", True)]
    with pytest.raises(ConfigError, match="set ESPOCRM_ADMIN_USER and ESPOCRM_ADMIN_PASSWORD"):
        login({USER: "root"}, None)

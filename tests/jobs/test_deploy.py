"""The units and the container file say what they promise; checked as far as that goes without a daemon."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.main import get_command

from etl.enums import PersonStatus
from jobs.cli import app
from jobs.command_line import many_firms
from jobs.config import Config
from jobs.config_file import read_config
from jobs.exit_codes import ExitCode
from tests.children import marks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ENV = {"PATH": os.defpath} | marks()
DEPLOY = Path(str(files("jobs.deploy")))
SERVICES = [*sorted(DEPLOY.glob("advosync-*.service")), DEPLOY / "advosync.service"]
UNITS = [*SERVICES, DEPLOY / "advosync@.service", *sorted(DEPLOY.glob("*.timer"))]
COMMANDS = set(vars(get_command(app))["commands"])


def read_unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text("utf-8"))
    return parser


def test_everything_a_service_needs_comes_along() -> None:
    assert {path.name for path in DEPLOY.iterdir() if path.suffix != ".py" and path.name != "__pycache__"} == {
        "advosync.service",
        "advosync@.service",
        "advosync-sync.service",
        "advosync-sync.timer",
        "advosync-sweep.service",
        "advosync-sweep.timer",
        "advosync-maintenance.service",
        "advosync-maintenance.timer",
        "Containerfile",
        "espocrm_before_save.formula",
        "kubernetes-firms.yaml",
    }


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    copies = []
    for path in UNITS:
        copy = tmp_path / path.name
        copy.write_text(path.read_text("utf-8").replace("/opt/advosync/bin/advosync", sys.executable), "utf-8")
        copies.append(str(copy))
    answer = subprocess.run(["systemd-analyze", "verify", *copies], capture_output=True, text=True, check=False)  # noqa: S607
    assert answer.stderr == ""
    assert answer.returncode == 0


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_service_starts_a_command_there_is_as_nobody_special(path: Path) -> None:
    service = read_unit(path)["Service"]
    program, option, _, command, *_ = service["ExecStart"].split()
    assert (program, option) == ("/opt/advosync/bin/advosync", "--config")
    assert command in COMMANDS
    assert service["User"] == "advosync"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["StateDirectoryMode"] == "0700"


def test_a_stop_is_given_the_time_a_request_may_take_and_a_wrong_configuration_is_not_tried_again() -> None:
    service = read_unit(DEPLOY / "advosync.service")["Service"]
    longest_timeout = max(
        Config.model_fields[name].annotation.model_fields["timeout_seconds"].default  # type: ignore[union-attr]
        for name in SYSTEMS
    )
    assert int(service["TimeoutStopSec"]) > 2 * longest_timeout
    assert int(service["RestartPreventExitStatus"]) == ExitCode.USAGE


SYSTEMS = ("espocrm", "advoware")


def test_a_firms_service_is_the_service_with_its_own_file_and_secrets() -> None:
    one, of_many = (read_unit(DEPLOY / name) for name in ("advosync.service", "advosync@.service"))
    own = {"ExecStart": ("config.yaml", "firms/%i.yaml"), "EnvironmentFile": ("secrets.env", "firms/%i.env")}
    for key, (common, of_firm) in own.items():
        assert of_many["Service"][key] == one["Service"][key].replace(common, of_firm)
    assert {**of_many["Service"], **dict.fromkeys(own)} == {**one["Service"], **dict.fromkeys(own)}


def test_the_manifest_says_that_it_was_not_tried_and_starts_a_command_there_is() -> None:
    text = (DEPLOY / "kubernetes-firms.yaml").read_text("utf-8")
    assert "NOT TRIED" in text.splitlines()[0]
    manifest = yaml.safe_load(text)
    assert manifest["spec"]["replicas"] == 1
    [container] = manifest["spec"]["template"]["spec"]["containers"]
    program, group, command, *_ = container["command"]
    assert (program, group) == ("advosync", "firms")
    assert command in {known.name for known in many_firms.commands.registered_commands}
    assert manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == int(
        read_unit(DEPLOY / "advosync.service")["Service"]["TimeoutStopSec"]
    )


@pytest.mark.parametrize("path", SERVICES[:-1], ids=lambda path: path.name)
def test_a_timers_service_takes_for_success_what_the_next_run_puts_right(path: Path) -> None:
    codes = {int(code) for code in read_unit(path)["Service"]["SuccessExitStatus"].split()}
    assert codes == {ExitCode.FAILED_PERSONS, ExitCode.HELD, ExitCode.LOCKED, ExitCode.STOPPED}


def test_the_timers_keep_the_times_of_the_configuration() -> None:
    schedule = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))["schedule"]
    times = {path.stem: read_unit(path)["Timer"]["OnCalendar"] for path in sorted(DEPLOY.glob("*.timer"))}
    assert times["advosync-sync"] == f"*:0/{schedule['sync']['minutes']}"
    for job in ("sweep", "maintenance"):
        minute, hour, *_ = schedule[job]["cron"].split()
        assert times[f"advosync-{job}"] == f"{int(hour):02}:{int(minute):02}"


def test_all_services_are_shut_in_alike_and_systemd_alone_reads_the_secrets() -> None:
    of_each = {"ExecStart", "Type", "Restart", "RestartSec", "RestartPreventExitStatus", "SuccessExitStatus"}
    settings = [
        {key: value for key, value in read_unit(path)["Service"].items() if key not in of_each} for path in SERVICES
    ]
    assert [service for service in settings if service != settings[0]] == []
    assert [path.name for path in UNITS if ". /etc/advosync/secrets.env" in path.read_text("utf-8")] == []


def container_instructions() -> dict[str, list[str]]:
    """The container file's instructions by name, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "Containerfile").read_text("utf-8"))
    lines_by_name: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            lines_by_name.setdefault(name, []).append(rest)
    return lines_by_name


def test_the_container_is_not_root_and_says_how_healthy_it_is() -> None:
    lines_by_name = container_instructions()
    assert lines_by_name["USER"] == ["10001:10001"]
    assert lines_by_name["VOLUME"] == ["/state"]
    assert lines_by_name["STOPSIGNAL"] == ["SIGTERM"]
    assert lines_by_name["CMD"] == ['["run"]']
    health = lines_by_name["HEALTHCHECK"][0].split("CMD ", 1)[1]
    assert yaml.safe_load(health) == ["advosync", "--config", "/config/config.yaml", "status", "--max-age", "50m"]
    assert "--read-only" in (DEPLOY / "Containerfile").read_text("utf-8")


def test_the_container_is_built_from_what_is_there_and_takes_no_database_along() -> None:
    copied_names = [
        word for line in container_instructions()["COPY"] if "--from" not in line for word in line.split()[:-1]
    ]
    assert [word for word in copied_names if not (ROOT / word).exists()] == []
    assert "state" not in copied_names
    assert "." not in copied_names


def test_the_formula_sets_statuses_there_are_and_leaves_the_syncs_own_user_out() -> None:
    text = (DEPLOY / "espocrm_before_save.formula").read_text("utf-8")
    assert set(re.findall(r"syncStatus = '(\w+)'", text)) == {"pending_sync", "dirty"} <= set(PersonStatus)
    assert "env\\userAttribute('type') != 'api'" in text


def test_secrets_are_mounted_by_the_names_the_configuration_asks_for(tmp_path: Path) -> None:
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    env = {}
    for name in re.findall(r"(\w+)_FILE=/run/secrets/(\w+)", text):
        secret = tmp_path / name[1]
        secret.write_text("c2VjcmV0", "utf-8")
        env[f"{name[0]}_FILE"] = str(secret)
    document = (ROOT / "config.yaml").read_text("utf-8")
    config_file = tmp_path / "config.yaml"
    config_file.write_text(re.sub(r'(kanzlei|database|user): ""', r'\1: "x"', document), "utf-8")
    assert read_config(config_file, env).advoware.app_id == "c2VjcmV0"


# From a wheel -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel of this checkout; what it depends on is that of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    site_packages = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    return python


def commands_of_units() -> list[list[str]]:
    """The arguments of each command that a unit, the container file or a comment in them starts."""
    paths = [*UNITS, DEPLOY / "Containerfile"]
    texts = [re.sub(r"\\\n#? *", "", path.read_text("utf-8")) for path in paths]
    command = re.compile(r"--config (?:/etc/advosync|/config)/config\.yaml (.+)")
    lines = [line for text in texts for line in command.findall(text)]
    health = yaml.safe_load(container_instructions()["HEALTHCHECK"][0].split("CMD ", 1)[1])[3:]
    return [*map(str.split, lines), health]


@pytest.fixture
def sandbox_file(wheel_python: Path, tmp_path: Path) -> Iterator[Path]:
    """The settings of a sandbox that runs from the wheel."""
    path = tmp_path / "sandbox.yaml"
    command = [str(wheel_python.with_name("advosync")), "sandbox", "--persons", "3"]
    with (
        path.open("w") as output,
        subprocess.Popen(command, cwd=tmp_path, env=ENV, stdout=output, stdin=subprocess.DEVNULL) as sandbox,
    ):
        try:
            deadline = time.monotonic() + 60
            while "path: " not in path.read_text("utf-8"):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield path
        finally:
            sandbox.terminate()


def test_the_wheel_in_an_empty_environment_carries_out_each_command_the_files_name(
    wheel_python: Path, sandbox_file: Path
) -> None:
    commands = commands_of_units()
    assert {command[0] for command in commands} == {"run", "sync", "maintenance", "held", "status"}
    assert ["sync", "--sweep"] in commands
    assert commands.count(["held"]) == 2  # beside the service, and beside the container
    advosync = [str(wheel_python.with_name("advosync")), "--config", str(sandbox_file)]
    ended = {
        " ".join(command): subprocess.run(
            [*advosync, *command], cwd=sandbox_file.parent, env=ENV, capture_output=True, check=False
        ).returncode
        for command in sorted(commands, key=lambda command: command[0] != "sync")  # it makes the state store
        if command != ["run"]
    }
    assert ended == dict.fromkeys(ended, ExitCode.DONE)
    with subprocess.Popen([*advosync, "run"], cwd=sandbox_file.parent, env=ENV, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == ExitCode.DONE

"""A proxy or certificate of the environment that cannot work is refused by its name; its password stands nowhere."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
from pydantic import SecretStr

from etl import environment
from etl.clients.healthcheck import PingEvent, ping
from jobs import cli
from jobs.config_file import read_config
from jobs.environment import PRODUCTION
from jobs.exit_codes import ExitCode
from jobs.schedule import Job
from jobs.scheduler import JobQueue, run_job
from jobs.telemetry import logs
from tests.harness import FaultHarness

if TYPE_CHECKING:

    from jobs.sandbox.simulator import SimRequest

PASSWORD = "hunter2#geheim"
PROXY = f"http://sync:{PASSWORD}@proxy.firma.de:3128"

UNUSABLE = [
    ("HTTPS_PROXY",   PROXY),
    ("https_proxy",   PROXY),
    ("HTTPS_PROXY",   "http://sync:12#geheim@proxy.firma.de:3128"),
    ("HTTP_PROXY",    "http://sync:ge/heim@proxy.firma.de:3128"),
    ("ALL_PROXY",     "http://sync:12?heim@proxy.firma.de"),
    ("ALL_PROXY",     "socks4://proxy.firma.de:1080"),
    ("all_proxy",     "ftp://proxy.firma.de"),
    ("HTTP_PROXY",    "http://proxy.firma.de:99999"),
    ("HTTP_PROXY",    "http://proxy.firma.de:port"),
    ("http_proxy",    " http://proxy.firma.de:3128"),
    ("HTTP_PROXY",    "http://?"),
    ("HTTP_PROXY",    "http://[::1"),
    ("HTTPS_PROXY",   "//proxy.firma.de:3128"),
    ("NO_PROXY",      "[::1]"),
    ("no_proxy",      "localhost, [::1]:8080"),
    ("NO_PROXY",      "::1/128"),
    ("NO_PROXY",      "http://user:x#@intern"),
    ("SSL_CERT_FILE", "/nowhere/ca.pem"),
    ("SSL_CERT_FILE", "/etc"),
    ("SSL_CERT_DIR",  "/nowhere"),
]  # fmt: skip

USABLE = [
    ("HTTPS_PROXY",   "http://sync:hunter2%23geheim@proxy.firma.de:3128"),
    ("HTTP_PROXY",    "proxy.firma.de:3128"),
    ("http_proxy",    "http://sync:p@ss@proxy.firma.de:3128/"),
    ("ALL_PROXY",     "http://[::1]:3128"),
    ("ALL_PROXY",     ""),
    ("NO_PROXY",      "localhost,127.0.0.1, ::1 ,.firma.de,10.0.0.0/8,*.intern,firma.de:8080,http://[::1]"),
    ("NO_PROXY",      "*"),
    ("SSL_CERT_FILE", ""),
    ("TRAVIS_PROXY",  "whatever#"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def clear_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.network_variables(os.environ):
        monkeypatch.delenv(name)


def run_rows(config_file: Path) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(config_file.parent / "state/state.db")) as store:
        return store.execute("select trigger, outcome, error from runs order by id").fetchall()


@pytest.mark.parametrize(("name", "value"), UNUSABLE)
def test_what_no_connection_can_be_made_with_is_named_and_never_shown(name: str, value: str) -> None:
    flaws_by_name = environment.environment_problems({name: value})
    assert list(flaws_by_name) == [name]
    assert not [part for part in ("geheim", "heim", "hunter2", value) if part in flaws_by_name[name]]


@pytest.mark.parametrize(("name", "value"), USABLE)
def test_what_works_is_let_through(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.environment_problems({name: value}) == {}
    monkeypatch.setenv(name, value)
    httpx.Client().close()


def test_socks_is_refused_only_without_its_package() -> None:
    """httpx speaks SOCKS with one more package, which the project does not need."""
    (flaw,) = environment.environment_problems({"ALL_PROXY": "socks5://proxy.firma.de:1080"}).values()
    assert "pip install 'httpx[socks]'" in flaw


def test_a_folder_of_certificates_needs_hashed_names(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    assert list(environment.environment_problems({"SSL_CERT_DIR": str(tmp_path)})) == ["SSL_CERT_DIR"]
    (tmp_path / "1a2b3c4d.0").touch()
    assert environment.environment_problems({"SSL_CERT_DIR": str(tmp_path)}) == {}
    assert environment.environment_problems({"SSL_CERT_DIR": f"/nowhere{os.pathsep}{tmp_path}"}) == {}


@pytest.mark.parametrize(("name", "value"), UNUSABLE)
def test_a_run_is_refused_with_64_recorded_and_told_without_the_value(
    name: str, value: str, config_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0ddc3ba: exit 70 at every tick, and the password in the log."""
    monkeypatch.setenv(name, value)
    assert cli.run_command_line(["--config", str(config_file), "sync", "--json"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["outcome"], name in document["error"], name in err) == ("refused", True, True)
    assert run_rows(config_file) == [("sync", "refused", document["error"])]
    database = b"".join(file_in_state.read_bytes() for file_in_state in (config_file.parent / "state").iterdir())
    assert not [text for text in (out, err, database.decode("latin-1")) if value in text or "geheim" in text]
    check_exit_code = cli.run_command_line(["--config", str(config_file), "check", "--json"])
    points = json.loads(capsys.readouterr().out)["points"]
    assert check_exit_code == ExitCode.USAGE
    assert [point["state"] for point in points if name in point["message"]] == ["bad"]
    assert cli.run_command_line(["--config", str(config_file), "run"]) == ExitCode.USAGE
    assert name in capsys.readouterr().err


def test_certificates_that_are_none_are_refused_too(
    config_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(config_file))
    assert cli.run_command_line(["--config", str(config_file), "sync"]) == ExitCode.USAGE
    assert "SSL_CERT_FILE" in capsys.readouterr().err
    assert [outcome for _, outcome, _ in run_rows(config_file)] == ["refused"]


def test_the_scheduler_refuses_each_turn_and_logs_no_password(
    config_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    turns, stream = JobQueue(), io.StringIO()
    config = read_config(config_file)
    logs.configure_logging(config.report.log_format, secrets=config.secrets(), stream=stream)
    for job in (Job.SYNC, Job.SWEEP):
        run_job(config, PRODUCTION, turns, job, is_sweep_postponed=False)
    turns.close()
    assert [outcome for _, outcome, _ in run_rows(config_file)] == ["refused", "refused"]
    logged = stream.getvalue() + "".join(capsys.readouterr())
    assert logged.count("HTTPS_PROXY") >= 2
    assert not [part for part in (PASSWORD, "hunter2", "geheim") if part in logged]


@pytest.mark.parametrize("value", [PROXY, "http://sync:hunter2geheim@proxy.firma.de", "http://sync:hunter2#geheim"])
def test_whoever_quotes_a_proxy_is_masked(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    stream = io.StringIO()
    logs.configure_logging(stream=stream)
    try:
        raise ValueError(f"cannot parse {value}")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "***" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_ping_with_an_unusable_proxy_says_so_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.firma.de:1080")
    assert ping(SecretStr("http://127.0.0.1:9/"), PingEvent.START) == "ImportError"
    monkeypatch.setenv("ALL_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    assert ping(SecretStr("http://127.0.0.1:9/"), PingEvent.START) == "InvalidURL"


@pytest.mark.parametrize("write", [True, False], ids=["sync", "plan"])
def test_a_crash_is_recorded_by_its_kind_alone(tmp_path: Path, *, write: bool) -> None:
    harness = FaultHarness(tmp_path)

    def raise_key_error(_call: SimRequest) -> None:
        raise KeyError(PASSWORD)

    with harness.hook_before(harness.espo, raise_key_error), pytest.raises(KeyError):
        harness.run(write=write)
    error = "a mistake in advosync itself (KeyError); the log has the trace"
    assert harness.query_store("select outcome, error from runs") == [("crashed", error)]
    assert harness.run().outcome == "done"

"""config.yaml: what it may say, and what people read when it says something else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from etl.clients.espocrm_payload import DEFAULT_FIELD_NAMES
from etl.errors import ConfigError
from etl.records import Direction, Scope
from jobs.config import Config, JobTimes, config_digest, json_schema
from jobs.config_file import read_config

MINIMAL = """
espocrm: {url: "https://crm.example.de/", api_key: "${ESPOCRM_API_KEY}"}
advoware: {kanzlei: K1, database: D1, user: sync, app_id: "${ADVOWARE_APP_ID}", api_key: "${ADVOWARE_API_KEY}",
           password: "${ADVOWARE_PASSWORD}"}
"""
ENV = {
    "ESPOCRM_API_KEY": "espo-secret",
    "ADVOWARE_APP_ID": "app-1",
    "ADVOWARE_API_KEY": "advo-secret",
    "ADVOWARE_PASSWORD": "pass word",
}


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def load_with(config_file: Path, extra_text: str = "", env: dict[str, str] | None = None, **options: bool) -> Config:
    config_file.write_text(MINIMAL + extra_text, "utf-8")
    return read_config(config_file, ENV if env is None else env, **options)


def refusal_lines(config_file: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    """The lines of the one message this text is refused with, without the file's name and line each begins with."""
    config_file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as error:
        read_config(config_file, ENV if env is None else env)
    lines = str(error.value).splitlines()
    assert all(line.startswith(str(config_file)) for line in lines)
    return [re.sub(r"^(, line \d+)?: ", "", line.removeprefix(str(config_file))) for line in lines]


SCHEDULE_MESSAGE = 'schedule.sync must be {minutes: 15} or {cron: "30 2 * * *"}'


# What holds ------------------------------------------------------------------------------------------------------


def test_a_minimal_file_gets_every_default(config_file: Path) -> None:
    config = load_with(config_file)
    assert config.espocrm.url == "https://crm.example.de"
    assert config.espocrm.fields.model_dump() == DEFAULT_FIELD_NAMES
    assert config.advoware.configurator_url == "https://www2.advo-net.net/AdvonetConfigurator"
    assert (config.sync.direction, config.sync.conflict_scope) == (Direction.BOTH, Scope.PERSON)
    assert config.retry.backoff_minutes == (1, 5, 15, 60, 240)
    assert config.schedule.sync == JobTimes(minutes=15)
    assert config.schedule.sweep == JobTimes(cron="30 2 * * *")
    assert config.schedule.maintenance == JobTimes(cron="0 4 * * *")
    assert config.guards.max_removal_share == 0.10


def test_paths_start_at_the_files_folder(config_file: Path) -> None:
    config = load_with(config_file, "report: {metrics_file: out/metrics.prom}")
    assert config.state.path == config_file.parent / "state/state.db"
    assert config.report.metrics_file == config_file.parent / "out/metrics.prom"
    assert load_with(config_file, "state: {path: /var/lib/advosync.db}").state.path == Path("/var/lib/advosync.db")


def test_a_section_whose_keys_are_all_commented_out_is_empty(config_file: Path) -> None:
    assert load_with(config_file, "sync:\n  # direction: both\n").sync == load_with(config_file).sync


def test_a_pilot_group_takes_ids_and_betnr(config_file: Path) -> None:
    assert load_with(config_file, "sync: {only: [104860, abc123]}").sync.only == ("104860", "abc123")


def test_the_komm_kz_table_can_be_changed_in_part(config_file: Path) -> None:
    config = load_with(config_file, "sync: {komm_kz: {9: {espo_type: Office}, 10: {relevant: false}}}")
    assert config.sync.komm_kz_overrides() == {9: {"espo_type": "Office"}, 10: {"relevant": False}}


def test_a_plain_local_address_may_do_without_tls(config_file: Path) -> None:
    text = MINIMAL.replace("kanzlei: K1", 'kanzlei: K1, base_url: "http://127.0.0.1:8000", security_gateway: "http://[::1]:1"')
    config_file.write_text(text, "utf-8")
    assert read_config(config_file, ENV).advoware.base_url == "http://127.0.0.1:8000"


def test_the_schema_names_every_section() -> None:
    assert set(json_schema()["properties"]) == set(Config.model_fields)


def test_reading_the_configuration_loads_no_frames() -> None:
    code = "import sys, jobs.config; sys.exit('pandas' in sys.modules or 'httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# The environment --------------------------------------------------------------------------------------------------


def test_secrets_come_from_the_environment_and_are_never_shown(config_file: Path) -> None:
    config = load_with(config_file)
    assert config.advoware.password.get_secret_value() == "pass word"
    assert config.secrets() == ("espo-secret", "advo-secret", "pass word")
    assert not [secret for secret in config.secrets() if secret in f"{config!r}{config}{config.model_dump_json()}"]


def test_a_mounted_secret_is_read_without_its_newline(config_file: Path, tmp_path: Path) -> None:
    secret_file = tmp_path / "password"
    secret_file.write_text("from a file \n")
    env = {**ENV, "ADVOWARE_PASSWORD": "", "ADVOWARE_PASSWORD_FILE": str(secret_file)}
    assert load_with(config_file, env=env).advoware.password.get_secret_value() == "from a file "


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("${ZONE:-Europe/Vienna}", "Europe/Vienna"),
        ("Europe/${CITY}", "Europe/Zurich"),
        ("${CONTINENT:-Europe}/${CITY:-Berlin}", "Europe/Zurich"),
    ],
)
def test_a_variable_may_stand_anywhere_and_have_a_default(config_file: Path, text: str, read: str) -> None:
    env = {**ENV, "CITY": "Zurich"}
    assert load_with(config_file, f'schedule: {{timezone: "{text}"}}', env).schedule.timezone == read


def test_what_a_variable_holds_is_not_looked_at_again(config_file: Path) -> None:
    config = load_with(config_file, env={**ENV, "ADVOWARE_PASSWORD": "a${ESPOCRM_API_KEY}: {}#"})
    assert config.advoware.password.get_secret_value() == "a${ESPOCRM_API_KEY}: {}#"


def test_a_doubled_dollar_is_a_dollar(config_file: Path) -> None:
    text = MINIMAL.replace('"${ADVOWARE_PASSWORD}"', '"$${x}"')
    config_file.write_text(text, "utf-8")
    assert read_config(config_file, ENV).advoware.password.get_secret_value() == "${x}"


def test_a_number_may_come_from_the_environment(config_file: Path) -> None:
    assert load_with(config_file, 'guards: {max_removals: "${LIMIT}"}', {**ENV, "LIMIT": "7"}).guards.max_removals == 7


def test_missing_variables_are_all_named_with_their_keys(config_file: Path) -> None:
    assert refusal_lines(config_file, MINIMAL, {"ADVOWARE_APP_ID": "a", "ADVOWARE_API_KEY": "b"}) == [
        "espocrm.api_key needs the environment variable ESPOCRM_API_KEY "
        "(or ESPOCRM_API_KEY_FILE, a file that holds it)",
        "advoware.password needs the environment variable ADVOWARE_PASSWORD "
        "(or ADVOWARE_PASSWORD_FILE, a file that holds it)",
    ]


def test_a_mounted_secret_that_is_not_there_is_named(config_file: Path) -> None:
    env = {**ENV, "ADVOWARE_PASSWORD": "", "ADVOWARE_PASSWORD_FILE": "/nowhere/password"}
    assert refusal_lines(config_file, MINIMAL, env) == [
        "advoware.password needs the file that ADVOWARE_PASSWORD_FILE names, /nowhere/password, "
        "which cannot be read (No such file or directory)"
    ]


def test_a_command_that_only_reads_the_store_needs_no_credentials(config_file: Path) -> None:
    assert load_with(config_file, env={}, with_credentials=False).state.path.name == "state.db"


# What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra_text", "line"),
    [
        ("sync: {direktion: both}", "sync.direktion is not a key of this file; did you mean sync.direction?"),
        ("snyc: {}", "snyc is not a key of this file; did you mean sync?"),
        (
            "sync: {direction: bth}",
            "sync.direction must be 'both', 'to_advoware' or 'to_espocrm'; did you mean both?",
        ),
        ("sync: {password: espo-secret}", "sync.password is not a key of this file; did you mean advoware.password?"),
        (
            "sync: {api_key: x}",
            "sync.api_key is not a key of this file; did you mean espocrm.api_key or advoware.api_key?",
        ),
        ("report: {zzz: x}", "report.zzz is not a key of this file"),
        ("espocrm_: {}", "espocrm_ is not a key of this file; did you mean espocrm?"),
        ("sync: {region: de}", 'sync.region must be a country\'s two capital letters, like "DE"'),
        ("sync: {region: XX}", 'sync.region must be a country\'s two capital letters, like "DE"'),
        ("sync: {persons_per_run: 0}", "sync.persons_per_run must be at least 1"),
        ("sync: {komm_kz: {13: {}}}", "sync.komm_kz.13 must be at most 12"),
        ("sync: {komm_kz: {9: {typ: Office}}}", "sync.komm_kz.9.typ is not a key of this file"),
        ("sync: [1]", "sync must be a section with keys of its own"),
        ("guards: {max_removals: true}", "guards.max_removals must be a number"),
        ("guards: {max_removals: many}", "guards.max_removals must be a whole number"),
        ("guards: {max_removals: 1.5}", "guards.max_removals must be a whole number"),
        ("guards: {max_removal_share: much}", "guards.max_removal_share must be a number"),
        ("retry: {auto_reset_hours: 0}", "retry.auto_reset_hours must be more than 0"),
        ("retry: {backoff_minutes: 5}", "retry.backoff_minutes must be a list like [a, b]"),
        ("sync: {komm_kz: {9: {relevant: maybe}}}", "sync.komm_kz.9.relevant must be true or false"),
        ("guards: {max_removal_share: 10}", "guards.max_removal_share must be at most 1"),
        ("retry: {backoff_minutes: [1, 0]}", "retry.backoff_minutes.1 must be at least 1"),
        ("schedule: {sync: {}}", SCHEDULE_MESSAGE),
        ("schedule: {sync: {minutes: 5, cron: 0 4 * * *}}", SCHEDULE_MESSAGE),
        ("schedule: {timezone: Europe/Bonn}", 'schedule.timezone must be a time zone like "Europe/Berlin"'),
        ("schedule: {timezone: ../etc}", 'schedule.timezone must be a time zone like "Europe/Berlin"'),
        ("report: {ping_url: hc-ping.com}", "report.ping_url must be an address like https://…"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_the_reason(config_file: Path, extra_text: str, line: str) -> None:
    assert refusal_lines(config_file, MINIMAL + extra_text) == [line]


@pytest.mark.parametrize("cron", ["1 2", "61 2 * * *", "x * * * *"])
def test_a_crontab_the_scheduler_does_not_understand_is_refused(config_file: Path, cron: str) -> None:
    [line] = refusal_lines(config_file, f'{MINIMAL}schedule: {{sweep: {{cron: "{cron}"}}}}')
    assert line.startswith('schedule.sweep.cron must be five crontab fields like "30 2 * * *" (')


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("kanzlei: K1, ", "", "advoware.kanzlei is missing"),
        ("kanzlei: K1", 'kanzlei: ""', "advoware.kanzlei must not be empty"),
        ("kanzlei: K1", "kanzlei: 0123", "advoware.kanzlei must be text (put it in quotes)"),
        ('"${ADVOWARE_PASSWORD}"', '" "', "advoware.password must not be empty"),
        ("https://crm.example.de/", "crm.example.de", "espocrm.url must be an address like https://crm.example.de"),
        ("https://crm", "https://a:b@crm", "espocrm.url must be an address without login, ? and #"),
        (
            "kanzlei: K1",
            'kanzlei: K1, base_url: "http://advo.example.de"',
            "advoware.base_url must begin with https:// because the password is sent there",
        ),
    ],
)
def test_what_is_needed_must_be_there_and_usable(config_file: Path, old: str, new: str, line: str) -> None:
    assert old in MINIMAL
    assert refusal_lines(config_file, MINIMAL.replace(old, new)) == [line]


BAD_ADDRESSES = [
    "https://crm.example.de/#", "https://crm.example.de/#CBeteiligte/view/1", "https://crm.example.de?",
    "https://crm.example.de/?a=b", "https://user:geheim@crm.example.de", "https://geheim@crm.example.de",
    "https://@crm.example.de", "https://crm.example.de:0", "https://crm.example.de:99999", "https://crm.example.de:x",
    "https://", "https:///espo", "ftp://crm.example.de", "https://crm example.de", "https://crm.example.de\\n/x",
    "https:\\\\crm.example.de", "https://[::1", "https://crm.example.de/ ",
]  # fmt: skip


@pytest.mark.parametrize("address", BAD_ADDRESSES)
@pytest.mark.parametrize("key", ["espocrm.url", "advoware.base_url", "advoware.configurator_url"])
def test_an_address_with_more_than_host_and_path_is_refused_without_showing_it(
    config_file: Path, key: str, address: str
) -> None:
    """Whatever is added behind a "#" or "?" never reaches the server (0ddc3ba let `https://host/#` pass)."""
    document = MINIMAL.replace('"https://crm.example.de/"', f'"{address}"')
    if key.startswith("advoware"):
        document = MINIMAL.replace("kanzlei: K1", f'kanzlei: K1, {key.partition(".")[2]}: "{address}"')
    [line] = refusal_lines(config_file, document)
    assert line.startswith(f"{key} must ")
    assert "geheim" not in line


@pytest.mark.parametrize("address", ["https://a.de", "https://a.de/espo/", "http://127.0.0.1:8000", "http://[::1]:1"])
def test_an_address_with_host_port_and_path_is_taken(config_file: Path, address: str) -> None:
    document = MINIMAL.replace('"https://crm.example.de/"', f'"{address}"')
    config_file.write_text(document, "utf-8")
    assert read_config(config_file, ENV).espocrm.url == address.rstrip("/")


@pytest.mark.parametrize("prefix", ["", "/", "api/v1?", "api#v1", "https://a.de/api", "api v1"])
def test_a_path_prefix_is_a_path(config_file: Path, prefix: str) -> None:
    [line] = refusal_lines(config_file, MINIMAL.replace("kanzlei: K1", f'kanzlei: K1, path_prefix: "{prefix}"'))
    assert line == 'advoware.path_prefix must be a path like "api/v1/advonet"'


def test_all_mistakes_are_told_at_once(config_file: Path) -> None:
    text = MINIMAL.replace("user: sync, ", "") + "sync: {direction: up, regoin: DE}"
    assert refusal_lines(config_file, text, {**ENV, "ADVOWARE_PASSWORD": ""}) == [
        "advoware.user is missing",
        "advoware.password needs the environment variable ADVOWARE_PASSWORD "
        "(or ADVOWARE_PASSWORD_FILE, a file that holds it)",
        "sync.direction must be 'both', 'to_advoware' or 'to_espocrm'",
        "sync.regoin is not a key of this file; did you mean sync.region?",
    ]


SEVERAL_MISTAKES = """\
sync:
  only: []
  direction: up
  komm_kz:
    9: {typ: x}
retry:
  backoff_minutes:
  - 1
  - 0
"""


def test_each_mistake_is_named_with_its_line(config_file: Path) -> None:
    config_file.write_text(MINIMAL.replace("user: sync, ", "") + SEVERAL_MISTAKES, "utf-8")
    with pytest.raises(ConfigError) as error:
        read_config(config_file, ENV)
    assert str(error.value).replace(f"{config_file}, ", "").splitlines() == [
        "line 3: advoware.user is missing",
        "line 7: sync.direction must be 'both', 'to_advoware' or 'to_espocrm'",
        "line 9: sync.komm_kz.9.typ is not a key of this file",
        "line 13: retry.backoff_minutes.1 must be at least 1",
    ]


def test_a_refusal_never_shows_a_secret(config_file: Path) -> None:
    text = MINIMAL.replace("user: sync", "user: [espo-secret]")
    lines = refusal_lines(config_file, text + "espocrm_api_key: espo-secret\nreport: {ping_url: espo-secret}")
    assert lines
    assert not [line for line in lines if "espo-secret" in line]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("espocrm: {url: [\n", ", line 2: something is missing here, or there is a sign too many"),
        ("a: [1\nb: 2\n", ", line 2: the list that begins with [, line 1, is not closed"),
        ("a: {b: 1\nc: 2\n", ", line 2: the section that begins with {, line 1, is not closed"),
        ('a: "x\nb: 2\n', ", line 3: the text that begins with a quote, line 1, is not closed"),
        ("a: b: 2\n", ", line 1: there is a second colon here"),
        ("a:\n  b: 1\n c: 2\n", ", line 3: the indentation does not match the lines above"),
        ("a: @x\n", ", line 1: a value cannot begin with @; put it in quotes"),
        ("a: *x\n", ", line 1: a value that begins with * or & must be in quotes"),
        ("sync: {}\nsync: {}\n", ", line 2: sync is given twice"),
        ("a:\n\t- b\n", ", line 2: there is a tab; indent with spaces"),
        ("a: !!python/object:os.system {}", ", line 1: there is a tag (!)"),
        ("[a]: b", ", line 1: a key must be a word"),
        ("", ": must consist of sections like espocrm: and advoware:"),
        ("- 1", ": must consist of sections like espocrm: and advoware:"),
        ("a: \x01", ": is not YAML (unacceptable character #x0001: special characters are not allowed)"),
        ("a: 2026-13-45", ": is not YAML (month must be in 1..12)"),
    ],
)
def test_malformed_yaml_is_refused_with_its_line(config_file: Path, text: str, line: str) -> None:
    config_file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as error:
        read_config(config_file, ENV)
    assert str(error.value).startswith(f"{config_file}{line}")


def test_a_file_that_is_not_there_is_named(config_file: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; name yours with --config FILE"):
        read_config(config_file, ENV)


def test_a_file_that_is_not_text_is_refused(config_file: Path) -> None:
    config_file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_config(config_file, ENV)


# The digest -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra_text",
    [
        "sync: {region: AT}",
        "sync: {direction: to_espocrm}",
        "sync: {conflict_scope: entry}",
        "sync: {komm_kz: {9: {espo_type: Office}}}",
    ],
)
def test_the_digest_changes_with_what_a_plan_means(config_file: Path, extra_text: str) -> None:
    assert config_digest(load_with(config_file, extra_text)) != config_digest(load_with(config_file))


@pytest.mark.parametrize(
    ("old", "new"),
    [("crm.example", "crm2.example"), ("D1", "D2"), ("kanzlei: K1", 'kanzlei: K1, path_prefix: "x"')],
)
def test_the_digest_changes_with_the_addresses(config_file: Path, old: str, new: str) -> None:
    before = config_digest(load_with(config_file))
    config_file.write_text(MINIMAL.replace(old, new), "utf-8")
    assert config_digest(read_config(config_file, ENV)) != before


@pytest.mark.parametrize(
    "extra_text",
    ["sync: {persons_per_run: 5, only: [1]}", "guards: {max_removals: 1}", "report: {language: en}"],
)
def test_the_digest_ignores_pace_guards_and_people(config_file: Path, extra_text: str) -> None:
    assert config_digest(load_with(config_file, extra_text)) == config_digest(load_with(config_file))


def test_the_digest_knows_no_secret(config_file: Path) -> None:
    other: dict[str, Any] = {name: f"{value}-other" for name, value in ENV.items()}
    assert config_digest(load_with(config_file, env=other)) == config_digest(load_with(config_file))

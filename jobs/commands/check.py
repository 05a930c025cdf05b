"""``check``: every precondition of a run, each ok or with what to do. Nothing is written to either system."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from etl.clients.espocrm_payload import FIRST_WITH_LOCKS, is_older_than
from etl.environment import environment_problems, network_variables
from etl.errors import AdvosyncError, ConfigError, Outage
from etl.store.database import Store
from etl.store.queries.status import INSTANCE_ID, count_persons_saved_by_others, count_persons_with_second_writer
from etl.times import format_utc, parse_utc
from jobs import client_factory as systems
from jobs.commands.checks.advoware import check_advoware
from jobs.commands.checks.espocrm_fields import check_fields
from jobs.commands.checks.findings import CheckResult, CheckState, check_error, check_failure, check_note, check_ok
from jobs.commands.checks.rights import (
    check_field_rights,
    check_locks,
    check_note_permission,
    check_permissions,
    check_stream,
)
from jobs.config_values import LOOPBACK
from jobs.exit_codes import ExitCode
from jobs.screen import print_columns
from jobs.telemetry.notify import invalid_addresses, send_test_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from etl.clients.espocrm_payload import EspoServer
    from jobs.config import Config, Language

CLOCK_TOLERANCE_SECONDS = 30
"""Retry times are ours, `modifiedAt` is EspoCRM's, and Advoware may refuse tokens asked for at a wrong time."""

MIN_ESPOCRM_VERSION: Final = 8
"""The oldest major version of EspoCRM whose answers were measured (etl/clients/README.md)."""


# Asking ----------------------------------------------------------------------------------------------------------


def run_checks(
    config: Config, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), test_message: bool = False
) -> list[CheckResult]:
    """Every precondition in the order a run needs them. What cannot be asked because of an earlier one is left out.

    With ``test_message`` people get one, by ``report.notify``.
    """
    results = [check_ok("configuration", "complete; nothing unknown in it"), *check_address(config)]
    environment_results = list(check_environment(os.environ))
    results += environment_results
    if all(result.state is CheckState.OK for result in environment_results):
        results += list(check_espocrm(config, now))
        results += list(check_advoware(config, now))
    results.append(check_state_store(config.state.path, now()))
    addresses = [address.get_secret_value() for address in config.report.notify]
    address_results = list(check_notify_addresses(addresses))
    results += address_results
    if test_message and all(result.state is CheckState.OK for result in address_results):
        results += list(check_test_messages(addresses, config.report.language))
    return results


def check_environment(environ: Mapping[str, str]) -> Iterator[CheckResult]:
    """Proxy and certificates of the environment; named, never shown: a proxy's address may hold a password."""
    topic, flaws_by_variable = "proxy and certificates", environment_problems(environ)
    yield from (
        check_failure(topic, f"the environment variable {name} {flaw}") for name, flaw in flaws_by_variable.items()
    )
    if not flaws_by_variable:
        yield check_ok(
            topic,
            f"by {', '.join(network_variables(environ))}"
            if network_variables(environ)
            else "none of our own are named",
        )


def check_espocrm(config: Config, now: Callable[[], datetime]) -> Iterator[CheckResult]:
    """EspoCRM's login, permissions, fields, stream, phone setting and clock, with a GET each."""
    topic = "EspoCRM login"
    try:
        with systems.make_espo_client(config) as client:
            user = client.get_user()
            yield check_ok(topic, f"as {user.name}")
            topic = "EspoCRM permissions"
            if config.espocrm.entity not in user.acl:
                client.require_entity()
            yield check_permissions(user, config.espocrm.entity)
            yield from check_field_rights(user, client.fields, config.sync.direction)
            yield from check_note_permission(user, config)
            yield from check_for_second_writer(config.state.path, user.id, now())
            topic = "EspoCRM fields"
            yield from check_fields(client, config)
            topic = "EspoCRM notes"
            yield from check_stream(client, config)
            topic = "EspoCRM server"
            server = client.get_server()
            yield from check_server(server, now())
            if not is_older_than(FIRST_WITH_LOCKS, server.version):
                yield from check_locks(client, config, user)
    except Outage as error:
        yield check_failure(topic, f"{error}; check espocrm.url, and whether this machine reaches it", ExitCode.OUTAGE)
    except AdvosyncError as error:
        yield check_error(topic, error)


# Judging ---------------------------------------------------------------------------------------------------------


def check_address(config: Config) -> Iterator[CheckResult]:
    """A key sent without TLS can be read on the way; within one machine there is no way."""
    url = config.espocrm.url
    if url.startswith("http://") and url.split("/")[2].rsplit(":", 1)[0].strip("[]") not in LOOPBACK:
        yield check_note("EspoCRM address", f"{url} has no TLS: the API key can be read on the way. Use https.")


def check_server(info: EspoServer, now: datetime) -> Iterator[CheckResult]:
    """What EspoCRM says of itself."""
    if info.maintenance:
        yield check_failure("EspoCRM server", "is in maintenance mode; try again later", ExitCode.OUTAGE)
    limits = "no limit of phones and mails"
    if info.max_phones is not None:
        limits = f"at most {info.max_phones} phones and {info.max_mails} mails a record"
    yield check_ok("EspoCRM server", f"version {info.version}, {limits}")
    if is_older_than(MIN_ESPOCRM_VERSION, info.version):
        advice = "8.4, 9.2, 9.3 and 10 were; update EspoCRM"
        yield check_note("EspoCRM server", f"version {info.version} was never tried, {advice}")
    if info.international:
        extensions = "kept" if info.extensions else "left in Advoware only"
        yield check_ok(
            "EspoCRM phones", f"international form only: free text stays in Advoware; extensions are {extensions}"
        )
    else:
        yield check_ok("EspoCRM phones", "kept as typed")
    difference = abs((parse_utc(info.answered_at) - now).total_seconds())
    if difference > CLOCK_TOLERANCE_SECONDS:
        yield check_note("clocks", f"this machine and EspoCRM differ by {difference:.0f} s; set both by NTP")
    else:
        yield check_ok("clocks", "agree")


def check_notify_addresses(addresses: Sequence[str]) -> Iterator[CheckResult]:
    """Whether Apprise can send to the addresses of ``report.notify``; named by their place: they hold passwords."""
    topic = "report.notify"
    try:
        invalid_numbers = invalid_addresses(addresses) if addresses else []
    except ConfigError as error:
        yield check_failure(topic, str(error))
        return
    for number in invalid_numbers:
        yield check_failure(topic, f"address {number} is none that Apprise can send to; see its list of addresses")
    if addresses and not invalid_numbers:
        yield check_ok(topic, f"{len(addresses)} addresses Apprise can send to")


def check_test_messages(addresses: Sequence[str], language: Language) -> Iterator[CheckResult]:
    """Whether every address of ``report.notify`` takes a test message; named by their place, as above."""
    topic = "test message"
    refused_by = send_test_messages(addresses, language)
    for number in refused_by:
        yield check_failure(topic, f"address {number} did not take it; correct it, or see whether it can be reached")
    if not addresses:
        yield check_failure(topic, "report.notify names no address to send it to")
    elif not refused_by:
        yield check_ok(topic, f"taken by {len(addresses)} addresses; look whether it arrived")


def check_state_store(path: Path, now: datetime) -> CheckResult:
    """The database can be read, or there is a place for it. It is not created and not migrated by looking."""
    topic = "state store"
    if not path.exists():
        nearest_folder = next(folder for folder in path.parents if folder.exists())
        if nearest_folder.is_dir() and os.access(nearest_folder, os.W_OK | os.X_OK):
            return check_ok(topic, f"{path} will be created by the first run")
        return check_failure(topic, f"{path} cannot be created: {nearest_folder} is not writable")
    if not os.access(path, os.W_OK):
        return check_failure(topic, f"{path} is not writable; check its owner and mode")
    try:
        with Store.open(path, now=format_utc(now), read_only=True) as store:
            instance = store.setting(INSTANCE_ID)
    except AdvosyncError as error:
        return check_error(topic, error)
    return check_ok(topic, f"{path}, instance {instance or 'unknown'}")


def check_for_second_writer(path: Path, user_id: str, now: datetime) -> Iterator[CheckResult]:
    """Whether another instance, or a tool with the same key or purpose, writes the records this store keeps.

    Told by what the last runs saw: records our own API user saved after our last write, and those a run named.
    """
    if not path.exists():
        return
    try:
        with Store.open(path, now=format_utc(now), read_only=True) as store:
            same_key_count = count_persons_saved_by_others(store, user_id)
            second_writer_count = count_persons_with_second_writer(store)
    except AdvosyncError:
        return  # the point "state store" says so
    if same_key_count:
        message = f"{same_key_count} records were saved with this API key, but not by this state store"
        yield check_note(
            "other writers", f"{message}: does another advosync, or a tool with the same key, run? Stop it."
        )
    if second_writer_count:
        message = f"{second_writer_count} records are written by another sync or a hook"
        yield check_note("other writers", f"{message}; `advosync held` names them. Exactly one may write them.")


# Telling ---------------------------------------------------------------------------------------------------------


def checks_exit_code(results: list[CheckResult]) -> ExitCode:
    """4 when a system is out or refuses the login, else 64 when something has to be set right, else 0."""
    codes = {result.code for result in results}
    return next((code for code in (ExitCode.CRASHED, ExitCode.OUTAGE, ExitCode.USAGE) if code in codes), ExitCode.DONE)


def checks_to_json(results: list[CheckResult]) -> str:
    """One document: whether all is well, and every point."""
    points = [{name: value for name, value in asdict(result).items() if name != "code"} for result in results]
    return json.dumps({"ok": checks_exit_code(results) is ExitCode.DONE, "points": points}, ensure_ascii=False)


def render_checks(results: list[CheckResult], console: Console) -> None:
    """The points on the screen."""
    from rich.text import Text  # noqa: PLC0415 - not for --json

    styles = {CheckState.OK: "green", CheckState.NOTE: "yellow", CheckState.BAD: "red"}
    print_columns(
        console, [(Text(result.state, styles[result.state]), result.about, result.message) for result in results]
    )

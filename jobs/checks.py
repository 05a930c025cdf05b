"""``check``: every precondition of a run, each ok or with what to do. Nothing is written to either system."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from etl.clients.answers import from_utc_text, utc_text
from etl.environment import flaws, variables
from etl.errors import AdvosyncError, Outage
from etl.store.database import Store
from etl.store.standing import INSTANCE_ID, persons_saved_by_others, persons_with_a_second_writer
from jobs import systems
from jobs.advoware_checks import of_advoware
from jobs.config import LOOPBACK
from jobs.espocrm_fields import fields
from jobs.espocrm_rights import field_rights, notes_allowed, notes_seen, permissions
from jobs.exit_codes import ExitCode
from jobs.findings import Finding, State, bad, failed, note, ok
from jobs.notify import impossible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from etl.clients.espocrm_payload import EspoServer
    from jobs.config import Config

CLOCK_TOLERANCE_SECONDS = 30
"""Retry times are ours, `modifiedAt` is EspoCRM's, and Advoware may refuse tokens asked for at a wrong time."""

TRIED_FROM: Final = 8
"""The oldest major version of EspoCRM whose answers were measured (espocrm-api.md)."""


# Asking ----------------------------------------------------------------------------------------------------------


def examine(config: Config, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> list[Finding]:
    """Every precondition in the order a run needs them. What cannot be asked because of an earlier one is left out."""
    findings = [ok("configuration", "complete; nothing unknown in it"), *addresses(config)]
    around = list(surroundings(os.environ))
    findings += around
    if all(finding.state is State.OK for finding in around):
        findings += list(of_espocrm(config, now))
        findings += list(of_advoware(config, now))
    findings.append(state_store(config.state.path, now()))
    findings += list(people_told([address.get_secret_value() for address in config.report.notify]))
    return findings


def surroundings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Proxy and certificates of the environment; named, never shown: a proxy's address may hold a password."""
    about, flawed = "proxy and certificates", flaws(environ)
    yield from (bad(about, f"the environment variable {name} {flaw}") for name, flaw in flawed.items())
    if not flawed:
        yield ok(about, f"by {', '.join(variables(environ))}" if variables(environ) else "none of our own are named")


def of_espocrm(config: Config, now: Callable[[], datetime]) -> Iterator[Finding]:
    """EspoCRM's login, permissions, fields, stream, phone setting and clock, with a GET each."""
    about = "EspoCRM login"
    try:
        with systems.espocrm(config) as client:
            user = client.user()
            yield ok(about, f"as {user.name}")
            about = "EspoCRM permissions"
            if config.espocrm.entity not in user.acl:
                client.demand_entity()
            yield permissions(user, config.espocrm.entity)
            yield from field_rights(user, client.fields, config.sync.direction)
            yield from notes_allowed(user, config)
            yield from other_writers(config.state.path, user.id, now())
            about = "EspoCRM fields"
            yield from fields(client, config)
            about = "EspoCRM notes"
            yield from notes_seen(client, config)
            about = "EspoCRM server"
            yield from server(client.server(), now())
    except Outage as error:
        yield bad(about, f"{error}; check espocrm.url, and whether this machine reaches it", ExitCode.OUTAGE)
    except AdvosyncError as error:
        yield failed(about, error)


# Judging ---------------------------------------------------------------------------------------------------------


def addresses(config: Config) -> Iterator[Finding]:
    """A key sent without TLS can be read on the way; within one machine there is no way."""
    url = config.espocrm.url
    if url.startswith("http://") and url.split("/")[2].rsplit(":", 1)[0].strip("[]") not in LOOPBACK:
        yield note("EspoCRM address", f"{url} has no TLS: the API key can be read on the way. Use https.")


def server(seen: EspoServer, now: datetime) -> Iterator[Finding]:
    """What EspoCRM says of itself."""
    if seen.maintenance:
        yield bad("EspoCRM server", "is in maintenance mode; try again later", ExitCode.OUTAGE)
    limits = f"at most {seen.max_phones} phones and {seen.max_mails} mails a record"
    yield ok("EspoCRM server", f"version {seen.version}, {limits}")
    if older_than(TRIED_FROM, seen.version):
        yield note("EspoCRM server", f"version {seen.version} was never tried, 8.4 and 9.2 were; update EspoCRM")
    if seen.international:
        extensions = "kept" if seen.extensions else "left in Advoware only"
        yield ok("EspoCRM phones", f"international form only: free text stays in Advoware; extensions are {extensions}")
    else:
        yield ok("EspoCRM phones", "kept as typed")
    difference = abs((from_utc_text(seen.answered_at) - now).total_seconds())
    if difference > CLOCK_TOLERANCE_SECONDS:
        yield note("clocks", f"this machine and EspoCRM differ by {difference:.0f} s; set both by NTP")
    else:
        yield ok("clocks", "agree")


def people_told(addresses: Sequence[str]) -> Iterator[Finding]:
    """Whether Apprise can send to the addresses of ``report.notify``; named by their place: they hold passwords."""
    about, wrong = "report.notify", impossible(addresses) if addresses else []
    for number in wrong:
        yield bad(about, f"address {number} is none that Apprise can send to; see its list of addresses")
    if addresses and not wrong:
        yield ok(about, f"{len(addresses)} addresses Apprise can send to")


def older_than(major: int, version: str) -> bool:
    """Whether a version such as "9.2.7" is older than a major one; one we cannot read is not."""
    first, _, _ = version.partition(".")
    return first.isdigit() and int(first) < major


def state_store(path: Path, now: datetime) -> Finding:
    """The database can be read, or there is a place for it. It is not created and not migrated by looking."""
    about = "state store"
    if not path.exists():
        home = next(folder for folder in path.parents if folder.exists())
        if home.is_dir() and os.access(home, os.W_OK | os.X_OK):
            return ok(about, f"{path} will be created by the first run")
        return bad(about, f"{path} cannot be created: {home} is not writable")
    if not os.access(path, os.W_OK):
        return bad(about, f"{path} is not writable; check its owner and mode")
    try:
        with Store.open(path, now=utc_text(now), read_only=True) as store:
            instance = store.setting(INSTANCE_ID)
    except AdvosyncError as error:
        return failed(about, error)
    return ok(about, f"{path}, instance {instance or 'unknown'}")


def other_writers(path: Path, user_id: str, now: datetime) -> Iterator[Finding]:
    """Whether another instance, or a tool with the same key or purpose, writes the records this store keeps.

    Told by what the last runs saw: records our own API user saved after our last write, and those a run named.
    """
    if not path.exists():
        return
    try:
        with Store.open(path, now=utc_text(now), read_only=True) as store:
            same_key = persons_saved_by_others(store, user_id)
            named = persons_with_a_second_writer(store)
    except AdvosyncError:
        return  # the point "state store" says so
    if same_key:
        what = f"{same_key} records were saved with this API key, but not by this state store"
        yield note("other writers", f"{what}: does another advosync, or a tool with the same key, run? Stop it.")
    if named:
        what = f"{named} records are written by another sync or a hook"
        yield note("other writers", f"{what}; `advosync held` names them. Exactly one may write them.")


# Telling ---------------------------------------------------------------------------------------------------------


def exit_code(findings: list[Finding]) -> ExitCode:
    """4 when a system is out or refuses the login, else 64 when something has to be set right, else 0."""
    codes = {finding.code for finding in findings}
    return next((code for code in (ExitCode.CRASHED, ExitCode.OUTAGE, ExitCode.USAGE) if code in codes), ExitCode.DONE)


def to_json(findings: list[Finding]) -> str:
    """One document: whether all is well, and every point."""
    points = [{name: value for name, value in asdict(finding).items() if name != "code"} for finding in findings]
    return json.dumps({"ok": exit_code(findings) is ExitCode.DONE, "points": points}, ensure_ascii=False)


def render(findings: list[Finding], console: Console) -> None:
    """The points on the screen."""
    from rich.table import Table  # noqa: PLC0415 - not for --json
    from rich.text import Text  # noqa: PLC0415 - not for --json

    styles = {State.OK: "green", State.NOTE: "yellow", State.BAD: "red"}
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(Text(finding.state, style=styles[finding.state]), Text(finding.about), Text(finding.message))
    console.print(table)

"""``check``: every precondition of a run, each ok or with what to do. Nothing is written to either system."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from etl.clients.answers import from_utc_text, utc_text
from etl.errors import AdvosyncError, Outage
from etl.rules.kommkz import KommKzTable
from etl.store.database import Store
from etl.store.standing import INSTANCE_ID, persons_saved_by_others, persons_with_a_second_writer
from jobs import systems
from jobs.config import LOOPBACK
from jobs.exit_codes import ExitCode, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from rich.console import Console

    from etl.clients.espocrm import EspoCrm
    from etl.clients.espocrm_payload import EspoServer, EspoUser
    from jobs.config import Config

CLOCK_TOLERANCE_SECONDS = 30
"""Retry times are ours, `modifiedAt` is EspoCRM's, and Advoware may refuse tokens asked for at a wrong time."""

STATUSES = (
    "pending_sync", "dirty", "syncing", "clean", "failed", "permanently_failed", "conflict", "deleted_in_advoware",
)  # fmt: skip

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "betnr":        ("int",),
    "sync_status":  ("enum",),
    "last_sync":    ("datetime", "datetimeOptional"),
    "fingerprint":  ("varchar", "text"),
    "error":        ("text", "varchar"),
    "retry_count":  ("int",),
    "next_retry":   ("datetime", "datetimeOptional"),
    "auto_reset":   ("datetime", "datetimeOptional"),
}
"""The custom fields and the types that can hold what the sync writes (espocrm-api.md, The entity)."""


ROOM: Final[Mapping[str, int]] = {"fingerprint": 16, "error": 2000}
"""How many characters a text field must hold."""

TRIED_FROM: Final = 8
"""The oldest major version of EspoCRM whose answers were measured (espocrm-api.md)."""


class State(StrEnum):
    """How a precondition stands."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One precondition: what it is about, how it stands, what was seen or what to do, and its exit code."""

    about: str
    state: State
    message: str
    code: ExitCode = ExitCode.DONE


def ok(about: str, message: str) -> Finding:
    """It holds."""
    return Finding(about, State.OK, message)


def note(about: str, message: str) -> Finding:
    """A run works, but somebody should know."""
    return Finding(about, State.NOTE, message)


def bad(about: str, message: str, code: ExitCode = ExitCode.USAGE) -> Finding:
    """A run would not work; the message says what to do."""
    return Finding(about, State.BAD, message, code)


# Asking ----------------------------------------------------------------------------------------------------------


def examine(config: Config, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> list[Finding]:
    """Every precondition in the order a run needs them. What cannot be asked because of an earlier one is left out."""
    findings = [ok("configuration", "complete; nothing unknown in it"), *addresses(config)]
    findings += list(of_espocrm(config, now))
    findings += list(of_advoware(config))
    findings.append(state_store(config.state.path, now()))
    return findings


def of_espocrm(config: Config, now: Callable[[], datetime]) -> Iterator[Finding]:
    """EspoCRM's login, permissions, fields, phone setting and clock, with three GETs."""
    about = "EspoCRM login"
    try:
        with systems.espocrm(config) as client:
            user = client.user()
            yield ok(about, f"as {user.name}")
            about = "EspoCRM permissions"
            yield permissions(user, config.espocrm.entity)
            yield from notes_allowed(user, config)
            yield from other_writers(config.state.path, user.id, now())
            about = "EspoCRM fields"
            yield from fields(client, config)
            about = "EspoCRM server"
            yield from server(client.server(), now())
    except Outage as error:
        yield bad(about, f"{error}; check espocrm.url, and whether this machine reaches it", ExitCode.OUTAGE)
    except AdvosyncError as error:
        yield bad(about, str(error), outcome_of(error).exit_code)


def of_advoware(config: Config) -> Iterator[Finding]:
    """Advoware's addresses and login. No person is read: none is known yet."""
    try:
        with systems.advoware(config) as client:
            yield ok("Advoware login", f"as {config.advoware.user} at {client.login().base}")
    except Outage as error:
        yield bad("Advoware login", f"{error}; {advoware_hint(str(error), config)}", ExitCode.OUTAGE)
    except AdvosyncError as error:
        yield bad("Advoware login", str(error), outcome_of(error).exit_code)


def advoware_hint(seen: str, config: Config) -> str:
    """What to look at: Advoware answers a wrong Kanzlei like one whose local service is down (advoware-api.md §2)."""
    if "nicht registriert" in seen:
        return f"does the firm's local Advoware service run, and is advoware.kanzlei right ({config.advoware.kanzlei})?"
    if "nicht angemeldet" in seen:
        return "does the firm's local Advoware service run?"
    fixed = config.advoware.base_url and config.advoware.security_gateway
    key = "base_url and advoware.security_gateway" if fixed else "configurator_url"
    return f"check advoware.{key}, and whether this machine reaches it"


# Judging ---------------------------------------------------------------------------------------------------------


def addresses(config: Config) -> Iterator[Finding]:
    """A key sent without TLS can be read on the way; within one machine there is no way."""
    url = config.espocrm.url
    if url.startswith("http://") and url.split("/")[2].rsplit(":", 1)[0].strip("[]") not in LOOPBACK:
        yield note("EspoCRM address", f"{url} has no TLS: the API key can be read on the way. Use https.")


def permissions(user: EspoUser, entity: str) -> Finding:
    """Read and edit, of all records: a record the key may not see looks deleted."""
    about = "EspoCRM permissions"
    allowed = user.acl.get(entity)
    levels = allowed if isinstance(allowed, dict) else {}
    given = {action: levels.get(action, "no") for action in ("read", "edit")}
    if "no" in given.values():
        wanted = " and ".join(action for action, level in given.items() if level == "no")
        return bad(about, f"{user.name} may not {wanted} {entity}; give its role {wanted}: all")
    limited = [f"{action}: {level}" for action, level in given.items() if level not in {"all", "yes"}]
    if limited:
        some = f"{user.name} sees only some of {entity} ({', '.join(limited)})"
        return bad(about, f"{some}; the rest would look deleted: give its role all")
    return ok(about, f"read and edit all {entity}")


def notes_allowed(user: EspoUser, config: Config) -> Iterator[Finding]:
    """Posting to the stream is a permission of its own; without it nobody is told that a value lost."""
    levels = user.acl.get(config.espocrm.entity)
    if config.espocrm.note_conflicts and isinstance(levels, dict) and levels.get("stream", "no") == "no":
        told = f"{user.name} may not post to the stream of {config.espocrm.entity}"
        todo = "nobody would be told of values that lost: give its role stream: all, or set note_conflicts: false"
        yield note("EspoCRM notes", f"{told}; {todo}")


def fields(client: EspoCrm, config: Config) -> Iterator[Finding]:
    """Each custom field is there with a usable type; the status knows every status; phones know every type."""
    about, definitions = "EspoCRM fields", client.field_defs()
    wrong = list(wrong_fields(definitions, client.fields))
    yield from (bad(about, message) for message in wrong)
    if not wrong:
        yield ok(about, f"all {len(NEEDED)} there")
    lacking = sorted(phone_types(config) - set(definitions.get("phoneNumber", {}).get("typeList") or ()))
    if lacking:
        what = f"phoneNumber lacks the types {', '.join(lacking)}"
        yield bad("EspoCRM phone types", f"{what}; add them in the Entity Manager, or change sync.komm_kz")


def wrong_fields(definitions: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """What has to be done about the custom fields, a sentence each."""
    for ours, types in NEEDED.items():
        name = names[ours]
        definition = definitions.get(name)
        if not isinstance(definition, dict):
            yield f"{name} is missing; create it ({types[0]}), or name yours in espocrm.fields.{ours}"
        elif (flaw := flaw_of(ours, definition)) is not None:
            yield f"{name} {flaw}"


def flaw_of(ours: str, definition: Mapping[str, Any]) -> str | None:
    """Why a field that is there cannot hold what the sync writes; None when it can."""
    kind, types = definition.get("type"), NEEDED[ours]
    if kind not in types:
        return f"is of type {kind}; it must be {' or '.join(types)}"
    lacking = [word for word in STATUSES if word not in (definition.get("options") or ())]
    if ours == "sync_status" and lacking:
        return f"lacks the options {', '.join(lacking)}; add them in the Entity Manager"
    if definition.get("readOnly") is True and ours != "betnr":
        return "is read-only: EspoCRM would drop what the sync writes; take that off in the Entity Manager"
    room = definition.get("maxLength")
    if isinstance(room, int) and 0 < room < ROOM.get(ours, 0):
        return f"holds {room} characters; it must hold {ROOM[ours]}"
    return None


def phone_types(config: Config) -> set[str]:
    """The phone types the sync may write."""
    table = KommKzTable.default().with_overrides(config.sync.komm_kz_overrides())
    return {kind.espo_type for kind in table.kinds.values() if kind.relevant and kind.espo_type}


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
        return bad(about, str(error), outcome_of(error).exit_code)
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

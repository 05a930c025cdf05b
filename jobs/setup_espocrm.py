"""``setup-espocrm``: the custom fields the sync needs, made by an administrator's hand, after saying so.

The administrator's login is asked for, or taken from the environment, used for these requests and kept nowhere. What
is there already is never changed: a field of another type belongs to somebody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from etl.clients.espocrm_admin import WANTED, EspoAdmin
from etl.clients.espocrm_payload import field_names
from etl.errors import ConfigError
from jobs.espocrm_fields import NEEDED, flaw_of
from jobs.exit_codes import ExitCode
from jobs.settings_file import Unset, mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import SecretStr
    from rich.console import Console

    from etl.clients.ask import World
    from jobs.config import Config

OFFER = "EspoCRM can refuse to save what was changed meanwhile (optimistic concurrency control). Switch it on?"

USER, PASSWORD = "ESPOCRM_ADMIN_USER", "ESPOCRM_ADMIN_PASSWORD"


class Stands(StrEnum):
    """How a field stands."""

    THERE = "there"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Field:
    """A custom field: our name, EspoCRM's, how it stands, and what is wrong with it."""

    ours: str
    name: str
    stands: Stands
    told: str


def survey(definitions: Mapping[str, Any], names: Mapping[str, str]) -> list[Field]:
    """How each field the sync needs stands in EspoCRM."""
    return [judged(ours, names[ours], definitions.get(names[ours])) for ours in NEEDED]


def judged(ours: str, name: str, definition: object) -> Field:
    """One field by its definition."""
    if not isinstance(definition, dict):
        return Field(ours, name, Stands.MISSING, f"will be {WANTED[ours]['type']}")
    flaw = flaw_of(ours, definition)
    if flaw is not None:
        return Field(ours, name, Stands.WRONG, f"{flaw}. Or name another in espocrm.fields.{ours}")
    return Field(ours, name, Stands.THERE, str(definition["type"]))


def login(env: Mapping[str, str], ask: Callable[[str, bool], str] | None) -> tuple[str, SecretStr]:
    """The administrator's name and password: from the environment, else asked for; ConfigError when nobody answers."""
    from pydantic import SecretStr  # noqa: PLC0415  only once somebody is asked

    found = {name: from_environment(name, env) for name in (USER, PASSWORD)}
    if ask is None and None in found.values():
        raise ConfigError(f"Nobody can be asked for the administrator's login: set {USER} and {PASSWORD} (or …_FILE).")
    asked = {USER: ("EspoCRM administrator", False), PASSWORD: ("Password", True)}
    user, password = (found[name] or (ask(*asked[name]) if ask else "") for name in (USER, PASSWORD))
    return user, SecretStr(password)


def from_environment(name: str, env: Mapping[str, str]) -> str | None:
    """A variable, or the content of the file it names with ``_FILE``."""
    try:
        return env.get(name) or (mounted(name, Path(env[f"{name}_FILE"])) if env.get(f"{name}_FILE") else None)
    except Unset as error:
        raise ConfigError(str(error)) from None


def administrator(config: Config, user: str, password: SecretStr, **world: Unpack[World]) -> EspoAdmin:
    """The client; nothing is sent yet."""
    section = config.espocrm
    return EspoAdmin(
        url=section.url,
        user=user,
        password=password,
        entity=section.entity,
        fields=section.fields.model_dump(),
        timeout_seconds=section.timeout_seconds,
        **world,
    )


def look(config: Config, admin: EspoAdmin) -> list[Field]:
    """How the fields stand now."""
    return survey(admin.field_defs(), field_names(config.espocrm.fields.model_dump()))


def create(admin: EspoAdmin, fields: Sequence[Field]) -> list[str]:
    """Make what is missing; the names of what was made. Somebody may have been quicker: that is no error."""
    return [one.name for one in fields if one.stands is Stands.MISSING and admin.create_field(one.ours)]


@dataclass(frozen=True, slots=True)
class Consent:
    """Whom to ask before something is changed (None: nobody has to be), and what was said of concurrency already."""

    ask: Callable[[str], bool] | None
    concurrency: bool | None = None

    def to_fields(self) -> bool:
        """Whether the missing fields may be made."""
        return self.ask is None or self.ask("Create them?")

    def to_concurrency(self) -> bool:
        """Whether concurrency control may be switched on: a setting for everybody, so --yes alone is not enough."""
        if self.concurrency is not None or self.ask in {None, nobody}:
            return bool(self.concurrency)
        return self.ask is not None and self.ask(OFFER)


def nobody(_question: str) -> bool:
    """There is nobody at the keyboard: ConfigError."""
    raise ConfigError("There is nobody to ask; nothing was changed. Give --yes to do what is said above.")


def carry_out(config: Config, admin: EspoAdmin, console: Console, consent: Consent) -> ExitCode:
    """Show how the fields stand, say what will be done, do it, and show the result; 64 while something is not right."""
    fields = look(config, admin)
    render(fields, console)
    missing = [one.name for one in fields if one.stands is Stands.MISSING]
    if missing:
        console.print(f"\nWill be created in {config.espocrm.entity}: {', '.join(missing)}.")
        console.print("What is there stays as it is.")
        if consent.to_fields():
            create(admin, fields)
            fields = look(config, admin)
            render(fields, console)
    offer_concurrency(config, admin, console, consent)
    right = all(one.stands is Stands.THERE for one in fields)
    console.print("\nAll fields are there." if right else "\nSome fields are not as they must be; see above.")
    return ExitCode.DONE if right else ExitCode.USAGE


def offer_concurrency(config: Config, admin: EspoAdmin, console: Console, consent: Consent) -> None:
    """Switch concurrency control on where that is wanted, and ask EspoCRM whether it is on."""
    entity = config.espocrm.entity
    if admin.has_concurrency_control():
        console.print(f"\nOptimistic concurrency control of {entity} is on.")
    elif consent.to_concurrency():
        admin.switch_on_concurrency_control()
        now = "on now" if admin.has_concurrency_control() else "still off; switch it on in the Entity Manager"
        console.print(f"\nOptimistic concurrency control of {entity} is {now}.")
    else:
        console.print(f"\nOptimistic concurrency control of {entity} stays off (--concurrency switches it on).")


def render(fields: Sequence[Field], console: Console) -> None:
    """The fields on the screen."""
    from rich.table import Table  # noqa: PLC0415  not for a script's run
    from rich.text import Text  # noqa: PLC0415  likewise

    styles = {Stands.THERE: "green", Stands.MISSING: "yellow", Stands.WRONG: "red"}
    table = Table.grid(padding=(0, 2))
    for one in fields:
        table.add_row(Text(one.stands, style=styles[one.stands]), Text(one.name), Text(one.told))
    console.print(table)

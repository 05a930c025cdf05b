"""``setup-espocrm``: the custom fields the sync needs, made by an administrator's hand, after saying so.

The administrator's login is asked for, or taken from the environment, used for these requests and kept nowhere. What
is there already is never changed: a field of another type belongs to somebody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from etl.clients.espocrm_admin import CUSTOM_FIELDS, EspoAdminClient
from etl.clients.espocrm_payload import FIRST_WITH_LOCKS, OWN_FIELDS, field_names
from etl.errors import ConfigError
from jobs.commands.checks.espocrm_fields import REQUIRED_FIELDS, field_problem
from jobs.commands.status_help import status_help_text
from jobs.exit_codes import ExitCode
from jobs.screen import print_columns, print_text
from jobs.yaml_file import UnsetVariable, read_secret_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import SecretStr
    from rich.console import Console

    from etl.clients.request import ClientOptions
    from jobs.config import Config


@dataclass(frozen=True, slots=True)
class Switch:
    """A setting of the entity for everybody: EspoCRM's name of it, ours, the question, and the command's option."""

    name: str
    label: str
    question: str
    option: str


CONCURRENCY = Switch(
    "optimisticConcurrencyControl",
    "Optimistic concurrency control",
    "EspoCRM can refuse to save what was changed meanwhile (optimistic concurrency control). Switch it on?",
    "--concurrency",
)
TRANSACTIONAL_SAVE = Switch(
    "transactionalSave",
    "Transactional save",
    "EspoCRM 10 can store a save whole or not at all (transactional save). Measured: a save broken off in the middle "
    "was stored in part 11 times of 117 without it, 0 of 135 with it; read while it was saved, a record showed no "
    "numbers 35 times of 652, 0 of 684 with it. Two saves at once that share numbers may be refused then; the sync "
    "repeats its own after reading. Switch it on?",
    "--transactional-save",
)
FREE_FIELDS = Switch(
    "notLockable",
    "Writing to a locked record",
    "Staff can lock records; a locked person waits. Let the sync's own fields be written all the same, so that the "
    "record says that something waits?",
    "--free-fields",
)
STATUS_FIELD_HELP = Switch(
    "tooltip",
    "The help of the status field",
    "The status field can tell staff in its help what each status means and what to do. Add that?",
    "--status-help",
)
USER_VARIABLE, PASSWORD_VARIABLE = "ESPOCRM_ADMIN_USER", "ESPOCRM_ADMIN_PASSWORD"


class FieldState(StrEnum):
    """How a field stands."""

    PRESENT = "there"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class FieldStatus:
    """A custom field: our name, EspoCRM's, how it stands, and what is wrong with it."""

    key: str
    name: str
    state: FieldState
    message: str


def field_statuses(definitions: Mapping[str, Any], names: Mapping[str, str]) -> list[FieldStatus]:
    """How each field the sync needs stands in EspoCRM."""
    return [field_status(key, names[key], definitions.get(names[key])) for key in REQUIRED_FIELDS]


def field_status(key: str, name: str, definition: object) -> FieldStatus:
    """One field by its definition."""
    if not isinstance(definition, dict):
        return FieldStatus(key, name, FieldState.MISSING, f"will be {CUSTOM_FIELDS[key]['type']}")
    problem = field_problem(key, definition)
    if problem is not None:
        return FieldStatus(key, name, FieldState.WRONG, f"{problem}. Or name another in espocrm.fields.{key}")
    return FieldStatus(key, name, FieldState.PRESENT, str(definition["type"]))


def read_admin_login(env: Mapping[str, str], ask: Callable[[str, bool], str] | None) -> tuple[str, SecretStr]:
    """The administrator's name and password: from the environment, else asked for; ConfigError when nobody answers."""
    from pydantic import SecretStr  # noqa: PLC0415  only once somebody is asked

    login_values = {name: read_login_variable(name, env) for name in (USER_VARIABLE, PASSWORD_VARIABLE)}
    if ask is None and None in login_values.values():
        raise ConfigError(
            "Nobody can be asked for the administrator's login: "
            f"set {USER_VARIABLE} and {PASSWORD_VARIABLE} (or …_FILE)."
        )
    prompts = {USER_VARIABLE: ("EspoCRM administrator", False), PASSWORD_VARIABLE: ("Password", True)}
    user, password = (
        login_values[name] or (ask(*prompts[name]) if ask else "") for name in (USER_VARIABLE, PASSWORD_VARIABLE)
    )
    return user, SecretStr(password)


def read_login_variable(name: str, env: Mapping[str, str]) -> str | None:
    """A variable, or the content of the file it names with ``_FILE``."""
    try:
        return env.get(name) or (read_secret_file(name, Path(env[f"{name}_FILE"])) if env.get(f"{name}_FILE") else None)
    except UnsetVariable as error:
        raise ConfigError(str(error)) from None


def make_admin_client(
    config: Config, user: str, password: SecretStr, **options: Unpack[ClientOptions]
) -> EspoAdminClient:
    """The client; nothing is sent yet."""
    section = config.espocrm
    return EspoAdminClient(
        url=section.url,
        user=user,
        password=password,
        entity=section.entity,
        fields=section.fields.model_dump(),
        timeout_seconds=section.timeout_seconds,
        **options,
    )


def fetch_field_statuses(config: Config, admin: EspoAdminClient) -> list[FieldStatus]:
    """How the fields stand now."""
    return field_statuses(admin.get_field_defs(), field_names(config.espocrm.fields.model_dump()))


def create_missing_fields(admin: EspoAdminClient, fields: Sequence[FieldStatus]) -> list[str]:
    """Make what is missing; the names of what was made. Somebody may have been quicker: that is no error."""
    return [status.name for status in fields if status.state is FieldState.MISSING and admin.create_field(status.key)]


@dataclass(frozen=True, slots=True)
class SetupConsent:
    """Whom to ask before something is changed (None: nobody has to be), and what was said of a switch already."""

    ask: Callable[[str], bool] | None
    answers: Mapping[Switch, bool | None] = field(default_factory=dict)

    def allows_fields(self) -> bool:
        """Whether the missing fields may be made."""
        return self.ask is None or self.ask("Create them?")

    def allows_switch(self, switch: Switch) -> bool:
        """Whether it may be switched on: a setting for everybody, so --yes alone is not enough."""
        answer = self.answers.get(switch)
        if answer is not None or self.ask in {None, refuse_to_ask}:
            return bool(answer)
        return self.ask is not None and self.ask(switch.question)


def refuse_to_ask(_question: str) -> bool:
    """There is nobody at the keyboard: ConfigError."""
    raise ConfigError("There is nobody to ask; nothing was changed. Give --yes to do what is said above.")


def set_up_fields(config: Config, admin: EspoAdminClient, console: Console, consent: SetupConsent) -> ExitCode:
    """Show how the fields stand, say what will be done, do it, and show the result; 64 while something is not right."""
    fields = fetch_field_statuses(config, admin)
    render_fields(fields, console)
    missing = [status.name for status in fields if status.state is FieldState.MISSING]
    if missing:
        print_text(console, f"\nWill be created in {config.espocrm.entity}: {', '.join(missing)}.")
        print_text(console, "What is there stays as it is.")
        if consent.allows_fields():
            created = create_missing_fields(admin, fields)
            if admin.fields["sync_status"] in created:
                admin.set_help("sync_status", status_help_text(config.report.language, admin.fields))
            fields = fetch_field_statuses(config, admin)
            render_fields(fields, console)
    offer_status_help(config, admin, console, consent)
    offer_switch(admin, console, consent, CONCURRENCY)
    if not admin.is_older_than(FIRST_WITH_LOCKS):
        offer_switch(admin, console, consent, TRANSACTIONAL_SAVE)
        if admin.has_locks():
            offer_free_fields(admin, console, consent)
    all_there = all(status.state is FieldState.PRESENT for status in fields)
    print_text(console, "\nAll fields are there." if all_there else "\nSome fields are not as they must be; see above.")
    return ExitCode.DONE if all_there else ExitCode.USAGE


def offer_status_help(config: Config, admin: EspoAdminClient, console: Console, consent: SetupConsent) -> None:
    """Explain the statuses to staff in the field's own help; a help text that is there is somebody's, and stays."""
    definition = admin.get_field_defs().get(admin.fields["sync_status"])
    if not isinstance(definition, dict) or definition.get("type") != CUSTOM_FIELDS["sync_status"]["type"]:
        return
    if definition.get("tooltip"):
        print_text(console, f"\n{STATUS_FIELD_HELP.label} is there.")
    elif consent.allows_switch(STATUS_FIELD_HELP):
        admin.set_help("sync_status", status_help_text(config.report.language, admin.fields))
        print_text(console, f"\n{STATUS_FIELD_HELP.label} is there now.")
    else:
        print_text(console, f"\n{STATUS_FIELD_HELP.label} stays empty ({STATUS_FIELD_HELP.option} fills it).")


def offer_switch(admin: EspoAdminClient, console: Console, consent: SetupConsent, switch: Switch) -> None:
    """Switch something on where that is wanted, and ask EspoCRM whether it is on."""
    label = f"\n{switch.label} of {admin.entity}"
    if admin.has_switch(switch.name):
        print_text(console, f"{label} is on.")
    elif consent.allows_switch(switch):
        admin.switch_on(switch.name)
        is_on = admin.has_switch(switch.name)
        print_text(console, f"{label} is {'on now' if is_on else 'still off; switch it on in the Entity Manager'}.")
    else:
        print_text(console, f"{label} stays off ({switch.option} switches it on).")


def offer_free_fields(admin: EspoAdminClient, console: Console, consent: SetupConsent) -> None:
    """Where staff can lock records, let the sync's own fields be written all the same: they say that it waits."""
    definitions = admin.get_field_defs()
    names = [admin.fields[key] for key in OWN_FIELDS if admin.fields[key] in definitions]
    covered = [name for name in names if definitions[name].get("notLockable") is not True]
    if not covered:
        print_text(console, "\nA lock leaves the sync's own fields writable.")
    elif consent.allows_switch(FREE_FIELDS):
        for name in covered:
            admin.free_from_lock(name)
        print_text(console, f"\nA lock does not cover any more: {', '.join(covered)}.")
    else:
        print_text(console, f"\nA lock covers {', '.join(covered)} ({FREE_FIELDS.option} frees them).")


def render_fields(fields: Sequence[FieldStatus], console: Console) -> None:
    """The fields on the screen."""
    from rich.text import Text  # noqa: PLC0415  not for a script's run

    styles = {FieldState.PRESENT: "green", FieldState.MISSING: "yellow", FieldState.WRONG: "red"}
    rows = [(Text(status.state, styles[status.state]), status.name, status.message) for status in fields]
    print_columns(console, rows)

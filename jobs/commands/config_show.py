"""``config show``: the configuration in force, its secrets masked, and where each value comes from."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr

from jobs.config import Section
from jobs.config_file import CREDENTIAL_KEYS, read_config, read_layers
from jobs.screen import print_columns
from jobs.yaml_file import key_text, variable_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rich.console import Console

    from jobs.yaml_file import KeyPath, YamlFile

MASKED = "***"


class Setting(NamedTuple):
    """A key, its value as the file would spell it, and where that comes from."""

    key: str
    value: Any
    source: str


def list_settings(path: Path, env: Mapping[str, str] | None = None) -> list[Setting]:
    """Every key with the value in force; ``ConfigError`` where the file is refused. Logins may lack their variables."""
    environment = os.environ if env is None else env
    config = read_config(path, environment, with_credentials=False)
    file, variables = read_layers(path, environment)
    return [
        Setting(key_text(key), mask_value(key, value), source_of(path, file, key, variables))
        for key, value in leaves(config)
    ]


def leaves(section: Section, key: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """The keys that hold a value, in the order of the file that comes along."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from leaves(value, (*key, name))
        else:
            yield (*key, name), value


def mask_value(key: KeyPath, value: object) -> object:
    """The value as JSON can hold it; of a secret only that there is one."""
    match value:
        case SecretStr():
            return MASKED
        case _ if key in CREDENTIAL_KEYS:
            return MASKED
        case tuple():
            return [mask_value(key, item) for item in value]
        case dict():
            return {number: row.model_dump(mode="json", exclude_unset=True) for number, row in value.items()}
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)


def source_of(path: Path, file: YamlFile, key: KeyPath, env: Mapping[str, str]) -> str:
    """``default``, or the line, in another file than ``path`` with its name, with the variables that stand there."""
    place = file.places.get(key_text(key))
    if place is None:
        return "default"
    raw: Any = file.sections
    for part in key:
        raw = raw[part]
    variables = variable_source(json.dumps(raw, default=str), env)
    parts = ["" if place.path == path else place.path.name, f"line {place.line}", variables]
    return ", ".join(filter(None, parts))


def render_settings(settings: list[Setting], console: Console) -> None:
    """A line for each key, its value last and whole, so that it can be copied."""
    rows = [(setting.key, setting.source, json.dumps(setting.value, ensure_ascii=False)) for setting in settings]
    print_columns(console, rows, whole=[value for *_, value in rows])

"""Reads ``config.yaml``; one error names everything that is wrong with it.

Plain pydantic and a small loader instead of pydantic-settings: ``${NAME}`` may stand anywhere in the file, secrets
may be mounted as files, and every mistake is listed with file, key and reason.
"""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from etl.errors import ConfigError
from jobs.config import Config, KommKzRow, Section
from jobs.yaml_file import ConfigProblem, expand_variables, key_text, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from jobs.yaml_file import KeyPath, YamlFile

CREDENTIAL_KEYS = {("espocrm", "api_key"), ("advoware", "app_id"), ("advoware", "api_key"), ("advoware", "password")}
"""Keys a command that only looks into the state store can do without."""

DEFAULTS_FILE = "_defaults.yaml"
"""What all firms of a folder have in common: laid under each file beside it."""

FIRM_VARIABLE = "FIRM"


def read_config(path: Path, env: Mapping[str, str] | None = None, *, with_credentials: bool = True) -> Config:
    """The configuration in ``path``; every mistake in it in one ``ConfigError``, a line each.

    ``with_credentials=False`` is for commands that only read the state store: the two logins may then lack their
    variables. ``env`` is the environment (``os.environ`` unless given).
    """
    file, env = read_layers(path, os.environ if env is None else env)
    expanded, problems = expand_variables(file.sections, env)
    unset_keys = {problem.key for problem in problems}
    if not with_credentials:
        problems = [problem for problem in problems if problem.key not in CREDENTIAL_KEYS]
    try:
        config = Config.model_validate(expanded)
    except ValidationError as error:
        problems += [problem for problem in config_problems(error) if problem.key not in unset_keys]
    if problems:
        problems.sort(key=lambda problem: problem_order(path, file, problem))
        raise ConfigError("\n".join(problem_line(path, file, problem) for problem in problems))
    return with_absolute_paths(config, path.absolute().parent)


def require_store_here(config: Config) -> None:
    """Refuse a firm whose state store is on a worker's disk and not on this one: an empty one here would be a second.

    A store that is here passes, as its own machine is told by nothing else; the first is made by that worker.
    """
    state = config.state
    if state.worker is not None and not state.path.exists():
        raise ConfigError(
            f"state.worker: the state store is with the worker {state.worker}, and there is no {state.path} here; run "
            "this on that worker's machine, or `advosync firms` with --cluster. Nothing was created."
        )


def read_layers(path: Path, env: Mapping[str, str]) -> tuple[YamlFile, Mapping[str, str]]:
    """The file, in a folder of firms with its defaults under it, and the variables it may name.

    There ``FIRM`` is the file's own name, so that what all have in common can give each a place of its own.
    """
    file, defaults_path = read_yaml(path), path.parent / DEFAULTS_FILE
    if path.name == DEFAULTS_FILE or not defaults_path.exists():
        return file, env
    return file.lay_over(read_yaml(defaults_path)), {**env, FIRM_VARIABLE: path.stem}


def problem_order(path: Path, file: YamlFile, problem: ConfigProblem) -> tuple[bool, int]:
    """The file's own problems first, from top to bottom; of what is missing altogether no line is known."""
    place = file.place(problem.key)
    return (place is not None and place.path != path, place.line if place else 0)


def problem_line(path: Path, file: YamlFile, problem: ConfigProblem) -> str:
    """File, line, key and reason."""
    place = file.place(problem.key)
    return f"{place.path}, line {place.line}: {problem}" if place is not None else f"{path}: {problem}"


def config_problems(error: ValidationError) -> Iterator[ConfigProblem]:
    """Pydantic's errors in our words."""
    for detail in error.errors(include_url=False):
        key = tuple(part for part in detail["loc"] if part != "[key]")
        reason = problem_reason(detail["type"], detail["msg"], detail.get("ctx", {}))
        yield ConfigProblem(key, reason + hint(key, detail))


PYDANTIC_REASONS = {
    "missing":               "is missing",
    "extra_forbidden":       "is not a key of this file",
    "string_type":           "must be text (put it in quotes)",
    "string_too_short":      "must not be empty",
    "model_type":            "must be a section with keys of its own",
    "model_attributes_type": "must be a section with keys of its own",
    "dict_type":             "must be a section with keys of its own",
    "tuple_type":            "must be a list like [a, b]",
    "too_short":             "must not be empty",
    "int_type":              "must be a whole number",
    "int_parsing":           "must be a whole number",
    "int_parsing_size":      "must be a smaller number",
    "int_from_float":        "must be a whole number",
    "float_type":            "must be a number",
    "float_parsing":         "must be a number",
    "finite_number":         "must be a number",
    "bool_type":             "must be true or false",
    "bool_parsing":          "must be true or false",
    "path_type":             "must be a path",
    "enum":                  "must be {expected}",
    "literal_error":         "must be {expected}",
    "greater_than":          "must be more than {gt:g}",
    "greater_than_equal":    "must be at least {ge:g}",
    "less_than":             "must be less than {lt:g}",
    "less_than_equal":       "must be at most {le:g}",
}  # fmt: skip
"""Pydantic's kinds of error in our words."""


def problem_reason(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """Why a value is refused, without the value: it may be a secret."""
    words = PYDANTIC_REASONS.get(kind)
    return words.format(**context) if words else message.removeprefix("Value error, ")


def hint(key: KeyPath, detail: Mapping[str, Any]) -> str:
    """``; did you mean …?`` where a key or a word of a closed set was most likely mistyped."""
    if detail["type"] == "extra_forbidden":
        typed, known, prefix = str(key[-1]), section_keys(key[:-1]), key_text((*key[:-1], ""))
        elsewhere = [key_text((name, typed)) for name in Config.model_fields if typed in section_keys((name,))]
    elif detail["type"] in {"enum", "literal_error"}:
        known = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected")))
        typed, prefix, elsewhere = str(detail["input"]), "", list[str]()
    else:
        return ""
    close = [prefix + name for name in difflib.get_close_matches(typed, known, n=1)] or elsewhere
    return f"; did you mean {' or '.join(close)}?" if close else ""


def section_keys(section_key: KeyPath) -> list[str]:
    """The keys a section may have."""
    section: type[Section] = Config
    for part in section_key:
        field = section.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if isinstance(annotation, type) and issubclass(annotation, Section):
            section = annotation
        elif part == "komm_kz":
            section = KommKzRow
    return list(section.model_fields)


def with_absolute_paths(config: Config, folder: Path) -> Config:
    """The same configuration with its paths made absolute, seen from the file's folder."""
    state = config.state.model_copy(update={"path": folder / config.state.path.expanduser()})
    metrics = config.report.metrics_file and folder / config.report.metrics_file.expanduser()
    report = config.report.model_copy(update={"metrics_file": metrics})
    return config.model_copy(update={"state": state, "report": report})

"""Reading a YAML file strictly, and putting the environment into it.

``${NAME}`` anywhere in a value, ``${NAME:-otherwise}`` with a default, ``$${`` for a literal ``${``. A variable that
is unset or empty is looked for as a mounted secret: ``NAME_FILE`` names a file that holds it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from etl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KeyPath = tuple[str | int, ...]

VARIABLE = re.compile(r"\$(?P<literal>\$)?\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<otherwise>[^}]*))?\}")


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong with the file: which key, and why."""

    key: KeyPath
    reason: str

    def __str__(self) -> str:
        return f"{key_text(self.key)} {self.reason}" if self.key else self.reason


class Place(NamedTuple):
    """Where a key stands."""

    path: Path
    line: int


@dataclass(frozen=True, slots=True)
class YamlFile:
    """What a file says, and where each key stands, by the key as people write it: ``sync.direction``."""

    sections: dict[Any, Any]
    places: dict[str, Place]

    def place(self, key: KeyPath) -> Place | None:
        """The place of a key; of what it would belong to, where it is missing itself."""
        parts = range(len(key), 0, -1)
        return next((self.places[key_text(key[:end])] for end in parts if key_text(key[:end]) in self.places), None)

    def lay_over(self, defaults: YamlFile) -> YamlFile:
        """This file, and of ``defaults`` each key it does not have; a value is taken whole, never in parts."""
        sections, places = dict(defaults.sections), dict(defaults.places)
        for name, section in self.sections.items():
            below = defaults.sections.get(name)
            if isinstance(below, dict) and (section is None or isinstance(section, dict)):
                sections[name] = below | (section or {})
                replaced_keys = [key_text((name, key)) for key in section or {}]
            else:
                sections[name], replaced_keys = section, [key_text((name,))]
            places = {key: place for key, place in places.items() if not is_part_of(key, replaced_keys)}
        return YamlFile(sections, places | self.places)


def is_part_of(key: str, sections: Sequence[str]) -> bool:
    """Whether a key is one of these, or stands under one."""
    return any(key == section or key.startswith(f"{section}.") for section in sections)


def key_text(key: KeyPath) -> str:
    """``sync.komm_kz.9``."""
    return ".".join(map(str, key))


class UnsetVariable(Exception):
    """A variable has no value; the message says what to do."""


def read_yaml(path: Path) -> YamlFile:
    """The sections of a YAML file with their lines; ``ConfigError`` with file and line where it cannot be read."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; name yours with --config FILE before the command") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    try:
        sections = yaml.load(text, StrictLoader)  # noqa: S506 - a SafeLoader that also refuses repeated keys
        lines = dict(key_lines(yaml.compose(text, StrictLoader)))
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}{mark_text(error.problem_mark)}: {yaml_message(error)}") from None
    except (yaml.YAMLError, ValueError) as error:  # an odd character; a date like 2026-13-45
        raise ConfigError(f"{path}: is not YAML ({str(error).splitlines()[0]})") from None
    except RecursionError:  # thousands of brackets: what a program wrote, or a damaged disk
        raise ConfigError(f"{path}: has too many brackets within each other") from None
    if not isinstance(sections, dict):
        raise ConfigError(
            f"{path}: must consist of sections like espocrm: and advoware:; the config.yaml that comes along has "
            "them all, and `advosync sandbox` prints a short one that works"
        )
    return YamlFile(sections, {key: Place(path, line) for key, line in lines.items()})


def key_lines(node: yaml.Node | None, key: KeyPath = ()) -> Iterator[tuple[str, int]]:
    """Each key under ``node`` with its line; an item of a list counts as a key with its place for a name."""
    match node:
        case yaml.MappingNode():
            parts = [(name.value, name, value) for name, value in node.value if isinstance(name, yaml.ScalarNode)]
        case yaml.SequenceNode():
            parts = [(place, value, value) for place, value in enumerate(node.value)]
        case _:
            parts = []
    for name, marked, value in parts:
        yield key_text((*key, name)), marked.start_mark.line + 1
        yield from key_lines(value, (*key, name))


NOT_CLOSED = {
    "while parsing a flow sequence":  "the list that begins with [",
    "while parsing a flow mapping":   "the section that begins with {",
    "while scanning a quoted scalar": "the text that begins with a quote",
}  # fmt: skip
"""What the library was reading when it met something else, or the end of the file."""

YAML_PROBLEMS = {
    r"mapping values are not allowed": "there is a second colon here, or a quote is missing above; put text in quotes",
    r"found character '\\t'":          "there is a tab; indent with spaces",
    r"found character '(.)' that":     r"a value cannot begin with \1; put it in quotes",
    r"could not find expected ':'":    "there is no colon behind the key",
    r"expected <block end>":           "the indentation does not match the lines above",
    r"constructor for the tag":        "there is a tag (!); put a value that begins with ! in quotes",
    r"unhashable key":                 "a key must be a word",
    r"undefined alias|alphabetic or":  "a value that begins with * or & must be in quotes",
    r"unknown escape character":       "there is a backslash in double quotes; use single quotes",
    r"expected .*, but (found|got)":   "something is missing here, or there is a sign too many",
    r"(.* is given twice)":            r"\1",
}  # fmt: skip
"""What the library says, and what it means to somebody who edits this file."""


def yaml_message(error: yaml.MarkedYAMLError) -> str:
    """What is wrong, in our words; an unclosed quote or bracket is noticed only far below where it begins."""
    if error.context in NOT_CLOSED:
        return f"{NOT_CLOSED[error.context]}{mark_text(error.context_mark)}, is not closed"
    matches = ((re.search(pattern, error.problem or ""), words) for pattern, words in YAML_PROBLEMS.items())
    return next((match.expand(words) for match, words in matches if match), "this is not YAML")


def mark_text(mark: yaml.Mark | None) -> str:
    """``, line 4``, where it is known."""
    return f", line {mark.line + 1}" if mark is not None else ""


class StrictLoader(yaml.SafeLoader):
    """YAML without tags that build objects, in which a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """A mapping; a key given twice is an error instead of a silent second choice."""
        known_keys: set[str] = set()
        key_nodes = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in key_nodes:
            if key.value in known_keys:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is given twice", problem_mark=key.start_mark)
            known_keys.add(key.value)
        return super().construct_mapping(node, deep=deep)


def expand_variables(value: object, env: Mapping[str, str], key: KeyPath = ()) -> tuple[Any, list[ConfigProblem]]:
    """The same tree with variables replaced, and a finding for each that has no value (its text is then "")."""
    match value:
        case dict():
            parts = {name: expand_variables(value, env, (*key, name)) for name, value in value.items()}
            return {name: part[0] for name, part in parts.items()}, [
                problem for part in parts.values() for problem in part[1]
            ]
        case list():
            items = [expand_variables(value, env, (*key, place)) for place, value in enumerate(value)]
            return [item[0] for item in items], [problem for item in items for problem in item[1]]
        case str():
            return expand_variables_in_text(value, env, key)
        case _:
            return value, []


def expand_variables_in_text(text: str, env: Mapping[str, str], key: KeyPath) -> tuple[str, list[ConfigProblem]]:
    """One text with its variables replaced; nothing inside a value is looked at again."""
    try:
        return VARIABLE.sub(lambda match: resolve_variable(match, env), text), []
    except UnsetVariable as error:
        return "unset", [ConfigProblem(key, str(error))]


def resolve_variable(match: re.Match[str], env: Mapping[str, str]) -> str:
    """What stands for one ``${…}``: the variable, its mounted file, or the default."""
    if match["literal"]:
        return match[0][1:]
    name = match["name"]
    if env.get(name):
        return env[name]
    if env.get(f"{name}_FILE"):
        return read_secret_file(name, Path(env[f"{name}_FILE"]))
    if match["otherwise"] is not None:
        return match["otherwise"]
    raise UnsetVariable(f"needs the environment variable {name} (or {name}_FILE, a file that holds it)")


def variable_source(text: str, env: Mapping[str, str]) -> str:
    """Where the variables in a value come from: their names, or those of the files; empty without any."""
    names = [match["name"] for match in VARIABLE.finditer(text) if not match["literal"]]
    return ", ".join(
        name if env.get(name) else f"{name}_FILE" if env.get(f"{name}_FILE") else f"{name} is not set" for name in names
    )


def read_secret_file(name: str, path: Path) -> str:
    """A secret from the file ``NAME_FILE`` names, without its closing newline."""
    try:
        secret = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UnsetVariable(f"needs the file that {name}_FILE names, {path}, which cannot be read ({reason})") from None
    if not secret:
        raise UnsetVariable(f"needs the file that {name}_FILE names, {path}, which is empty")
    return secret

"""A folder of firms: each ``NAME.yaml`` is a complete configuration, ``_defaults.yaml`` is laid under each of them.

What is wrong with a file is that firm's problem. What two files have in common and must not, a state store or a
system, is a problem of both: nobody can say whose it is, and a file copied to begin another would bring a firm's
persons into another one's EspoCRM.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from etl.errors import ConfigError
from jobs.config_file import DEFAULTS_FILE, FIRM_VARIABLE, read_config

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence
    from pathlib import Path

    from jobs.config import Config

ENDING, OTHER_ENDING = ".yaml", ".yml"
DEFAULT_PORTS = {80, 443}
OWN_FILES = {"state.path", "report.metrics_file"}


class Firm(NamedTuple):
    """A firm by its file; ``problem`` is why nothing can be done for it, ``config`` None where it cannot be read."""

    name: str
    path: Path
    problem: str | None
    config: Config | None


def list_firms(folder: Path, only: Sequence[str], env: Mapping[str, str] | None = None) -> list[Firm]:
    """The firms of a folder by name, of ``only`` those; ``ConfigError`` where there is no such folder or firm.

    Every file is read, as another firm's may be what is wrong. ``env`` is the environment (``os.environ`` unless
    given); logins are not looked for.
    """
    paths = firm_paths(folder)
    problems: dict[Path, str] = {}
    configs: dict[Path, Config] = {}
    for path in paths:
        if not is_name_in_utf8(path.name):
            problems[path] = f"{name_in_utf8(path)}: its name is not in UTF-8; rename it"
            continue
        if path.suffix == OTHER_ENDING:
            problems[path] = f"{path}: must be called {path.stem}{ENDING}"
            continue
        try:
            configs[path] = read_config(path, env, with_credentials=False)
        except ConfigError as error:
            problems[path] = str(error)
    problems |= find_shared_settings(configs)
    firms = [Firm(name_in_utf8(path.stem), path, problems.get(path), configs.get(path)) for path in paths]
    names = [firm.name for firm in firms]
    for name in only:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            raise ConfigError(f"{folder}: there is no firm {name}" + (f"; did you mean {close[0]}?" if close else ""))
    return [firm for firm in firms if not only or firm.name in only]


def firm_paths(folder: Path) -> list[Path]:
    """The files of the firms, ordered by name."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder; name the one with a file for each firm with --dir")
    paths = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in {ENDING, OTHER_ENDING} and not path.name.startswith((".", "_"))
    ]
    if not paths:
        raise ConfigError(f"{folder}: holds no firm; each is a file NAME{ENDING}, {DEFAULTS_FILE} is under all of them")
    return paths


def is_name_in_utf8(name: str) -> bool:
    """Whether the name of a file, which Linux lets be any bytes, is text that can be printed and sent."""
    return name == name_in_utf8(name)


def name_in_utf8(name: str | Path) -> str:
    """The name, with a question mark for whatever is no text: archives of Windows bring umlauts as other bytes."""
    return str(name).encode("utf-8", "replace").decode("utf-8")


def folder_fingerprint(folder: Path) -> object:
    """A value that changes as soon as a file of the folder does."""
    paths = [path for path in folder.glob(f"*{ENDING}") if not path.name.startswith(".")]
    return sorted((path.name, file_fingerprint(path)) for path in paths)


def file_fingerprint(path: Path) -> tuple[int, int, int]:
    """A value that changes as soon as the file does; a link that leads nowhere has one, too."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def find_shared_settings(configs: Mapping[Path, Config]) -> dict[Path, str]:
    """The advice for each firm that shares with another one what its runs write; by the firm's file."""
    owners: dict[Hashable, list[tuple[Path, str]]] = defaultdict(list)
    for path, config in configs.items():
        for key, target in targets(config):
            owners[target].append((path, key))
    return {
        path: f"{path}: {key} is the same as {other_names(claims, path)}; give each firm its own"
        + (f", with ${{{FIRM_VARIABLE}}} in {DEFAULTS_FILE}" if key in OWN_FILES else "")
        for claims in owners.values()
        if len(claims) > 1
        for path, key in claims
    }


def targets(config: Config) -> Iterator[tuple[str, Hashable]]:
    """Pairs of a configuration key and what the firm's runs write there."""
    espo, advo = config.espocrm, config.advoware
    yield "espocrm.url", (server_of(espo.url), espo.entity)
    yield "advoware.database", (server_of(advo.base_url or advo.configurator_url), advo.kanzlei, advo.database)
    yield "state.path", config.state.path.resolve()
    if config.report.metrics_file is not None:
        yield "report.metrics_file", config.report.metrics_file.resolve()


def server_of(url: str) -> tuple[str | None, int | None, str]:
    """What an address leads to, however it is spelled: http or https, in small letters or capitals, with a port."""
    parts = urlsplit(url)
    return parts.hostname, None if parts.port in DEFAULT_PORTS else parts.port, parts.path.rstrip("/")


def other_names(claims: Sequence[tuple[Path, str]], path: Path) -> str:
    """The names of all firms that claim the same, but this one: ``adler's``."""
    return ", ".join(f"{other.stem}'s" for other, _ in claims if other != path)

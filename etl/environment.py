"""Check the usual environment variables for proxy and certificates before httpx fails on them.

A message names the variable, never its value: the address of a proxy may hold a password.
"""

from __future__ import annotations

import ipaddress
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from etl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROXY_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy")
NO_PROXY_VARIABLE: Final = "no_proxy"
CA_FILE_VARIABLE, CA_FOLDER_VARIABLE = "SSL_CERT_FILE", "SSL_CERT_DIR"

PROXY_PATTERN: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<login>[^/?#\s]*@)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[^\s@:/?#\[\]]+)(?::(?P<port>\d{1,5}))?/?",
    re.IGNORECASE,
)
NO_PROXY_PATTERN: Final = re.compile(
    r"(?:[a-z+]+://(?:\[[0-9a-f:.]+\]|[\w.*-]+)|[\w.*-]+)(?::\d{1,5})?", re.IGNORECASE | re.ASCII
)
HASHED_NAME_PATTERN: Final = re.compile(r"[0-9a-f]{8}\.\d+")
"""The name under which OpenSSL finds a certificate in a folder."""

HIGHEST_PORT: Final = 65_535
SOCKS_SCHEMES: Final = frozenset({"socks5", "socks5h"})
INVALID_PROXY: Final = (
    "is no address of a proxy like http://user:password@proxy.example.de:3128;"
    " in name and password write # as %23, / as %2F, ? as %3F, @ as %40, blanks as %20"
)


def require_usable_environment(environ: Mapping[str, str] | None = None) -> None:
    """Raise a ``ConfigError`` that names each variable with which no connection could be made."""
    problems = environment_problems(os.environ if environ is None else environ)
    if problems:
        raise ConfigError(
            "\n".join(f"The environment variable {name} {problem}." for name, problem in problems.items())
        )


def environment_problems(environ: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with each variable that is not usable, by its name as spelled there; empty if all is well."""
    problems = [*proxy_problems(environ), *certificate_problems(environ)]
    return {name: problem for name, problem in problems if problem is not None}


def network_variables(environ: Mapping[str, str]) -> list[str]:
    """The names of the variables for proxy and certificates that are set."""
    names = [
        name
        for name in environ
        if name.lower() in {*PROXY_VARIABLES, NO_PROXY_VARIABLE} or name in {CA_FILE_VARIABLE, CA_FOLDER_VARIABLE}
    ]
    return sorted(name for name in names if environ[name])


def proxy_problems(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Each proxy variable, in upper or lower case, with what is wrong with it, or None."""
    for name in network_variables(environ):
        if name.lower() in PROXY_VARIABLES:
            yield name, proxy_problem(environ[name])
        elif name.lower() == NO_PROXY_VARIABLE:
            yield name, no_proxy_problem(environ[name])


def proxy_problem(value: str) -> str | None:
    """Why httpx cannot use this proxy; None if it can."""
    parts = PROXY_PATTERN.fullmatch(value)
    if parts is None or not 0 <= int(parts["port"] or 0) <= HIGHEST_PORT:
        return INVALID_PROXY
    scheme = (parts["scheme"] or "http").lower()
    if scheme in SOCKS_SCHEMES and find_spec("socksio") is None:
        return "names a SOCKS proxy; name an HTTP proxy, or install one more package: pip install 'httpx[socks]'"
    return None if scheme in {"http", "https"} | SOCKS_SCHEMES else INVALID_PROXY


def no_proxy_problem(value: str) -> str | None:
    """Why httpx cannot read this list of hosts to reach without a proxy; None if it can."""
    for number, entry in enumerate(value.split(","), 1):
        host = entry.strip()
        if host and not (is_ip_address(host) or NO_PROXY_PATTERN.fullmatch(host)):
            return f"has an entry nobody can read, number {number}: write hosts with commas between, and ::1 without []"
    return None


def is_ip_address(host: str) -> bool:
    """Whether this is an IPv4 address or network, or an IPv6 address; httpx does not know IPv6 networks."""
    address, _, network = host.partition("/")
    try:
        return ipaddress.ip_address(address).version == 4 or not network  # noqa: PLR2004 - the version's number
    except ValueError:
        return False


def certificate_problems(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """The variable that httpx takes its certificates from, the file or else the folder, with what is wrong with it."""
    if file := environ.get(CA_FILE_VARIABLE):
        readable = Path(file).is_file() and os.access(file, os.R_OK)
        yield CA_FILE_VARIABLE, None if readable else "names no file that can be read"
    elif folder := environ.get(CA_FOLDER_VARIABLE):
        folders = [Path(name) for name in folder.split(os.pathsep) if name]
        names = [
            entry.name
            for directory in folders
            if directory.is_dir() and os.access(directory, os.R_OK)
            for entry in directory.iterdir()
        ]
        has_certificates = any(HASHED_NAME_PATTERN.fullmatch(name) for name in names)
        yield (
            CA_FOLDER_VARIABLE,
            None if has_certificates else "names no folder with certificates under hashed names (openssl rehash)",
        )


def proxy_secrets(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The parts of proxy addresses that must not be logged: login and password, as written and decoded."""
    environment = os.environ if environ is None else environ
    secrets: set[str] = set()
    for name in network_variables(environment):
        if name.lower() not in PROXY_VARIABLES:
            continue
        address = environment[name].partition("://")[2] or environment[name]
        login, at, _ = address.rpartition("@")
        if at:
            password = login.partition(":")[2]
            secrets |= {login, password, unquote(password)}
        elif proxy_problem(environment[name]) is not None:
            secrets.add(address)  # nobody knows which part of it is meant as a password
    return tuple(sorted(secrets - {""}))

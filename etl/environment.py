"""Proxy and own certificates, as the usual environment variables name them; found unusable before httpx stumbles.

A message names the variable, never its value: a proxy's address may hold a password.
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

PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
BYPASS: Final = "no_proxy"
CA_FILE, CA_FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"

PROXY: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<login>[^/?#\s]*@)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[^\s@:/?#\[\]]+)(?::(?P<port>\d{1,5}))?/?",
    re.IGNORECASE,
)
EXCEPTION: Final = re.compile(
    r"(?:[a-z+]+://(?:\[[0-9a-f:.]+\]|[\w.*-]+)|[\w.*-]+)(?::\d{1,5})?", re.IGNORECASE | re.ASCII
)
HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+")
"""How OpenSSL finds a certificate in a folder."""

HIGHEST_PORT: Final = 65_535
SOCKS: Final = frozenset({"socks5", "socks5h"})
NO_PROXY_ADDRESS: Final = (
    "is no address of a proxy like http://user:password@proxy.example.de:3128;"
    " in name and password write # as %23, / as %2F, ? as %3F, @ as %40, blanks as %20"
)


def demand_usable(environ: Mapping[str, str] | None = None) -> None:
    """``ConfigError`` that names each variable no connection could be made with."""
    found = flaws(os.environ if environ is None else environ)
    if found:
        raise ConfigError("\n".join(f"The environment variable {name} {flaw}." for name, flaw in found.items()))


def flaws(environ: Mapping[str, str]) -> dict[str, str]:
    """By variable as it is spelled there, why nothing could be reached with it; empty where all is well."""
    found = [*proxy_flaws(environ), *certificate_flaws(environ)]
    return {name: flaw for name, flaw in found if flaw is not None}


def variables(environ: Mapping[str, str]) -> list[str]:
    """Which of these variables say anything."""
    named = [name for name in environ if name.lower() in {*PROXIES, BYPASS} or name in {CA_FILE, CA_FOLDER}]
    return sorted(name for name in named if environ[name])


def proxy_flaws(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Each proxy variable, in upper or lower case, with what is wrong with it."""
    for name in variables(environ):
        if name.lower() in PROXIES:
            yield name, proxy_flaw(environ[name])
        elif name.lower() == BYPASS:
            yield name, exception_flaw(environ[name])


def proxy_flaw(value: str) -> str | None:
    """Why this is no proxy httpx can use."""
    found = PROXY.fullmatch(value)
    if found is None or not 0 <= int(found["port"] or 0) <= HIGHEST_PORT:
        return NO_PROXY_ADDRESS
    scheme = (found["scheme"] or "http").lower()
    if scheme in SOCKS and find_spec("socksio") is None:
        return "names a SOCKS proxy; name an HTTP proxy, or install one more package: pip install 'httpx[socks]'"
    return None if scheme in {"http", "https"} | SOCKS else NO_PROXY_ADDRESS


def exception_flaw(value: str) -> str | None:
    """Why httpx cannot read a list of hosts that are reached without a proxy."""
    for number, entry in enumerate(value.split(","), 1):
        host = entry.strip()
        if host and not (is_address(host) or EXCEPTION.fullmatch(host)):
            return f"has an entry nobody can read, number {number}: write hosts with commas between, and ::1 without []"
    return None


def is_address(host: str) -> bool:
    """An IPv4 address or network, or an IPv6 address; httpx knows no networks of IPv6."""
    address, _, network = host.partition("/")
    try:
        return ipaddress.ip_address(address).version == 4 or not network  # noqa: PLR2004 - the version's number
    except ValueError:
        return False


def certificate_flaws(environ: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """The variable httpx takes its certificates from: the file, else the folder."""
    if file := environ.get(CA_FILE):
        readable = Path(file).is_file() and os.access(file, os.R_OK)
        yield CA_FILE, None if readable else "names no file that can be read"
    elif folder := environ.get(CA_FOLDER):
        folders = [Path(one) for one in folder.split(os.pathsep) if one]
        names = [entry.name for one in folders if one.is_dir() and os.access(one, os.R_OK) for entry in one.iterdir()]
        hashed = any(HASHED.fullmatch(name) for name in names)
        yield CA_FOLDER, None if hashed else "names no folder with certificates under hashed names (openssl rehash)"


def proxy_secrets(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What of the proxies' addresses may stand in no log: login and password, as written and as meant."""
    told = os.environ if environ is None else environ
    found: set[str] = set()
    for name in variables(told):
        if name.lower() not in PROXIES:
            continue
        address = told[name].partition("://")[2] or told[name]
        login, at, _ = address.rpartition("@")
        if at:
            password = login.partition(":")[2]
            found |= {login, password, unquote(password)}
        elif proxy_flaw(told[name]) is not None:
            found.add(address)  # what of it is meant as a password, nobody knows
    return tuple(sorted(found - {""}))

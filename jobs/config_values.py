"""What a value of ``config.yaml`` may be: checks, and the types made of them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def check_web_address(value: str) -> str:
    """An http or https address without login, query and closing slash.

    The signs count, not what is behind them: everything we add behind a "#" or "?" would be lost.
    """
    if {"?", "#", "@"} & set(value):
        msg = "must be an address without login, ? and #"
        raise ValueError(msg)
    if not has_host(value, {"http", "https"}):
        msg = "must be an address like https://crm.example.de"
        raise ValueError(msg)
    return value.rstrip("/")


def has_host(value: str, schemes: set[str]) -> bool:
    """Whether this is an address with a host, and a port that is one; urlsplit forgives line ends and blanks."""
    if not value.isprintable() or " " in value or "\\" in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def check_url_path(value: str) -> str:
    """A part of an address that is only path."""
    if {"?", "#", ":"} & set(value) or " " in value or not value.isprintable() or not value.strip("/"):
        msg = 'must be a path like "api/v1/advonet"'
        raise ValueError(msg)
    return value


def check_tls_address(value: str) -> str:
    """A web address the password may be sent to: https, or this very machine."""
    address = check_web_address(value)
    if urlsplit(address).scheme != "https" and urlsplit(address).hostname not in LOOPBACK:
        msg = "must begin with https:// because the password is sent there"
        raise ValueError(msg)
    return address


def check_phone_region(value: str) -> str:
    """A region whose phone numbers we can read."""
    from phonenumbers import SUPPORTED_REGIONS  # noqa: PLC0415 - a tenth of a second that --help does not need

    if value not in SUPPORTED_REGIONS:
        msg = 'must be a country\'s two capital letters, like "DE"'
        raise ValueError(msg)
    return value


def check_time_zone(value: str) -> str:
    """A zone of the IANA database."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        msg = 'must be a time zone like "Europe/Berlin"'
        raise ValueError(msg) from None
    return value


def check_crontab(value: str) -> str:
    """Five crontab fields the scheduler understands."""
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - only where the file names one

    try:
        CronTrigger.from_crontab(value)
    except ValueError as error:
        msg = f'must be five crontab fields like "30 2 * * *" ({error})'
        raise ValueError(msg) from None
    return value


def number_to_text(value: object) -> object:
    """``only`` lists ids and betnr; both are kept as text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def reject_bool(value: object) -> object:
    """``true`` is no number, though Python thinks so."""
    if isinstance(value, bool):
        msg = "must be a number"
        raise ValueError(msg)  # noqa: TRY004 - pydantic lists ValueErrors
    return value


def require_text(value: SecretStr) -> SecretStr:
    """A secret that is there."""
    if not value.get_secret_value().strip():
        msg = "must not be empty"
        raise ValueError(msg)
    return value


NonEmptyText = Annotated[str, Field(min_length=1)]
WholeNumber = Annotated[int, BeforeValidator(reject_bool)]
Number = Annotated[float, BeforeValidator(reject_bool)]
Secret = Annotated[SecretStr, AfterValidator(require_text)]
WebAddress = Annotated[str, AfterValidator(check_web_address)]
TlsAddress = Annotated[str, AfterValidator(check_tls_address)]
PersonKey = Annotated[str, BeforeValidator(number_to_text), Field(min_length=1)]
KommKzNumber = Annotated[int, Field(ge=1, le=12)]

"""``check``, Advoware's part: the login, and one person that is read, which a mistyped path would not survive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import AdvosyncError, NotFound, Outage
from etl.store.database import Store
from etl.store.queries.status import recently_read_betnrs
from etl.times import format_utc
from jobs import client_factory as systems
from jobs.commands.checks.findings import CheckResult, check_error, check_failure, check_ok
from jobs.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from etl.clients.advoware import AdvowareClient
    from jobs.config import Config

MAX_PERSONS_TRIED = 3
"""One person may have been deleted meanwhile; of three one answers, or the address is wrong."""


def check_advoware(config: Config, now: Callable[[], datetime]) -> Iterator[CheckResult]:
    """Advoware's addresses and login, and a person."""
    topic = "Advoware login"
    try:
        with systems.make_advoware_client(config) as client:
            yield check_ok(topic, f"as {config.advoware.user} at {client.login().base}")
            topic = "Advoware person"
            betnrs = betnrs_to_try(config, now())
            if betnrs is not None:
                yield check_person(client, betnrs)
    except Outage as error:
        yield check_failure(topic, f"{error}; {advoware_hint(str(error), config)}", ExitCode.OUTAGE)
    except AdvosyncError as error:
        yield check_error(topic, error)


def check_person(client: AdvowareClient, betnrs: Sequence[int]) -> CheckResult:
    """The first of these persons that Advoware shows; a login alone says nothing about where the persons are."""
    topic = "Advoware person"
    for betnr in betnrs:
        try:
            client.fetch(betnr)
        except NotFound:
            continue
        return check_ok(topic, f"Beteiligter {betnr} can be read")
    if not betnrs:
        return check_ok(topic, "nobody is linked yet, so none was read; check again once a betnr is entered in EspoCRM")
    tried = ", ".join(map(str, betnrs))
    advice = "check advoware.path_prefix, advoware.kanzlei and advoware.database"
    return check_failure(
        topic, f"Advoware knows nobody of those asked for ({tried}): {advice}, or the betnr in EspoCRM"
    )


def betnrs_to_try(config: Config, now: datetime) -> list[int] | None:
    """Whom Advoware showed last; where the state store knows nobody, the first EspoCRM lists; None when it cannot."""
    if betnrs := betnrs_shown_last(config, now):
        return betnrs
    try:
        with systems.make_espo_client(config) as client:
            return [
                listing.betnr
                for listing in client.list_sweep_chunk(None, MAX_PERSONS_TRIED).listings
                if listing.betnr is not None
            ]
    except AdvosyncError:
        return None  # the points about EspoCRM say so


def betnrs_shown_last(config: Config, now: datetime) -> list[int]:
    """Whom Advoware showed last, as the state store says; nobody where there is none."""
    if not config.state.path.exists():
        return []
    try:
        with Store.open(config.state.path, now=format_utc(now), read_only=True) as store:
            return recently_read_betnrs(store, MAX_PERSONS_TRIED)
    except AdvosyncError:
        return []  # the point "state store" says so


def advoware_hint(message: str, config: Config) -> str:
    """What to look at: Advoware answers a wrong Kanzlei like one whose local service is down (Advoware §2)."""
    if "nicht registriert" in message:
        return f"does the firm's local Advoware service run, and is advoware.kanzlei right ({config.advoware.kanzlei})?"
    if "nicht angemeldet" in message:
        return "does the firm's local Advoware service run?"
    has_fixed_urls = config.advoware.base_url and config.advoware.security_gateway
    key = "base_url and advoware.security_gateway" if has_fixed_urls else "configurator_url"
    return f"check advoware.{key}, and whether this machine reaches it"

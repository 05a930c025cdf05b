"""``check``, Advoware's part: the login, and one person that is read, which a mistyped path would not survive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.clients.answers import utc_text
from etl.errors import AdvosyncError, Gone, Outage
from etl.store.database import Store
from etl.store.standing import read_last_in_advoware
from jobs import systems
from jobs.exit_codes import ExitCode
from jobs.findings import Finding, bad, failed, ok

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from etl.clients.advoware import Advoware
    from jobs.config import Config

ENOUGH = 3
"""One person may have been deleted meanwhile; of three one answers, or the address is wrong."""


def of_advoware(config: Config, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Advoware's addresses and login, and a person."""
    about = "Advoware login"
    try:
        with systems.advoware(config) as client:
            yield ok(about, f"as {config.advoware.user} at {client.login().base}")
            about = "Advoware person"
            betnrs = known_betnrs(config, now())
            if betnrs is not None:
                yield one_read(client, betnrs)
    except Outage as error:
        yield bad(about, f"{error}; {hint(str(error), config)}", ExitCode.OUTAGE)
    except AdvosyncError as error:
        yield failed(about, error)


def one_read(client: Advoware, betnrs: Sequence[int]) -> Finding:
    """The first of these persons that Advoware shows; a login alone says nothing about where the persons are."""
    about = "Advoware person"
    for betnr in betnrs:
        try:
            client.fetch(betnr)
        except Gone:
            continue
        return ok(about, f"Beteiligter {betnr} can be read")
    if not betnrs:
        return ok(about, "nobody is linked yet, so none was read; check again once a betnr is entered in EspoCRM")
    asked = ", ".join(map(str, betnrs))
    todo = "check advoware.path_prefix, advoware.kanzlei and advoware.database"
    return bad(about, f"Advoware knows nobody of those asked for ({asked}): {todo}, or the betnr in EspoCRM")


def known_betnrs(config: Config, now: datetime) -> list[int] | None:
    """Whom Advoware showed last; where the state store knows nobody, the first EspoCRM lists; None when it cannot."""
    if config.state.path.exists():
        try:
            with Store.open(config.state.path, now=utc_text(now), read_only=True) as store:
                if betnrs := read_last_in_advoware(store, ENOUGH):
                    return betnrs
        except AdvosyncError:
            pass  # the point "state store" says so
    try:
        with systems.espocrm(config) as client:
            return [one.betnr for one in client.linked(None, ENOUGH).listings if one.betnr is not None]
    except AdvosyncError:
        return None  # the points about EspoCRM say so


def hint(seen: str, config: Config) -> str:
    """What to look at: Advoware answers a wrong Kanzlei like one whose local service is down (advoware-api.md §2)."""
    if "nicht registriert" in seen:
        return f"does the firm's local Advoware service run, and is advoware.kanzlei right ({config.advoware.kanzlei})?"
    if "nicht angemeldet" in seen:
        return "does the firm's local Advoware service run?"
    fixed = config.advoware.base_url and config.advoware.security_gateway
    key = "base_url and advoware.security_gateway" if fixed else "configurator_url"
    return f"check advoware.{key}, and whether this machine reaches it"

"""Advoware as the sync sees it: one person a read, one row a write, never two writes at once (advoware-api.md)."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Self, Unpack

from pydantic import SecretStr

from etl.clients.advoware_login import (
    LOGIN_HINT,
    OFFLINE,
    REFUSED,
    SYSTEM,
    Account,
    Addresses,
    FreshLogin,
    TokenAuth,
    decoded_key,
    read_discovery,
)
from etl.clients.advoware_payload import is_person, read_created, read_person, read_updated
from etl.clients.ask import Ask, Habits, Surroundings, World, web_address
from etl.clients.http import Border
from etl.clients.pace import Pace
from etl.errors import (
    ConfigError,
    CredentialsRefused,
    Forbidden,
    Gone,
    Moved,
    Outage,
    PersonError,
    UnknownOutcome,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from etl.clients.answers import Answer
    from etl.records import AdvoPerson, Row, RowDraft

ONE_WRITE = threading.Lock()
"""Held during every write, by every client of this process (rules.md §5)."""

HABITS = Habits(
    SYSTEM,
    LOGIN_HINT,
    "advoware.path_prefix and the configured addresses",
    offline=OFFLINE,
    login_refused=REFUSED,
)


class Advoware:
    """One firm's Advoware. Reads may overlap, writes never do; raises what ``etl.clients.http`` says.

    With ``base_url`` and ``security_gateway`` both given, discovery is not asked.
    """

    def __init__(  # noqa: PLR0913 - the section ``advoware`` of config.yaml and the world around it
        self,
        *,
        kanzlei: str,
        database: str,
        user: str,
        app_id: str | SecretStr,
        api_key: SecretStr,
        password: SecretStr,
        base_url: str | None = None,
        security_gateway: str | None = None,
        configurator_url: str = "https://www2.advo-net.net/AdvonetConfigurator",
        path_prefix: str = "api/v1/advonet",
        role: int = 2,
        product: int = 64,
        allowed_hosts: Iterable[str] = ("advo-net.net",),
        timeout_seconds: float = 30,
        max_requests_per_second: float = 10,
        outage_after: int = 3,
        **world: Unpack[World],
    ) -> None:
        around = Surroundings(**world)
        self._kanzlei = kanzlei
        self._known = Addresses(
            web_address(base_url, "advoware.base_url") if base_url else "",
            web_address(security_gateway, "advoware.security_gateway") if security_gateway else "",
        )
        self._configurator = web_address(configurator_url, "advoware.configurator_url")
        self._prefix = path_prefix.strip("/")
        self._allowed_hosts = tuple(allowed_hosts)
        self._finding = threading.Lock()
        self._shown: deque[int] = deque(maxlen=2)  # persons read last with success
        decoded_key(api_key)  # a wrong one is found before anything is sent
        app = app_id.get_secret_value() if isinstance(app_id, SecretStr) else app_id
        account = Account(kanzlei, database, user, role, product, app, api_key, password)
        self._tokens = TokenAuth(
            account,
            lambda: self._addresses().gateway,
            timeout_seconds=timeout_seconds,
            monotonic=around.monotonic,
            utcnow=around.utcnow,
        )
        self.border = Border(
            HABITS,
            timeout_seconds=timeout_seconds,
            outage_after=outage_after,
            world=around,
            pace=Pace(max_requests_per_second, sleep=around.sleep, monotonic=around.monotonic),
            secrets=self._tokens.secrets,
        )

    def __repr__(self) -> str:
        return f"Advoware({self._kanzlei!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.border.close()

    @property
    def calls(self) -> Counter[str]:
        """Requests so far by method, repetitions included; logins and discovery are not among them."""
        return self.border.calls

    def login(self) -> Addresses:
        """Find the addresses and log in afresh; ``ConfigError``, ``CredentialsRefused`` or ``Outage`` where not."""
        found = self._addresses()
        self.border.send(self._fresh_login())
        return found

    def fetch(self, betnr: int) -> AdvoPerson:
        """One person with all rows; ``Gone`` when deleted, ``Malformed`` when it lacks what it must have."""
        person = self._read(self._about_person(self._ask("GET", betnr), betnr), betnr)
        self._shown.append(betnr)
        return person

    def create(self, betnr: int, draft: RowDraft) -> Row:
        """A new row of ``draft.komm_kz``; ``UnknownOutcome`` when the answer does not tell its id.

        What else the answer lacks is taken from ``draft``; a ``row_id`` it lacks is "". ``Gone`` without the person.
        """
        if draft.komm_kz is None:
            raise ValueError("a new row needs a komm_kz")
        body = {"tlf": draft.value, "bemerkung": draft.remark, "kommKz": draft.komm_kz, "online": draft.online}
        answer = self._about_person(self._ask("POST", betnr, "Kommunikationen", body=body), betnr)
        row = read_created(answer.payload, draft)
        if row is None:
            raise UnknownOutcome(SYSTEM, f"the answer to a new Kommunikation of {betnr} tells no id")
        return row

    def update(self, betnr: int, komm_id: int, draft: RowDraft) -> Row | None:
        """Write value, remark and ``online`` of a row: always all three, merge or replace is not known (A).

        The row as answered, or ``None`` where the answer is not the row. ``Moved`` when the row is gone.
        """
        body = {"tlf": draft.value, "bemerkung": draft.remark, "online": draft.online}
        answer = self._about_person(self._ask("PUT", betnr, "Kommunikationen", komm_id, body=body), betnr)
        return read_updated(answer.payload, komm_id)

    def _ask(self, method: str, betnr: int, *path: str | int, body: object = None) -> Ask:
        url = "/".join(str(part) for part in (self._addresses().base, self._prefix, "Beteiligte", betnr, *path))
        gone = Gone(SYSTEM, str(betnr))
        moved = Moved(f"Advoware has no Kommunikation {path[-1]} of {betnr} any more.") if method == "PUT" else gone
        return Ask(method, url, body=body, missing=moved, empty_ok=method == "PUT", auth=self._tokens)

    def _about_person(self, ask: Ask, betnr: int) -> Answer:
        """A person's read or write, one write at a time; after a 403 the login decides who is to blame."""
        try:
            with ONE_WRITE if ask.is_write else nullcontext():
                return self.border.send(ask)
        except Forbidden:
            self._demand_access(betnr)
            raise

    def _demand_access(self, refused: int) -> None:
        """``CredentialsRefused`` where more is refused than this person (rules.md §6).

        Advoware has nothing like EspoCRM's App/user, so another person that this client was shown is read again. Where
        it was shown nobody else, a fresh login must do: it proves the account, not what the account may see.
        """
        others = [betnr for betnr in tuple(self._shown) if betnr != refused]  # other readers add to it meanwhile
        with suppress(PersonError):
            try:
                self.border.send(self._ask("GET", others[-1]) if others else self._fresh_login())
            except Forbidden as error:
                raise CredentialsRefused(SYSTEM, f"it refuses persons it showed before (403); {LOGIN_HINT}") from error

    def _fresh_login(self) -> Ask:
        return Ask("GET", self._addresses().gateway, auth=FreshLogin(self._tokens))

    def _read(self, answer: Answer, betnr: int) -> AdvoPerson:
        if not is_person(answer.payload) and (said := answer.says(OFFLINE)):  # also under a 200 (O)
            raise Outage(SYSTEM, f'the answer says "{said}"')
        return read_person(answer.payload, betnr)

    def _addresses(self) -> Addresses:
        """Configured, else discovered once; asked again after a failure."""
        with self._finding:
            if not self._known.complete:
                self._known = self._discovered()
            return self._known

    def _discovered(self) -> Addresses:
        unknown = ConfigError(f'Advoware\'s discovery knows no "{self._kanzlei}"; check advoware.kanzlei')
        ask = Ask("GET", f"{self._configurator}/api/Url", {"Kanzlei": self._kanzlei}, missing=unknown, login=True)
        return read_discovery(self.border.send(ask).payload, self._kanzlei, self._allowed_hosts, self._known)

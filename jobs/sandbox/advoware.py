"""A simulated Advoware: what advoware-api.md says, both readings of each assumption, and people at work in its window.

It imports nothing of the sync, so that a wrong rule cannot agree with itself. Paths: ``/AdvonetConfigurator`` is the
discovery, ``/gateway`` the token service, ``/relay`` (or ``/connector``) the data; relay and gateway may also be the
root, for whoever configures one fixed address.
"""

from __future__ import annotations

import copy
import html
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from jobs.sandbox.advoware_login import KANZLEI, TokenService, read_object, seven_decimals
from jobs.sandbox.advoware_rows import Beteiligte
from jobs.sandbox.advoware_texts import as_remark, cut
from jobs.sandbox.simulator import Answer, Reply, Simulator, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from jobs.sandbox.advoware_rows import Beteiligter, Komm
    from jobs.sandbox.simulator import Json

OFFLINE = "Der Benutzer ist nicht angemeldet."
HIGHEST_KOMM_KZ = 12
NOT_FOUND = 404


class ErrorStyle(StrEnum):
    """What a refusal's body looks like; not known of the real one."""

    JSON = "json"
    TEXT = "text"
    HTML = "html"


class Keep:
    """Stands for an argument not given: None is a value here."""


KEEP = Keep()


@dataclass(slots=True)
class Switches:
    """How this Advoware behaves where the real one is not known, or on a bad day."""

    wrapped: bool = False  # a person arrives as a one-element list
    real_komm_kz: bool = False  # GET shows the real kommKz instead of 0
    replaces: bool = False  # a PUT resets the writable fields it leaves out; else it keeps them
    answers_put: bool = True  # a PUT answers with the row, else with nothing
    connector: bool = False  # discovery names a connectorUrl, and the relay answers 404
    old_discovery: bool = False  # discovery does not name the security gateway
    offline: bool = False  # "ist nicht angemeldet": the firm's local service is down
    offline_status: int = 400
    error_style: ErrorStyle = ErrorStyle.JSON
    utf16: bool = False  # lengths are counted in UTF-16 units, a cut may go through a letter
    half_letters: str = "surrogatepass"  # and leaves half of it; "replace": U+FFFD, "ignore": nothing
    trims: bool = False  # a remark loses the blanks at its ends
    line_ends: str | None = None  # and gets these ends of lines
    max_tlf: int | None = None
    max_bemerkung: int | None = None
    refuses_too_long: bool = False  # 400; else the rest is cut off silently
    refused_values: set[str] = field(default_factory=set)  # a tlf that gets 400
    nobody: ErrorStyle | None = None  # every person is answered with 404: a page, or what looks like the application's
    missed: dict[int, int] = field(default_factory=dict)  # so many calls about a betNr get 404 although it is there
    blocked: set[tuple[str, int]] = field(default_factory=set)  # a firewall answers 403 to a method and betNr


class AdvoSim(Simulator):
    """Advoware with its token service. ``switches`` choose between its known and possible behaviours.

    ``address`` is what discovery names: the server sets it when its port is known.
    """

    def __init__(
        self,
        clock: Callable[[], datetime] | None = None,
        *,
        seed: int = 0,
        address: str = "https://advoware.advo-net.net",
        path_prefix: str = "api/v1/advonet",
    ) -> None:
        super().__init__(clock)
        self.address = address
        self.switches = Switches()
        self.login = TokenService()
        self.beteiligte = Beteiligte(seed)
        prefix = re.escape(path_prefix.strip("/"))
        self._data = re.compile(rf"(/relay|/connector)?/{prefix}/Beteiligte/(\d+)(?:(/Kommunikationen)(?:/(\d+))?)?")

    # What people do in Advoware's own window

    def add_person(self, betnr: int, name: str, **fields: object) -> None:
        """Store a person; fields are top-level contact fields such as ``mobil``."""
        first, _, last = name.rpartition(" ")
        with self._lock:
            named = {"name": last, "vorname": first or None, **fields}
            self.beteiligte.add_person(betnr, named, seven_decimals(self.clock()))

    def add_row(
        self, betnr: int, value: str | None, remark: str | None = None, *, komm_kz: int = 1, online: bool = False
    ) -> int:
        """Let a person type in a new row; returns its id."""
        with self._lock:
            return self.beteiligte.add_row(betnr, value, remark, komm_kz, online=online).id

    def edit_row(
        self,
        betnr: int,
        komm_id: int,
        *,
        value: str | Keep | None = KEEP,
        remark: str | Keep | None = KEEP,
        komm_kz: int | Keep = KEEP,
    ) -> None:
        """Let a person change a row. What is not given stays."""
        with self._lock:
            row = self.beteiligte.persons[betnr].rows[komm_id]
            row.tlf = row.tlf if isinstance(value, Keep) else value
            row.bemerkung = row.bemerkung if isinstance(remark, Keep) else remark
            row.komm_kz = row.komm_kz if isinstance(komm_kz, Keep) else komm_kz
            self.beteiligte.touch(row)

    def empty_row(self, betnr: int, komm_id: int, *, null: bool = False) -> None:
        """Let a person clear a row's value; the remark stays."""
        self.edit_row(betnr, komm_id, value=None if null else "")

    def remove_row(self, betnr: int, komm_id: int) -> None:
        """Let a person delete a row, which the API never does."""
        with self._lock:
            del self.beteiligte.persons[betnr].rows[komm_id]

    def copy_person(self, betnr: int, new_betnr: int) -> None:
        """Let a person copy a Beteiligten, rows and remarks included; ids and rowIds are new."""
        with self._lock:
            person = self.beteiligte.persons[betnr]
            self.beteiligte.add_person(new_betnr, dict(person.fields), seven_decimals(self.clock()))
            for row in list(person.rows.values()):
                self.beteiligte.add_row(new_betnr, row.tlf, row.bemerkung, row.komm_kz, online=row.online)

    def delete_person(self, betnr: int) -> None:
        """Let a person delete a Beteiligten: from now on 404."""
        with self._lock:
            del self.beteiligte.persons[betnr]

    def backup(self) -> Beteiligte:
        """Everything as it is stored now, to be put back later."""
        with self._lock:
            return copy.deepcopy(self.beteiligte)

    def put_back(self, backup: Beteiligte) -> None:
        """Let somebody put a backup back: what was written since is gone, and its ids are given out again."""
        with self._lock:
            self.beteiligte = copy.deepcopy(backup)

    def rows(self, betnr: int) -> list[Json]:
        """The person's rows with their real kommKz, without a call in the journal."""
        with self._lock:
            return [row.show(real_komm_kz=True) for row in self.beteiligte.persons[betnr].rows.values()]

    # What callers ask

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer discovery, a token request or a call for data."""
        path, _, query = target.partition("?")
        if path.endswith("/api/Url"):
            return self._discovery(query)
        if path in {"/api/v1/Token", "/gateway/api/v1/Token"}:
            return self._token(method, body)
        found = self._data.fullmatch(path)
        if not found or (found[1] != "/connector") is self.switches.connector:
            raise said(404, "Not Found", ErrorStyle.HTML)  # nothing of ours stands below that address
        if not self.login.accepts(headers, self.clock()):
            raise self._refused(401, "Token ist ungültig oder abgelaufen.")
        if self.switches.offline:
            raise self._refused(self.switches.offline_status, OFFLINE)
        if (method, int(found[2])) in self.switches.blocked:
            raise said(403, "The request was blocked.", ErrorStyle.HTML)
        return self._on_person(method, self._person(int(found[2])), found[3], found[4], body)

    def _discovery(self, query: str) -> Answer:
        if parse_qs(query).get("Kanzlei") != [KANZLEI]:
            raise self._refused(404, "Die Kanzlei ist nicht registriert.")
        urls: Json = {"relayUrl": f"{self.address}/relay/", "connectorUrl": None}
        if self.switches.connector:
            urls["connectorUrl"] = f"{self.address}/connector/"
        if not self.switches.old_discovery:
            urls["securityGateway"] = f"{self.address}/gateway/"
        return json_answer(200, urls)

    def _token(self, method: str, body: bytes) -> Answer:
        if method != "POST":
            raise self._refused(405, "Nur POST.")
        refusal = self.login.refusal(read_object(body) or {}, self.clock())
        if refusal:
            raise self._refused(401, refusal)
        return json_answer(200, self.login.issue(self.clock()))

    def _on_person(self, method: str, person: Beteiligter, rows: str | None, row_id: str | None, body: bytes) -> Answer:
        match method, rows, row_id:
            case "GET", None, None:
                shown = person.show(real_komm_kz=self.switches.real_komm_kz)
                return json_answer(200, [shown] if self.switches.wrapped else shown)
            case "POST", str(), None:
                return self._create(person, self._sent(body))
            case "PUT", str(), str(number):
                return self._write(self._row(person, int(number)), self._sent(body))
            case "DELETE", str(), str():
                raise self._refused(403, "Löschen ist nicht erlaubt.")
        raise self._refused(405, "Nicht erlaubt.")

    def _create(self, person: Beteiligter, sent: Json) -> Answer:
        komm_kz = sent.get("kommKz")
        if not isinstance(komm_kz, int) or not 1 <= komm_kz <= HIGHEST_KOMM_KZ:
            raise self._refused(400, "kommKz ist ungültig.")
        row = self.beteiligte.add_row(
            person.betnr, sent.get("tlf"), sent.get("bemerkung"), komm_kz, online=bool(sent.get("online"))
        )
        return json_answer(201, row.show(real_komm_kz=True))

    def _write(self, row: Komm, sent: Json) -> Answer:
        """Write the three writable fields; kommKz is read-only and silently kept."""
        kept = {} if self.switches.replaces else {"tlf": row.tlf, "bemerkung": row.bemerkung, "online": row.online}
        merged = {**kept, **sent}
        row.tlf, row.bemerkung, row.online = merged.get("tlf"), merged.get("bemerkung"), bool(merged.get("online"))
        self.beteiligte.touch(row)
        if not self.switches.answers_put:
            return Answer(200, {}, b"")
        return json_answer(200, row.show(real_komm_kz=self.switches.real_komm_kz))

    def _sent(self, body: bytes) -> Json:
        """A row's body with lengths applied; refused when a value is, or when it is no object."""
        sent = read_object(body)
        if sent is None:
            raise self._refused(400, "Ungültiges JSON.")
        if sent.get("tlf") in self.switches.refused_values:
            raise self._refused(400, "Der Wert ist ungültig.")
        switches, remark = self.switches, sent.get("bemerkung")
        if isinstance(remark, str):
            sent["bemerkung"] = as_remark(remark, line_ends=switches.line_ends, trims=switches.trims)
        return {**sent, **self._cut(sent, "tlf", switches.max_tlf),
                **self._cut(sent, "bemerkung", switches.max_bemerkung)}

    def _cut(self, sent: Json, name: str, limit: int | None) -> Json:
        text = sent.get(name)
        if limit is None or not isinstance(text, str):
            return {}
        stored = cut(text, limit, utf16=self.switches.utf16, half_letters=self.switches.half_letters)
        if stored != text and self.switches.refuses_too_long:
            raise self._refused(400, f"{name} ist zu lang.")
        return {name: stored}

    def _person(self, betnr: int) -> Beteiligter:
        if self.switches.nobody:
            raise said(404, "Nicht gefunden.", self.switches.nobody)
        missed = self.switches.missed.get(betnr, 0)
        if missed:
            self.switches.missed[betnr] = missed - 1
        person = None if missed else self.beteiligte.persons.get(betnr)
        if person is None:
            raise self._refused(404, "Beteiligter nicht gefunden.")
        return person

    def _row(self, person: Beteiligter, komm_id: int) -> Komm:
        row = person.rows.get(komm_id)
        if row is None:
            raise self._refused(404, "Kommunikation nicht gefunden.")
        return row

    def _refused(self, status: int, reason: str) -> Reply:
        """The end of a refused request, its body in the chosen style; a 404 never a page: that is the address's own."""
        style = self.switches.error_style
        return said(status, reason, ErrorStyle.TEXT if status == NOT_FOUND and style is ErrorStyle.HTML else style)


def said(status: int, reason: str, style: ErrorStyle) -> Reply:
    """The end of a request, its reason in a style."""
    match style:
        case ErrorStyle.JSON:
            return Reply(json_answer(status, {"message": reason}))
        case ErrorStyle.TEXT:
            return Reply(Answer(status, {"Content-Type": "text/plain; charset=utf-8"}, reason.encode()))
        case ErrorStyle.HTML:
            page = f"<html><body><h1>{html.escape(reason)}</h1></body></html>"
            return Reply(Answer(status, {"Content-Type": "text/html; charset=utf-8"}, page.encode()))

"""A simulated Advoware: what Advoware §1 to §3 say, both readings of each assumption, and people at work in its window.

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

from jobs.sandbox.advoware.login import KANZLEI, TokenService, dotnet_time, parse_json_object
from jobs.sandbox.advoware.rows import AdvoDatabase
from jobs.sandbox.advoware.texts import normalize_remark, truncate_text
from jobs.sandbox.simulator import EarlyResponse, SimResponse, Simulator, make_json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from jobs.sandbox.advoware.rows import Beteiligter, KommRow
    from jobs.sandbox.simulator import Json

OFFLINE_MESSAGE = "Der Benutzer ist nicht angemeldet."
MAX_KOMM_KZ = 12
NOT_FOUND = 404


class ErrorStyle(StrEnum):
    """What a refusal's body looks like; not known of the real one."""

    JSON = "json"
    TEXT = "text"
    HTML = "html"


class NotGiven:
    """Stands for an argument not given: None is a value here."""


NOT_GIVEN = NotGiven()


@dataclass(slots=True)
class AdvoBehaviour:
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
    not_found_style: ErrorStyle | None = None
    transient_404s: dict[int, int] = field(
        default_factory=dict
    )  # so many calls about a betNr get 404 although it is there
    blocked_requests: set[tuple[str, int]] = field(default_factory=set)  # a firewall answers 403 to a method and betNr


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
        self.behaviour = AdvoBehaviour()
        self.login = TokenService()
        self.beteiligte = AdvoDatabase(seed)
        prefix = re.escape(path_prefix.strip("/"))
        self._data_path = re.compile(
            rf"(/relay|/connector)?/{prefix}/Beteiligte/(\d+)(?:(/Kommunikationen)(?:/(\d+))?)?"
        )

    # What people do in Advoware's own window

    def add_person(self, betnr: int, name: str, **fields: object) -> None:
        """Store a person; fields are top-level contact fields such as ``mobil``."""
        first, _, last = name.rpartition(" ")
        with self._lock:
            person_fields = {"name": last, "vorname": first or None, **fields}
            self.beteiligte.add_person(betnr, person_fields, dotnet_time(self.clock()))

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
        value: str | NotGiven | None = NOT_GIVEN,
        remark: str | NotGiven | None = NOT_GIVEN,
        komm_kz: int | NotGiven = NOT_GIVEN,
    ) -> None:
        """Let a person change a row. What is not given stays."""
        with self._lock:
            row = self.beteiligte.persons[betnr].rows[komm_id]
            row.tlf = row.tlf if isinstance(value, NotGiven) else value
            row.bemerkung = row.bemerkung if isinstance(remark, NotGiven) else remark
            row.komm_kz = row.komm_kz if isinstance(komm_kz, NotGiven) else komm_kz
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
            self.beteiligte.add_person(new_betnr, dict(person.fields), dotnet_time(self.clock()))
            for row in list(person.rows.values()):
                self.beteiligte.add_row(new_betnr, row.tlf, row.bemerkung, row.komm_kz, online=row.online)

    def delete_person(self, betnr: int) -> None:
        """Let a person delete a Beteiligten: from now on 404."""
        with self._lock:
            del self.beteiligte.persons[betnr]

    def backup(self) -> AdvoDatabase:
        """Everything as it is stored now, to be put back later."""
        with self._lock:
            return copy.deepcopy(self.beteiligte)

    def restore_backup(self, backup: AdvoDatabase) -> None:
        """Let somebody put a backup back: what was written since is gone, and its ids are given out again."""
        with self._lock:
            self.beteiligte = copy.deepcopy(backup)

    def rows(self, betnr: int) -> list[Json]:
        """The person's rows with their real kommKz, without a call in the journal."""
        with self._lock:
            return [row.show(real_komm_kz=True) for row in self.beteiligte.persons[betnr].rows.values()]

    # What callers ask

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> SimResponse:
        """Answer discovery, a token request or a call for data."""
        path, _, query = target.partition("?")
        if path.endswith("/api/Url"):
            return self._discovery(query)
        if path in {"/api/v1/Token", "/gateway/api/v1/Token"}:
            return self._token(method, body)
        match = self._data_path.fullmatch(path)
        if not match or (match[1] != "/connector") is self.behaviour.connector:
            raise advo_refusal(404, "Not Found", ErrorStyle.HTML)  # nothing of ours stands below that address
        if not self.login.accepts(headers, self.clock()):
            raise self._refusal(401, "Token ist ungültig oder abgelaufen.")
        if self.behaviour.offline:
            raise self._refusal(self.behaviour.offline_status, OFFLINE_MESSAGE)
        if (method, int(match[2])) in self.behaviour.blocked_requests:
            raise advo_refusal(403, "The request was blocked.", ErrorStyle.HTML)
        return self._on_person(method, self._require_person(int(match[2])), match[3], match[4], body)

    def _discovery(self, query: str) -> SimResponse:
        if parse_qs(query).get("Kanzlei") != [KANZLEI]:
            raise self._refusal(404, "Die Kanzlei ist nicht registriert.")
        urls: Json = {"relayUrl": f"{self.address}/relay/", "connectorUrl": None}
        if self.behaviour.connector:
            urls["connectorUrl"] = f"{self.address}/connector/"
        if not self.behaviour.old_discovery:
            urls["securityGateway"] = f"{self.address}/gateway/"
        return make_json_response(200, urls)

    def _token(self, method: str, body: bytes) -> SimResponse:
        if method != "POST":
            raise self._refusal(405, "Nur POST.")
        refusal = self.login.refusal(parse_json_object(body) or {}, self.clock())
        if refusal:
            raise self._refusal(401, refusal)
        return make_json_response(200, self.login.issue(self.clock()))

    def _on_person(
        self, method: str, person: Beteiligter, rows: str | None, row_id: str | None, body: bytes
    ) -> SimResponse:
        match method, rows, row_id:
            case "GET", None, None:
                person_json = person.show(real_komm_kz=self.behaviour.real_komm_kz)
                return make_json_response(200, [person_json] if self.behaviour.wrapped else person_json)
            case "POST", str(), None:
                return self._create_row(person, self._read_row_body(body))
            case "PUT", str(), str(number):
                return self._write_row(self._require_row(person, int(number)), self._read_row_body(body))
            case "DELETE", str(), str():
                raise self._refusal(403, "Löschen ist nicht erlaubt.")
        raise self._refusal(405, "Nicht erlaubt.")

    def _create_row(self, person: Beteiligter, sent: Json) -> SimResponse:
        komm_kz = sent.get("kommKz")
        if not isinstance(komm_kz, int) or not 1 <= komm_kz <= MAX_KOMM_KZ:
            raise self._refusal(400, "kommKz ist ungültig.")
        row = self.beteiligte.add_row(
            person.betnr, sent.get("tlf"), sent.get("bemerkung"), komm_kz, online=bool(sent.get("online"))
        )
        return make_json_response(201, row.show(real_komm_kz=True))

    def _write_row(self, row: KommRow, sent: Json) -> SimResponse:
        """Write the three writable fields; kommKz is read-only and silently kept."""
        unchanged_fields = (
            {} if self.behaviour.replaces else {"tlf": row.tlf, "bemerkung": row.bemerkung, "online": row.online}
        )
        merged = {**unchanged_fields, **sent}
        row.tlf, row.bemerkung, row.online = merged.get("tlf"), merged.get("bemerkung"), bool(merged.get("online"))
        self.beteiligte.touch(row)
        if not self.behaviour.answers_put:
            return SimResponse(200, {}, b"")
        return make_json_response(200, row.show(real_komm_kz=self.behaviour.real_komm_kz))

    def _read_row_body(self, body: bytes) -> Json:
        """A row's body with lengths applied; refused when a value is, or when it is no object."""
        sent = parse_json_object(body)
        if sent is None:
            raise self._refusal(400, "Ungültiges JSON.")
        if sent.get("tlf") in self.behaviour.refused_values:
            raise self._refusal(400, "Der Wert ist ungültig.")
        behaviour, remark = self.behaviour, sent.get("bemerkung")
        if isinstance(remark, str):
            sent["bemerkung"] = normalize_remark(remark, line_ends=behaviour.line_ends, trims=behaviour.trims)
        return {**sent, **self._truncate_field(sent, "tlf", behaviour.max_tlf),
                **self._truncate_field(sent, "bemerkung", behaviour.max_bemerkung)}

    def _truncate_field(self, sent: Json, name: str, limit: int | None) -> Json:
        text = sent.get(name)
        if limit is None or not isinstance(text, str):
            return {}
        stored = truncate_text(text, limit, utf16=self.behaviour.utf16, half_letters=self.behaviour.half_letters)
        if stored != text and self.behaviour.refuses_too_long:
            raise self._refusal(400, f"{name} ist zu lang.")
        return {name: stored}

    def _require_person(self, betnr: int) -> Beteiligter:
        if self.behaviour.not_found_style:
            raise advo_refusal(404, "Nicht gefunden.", self.behaviour.not_found_style)
        remaining_404s = self.behaviour.transient_404s.get(betnr, 0)
        if remaining_404s:
            self.behaviour.transient_404s[betnr] = remaining_404s - 1
        person = None if remaining_404s else self.beteiligte.persons.get(betnr)
        if person is None:
            raise self._refusal(404, "Beteiligter nicht gefunden.")
        return person

    def _require_row(self, person: Beteiligter, komm_id: int) -> KommRow:
        row = person.rows.get(komm_id)
        if row is None:
            raise self._refusal(404, "Kommunikation nicht gefunden.")
        return row

    def _refusal(self, status: int, reason: str) -> EarlyResponse:
        """The end of a refused request, its body in the chosen style; a 404 never a page: that is the address's own."""
        style = self.behaviour.error_style
        return advo_refusal(
            status, reason, ErrorStyle.TEXT if status == NOT_FOUND and style is ErrorStyle.HTML else style
        )


def advo_refusal(status: int, reason: str, style: ErrorStyle) -> EarlyResponse:
    """The end of a request, its reason in a style."""
    match style:
        case ErrorStyle.JSON:
            return EarlyResponse(make_json_response(status, {"message": reason}))
        case ErrorStyle.TEXT:
            return EarlyResponse(SimResponse(status, {"Content-Type": "text/plain; charset=utf-8"}, reason.encode()))
        case ErrorStyle.HTML:
            page = f"<html><body><h1>{html.escape(reason)}</h1></body></html>"
            return EarlyResponse(SimResponse(status, {"Content-Type": "text/html; charset=utf-8"}, page.encode()))

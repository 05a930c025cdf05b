"""Datasette over the state store: read-only, on this machine only, and only for whoever started it.

The file is its owner's (mode 0600), but a port on loopback is open to every user of the machine and, by DNS rebinding,
to web pages; so the browser must first come by an address that holds a secret of this very process.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from datasette import hookimpl
from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm
from datasette.utils.asgi import Response
from markupsafe import Markup

from etl.errors import ConfigError, StoreError
from etl.rules.values.kommkz import KommKzTable
from etl.store.database import Store, connect
from etl.store.queries.charts import CHART_QUERIES
from etl.times import UTC_TEXT, format_utc
from jobs.inspector import start_page
from jobs.inspector.both_sides import PersonView
from jobs.inspector.dictionary import Dictionary, load_dictionary
from jobs.inspector.metadata import DATABASE, OWNER, datasette_metadata
from jobs.inspector.person_page import load_person_pages
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobs.config import Config

HOST: Final = "127.0.0.1"
PERSON_PATH: Final = "-/person"

DATASETTE_SETTINGS: Final = {
    "sql_time_limit_ms": 10_000,
    "facet_time_limit_ms": 3_000,
    "suggest_facets": False,
    "allow_download": False,  # a copy of a WAL file alone may be torn: `advosync backup` makes a whole one
    "default_page_size": 100,
    "max_returned_rows": 10_000,
    "max_csv_mb": 0,
    "default_cache_ttl": 0,
}

HEADERS: Final = (
    # No page may load, send or embed anything elsewhere, whatever stands in a remark; nothing stays in a cache.
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
            b"img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        ),
    ),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"same-origin"),
)

#   column       where it leads
CELL_LINKS: Final = {
    "entity_id": (f"/{PERSON_PATH}", "who"),
    "betnr":     (f"/{PERSON_PATH}", "who"),
    "run_id":    (f"/{DATABASE}/what_did_run_write", "run"),
}  # fmt: skip
TIME_COLUMN: Final = re.compile(r"(.*_)?(at|since|oldest)")


class ReadOnly(Database):  # type: ignore[misc]  # Datasette ships no types
    """The state store as the store itself opens it for reading; there is no connection that could write."""

    def connect(self, write: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002  Datasette's signature
        """A read-only connection, each thread its own; StoreError when writing is asked for."""
        if write:
            raise StoreError("The state store is open for reading only.")
        connection = connect(Path(self.path), read_only=True, busy_timeout=10)
        connection.execute("pragma query_only = on")
        return connection


class Inspector:
    """Datasette's plugin: access, the start page, links from a person or a run to its story."""

    def __init__(self, path: Path, dictionary: Dictionary, token: str, view: PersonView) -> None:
        self.__name__ = __package__  # what Datasette calls us, and where it finds our templates
        self.path = path
        self.dictionary = dictionary
        self.view = view
        self.token = token

    @hookimpl  # type: ignore[untyped-decorator]
    def register_routes(self) -> list[tuple[str, Any]]:
        """The route that takes the secret, and the page of a person."""
        return [(r"^/-/enter$", self.enter), (f"^/{PERSON_PATH}$", self.show_person)]

    async def enter(self, request: Any, datasette: Any) -> Any:  # noqa: ANN401  Datasette's own
        """Give whoever knows the secret of this process the cookie that opens all pages."""
        if not secrets.compare_digest(request.args.get("token") or "", self.token):
            return forbidden_response()
        response = Response.redirect("/")
        response.set_cookie("ds_actor", datasette.sign({"a": {"id": OWNER}}, "actor"), httponly=True, samesite="strict")
        return response

    async def show_person(self, request: Any, datasette: Any) -> Any:  # noqa: ANN401  Datasette's own
        """One person on one page."""
        await datasette.ensure_permissions(request.actor, ["view-instance"])
        key = (request.args.get("who") or "").strip()
        now = format_utc(datetime.now(UTC))
        persons = await asyncio.to_thread(load_person_pages, self.path, key, now, self.view)
        if not persons:
            text = f"Nobody is known as {key}: name the ID of an EspoCRM record, or a betnr."
            return Response.text(text, status=404)
        context = {"persons": persons, "zone": self.view.zone}
        return Response.html(await datasette.render_template("person.html", context, request=request))

    @hookimpl  # type: ignore[untyped-decorator]
    def forbidden(self) -> Any:  # noqa: ANN401  Datasette's own
        """Answer 403, with how to get access."""
        return forbidden_response()

    @hookimpl  # type: ignore[untyped-decorator]
    def extra_template_vars(self, view_name: str, datasette: Any) -> Any:  # noqa: ANN401  Datasette's own
        """The variables of the start page's template."""

        async def start_page_vars() -> dict[str, Any]:
            if view_name != "index":
                return {}
            now = datetime.now(UTC)
            days = start_page.last_days(now, self.view.zone)
            span = {"since": days.since(self.view.zone), "until": format_utc(now + timedelta(seconds=1))}
            database = datasette.get_database(DATABASE)
            figures = {
                name: [dict(row) for row in (await database.execute(sql, span)).rows]
                for name, sql in CHART_QUERIES.items()
                if name in start_page.FIGURE_NAMES
            }
            return start_page.start_page_context(figures, self.dictionary, days, self.view.zone)

        return start_page_vars

    @hookimpl  # type: ignore[untyped-decorator]
    def render_cell(self, value: object, column: str, datasette: Any) -> Markup | None:  # noqa: ANN401  Datasette's own
        """A person or a run as a link to its story; a time as the firm's clocks show it."""
        if TIME_COLUMN.fullmatch(column) and isinstance(value, str) and UTC_TEXT.fullmatch(value):
            return Markup('<time title="{} UTC">{}</time>').format(value, format_local(value, self.view.zone))
        if column not in CELL_LINKS or not isinstance(value, str | int):
            return None
        path, parameter = CELL_LINKS[column]
        place = datasette.urls.path(path)
        return Markup('<a href="{}?{}={}">{}</a>').format(place, parameter, value, value)

    @hookimpl  # type: ignore[untyped-decorator]
    def asgi_wrapper(self) -> Callable[[Any], Any]:
        """Put our headers on every answer."""
        return with_headers


def forbidden_response() -> Any:  # noqa: ANN401  Datasette's own
    """The answer 403 to whoever did not come by the address with the secret."""
    message = "This page opens with the address that `advosync inspect` printed when it was started."
    return Response.text(message, status=403)


def with_headers(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The application with ``HEADERS`` on every answer, in the place of its own of these names."""
    names = {name for name, _ in HEADERS}

    async def app_with_headers(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI
        async def send_with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                app_headers = [(name, value) for name, value in message.get("headers", []) if name.lower() not in names]
                message = {**message, "headers": [*app_headers, *HEADERS]}
            await send(message)

        await app(scope, receive, send_with_headers)

    return app_with_headers


def make_datasette(path: Path, token: str, view: PersonView) -> Datasette:
    """Datasette on the state store at ``path``; StoreError when there is none, or it is not ours to read."""
    Store.open(path, now=format_utc(datetime.now(UTC)), read_only=True).close()
    dictionary = load_dictionary()
    pm.register(Inspector(path, dictionary, token, view))
    # Else a refused query prints all local variables, the reader's cookie among them.
    pm.get_plugin("datasette.handle_exception").rich = None
    metadata = datasette_metadata(dictionary, view.zone)
    datasette = Datasette([], memory=True, metadata=metadata, settings=DATASETTE_SETTINGS)
    datasette.remove_database("_memory")
    datasette.add_database(ReadOnly(datasette, path=str(path), is_mutable=True), name=DATABASE)
    return datasette


def serve_inspector(config: Config, command: str, port: int, print_line: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; ``print_line`` gets the address, with its secret. Port 0: any free one.

    ``command`` is how a command line begins that means this configuration.
    """
    token = secrets.token_urlsafe(24)
    table = KommKzTable.default().with_overrides(config.sync.komm_kz_overrides())
    app = make_datasette(config.state.path, token, PersonView(config.schedule.zone, table, command)).app()
    try:
        listening_socket = socket.create_server((HOST, port))
    except OSError as error:
        message = f"Port {port} of {HOST} cannot be used ({error.strerror}); name another with --port."
        raise ConfigError(message) from error
    # asyncio sets this only on sockets that name their protocol; without it each page waits 40 ms for an ACK
    listening_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listening_socket:
        print_line(f"http://{HOST}:{listening_socket.getsockname()[1]}/-/enter?token={token}")
        settings = uvicorn.Config(app, lifespan="on", log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(settings).run([listening_socket])

"""How EspoCRM refuses: often without a body, its reason in a header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.sandbox.espocrm.record import ENTITY
from jobs.sandbox.simulator import EarlyResponse, SimResponse, make_json_response

if TYPE_CHECKING:
    from jobs.sandbox.espocrm.arrays import InvalidField


def espo_refusal(status: int, reason: str, body: object = None) -> EarlyResponse:
    """The end of a request that EspoCRM refuses."""
    headers = {"X-Status-Reason": reason} if reason else {}
    if body is None:
        return EarlyResponse(SimResponse(status, {"Content-Type": "application/json", **headers}, b""))
    return EarlyResponse(make_json_response(status, body, headers))


def blank_refusal() -> EarlyResponse:
    """The end of a request that only an administrator may make: the header for the reason is there, and blank."""
    return EarlyResponse(SimResponse(403, {"Content-Type": "application/json", "X-Status-Reason": ""}, b""))


def field_refusal(error: InvalidField) -> EarlyResponse:
    """The end of a request with a value that EspoCRM does not take."""
    reason = f"Field validation failure; entityType: {ENTITY}, field: {error.field}, type: {error.rule}."
    data = {"field": error.field, "type": error.rule}
    return espo_refusal(
        400, reason, {"messageTranslation": {"label": "validationFailure", "scope": None, "data": data}}
    )


def html_page(status: int, title: str) -> EarlyResponse:
    """A page for people: of the web server, or of PHP dying."""
    return EarlyResponse(
        SimResponse(status, {"Content-Type": "text/html; charset=UTF-8"}, f"<h1>{title}</h1>".encode())
    )

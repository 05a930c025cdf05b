"""How EspoCRM refuses: often without a body, its reason in a header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.sandbox.espocrm_record import ENTITY
from jobs.sandbox.simulator import Answer, Reply, json_answer

if TYPE_CHECKING:
    from jobs.sandbox.espocrm_arrays import InvalidField


def refused(status: int, reason: str, body: object = None) -> Reply:
    """The end of a request that EspoCRM refuses."""
    headers = {"X-Status-Reason": reason} if reason else {}
    if body is None:
        return Reply(Answer(status, {"Content-Type": "application/json", **headers}, b""))
    return Reply(json_answer(status, body, headers))


def of_field(bad: InvalidField) -> Reply:
    """The end of a request with a value that EspoCRM does not take."""
    reason = f"Field validation failure; entityType: {ENTITY}, field: {bad.field}, type: {bad.rule}."
    data = {"field": bad.field, "type": bad.rule}
    return refused(400, reason, {"messageTranslation": {"label": "validationFailure", "scope": None, "data": data}})


def html_page(status: int, title: str) -> Reply:
    """A page for people: of the web server, or of PHP dying."""
    return Reply(Answer(status, {"Content-Type": "text/html; charset=UTF-8"}, f"<h1>{title}</h1>".encode()))

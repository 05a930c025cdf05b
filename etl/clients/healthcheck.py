"""Tells a dead man's switch that a run began, succeeded, or failed and why (``report.ping_url``).

The address is a secret: whoever knows it can silence the alarm. So it stands in no log and in no error.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from pydantic import SecretStr

TIMEOUT_SECONDS = 10.0
MAX_REASON_BYTES = 10_000  # bytes healthchecks.io keeps of a body
FIRST_ERROR_STATUS = 400


class PingEvent(StrEnum):
    """What is told, as the end of the address healthchecks.io and its kin expect."""

    START = "/start"
    SUCCESS = ""
    FAILURE = "/fail"


def ping(
    url: SecretStr, event: PingEvent, reason: str = "", *, transport: httpx.BaseTransport | None = None
) -> str | None:
    """Tell ``event``, with a reason as the body; what went wrong with telling, None when nothing did. Never raises."""
    try:
        address = httpx.URL(url.get_secret_value())
        target = address.copy_with(path=address.path.rstrip("/") + event)
        with httpx.Client(timeout=TIMEOUT_SECONDS, transport=transport, headers={"User-Agent": "advosync"}) as client:
            response = client.post(target, content=reason.encode()[:MAX_REASON_BYTES])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError, OSError) as error:  # the latter: a bad proxy
        return type(error).__name__
    return f"it answered {response.status_code}" if response.status_code >= FIRST_ERROR_STATUS else None

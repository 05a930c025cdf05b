"""Logs: pretty on a terminal, JSON elsewhere, on standard error, and no secret in them.

``run_id`` and ``entity_id`` are bound with ``structlog.contextvars`` and stand on every line of their run or person.
Everything, also what libraries log, passes one formatter; the mask there is a second line of defence: nothing is
meant to log a secret in the first place.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, TextIO
from urllib.parse import quote

from etl.environment import proxy_secrets
from etl.lazy_imports import hide_modules
from jobs.config import LogFormat
from jobs.screen import DECISION_LOGGER

with hide_modules("rich"):  # it would draw traces, which are plain here, and takes a tenth of the start of `status`
    import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from structlog.typing import Processor

MASK = "***"
MIN_SECRET_LENGTH = 4
"""Secrets shorter than this are not masked: they would blot out half of every line."""

BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}")
NOISY_LOGGERS = ("httpcore", "apscheduler", "vcr", "urllib3", "asyncio", "uvicorn.access")
"""Loggers that would write addresses, headers or mere noise below WARNING, whatever the level asked for."""

REQUEST_LOGGER = "httpx"
"""Who writes a line for each answer, whole address included; ``RequestLine`` makes ours of it."""

REQUEST_ARGUMENTS = 5
"""Method, address, protocol, status, reason."""

SHARED_PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def configure_logging(
    log_format: LogFormat = LogFormat.AUTO,
    *,
    secrets: Iterable[str] = (),
    level: int = logging.INFO,
    details: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Sends all logs to ``stream`` (standard error unless given), in the format asked for.

    ``secrets`` are masked, and what the environment tells of a proxy's login. With ``details`` each request and each
    decision is a line, by ids; at ``DEBUG`` with values.
    """
    stream = stream or sys.stderr
    pretty = stream.isatty() if log_format is LogFormat.AUTO else log_format is LogFormat.PRETTY
    handler = logging.StreamHandler(stream)
    handler.setFormatter(MaskingFormatter([*secrets, *proxy_secrets()], renderers(pretty=pretty, stream=stream)))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    detail_level = level if details else max(level, logging.WARNING)
    logging.getLogger(DECISION_LOGGER).setLevel(detail_level)
    requests = logging.getLogger(REQUEST_LOGGER)
    requests.setLevel(max(detail_level, logging.INFO))
    requests.filters = [RequestLine(with_query=level <= logging.DEBUG)]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED_PROCESSORS,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class RequestLine(logging.Filter):
    """Makes of httpx's line ``request GET host/path 200``: a query may hold numbers of people, so it is left out."""

    def __init__(self, *, with_query: bool) -> None:
        super().__init__()
        self.with_query = with_query

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a request's line; a line of another shape is nobody's."""
        if not isinstance(record.args, tuple) or len(record.args) != REQUEST_ARGUMENTS:
            return False
        method, url, _, status, _ = record.args
        address, _, query = str(url).partition("://")[2].partition("?")
        shown = f"{address}?{query}" if query and self.with_query else address
        record.msg, record.args = "request %s %s %s", (method, shown, status)
        return True


def renderers(*, pretty: bool, stream: TextIO) -> list[Processor]:
    """The last steps of a line, without the traces' local variables: they hold people's numbers."""
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if pretty:
        format_traceback = structlog.dev.plain_traceback
        return [
            without_meta,
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=format_traceback),
        ]
    return [without_meta, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


class MaskingFormatter(structlog.stdlib.ProcessorFormatter):
    """A formatter that blots out secrets in the finished line, whatever brought them there."""

    def __init__(self, secrets: Iterable[str], processors: list[Processor]) -> None:
        super().__init__(foreign_pre_chain=SHARED_PROCESSORS, processors=processors)
        self.secret_variants = secret_variants(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """The line, masked."""
        return mask_line(super().format(record), self.secret_variants)


def secret_variants(secrets: Iterable[str]) -> list[str]:
    """Every way a secret may stand in a line: as it is, in JSON, in an address, in a repr; longest first."""
    variants = {
        variant
        for secret in secrets
        if len(secret) >= MIN_SECRET_LENGTH
        for variant in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(secret),
            quote(secret, safe=""),
            repr(secret)[1:-1],
        )
    }
    return sorted(variants, key=len, reverse=True)


def mask_line(line: str, variants: Iterable[str]) -> str:
    """``line`` without the known spellings of secrets and without bearer tokens."""
    for variant in variants:
        line = line.replace(variant, MASK)
    return BEARER.sub(rf"\1{MASK}", line)

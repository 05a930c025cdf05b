"""One message to people when a person is newly held or failed for good, and when no run gets through any more.

Apprise sends it (``report.notify``). What was told is remembered in the state store: a hold by its number, a failed
person until it is in sync again, an outage until it is over. A message names no phone and no mail; it may go to a chat
of another company.
"""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from etl.enums import PersonStatus
from etl.errors import ConfigError
from etl.store.queries.status import failing_persons, outage_since
from etl.store.tables.holds import open_holds
from etl.times import format_utc, parse_utc
from jobs.exit_codes import CommandOutcome
from jobs.promise import EDITED_SYSTEMS, format_seconds, is_promise_kept
from jobs.telemetry.notice_texts import NOTICE_TEXTS
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime, tzinfo
    from typing import Any

    from etl.store.database import Store
    from jobs.config import Language
    from jobs.run.report import RunReport
    from jobs.telemetry.notice_texts import NoticeTexts

NOTIFIED_HOLD_KEY: Final = "told_hold"
"""Setting: the highest number of a hold people were told of."""

NOTIFIED_FAILURES_KEY: Final = "told_failed"
"""Setting: JSON, the persons whose failure people were told of."""

NOTIFIED_OUTAGE_KEY: Final = "notified_outage"
"""Setting: since when the outage lasts that people were told of; empty when it is over."""

NOTIFIED_PROMISES_KEY: Final = "notified_promises"
"""Setting: JSON, of which system's edits people were told that they take longer than promised, and when."""

OUTAGE_PATIENCE = timedelta(days=1)
"""An outage is told once it lasts so long, a refused login at once: it does not end by itself.

That a promise holds again is told no earlier than so long after it was broken.
"""

MAX_NAMED_PERSONS = 20
"""More persons than this are counted, not named."""


class PromiseNotice(NamedTuple):
    """The edits of one system take longer than promised, or no longer do."""

    edits: str
    is_kept: bool
    figures: Mapping[str, Any]


class OutageNotice(NamedTuple):
    """No run gets through since then, or runs do again (``error`` is None)."""

    since: str
    error: str | None
    login_refused: bool = False


@dataclass(frozen=True)
class PendingNotices:
    """What people do not know yet."""

    holds: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    still_failing: list[str]
    outage: OutageNotice | None
    promises: Sequence[PromiseNotice] = ()

    @property
    def is_any(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.holds or self.failed or self.outage or self.promises)


def pending_outage(store: Store, report: RunReport, now: datetime) -> OutageNotice | None:
    """An outage to tell of, or its end; once each, by what runs over everybody meet."""
    notified_since = store.setting(NOTIFIED_OUTAGE_KEY)
    if report.outcome.is_completed:
        return OutageNotice(notified_since, None) if notified_since else None
    since = outage_since(store) if report.outcome is CommandOutcome.OUTAGE else None
    if since is None or notified_since:
        return None
    if not report.login_refused and now - parse_utc(since) < OUTAGE_PATIENCE:
        return None
    return OutageNotice(since, report.error or "", report.login_refused)


def pending_promises(store: Store, status: Mapping[str, Any], now: datetime) -> list[PromiseNotice]:
    """Which promises are broken and nobody knows, and which hold again, at the earliest a day after that."""
    notified = json.loads(store.setting(NOTIFIED_PROMISES_KEY) or "{}")
    notices = []
    for edits, system in EDITED_SYSTEMS.items():
        is_kept, broken_at = is_promise_kept(status, edits), notified.get(edits)
        is_news = broken_at is None if is_kept is False else (
            is_kept and broken_at is not None and now - parse_utc(broken_at) >= OUTAGE_PATIENCE
        )
        if is_news:
            figures = {
                "system": system,
                "count": status["measured"][edits]["edits"],
                "days": status["measured"]["days"],
                "measured": format_seconds(status["measured"][edits]["p95_seconds"]),
                "promised": format_seconds(status["promise"][f"{edits}_seconds"]),
            }
            notices.append(PromiseNotice(edits, bool(is_kept), figures))
    return notices


def pending_notices(
    store: Store, full_run: RunReport | None, now: datetime, status: Mapping[str, Any] | None = None
) -> PendingNotices:
    """What people were not told yet: who is held or failed for good, and that no run gets through, or runs do again.

    ``full_run`` is the run that just ended, where it was one over everybody; ``status`` is what ``status`` says then.
    """
    last_hold = int(store.setting(NOTIFIED_HOLD_KEY) or 0)
    notified = set(json.loads(store.setting(NOTIFIED_FAILURES_KEY) or "[]"))
    failing = failing_persons(store)
    permanent = [person for person in failing if person["status"] == PersonStatus.PERMANENTLY_FAILED]
    return PendingNotices(
        holds=[hold for hold in open_holds(store) if hold["id"] > last_hold],
        failed=[person for person in permanent if person["entity_id"] not in notified],
        still_failing=[
            person["entity_id"] for person in failing if person["entity_id"] in notified or person in permanent
        ],
        outage=pending_outage(store, full_run, now) if full_run is not None else None,
        promises=pending_promises(store, status, now) if status is not None else (),
    )


def save_notified_state(store: Store, notices: PendingNotices, now: datetime) -> None:
    """Note what people know now; who is in sync again may be told of again."""
    with store.transaction():
        if notices.holds:
            store.set_setting(NOTIFIED_HOLD_KEY, str(max(hold["id"] for hold in notices.holds)))
        failing = json.dumps(sorted(notices.still_failing))
        if failing != (store.setting(NOTIFIED_FAILURES_KEY) or "[]"):
            store.set_setting(NOTIFIED_FAILURES_KEY, failing)
        if notices.outage is not None:
            store.set_setting(NOTIFIED_OUTAGE_KEY, notices.outage.since if notices.outage.error is not None else "")
        if notices.promises:
            kept = {notice.edits for notice in notices.promises if notice.is_kept}
            notified = json.loads(store.setting(NOTIFIED_PROMISES_KEY) or "{}")
            notified |= {notice.edits: format_utc(now) for notice in notices.promises}
            remaining = {edits: at for edits, at in notified.items() if edits not in kept}
            store.set_setting(NOTIFIED_PROMISES_KEY, json.dumps(remaining))


def notify_once(
    store: Store,
    wording: Wording,
    full_run: RunReport | None,
    send: Callable[[str, str], Delivery],
    now: datetime,
    status: Mapping[str, Any] | None = None,
) -> Delivery:
    """Tell people once. What no address took is told next time.

    What one of them took counts as told: else it would hear the same after each run, as long as another one refuses.
    """
    notices = pending_notices(store, full_run, now, status)
    delivery = send(*notice_message(notices, wording)) if notices.is_any else NOTHING_SENT
    if delivery.accepted or not notices.is_any:
        save_notified_state(store, notices, now)
    return delivery


def require_apprise(addresses: Collection[object]) -> None:
    """``ConfigError`` where people are to be told and the library for it is not there: nothing is started then."""
    if addresses and find_spec("apprise") is None:
        raise ConfigError("report.notify needs its extra: pip install 'advosync[notify]'.")


class Delivery(NamedTuple):
    """Which addresses took a message and which did not, counted from 1: they hold secrets, so nothing names them."""

    accepted: list[int]
    refused: list[int]


NOTHING_SENT: Final = Delivery([], [])


def apprise_sender(addresses: Sequence[str]) -> Callable[[str, str], Delivery]:
    """A way to send a title and a text to each of these Apprise addresses."""

    def send(title: str, body: str) -> Delivery:
        import apprise  # noqa: PLC0415 - two tenths of a second, and only when there is something to tell

        delivery = Delivery([], [])
        for number, address in enumerate(addresses, 1):
            post = apprise.Apprise()
            with silent_apprise():
                is_accepted = post.add(address)
            is_accepted = is_accepted and bool(post.notify(title=title, body=body))
            (delivery.accepted if is_accepted else delivery.refused).append(number)
        return delivery

    return send


def warn_of_refusals(delivery: Delivery, source: str) -> None:
    """Log which addresses of the configuration did not take a message."""
    for number in delivery.refused:
        reason = f"address {number} of {source} refused it; `advosync check --test-message` tries it"
        structlog.get_logger().warning("not_told", about="message", reason=reason)


@contextmanager
def silent_apprise() -> Iterator[None]:
    """Let Apprise log nothing while it reads an address: it would log one it cannot read, or the wrong part of it."""
    logger = logging.getLogger("apprise")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def invalid_addresses(addresses: Sequence[str]) -> list[int]:
    """Which of these addresses Apprise cannot send to, counted from 1; ``ConfigError`` where Apprise is missing."""
    require_apprise(addresses)
    import apprise  # noqa: PLC0415 - two tenths of a second, and only for `check`

    with silent_apprise():
        return [number for number, address in enumerate(addresses, 1) if not apprise.Apprise().add(address)]


# What is said ------------------------------------------------------------------------------------------------------


class Wording(NamedTuple):
    """In which language people are told, and by which clocks."""

    language: Language
    zone: tzinfo


def notice_message(notices: PendingNotices, wording: Wording) -> tuple[str, str]:
    """Title and text of one message about everything that is new."""
    texts = NOTICE_TEXTS[wording.language]
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for hold in notices.holds:
        groups.setdefault((hold["run_id"], hold["kind"]), []).append(hold)
    parts = [
        texts.held.format(run=run, count=len(persons), kind=texts.kinds[kind], who=betnr_list(persons, texts))
        for (run, kind), persons in groups.items()
    ]
    if notices.failed:
        parts.append(texts.failed.format(who=betnr_list(notices.failed, texts)))
    titles = [texts.title] if parts else []
    if notices.outage is not None:
        titles.append(texts.title_of_outage if notices.outage.error is not None else texts.title_of_its_end)
        parts.insert(0, outage_text(notices.outage, texts, wording.zone))
    for notice in notices.promises:
        titles.append(texts.title_of_kept if notice.is_kept else texts.title_of_late)
        parts.append((texts.kept if notice.is_kept else texts.late).format(**notice.figures))
    return titles[0], "\n\n".join(parts)


def outage_text(outage: OutageNotice, texts: NoticeTexts, zone: tzinfo) -> str:
    """Since when no run gets through and why, or that it is over."""
    since = format_local(outage.since, zone)
    if outage.error is None:
        return texts.outage_over.format(since=since)
    sentence = texts.login_refused if outage.login_refused else texts.outage
    return sentence.format(since=since, error=outage.error)


def send_test_messages(addresses: Sequence[str], language: Language) -> list[int]:
    """Send each address a message that says it is a test; which ones did not take it, counted from 1."""
    return apprise_sender(addresses)("advosync", NOTICE_TEXTS[language].test).refused


def betnr_list(persons: Sequence[dict[str, Any]], texts: NoticeTexts) -> str:
    """The persons by betnr, the first ones of many."""
    numbers = [str(person["betnr"] or person["entity_id"]) for person in persons[:MAX_NAMED_PERSONS]]
    rest = len(persons) - len(numbers)
    return ", ".join(numbers) + (f" {texts.more.format(count=rest)}" if rest else "")

"""One message to people when a person is newly held or failed for good, through Apprise (``report.notify``).

What was told is remembered in the state store: a hold by its number, a failed person until it is in sync again. A
message names no phone and no mail; it may go to a chat of another company.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from etl.enums import HoldKind, PersonStatus
from etl.errors import ConfigError
from etl.store.queries.status import failing_persons
from etl.store.tables.holds import open_holds
from jobs.config import Language

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

    from etl.store.database import Store

NOTIFIED_HOLD_KEY: Final = "told_hold"
"""Setting: the highest number of a hold people were told of."""

NOTIFIED_FAILURES_KEY: Final = "told_failed"
"""Setting: JSON, the persons whose failure people were told of."""

MAX_NAMED_PERSONS = 20
"""More persons than this are counted, not named."""


@dataclass(frozen=True)
class PendingNotices:
    """What people do not know yet."""

    holds: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    still_failing: list[str]

    @property
    def is_any(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.holds or self.failed)


def pending_notices(store: Store) -> PendingNotices:
    """What is held or failed for good, and was not told."""
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
    )


def save_notified_state(store: Store, notices: PendingNotices) -> None:
    """Note what people know now; who is in sync again may be told of again."""
    with store.transaction():
        if notices.holds:
            store.set_setting(NOTIFIED_HOLD_KEY, str(max(hold["id"] for hold in notices.holds)))
        failing = json.dumps(sorted(notices.still_failing))
        if failing != (store.setting(NOTIFIED_FAILURES_KEY) or "[]"):
            store.set_setting(NOTIFIED_FAILURES_KEY, failing)


def notify_once(store: Store, language: Language, send: Callable[[str, str], bool]) -> bool | None:
    """Tell people once; whether it went out, None when there was nothing to tell. Not sent is told next time."""
    notices = pending_notices(store)
    if notices.is_any and not send(*notice_message(notices, language)):
        return False
    save_notified_state(store, notices)
    return True if notices.is_any else None


def require_apprise(addresses: Collection[object]) -> None:
    """``ConfigError`` where people are to be told and the library for it is not there: nothing is started then."""
    if addresses and find_spec("apprise") is None:
        raise ConfigError("report.notify needs its extra: pip install 'advosync[notify]'.")


def apprise_sender(addresses: Sequence[str]) -> Callable[[str, str], bool]:
    """A way to send a title and a text to these Apprise addresses; True when all of them took it."""

    def send(title: str, body: str) -> bool:
        import apprise  # noqa: PLC0415 - two tenths of a second, and only when there is something to tell

        post = apprise.Apprise()
        accepted = [post.add(address) for address in addresses]
        return all(accepted) and bool(post.notify(title=title, body=body))

    return send


def invalid_addresses(addresses: Sequence[str]) -> list[int]:
    """Which of these addresses Apprise cannot send to, counted from 1; ``ConfigError`` where Apprise is missing."""
    require_apprise(addresses)
    import apprise  # noqa: PLC0415 - two tenths of a second, and only for `check`

    logger = logging.getLogger("apprise")  # it would log the address it cannot read
    before, logger.disabled = logger.disabled, True
    try:
        return [number for number, address in enumerate(addresses, 1) if not apprise.Apprise().add(address)]
    finally:
        logger.disabled = before


# What is said ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoticeTexts:
    """The sentences of one language."""

    title: str
    held: str
    failed: str
    kinds: dict[str, str]
    more: str


NOTICE_TEXTS: Final = {
    Language.DE: NoticeTexts(
        title="advosync braucht eine Entscheidung",
        held="Lauf {run} hält {count} zurück ({kind}): {who}.\n"
        "Ansehen: advosync held – freigeben: advosync approve {run}",
        failed="Mehrmals fehlgeschlagen, nächster Versuch in einem Tag: {who}.\n"
        "Der Grund steht in EspoCRM am Datensatz. Sofort noch einmal: advosync retry",
        kinds={
            HoldKind.REMOVALS: "es würde ungewöhnlich viel entfernt oder überschrieben",
            HoldKind.CONFIGURATION: "die Einstellungen haben sich geändert",
            HoldKind.RECOVERY: "der Zustandsspeicher kennt die Person nicht mehr",
            HoldKind.SECOND_WRITER: "ein anderes Programm schreibt hier ebenfalls",
            HoldKind.ENDINGS:
                "nicht mehr gefunden oder nicht mehr verknüpft wie zuvor, und das bei zu vielen auf einmal",
        },
        more="und {count} weitere",
    ),
    Language.EN: NoticeTexts(
        title="advosync needs a decision",
        held="Run {run} holds {count} back ({kind}): {who}.\n"
        "Look: advosync held – release: advosync approve {run}",
        failed="Failed repeatedly, tried again in a day: {who}.\n"
        "The reason stands in the record in EspoCRM. To try at once: advosync retry",
        kinds={
            HoldKind.REMOVALS: "unusually much would be removed or overwritten",
            HoldKind.CONFIGURATION: "the configuration changed",
            HoldKind.RECOVERY: "the state store does not know the person any more",
            HoldKind.SECOND_WRITER: "another program writes here too",
            HoldKind.ENDINGS: "not found, or not linked as before any more, and so are too many at once",
        },
        more="and {count} more",
    ),
}  # fmt: skip


def notice_message(notices: PendingNotices, language: Language) -> tuple[str, str]:
    """Title and text of one message about everything that is new."""
    texts = NOTICE_TEXTS[language]
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for hold in notices.holds:
        groups.setdefault((hold["run_id"], hold["kind"]), []).append(hold)
    parts = [
        texts.held.format(run=run, count=len(persons), kind=texts.kinds[kind], who=betnr_list(persons, texts))
        for (run, kind), persons in groups.items()
    ]
    if notices.failed:
        parts.append(texts.failed.format(who=betnr_list(notices.failed, texts)))
    return texts.title, "\n\n".join(parts)


def betnr_list(persons: Sequence[dict[str, Any]], texts: NoticeTexts) -> str:
    """The persons by betnr, the first ones of many."""
    numbers = [str(person["betnr"] or person["entity_id"]) for person in persons[:MAX_NAMED_PERSONS]]
    rest = len(persons) - len(numbers)
    return ", ".join(numbers) + (f" {texts.more.format(count=rest)}" if rest else "")

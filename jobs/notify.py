"""One message to people when a person is newly held or failed for good, through Apprise (``report.notify``).

What was told is remembered in the state store: a hold by its number, a failed person until it is in sync again. A
message names no phone and no mail; it may go to a chat of another company.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etl.store.holds import open_holds
from etl.store.standing import failing_persons
from jobs.config import Language

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from etl.store.database import Store

TOLD_HOLD: Final = "told_hold"
"""Setting: the highest number of a hold people were told of."""

TOLD_FAILED: Final = "told_failed"
"""Setting: JSON, the persons whose failure people were told of."""

NAMED = 20
"""More persons than this are counted, not named."""


@dataclass(frozen=True)
class News:
    """What people do not know yet."""

    holds: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    still_failing: list[str]

    @property
    def any(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.holds or self.failed)


def news(store: Store) -> News:
    """What is held or failed for good, and was not told."""
    told_hold = int(store.setting(TOLD_HOLD) or 0)
    told = set(json.loads(store.setting(TOLD_FAILED) or "[]"))
    failing = failing_persons(store)
    permanent = [one for one in failing if one["status"] == "permanently_failed"]
    return News(
        holds=[one for one in open_holds(store) if one["id"] > told_hold],
        failed=[one for one in permanent if one["entity_id"] not in told],
        still_failing=[one["entity_id"] for one in failing if one["entity_id"] in told or one in permanent],
    )


def remember(store: Store, told: News) -> None:
    """Note what people know now; who is in sync again may be told of again."""
    with store.transaction():
        if told.holds:
            store.set_setting(TOLD_HOLD, str(max(one["id"] for one in told.holds)))
        known = json.dumps(sorted(told.still_failing))
        if known != (store.setting(TOLD_FAILED) or "[]"):
            store.set_setting(TOLD_FAILED, known)


def tell(store: Store, language: Language, send: Callable[[str, str], bool]) -> bool | None:
    """Tell people once; whether it went out, None when there was nothing to tell. Not sent is told next time."""
    found = news(store)
    if found.any and not send(*message(found, language)):
        return False
    remember(store, found)
    return True if found.any else None


def by_apprise(addresses: Sequence[str]) -> Callable[[str, str], bool]:
    """A way to send a title and a text to these Apprise addresses; True when all of them took it."""

    def send(title: str, body: str) -> bool:
        import apprise  # noqa: PLC0415 - two tenths of a second, and only when there is something to tell

        post = apprise.Apprise()
        known = [post.add(address) for address in addresses]
        return all(known) and bool(post.notify(title=title, body=body))

    return send


def impossible(addresses: Sequence[str]) -> list[int]:
    """Which of these addresses Apprise cannot send to, counted from 1."""
    import apprise  # noqa: PLC0415 - two tenths of a second, and only for `check`

    quiet = logging.getLogger("apprise")  # it would log the address it cannot read
    before, quiet.disabled = quiet.disabled, True
    try:
        return [number for number, one in enumerate(addresses, 1) if not apprise.Apprise().add(one)]
    finally:
        quiet.disabled = before


# What is said ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phrases:
    """The sentences of one language."""

    title: str
    held: str
    failed: str
    kinds: dict[str, str]
    more: str


PHRASES: Final = {
    Language.DE: Phrases(
        title="advosync braucht eine Entscheidung",
        held="Lauf {run} hält {count} zurück ({kind}): {who}.\n"
        "Ansehen: advosync held – freigeben: advosync approve {run}",
        failed="Mehrmals fehlgeschlagen, nächster Versuch in einem Tag: {who}.\n"
        "Der Grund steht in EspoCRM am Datensatz. Sofort noch einmal: advosync retry",
        kinds={
            "removals": "es würde ungewöhnlich viel entfernt oder überschrieben",
            "configuration": "die Einstellungen haben sich geändert",
            "recovery": "der Zustandsspeicher kennt die Person nicht mehr",
            "second_writer": "ein anderes Programm schreibt hier ebenfalls",
            "endings": "nicht mehr gefunden oder nicht mehr verknüpft wie zuvor, und das bei zu vielen auf einmal",
        },
        more="und {count} weitere",
    ),
    Language.EN: Phrases(
        title="advosync needs a decision",
        held="Run {run} holds {count} back ({kind}): {who}.\n"
        "Look: advosync held – release: advosync approve {run}",
        failed="Failed repeatedly, tried again in a day: {who}.\n"
        "The reason stands in the record in EspoCRM. To try at once: advosync retry",
        kinds={
            "removals": "unusually much would be removed or overwritten",
            "configuration": "the configuration changed",
            "recovery": "the state store does not know the person any more",
            "second_writer": "another program writes here too",
            "endings": "not found, or not linked as before any more, and so are too many at once",
        },
        more="and {count} more",
    ),
}  # fmt: skip


def message(told: News, language: Language) -> tuple[str, str]:
    """Title and text of one message about everything that is new."""
    phrases = PHRASES[language]
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for one in told.holds:
        groups.setdefault((one["run_id"], one["kind"]), []).append(one)
    parts = [
        phrases.held.format(run=run, count=len(persons), kind=phrases.kinds[kind], who=named(persons, phrases))
        for (run, kind), persons in groups.items()
    ]
    if told.failed:
        parts.append(phrases.failed.format(who=named(told.failed, phrases)))
    return phrases.title, "\n\n".join(parts)


def named(persons: Sequence[dict[str, Any]], phrases: Phrases) -> str:
    """The persons by betnr, the first ones of many."""
    shown = [str(one["betnr"] or one["entity_id"]) for one in persons[:NAMED]]
    rest = len(persons) - len(shown)
    return ", ".join(shown) + (f" {phrases.more.format(count=rest)}" if rest else "")

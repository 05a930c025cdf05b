"""``retry``: an operator wants persons tried now, whatever they were to wait for; recorded with who and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.store.asking import allow_again, failing, try_again
from etl.store.database import Store
from etl.store.persons import find_persons
from jobs.recorded import Asked, recorded
from jobs.world import REAL, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.config import Config

RETRY = "retry"
WHY = "an operator asked to try it again"


@dataclass(frozen=True)
class Retried:
    """Who is due now, and how many entries an undo had held back."""

    persons: list[dict[str, Any]]
    allowed: int


def retry(config: Config, keys: Sequence[str], asked: Asked, *, world: World = REAL) -> Retried:
    """Make persons due: those named, or everybody who failed where nobody is.

    Of those named, what an undo took back may happen again; of those merely failing it may not, as nobody spoke of it.
    """
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store, store.transaction():
        persons = chosen(store, keys) if keys else failing(store)
        ids = [one["entity_id"] for one in persons]
        recorded(store, RETRY, asked, world.now(), {"retried": ids})
        allowed = allow_again(store, ids) if keys else 0
        try_again(store, ids, WHY, world.now())
    shown = ("entity_id", "betnr", "name", "status", "error")
    return Retried([{name: one[name] for name in shown} for one in persons], allowed)


def chosen(store: Store, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The persons meant; ConfigError naming those that nobody is known as, and then nothing is done."""
    found = {key: find_persons(store, key) for key in keys}
    unknown = [key for key, persons in found.items() if not persons]
    if unknown:
        raise ConfigError(f"Nobody is known as {', '.join(unknown)}: name the id of an EspoCRM record, or a betnr.")
    return list({one["entity_id"]: one for persons in found.values() for one in persons}.values())


def to_document(retried: Retried) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {"outcome": "done", **asdict(retried)}


def told(retried: Retried) -> list[str]:
    """What people read."""
    if not retried.persons:
        return ["Nobody has failed; there is nobody to try again."]
    lines = [f"{one['entity_id']} / {one['betnr'] or 'no betnr'}: due now" for one in retried.persons]
    if retried.allowed:
        lines.append(f"{retried.allowed} entries that an undo held back may change again.")
    return [*lines, "The next run takes them; `advosync sync --person …` does it at once."]

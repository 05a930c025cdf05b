"""``retry``: an operator wants persons tried now, whatever they were to wait for; recorded with who and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.tables.persons import clear_undo_notes, find_persons, load_failing_persons, retry_now
from jobs.commands.operator_log import OperatorRequest, record_operation
from jobs.environment import PRODUCTION, Environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.config import Config

RETRY_TRIGGER = "retry"
DUE_REASON = "an operator asked to try it again"


@dataclass(frozen=True)
class RetryResult:
    """Who is due now, and how many entries an undo had held back."""

    persons: list[dict[str, Any]]
    allowed: int


def retry_persons(
    config: Config, keys: Sequence[str], request: OperatorRequest, *, environment: Environment = PRODUCTION
) -> RetryResult:
    """Make persons due: those named, or everybody who failed where nobody is.

    Of those named, what an undo took back may happen again; of those merely failing it may not, as nobody spoke of it.
    """
    with (
        Store.open_existing(config.state.path, now=environment.now(), durable=environment.durable) as store,
        store.transaction(),
    ):
        persons = find_requested_persons(store, keys) if keys else load_failing_persons(store)
        ids = [person["entity_id"] for person in persons]
        record_operation(store, RETRY_TRIGGER, request, environment.now(), {"retried": ids})
        allowed = clear_undo_notes(store, ids) if keys else 0
        retry_now(store, ids, DUE_REASON, environment.now())
    columns = ("entity_id", "betnr", "name", "status", "error")
    return RetryResult([{name: person[name] for name in columns} for person in persons], allowed)


def find_requested_persons(store: Store, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The persons meant; ConfigError naming those that nobody is known as, and then nothing is done."""
    persons_by_key = {key: find_persons(store, key) for key in keys}
    unknown_keys = [key for key, persons in persons_by_key.items() if not persons]
    if unknown_keys:
        raise ConfigError(
            f"Nobody is known as {', '.join(unknown_keys)}: name the id of an EspoCRM record, or a betnr."
        )
    return list({person["entity_id"]: person for persons in persons_by_key.values() for person in persons}.values())


def retry_lines(result: RetryResult) -> list[str]:
    """What people read."""
    if not result.persons:
        return ["Nobody has failed; there is nobody to try again."]
    lines = [f"{person['entity_id']} / {person['betnr'] or 'no betnr'}: due now" for person in result.persons]
    if result.allowed:
        lines.append(f"{result.allowed} entries that an undo held back may change again.")
    return [*lines, "The next run takes them; `advosync sync --person …` does it at once."]

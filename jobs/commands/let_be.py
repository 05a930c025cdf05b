"""``let-be``: an operator leaves held persons as they are, until somebody edits an entry of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.enums import HoldKind
from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.tables.holds import let_holds_be, open_holds, release_holds
from etl.store.tables.persons import load_persons
from etl.store.tables.snapshots import digest_of_entries
from jobs.commands.operator_log import OperatorRequest, record_operation
from jobs.environment import PRODUCTION, Environment
from jobs.run.approve import select_holds
from jobs.run.undo_restore import planner_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.config import Config

LET_BE_TRIGGER = "let_be"


def let_persons_be(
    config: Config,
    held_run_id: int,
    named_keys: Sequence[str],
    request: OperatorRequest,
    *,
    environment: Environment = PRODUCTION,
) -> list[dict[str, Any]]:
    """Leave the persons a run holds as they are, or those that are named; who they are.

    They stay held, so that nothing of theirs is written, until the values of either side are not those of the last
    look. What an undo would have put back of them is given up instead: nothing else keeps them from being synced.
    """
    with (
        Store.open_existing(config.state.path, now=environment.now(), durable=environment.durable) as store,
        store.transaction(),
    ):
        holds = holds_to_leave(store, held_run_id, named_keys)
        entity_ids = [hold["entity_id"] for hold in holds]
        record_operation(
            store, LET_BE_TRIGGER, request, environment.now(), {"let_be": entity_ids}, about=held_run_id
        )
        if planner_for(store, held_run_id) is not None:
            released_by = f"{request.operator}, who let it be"
            release_holds(store, [hold["id"] for hold in holds], now=environment.now(), released_by=released_by)
        else:
            digests = {hold["id"]: digest_of_entries(store, hold["entity_id"], hold["betnr"]) for hold in holds}
            reason = f"{request.operator} leaves it as it is, until an entry of it changes"
            let_holds_be(store, digests, now=environment.now(), reason=reason)
        persons = load_persons(store, entity_ids)
    return [{column: person[column] for column in ("entity_id", "betnr", "name")} for person in persons]


def holds_to_leave(store: Store, held_run_id: int, named_keys: Sequence[str]) -> list[dict[str, Any]]:
    """The holds that are meant; ConfigError where there are none, or somebody is held who is not there."""
    run_holds = open_holds(store, run_id=held_run_id)
    if not run_holds:
        raise ConfigError(f"Run {held_run_id} holds nobody back; `advosync held` shows which runs do.")
    holds = select_holds(run_holds, f"Run {held_run_id} holds nobody back who is", named_keys)
    if absent_ids := [hold["entity_id"] for hold in holds if hold["kind"] == HoldKind.ENDINGS]:
        raise ConfigError(
            f"{', '.join(absent_ids)}: not there as agreed, so there is nothing to let be; put that right, or approve."
        )
    return holds


def let_be_lines(persons: Sequence[dict[str, Any]], held_run_id: int) -> list[str]:
    """What people read."""
    lines = [f"{person['entity_id']} / {person['betnr'] or 'no betnr'}: left as it is" for person in persons]
    advice = f"Should it be carried out after all: `advosync approve {held_run_id} --person …`."
    return [*lines, f"Nothing of theirs is written until an entry of theirs changes. {advice}"]

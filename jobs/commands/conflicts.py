"""``conflicts``: the values that lost, until somebody saw or restored them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.tables.conflicts import list_conflicts, load_conflict, set_seen_at
from jobs.commands.operator_log import OperatorRequest, record_operation
from jobs.environment import PRODUCTION, Environment
from jobs.screen import print_rows, print_text
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from rich.console import Console

    from jobs.config import Config

HEADINGS = ("No.", "Lost", "Person", "Lost in Advoware", "Stands", "State")


def list_lost_values(
    config: Config, *, everything: bool, environment: Environment = PRODUCTION
) -> list[dict[str, Any]]:
    """The values that lost: those nobody saw or restored yet, or ``everything``; none before the first sync."""
    if not config.state.path.exists():
        return []
    with Store.open(config.state.path, now=environment.now(), read_only=True) as store:
        return list_conflicts(store, include_closed=everything)


def mark_conflicts_seen(
    config: Config, ids: Sequence[int], request: OperatorRequest, *, environment: Environment = PRODUCTION
) -> None:
    """Record that somebody saw these conflicts; ConfigError where one is not there, and then none is marked."""
    with (
        Store.open_existing(config.state.path, now=environment.now(), durable=environment.durable) as store,
        store.transaction(),
    ):
        unknown = [str(conflict_id) for conflict_id in ids if load_conflict(store, conflict_id) is None]
        if unknown:
            raise ConfigError(f"There is no conflict {', '.join(unknown)}; `advosync conflicts` lists them.")
        record_operation(store, "conflicts", request, environment.now(), {"seen": list(ids)})
        set_seen_at(store, ids, environment.now())


def render_conflicts(conflicts: Sequence[dict[str, Any]], console: Console, zone: tzinfo) -> None:
    """The conflicts on the screen, and what can be done about them."""
    if not conflicts:
        print_text(console, "No value has lost that nobody saw or restored.", "green")
        return
    print_rows(console, HEADINGS, [conflict_row(conflict, zone) for conflict in conflicts])
    print_text(console, "`advosync restore NO.` puts one back; `advosync conflicts --seen NO.` takes it off the list.")


def conflict_row(conflict: dict[str, Any], zone: tzinfo) -> tuple[str, ...]:
    """What is shown of a conflict, in the order of ``HEADINGS``."""
    return (
        str(conflict["id"]),
        format_local(conflict["created_at"], zone),
        f"{conflict['entity_id']} / {conflict['betnr'] or 'no betnr'}",
        conflict["advo_value"] or "–",
        conflict["espo_value"] or "not in EspoCRM",
        "restored" if conflict["restored_at"] else "seen" if conflict["seen_at"] else "",
    )

"""``conflicts``: the values that lost, until somebody saw or restored them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.store.conflicts import list_conflicts, load_conflict, mark_seen
from etl.store.database import Store
from jobs.recorded import Asked, recorded
from jobs.world import REAL, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from jobs.config import Config


def lost_values(config: Config, *, everything: bool, world: World = REAL) -> list[dict[str, Any]]:
    """The values that lost: those nobody saw or restored yet, or ``everything``; none before the first sync."""
    if not config.state.path.exists():
        return []
    with Store.open(config.state.path, now=world.now(), read_only=True) as store:
        return list_conflicts(store, everything=everything)


def mark(config: Config, ids: Sequence[int], asked: Asked, *, world: World = REAL) -> None:
    """Record that somebody saw these conflicts; ConfigError where one is not there, and then none is marked."""
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store, store.transaction():
        unknown = [str(one) for one in ids if load_conflict(store, one) is None]
        if unknown:
            raise ConfigError(f"There is no conflict {', '.join(unknown)}; `advosync conflicts` lists them.")
        recorded(store, "conflicts", asked, world.now(), {"seen": list(ids)})
        mark_seen(store, ids, world.now())


def render(conflicts: Sequence[dict[str, Any]], console: Console) -> None:
    """The conflicts on the screen, and what can be done about them."""
    from rich.table import Table  # noqa: PLC0415 - not for --json
    from rich.text import Text  # noqa: PLC0415 - not for --json

    if not conflicts:
        console.print(Text("No value has lost that nobody saw or restored.", style="green"))
        return
    table = Table("No.", "Lost (UTC)", "Person", "Lost in Advoware", "Stands", "", box=None, pad_edge=False)
    for one in conflicts:
        who = f"{one['entity_id']} / {one['betnr'] or 'no betnr'}"
        stands = one["espo_value"] or "not in EspoCRM"
        state = "restored" if one["restored_at"] else "seen" if one["seen_at"] else ""
        table.add_row(*map(Text, (str(one["id"]), one["created_at"], who, one["advo_value"] or "–", stands, state)))
    console.print(table)
    console.print(Text("`advosync restore NO.` puts one back; `advosync conflicts --seen NO.` takes it off the list."))

"""Who is kept back by a guard, as a list for people and for scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from etl.enums import HoldKind
from etl.store.database import Store
from etl.store.tables.holds import open_holds
from etl.times import format_utc

if TYPE_CHECKING:
    from rich.console import Console

    from jobs.config import Config

HOLD_COLUMNS = ("run_id", "entity_id", "betnr", "kind", "reason", "held_at")


def list_held_persons(config: Config) -> list[dict[str, Any]]:
    """Every hold that is not released, ordered by run; none when nothing was ever synced."""
    if not config.state.path.exists():
        return []
    now = format_utc(datetime.now(UTC))
    with Store.open(config.state.path, now=now, read_only=True) as store:
        holds = open_holds(store)
    return sorted(({name: hold[name] for name in HOLD_COLUMNS} for hold in holds), key=lambda hold: hold["run_id"])


def render_holds(holds: list[dict[str, Any]], console: Console) -> None:
    """The holds on the screen, by run, and how to release them."""
    from rich.table import Table  # noqa: PLC0415 - not for --json
    from rich.text import Text  # noqa: PLC0415 - not for --json

    if not holds:
        console.print(Text("Nobody is held back.", style="green"))
        return
    for run_id, of_run in groupby(holds, key=lambda hold: hold["run_id"]):
        persons = list(of_run)
        table = Table("Person", "Since (UTC)", "Why", box=None, pad_edge=False, header_style="bold")
        for hold in persons:
            person = f"{hold['entity_id']} / {hold['betnr'] or 'no betnr'}"
            table.add_row(*map(Text, (person, hold["held_at"], hold["reason"] or hold["kind"])))
        console.print(Text(f"Run {run_id}: {len(persons)} held", style="bold"))
        console.print(table)
        console.print(Text(f"{hold_advice(persons)}: `advosync approve {run_id}`.\n"))


def hold_advice(holds: list[dict[str, Any]]) -> str:
    """What an operator does about the persons one run holds."""
    with_steps = [hold["betnr"] or hold["entity_id"] for hold in holds if hold["kind"] != HoldKind.ENDINGS]
    step_advice = [f"See the steps: `advosync plan --person {with_steps[0]}`"] if with_steps else []
    absence_advice = (
        ["Put right why they are not there, and they go on by themselves"] if len(with_steps) < len(holds) else []
    )
    return ". ".join(
        [*step_advice, *absence_advice, "Take the steps" if with_steps else "Or let what was agreed with them end"]
    )

"""Who is kept back by a guard, why and with which steps, for people and for scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from etl.enums import HoldKind
from etl.store.database import Store
from etl.store.tables.holds import open_holds, steps_of_holds
from etl.store.tables.persons import load_persons
from etl.times import format_utc
from jobs.run.report import PlannedChange, count_words, person_title, print_steps, variant_text
from jobs.screen import print_text
from jobs.times import format_local

if TYPE_CHECKING:
    from datetime import tzinfo

    from rich.console import Console

    from jobs.config import Config

HOLD_COLUMNS = ("run_id", "entity_id", "betnr", "kind", "reason", "held_at")

BY_RUN_AND_REASON = itemgetter("run_id", "kind", "reason")


def list_held_persons(config: Config) -> list[dict[str, Any]]:
    """Every hold that is not released, with name and steps, ordered by run; none when nothing was ever synced."""
    if not config.state.path.exists():
        return []
    now = format_utc(datetime.now(UTC))
    with Store.open(config.state.path, now=now, read_only=True) as store, store.read_transaction():
        holds = open_holds(store)
        names = {row["entity_id"]: row["name"] for row in load_persons(store, [hold["entity_id"] for hold in holds])}
        steps: dict[tuple[int, str], list[dict[str, Any]]] = {}
        for step in steps_of_holds(store):
            steps.setdefault((step["run_id"], step["entity_id"]), []).append(step)
    persons = [
        {name: hold[name] for name in HOLD_COLUMNS}
        | {"name": (name := names.get(hold["entity_id"]))}
        | {"steps": [change_of_hold(step, hold, name) for step in steps.get((hold["run_id"], hold["entity_id"]), ())]}
        for hold in holds
    ]
    return sorted(persons, key=lambda hold: (hold["run_id"], hold["kind"], hold["reason"] or ""))


def change_of_hold(step: dict[str, Any], hold: dict[str, Any], name: str | None) -> PlannedChange:
    """A held step in the shape of ``plan --json``."""
    return PlannedChange(
        entity_id=step["entity_id"],
        betnr=step["betnr"],
        variant=step["variant"],
        side=step["side"],
        action=step["action"],
        komm_id=step["komm_id"],
        komm_kz=step["komm_kz"],
        old_value=step["old_value"],
        new_value=step["new_value"],
        reason=step["reason"],
        held=hold["kind"],
        name=name,
    )


def render_holds(holds: list[dict[str, Any]], console: Console, zone: tzinfo) -> None:
    """The holds on the screen: a block for each run and reason, each person with its steps, and what releases them."""
    if not holds:
        print_text(console, "Nobody is held back.", "green")
        return
    for run_id, of_run in groupby(holds, key=itemgetter("run_id")):
        persons = list(of_run)
        for (_, kind, reason), of_reason in groupby(persons, key=BY_RUN_AND_REASON):
            render_block(run_id, reason or kind, list(of_reason), console, zone)
        print_text(console, f"{hold_advice(persons)}: `advosync approve {run_id}`; of some: `--person`.")
        print_text(console, f"Leave them as they are until an entry of theirs changes: `advosync let-be {run_id}`.\n")


def render_block(run_id: int, reason: str, holds: list[dict[str, Any]], console: Console, zone: tzinfo) -> None:
    """Whom one run holds for one reason."""
    title = f"Run {run_id} holds {count_words(len(holds), 'person')} since {format_local(holds[0]['held_at'], zone)}"
    width = max((len(variant_text(step)) for hold in holds for step in hold["steps"]), default=0)
    print_text(console, f"{title}: {reason}.", "bold")
    for hold in holds:
        print_text(console, person_title(hold), "cyan", whole=person_title(hold).split(" · "))
        if hold["steps"]:
            print_steps(console, hold["steps"], width)
    console.print()


def hold_advice(holds: list[dict[str, Any]]) -> str:
    """What an operator does about the persons one run holds."""
    with_steps = [hold["betnr"] or hold["entity_id"] for hold in holds if hold["kind"] != HoldKind.ENDINGS]
    step_advice = ["Steps as they are now: `advosync plan --held`"] if with_steps else []
    absence_advice = (
        ["Put right why they are not there, and they go on by themselves"] if len(with_steps) < len(holds) else []
    )
    return ". ".join(
        [*step_advice, *absence_advice, "Take the steps" if with_steps else "Or let what was agreed with them end"]
    )

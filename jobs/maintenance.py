"""Keeping house: ``maintenance``, ``backup`` and ``prune``, each a row in ``runs`` that says who and why.

Copies stand beside the store in ``backups/``. A damaged store is not copied, so that good copies are not pushed out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from etl.errors import ConfigError, StoreError
from etl.store.database import Store
from etl.store.prune import complaints, prune, prune_returns, tidy
from etl.store.runs import abandon_runs, finish_run
from etl.store.standing import LAST_MAINTENANCE_AT
from jobs.exit_codes import Outcome
from jobs.moments import text_of
from jobs.options import Order
from jobs.outcome import end_recorded, started
from jobs.pipeline import lease_of
from jobs.recorded import Asked, recorded
from jobs.world import REAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.config import Config
    from jobs.options import Options
    from jobs.world import World

Done = dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """What ``backup`` and ``prune`` may be told beyond the configuration."""

    to: Path | None = None
    days: int | None = None


def maintain(config: Config, options: Options, *, world: World = REAL) -> Done:
    """Check the store, copy it, delete old copies and old history; ``StoreError`` when it is damaged."""
    return kept(config, options, world, lambda order: everything(order, Wish()))


def back_up(config: Config, options: Options, wish: Wish, *, world: World = REAL) -> Done:
    """A consistent copy, also while a run writes: it needs no lock."""
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
        done = {"backup": str(copied(Order(config, options, world, store), wish.to))}
        asked = Asked(options.operator or "unknown", options.reason)
        run_id = recorded(store, options.trigger, asked, world.now(), done)
    return {"run_id": run_id, "outcome": Outcome.DONE, "trigger": options.trigger, **done}


def prune_now(config: Config, options: Options, wish: Wish, *, world: World = REAL) -> Done:
    """Apply retention now."""
    return kept(config, options, world, lambda order: {"pruned": pruned(order, wish.days)})


def kept(config: Config, options: Options, world: World, work: Callable[[Order], Done]) -> Done:
    """Do the work under the lease and record it, also when it fails."""
    begun = time.monotonic()
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
        order = Order(config, options, world, store)
        with lease_of(order):
            abandon_runs(store, world.now())
            run_id = started(order)
            with end_recorded(order, run_id):
                done = work(order)
            told = {"run_id": run_id, "outcome": Outcome.DONE, "trigger": options.trigger, **done}
            finish_run(store, run_id, now=world.now(), outcome=Outcome.DONE, report=told)
    structlog.get_logger().info(
        "house_kept", job=options.trigger, seconds=round(time.monotonic() - begun, 1), run_id=run_id, **done
    )
    return told


def everything(order: Order, wish: Wish) -> Done:
    """All of the maintenance, the copy before anything is deleted."""
    wrong = complaints(order.store)
    if wrong:
        latest = next(iter(copies(order)), None)
        advice = f"restore {latest} by copying it here" if latest else "there is no copy of it yet"
        raise StoreError(f"The state store {order.store.path} is damaged ({'; '.join(wrong[:3])}); {advice}.")
    backup = copied(order, wish.to) if order.config.state.keep_backups else None
    removed = drop_old_copies(order)
    gone = pruned(order, wish.days)
    order.store.set_setting(LAST_MAINTENANCE_AT, order.world.now())
    tidy(order.store)
    return {
        "backup": str(backup) if backup else None,
        "backups_removed": len(removed),
        "pruned": gone,
        "bytes": order.store.path.stat().st_size,
    }


def copied(order: Order, to: Path | None) -> Path:
    """Copy the store; without a place of its own into ``backups/``, named by the time."""
    if to is not None and to.is_dir():
        raise ConfigError(f"{to} is a folder; --to names the file to write.")
    moment = order.world.now().replace("-", "").replace(":", "").replace(" ", "-")
    path = to or backups_of(order.store.path) / f"{order.store.path.stem}-{moment}.db"
    if path.exists():
        raise ConfigError(f"{path} is there already; it is not overwritten.")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder {path.parent} cannot be made ({error.strerror}); check its owner.") from error
    order.store.backup(path, copied_at=order.world.now())
    return path


def backups_of(store: Path) -> Path:
    """Where copies of a store stand."""
    return store.parent / "backups"


def copies(order: Order) -> list[Path]:
    """The copies in ``backups/``, latest first; their names hold the time."""
    path = order.store.path
    return sorted(backups_of(path).glob(f"{path.stem}-*.db"), reverse=True)


def drop_old_copies(order: Order) -> list[Path]:
    """Delete what is beyond the number to keep; with 0 nothing is made and nothing deleted."""
    keep = order.config.state.keep_backups
    old = copies(order)[keep:] if keep else []
    for path in old:
        try:
            path.unlink()
        except OSError as error:
            raise StoreError(f"The old copy {path} cannot be deleted ({error.strerror}); check its owner.") from error
    return old


def pruned(order: Order, days: int | None) -> dict[str, int]:
    """Delete history older than so many days."""
    keep = timedelta(days=days or order.config.state.keep_history_days)
    before = text_of(order.world.utcnow() - keep)
    return prune(order.store, before) | {"endings": prune_returns(order.store, before)}

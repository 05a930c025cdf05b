"""Keeping house: ``maintenance``, ``backup`` and ``prune``, each a row in ``runs`` that says who and why.

Copies stand beside the store in ``backups/``. A damaged store is not copied, so that good copies are not pushed out.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from etl.errors import ConfigError, StoreError
from etl.store.database import Store
from etl.store.queries.status import LAST_MAINTENANCE_AT
from etl.store.tables.runs import abandon_runs, finish_run
from etl.store.upkeep.prune import integrity_errors, optimize, prune_closed_waits, prune_runs
from etl.times import format_utc
from jobs.commands.operator_log import OperatorRequest, record_operation
from jobs.environment import PRODUCTION
from jobs.exit_codes import CommandOutcome
from jobs.pipeline import hold_lease
from jobs.run.options import RunRequest
from jobs.run.record import record_abort, record_start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobs.config import Config
    from jobs.environment import Environment
    from jobs.run.options import RunOptions

MaintenanceResult = dict[str, Any]

COPY_NAME = re.compile(r"(?P<store>.+)-\d{8}-\d{6}\.db")
"""What ``make_backup`` calls a copy: "state-nord" beside "state" is the copy of another store."""


@dataclass(frozen=True)
class MaintenanceArgs:
    """What ``backup`` and ``prune`` may be told beyond the configuration."""

    to: Path | None = None
    days: int | None = None


def maintain(config: Config, options: RunOptions, *, environment: Environment = PRODUCTION) -> MaintenanceResult:
    """Check the store, copy it, delete old copies and old history; ``StoreError`` when it is damaged."""
    return run_maintenance_job(
        config, options, environment, lambda request: check_copy_and_prune(request, MaintenanceArgs())
    )


def back_up(
    config: Config, options: RunOptions, args: MaintenanceArgs, *, environment: Environment = PRODUCTION
) -> MaintenanceResult:
    """A consistent copy, also while a run writes: it needs no lock."""
    with Store.open_existing(config.state.path, now=environment.now(), durable=environment.durable) as store:
        result = {"backup": str(make_backup(RunRequest(config, options, environment, store), args.to))}
        operator_request = OperatorRequest(options.operator or "unknown", options.reason)
        run_id = record_operation(store, options.trigger, operator_request, environment.now(), result)
    return {"run_id": run_id, "outcome": CommandOutcome.DONE, "trigger": options.trigger, **result}


def prune_store(
    config: Config, options: RunOptions, args: MaintenanceArgs, *, environment: Environment = PRODUCTION
) -> MaintenanceResult:
    """Apply retention now."""
    return run_maintenance_job(
        config, options, environment, lambda request: {"pruned": delete_old_history(request, args.days)}
    )


def run_maintenance_job(
    config: Config, options: RunOptions, environment: Environment, work: Callable[[RunRequest], MaintenanceResult]
) -> MaintenanceResult:
    """Do the work under the lease and record it, also when it fails."""
    started_at = time.monotonic()
    with Store.open_existing(config.state.path, now=environment.now(), durable=environment.durable) as store:
        request = RunRequest(config, options, environment, store)
        with hold_lease(request):
            abandon_runs(store, environment.now())
            run_id = record_start(request)
            with record_abort(request, run_id):
                result = work(request)
            report = {"run_id": run_id, "outcome": CommandOutcome.DONE, "trigger": options.trigger, **result}
            finish_run(store, run_id, now=environment.now(), outcome=CommandOutcome.DONE, report=report)
    structlog.get_logger().info(
        "house_kept", job=options.trigger, seconds=round(time.monotonic() - started_at, 1), run_id=run_id, **result
    )
    return report


def check_copy_and_prune(request: RunRequest, args: MaintenanceArgs) -> MaintenanceResult:
    """All of the maintenance, the copy before anything is deleted."""
    damages = integrity_errors(request.store)
    if damages:
        latest = next(iter(list_backups(request)), None)
        advice = f"restore {latest} by copying it here" if latest else "there is no copy of it yet"
        raise StoreError(f"The state store {request.store.path} is damaged ({'; '.join(damages[:3])}); {advice}.")
    backup = make_backup(request, args.to) if request.config.state.keep_backups else None
    deleted = delete_old_backups(request)
    pruned_counts = delete_old_history(request, args.days)
    request.store.set_setting(LAST_MAINTENANCE_AT, request.environment.now())
    optimize(request.store)
    return {
        "backup": str(backup) if backup else None,
        "backups_removed": len(deleted),
        "pruned": pruned_counts,
        "bytes": request.store.path.stat().st_size,
    }


def make_backup(request: RunRequest, target: Path | None) -> Path:
    """Copy the store; without a place of its own into ``backups/``, named by the time."""
    if target is not None and target.is_dir():
        raise ConfigError(f"{target} is a folder; --to names the file to write.")
    stamp = request.environment.now().replace("-", "").replace(":", "").replace(" ", "-")
    path = target or backup_folder(request.store.path) / f"{request.store.path.stem}-{stamp}.db"
    if path.exists():
        raise ConfigError(f"{path} is there already; it is not overwritten.")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder {path.parent} cannot be made ({error.strerror}); check its owner.") from error
    request.store.backup(path, copied_at=request.environment.now())
    return path


def backup_folder(store: Path) -> Path:
    """Where copies of a store stand."""
    return store.parent / "backups"


def list_backups(request: RunRequest) -> list[Path]:
    """This store's copies in ``backups/``, latest first; their names hold the time."""
    path = request.store.path
    return sorted(
        (copy for copy in backup_folder(path).glob("*.db") if store_of_copy(copy) == path.stem), reverse=True
    )


def store_of_copy(path: Path) -> str | None:
    """The store a copy is named after, which is not always this one; None where somebody else named the file."""
    match = COPY_NAME.fullmatch(path.name)
    return match["store"] if match else None


def delete_old_backups(request: RunRequest) -> list[Path]:
    """Delete what is beyond the number to keep; with 0 nothing is made and nothing deleted."""
    keep = request.config.state.keep_backups
    old = list_backups(request)[keep:] if keep else []
    for path in old:
        try:
            path.unlink()
        except OSError as error:
            raise StoreError(f"The old copy {path} cannot be deleted ({error.strerror}); check its owner.") from error
    return old


def delete_old_history(request: RunRequest, days: int | None) -> dict[str, int]:
    """Delete history older than so many days."""
    retention = timedelta(days=days or request.config.state.keep_history_days)
    before = format_utc(request.environment.utcnow() - retention)
    return prune_runs(request.store, before) | {"endings": prune_closed_waits(request.store, before)}

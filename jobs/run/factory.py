"""Putting a run together: who we are in EspoCRM, how it treats phones, and the numbers of the configuration."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import structlog

from etl.context import Limits, RunContext
from etl.errors import Outage
from etl.records import Channel, Direction
from etl.rules.entry import Policy
from etl.rules.espo.rights import ESPO_FIELD, MISSING_RIGHT
from etl.rules.values.kommkz import KommKzTable
from etl.store.tables.runs import record_espo_version
from jobs.config import config_digest

if TYPE_CHECKING:
    from etl.clients.advoware import AdvowareClient
    from etl.clients.espocrm import EspoClient
    from jobs.config import Config
    from jobs.run.options import RunRequest


LACKING_RIGHT_EFFECTS = {
    "read": "this channel is not synced; see `advosync check`",
    "edit": "what changes there in Advoware is held back; see `advosync check`",
}


def make_run_context(request: RunRequest, run_id: int, espo: EspoClient, advo: AdvowareClient) -> RunContext:
    """Ask EspoCRM who we are and how it treats phones; ``Outage`` while it is in maintenance."""
    user, server = espo.get_user(), espo.get_server()
    if server.maintenance:
        raise Outage("EspoCRM", "it is in maintenance")
    sync = request.config.sync
    policy = Policy(
        request.direction,
        request.scope,
        sync.region,
        KommKzTable.default().with_overrides(sync.komm_kz_overrides()),
        international=server.international,
        max_items=min(server.max_phones or math.inf, server.max_mails or math.inf),
        readonly_channels=user.forbidden_channels("edit"),
        unreadable_channels=user.forbidden_channels("read"),
    )
    run = RunContext(
        id=run_id,
        store=request.store,
        espo=espo,
        advo=advo,
        policy=policy,
        limits=make_limits(request.config),
        user_id=user.id,
        utcnow=request.environment.now,
        monotonic=request.environment.monotonic,
        sleep=request.environment.sleep,
        log=structlog.get_logger(),
        write=request.options.write,
        no_edit=frozenset(key for key, name in espo.fields.items() if not user.may("edit", name)),
        regular=request.options.is_regular,
        records_absence=request.options.records_absence,
        progress=request.environment.progress,
    )
    report_new_version(run, server.version)
    report_lacking_rights(run)
    return run


def report_new_version(run: RunContext, version: str) -> None:
    """Say once that EspoCRM was upgraded; its limits and rules were just asked for, as in every run."""
    before = record_espo_version(run.store, run.id, version)
    if before not in {None, version}:
        run.log.warning("espocrm_version_changed", before=before, now=version)
        run.counters.notices.append(f"EspoCRM is version {version} now; the run before met version {before}")


def report_lacking_rights(run: RunContext) -> None:
    """Say once what is held back because of the key's field rights (rules §5)."""
    for name in sorted(run.no_edit):
        run.log.warning("right_lacking", action="edit", field=run.espo.fields[name])
    policy = run.policy
    writes_to_espo = policy.direction is not Direction.TO_ADVOWARE
    for channel in Channel:
        action = (
            "read"
            if channel in policy.unreadable_channels
            else "edit"
            if channel in policy.readonly_channels and writes_to_espo
            else None
        )
        if action is not None:
            run.log.warning("right_lacking", action=action, field=ESPO_FIELD[channel])
            run.counters.notices.append(
                f"{MISSING_RIGHT} {action} {ESPO_FIELD[channel]} in EspoCRM: {LACKING_RIGHT_EFFECTS[action]}"
            )


def make_limits(config: Config) -> Limits:
    """The numbers of the configuration that the stages go by."""
    return Limits(
        overlap_seconds=config.sync.overlap_seconds,
        persons_per_run=config.sync.persons_per_run,
        max_staleness_seconds=config.sync.max_staleness_seconds,
        settle_seconds=config.espocrm.settle_seconds,
        poll_budget=config.advoware.poll_budget,
        espo_readers=config.espocrm.read_concurrency,
        advo_readers=config.advoware.read_concurrency,
        outage_after=config.sync.outage_after,
        endings_after_minutes=config.sync.endings_after_minutes,
        max_removals=config.guards.max_removals,
        max_removal_share=config.guards.max_removal_share,
        backoff_minutes=tuple(config.retry.backoff_minutes),
        max_failures=config.retry.max_failures,
        auto_reset_hours=config.retry.auto_reset_hours,
        note_conflicts=config.espocrm.note_conflicts,
        language=config.report.language,
        only=config.sync.only,
        config_digest=config_digest(config),
    )

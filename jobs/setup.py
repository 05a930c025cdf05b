"""Putting a run together: who we are in EspoCRM, how it treats phones, and the numbers of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from etl.errors import Outage
from etl.rules.entry import Policy
from etl.rules.kommkz import KommKzTable
from etl.run import Limits, Run
from jobs.config import digest

if TYPE_CHECKING:
    from etl.clients.advoware import Advoware
    from etl.clients.espocrm import EspoCrm
    from jobs.config import Config
    from jobs.options import Order


def make_run(order: Order, run_id: int, espo: EspoCrm, advo: Advoware) -> Run:
    """Ask EspoCRM who we are and how it treats phones; ``Outage`` while it is in maintenance."""
    user, server = espo.user(), espo.server()
    if server.maintenance:
        raise Outage("EspoCRM", "it is in maintenance")
    sync = order.config.sync
    policy = Policy(
        order.direction,
        order.scope,
        sync.region,
        KommKzTable.default().with_overrides(sync.komm_kz_overrides()),
        international=server.international,
        max_items=min(server.max_phones, server.max_mails),
    )
    return Run(
        id=run_id,
        store=order.store,
        espo=espo,
        advoware=advo,
        policy=policy,
        limits=limits_of(order.config),
        user_id=user.id,
        utcnow=order.world.now,
        monotonic=order.world.monotonic,
        sleep=order.world.sleep,
        log=structlog.get_logger(),
        write=order.options.write,
        progress=order.world.progress,
    )


def limits_of(config: Config) -> Limits:
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
        max_removals=config.guards.max_removals,
        max_removal_share=config.guards.max_removal_share,
        backoff_minutes=tuple(config.retry.backoff_minutes),
        max_failures=config.retry.max_failures,
        auto_reset_hours=config.retry.auto_reset_hours,
        note_conflicts=config.espocrm.note_conflicts,
        language=config.report.language,
        only=config.sync.only,
        config_digest=digest(config),
    )

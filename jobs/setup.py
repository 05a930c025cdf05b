"""Putting a run together: who we are in EspoCRM, how it treats phones, and the numbers of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from etl.errors import Outage
from etl.records import Channel, Direction
from etl.rules.entry import Policy
from etl.rules.kommkz import KommKzTable
from etl.rules.rights import FIELD, MAY_NOT
from etl.run import Limits, Run
from jobs.config import digest

if TYPE_CHECKING:
    from etl.clients.advoware import Advoware
    from etl.clients.espocrm import EspoCrm
    from jobs.config import Config
    from jobs.options import Order


EFFECT = {
    "read": "this channel is not synced; see `advosync check`",
    "edit": "what changes there in Advoware is held back; see `advosync check`",
}


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
        no_edit=user.channels_it_may_not("edit"),
        no_read=user.channels_it_may_not("read"),
    )
    run = Run(
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
        no_edit=frozenset(ours for ours, name in espo.fields.items() if not user.may("edit", name)),
        regular=order.options.regular,
        notes_absence=order.options.notes_absence,
        progress=order.world.progress,
    )
    tell_of_rights(run)
    return run


def tell_of_rights(run: Run) -> None:
    """Say once what is held back because of the key's field rights (rules.md §5)."""
    for name in sorted(run.no_edit):
        run.log.warning("right_lacking", action="edit", field=run.espo.fields[name])
    policy = run.policy
    sends = policy.direction is not Direction.TO_ADVOWARE
    for channel in Channel:
        action = "read" if channel in policy.no_read else "edit" if channel in policy.no_edit and sends else None
        if action is not None:
            run.log.warning("right_lacking", action=action, field=FIELD[channel])
            run.tally.notices.append(f"{MAY_NOT} {action} {FIELD[channel]} in EspoCRM: {EFFECT[action]}")


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
        endings_after_minutes=config.sync.endings_after_minutes,
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

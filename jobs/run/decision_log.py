"""What ``-v`` shows of a plan: each decision by ids, and with ``-vv`` the values it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from etl.rules.variants import Variant
from jobs.screen import DECISION_LOGGER

if TYPE_CHECKING:
    from etl.rules.plan import PersonPlan


def log_decisions(plan: PersonPlan) -> None:
    """Log what was decided about a person's entries and what follows; where both sides agree, nothing."""
    log = structlog.get_logger(DECISION_LOGGER).bind(entity_id=plan.entity_id, betnr=plan.betnr)
    for decision in plan.decisions:
        if decision.variant is not Variant.SAME and not decision.steps:
            log.info("decision", variant=decision.variant, action="none")
        for step in decision.steps:
            ids = {"variant": decision.variant, "side": step.side, "action": step.action, "komm_id": step.komm_id}
            log.info("decision", **ids)
            log.debug("decision_values", **ids, old_value=step.old_value, new_value=step.new_value)

"""What the world outside hears of a run: ping, metrics, a message to people. None of it can make a run fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from etl.clients.ping import Event, ping
from etl.errors import AdvosyncError, LockHeld
from etl.store.database import Store
from etl.store.standing import PERIODIC
from jobs import notify
from jobs.exit_codes import Outcome
from jobs.standing import how_it_stands
from jobs.world import REAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.config import Config
    from jobs.options import Options
    from jobs.report import RunReport
    from jobs.world import World

WELL = frozenset({Outcome.DONE, Outcome.FAILED_PERSONS, Outcome.HELD})
"""A run that went to its end; whom it failed or held is told in other ways than by an alarm."""


def attended(config: Config, options: Options, do: Callable[[], RunReport], *, world: World = REAL) -> RunReport:
    """Do a run and let the world hear of it; the dead man's switch only of one that goes over everybody."""
    if not options.write:
        return do()
    alarm = options.kind in PERIODIC
    tell_switch(config, world, Event.START, alarm=alarm)
    try:
        report = do()
    except LockHeld:
        raise  # another run is at it, and will tell
    except Exception as error:
        reason = str(error) if isinstance(error, AdvosyncError) else type(error).__name__
        tell_switch(config, world, Event.FAILURE, reason, alarm=alarm)
        raise
    tell_of(config, report, world=world)
    if report.outcome in WELL:
        tell_switch(config, world, Event.SUCCESS, alarm=alarm)
    elif report.outcome is Outcome.OUTAGE:
        tell_switch(config, world, Event.FAILURE, report.error or "", alarm=alarm)
    return report


def tell_switch(config: Config, world: World, event: Event, reason: str = "", *, alarm: bool) -> None:
    """Ping the dead man's switch, where there is one."""
    url = config.report.ping_url
    if url is None or not alarm:
        return
    wrong = ping(url, event, reason, transport=world.ping_transport)
    if wrong:
        structlog.get_logger().warning("ping_failed", event_told=event.name.lower(), reason=wrong)


def tell_of(config: Config, report: RunReport, *, world: World = REAL) -> None:
    """Write the metrics and tell people what is new; what goes wrong with that is logged."""
    for about, do in (("metrics", write_metrics), ("message", tell_people)):
        try:
            do(config, report, world)
        except (AdvosyncError, OSError) as error:
            structlog.get_logger().warning("not_told", about=about, reason=str(error))
        except Exception:  # noqa: BLE001 - a library's own trouble, or a mistake of ours: the run is done all the same
            structlog.get_logger().exception("not_told", about=about)


def write_metrics(config: Config, report: RunReport, world: World) -> None:
    """Replace the metrics file, where one is wanted."""
    if config.report.metrics_file is not None:
        from jobs import metrics  # noqa: PLC0415 - only where it is wanted

        metrics.write(config.report.metrics_file, how_it_stands(config, world.utcnow()), report)


def tell_people(config: Config, _report: RunReport, world: World) -> None:
    """Send what is held or failed for good, where anybody is to be told."""
    addresses = [one.get_secret_value() for one in config.report.notify]
    if not addresses:
        return
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
        sent = notify.tell(store, config.report.language, notify.by_apprise(addresses))
    if sent is False:
        structlog.get_logger().warning("not_told", about="message", reason="an address of report.notify refused it")

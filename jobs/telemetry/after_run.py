"""What the world outside hears of a run: ping, metrics, a message to people. None of it can make a run fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from etl.clients.healthcheck import PingEvent, ping
from etl.errors import AdvosyncError, LockHeld
from etl.store.database import Store
from etl.store.queries.status import FULL_RUN_TRIGGERS
from jobs.commands.status import collect_status
from jobs.environment import PRODUCTION
from jobs.exit_codes import CommandOutcome
from jobs.telemetry import notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.config import Config
    from jobs.environment import Environment
    from jobs.run.options import RunOptions
    from jobs.run.report import RunReport


def run_with_notifications(
    config: Config, options: RunOptions, start_run: Callable[[], RunReport], *, environment: Environment = PRODUCTION
) -> RunReport:
    """Do a run and let the world hear of it; the dead man's switch only of one that goes over everybody.

    ``ConfigError``, before anything is started, where people are to be told and the library for that is not installed.
    """
    if not options.write:
        return start_run()
    notify.require_apprise(config.report.notify)
    alarm = options.kind in FULL_RUN_TRIGGERS
    ping_healthcheck(config, environment, PingEvent.START, alarm=alarm)
    try:
        report = start_run()
    except LockHeld:
        raise  # another run is at it, and will tell
    except Exception as error:
        reason = str(error) if isinstance(error, AdvosyncError) else type(error).__name__
        ping_healthcheck(config, environment, PingEvent.FAILURE, reason, alarm=alarm)
        raise
    publish_report(config, options, report, environment=environment)
    if report.outcome.is_completed:
        ping_healthcheck(config, environment, PingEvent.SUCCESS, alarm=alarm)
    elif report.outcome is CommandOutcome.OUTAGE:
        ping_healthcheck(config, environment, PingEvent.FAILURE, report.error or "", alarm=alarm)
    return report


def ping_healthcheck(
    config: Config, environment: Environment, event: PingEvent, reason: str = "", *, alarm: bool
) -> None:
    """Ping the dead man's switch, where there is one."""
    url = config.report.ping_url
    if url is None or not alarm:
        return
    problem = ping(url, event, reason, transport=environment.ping_transport)
    if problem:
        structlog.get_logger().warning("ping_failed", event_told=event.name.lower(), reason=problem)


def publish_report(
    config: Config, options: RunOptions, report: RunReport, *, environment: Environment = PRODUCTION
) -> None:
    """Write the metrics and tell people what is new; what goes wrong with that is logged."""
    for channel, publish in (("metrics", write_metrics), ("message", notify_people)):
        try:
            publish(config, options, report, environment)
        except (AdvosyncError, OSError) as error:
            structlog.get_logger().warning("not_told", about=channel, reason=str(error))
        except Exception:  # noqa: BLE001 - a library's own trouble, or a mistake of ours: the run is done all the same
            structlog.get_logger().exception("not_told", about=channel)


def write_metrics(config: Config, _options: RunOptions, report: RunReport, environment: Environment) -> None:
    """Replace the metrics file, where one is wanted."""
    if config.report.metrics_file is not None:
        from jobs.telemetry import metrics  # noqa: PLC0415 - only where it is wanted

        metrics.write_metrics_file(config.report.metrics_file, collect_status(config, environment.utcnow()), report)


def notify_people(config: Config, options: RunOptions, report: RunReport, environment: Environment) -> None:
    """Send what people do not know yet, where anybody is to be told."""
    addresses = [address.get_secret_value() for address in config.report.notify]
    if not addresses:
        return
    now, full_run = environment.utcnow(), report if options.kind in FULL_RUN_TRIGGERS else None
    status = collect_status(config, now) if full_run is not None else None
    with Store.open(config.state.path, now=environment.now(), durable=environment.durable) as store:
        wording = notify.Wording(config.report.language, config.schedule.zone)
        delivery = notify.notify_once(store, wording, full_run, notify.apprise_sender(addresses), now, status)
    notify.warn_of_refusals(delivery, "report.notify")

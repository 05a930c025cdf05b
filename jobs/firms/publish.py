"""What the world hears of all firms: one metrics file, and one message a day at most, of those that are not well.

Each firm's own ping, metrics and messages, where its file asks for them, go out with its runs as ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from etl.errors import ConfigError
from etl.times import format_utc, parse_utc
from jobs.commands.status import is_overdue
from jobs.config import Language
from jobs.exit_codes import CommandOutcome, ExitCode
from jobs.firms.overview import counts, sort_results
from jobs.firms.result import AWAY, FirmCommand, FirmResult
from jobs.firms.settings import SETTINGS_FILE
from jobs.private_file import write_private
from jobs.telemetry import metrics, notify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from jobs.environment import Environment
    from jobs.firms.folder import Firm
    from jobs.firms.settings import FirmsSettings

NOT_ASKED_YET: Final = "not asked yet"
"""Why nothing is known of a firm that waits for its first turn; the metrics leave it out."""

PUBLISH_EVERY = timedelta(minutes=1)
MESSAGE_EVERY = timedelta(days=1)
TROUBLE_LASTS = timedelta(hours=1)
"""Who is not well for less is not written about: a worker that starts anew, a night that is caught up with."""


class FirmsReport:
    """The latest of each firm, and when it was last published."""

    def __init__(self, settings: FirmsSettings, environment: Environment) -> None:
        self.settings = settings
        self.environment = environment
        self.firms: dict[str, Firm] = {}
        self.results: dict[str, FirmResult] = {}
        self.families: dict[str, list[Metric]] = {}
        self.unwell_since: dict[str, datetime] = {}
        self.published_at: datetime | None = None
        self.notified_at = read_notified_at(settings.notified_file)

    def set_firms(self, firms: Iterable[Firm]) -> None:
        """Which firms there are; of those that are gone nothing is said any more."""
        self.firms = {firm.name: firm for firm in firms}
        self.results = {name: result for name, result in self.results.items() if name in self.firms}
        self.families = {name: families for name, families in self.families.items() if name in self.firms}

    def note(self, result: FirmResult, *, is_status: bool) -> None:
        """Keep how a firm stands after a turn."""
        status = result.document if is_status else result.status
        if status is None:
            if result.outcome != CommandOutcome.LOCKED:
                self.results[result.firm] = FirmResult(result.firm, result.outcome, result.exit_code, result.error)
            return
        self.results[result.firm] = FirmResult(result.firm, str(CommandOutcome.DONE), ExitCode.DONE, document=status)
        if result.report is not None and self.settings.metrics_file is not None:
            self.families[result.firm] = list(metrics.build_registry(status, result.report).collect())

    def standing(self, now: datetime) -> list[FirmResult]:
        """How all firms stand now, the worst first, as ``firms status`` has it."""
        return sort_results(FirmCommand.STATUS, [self.standing_of(firm, now) for firm in self.firms.values()])

    def standing_of(self, firm: Firm, now: datetime) -> FirmResult:
        """How one firm stands; one that had no turn yet is as well as can be known."""
        if firm.config is None or firm.problem is not None:
            return FirmResult(firm.name, str(CommandOutcome.REFUSED), ExitCode.REFUSED, firm.problem)
        result = self.results.get(firm.name)
        if result is None or result.document is None:
            return result or FirmResult(firm.name, str(CommandOutcome.DONE), ExitCode.DONE, error=NOT_ASKED_YET)
        stale = is_overdue(firm.config, result.document, now)
        return FirmResult(firm.name, result.outcome, result.exit_code, document=result.document | {"stale": stale})

    def publish(self) -> None:
        """Write the metrics and tell people, where it is wanted and time for it; trouble with that is logged."""
        now = self.environment.utcnow()
        if not is_time(self.published_at, PUBLISH_EVERY, now):
            return
        self.published_at = now
        results = self.standing(now)
        for channel, publish in (("metrics", self.write_metrics), ("message", self.notify_people)):
            try:
                publish(results, now)
            except (ConfigError, OSError) as error:
                structlog.get_logger().warning("not_told", about=channel, reason=str(error))
            except Exception:  # noqa: BLE001 - a library's own trouble, or a mistake of ours: the firms go on
                structlog.get_logger().exception("not_told", about=channel)

    def write_metrics(self, results: Sequence[FirmResult], _now: datetime) -> None:
        """Write the metrics file atomically."""
        if self.settings.metrics_file is None:
            return
        registry = CollectorRegistry()
        asked = [result for result in results if result.error != NOT_ASKED_YET]
        registry.register(AllFirms(self.families, {result.firm: not reasons(result) for result in asked}))
        self.settings.metrics_file.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(self.settings.metrics_file), registry)

    def notify_people(self, results: Sequence[FirmResult], now: datetime) -> None:
        """Tell people which firms have not been well for a while; the time is kept before, so no crash tells twice."""
        unwell = {result.firm: why for result in results if (why := reasons(result))}
        self.unwell_since = {firm: self.unwell_since.get(firm, now) for firm in unwell}
        lasting = {firm: why for firm, why in unwell.items() if now - self.unwell_since[firm] >= TROUBLE_LASTS}
        if not (lasting and self.settings.notify and is_time(self.notified_at, MESSAGE_EVERY, now)):
            return
        self.notified_at = now
        self.settings.notified_file.parent.mkdir(parents=True, exist_ok=True)
        write_private(self.settings.notified_file, format_utc(now))
        send = notify.apprise_sender([address.get_secret_value() for address in self.settings.notify])
        notify.warn_of_refusals(send(*message_about(lasting, self.settings.language)), SETTINGS_FILE)


class AllFirms(Collector):
    """Each firm's figures with its name as a label, and of every firm whether it is well."""

    def __init__(self, families: dict[str, list[Metric]], is_well: dict[str, bool]) -> None:
        self.families = families
        self.is_well = is_well

    def collect(self) -> Iterator[Metric]:
        """One family a figure, as the format wants it."""
        name = f"{metrics.PREFIX}firm_well"
        well = GaugeMetricFamily(name, "Whether a firm wants nobody's attention", labels=["firm"])
        for firm, is_well in self.is_well.items():
            well.add_metric([firm], is_well)
        merged: dict[str, Metric] = {}
        for firm, families in self.families.items():
            for family in families:
                target = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                target.samples += [
                    sample._replace(labels={"firm": firm, **sample.labels}) for sample in family.samples
                ]
        yield well
        yield from merged.values()


def is_time(last: datetime | None, every: timedelta, now: datetime) -> bool:
    """Whether something is due again; a clock that was set back makes it so."""
    return last is None or not last <= now < last + every


def read_notified_at(path: Path) -> datetime | None:
    """When people were last notified; None when they never were, or when it is unknown."""
    try:
        return parse_utc(path.read_text("ascii").strip())
    except (OSError, ValueError):
        return None


def reasons(result: FirmResult) -> tuple[Unwell, ...]:
    """Why a firm wants attention, the gravest first."""
    document = result.document
    if document is None:
        return (Unwell.AWAY,) if result.outcome == AWAY else (Unwell.NOT_ASKED,)
    numbers = counts(document)
    facts = {
        Unwell.STALE: document["stale"],
        Unwell.HELD: numbers["held"],
        Unwell.FAILING: numbers["failing"],
    }
    return tuple(reason for reason, is_so in facts.items() if is_so)


class Unwell(StrEnum):
    """Why a firm wants attention."""

    NOT_ASKED = "not_asked"
    AWAY = "away"
    STALE = "stale"
    HELD = "held"
    FAILING = "failing"


def message_about(unwell: Mapping[str, Sequence[Unwell]], language: Language) -> tuple[str, str]:
    """Title and text of the message; it names firms, but no person and no value."""
    texts = MESSAGE_TEXTS[language]
    lines = [f"{firm}: {', '.join(texts.reasons[reason] for reason in why)}" for firm, why in unwell.items()]
    return texts.title.format(count=len(unwell)), "\n".join([*lines, "", texts.look])


@dataclass(frozen=True)
class MessageTexts:
    """The sentences of one language."""

    title: str
    reasons: Mapping[Unwell, str]
    look: str


MESSAGE_TEXTS: Final = {
    Language.DE: MessageTexts(
        title="advosync: Kanzleien, nach denen jemand sehen muss: {count}",
        reasons={
            Unwell.NOT_ASKED: "nicht abzufragen",
            Unwell.AWAY: "ihr Rechner ist nicht da",
            Unwell.STALE: "zu lange nicht abgeglichen",
            Unwell.HELD: "Personen zurückgehalten",
            Unwell.FAILING: "Personen fehlgeschlagen",
        },
        look="Ansehen: advosync firms status",
    ),
    Language.EN: MessageTexts(
        title="advosync: firms that want somebody: {count}",
        reasons={
            Unwell.NOT_ASKED: "cannot be asked",
            Unwell.AWAY: "its worker is away",
            Unwell.STALE: "not synced for too long",
            Unwell.HELD: "persons held",
            Unwell.FAILING: "persons failing",
        },
        look="Look: advosync firms status",
    ),
}

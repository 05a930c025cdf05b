"""``check --data``: what a first sync of this firm will meet, found out by planning everybody on a scratch copy.

Both systems are only read, one GET a side for each linked record; the state store is not touched, and nothing stays.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etl.records import Side
from etl.renewal import pairs_to_end
from etl.rules.unclear import doubt_text
from etl.rules.values.doubts import Doubt
from etl.rules.variants import VARIANT_WORDS, Variant
from etl.store.database import Store, copy_store
from etl.store.queries.first_sync import first_sync_figures
from etl.store.queries.status import SWEEP_AFTER
from jobs.environment import PRODUCTION
from jobs.pipeline import run_stages
from jobs.run.options import RunOptions, RunRequest
from jobs.run.report import PLAN_TRIGGER
from jobs.screen import print_columns, print_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from etl.rules.plan import Plan
    from jobs.config import Config
    from jobs.environment import Environment

SWEEP_PLAN: Final = RunOptions(trigger=PLAN_TRIGGER, sweep=True, write=False)
MAX_EXAMPLES: Final = 3

UNCHANGED_VARIANTS: Final = {Variant.SAME, Variant.LEAVE}


@dataclass(frozen=True, slots=True)
class DataFinding:
    """One kind of thing to know before: its name, what it means, how many there are, and each of them in words."""

    name: str
    about: str
    found: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.found)


@dataclass(frozen=True, slots=True)
class FirstSyncReport:
    """The report: figures by name, variants of the first sync, writes by side, and what to know or put right before."""

    figures: dict[str, int]
    variants: dict[str, int]
    writes: dict[str, int]
    points: tuple[DataFinding, ...]

    def to_json(self) -> str:
        """One document."""
        points = [{**asdict(finding), "count": finding.count} for finding in self.points]
        return json.dumps({**asdict(self), "points": points}, ensure_ascii=False)


@dataclass
class PlanTotals:
    """What planning everybody came to."""

    variants: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    duplicates: list[str] = field(default_factory=list)
    unsyncable: list[str] = field(default_factory=list)
    recoveries: list[str] = field(default_factory=list)
    new_rows: list[tuple[int, int, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    not_read: list[str] = field(default_factory=list)
    ended_pairs: list[str] = field(default_factory=list)


def report_first_sync(config: Config, *, environment: Environment = PRODUCTION) -> FirstSyncReport:
    """Plan everybody and count; raises what ended the look early (an outage, a refused login)."""
    with tempfile.TemporaryDirectory(prefix="advosync-data-") as folder:
        copy = Path(folder) / "state.db"
        if config.state.path.exists():
            copy_store(config.state.path, copy)
        with Store.open(copy, now=environment.now(), durable=False) as scratch:
            ended_pairs = pairs_to_end(scratch, config.sync.region)
            totals = plan_everybody(RunRequest(config, SWEEP_PLAN, environment, scratch))
            totals.ended_pairs += [
                f"{pair['entity_id']} / {pair['betnr']}: {pair['espo_value']} (espo), {pair['advo_value']} (advo)"
                for pair in ended_pairs
            ]
            return build_first_sync_report(first_sync_figures(scratch), totals)


def plan_everybody(request: RunRequest) -> PlanTotals:
    """Sweep the scratch copy to its end, chunk by chunk, without writing."""
    totals = PlanTotals()
    request.store.set_setting(SWEEP_AFTER, None)
    while True:
        result = run_stages(request)
        if result.error is not None:
            raise result.error
        add_plans(totals, result.plans)
        if result.run is not None:
            totals.not_read += sorted(result.run.counters.deferred - set(result.run.reads) - set(result.run.absences))
            totals.failed += [
                f"{entity_id}: {error}" for entity_id, error in sorted(result.run.counters.failed.items())
            ]
        if request.store.setting(SWEEP_AFTER) is None:
            return totals


def add_plans(totals: PlanTotals, plans: Plan) -> None:
    """Take the plans of a chunk into account."""
    for plan in plans.values():
        person = f"{plan.entity_id} / {plan.betnr}"
        if plan.recovery:
            totals.recoveries.append(person)
        lists = {"duplicate": totals.duplicates, "unsyncable": totals.unsyncable}
        for left_alone in plan.left_alone:
            lists.get(left_alone.reason, []).append(f"{person}: {left_alone.value} ({left_alone.detail})")
        for decision in plan.decisions:
            if decision.steps:
                totals.variants[decision.variant] += 1
                totals.writes.update({Side.ADVO: sum(step.side is Side.ADVO for step in decision.steps)})
            if decision.variant is Variant.VAR4 and decision.steps and decision.entry.row is not None:
                totals.new_rows.append(
                    (plan.betnr, decision.entry.row.komm_id, f"{person}: {decision.entry.row.value}")
                )
        totals.writes.update({Side.ESPO: bool(plan.espo_payload)})


def build_first_sync_report(rows: dict[str, list[dict[str, Any]]], totals: PlanTotals) -> FirstSyncReport:
    """The report of what was seen."""
    unknown_kinds = {(row["betnr"], row["komm_id"]) for row in rows["komm_kz_untold"]}
    variants = [variant for variant in Variant if variant not in UNCHANGED_VARIANTS and totals.variants[variant]]
    return FirstSyncReport(
        figures={**rows["records"][0], **rows["entries"][0]},
        variants={str(variant): totals.variants[variant] for variant in variants},
        writes={"espocrm": totals.writes[Side.ESPO], "advoware": totals.writes[Side.ADVO]},
        points=tuple(data_findings(rows, totals, unknown_kinds)),
    )


def data_findings(
    rows: dict[str, list[dict[str, Any]]], totals: PlanTotals, unknown_kinds: set[tuple[int, int]]
) -> Iterator[DataFinding]:
    """What somebody should know or put right before, the weightiest first."""
    yield DataFinding(
        "shared betnr",
        "two records with one betnr: neither is synced; take it out of one",
        tuple(f"{row['betnr']}: {row['entity_ids']}" for row in rows["shared_betnr"]),
    )
    yield DataFinding(
        "not in Advoware",
        "the betnr does not exist there: shown as deleted_in_advoware, entries stay; correct the betnr",
        person_labels(rows["not_in_advoware"]),
    )
    yield DataFinding(
        "left out",
        "saved only just now (or at work in another sync), so maybe half written: not looked at; ask again in a moment",
        tuple(totals.not_read),
    )
    yield DataFinding("unreadable", "could not be read, and would fail", tuple(totals.failed))
    yield DataFinding(
        "synced before",
        "carry a kommunikationHash we did not write: every removal and overwriting of theirs waits for `approve`",
        tuple(totals.recoveries),
    )
    yield DataFinding(
        "parted",
        "an earlier version took two values for one; now each is left alone: correct or delete the wrong one",
        tuple(totals.ended_pairs),
    )
    yield from unclear_findings(rows["unclear"])
    yield DataFinding(
        "free text",
        "text without a number in a phone field: kept as it is, compared as text, never made a number",
        tuple(f"{row['entity_id']} / {row['betnr']}: {row['value']} ({row['side']})" for row in rows["free_text"]),
    )
    yield DataFinding(
        "refused",
        "one of the systems cannot hold it: it stays on its side, named in left_alone",
        tuple(totals.unsyncable),
    )
    yield DataFinding("duplicates", "a person has it twice: the second is left alone", tuple(totals.duplicates))
    yield DataFinding(
        "guessed kommKz",
        "new in EspoCRM, and nothing tells the kind: mobile numbers become Mobile, others Office",
        tuple(
            text for betnr, komm_id, text in totals.new_rows if (betnr, komm_id) in unknown_kinds and "@" not in text
        ),
    )


def unclear_findings(rows: Iterable[dict[str, Any]]) -> Iterator[DataFinding]:
    """What nobody can read with certainty, by why, the most frequent first: left alone until it is written clearly."""
    values: dict[Doubt, list[str]] = {}
    for row in rows:
        text = f"{row['entity_id']} / {row['betnr']}: {row['value']} ({row['side']})"
        values.setdefault(Doubt(row["doubt"]), []).append(text)
    for doubt, examples in sorted(values.items(), key=lambda pair: -len(pair[1])):
        yield DataFinding(f"unclear ({doubt})", doubt_text(doubt), tuple(examples))


def person_labels(rows: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Persons in words."""
    return tuple(f"{row['entity_id']} / {row['betnr']}: {row['name']}" for row in rows)


def render_first_sync_report(report: FirstSyncReport, console: Console) -> None:
    """The report on the screen, with a few examples of each point."""
    from rich.text import Text  # noqa: PLC0415  not for --json

    print_text(console, "What is there", "bold")
    for line in figure_lines(report.figures):
        print_text(console, f"  {line}")
    print_text(console, "\nWhat a first sync would do", "bold")
    print_columns(
        console, [(f"  {count}", name, VARIANT_WORDS.get(name, name)) for name, count in report.variants.items()]
    )
    advoware, espocrm = report.writes["advoware"], report.writes["espocrm"]
    print_text(console, f"  {advoware} writes to Advoware, {espocrm} records written in EspoCRM")
    print_text(console, "\nWhat to know, or put right before", "bold")
    for finding in report.points:
        style = "yellow" if finding.count else "green"
        text = Text.assemble((f"  {finding.count:>5} ", style), finding.name, f": {finding.about}")
        print_text(console, text, hanging=8)
        for example in finding.found[:MAX_EXAMPLES]:
            print_text(console, f"          {example}", "dim")
        if finding.count > MAX_EXAMPLES:
            print_text(console, f"          and {finding.count - MAX_EXAMPLES} more; --json lists all", "dim")


def figure_lines(figures: dict[str, int]) -> Iterator[str]:
    """What is there, a line each."""
    yield f"{figures['records']} records in EspoCRM, {figures['linked']} of them linked by a betnr"
    yield f"{figures['items']} phones and mails in EspoCRM, {figures['rows']} Kommunikationen in Advoware"
    yield f"{figures['not_relevant']} more in Advoware that are none of ours (Internet, beA, …)"
    yield f"{figures['marked']} markers and {figures['slots']} slots of an earlier sync"

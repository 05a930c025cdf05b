"""``demo``: a small invented law firm in two screens, from its first sync to a run that finds nothing to do.

Both systems are the sandbox's HTTP servers on loopback, and their clock is put forward between the acts. All else is
what runs in a real firm: the configuration, the state store and ``jobs.pipeline.run``, with nothing beside it.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from etl.rules.variants import VARIANT_WORDS
from etl.store.database import Store
from etl.store.tables.conflicts import list_conflicts
from jobs import pipeline
from jobs.commands.side_by_side import RowMark, compare_sides, comparison_table, mark_legend
from jobs.config import Config
from jobs.environment import Environment
from jobs.exit_codes import CommandOutcome, ExitCode
from jobs.run.options import RunOptions
from jobs.run.report import PLAN_TRIGGER, render_plan
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.firm import small_law_firm
from jobs.sandbox.people import make_first_day_edits, make_second_day_edits
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimClock
from jobs.telemetry import logs

if TYPE_CHECKING:
    from jobs.commands.side_by_side import ComparisonLine
    from jobs.run.report import RunReport
    from jobs.sandbox.firm import PersonIds

INTRODUCTION = (
    "One law firm, with its people in [b]EspoCRM[/b] and in [b]Advoware[/b]. The firm and both systems are "
    "invented; the sync between them is the real one, over HTTP."
)

SYNC, PLAN_ONLY = RunOptions(), RunOptions(trigger=PLAN_TRIGGER, write=False)
SECONDS_BETWEEN_RUNS = 15 * 60
MAX_WIDTH = 100  # a wider table is harder to read across


class DemoFailed(Exception):
    """A run did something else than the demo promises."""


@dataclass(frozen=True)
class DemoFirm:
    """Both systems of the firm, their clock, and the sync between them."""

    espo: EspoSim
    advo: AdvoSim
    persons: dict[str, PersonIds]
    clock: SimClock
    config: Config

    def run(self, options: RunOptions = SYNC) -> RunReport:
        """One run, a quarter of an hour after whatever happened last; every one must end well."""
        self.clock.advance(SECONDS_BETWEEN_RUNS)
        self.espo.clear_request_log()
        self.advo.clear_request_log()
        report = pipeline.run_to_completion(self.config, options, environment=Environment(utcnow=self.clock))
        if report.outcome is not CommandOutcome.DONE:
            errors = [report.error or "", *(failure["error"] for failure in report.errors)]
            raise DemoFailed(f"run {report.run_id} ended with {report.outcome}: {' '.join(filter(None, errors))}")
        return report

    def sync(self) -> RunReport:
        """A run that writes, after which both sides must agree."""
        report = self.run()
        if disagreeing := [str(line) for line in self.lines() if not line.agrees]:
            raise DemoFailed(f"the sides differ: {'; '.join(disagreeing)}")
        return report

    def write_count(self) -> int:
        """Requests of the last run that would change anything, counted by the systems themselves."""
        return len(self.espo.writes) + len(self.advo.writes)

    def lines(self) -> list[ComparisonLine]:
        """What stands in both systems."""
        return compare_sides(self.espo, self.advo)

    def list_lost(self) -> list[dict[str, str]]:
        """Every value that lost a conflict, as the state store keeps it."""
        now = Environment(utcnow=self.clock).now()
        with Store.open(self.config.state.path, now=now, read_only=True) as store:
            return list_conflicts(store)


def main() -> int:
    """Show it; 0 only when the last run wrote nothing and both sides agree."""
    logs.configure_logging(level=logging.WARNING)
    console = Console(highlight=False)
    console.width = min(console.width, MAX_WIDTH)
    clock = SimClock()
    espo, advo = EspoSim(clock), AdvoSim(clock)
    persons = small_law_firm(espo, advo)
    with tempfile.TemporaryDirectory(prefix="advosync-demo-") as folder, Servers(espo, advo) as servers:
        demo_sections = {"state": {"path": Path(folder) / "state.db"}, "report": {"language": "en"}}
        config = Config.model_validate({**servers.config(), **demo_sections})
        try:
            play_demo(DemoFirm(espo, advo, persons, clock, config), console)
        except DemoFailed as failure:
            console.print(Text(f"\nThis should not have happened: {failure}", "bold red"))
            return ExitCode.FAILED_PERSONS
    return ExitCode.DONE


def play_demo(firm: DemoFirm, console: Console) -> None:
    """The story, act by act; raises ``DemoFailed`` where it does not go as told."""
    console.print(Panel(INTRODUCTION, title="[b]advosync demo[/b]", border_style="cyan"))
    print_heading(console, "Both sides before the first sync")
    console.print(comparison_table(firm.lines()), mark_legend(), sep="\n")

    print_heading(console, "The first sync links and adds; it never removes or overwrites")
    first = firm.sync()
    print_sentences(
        console, f"{describe_variants(first)}, {first.persons.left_alone} left alone.", describe_writes(first)
    )
    print_sentences(console, Text.assemble("Remarks carry a marker now: ", (sample_remark(firm), "bold")))
    lines_before = firm.lines()

    print_heading(console, "People go on working, in both windows")
    print_sentences(console, *make_first_day_edits(firm.espo, firm.advo, firm.persons), bullet="• ")

    print_heading(console, "A quarter of an hour later, `advosync plan` shows what a run would write")
    plan_then_sync(console, firm)

    print_heading(console, "Another day, and a conflict")
    print_sentences(console, *make_second_day_edits(firm.espo, firm.advo, firm.persons), bullet="• ")
    last = firm.sync()
    print_sentences(console, f"{describe_variants(last)}.", describe_writes(last), *conflict_lines(firm))

    print_heading(console, "Both sides after all that; what was left alone stands as it stood")
    left_alone = [line for line in lines_before if line.mark is RowMark.LEFT_ALONE]
    console.print(comparison_table([line for line in firm.lines() if line not in left_alone], lines_before))

    print_heading(console, "A second run finds nothing to do")
    second = firm.sync()
    if firm.write_count():
        raise DemoFailed(f"the second run wrote {firm.write_count()} times")
    print_sentences(console, Text.assemble(describe_writes(second), (" ✓ Both sides agree.", "bold green")))


def plan_then_sync(console: Console, firm: DemoFirm) -> None:
    """A plan, which writes nothing, and the run that does just what it says."""
    plan = firm.run(PLAN_ONLY)
    render_plan(plan, console)
    if firm.write_count():
        raise DemoFailed(f"the plan wrote {firm.write_count()} times")
    report = firm.sync()
    if report.variants != plan.variants:
        raise DemoFailed(f"{plan.variants} was planned, {report.variants} was done")
    print_sentences(console, f"`advosync sync` then does just that: {describe_writes(report)}")


# Words ------------------------------------------------------------------------------------------------------------


def print_heading(console: Console, text: str) -> None:
    """The title of an act."""
    console.print()
    console.print(Text(text, "bold cyan"))


def print_sentences(console: Console, *sentences: str | Text, bullet: str = "") -> None:
    """Sentences, each on a line of its own; a value like "[bold]" in them is shown, not obeyed."""
    for sentence in sentences:
        console.print(Text.assemble(bullet, sentence))


def describe_variants(report: RunReport) -> str:
    """What a run found, in plain words."""
    return ", ".join(f"{count} {VARIANT_WORDS[name]}" for name, count in report.variants.items())


def describe_writes(report: RunReport) -> str:
    """How often a run wrote to either side."""
    return f"{report.writes.espocrm} writes to EspoCRM, {report.writes.advoware} to Advoware."


def sample_remark(firm: DemoFirm) -> str:
    """A remark as it stands in Advoware: the marker, then a person's own words."""
    return str(firm.advo.rows(firm.persons["Mustermann"].betnr)[0]["bemerkung"])


def conflict_lines(firm: DemoFirm) -> list[Text]:
    """The values that lost, and where they are kept: in the state store, and in EspoCRM's stream for the staff."""
    lines = []
    for conflict in firm.list_lost():
        winning, losing = (conflict["espo_value"], "bold green"), (conflict["advo_value"], "bold red")
        kept_text = f"as number {conflict['id']} in the state store's table `conflicts` and in the record's stream:"
        lines.append(
            Text.assemble(winning, " of EspoCRM wins over ", losing, f" of Advoware, which is kept\n{kept_text}")
        )
    return lines + [Text(f"“{note['post']}”", "italic") for note in firm.espo.store.notes]

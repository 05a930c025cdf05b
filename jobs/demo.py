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

from etl.store.conflicts import list_conflicts
from etl.store.database import Store
from jobs import logs, pipeline
from jobs.config import Config
from jobs.exit_codes import ExitCode, Outcome
from jobs.options import Options
from jobs.report import PLAN, VARIANT_WORDS, render_plan
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.firm import small_law_firm
from jobs.sandbox.people import a_day_at_the_office, another_day
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimClock
from jobs.side_by_side import Sign, legend, side_by_side, table
from jobs.world import World

if TYPE_CHECKING:
    from jobs.report import RunReport
    from jobs.sandbox.firm import Linked
    from jobs.side_by_side import Line

TITLE = (
    "One law firm, with its people in [b]EspoCRM[/b] and in [b]Advoware[/b]. The firm and both systems are "
    "invented; the sync between them is the real one, over HTTP."
)

SYNC, LOOK = Options(), Options(trigger=PLAN, write=False)
QUARTER_OF_AN_HOUR = 15 * 60
WIDEST = 100  # a wider table is harder to read across


class Surprise(Exception):
    """A run did something else than the demo promises."""


@dataclass(frozen=True)
class Office:
    """Both systems of the firm, their clock, and the sync between them."""

    espo: EspoSim
    advo: AdvoSim
    firm: dict[str, Linked]
    clock: SimClock
    config: Config

    def run(self, options: Options = SYNC) -> RunReport:
        """One run, a quarter of an hour after whatever happened last; every one must end well."""
        self.clock.advance(QUARTER_OF_AN_HOUR)
        self.espo.forget_calls()
        self.advo.forget_calls()
        report = pipeline.run(self.config, options, world=World(utcnow=self.clock))
        if report.outcome is not Outcome.DONE:
            told = [report.error or "", *(failure["error"] for failure in report.errors)]
            raise Surprise(f"run {report.run_id} ended with {report.outcome}: {' '.join(filter(None, told))}")
        return report

    def sync(self) -> RunReport:
        """A run that writes, after which both sides must agree."""
        report = self.run()
        if different := [str(line) for line in self.lines() if not line.agrees]:
            raise Surprise(f"the sides differ: {'; '.join(different)}")
        return report

    def written(self) -> int:
        """Requests of the last run that would change anything, counted by the systems themselves."""
        return len(self.espo.writes) + len(self.advo.writes)

    def lines(self) -> list[Line]:
        """What stands in both systems."""
        return side_by_side(self.espo, self.advo)

    def lost(self) -> list[dict[str, str]]:
        """Every value that lost a conflict, as the state store keeps it."""
        now = World(utcnow=self.clock).now()
        with Store.open(self.config.state.path, now=now, read_only=True) as store:
            return list_conflicts(store)


def main() -> int:
    """Show it; 0 only when the last run wrote nothing and both sides agree."""
    logs.configure(level=logging.WARNING)
    console = Console(highlight=False)
    console.width = min(console.width, WIDEST)
    clock = SimClock()
    espo, advo = EspoSim(clock), AdvoSim(clock)
    firm = small_law_firm(espo, advo)
    with tempfile.TemporaryDirectory(prefix="advosync-demo-") as folder, Servers(espo, advo) as servers:
        own = {"state": {"path": Path(folder) / "state.db"}, "report": {"language": "en"}}
        config = Config.model_validate({**servers.config(), **own})
        try:
            tell(Office(espo, advo, firm, clock, config), console)
        except Surprise as surprise:
            console.print(Text(f"\nThis should not have happened: {surprise}", "bold red"))
            return ExitCode.FAILED_PERSONS
    return ExitCode.DONE


def tell(office: Office, console: Console) -> None:
    """The story, act by act; raises ``Surprise`` where it does not go as told."""
    console.print(Panel(TITLE, title="[b]advosync demo[/b]", border_style="cyan"))
    heading(console, "Both sides before the first sync")
    console.print(table(office.lines()), legend(), sep="\n")

    heading(console, "The first sync links and adds; it never removes or overwrites")
    first = office.sync()
    told(console, f"{found(first)}, {first.persons.left_alone} left alone.", writes(first))
    told(console, Text.assemble("Remarks carry a marker now: ", (a_marker(office), "bold")))
    linked = office.lines()

    heading(console, "People go on working, in both windows")
    told(console, *a_day_at_the_office(office.espo, office.advo, office.firm), bullet="• ")

    heading(console, "A quarter of an hour later, `advosync plan` shows what a run would write")
    planned_then_done(console, office)

    heading(console, "Another day, and a conflict")
    told(console, *another_day(office.espo, office.advo, office.firm), bullet="• ")
    last = office.sync()
    told(console, f"{found(last)}.", writes(last), *losses(office))

    heading(console, "Both sides after all that; what was left alone stands as it stood")
    left_alone = [line for line in linked if line.sign is Sign.LEFT_ALONE]
    console.print(table([line for line in office.lines() if line not in left_alone], linked))

    heading(console, "A second run finds nothing to do")
    second = office.sync()
    if office.written():
        raise Surprise(f"the second run wrote {office.written()} times")
    told(console, Text.assemble(writes(second), (" ✓ Both sides agree.", "bold green")))


def planned_then_done(console: Console, office: Office) -> None:
    """A plan, which writes nothing, and the run that does just what it says."""
    plan = office.run(LOOK)
    render_plan(plan, console)
    if office.written():
        raise Surprise(f"the plan wrote {office.written()} times")
    done = office.sync()
    if done.variants != plan.variants:
        raise Surprise(f"{plan.variants} was planned, {done.variants} was done")
    told(console, f"`advosync sync` then does just that: {writes(done)}")


# Words ------------------------------------------------------------------------------------------------------------


def heading(console: Console, text: str) -> None:
    """The title of an act."""
    console.print()
    console.print(Text(text, "bold cyan"))


def told(console: Console, *sentences: str | Text, bullet: str = "") -> None:
    """Sentences, each on a line of its own; a value like "[bold]" in them is shown, not obeyed."""
    for sentence in sentences:
        console.print(Text.assemble(bullet, sentence))


def found(report: RunReport) -> str:
    """What a run found, in plain words."""
    return ", ".join(f"{count} {VARIANT_WORDS[name]}" for name, count in report.variants.items())


def writes(report: RunReport) -> str:
    """How often a run wrote to either side."""
    return f"{report.writes.espocrm} writes to EspoCRM, {report.writes.advoware} to Advoware."


def a_marker(office: Office) -> str:
    """A remark as it stands in Advoware: the marker, then a person's own words."""
    return str(office.advo.rows(office.firm["Mustermann"].betnr)[0]["bemerkung"])


def losses(office: Office) -> list[Text]:
    """The values that lost, and where they are kept: in the state store, and in EspoCRM's stream for the staff."""
    lines = []
    for one in office.lost():
        won, lost = (one["espo_value"], "bold green"), (one["advo_value"], "bold red")
        kept = f"as number {one['id']} in the state store's table `conflicts` and in the record's stream:"
        lines.append(Text.assemble(won, " of EspoCRM wins over ", lost, f" of Advoware, which is kept\n{kept}"))
    return lines + [Text(f"“{note['post']}”", "italic") for note in office.espo.store.notes]

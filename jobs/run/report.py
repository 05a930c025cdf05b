"""What a run did, as a value: the JSON document of ``--json``, an exit code, and tables for people."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, astuple, dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar

from etl.enums import HoldKind
from etl.rules.variants import VARIANT_WORDS, Variant
from jobs.exit_codes import CommandOutcome, ExitCode
from jobs.screen import print_columns, print_text, sentence_for_people

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

PLAN_TRIGGER = "plan"
"""The trigger of a run that writes nothing."""

BACKFILL_TRIGGER = "backfill"
"""The trigger of a backfill, whose chunks are runs; it may have been begun by another process."""

MAX_LISTED_RUNS = 6
"""More runs than this are not listed one by one."""

MAX_LISTED_LEFT = 50
"""So many persons that a reviewed plan left as they are stand on the screen for one reason; there may be 250,000."""

SIDE_WORDS = {"espo": "EspoCRM", "advo": "Advoware"}

OUTCOME_TEXTS = {
    CommandOutcome.DONE:           ("green",  "Done."),
    CommandOutcome.FAILED_PERSONS: ("red",    "Done, but some persons failed; they are tried again by themselves."),
    CommandOutcome.HELD:           ("yellow", "Some persons are held back. Look at them with `advosync held`."),
    CommandOutcome.OUTAGE:         (
        "red",    "Ended early: a system is out, or refuses the login; see `advosync check`."
    ),
    CommandOutcome.LOCKED:         ("yellow", "Another run is under way."),
    CommandOutcome.STOPPED:        ("yellow", "Stopped. What is left waits for the next run."),
    CommandOutcome.USAGE:          ("red",    "Nothing was started."),
    CommandOutcome.REFUSED:        ("red",    "Refused: something has to be set right first; see `advosync check`."),
    CommandOutcome.CRASHED:        ("red",    "advosync itself failed."),
}  # fmt: skip


SEVERITY = (
    CommandOutcome.DONE, CommandOutcome.FAILED_PERSONS, CommandOutcome.HELD,
    CommandOutcome.LOCKED, CommandOutcome.STOPPED, CommandOutcome.OUTAGE,
    CommandOutcome.USAGE, CommandOutcome.REFUSED, CommandOutcome.CRASHED,
)  # fmt: skip
"""Of two chunks of longer work the worse one says how it ended."""

CHUNK_STOPPING_OUTCOMES = frozenset(outcome for outcome in CommandOutcome if not outcome.is_completed)


class PlannedChange(TypedDict):
    """One decided step, as ``plan --json`` lists it."""

    entity_id: str
    betnr: int
    variant: str
    side: str
    action: str
    komm_id: int | None
    komm_kz: int | None
    old_value: str | None
    new_value: str | None
    reason: str
    held: str | None
    name: NotRequired[str | None]


class PersonFailure(TypedDict):
    """A person that failed, and why."""

    entity_id: str
    betnr: int | None
    error: str


class PersonLeftAsIs(TypedDict):
    """A person a reviewed plan does not speak of any more, or never did, and why."""

    entity_id: str
    betnr: int | None
    reason: str


class ReviewedOutcome(TypedDict):
    """What became of a reviewed plan: of which run it is, how many persons it changed, and who was left as it is."""

    plan: int
    carried_out: int
    left: list[PersonLeftAsIs]


@dataclass
class PersonCounts:
    """How many persons a run saw, and how they ended."""

    seen: int = 0
    changed: int = 0
    clean: int = 0
    failed: int = 0
    held: int = 0
    waiting: int = 0
    locked: int = 0
    skipped: int = 0
    left_alone: int = 0


@dataclass
class WriteCounts:
    """Requests that changed something, by system."""

    espocrm: int = 0
    advoware: int = 0


@dataclass
class DriftCounts:
    """Persons whose entries a look found changed though no list had said so, by system."""

    espocrm: int = 0
    advoware: int = 0


@dataclass
class CallCounts:
    """All requests, by system and method."""

    espocrm: dict[str, int] = field(default_factory=dict)
    advoware: dict[str, int] = field(default_factory=dict)


Counts = TypeVar("Counts", PersonCounts, WriteCounts, DriftCounts)


@dataclass
class RunReport:
    """What one run did. Times are UTC text; ``variants`` counts steps; ``error`` says why a run ended early.

    ``sweep_after`` is the record a sweep has come to, None when it is through. ``chunks``: the numbers of all runs,
    where longer work took several; ``run_id`` is then the first. ``login_refused`` is for the message to people alone.
    ``review``: what ``sync --plan`` compares, of a plan; ``reviewed``: what became of a reviewed plan.
    """

    run_id: int | None = None
    outcome: CommandOutcome = CommandOutcome.DONE
    trigger: str = "sync"
    direction: str = "both"
    started_at: str | None = None
    finished_at: str | None = None
    persons: PersonCounts = field(default_factory=PersonCounts)
    variants: dict[str, int] = field(default_factory=dict)
    conflicts: int = 0
    writes: WriteCounts = field(default_factory=WriteCounts)
    drift: DriftCounts = field(default_factory=DriftCounts)
    calls: CallCounts = field(default_factory=CallCounts)
    errors: list[PersonFailure] = field(default_factory=list)
    error: str | None = None
    notices: list[str] = field(default_factory=list)
    changes: list[PlannedChange] = field(default_factory=list)
    sweep_after: str | None = None
    chunks: list[int] = field(default_factory=list)
    login_refused: bool = False
    review: dict[str, Any] | None = None
    reviewed: ReviewedOutcome | None = None

    @property
    def has_next_chunk(self) -> bool:
        """Whether this was a chunk of a sweep, and the next one can follow."""
        return self.sweep_after is not None and self.outcome not in CHUNK_STOPPING_OUTCOMES

    def merge_chunk(self, chunk: RunReport) -> RunReport:
        """Both chunks of longer work as one report; the later one says where it stands, the worse one how it ended."""
        return replace(
            self,
            outcome=max(self.outcome, chunk.outcome, key=SEVERITY.index),
            finished_at=chunk.finished_at or self.finished_at,
            persons=add_counts(self.persons, chunk.persons),
            variants=dict(Counter(self.variants) + Counter(chunk.variants)),
            conflicts=self.conflicts + chunk.conflicts,
            writes=add_counts(self.writes, chunk.writes),
            drift=add_counts(self.drift, chunk.drift),
            calls=CallCounts(
                dict(Counter(self.calls.espocrm) + Counter(chunk.calls.espocrm)),
                dict(Counter(self.calls.advoware) + Counter(chunk.calls.advoware)),
            ),
            errors=[*self.errors, *chunk.errors],
            error=chunk.error or self.error,
            notices=list(dict.fromkeys([*self.notices, *chunk.notices])),
            changes=[*self.changes, *chunk.changes],
            chunks=[*self.run_ids, *chunk.run_ids],
            sweep_after=chunk.sweep_after if chunk.run_id else self.sweep_after,
        )

    @property
    def run_ids(self) -> list[int]:
        """The numbers of all runs it took."""
        return self.chunks or ([self.run_id] if self.run_id is not None else [])

    def exit_code(self) -> ExitCode:
        """The outcome's code; a plan that is done and has something to do says 2."""
        has_changes = any(not change["held"] for change in self.changes)
        if self.trigger == PLAN_TRIGGER and self.outcome is CommandOutcome.DONE and has_changes:
            return ExitCode.CHANGES_PLANNED
        return self.outcome.exit_code

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of jobs/README.md; only a plan lists its changes."""
        document = asdict(self)
        del document["login_refused"]
        if self.trigger != PLAN_TRIGGER:
            del document["changes"]
        if self.sweep_after is None:
            del document["sweep_after"]
        if not self.chunks:
            del document["chunks"]
        for key in ("review", "reviewed"):
            if document[key] is None:
                del document[key]
        if self.review is not None:
            document["review"]["checksum"] = document_checksum(document)
        return document

    def to_json(self) -> str:
        """The document as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def document_checksum(document: Mapping[str, Any]) -> str:
    """One text for all that a plan says, apart from this text itself."""
    review = {key: value for key, value in document["review"].items() if key != "checksum"}
    content = json.dumps({**document, "review": review}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def add_counts(counts: Counts, other: Counts) -> Counts:
    """Two counts of one kind as one."""
    return type(counts)(
        *(count + other_count for count, other_count in zip(astuple(counts), astuple(other), strict=True))
    )


def render_summary(report: RunReport, console: Console, *, most_notices: int | None = None) -> None:
    """A run on the screen: how it ended, who took part, what was decided, what it cost."""
    from rich.text import Text  # noqa: PLC0415 - a report is also made where nothing is shown

    style, outcome_text = OUTCOME_TEXTS[report.outcome]
    title = "Plan" if report.trigger == PLAN_TRIGGER else runs_title(report.run_ids)
    print_text(console, Text.assemble((title, "bold"), " · ", (outcome_text, style)))
    if report.error:
        print_text(console, sentence_for_people(report.error), "red")
    for line in (persons_line(report.persons), drift_line(report.drift), variants_line(report), cost_line(report)):
        if line:
            print_text(console, line)
    if (
        (report.trigger == BACKFILL_TRIGGER or report.chunks)
        and report.trigger != PLAN_TRIGGER
        and sum(astuple(report.writes))
    ):
        print_text(console, f"To take all of it back: `advosync undo {report.run_id} --whole`")
    for failure in report.errors:
        print_text(console, f"  failed: {format_person_key(failure)}: {failure['error']}", "red")
    for line in lines_of_reviewed_plan(report.reviewed) if report.reviewed is not None else ():
        print_text(console, line, "yellow" if line.startswith(" ") else "")
    for notice in report.notices[:most_notices]:
        print_text(console, f"  note: {sentence_for_people(notice)}", "yellow")
    if most_notices is not None and len(report.notices) > most_notices:
        print_text(console, f"  and {count_words(len(report.notices) - most_notices, 'note')} more", "yellow")


def lines_of_reviewed_plan(reviewed: ReviewedOutcome) -> Iterator[str]:
    """What became of a reviewed plan; who was left as it is stands there by reason, the first ones of many."""
    carried_out = count_words(reviewed["carried_out"], "person")
    yield f"Reviewed plan {reviewed['plan']}: carried out for {carried_out}, {len(reviewed['left'])} left as they are"
    for reason, left in groupby(reviewed["left"], key=lambda person: person["reason"]):
        persons = list(left)
        yield from (f"  {format_person_key(person)}: {reason}" for person in persons[:MAX_LISTED_LEFT])
        if len(persons) > MAX_LISTED_LEFT:
            yield f"  {len(persons) - MAX_LISTED_LEFT} more: {reason}; the report in `runs` names them all"


def runs_title(run_ids: list[int]) -> str:
    """The runs by their numbers, the first and the last of many."""
    if len(run_ids) > MAX_LISTED_RUNS:
        return f"{len(run_ids)} runs from {run_ids[0]} to {run_ids[-1]}"
    numbers = ", ".join(map(str, run_ids))
    return f"Runs {numbers}" if len(run_ids) > 1 else f"Run {numbers}".rstrip()


def persons_line(persons: PersonCounts) -> str:
    """Who took part; counts of zero are not worth a word."""
    counts = {name: count for name, count in asdict(persons).items() if count and name not in ("seen", "left_alone")}
    return f"Persons: {persons.seen} seen" + "".join(f", {count} {name}" for name, count in counts.items())


def drift_line(drift: DriftCounts) -> str:
    """What looking found that no list had told of."""
    counts = {"Advoware": drift.advoware, "EspoCRM": drift.espocrm}
    parts = [f"{count} changed in {system}" for system, count in counts.items() if count]
    return f"Found by looking: {', '.join(parts)}" if parts else ""


def variants_line(report: RunReport) -> str:
    """What was decided, in plain words."""
    counts = [f"{count} {VARIANT_WORDS.get(name, name)}" for name, count in report.variants.items() if count]
    if report.conflicts:
        counts.append(f"{report.conflicts} lost, and kept in `conflicts`")
    if not counts and report.outcome is CommandOutcome.DONE:
        counts.append("nothing to do")
    if report.persons.left_alone:
        counts.append(f"{report.persons.left_alone} left alone")  # entries, though counted beside the persons
    return f"Entries: {'; '.join(counts)}" if counts else ""


def cost_line(report: RunReport) -> str:
    """What it cost."""
    calls = {"EspoCRM": report.calls.espocrm, "Advoware": report.calls.advoware}
    parts = [f"{system} {counts_by_method(counts)}" for system, counts in calls.items() if counts]
    return f"Calls: {'; '.join(parts)}" if parts else ""


def counts_by_method(counts: dict[str, int]) -> str:
    """``5 GET 1 PUT``."""
    return " ".join(f"{count} {method}" for method, count in counts.items() if count)


def render_plan(report: RunReport, console: Console) -> None:
    """The steps of a plan on the screen, each person's under a line that names it."""
    from rich.text import Text  # noqa: PLC0415 - see render_summary

    if not report.changes or has_anybody_waiting(report):
        print_text(console, plan_sentence(report), "green" if is_in_agreement(report) else "yellow")
    if not report.changes:
        return
    width = max(len(variant_text(change)) for change in report.changes)
    for (person, held), steps in groupby(report.changes, key=lambda change: (person_title(change), change["held"])):
        title = Text.assemble((person, "bold"), (f"  held: {HOLD_TEXTS[held]}" if held else "", "yellow"))
        print_text(console, title, whole=person.split(" · "))
        print_steps(console, list(steps), width)


HOLD_TEXTS: Mapping[str, str] = {
    HoldKind.REMOVALS: "too much would be taken away",
    HoldKind.RECOVERY: "the state store was lost; what would be taken away needs approval",
    HoldKind.CONFIGURATION: "the configuration changed",
    HoldKind.SECOND_WRITER: "another sync, or a hook, writes here",
    HoldKind.ENDINGS: "it is not there as agreed",
}
"""Why a person's steps would be held, beside its name."""


def render_steps_summary(report: RunReport, console: Console) -> None:
    """What a plan would do, by kind: how many values of how many persons, on which side."""
    print_text(console, plan_sentence(report))
    kinds = Counter((change["side"], change["action"]) for change in report.changes)
    for (side, action), count in sorted(kinds.items()):
        values = f"{count_words(count, 'value')} to {action.replace('_', ' ')}"
        print_text(console, f"  {SIDE_WORDS.get(side, side)}: {values}")


def has_anybody_waiting(report: RunReport) -> bool:
    """Whether somebody is not in agreement, and the next run will not change that by itself."""
    persons = report.persons
    return any((persons.failed, persons.held, persons.waiting, persons.locked))


def is_in_agreement(report: RunReport) -> bool:
    """Whether a plan may claim that both sides agree."""
    return not report.changes and not has_anybody_waiting(report) and not report.persons.left_alone


def plan_sentence(report: RunReport) -> str:
    """What a plan comes to: the steps a run would write, those it would hold, and who waits already."""
    if is_in_agreement(report):
        return "Both sides agree; there is nothing to do."
    to_write = [change for change in report.changes if not change["held"]]
    to_hold = [change for change in report.changes if change["held"]]
    hold_words = "would be held" if report.outcome is CommandOutcome.HELD else "held"
    held_now = report.persons.held - len({change["entity_id"] for change in to_hold})
    parts = [
        f"To write: {steps_of_persons(to_write)}" if to_write else "Nothing new to write",
        *([f"{hold_words}: {steps_of_persons(to_hold)}"] if to_hold else []),
        *([f"held already: {count_words(held_now, 'person')}, see `advosync held`"] if held_now else []),
        *(
            f"{word}: {count_words(count, noun)}"
            for word, count, noun in (
                ("failing", report.persons.failed, "person"),
                ("waiting", report.persons.waiting, "person"),
                ("locked in EspoCRM", report.persons.locked, "person"),
                ("left alone", report.persons.left_alone, "value"),
            )
            if count
        ),
    ]
    return f"{'; '.join(parts)}."


def steps_of_persons(changes: Sequence[PlannedChange]) -> str:
    """How many steps, of how many persons."""
    persons = len({change["entity_id"] for change in changes})
    return f"{count_words(len(changes), 'step')} of {count_words(persons, 'person')}"


def count_words(count: int, noun: str) -> str:
    """A count with its noun, in the right number."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def print_steps(console: Console, steps: Sequence[PlannedChange], variant_width: int) -> None:
    """One person's steps: what was found (``variant_width`` columns wide), and where what happens to which value."""
    from rich.text import Text  # noqa: PLC0415 - see render_summary

    rows: list[list[str | Text]] = []
    for number, step in enumerate(steps):
        extra = extra_reason(step) if not number or extra_reason(step) != extra_reason(steps[number - 1]) else ""
        value = value_change(step["old_value"], step["new_value"])  # Text: "[bold]" in it is shown, not obeyed
        place = Text(f"{SIDE_WORDS.get(step['side'], step['side']):<8}")
        action = Text(f"{step['action']:<7}")
        rows.append(
            [f"  {variant_text(step)}", place, action, Text.assemble(value, (f"\n{extra}" if extra else "", "dim"))]
        )
    values = [value for step in steps for value in (step["old_value"], step["new_value"]) if value]
    print_columns(console, rows, variant_width + 2, whole=values)


def variant_text(change: PlannedChange) -> str:
    """What a step's variant is called."""
    return VARIANT_WORDS.get(change["variant"], change["variant"])


def extra_reason(change: PlannedChange) -> str:
    """What the reason of a step says beyond its variant: who wins, which remark is kept."""
    reason = change["reason"]
    expected = change["variant"] == Variant.LINK or variant_text(change) in reason
    return reason.partition("; ")[2] if expected else reason


def value_change(old: str | None, new: str | None) -> str:
    """From which value to which; a value that stays, or was not there before, is shown once."""
    return value_or_dash(new) if not old or old == new else f"{old} → {value_or_dash(new)}"


def value_or_dash(value: str | None) -> str:
    """A value for the eye; nothing is a dash."""
    return value or "–"


def person_title(person: Mapping[str, object]) -> str:
    """A person with its name and betnr, where it has them."""
    return " · ".join(str(person[key]) for key in ("name", "betnr", "entity_id") if person.get(key))


def format_person_key(record: PlannedChange | PersonFailure | PersonLeftAsIs) -> str:
    """A person as both systems call it."""
    return f"{record['entity_id']} / {record['betnr'] or 'no betnr'}"

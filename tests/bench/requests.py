"""Requests are what users pay, so they are counted: by person, variant, run and side (rules §5, Calls)."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import httpx

from etl.records import Side
from tests.bench.results import BenchLine
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobs.run.report import RunReport
    from jobs.sandbox.simulator import SimClock, SimRequest
    from tests.bench.__main__ import BenchOptions

OF_A_KIND = 20
"""Persons of each kind: enough that what was read first is old when it is written."""

BETWEEN_REQUESTS = 0.5
"""Seconds that pass with each request."""

PHONES = ["+495112000001", "+495112000002"]

Counts = Counter[tuple[Side, str]]


class CountedPerson(NamedTuple):
    """One of the firm's, the ids of its three rows, a number nobody has, and who has it where somebody does."""

    entity_id: str
    betnr: int
    rows: Sequence[int]
    holder: str | None = None

    @property
    def number(self) -> str:
        """Of this person alone."""
        return f"+49511{3_000_000 + self.betnr}"


@dataclass(frozen=True)
class ChangeKind:
    """What happened to a person; what that takes: new rows, overwritten rows, an array PUT; from where it vanished.

    ``adds_value``: the array PUT brings a value; ``is_shared``: another record has it.
    """

    name: str
    apply_change: Callable[[SyncHarness, CountedPerson], None]
    rows_created: int = 0
    rows_overwritten: int = 0
    writes_array: bool = False
    adds_value: bool = False
    is_shared: bool = False
    vanished_side: Side | None = None
    writes_note: bool = False
    in_advoware: bool = False

    @property
    def least_requests(self) -> Counts:
        """The least requests rules §5 allows, when everything first read is older than two seconds.

        One GET a side and one verifying; one more of each side that is overwritten or from which something vanished,
        where one read serves both unless an array PUT lies between; one of EspoCRM after an array PUT, and before one
        that brings a value a look-up and one read of who has it; the writes; the status.
        """
        is_missing_in_advo = self.vanished_side is Side.ADVO
        advo_rereads = (
            is_missing_in_advo + bool(self.rows_overwritten)
            if self.writes_array
            else is_missing_in_advo or self.rows_overwritten > 0
        )
        return +Counter(
            {
                (Side.ESPO, "GET"): 1
                + (self.writes_array or self.vanished_side is Side.ESPO)
                + (self.writes_array + self.adds_value + self.is_shared),
                (Side.ESPO, "PUT"): self.writes_array + 1,
                (Side.ESPO, "POST"): int(self.writes_note),
                (Side.ADVO, "GET"): 2 + advo_rereads,
                (Side.ADVO, "POST"): self.rows_created,
                (Side.ADVO, "PUT"): self.rows_overwritten,
            }
        )


def edit_phones(*numbers: str) -> Callable[[SyncHarness, CountedPerson], None]:
    """Edit the person's phones in EspoCRM; the first is its office's."""
    items = list(zip(numbers, ("Office", "Mobile", "Home"), strict=False))
    return lambda harness, person: harness.espo.edit(person.entity_id, phones=items)


def retype_phone(harness: SyncHarness, person: CountedPerson) -> None:
    harness.espo.edit(person.entity_id, phones=[(PHONES[0], "Office"), (PHONES[1], "Home")])


def make_clash(harness: SyncHarness, person: CountedPerson) -> None:
    edit_phones("+495112000009", PHONES[1])(harness, person)
    harness.advo.edit_row(person.betnr, person.rows[0], value="0511/2000008")


def type_number(harness: SyncHarness, person: CountedPerson) -> None:
    harness.advo.add_row(person.betnr, person.number)


def retype_number(harness: SyncHarness, person: CountedPerson) -> None:
    harness.advo.edit_row(person.betnr, person.rows[0], value=person.number)


def link_person(harness: SyncHarness, person: CountedPerson) -> None:
    """The person was not linked until now."""
    harness.espo.edit(person.entity_id, betnr=person.betnr)


KINDS = (
    ChangeKind("var1", edit_phones(*PHONES, "+495112000003"), rows_created=1),
    ChangeKind("var2", edit_phones(PHONES[0]), rows_overwritten=1, vanished_side=Side.ESPO),
    ChangeKind(
        "var3, the row is gone",
        lambda harness, person: harness.advo.remove_row(person.betnr, person.rows[0]),
        writes_array=True, vanished_side=Side.ADVO, in_advoware=True,
    ),
    ChangeKind(
        "var3, the row was emptied",
        lambda harness, person: harness.advo.empty_row(person.betnr, person.rows[0]),
        rows_overwritten=1, writes_array=True, vanished_side=Side.ADVO, in_advoware=True,
    ),
    ChangeKind("var4", type_number, rows_overwritten=1, writes_array=True, adds_value=True, in_advoware=True),
    ChangeKind(
        "var4, held by another", type_number, rows_overwritten=1, writes_array=True, adds_value=True,
        is_shared=True, in_advoware=True
    ),
    ChangeKind("var5", edit_phones("+495112000005", PHONES[1]), rows_overwritten=1),
    ChangeKind("var6", retype_number, rows_overwritten=1, writes_array=True, adds_value=True, in_advoware=True),
    ChangeKind(
        "var6, held by another",
        retype_number,
        rows_overwritten=1, writes_array=True, adds_value=True, is_shared=True, in_advoware=True,
    ),
    ChangeKind("retype", retype_phone, rows_created=1, rows_overwritten=1),
    ChangeKind("link", link_person, rows_overwritten=3),
    ChangeKind(
        "repair",
        lambda harness, person: harness.advo.edit_row(person.betnr, person.rows[0], remark="Büro"),
        rows_overwritten=1, in_advoware=True,
    ),
    ChangeKind("clash", make_clash, rows_overwritten=1, writes_note=True),
)  # fmt: skip


class AgeingTransport(httpx.BaseTransport):
    """Time passes with every request, so that reads grow old as they do outside."""

    def __init__(self, transport: httpx.BaseTransport, clock: SimClock) -> None:
        self._transport, self._clock = transport, clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._clock.advance(BETWEEN_REQUESTS)
        return self._transport.handle_request(request)


@dataclass
class RequestCounts:
    """A firm after one run: the persons something happened to, the others, and the requests about each."""

    harness: SyncHarness
    report: RunReport
    kind: ChangeKind
    changed: Sequence[CountedPerson]
    others: Sequence[CountedPerson]
    calls: Mapping[Side, Sequence[SimRequest]]

    def requests_about(self, person: CountedPerson) -> Counts:
        """The requests about one person; a note's is its parent, a look-up asks for its number, or reads who has it."""
        count: Counts = Counter()
        for call in self.calls[Side.ESPO]:
            is_note = call.path.endswith("/Note") and call.json["parentId"] == person.entity_id
            is_named = any(
                f"/CBeteiligte/{entity_id}" in call.path for entity_id in (person.entity_id, person.holder) if entity_id
            )
            if is_note or is_named or quote(person.number) in call.target:
                count[Side.ESPO, call.method] += 1
        for call in self.calls[Side.ADVO]:
            if f"/Beteiligte/{person.betnr}" in call.path:
                count[Side.ADVO, call.method] += 1
        return count

    def of_changed(self) -> Counts:
        """The requests about one of those something happened to; each of them costs the same."""
        counts = [self.requests_about(person) for person in self.changed]
        assert all(count == counts[0] for count in counts), counts
        return counts[0]

    def of_others(self) -> Counts:
        """The requests about all to whom nothing happened."""
        return sum((self.requests_about(person) for person in self.others), Counter())

    def of_no_person(self) -> Counts:
        """The requests of a run that are about no single person; logins are not among them."""
        everybody = sum((self.requests_about(person) for person in (*self.changed, *self.others)), Counter())
        calls = [(side, call) for side, of_side in self.calls.items() for call in of_side if not call.is_login]
        return Counter((side, call.method) for side, call in calls) - everybody


def count_requests(folder: Path, kind: ChangeKind) -> RequestCounts:
    """A firm in which this happened to half of the persons, after one run; a first sync came before."""
    harness = SyncHarness(folder, 0)
    poll_budget = 2 * OF_A_KIND if kind.in_advoware else 0
    guards = {"max_removals": 1000, "max_removal_share": 1.0}
    harness.configure(advoware={"poll_budget": poll_budget}, guards=guards)
    changed = [
        add_counted_person(harness, 100_001 + number, is_linked=kind.name != "link") for number in range(OF_A_KIND)
    ]
    if kind.is_shared:
        changed = [
            changed_person._replace(holder=harness.espo.add_person("Erika Muster", phones=[changed_person.number]))
            for changed_person in changed
        ]
    others = [add_counted_person(harness, 200_001 + number) for number in range(OF_A_KIND)]
    harness.run()
    for person in changed:
        kind.apply_change(harness, person)
    harness.environment = replace(
        harness.environment,
        espo_transport=AgeingTransport(harness.environment.espo_transport or httpx.HTTPTransport(), harness.clock),
        advo_transport=AgeingTransport(harness.environment.advo_transport or httpx.HTTPTransport(), harness.clock),
    )
    report = harness.run()
    assert report.outcome == "done", report
    calls = {Side.ESPO: list(harness.espo.request_log), Side.ADVO: list(harness.advo.request_log)}
    return RequestCounts(harness, report, kind, changed, others, calls)


def add_counted_person(harness: SyncHarness, betnr: int, *, is_linked: bool = True) -> CountedPerson:
    """A person with two phones and a mail on both sides."""
    mail = f"person{betnr}@kanzlei-muster.de"
    items = list(zip(PHONES, ("Office", "Mobile"), strict=True))
    entity_id = harness.espo.add_person("Max Muster", betnr if is_linked else None, phones=items, mails=[mail])
    harness.advo.add_person(betnr, "Max Muster")
    kinds = zip(("0511/2000001", "0511/2000002", mail), (1, 3, 4), strict=True)
    return CountedPerson(
        entity_id, betnr, [harness.advo.add_row(betnr, value, komm_kz=komm_kz) for value, komm_kz in kinds]
    )


def count_next_run(counts: RequestCounts, **options: bool) -> RequestCounts:
    """The same firm after one more run with nothing changed between."""
    report = counts.harness.run(**options)
    calls = {Side.ESPO: list(counts.harness.espo.request_log), Side.ADVO: list(counts.harness.advo.request_log)}
    return replace(counts, report=report, calls=calls)


# The table --------------------------------------------------------------------------------------------------------


def measure_requests(_: BenchOptions) -> list[BenchLine]:
    """Each variant against its lower bound, and what nobody pays for."""
    with tempfile.TemporaryDirectory() as folder:
        results = [count_requests(Path(folder) / kind.name, kind) for kind in KINDS]
        lines = [
            BenchLine(f"requests, {result.kind.name}", format_counts(cost), format_counts(bound), cost == bound)
            for result in results
            for cost, bound in [(result.of_changed(), result.kind.least_requests)]
        ]
        worst = max(result.of_changed().total() / result.kind.least_requests.total() for result in results)
        needless = sum((result.of_others() for result in results if not result.kind.in_advoware), Counter())
        next_results = [count_next_run(result) for result in results]
        refetched = sum(
            result.requests_about(person)[Side.ESPO, "GET"] for result in next_results for person in result.changed
        )
        sweep_result = count_next_run(next_results[0], sweep=True)
    run_requests = next_results[0].of_no_person()
    return [
        BenchLine("requests per changed person ÷ lower bound, the worst variant", f"{worst:.2f}", "1.00", worst == 1),
        *lines,
        BenchLine("requests for persons nobody looks at", str(needless.total()), "0", not needless),
        BenchLine("our own writes fetched again in EspoCRM by the next run", str(refetched), "0", refetched == 0),
        BenchLine(
            "requests for an unchanged person in a sweep",
            format_counts(sweep_result.requests_about(sweep_result.others[0])),
        ),
        BenchLine("requests of a run beside those for persons and logins", format_counts(run_requests)),
    ]


def format_counts(count: Counts) -> str:
    """Both sides in words."""
    sides = {"EspoCRM": Side.ESPO, "Advoware": Side.ADVO}
    text_by_side = {
        name: ", ".join(f"{count[side, method]} {method}" for method in ("GET", "POST", "PUT") if count[side, method])
        for name, side in sides.items()
    }
    return "; ".join(f"{name} {text}" for name, text in text_by_side.items() if text) or "none"

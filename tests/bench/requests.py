"""Requests are what users pay, so they are counted: by person, variant, run and side, against rules.md §5 ("Calls")."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import httpx

from etl.records import Side
from tests.bench.results import Line
from tests.practice import Practice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobs.report import RunReport
    from jobs.sandbox.simulator import Call, SimClock
    from tests.bench.__main__ import Asked

OF_A_KIND = 20
"""Persons of each kind: enough that what was read first is old when it is written."""

BETWEEN_REQUESTS = 0.5
"""Seconds that pass with each request."""

PHONES = ["+495112000001", "+495112000002"]

Count = Counter[tuple[Side, str]]


class Person(NamedTuple):
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
class Kind:
    """What happened to a person; what that takes: new rows, overwritten rows, an array PUT; from where it vanished.

    ``brings``: the array PUT brings a value; ``held``: another record has it.
    """

    name: str
    happen: Callable[[Practice, Person], None]
    created: int = 0
    overwritten: int = 0
    arrays: bool = False
    brings: bool = False
    held: bool = False
    vanished: Side | None = None
    note: bool = False
    in_advoware: bool = False

    @property
    def bound(self) -> Count:
        """The least requests rules.md §5 allows, when everything first read is older than two seconds.

        One GET a side and one verifying; one more of each side that is overwritten or from which something vanished,
        where one read serves both unless an array PUT lies between; one of EspoCRM after an array PUT, and before one
        that brings a value a look-up and one read of who has it; the writes; the status.
        """
        gone_from_advo = self.vanished is Side.ADVO
        again_advo = gone_from_advo + bool(self.overwritten) if self.arrays else gone_from_advo or self.overwritten > 0
        return +Counter(
            {
                (Side.ESPO, "GET"): 1
                + (self.arrays or self.vanished is Side.ESPO)
                + (self.arrays + self.brings + self.held),
                (Side.ESPO, "PUT"): self.arrays + 1,
                (Side.ESPO, "POST"): int(self.note),
                (Side.ADVO, "GET"): 2 + again_advo,
                (Side.ADVO, "POST"): self.created,
                (Side.ADVO, "PUT"): self.overwritten,
            }
        )


def phones(*numbers: str) -> Callable[[Practice, Person], None]:
    """Edit the person's phones in EspoCRM; the first is its office's."""
    items = list(zip(numbers, ("Office", "Mobile", "Home"), strict=False))
    return lambda office, person: office.espo.edit(person.entity_id, phones=items)


def retyped(office: Practice, person: Person) -> None:
    office.espo.edit(person.entity_id, phones=[(PHONES[0], "Office"), (PHONES[1], "Home")])


def both_edited(office: Practice, person: Person) -> None:
    phones("+495112000009", PHONES[1])(office, person)
    office.advo.edit_row(person.betnr, person.rows[0], value="0511/2000008")


def typed(office: Practice, person: Person) -> None:
    office.advo.add_row(person.betnr, person.number)


def retyped_in_advoware(office: Practice, person: Person) -> None:
    office.advo.edit_row(person.betnr, person.rows[0], value=person.number)


def linked(office: Practice, person: Person) -> None:
    """The person was not linked until now."""
    office.espo.edit(person.entity_id, betnr=person.betnr)


KINDS = (
    Kind("var1", phones(*PHONES, "+495112000003"), created=1),
    Kind("var2", phones(PHONES[0]), overwritten=1, vanished=Side.ESPO),
    Kind(
        "var3, the row is gone",
        lambda office, one: office.advo.remove_row(one.betnr, one.rows[0]),
        arrays=True, vanished=Side.ADVO, in_advoware=True,
    ),
    Kind(
        "var3, the row was emptied",
        lambda office, one: office.advo.empty_row(one.betnr, one.rows[0]),
        overwritten=1, arrays=True, vanished=Side.ADVO, in_advoware=True,
    ),
    Kind("var4", typed, overwritten=1, arrays=True, brings=True, in_advoware=True),
    Kind("var4, held by another", typed, overwritten=1, arrays=True, brings=True, held=True, in_advoware=True),
    Kind("var5", phones("+495112000005", PHONES[1]), overwritten=1),
    Kind("var6", retyped_in_advoware, overwritten=1, arrays=True, brings=True, in_advoware=True),
    Kind(
        "var6, held by another",
        retyped_in_advoware,
        overwritten=1, arrays=True, brings=True, held=True, in_advoware=True,
    ),
    Kind("retype", retyped, created=1, overwritten=1),
    Kind("link", linked, overwritten=3),
    Kind(
        "repair",
        lambda office, one: office.advo.edit_row(one.betnr, one.rows[0], remark="Büro"),
        overwritten=1, in_advoware=True,
    ),
    Kind("clash", both_edited, overwritten=1, note=True),
)  # fmt: skip


class Ageing(httpx.BaseTransport):
    """Time passes with every request, so that reads grow old as they do outside."""

    def __init__(self, transport: httpx.BaseTransport, clock: SimClock) -> None:
        self._transport, self._clock = transport, clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._clock.advance(BETWEEN_REQUESTS)
        return self._transport.handle_request(request)


@dataclass
class Counted:
    """A firm after one run: the persons something happened to, the others, and the requests about each."""

    office: Practice
    report: RunReport
    kind: Kind
    struck: Sequence[Person]
    others: Sequence[Person]
    calls: Mapping[Side, Sequence[Call]]

    def about(self, person: Person) -> Count:
        """The requests about one person; a note's is its parent, a look-up asks for its number, or reads who has it."""
        count: Count = Counter()
        for call in self.calls[Side.ESPO]:
            note = call.path.endswith("/Note") and call.json["parentId"] == person.entity_id
            named = any(f"/CBeteiligte/{one}" in call.path for one in (person.entity_id, person.holder) if one)
            if note or named or quote(person.number) in call.target:
                count[Side.ESPO, call.method] += 1
        for call in self.calls[Side.ADVO]:
            if f"/Beteiligte/{person.betnr}" in call.path:
                count[Side.ADVO, call.method] += 1
        return count

    def of_struck(self) -> Count:
        """The requests about one of those something happened to; each of them costs the same."""
        counts = [self.about(person) for person in self.struck]
        assert all(count == counts[0] for count in counts), counts
        return counts[0]

    def of_others(self) -> Count:
        """The requests about all to whom nothing happened."""
        return sum((self.about(person) for person in self.others), Counter())

    def of_nobody(self) -> Count:
        """The requests of a run that are about no single person; logins are not among them."""
        everybody = sum((self.about(person) for person in (*self.struck, *self.others)), Counter())
        calls = [(side, call) for side, of_side in self.calls.items() for call in of_side if not call.is_login]
        return Counter((side, call.method) for side, call in calls) - everybody


def counted(folder: Path, kind: Kind) -> Counted:
    """A firm in which this happened to half of the persons, after one run; a first sync came before."""
    office = Practice.of(folder, 0)
    polled = 2 * OF_A_KIND if kind.in_advoware else 0
    sections = {
        "advoware": office.config.advoware.model_copy(update={"poll_budget": polled}),
        "guards": office.config.guards.model_copy(update={"max_removals": 1000, "max_removal_share": 1.0}),
    }
    office.config = office.config.model_copy(update=sections)
    struck = [moved_in(office, 100_001 + number, linked=kind.name != "link") for number in range(OF_A_KIND)]
    if kind.held:
        struck = [one._replace(holder=office.espo.add_person("Erika Muster", phones=[one.number])) for one in struck]
    others = [moved_in(office, 200_001 + number) for number in range(OF_A_KIND)]
    office.run()
    for person in struck:
        kind.happen(office, person)
    office.world = replace(
        office.world,
        espo_transport=Ageing(office.world.espo_transport or httpx.HTTPTransport(), office.clock),
        advo_transport=Ageing(office.world.advo_transport or httpx.HTTPTransport(), office.clock),
    )
    report = office.run()
    assert report.outcome == "done", report
    calls = {Side.ESPO: list(office.espo.journal), Side.ADVO: list(office.advo.journal)}
    return Counted(office, report, kind, struck, others, calls)


def moved_in(office: Practice, betnr: int, *, linked: bool = True) -> Person:
    """A person with two phones and a mail on both sides."""
    mail = f"person{betnr}@kanzlei-muster.de"
    items = list(zip(PHONES, ("Office", "Mobile"), strict=True))
    entity_id = office.espo.add_person("Max Muster", betnr if linked else None, phones=items, mails=[mail])
    office.advo.add_person(betnr, "Max Muster")
    kinds = zip(("0511/2000001", "0511/2000002", mail), (1, 3, 4), strict=True)
    return Person(entity_id, betnr, [office.advo.add_row(betnr, value, komm_kz=kz) for value, kz in kinds])


def after(found: Counted, **options: bool) -> Counted:
    """The same firm after one more run with nothing changed between."""
    report = found.office.run(**options)
    calls = {Side.ESPO: list(found.office.espo.journal), Side.ADVO: list(found.office.advo.journal)}
    return replace(found, report=report, calls=calls)


# The table --------------------------------------------------------------------------------------------------------


def measured(_: Asked) -> list[Line]:
    """Each variant against its lower bound, and what nobody pays for."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [counted(Path(folder) / kind.name, kind) for kind in KINDS]
        lines = [
            Line(f"requests, {one.kind.name}", shown(cost), shown(bound), cost == bound)
            for one in runs
            for cost, bound in [(one.of_struck(), one.kind.bound)]
        ]
        worst = max(one.of_struck().total() / one.kind.bound.total() for one in runs)
        unseen = sum((one.of_others() for one in runs if not one.kind.in_advoware), Counter())
        again = [after(one) for one in runs]
        back = sum(one.about(person)[Side.ESPO, "GET"] for one in again for person in one.struck)
        swept = after(again[0], sweep=True)
    quiet = again[0].of_nobody()
    return [
        Line("requests per changed person ÷ lower bound, the worst variant", f"{worst:.2f}", "1.00", worst == 1),
        *lines,
        Line("requests for persons nobody looks at", str(unseen.total()), "0", not unseen),
        Line("our own writes fetched again in EspoCRM by the next run", str(back), "0", back == 0),
        Line("requests for an unchanged person in a sweep", shown(swept.about(swept.others[0]))),
        Line("requests of a run beside those for persons and logins", shown(quiet)),
    ]


def shown(count: Count) -> str:
    """Both sides in words."""
    sides = {"EspoCRM": Side.ESPO, "Advoware": Side.ADVO}
    told = {
        name: ", ".join(f"{count[side, method]} {method}" for method in ("GET", "POST", "PUT") if count[side, method])
        for name, side in sides.items()
    }
    return "; ".join(f"{name} {what}" for name, what in told.items() if what) or "none"

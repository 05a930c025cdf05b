"""A small firm made from a seed: persons with entries, spellings, remarks, doubles and what EspoCRM cannot hold."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from jobs.sandbox.advoware import AdvoSim, ErrorStyle
from jobs.sandbox.advoware_rows import Beteiligter
from jobs.sandbox.advoware_texts import cut
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.simulator import SimClock
from tests.simulation.chance import Fate
from tests.simulation.oracle import Sides, canon, entries_of_items, entries_of_rows, own_text

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FIRST_BETNR = 300_001
TYPES = ("Office", "Mobile", "Home", "Fax", "Other")
KOMM_KZ = {"Office": 1, "Mobile": 3, "Home": 6, "Fax": 2, "Other": 10}
TYPE_OF = {1: "Office", 2: "Fax", 3: "Mobile", 6: "Home", 7: "Fax", 9: "Mobile", 10: "Other"}
LANDLINE = ("0511/{0}", "(0511) {0}", "+49 511 {0}", "0049 511 {0}", "0511-{0}")
SWITCHES = (
    "real_komm_kz", "replaces", "answers_put", "wrapped", "max_tlf", "max_bemerkung", "refuses_too_long", "error_style",
    "utf16", "trims", "line_ends",
)  # fmt: skip
MOBILE = ("0171/{0}", "0171 {0}", "+49 171 {0}", "0171-{0}")
TEXTS = (
    "", "", "", "nur vormittags {0}", "Gegner, nicht anrufen {0}", "Büro 📞 {0}", "[privat] {0}", "eins\n{0}",
    "  Rand {0}  ",
)  # fmt: skip
UNCLEAR = ("0511 22{0}/33", "4951122{0}", "0511 22{0} / 0171 23{0}", "Tel. 0511 24{0}", "0511 25{0}, ggf. 26{0}")
"""What may be a number or several, so that none is made of it."""

FREE = ("Mutter: 0511 12{0}", "0171 22{0} privat", "siehe Akte {0}", "skype:max{0}")


@dataclass(frozen=True)
class Nature:
    """How this world's systems and configuration are. ``edition``: of what people and weather know; those of
    an earlier one knew less, and the dice of its seeds fall as they did then."""

    scope: str = "person"
    direction: str = "both"
    international: bool = True
    concurrency: bool = False
    real_komm_kz: bool = False
    replaces: bool = False
    answers_put: bool = True
    wrapped: bool = False
    torn_reads: int = 0
    max_tlf: int | None = None
    max_bemerkung: int | None = None
    refuses_too_long: bool = False
    error_style: ErrorStyle = ErrorStyle.JSON
    latency: float = 0.05
    persons: int = 20
    edition: int = 3
    utf16: bool = False
    trims: bool = False
    line_ends: str | None = None

    def plain(self, text: str) -> str:
        """A text without what this Advoware makes of blanks and line ends."""
        ended = text if self.line_ends is None else "\n".join(text.splitlines())
        return ended.strip() if self.trims else ended

    def cut_remark(self, text: str) -> str:
        """As much of a remark as this Advoware stores."""
        if self.max_bemerkung is None:
            return text
        return cut(text, self.max_bemerkung, utf16=self.utf16, half_letters="surrogatepass")

    @property
    def cuts(self) -> bool:
        """Whether Advoware stores less than it is sent, so that a run has to mend what no plan foresaw."""
        return self.max_tlf is not None or self.max_bemerkung is not None

    @classmethod
    def drawn(cls, dice: Random, persons: int, edition: int = 3) -> Nature:
        """A nature of a seed."""
        nature = cls(
            scope=dice.choice(("person", "entry")),
            international=dice.random() < 0.7,
            concurrency=dice.random() < 0.5,
            real_komm_kz=dice.random() < 0.3,
            replaces=dice.random() < 0.5,
            answers_put=dice.random() < 0.7,
            wrapped=dice.random() < 0.3,
            torn_reads=dice.choice((0, 0, 1, 3)),
            max_bemerkung=dice.choice((None, None, None, 60)),
            max_tlf=dice.choice((None, None, None, 40)),
            latency=dice.choice((0.02, 0.05, 0.4)),
            persons=persons,
            direction=dice.choice(("both",) * 8 + ("to_advoware", "to_espocrm")),
            refuses_too_long=dice.random() < 0.3,
            error_style=dice.choice(tuple(ErrorStyle)),
            edition=edition,
        )
        if edition == 1:
            return nature
        trims, line_ends = dice.random() < 0.15, dice.choice((None, None, None, None, "\r\n"))
        return replace(nature, utf16=dice.random() < 0.3, trims=trims, line_ends=line_ends)


@dataclass
class Person:
    """One person on both sides, and what people did to it.

    ``meant``: the values each own text was written for; ``away``: why neither side may be touched; ``elsewhere``: the
    number of the Beteiligten it was linked to before; ``asked``: values whose type in EspoCRM decides the kommKz;
    ``marks``: type, optOut and invalid of EspoCRM's items as people left them; ``crowded``: it has, or had, more
    numbers than EspoCRM holds; ``copied``: values of rows, and of their markers, that came with another Beteiligten;
    ``cut_texts``, ``cut_values``: what Advoware shortened and only what a state store knew then could have mended, the
    own texts whole by row, the values as they stand; ``misfits``: rows whose kommKz was not the type's when all was
    agreed last; ``typed_over``: the numbers that were typed over since, by row, in order; ``saved_in``: the last run
    during which people changed EspoCRM's items; ``hidden``: what EspoCRM's items that nobody can read were typed over;
    ``earlier``: what other items were, since all agreed; ``prevented``: numbers of EspoCRM that a row nobody can read
    may mean.
    """

    number: int
    entity_id: str
    betnr: int
    meant: dict[str, set[str]] = field(default_factory=dict)
    away: str | None = None
    elsewhere: int | None = None
    asked: set[str] = field(default_factory=set)
    marks: dict[str, tuple[object, ...]] = field(default_factory=dict)
    written: int = 0
    agreed: Sides = field(default_factory=lambda: Sides(frozenset(), frozenset()))
    last: dict[str, str] = field(default_factory=dict)
    touched: dict[str, set[str]] = field(default_factory=dict)
    model: dict[str, set[str]] = field(default_factory=lambda: {"espo": set(), "advo": set()})
    edits: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    texts: dict[int, str] = field(default_factory=dict)
    excused: set[str] = field(default_factory=set)
    crowded: bool = False
    copied: set[str] = field(default_factory=set)
    cut_texts: dict[int, str] = field(default_factory=dict)
    cut_values: set[str] = field(default_factory=set)
    misfits: set[int] = field(default_factory=set)
    typed_over: dict[int, list[str]] = field(default_factory=dict)
    saved_in: str = ""
    hidden: dict[str, str] = field(default_factory=dict)
    earlier: dict[str, str] = field(default_factory=dict)
    prevented: dict[str, str] = field(default_factory=dict)
    synced: bool = False
    drawn: int = 0

    def hides(self, value: str) -> list[str]:
        """What an item that nobody can read was typed over, and what that was before, back to when all agreed."""
        before = [self.hidden[value]]
        while older := self.earlier.get(before[-1]):
            before.append(older)
        return before

    def new_number(self) -> int:
        """Seven digits nobody else has."""
        self.drawn += 1
        return 2_000_000 + 1000 * self.number + self.drawn

    def text(self, dice: Random) -> str:
        """What people note beside a number; a text that nobody else ever wrote, or none."""
        self.written += 1
        return dice.choice(TEXTS).format(f"{self.number}.{self.written}")

    def added(self, side: str, value: str) -> None:
        """A person entered this value."""
        self._touch(side, value, "added")
        self.model[side].add(canon(value))

    def removed(self, side: str, value: str, *, still: bool = False) -> None:
        """A person took this value away; ``still``: another row or item of that side has it."""
        self._touch(side, value, "removed")
        self.marks.pop(canon(value), None)
        if not still:
            self.model[side].discard(canon(value))

    def _touch(self, side: str, value: str, what: str) -> None:
        self.last[canon(value)] = what
        self.touched.setdefault(canon(value), set()).add(side)
        self.edits.add(side)


KEPT_IN_ESPO = ("records", "notes", "phones", "mails", "contacts", "role")


@dataclass
class Firm:
    """Both systems, their clock and all persons.

    ``untouchable``: rows of Beteiligten nobody is linked to now; ``buried``: Beteiligte that were deleted; ``shared``:
    values that two records hold, so that EspoCRM keeps their type and marks only once.
    """

    nature: Nature
    clock: SimClock
    espo: EspoSim
    advo: AdvoSim
    persons: list[Person] = field(default_factory=list)

    untouchable: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    buried: dict[int, Beteiligter] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)

    def rows(self, person: Person) -> list[dict[str, Any]]:
        """The person's rows as people see them; none when it is deleted in Advoware."""
        return self.advo.rows(person.betnr) if person.betnr in self.advo.beteiligte.persons else []

    def records(self) -> dict[str, Any]:
        """EspoCRM's records as they are now, to be shown again later."""
        return {one.id: replace(one, values=dict(one.values)) for one in self.espo.store.records.values()}

    def sides(self, person: Person) -> Sides:
        """The values of both sides now."""
        return Sides(
            frozenset(entries_of_items(self.espo.items(person.entity_id))),
            frozenset(entries_of_rows(self.rows(person))),
        )


class Moment:
    """Everything the two systems and the people know at one moment, to go back to as often as one likes."""

    def __init__(self, firm: Firm) -> None:
        self.firm = firm
        self.at = firm.clock.offset
        self.known = copy.deepcopy(self.now())

    def now(self) -> tuple[Any, ...]:
        """All that changes in a world, but for its clock."""
        firm, espo, advo = self.firm, self.firm.espo, self.firm.advo
        systems = (espo.login, *(getattr(espo.store, name) for name in KEPT_IN_ESPO), advo.login, advo.beteiligte)
        return (*systems, firm.persons, firm.untouchable, firm.buried, firm.shared)

    def again(self) -> None:
        """Let everything be as it was then."""
        firm, espo, advo = self.firm, self.firm.espo, self.firm.advo
        known = copy.deepcopy(self.known)
        espo.login, *kept, advo.login, advo.beteiligte, persons, firm.untouchable, firm.buried, firm.shared = known
        for name, value in zip(KEPT_IN_ESPO, kept, strict=True):
            setattr(espo.store, name, value)
        firm.persons[:] = persons
        firm.clock.offset = self.at


def build(fate: Fate, nature: Nature) -> Firm:
    """The firm of a seed. A person spared by fate is not there."""
    clock = SimClock(at=START)
    espo, advo = EspoSim(clock), AdvoSim(clock)
    advo.address = "https://advoware.advo-net.net"
    espo.store.settings["phoneNumberInternational"] = nature.international
    espo.store.concurrency = nature.concurrency
    espo.store.torn_reads = nature.torn_reads
    for switch in SWITCHES:
        setattr(advo.switches, switch, getattr(nature, switch))
    firm = Firm(nature, clock, espo, advo)
    firm.persons = [one for number in range(nature.persons) if (one := person_of(fate, firm, number)) is not None]
    clock.advance(120)
    return firm


def person_of(fate: Fate, firm: Firm, number: int) -> Person | None:
    """One person with its entries, some on both sides, some on one."""
    if not fate.strikes(f"person{number}", 1.0):
        return None
    dice = fate.dice(f"person{number}")
    person = Person(number, f"{number + 1:017x}", FIRST_BETNR + number)
    phones: list[tuple[str, str]] = []
    mails: list[str] = []
    firm.advo.add_person(person.betnr, f"Anna Muster{number}")
    drawn = [drawn_entry(person, dice) for _ in range(dice.randint(1, 4))]
    for espo, advo, kind in drawn:
        where = dice.choice(("both", "both", "both", "espo", "advo"))
        if where != "advo" and kind:
            phones.append((espo, kind))
        elif where != "advo":
            mails.append(too_long(espo) if where == "espo" and firm.nature.max_tlf else espo)
        if where != "espo":
            add_row(firm, person, advo, person.text(dice), KOMM_KZ[kind] if kind else 4)
            if dice.random() < 0.08:
                add_row(firm, person, advo, person.text(dice), 1)
                person.doubled.add(canon(advo))
    for odd in oddities(person, dice):
        add_row(firm, person, odd, person.text(dice), 1)
    firm.espo.add_person(
        f"Anna Muster{number}", person.betnr, phones=phones, mails=mails, entity_id=person.entity_id
    )
    sides = firm.sides(person)
    person.last = dict.fromkeys(sides.espo | sides.advo, "added")
    person.model = {"espo": set(sides.espo), "advo": set(sides.advo)}
    person.agreed = sides
    person.marks = marks_of(firm, person)
    return person


def marks_of(firm: Firm, person: Person) -> dict[str, tuple[object, ...]]:
    """Type, optOut and invalid of the person's items by canonical value."""
    return {
        canon(item.get("phoneNumber") or item["emailAddress"]): (item.get("type"), item["optOut"], item["invalid"])
        for item in firm.espo.items(person.entity_id)
    }


def drawn_entry(person: Person, dice: Random) -> tuple[str, str, str | None]:
    """EspoCRM's spelling, Advoware's spelling, EspoCRM's type."""
    number = person.new_number()
    kind = dice.choice(("Office", "Mobile", "Home", "Fax", None))
    if kind is None:
        mail = f"anna{number}@kanzlei-muster.de"
        return mail, dice.choice((mail, mail.title())), None
    prefix, spellings = ("+49171", MOBILE) if kind == "Mobile" else ("+49511", LANDLINE)
    return f"{prefix}{number}", dice.choice(spellings).format(number), kind


def too_long(mail: str) -> str:
    """A mail address longer than some Advoware takes."""
    return f"eine.sehr.lange.adresse.{mail}"


def oddities(person: Person, dice: Random) -> list[str]:
    """What stays in Advoware."""
    odd = []
    if dice.random() < 0.15:
        odd.append(dice.choice(FREE).format(person.new_number()))
    if dice.random() < 0.08:
        odd.append(f"käthe{person.new_number()}@müller.de")
    if dice.random() < 0.1:
        odd.append(f"www.muster{person.new_number()}.de")
    if dice.random() < 0.06:
        odd.append(f"0511 {person.new_number()} DW 60")
    return odd


def add_row(firm: Firm, person: Person, value: str, remark: str, komm_kz: int) -> int:
    """A row typed in by a person, its text remembered."""
    komm_id = firm.advo.add_row(person.betnr, value, remark or None, komm_kz=komm_kz)
    person.texts[komm_id] = own_text(remark)
    person.meant.setdefault(own_text(remark), set()).add(canon(value))
    return komm_id

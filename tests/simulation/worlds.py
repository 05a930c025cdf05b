"""A small firm made from a seed: persons with entries, spellings, remarks, doubles and what EspoCRM cannot hold."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from jobs.sandbox.advoware.api import AdvoSim, ErrorStyle
from jobs.sandbox.advoware.rows import Beteiligter
from jobs.sandbox.advoware.texts import truncate_text
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.versions import NEWEST, VERSIONS
from jobs.sandbox.simulator import SimClock
from tests.simulation.chance import SeededChance
from tests.simulation.oracle import SideValues, canon, entries_of_items, entries_of_rows, text_in_remark
from tests.simulation.staff import StaffedEspo

LATEST_EDITION = 4
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FIRST_BETNR = 300_001
TYPES = ("Office", "Mobile", "Home", "Fax", "Other")
KOMM_KZ = {"Office": 1, "Mobile": 3, "Home": 6, "Fax": 2, "Other": 10}
TYPE_OF = {1: "Office", 2: "Fax", 3: "Mobile", 6: "Home", 7: "Fax", 9: "Mobile", 10: "Other"}
LANDLINE = ("0511/{0}", "(0511) {0}", "+49 511 {0}", "0049 511 {0}", "0511-{0}")
ADVOWARE_SWITCHES = (
    "real_komm_kz", "replaces", "answers_put", "wrapped", "max_tlf", "max_bemerkung", "refuses_too_long", "error_style",
    "utf16", "trims", "line_ends",
)  # fmt: skip
MOBILE = ("0171/{0}", "0171 {0}", "+49 171 {0}", "0171-{0}")
TEXTS = (
    "", "", "", "nur vormittags {0}", "Gegner, nicht anrufen {0}", "Büro 📞 {0}", "[privat] {0}", "eins\n{0}",
    "  Rand {0}  ",
)  # fmt: skip
UNCLEAR_VALUES = ("0511 22{0}/33", "4951122{0}", "0511 22{0} / 0171 23{0}", "Tel. 0511 24{0}", "0511 25{0}, ggf. 26{0}")
"""What may be a number or several, so that none is made of it."""

FREE_TEXTS = ("Mutter: 0511 12{0}", "0171 22{0} privat", "siehe Akte {0}", "skype:max{0}")


@dataclass(frozen=True)
class Traits:
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
    edition: int = LATEST_EDITION
    utf16: bool = False
    trims: bool = False
    line_ends: str | None = None
    espocrm: str = NEWEST.name
    lockable: bool = False

    def normalize(self, text: str) -> str:
        """A text without what this Advoware makes of blanks and line ends."""
        normalized = text if self.line_ends is None else "\n".join(text.splitlines())
        return normalized.strip() if self.trims else normalized

    def truncate_remark(self, text: str) -> str:
        """As much of a remark as this Advoware stores."""
        if self.max_bemerkung is None:
            return text
        return truncate_text(text, self.max_bemerkung, utf16=self.utf16, half_letters="surrogatepass")

    @property
    def truncates(self) -> bool:
        """Whether Advoware stores less than it is sent, so that a run has to mend what no plan foresaw."""
        return self.max_tlf is not None or self.max_bemerkung is not None

    @classmethod
    def draw(cls, rng: Random, persons: int, edition: int = LATEST_EDITION) -> Traits:
        """A nature of a seed."""
        traits = cls(
            scope=rng.choice(("person", "entry")),
            international=rng.random() < 0.7,
            concurrency=rng.random() < 0.5,
            real_komm_kz=rng.random() < 0.3,
            replaces=rng.random() < 0.5,
            answers_put=rng.random() < 0.7,
            wrapped=rng.random() < 0.3,
            torn_reads=rng.choice((0, 0, 1, 3)),
            max_bemerkung=rng.choice((None, None, None, 60)),
            max_tlf=rng.choice((None, None, None, 40)),
            latency=rng.choice((0.02, 0.05, 0.4)),
            persons=persons,
            direction=rng.choice(("both",) * 8 + ("to_advoware", "to_espocrm")),
            refuses_too_long=rng.random() < 0.3,
            error_style=rng.choice(tuple(ErrorStyle)),
            edition=edition,
        )
        if edition == 1:
            return traits
        trims, line_ends = rng.random() < 0.15, rng.choice((None, None, None, None, "\r\n"))
        traits = replace(traits, utf16=rng.random() < 0.3, trims=trims, line_ends=line_ends)
        if edition < LATEST_EDITION:
            return traits
        return replace(traits, espocrm=rng.choice(tuple(VERSIONS)), lockable=rng.random() < 0.5)


@dataclass
class Person:
    """One person on both sides, and what people did to it.

    ``values_of_text``: the values each own text was written for; ``absence``: why neither side may be touched;
    ``other_betnr``: the number of the Beteiligten it was linked to before; ``type_chosen``: values whose type in
    EspoCRM decides the kommKz; ``item_attributes``: type, optOut and invalid of EspoCRM's items as people left them;
    ``is_crowded``: it has, or had, more numbers than EspoCRM holds; ``copied_values``: values of rows, and of their
    markers, that came with another Beteiligten; ``truncated_texts``, ``truncated_values``: what Advoware shortened and
    only what a state store knew then could have mended, the own texts whole by row, the values as they stand;
    ``wrong_komm_kz_rows``: rows whose kommKz was not the type's when all was agreed last; ``typed_over``: the numbers
    that were typed over since, by row, in order; ``saved_in``: the last run during which people changed EspoCRM's
    items; ``hidden``: what EspoCRM's items that nobody can read were typed over; ``earlier``: what other items were,
    since all agreed; ``prevented``: numbers of EspoCRM that a row nobody can read may mean.
    """

    number: int
    entity_id: str
    betnr: int
    values_of_text: dict[str, set[str]] = field(default_factory=dict)
    absence: str | None = None
    other_betnr: int | None = None
    type_chosen: set[str] = field(default_factory=set)
    item_attributes: dict[str, tuple[object, ...]] = field(default_factory=dict)
    text_count: int = 0
    baseline: SideValues = field(default_factory=lambda: SideValues(frozenset(), frozenset()))
    last_edits: dict[str, str] = field(default_factory=dict)
    sides_by_value: dict[str, set[str]] = field(default_factory=dict)
    expected: dict[str, set[str]] = field(default_factory=lambda: {"espo": set(), "advo": set()})
    edited_sides: set[str] = field(default_factory=set)
    edit_kinds: set[str] = field(default_factory=set)
    duplicates: set[str] = field(default_factory=set)
    own_texts: dict[int, str] = field(default_factory=dict)
    excused_values: set[str] = field(default_factory=set)
    is_crowded: bool = False
    copied_values: set[str] = field(default_factory=set)
    truncated_texts: dict[int, str] = field(default_factory=dict)
    truncated_values: set[str] = field(default_factory=set)
    wrong_komm_kz_rows: set[int] = field(default_factory=set)
    typed_over: dict[int, list[str]] = field(default_factory=dict)
    saved_in: str = ""
    hidden: dict[str, str] = field(default_factory=dict)
    earlier: dict[str, str] = field(default_factory=dict)
    prevented: dict[str, str] = field(default_factory=dict)
    synced: bool = False
    number_count: int = 0

    def hides(self, value: str) -> list[str]:
        """What an item that nobody can read was typed over, and what that was before, back to when all agreed."""
        before = [self.hidden[value]]
        while older := self.earlier.get(before[-1]):
            before.append(older)
        return before

    def new_number(self) -> int:
        """Seven digits nobody else has."""
        self.number_count += 1
        return 2_000_000 + 1000 * self.number + self.number_count

    def new_text(self, rng: Random) -> str:
        """What people note beside a number; a text that nobody else ever wrote, or none."""
        self.text_count += 1
        return rng.choice(TEXTS).format(f"{self.number}.{self.text_count}")

    def note_added(self, side: str, value: str) -> None:
        """A person entered this value."""
        self._note_edit(side, value, "added")
        self.expected[side].add(canon(value))

    def note_removed(self, side: str, value: str, *, still_there: bool = False) -> None:
        """A person took this value away; ``still_there``: another row or item of that side has it."""
        self._note_edit(side, value, "removed")
        self.item_attributes.pop(canon(value), None)
        if not still_there:
            self.expected[side].discard(canon(value))

    def _note_edit(self, side: str, value: str, last_edit: str) -> None:
        self.last_edits[canon(value)] = last_edit
        self.sides_by_value.setdefault(canon(value), set()).add(side)
        self.edited_sides.add(side)


ESPO_STATE = ("records", "notes", "phones", "mails", "contacts", "role")


@dataclass
class Firm:
    """Both systems, their clock and all persons.

    ``frozen_rows``: rows of Beteiligten nobody is linked to now; ``deleted_persons``: Beteiligte that were deleted;
    ``shared_values``: values that two records hold, so that EspoCRM keeps their type and marks only once.
    """

    traits: Traits
    clock: SimClock
    espo: EspoSim
    advo: AdvoSim
    persons: list[Person] = field(default_factory=list)

    frozen_rows: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    deleted_persons: dict[int, Beteiligter] = field(default_factory=dict)
    shared_values: set[str] = field(default_factory=set)

    def rows(self, person: Person) -> list[dict[str, Any]]:
        """The person's rows as people see them; none when it is deleted in Advoware."""
        return self.advo.rows(person.betnr) if person.betnr in self.advo.beteiligte.persons else []

    def records(self) -> dict[str, Any]:
        """EspoCRM's records as they are now, to be shown again later."""
        return {record.id: replace(record, values=dict(record.values)) for record in self.espo.store.records.values()}

    def sides(self, person: Person) -> SideValues:
        """The values of both sides now."""
        return SideValues(
            frozenset(entries_of_items(self.espo.items(person.entity_id))),
            frozenset(entries_of_rows(self.rows(person))),
        )


class FirmSnapshot:
    """Everything the two systems and the people know at one moment, to go back to as often as one likes."""

    def __init__(self, firm: Firm) -> None:
        self.firm = firm
        self.clock_offset = firm.clock.offset
        self.state = copy.deepcopy(self.current_state())

    def current_state(self) -> tuple[Any, ...]:
        """All that changes in a world, but for its clock."""
        firm, espo, advo = self.firm, self.firm.espo, self.firm.advo
        systems = (espo.login, *(getattr(espo.store, name) for name in ESPO_STATE), advo.login, advo.beteiligte)
        return (*systems, firm.persons, firm.frozen_rows, firm.deleted_persons, firm.shared_values)

    def restore(self) -> None:
        """Let everything be as it was then."""
        firm, espo, advo = self.firm, self.firm.espo, self.firm.advo
        state = copy.deepcopy(self.state)
        (
            espo.login,
            *store_parts,
            advo.login,
            advo.beteiligte,
            persons,
            firm.frozen_rows,
            firm.deleted_persons,
            firm.shared_values,
        ) = state
        for name, value in zip(ESPO_STATE, store_parts, strict=True):
            setattr(espo.store, name, value)
        firm.persons[:] = persons
        firm.clock.offset = self.clock_offset


def build_firm(chance: SeededChance, traits: Traits) -> Firm:
    """The firm of a seed. A person spared by fate is not there."""
    clock = SimClock(at=START)
    espo, advo = StaffedEspo(clock, espocrm=traits.espocrm), AdvoSim(clock)
    advo.address = "https://advoware.advo-net.net"
    espo.store.settings["phoneNumberInternational"] = traits.international
    espo.store.entity.concurrency = traits.concurrency
    espo.store.torn_reads = traits.torn_reads
    if espo.store.version.has_locks and traits.lockable:
        espo.store.entity.lockable = True
    for switch in ADVOWARE_SWITCHES:
        setattr(advo.behaviour, switch, getattr(traits, switch))
    firm = Firm(traits, clock, espo, advo)
    firm.persons = [
        new_person for number in range(traits.persons) if (new_person := build_person(chance, firm, number)) is not None
    ]
    clock.advance(120)
    return firm


def build_person(chance: SeededChance, firm: Firm, number: int) -> Person | None:
    """One person with its entries, some on both sides, some on one."""
    if not chance.occurs(f"person{number}", 1.0):
        return None
    rng = chance.rng(f"person{number}")
    person = Person(number, f"{number + 1:017x}", FIRST_BETNR + number)
    phones: list[tuple[str, str]] = []
    mails: list[str] = []
    firm.advo.add_person(person.betnr, f"Anna Muster{number}")
    entries = [random_entry(person, rng) for _ in range(rng.randint(1, 4))]
    for espo, advo, kind in entries:
        entered_in = rng.choice(("both", "both", "both", "espo", "advo"))
        if entered_in != "advo" and kind:
            phones.append((espo, kind))
        elif entered_in != "advo":
            mails.append(lengthen_mail(espo) if entered_in == "espo" and firm.traits.max_tlf else espo)
        if entered_in != "espo":
            add_person_row(firm, person, advo, person.new_text(rng), KOMM_KZ[kind] if kind else 4)
            if rng.random() < 0.08:
                add_person_row(firm, person, advo, person.new_text(rng), 1)
                person.duplicates.add(canon(advo))
    for value in unsyncable_values(person, rng):
        add_person_row(firm, person, value, person.new_text(rng), 1)
    firm.espo.add_person(
        f"Anna Muster{number}", person.betnr, phones=phones, mails=mails, entity_id=person.entity_id
    )
    sides = firm.sides(person)
    person.last_edits = dict.fromkeys(sides.espo | sides.advo, "added")
    person.expected = {"espo": set(sides.espo), "advo": set(sides.advo)}
    person.baseline = sides
    person.item_attributes = item_attributes(firm, person)
    return person


def item_attributes(firm: Firm, person: Person) -> dict[str, tuple[object, ...]]:
    """Type, optOut and invalid of the person's items by canonical value."""
    return {
        canon(item.get("phoneNumber") or item["emailAddress"]): (item.get("type"), item["optOut"], item["invalid"])
        for item in firm.espo.items(person.entity_id)
    }


def random_entry(person: Person, rng: Random) -> tuple[str, str, str | None]:
    """EspoCRM's spelling, Advoware's spelling, EspoCRM's type."""
    number = person.new_number()
    kind = rng.choice(("Office", "Mobile", "Home", "Fax", None))
    if kind is None:
        mail = f"anna{number}@kanzlei-muster.de"
        return mail, rng.choice((mail, mail.title())), None
    prefix, spellings = ("+49171", MOBILE) if kind == "Mobile" else ("+49511", LANDLINE)
    return f"{prefix}{number}", rng.choice(spellings).format(number), kind


def lengthen_mail(mail: str) -> str:
    """A mail address longer than some Advoware takes."""
    return f"eine.sehr.lange.adresse.{mail}"


def unsyncable_values(person: Person, rng: Random) -> list[str]:
    """What stays in Advoware."""
    values = []
    if rng.random() < 0.15:
        values.append(rng.choice(FREE_TEXTS).format(person.new_number()))
    if rng.random() < 0.08:
        values.append(f"käthe{person.new_number()}@müller.de")
    if rng.random() < 0.1:
        values.append(f"www.muster{person.new_number()}.de")
    if rng.random() < 0.06:
        values.append(f"0511 {person.new_number()} DW 60")
    return values


def add_person_row(firm: Firm, person: Person, value: str, remark: str, komm_kz: int) -> int:
    """A row typed in by a person, its text remembered."""
    komm_id = firm.advo.add_row(person.betnr, value, remark or None, komm_kz=komm_kz)
    person.own_texts[komm_id] = text_in_remark(remark)
    person.values_of_text.setdefault(text_in_remark(remark), set()).add(canon(value))
    return komm_id

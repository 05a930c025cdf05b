"""Invented law firms: a large one from a seed, and a small one in which a newcomer sees each case once.

The same seed always makes the same firm. Numbers are real in form (0511 and 0171) and belong to nobody on purpose.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.sandbox.advoware.api import AdvoSim
    from jobs.sandbox.espocrm.api import EspoSim

FIRST_BETNR = 200_001
FIRST_NAMES = ("Anna", "Jürgen", "Sabine", "Uwe", "Käthe", "Mehmet", "Renate", "Björn", "Ilse", "Aylin", "Götz")
LAST_NAMES = ("Schröder", "Müller", "Weiß", "Hoffmann", "Yilmaz", "Krämer", "Lüders", "Brandt", "Nowak", "Jäger")
ASCII_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "ae", "Ö": "oe", "Ü": "ue"})
REMARKS = (
    None, None, None, "", "nur vormittags", "Gegner, nicht anrufen", "Büro 📞", "[privat] nur abends",
    "Zeile eins\nZeile zwei", "  mit Rand  ", "Mutter: Frau Weiß",
)  # fmt: skip
LANDLINE = ("0511/{0}", "(0511) {0}", "+49 511 {0}", "0049 511 {0}", "0511 {0}", "0511-{0}")
MOBILE = ("0171/{0}", "0171 {0}", "+49 171 {0}", "0171-{0}")
FREE_TEXT = ("Mutter: 0511 123456", "0171 2223334 privat", "siehe Akte", "0511-123456 (nur 9-12)", "skype:max123456")


class PersonIds(NamedTuple):
    """A person on both sides; ``betnr`` is not always written in EspoCRM."""

    entity_id: str
    betnr: int


class SampleEntry(NamedTuple):
    """One address as each side spells it. ``type`` is EspoCRM's, None for a mail."""

    espo: str
    advo: str
    type: str | None
    komm_kz: int


@dataclass
class PersonFactory:
    """Draws persons and their addresses; no number or mail is drawn twice."""

    random: Random
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2_000_001))

    def name(self) -> str:
        """A German name, umlauts included."""
        return f"{self.random.choice(FIRST_NAMES)} {self.random.choice(LAST_NAMES)}"

    def phone(self, kind: str, komm_kz: int) -> SampleEntry:
        """A number: E.164 in EspoCRM, spelled as people do in Advoware."""
        number = next(self.numbers)
        prefix, spellings = ("+49171", MOBILE) if kind == "Mobile" else ("+49511", LANDLINE)
        return SampleEntry(f"{prefix}{number}", self.random.choice(spellings).format(number), kind, komm_kz)

    def mail(self, name: str) -> SampleEntry:
        """A mail address in one of two letter cases."""
        mailbox = name.lower().replace(" ", ".").translate(ASCII_LETTERS)
        address = f"{mailbox}{next(self.numbers)}@kanzlei-muster.de"
        return SampleEntry(address, self.random.choice((address, address.title())), None, self.random.choice((4, 4, 8)))

    def entries(self, name: str) -> list[SampleEntry]:
        """Three or four addresses of a person."""
        optional = (self.phone("Fax", 2), self.phone("Home", 6), self.mail(name))
        common = [self.phone("Office", 1), self.phone("Mobile", 3), self.mail(name)]
        return [*common, *self.random.sample(optional, self.random.randint(0, 1))]

    def is_one_in(self, many: int) -> bool:
        """True once in so many times."""
        return self.random.randrange(many) == 0


def fill_firm(espo: EspoSim, advo: AdvoSim, persons: int, seed: int, *, linked: bool = True) -> list[PersonIds]:
    """Put a firm of so many persons into both systems; every fifteenth or so has no betnr in EspoCRM.

    Most values stand on both sides in two spellings, some on one only. Not ``linked``: no record carries a betnr yet.
    """
    factory = PersonFactory(Random(seed))  # noqa: S311  a firm, no secret
    return [_add_person(espo, advo, factory, FIRST_BETNR + number, linked=linked) for number in range(persons)]


def _add_person(espo: EspoSim, advo: AdvoSim, factory: PersonFactory, betnr: int, *, linked: bool) -> PersonIds:
    name = factory.name()
    entries = factory.entries(name)
    first, *rest = entries  # the first stands on both sides, so no side is ever empty
    in_espo = [first, *(entry for entry in rest if not factory.is_one_in(8))]
    in_advo = [first, *(entry for entry in rest if not factory.is_one_in(8))]
    entity_id = espo.add_person(
        name,
        betnr if linked and not factory.is_one_in(15) else None,
        phones=[(entry.espo, entry.type) for entry in in_espo if entry.type],
        mails=[entry.espo for entry in in_espo if not entry.type],
    )
    mobile = next((entry.advo for entry in in_advo if entry.type == "Mobile"), None)
    advo.add_person(betnr, name, **({"mobil": mobile} if mobile and factory.is_one_in(3) else {}))
    for entry in in_advo:
        advo.add_row(
            betnr, entry.advo, factory.random.choice(REMARKS), komm_kz=entry.komm_kz, online=factory.is_one_in(9)
        )
    _add_oddities(advo, factory, betnr, first)
    return PersonIds(entity_id, betnr)


def _add_oddities(advo: AdvoSim, factory: PersonFactory, betnr: int, first: SampleEntry) -> None:
    """What no sync can or should carry over: free text, umlaut mails, doubled rows, Internet and beA."""
    if factory.is_one_in(6):
        advo.add_row(betnr, factory.random.choice(FREE_TEXT), factory.random.choice(REMARKS), komm_kz=1)
    if factory.is_one_in(12):
        advo.add_row(betnr, f"käthe{betnr}@müller-muster.de", komm_kz=4)
    if factory.is_one_in(10):
        advo.add_row(betnr, first.espo, "doppelt", komm_kz=first.komm_kz)
    if factory.is_one_in(5):
        advo.add_row(betnr, f"www.kanzlei-{betnr}.de", komm_kz=5)
    if factory.is_one_in(9):
        advo.add_row(betnr, f"DE.BRAK.{betnr}-0000-4000-8000-000000000000.0a1b", komm_kz=12)


def small_law_firm(espo: EspoSim, advo: AdvoSim) -> dict[str, PersonIds]:
    """Six persons, by last name, as they stand before the first sync. `a_day_at_the_office` then edits them."""
    firm = {person.name.split()[-1]: _add_small_firm_person(espo, advo, person) for person in SMALL_FIRM}
    espo.add_person("Fritz Ohnenummer", None, phones=[("+495113210099", "Office")])  # not linked: skipped
    return firm


def _add_small_firm_person(espo: EspoSim, advo: AdvoSim, person: SmallFirmPerson) -> PersonIds:
    phones = [(value, kind) for value, kind in person.items if kind]
    mails = [value for value, kind in person.items if not kind]
    entity_id = espo.add_person(person.name, person.betnr, phones=phones, mails=mails)
    advo.add_person(person.betnr, person.name)
    for value, remark, komm_kz in person.rows:
        advo.add_row(person.betnr, value, remark, komm_kz=komm_kz)
    return PersonIds(entity_id, person.betnr)


class SmallFirmPerson(NamedTuple):
    """A person of the small firm: items are (value, type), rows (value, remark, kommKz)."""

    name: str
    betnr: int
    items: tuple[tuple[str, str | None], ...]
    rows: tuple[tuple[str, str | None, int], ...]


SMALL_FIRM = (
    # the same values on both sides, spelled differently: linked, nobody's spelling changes
    SmallFirmPerson("Max Mustermann", 104711,
        (("+495111234560", "Office"), ("+491712223334", "Mobile"), ("max@mustermann.de", None)),
        (("0511/1234560", "nur vormittags", 1), ("0171 2223334", "privat 📱", 3), ("Max@Mustermann.de", None, 4)),
    ),
    # more in EspoCRM: created in Advoware
    SmallFirmPerson("Erika Weiß", 104712,
        (("+495113210011", "Office"), ("+495113210012", "Fax"), ("erika.weiss@kanzlei-muster.de", None)),
        (("0511 3210011", "Zentrale", 1),),
    ),
    # more in Advoware: added in EspoCRM, the firm's web address and beA stay where they are
    SmallFirmPerson("Jürgen Lüders", 104713,
        (("+495113210021", "Office"),),
        (("0511-3210021", None, 1), ("0171/3210022", "Gegner, nicht anrufen", 3),
         ("jl@lueders.de", "[privat]", 8), ("www.lueders.de", None, 5), ("DE.BRAK.4711-0815.a1b2", None, 12)),
    ),
    # free text and an umlaut: EspoCRM cannot hold them, so they stay in Advoware and are named
    SmallFirmPerson("Käthe Krämer", 104714,
        (("+495113210031", "Home"), ("kaethe@kraemer.de", None)),
        (("(0511) 3210031", None, 6), ("Mutter: 0511 123456", "nur abends", 1), ("käthe@krämer.de", None, 4),
         ("kaethe@kraemer.de", "erste\nzweite Zeile", 4)),
    ),
    # only in EspoCRM
    SmallFirmPerson("Mehmet Yilmaz", 104715,
        (("+495113210041", "Office"), ("+491713210042", "Mobile"), ("mehmet@yilmaz.de", None)),
        (),
    ),
    # only in Advoware, one number typed twice
    SmallFirmPerson("Ilse Brandt", 104716,
        (),
        (("0511 3210051", "Büro", 1), ("+49 511 3210051", "noch einmal", 1), ("0171 3210052", None, 3),
         ("ilse@brandt.de", None, 4)),
    ),
)  # fmt: skip

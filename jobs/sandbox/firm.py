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

    from jobs.sandbox.advoware import AdvoSim
    from jobs.sandbox.espocrm import EspoSim

FIRST_BETNR = 200_001
FIRST_NAMES = ("Anna", "Jürgen", "Sabine", "Uwe", "Käthe", "Mehmet", "Renate", "Björn", "Ilse", "Aylin", "Götz")
LAST_NAMES = ("Schröder", "Müller", "Weiß", "Hoffmann", "Yilmaz", "Krämer", "Lüders", "Brandt", "Nowak", "Jäger")
PLAIN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "ae", "Ö": "oe", "Ü": "ue"})
REMARKS = (
    None, None, None, "", "nur vormittags", "Gegner, nicht anrufen", "Büro 📞", "[privat] nur abends",
    "Zeile eins\nZeile zwei", "  mit Rand  ", "Mutter: Frau Weiß",
)  # fmt: skip
LANDLINE = ("0511/{0}", "(0511) {0}", "+49 511 {0}", "0049 511 {0}", "0511 {0}", "0511-{0}")
MOBILE = ("0171/{0}", "0171 {0}", "+49 171 {0}", "0171-{0}")
FREE_TEXT = ("Mutter: 0511 123456", "0171 2223334 privat", "siehe Akte", "0511-123456 (nur 9-12)", "skype:max123456")


class Linked(NamedTuple):
    """A person on both sides; ``betnr`` is not always written in EspoCRM."""

    entity_id: str
    betnr: int


class Entry(NamedTuple):
    """One address as each side spells it. ``type`` is EspoCRM's, None for a mail."""

    espo: str
    advo: str
    type: str | None
    komm_kz: int


@dataclass
class Drawer:
    """Draws persons and their addresses; no number or mail is drawn twice."""

    random: Random
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2_000_001))

    def name(self) -> str:
        """A German name, umlauts included."""
        return f"{self.random.choice(FIRST_NAMES)} {self.random.choice(LAST_NAMES)}"

    def phone(self, kind: str, komm_kz: int) -> Entry:
        """A number: E.164 in EspoCRM, spelled as people do in Advoware."""
        number = next(self.numbers)
        prefix, spellings = ("+49171", MOBILE) if kind == "Mobile" else ("+49511", LANDLINE)
        return Entry(f"{prefix}{number}", self.random.choice(spellings).format(number), kind, komm_kz)

    def mail(self, name: str) -> Entry:
        """A mail address in one of two letter cases."""
        mailbox = name.lower().replace(" ", ".").translate(PLAIN)
        address = f"{mailbox}{next(self.numbers)}@kanzlei-muster.de"
        return Entry(address, self.random.choice((address, address.title())), None, self.random.choice((4, 4, 8)))

    def entries(self, name: str) -> list[Entry]:
        """Three or four addresses of a person."""
        fourth = (self.phone("Fax", 2), self.phone("Home", 6), self.mail(name))
        common = [self.phone("Office", 1), self.phone("Mobile", 3), self.mail(name)]
        return [*common, *self.random.sample(fourth, self.random.randint(0, 1))]

    def one_in(self, many: int) -> bool:
        """True once in so many times."""
        return self.random.randrange(many) == 0


def fill(espo: EspoSim, advo: AdvoSim, persons: int, seed: int, *, linked: bool = True) -> list[Linked]:
    """Put a firm of so many persons into both systems; every fifteenth or so has no betnr in EspoCRM.

    Most values stand on both sides in two spellings, some on one only. Not ``linked``: no record carries a betnr yet.
    """
    drawer = Drawer(Random(seed))  # noqa: S311  a firm, no secret
    return [_add(espo, advo, drawer, FIRST_BETNR + number, linked=linked) for number in range(persons)]


def _add(espo: EspoSim, advo: AdvoSim, drawer: Drawer, betnr: int, *, linked: bool) -> Linked:
    name = drawer.name()
    entries = drawer.entries(name)
    first, *rest = entries  # the first stands on both sides, so no side is ever empty
    in_espo = [first, *(one for one in rest if not drawer.one_in(8))]
    in_advo = [first, *(one for one in rest if not drawer.one_in(8))]
    entity_id = espo.add_person(
        name,
        betnr if linked and not drawer.one_in(15) else None,
        phones=[(one.espo, one.type) for one in in_espo if one.type],
        mails=[one.espo for one in in_espo if not one.type],
    )
    mobile = next((one.advo for one in in_advo if one.type == "Mobile"), None)
    advo.add_person(betnr, name, **({"mobil": mobile} if mobile and drawer.one_in(3) else {}))
    for one in in_advo:
        advo.add_row(betnr, one.advo, drawer.random.choice(REMARKS), komm_kz=one.komm_kz, online=drawer.one_in(9))
    _add_oddities(advo, drawer, betnr, first)
    return Linked(entity_id, betnr)


def _add_oddities(advo: AdvoSim, drawer: Drawer, betnr: int, first: Entry) -> None:
    """What no sync can or should carry over: free text, umlaut mails, doubled rows, Internet and beA."""
    if drawer.one_in(6):
        advo.add_row(betnr, drawer.random.choice(FREE_TEXT), drawer.random.choice(REMARKS), komm_kz=1)
    if drawer.one_in(12):
        advo.add_row(betnr, f"käthe{betnr}@müller-muster.de", komm_kz=4)
    if drawer.one_in(10):
        advo.add_row(betnr, first.espo, "doppelt", komm_kz=first.komm_kz)
    if drawer.one_in(5):
        advo.add_row(betnr, f"www.kanzlei-{betnr}.de", komm_kz=5)
    if drawer.one_in(9):
        advo.add_row(betnr, f"DE.BRAK.{betnr}-0000-4000-8000-000000000000.0a1b", komm_kz=12)


def small_law_firm(espo: EspoSim, advo: AdvoSim) -> dict[str, Linked]:
    """Six persons, by last name, as they stand before the first sync. `a_day_at_the_office` then edits them."""
    firm = {one.name.split()[-1]: _small(espo, advo, one) for one in SMALL_FIRM}
    espo.add_person("Fritz Ohnenummer", None, phones=[("+495113210099", "Office")])  # not linked: skipped
    return firm


def _small(espo: EspoSim, advo: AdvoSim, client: Client) -> Linked:
    phones = [(value, kind) for value, kind in client.items if kind]
    mails = [value for value, kind in client.items if not kind]
    entity_id = espo.add_person(client.name, client.betnr, phones=phones, mails=mails)
    advo.add_person(client.betnr, client.name)
    for value, remark, komm_kz in client.rows:
        advo.add_row(client.betnr, value, remark, komm_kz=komm_kz)
    return Linked(entity_id, client.betnr)


class Client(NamedTuple):
    """A person of the small firm: items are (value, type), rows (value, remark, kommKz)."""

    name: str
    betnr: int
    items: tuple[tuple[str, str | None], ...]
    rows: tuple[tuple[str, str | None, int], ...]


SMALL_FIRM = (
    # the same values on both sides, spelled differently: linked, nobody's spelling changes
    Client("Max Mustermann", 104711,
        (("+495111234560", "Office"), ("+491712223334", "Mobile"), ("max@mustermann.de", None)),
        (("0511/1234560", "nur vormittags", 1), ("0171 2223334", "privat 📱", 3), ("Max@Mustermann.de", None, 4)),
    ),
    # more in EspoCRM: created in Advoware
    Client("Erika Weiß", 104712,
        (("+495113210011", "Office"), ("+495113210012", "Fax"), ("erika.weiss@kanzlei-muster.de", None)),
        (("0511 3210011", "Zentrale", 1),),
    ),
    # more in Advoware: added in EspoCRM, the firm's web address and beA stay where they are
    Client("Jürgen Lüders", 104713,
        (("+495113210021", "Office"),),
        (("0511-3210021", None, 1), ("0171/3210022", "Gegner, nicht anrufen", 3),
         ("jl@lueders.de", "[privat]", 8), ("www.lueders.de", None, 5), ("DE.BRAK.4711-0815.a1b2", None, 12)),
    ),
    # free text and an umlaut: EspoCRM cannot hold them, so they stay in Advoware and are named
    Client("Käthe Krämer", 104714,
        (("+495113210031", "Home"), ("kaethe@kraemer.de", None)),
        (("(0511) 3210031", None, 6), ("Mutter: 0511 123456", "nur abends", 1), ("käthe@krämer.de", None, 4),
         ("kaethe@kraemer.de", "erste\nzweite Zeile", 4)),
    ),
    # only in EspoCRM
    Client("Mehmet Yilmaz", 104715,
        (("+495113210041", "Office"), ("+491713210042", "Mobile"), ("mehmet@yilmaz.de", None)),
        (),
    ),
    # only in Advoware, one number typed twice
    Client("Ilse Brandt", 104716,
        (),
        (("0511 3210051", "Büro", 1), ("+49 511 3210051", "noch einmal", 1), ("0171 3210052", None, 3),
         ("ilse@brandt.de", None, 4)),
    ),
)  # fmt: skip

"""What happens to whole records: linked elsewhere and back, deleted, restored, doubled. Rare, and never during a run.

While a person is away neither side may be touched; when it comes back that is a first sync, which destroys nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from tests.simulation.oracle import canon, entries_of_rows, is_relevant, marked_value, own_text, shortened
from tests.simulation.worlds import Firm, Person, add_row

BEYOND = 100_000  # what the other Beteiligte of a person adds to its number
UNSEEN = frozenset({"restore_record", "restore_in_advoware", "end_double"})
"""After these only a sweep looks again: no list shows them (espocrm-api.md, fact 13)."""


def affair(firm: Firm, person: Person, dice: Random) -> str | None:
    """One thing that happens to a person as a whole; what was done in words, None when it cannot happen now."""
    possible = BACK.get(person.away, ()) if person.away else LEAVING
    if not possible:  # whoever an import sent away comes back with the import
        return None
    chosen = dice.choice(possible)
    told = chosen(firm, person, dice)
    if told is None:
        return None
    person.kinds |= {chosen.__name__}
    begin_anew(firm, person, returned=chosen is not relink or told.startswith("back"))
    return f"person{person.number} {chosen.__name__}: {told}"


def begin_anew(firm: Firm, person: Person, *, returned: bool) -> None:
    """What stands on both sides now is what a first sync will find; who ``returned`` is recovered by the markers.

    A row whose own marker says that EspoCRM had its value tells, where it is not there any more, that people took it;
    and where the row was given another value, that of a recovery's pair, that people changed it.
    One that shows the beginning only was to be mended, by what was known of the Beteiligten the record was linked to.
    """
    sides, rows = firm.sides(person), firm.rows(person)
    marked = {marked_value(row["bemerkung"]) for row in rows if is_relevant(row["tlf"])}
    taken = marked & (sides.advo - sides.espo)
    taken |= marked & (sides.espo - sides.advo) if returned else set()
    person.synced = False
    person.last = dict.fromkeys((sides.espo | sides.advo) - taken, "added")
    person.model = {"espo": set(sides.espo), "advo": set(sides.advo)}
    person.touched.clear()
    person.asked.clear()
    person.doubled = {value for value, count in entries_of_rows(rows).items() if count > 1} | person.doubled
    person.texts = {row["id"]: own_text(row["bemerkung"]) for row in rows if own_text(row["bemerkung"])}
    for row in rows:
        person.meant.setdefault(own_text(row["bemerkung"]), set()).update(Counter(entries_of_rows([row])))
        person.cut_values |= {canon(row["tlf"])} if shortened(row, firm.nature.max_tlf) else set()


def relink(firm: Firm, person: Person, dice: Random) -> str | None:
    """The record is linked to another Beteiligten: one of its own, or a copy of the one it was linked to."""
    if person.elsewhere is not None:
        return link_back(firm, person)
    old, new = person.betnr, person.betnr + BEYOND
    if new in firm.advo.beteiligte.persons:
        return None
    if dice.random() < 0.5:
        firm.advo.copy_person(old, new)
        rows = firm.advo.rows(new)
        person.copied |= {*entries_of_rows(rows), *filter(None, (marked_value(row["bemerkung"]) for row in rows))}
    else:
        firm.advo.add_person(new, f"Ben Muster{person.number}")
        add_row(firm, Person(person.number, "", new), f"0511 {person.new_number()}", person.text(dice), 1)
    linked(firm, person, new)
    return f"from {old} to {new}"


def link_back(firm: Firm, person: Person) -> str:
    """The record is linked again to the Beteiligten it came from."""
    old, new = person.betnr, person.elsewhere
    assert new is not None
    linked(firm, person, new)
    return f"back from {old} to {new}"


def linked(firm: Firm, person: Person, betnr: int) -> None:
    """The record names this Beteiligten now; nobody may touch the other one."""
    firm.untouchable[person.betnr] = firm.rows(person)
    firm.untouchable.pop(betnr, None)
    firm.espo.edit(person.entity_id, betnr=betnr)
    person.elsewhere, person.betnr = person.betnr, betnr


def delete_record(firm: Firm, person: Person, _dice: Random) -> str:
    """The record is deleted in EspoCRM: nothing changes in Advoware."""
    firm.espo.delete(person.entity_id)
    firm.untouchable[person.betnr] = firm.rows(person)
    person.away = "deleted in EspoCRM"
    return person.away


def restore_record(firm: Firm, person: Person, _dice: Random) -> str:
    firm.espo.restore(person.entity_id)
    firm.untouchable.pop(person.betnr)
    person.away = None
    return "restored in EspoCRM"


def delete_in_advoware(firm: Firm, person: Person, _dice: Random) -> str:
    """The Beteiligte is deleted: EspoCRM's entries stay."""
    firm.buried[person.betnr] = firm.advo.beteiligte.persons[person.betnr]
    firm.advo.delete_person(person.betnr)
    person.away = "deleted in Advoware"
    return person.away


def restore_in_advoware(firm: Firm, person: Person, _dice: Random) -> str:
    firm.advo.beteiligte.persons[person.betnr] = firm.buried.pop(person.betnr)
    person.away = None
    return "restored in Advoware"


def double(firm: Firm, person: Person, _dice: Random) -> str:
    """A second record carries the person's betnr: neither is synced."""
    twin = f"{900_000 + person.number:017x}"
    if twin in firm.espo.store.records:
        firm.espo.restore(twin)
    else:
        number = f"+49511{person.new_number()}"
        firm.espo.add_person(f"Zwilling{person.number}", person.betnr, phones=[(number, "Office")], entity_id=twin)
    firm.espo.edit(twin, betnr=person.betnr)
    firm.untouchable[person.betnr] = firm.rows(person)
    person.away = "shares its betnr"
    return person.away


def end_double(firm: Firm, person: Person, _dice: Random) -> str:
    firm.espo.delete(f"{900_000 + person.number:017x}")
    firm.untouchable.pop(person.betnr)
    person.away = None
    return "its betnr is its own again"


LEAVING: tuple[Callable[[Firm, Person, Random], str | None], ...] = (
    relink, relink, delete_record, delete_in_advoware, double,
)  # fmt: skip
BACK: dict[str, tuple[Callable[[Firm, Person, Random], str | None], ...]] = {
    "deleted in EspoCRM": (restore_record,),
    "deleted in Advoware": (restore_in_advoware,),
    "shares its betnr": (end_double,),
}

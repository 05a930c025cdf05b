"""What happens to whole records: linked elsewhere and back, deleted, restored, doubled. Rare, and never during a run.

While a person is away neither side may be touched; when it comes back that is a first sync, which destroys nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from tests.simulation.oracle import (
    canon,
    entries_of_rows,
    is_relevant,
    marker_value,
    text_in_remark,
    value_before_truncation,
)
from tests.simulation.worlds import Firm, Person, add_person_row

OTHER_BETNR_OFFSET = 100_000  # what the other Beteiligte of a person adds to its number
UNLISTED_EVENTS = frozenset({"restore_record", "restore_in_advoware", "end_double"})
"""After these only a sweep looks again: no list shows them (EspoCRM fact A13)."""


def apply_person_event(firm: Firm, person: Person, rng: Random) -> str | None:
    """One thing that happens to a person as a whole; what was done in words, None when it cannot happen now."""
    possible_events = RETURN_EVENTS.get(person.absence, ()) if person.absence else EVENTS
    if not possible_events:  # whoever an import sent away comes back with the import
        return None
    event = rng.choice(possible_events)
    description = event(firm, person, rng)
    if description is None:
        return None
    person.edit_kinds |= {event.__name__}
    reset_to_first_sync(firm, person, is_return=event is not relink or description.startswith("back"))
    return f"person{person.number} {event.__name__}: {description}"


def reset_to_first_sync(firm: Firm, person: Person, *, is_return: bool) -> None:
    """What stands on both sides now is what a first sync will find; who ``is_return`` is recovered by the markers.

    A row whose own marker says that EspoCRM had its value tells, where it is not there any more, that people took it;
    and where the row was given another value, that of a recovery's pair, that people changed it.
    One that shows the beginning only was to be mended, by what was known of the Beteiligten the record was linked to.
    """
    sides, rows = firm.sides(person), firm.rows(person)
    marker_values = {marker_value(row["bemerkung"]) for row in rows if is_relevant(row["tlf"])}
    removed_values = marker_values & (sides.advo - sides.espo)
    removed_values |= marker_values & (sides.espo - sides.advo) if is_return else set()
    person.synced = False
    person.last_edits = dict.fromkeys((sides.espo | sides.advo) - removed_values, "added")
    person.expected = {"espo": set(sides.espo), "advo": set(sides.advo)}
    person.sides_by_value.clear()
    person.type_chosen.clear()
    person.duplicates = {value for value, count in entries_of_rows(rows).items() if count > 1} | person.duplicates
    person.own_texts = {row["id"]: text_in_remark(row["bemerkung"]) for row in rows if text_in_remark(row["bemerkung"])}
    for row in rows:
        person.values_of_text.setdefault(text_in_remark(row["bemerkung"]), set()).update(
            Counter(entries_of_rows([row]))
        )
        person.truncated_values |= {canon(row["tlf"])} if value_before_truncation(row, firm.traits.max_tlf) else set()


def relink(firm: Firm, person: Person, rng: Random) -> str | None:
    """The record is linked to another Beteiligten: one of its own, or a copy of the one it was linked to."""
    if person.other_betnr is not None:
        return link_back(firm, person)
    old, new = person.betnr, person.betnr + OTHER_BETNR_OFFSET
    if new in firm.advo.beteiligte.persons:
        return None
    if rng.random() < 0.5:
        firm.advo.copy_person(old, new)
        rows = firm.advo.rows(new)
        person.copied_values |= {
            *entries_of_rows(rows),
            *filter(None, (marker_value(row["bemerkung"]) for row in rows)),
        }
    else:
        firm.advo.add_person(new, f"Ben Muster{person.number}")
        add_person_row(firm, Person(person.number, "", new), f"0511 {person.new_number()}", person.new_text(rng), 1)
    link_to(firm, person, new)
    return f"from {old} to {new}"


def link_back(firm: Firm, person: Person) -> str:
    """The record is linked again to the Beteiligten it came from."""
    old, new = person.betnr, person.other_betnr
    assert new is not None
    link_to(firm, person, new)
    return f"back from {old} to {new}"


def link_to(firm: Firm, person: Person, betnr: int) -> None:
    """The record names this Beteiligten now; nobody may touch the other one."""
    firm.frozen_rows[person.betnr] = firm.rows(person)
    firm.frozen_rows.pop(betnr, None)
    firm.espo.edit(person.entity_id, betnr=betnr)
    person.other_betnr, person.betnr = person.betnr, betnr


def delete_espo_record(firm: Firm, person: Person, _rng: Random) -> str:
    """The record is deleted in EspoCRM: nothing changes in Advoware."""
    firm.espo.delete(person.entity_id)
    firm.frozen_rows[person.betnr] = firm.rows(person)
    person.absence = "deleted in EspoCRM"
    return person.absence


def restore_record(firm: Firm, person: Person, _rng: Random) -> str:
    firm.espo.restore(person.entity_id)
    firm.frozen_rows.pop(person.betnr)
    person.absence = None
    return "restored in EspoCRM"


def delete_beteiligten(firm: Firm, person: Person, _rng: Random) -> str:
    """The Beteiligte is deleted: EspoCRM's entries stay."""
    firm.deleted_persons[person.betnr] = firm.advo.beteiligte.persons[person.betnr]
    firm.advo.delete_person(person.betnr)
    person.absence = "deleted in Advoware"
    return person.absence


def restore_in_advoware(firm: Firm, person: Person, _rng: Random) -> str:
    firm.advo.beteiligte.persons[person.betnr] = firm.deleted_persons.pop(person.betnr)
    person.absence = None
    return "restored in Advoware"


def double(firm: Firm, person: Person, _rng: Random) -> str:
    """A second record carries the person's betnr: neither is synced."""
    copy_id = f"{900_000 + person.number:017x}"
    if copy_id in firm.espo.store.records:
        firm.espo.restore(copy_id)
    else:
        number = f"+49511{person.new_number()}"
        firm.espo.add_person(f"Zwilling{person.number}", person.betnr, phones=[(number, "Office")], entity_id=copy_id)
    firm.espo.edit(copy_id, betnr=person.betnr)
    firm.frozen_rows[person.betnr] = firm.rows(person)
    person.absence = "shares its betnr"
    return person.absence


def end_double(firm: Firm, person: Person, _rng: Random) -> str:
    firm.espo.delete(f"{900_000 + person.number:017x}")
    firm.frozen_rows.pop(person.betnr)
    person.absence = None
    return "its betnr is its own again"


EVENTS: tuple[Callable[[Firm, Person, Random], str | None], ...] = (
    relink, relink, delete_espo_record, delete_beteiligten, double,
)  # fmt: skip
RETURN_EVENTS: dict[str, tuple[Callable[[Firm, Person, Random], str | None], ...]] = {
    "deleted in EspoCRM": (restore_record,),
    "deleted in Advoware": (restore_in_advoware,),
    "shares its betnr": (end_double,),
}

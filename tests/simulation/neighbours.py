"""What people do with numbers and mails that several records hold: EspoCRM keeps their type and marks only once.

A Contact's are protected: the API user may not edit it, so that what a PUT says of them is dropped without a word.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.oracle import canon, entries_of_items
from tests.simulation.worlds import KOMM_KZ, TYPES, Person, add_row

if TYPE_CHECKING:
    from tests.simulation.fault import Hit
    from tests.simulation.people import Action, People

Json = dict[str, Any]
MOST = 9
RETYPED_ELSEWHERE = "retyped elsewhere"  # what happens to a record by an edit of another one that shares its number


def type_known(people: People, person: Person, dice: Random) -> str | None:
    """A number or mail that another record has in EspoCRM, typed into Advoware."""
    firm = people.firm
    other, sides = dice.choice(firm.persons), firm.sides(person)
    known = sides.espo | sides.advo
    free = [one for one in firm.espo.items(other.entity_id) if not entries_of_items([one]).keys() & known]
    if other is person or not free or len(people.entries(person)) >= MOST:
        return None
    return typed(people, person, dice.choice(free), dice)


def type_a_contacts(people: People, person: Person, dice: Random) -> str | None:
    """A number that a Contact has, typed into Advoware."""
    if len(people.entries(person)) >= MOST:
        return None
    item = new_contact(people, f"+49511{person.new_number()}", dice)
    return typed(people, person, item, dice)


def typed(people: People, person: Person, item: Json, dice: Random) -> str | None:
    value = item.get("phoneNumber") or item["emailAddress"]
    written = value.replace("+49", "0") if "phoneNumber" in item else dice.choice((value, value.title()))
    if people.firm.nature.max_tlf and len(written) > people.firm.nature.max_tlf:  # no window of Advoware takes it
        return None
    people.firm.shared.add(canon(value))
    add_row(people.firm, person, written, person.text(dice), KOMM_KZ.get(item.get("type") or "", 4))
    return f"{written}, opted out: {item['optOut']}"


def contact_takes(people: People, person: Person, dice: Random) -> str | None:
    """A Contact gets a number of this person's, with a type and marks of its own: they are the person's now, too."""
    phones = people.phones(person)
    if not phones:
        return None
    item = dice.choice(phones)
    people.firm.shared.add(canon(item["phoneNumber"]))
    new_contact(people, item["phoneNumber"], dice)
    person.kinds.add(RETYPED_ELSEWHERE)
    return f"{item['phoneNumber']} of a Contact, too"


def new_contact(people: People, value: str, dice: Random) -> Json:
    flags = {"type": dice.choice(TYPES), "optOut": dice.random() < 0.5, "invalid": dice.random() < 0.2}
    item = {"phoneNumber": value, "primary": True, **flags}
    people.firm.espo.add_contact("Carla Kontakt", phones=[item])
    return item


def opt_out(people: People, person: Person, dice: Random) -> str | None:
    """Somebody does not want to be called, or written to, there any more."""
    phones, mails = people.phones(person), people.mails(person)
    wanted = [one for one in phones + mails if not one["optOut"]]
    if not wanted:
        return None
    chosen = dice.choice(wanted)
    array, key = ("phones", "phoneNumber") if "phoneNumber" in chosen else ("mails", "emailAddress")
    items = [{**one, "optOut": one["optOut"] or one is chosen} for one in (phones if array == "phones" else mails)]
    return f"{chosen[key]} opted out" if people.save(person, **{array: items}) else None


BESIDE: dict[str, tuple[Action, ...]] = {
    "espo": (opt_out, opt_out, contact_takes),
    "advo": (type_known, type_known, type_a_contacts),
}


def shares(hit: Hit) -> None:
    """People edit, on one side of a person or on both, what several records hold."""
    people = hit.storm.people
    for person in hit.storm.firm.persons:
        side = hit.dice.choice(("espo", "advo"))
        for _ in range(hit.dice.randint(0, 3)):
            done = people.edit(person, hit.dice, side=side, actions=BESIDE[side])
            hit.storm.tell(f"edit {done}") if done else None

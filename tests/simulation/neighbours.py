"""What people do with numbers and mails that several records hold: EspoCRM keeps their type and marks only once.

A Contact's are protected: the API user may not edit it, so that what a PUT says of them is dropped without a word.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.oracle import canon, entries_of_items
from tests.simulation.worlds import KOMM_KZ, TYPES, Person, add_person_row

if TYPE_CHECKING:
    from tests.simulation.fault import FaultContext
    from tests.simulation.people import Action, People

Json = dict[str, Any]
MAX_ENTRIES = 9
RETYPED_ELSEWHERE = "retyped elsewhere"  # what happens to a record by an edit of another one that shares its number


def type_shared_value(people: People, person: Person, rng: Random) -> str | None:
    """A number or mail that another record has in EspoCRM, typed into Advoware."""
    firm = people.firm
    other, sides = rng.choice(firm.persons), firm.sides(person)
    own_values = sides.espo | sides.advo
    free_items = [item for item in firm.espo.items(other.entity_id) if not entries_of_items([item]).keys() & own_values]
    if other is person or not free_items or len(people.relevant_rows(person)) >= MAX_ENTRIES:
        return None
    return type_into_advoware(people, person, rng.choice(free_items), rng)


def type_contact_value(people: People, person: Person, rng: Random) -> str | None:
    """A number that a Contact has, typed into Advoware."""
    if len(people.relevant_rows(person)) >= MAX_ENTRIES:
        return None
    item = new_contact(people, f"+49511{person.new_number()}", rng)
    return type_into_advoware(people, person, item, rng)


def type_into_advoware(people: People, person: Person, item: Json, rng: Random) -> str | None:
    value = item.get("phoneNumber") or item["emailAddress"]
    spelling = value.replace("+49", "0") if "phoneNumber" in item else rng.choice((value, value.title()))
    if people.firm.traits.max_tlf and len(spelling) > people.firm.traits.max_tlf:  # no window of Advoware takes it
        return None
    people.firm.shared_values.add(canon(value))
    add_person_row(people.firm, person, spelling, person.new_text(rng), KOMM_KZ.get(item.get("type") or "", 4))
    return f"{spelling}, opted out: {item['optOut']}"


def give_to_contact(people: People, person: Person, rng: Random) -> str | None:
    """A Contact gets a number of this person's, with a type and marks of its own: they are the person's now, too."""
    phones = people.phones(person)
    if not phones:
        return None
    item = rng.choice(phones)
    people.firm.shared_values.add(canon(item["phoneNumber"]))
    new_contact(people, item["phoneNumber"], rng)
    person.edit_kinds.add(RETYPED_ELSEWHERE)
    return f"{item['phoneNumber']} of a Contact, too"


def new_contact(people: People, value: str, rng: Random) -> Json:
    flags = {"type": rng.choice(TYPES), "optOut": rng.random() < 0.5, "invalid": rng.random() < 0.2}
    item = {"phoneNumber": value, "primary": True, **flags}
    people.firm.espo.add_contact("Carla Kontakt", phones=[item])
    return item


def opt_out(people: People, person: Person, rng: Random) -> str | None:
    """Somebody does not want to be called, or written to, there any more."""
    phones, mails = people.phones(person), people.mails(person)
    candidates = [item for item in phones + mails if not item["optOut"]]
    if not candidates:
        return None
    chosen = rng.choice(candidates)
    array, key = ("phones", "phoneNumber") if "phoneNumber" in chosen else ("mails", "emailAddress")
    items = [{**item, "optOut": item["optOut"] or item is chosen} for item in (phones if array == "phones" else mails)]
    return f"{chosen[key]} opted out" if people.save(person, **{array: items}) else None


SHARED_ACTIONS: dict[str, tuple[Action, ...]] = {
    "espo": (opt_out, opt_out, give_to_contact),
    "advo": (type_shared_value, type_shared_value, type_contact_value),
}


def edit_shared_values(context: FaultContext) -> None:
    """People edit, on one side of a person or on both, what several records hold."""
    people = context.injector.people
    for person in context.injector.firm.persons:
        side = context.rng.choice(("espo", "advo"))
        for _ in range(context.rng.randint(0, 3)):
            description = people.edit(person, context.rng, side=side, actions=SHARED_ACTIONS[side])
            context.injector.log(f"edit {description}") if description else None

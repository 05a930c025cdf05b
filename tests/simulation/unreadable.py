"""What people type that nobody can read, on both sides of a pair (rules §0): it prevents writes, and causes none.

EspoCRM that insists on international numbers takes only what may be one; the others take words, too.
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.oracle import canon, entries_of_items
from tests.simulation.worlds import TYPES, UNCLEAR_VALUES, Person

if TYPE_CHECKING:
    from tests.simulation.people import Action, People

Json = dict[str, Any]
MOST = 9
LOOSE = ("4951122{0}", "Tel. 0511 24{0}", "0511 22{0} oder 0171 23{0}", "0171 25{0} privat", "siehe Akte {0}")
TEXT = "skype:max{0}"
TOO_SHORT = "+491630{0:05}"  # possible, not valid
PART = re.compile(r"0([0-9]{3}) ([0-9]{9})(?![0-9])")
BACK = 0.4  # how often what was typed over is typed again


def unreadable(people: People, person: Person, dice: Random) -> str:
    """What this EspoCRM takes and nobody can read."""
    number = person.new_number()
    return TOO_SHORT.format(number % 100_000) if people.firm.traits.international else dice.choice(LOOSE).format(number)


def add_unreadable(people: People, person: Person, dice: Random) -> str | None:
    """An item that nobody can read, or that is no number at all."""
    phones = people.phones(person)
    if len(phones) >= MOST:
        return None
    is_text = not people.firm.traits.international and dice.random() < 0.3
    value = TEXT.format(person.new_number()) if is_text else unreadable(people, person, dice)
    return value if people.save(person, phones=[*phones, (value, dice.choice(TYPES))]) else None


def obscure_item(people: People, person: Person, dice: Random) -> str | None:
    """An item typed over with what nobody can read: its pair waits."""
    phones = people.phones(person)
    if not phones:
        return None
    old, value = dice.choice(phones), unreadable(people, person, dice)
    if not people.save(person, phones=[{**one, "phoneNumber": value} if one is old else one for one in phones]):
        return None
    was = canon(old["phoneNumber"])
    if was in person.hidden:  # of another type by now, it is no edit of its number any more
        for number in person.hides(was):
            person.note_removed("espo", number, still_there=True)
    person.hidden[canon(value)] = person.hidden.pop(was, was)
    return f"{old['phoneNumber']} -> {value}"


def clear_item(people: People, person: Person, dice: Random) -> str | None:
    """What nobody can read is written clearly: as it was before, or another number."""
    phones = people.phones(person)
    waiting = [one for one in phones if canon(one["phoneNumber"]) in person.hidden]
    if not waiting:
        return None
    old, number = dice.choice(waiting), person.new_number()
    before = person.hidden[canon(old["phoneNumber"])]
    held = entries_of_items(phones)
    is_back = dice.random() < BACK and before.startswith("+49") and ";" not in before and not held[before]
    is_back &= (
        before not in person.sides_by_value or "advo" not in person.sides_by_value[before]
    )  # else Advoware's edit wins
    value = before if is_back else f"+49511{number}"
    if not people.save(person, phones=[{**one, "phoneNumber": value} if one is old else one for one in phones]):
        return None
    return f"{old['phoneNumber']} -> {value}"


def add_a_reading(people: People, person: Person, dice: Random) -> str | None:
    """One of the numbers that a row of Advoware may mean, typed into EspoCRM."""
    phones = people.phones(person)
    held = entries_of_items(phones)
    may_mean = [
        (value, canon(row["tlf"]))
        for row in people.relevant_rows(person)
        for area, rest in PART.findall(row["tlf"])
        if not canon(row["tlf"]).startswith("+") and not held[value := f"+49{area}{rest}"]
    ]
    if not may_mean or len(phones) >= MOST:
        return None
    value, unclear = dice.choice(may_mean)
    if not people.save(person, phones=[*phones, (value, dice.choice(TYPES))]):
        return None
    person.prevented[value] = unclear
    return f"{value} of {unclear}"


def touch_partner(people: People, person: Person, dice: Random) -> str | None:
    """The row of a pair that waits for EspoCRM's item to be written clearly: edited, emptied or removed."""
    rows = [row for row in people.relevant_rows(person) if canon(row["tlf"]) in person.hidden.values()]
    if not rows:
        return None
    row, number = dice.choice(rows), person.new_number()
    value = dice.choice((f"0511/{number}", f"0511/{number}", dice.choice(UNCLEAR_VALUES).format(number), "", None))
    if value is None:
        people.forget_text(person, row)
        people.firm.advo.remove_row(person.betnr, row["id"])
    elif value:
        people.firm.advo.edit_row(person.betnr, row["id"], value=value)
    else:
        people.firm.advo.empty_row(person.betnr, row["id"], null=dice.random() < 0.5)
    return f"{row['tlf']} -> {value!r}"


UNREADABLE: dict[str, tuple[Action, ...]] = {
    "espo": (add_unreadable, obscure_item, obscure_item, clear_item, add_a_reading),
    "advo": (touch_partner,),
}

"""Whoever is not there for a while: a 404 of one or of everybody, an import that spoils the link, a person away.

What lasts is put right when another run begins. What one run only saw may have had no effect at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from jobs.sandbox.simulator import Answer, Call
from tests.simulation.affairs import (
    begin_anew,
    delete_in_advoware,
    delete_record,
    double,
    end_double,
    restore_in_advoware,
    restore_record,
)
from tests.simulation.fault import HTML, JSON, Hit
from tests.simulation.invariants import claim
from tests.simulation.oracle import own_text
from tests.simulation.worlds import Firm, Person

if TYPE_CHECKING:
    from tests.simulation.storm import Storm

MOST_RUNS = 2  # that meet an absence besides the one in which it began
SHARE = 0.4
NOT_THERE = Answer(404, {**JSON, "X-Status-Reason": "Record does not exist."}, b'{"message":"Nicht gefunden."}')
NO_PAGE = Answer(404, HTML, b"<html><h1>404 Not Found</h1></html>")
BLOCKED = Answer(403, HTML, b"<html>The request was blocked.</html>")
BLANKED, SHIFTED, LENT = "its betnr is blanked", "its betnr is another one's", "linked to a copy"

Leaves = Callable[[Firm, Person, Random], str]


# Answers about somebody who is there ---------------------------------------------------------------------------------


def is_not_there(hit: Hit) -> Answer:
    """404 for one person; the second look that sees it, ten minutes later, believes it."""
    assert hit.person is not None
    hit.storm.missed(hit.person)
    return NOT_THERE


def of_some(system: str, *, writes: bool | None = None) -> Callable[[Hit], bool]:
    """Requests about some persons to this system; the dice are the same for the whole run."""

    def concerns(hit: Hit) -> bool:
        if hit.system != system or not hit.is_person or hit.person is None or writes not in (None, hit.is_write):
            return False
        return hit.storm.fate.dice(f"{hit.storm.run}/some/{hit.person.number}").random() < SHARE

    return concerns


def nobody_is_there(answer: Answer, *systems: str) -> Callable[[Hit], None]:
    """Every person is answered so: a mistyped address, or an application without its database."""

    def happens(hit: Hit) -> None:
        storm, chosen = hit.storm, hit.dice.choice(systems)

        def silence(system: str, call: Call, person: Person | None) -> Answer | None:
            return answer if system == chosen and person is not None and not call.path.endswith("/Note") else None

        storm.silences.append(silence)
        storm.last(hit.dice.randint(0, MOST_RUNS), lambda: storm.silences.remove(silence))

    return happens


# Persons who are away ------------------------------------------------------------------------------------------------


def blanked(hit: Hit) -> None:
    """An import empties the betnr of some records."""
    some = [one for one in hit.storm.firm.persons if one.away is None and hit.dice.random() < SHARE]
    leave(hit, some or present(hit.storm)[:1], blank, relinked, hit.dice.randint(0, MOST_RUNS))


def shifted(hit: Hit) -> None:
    """An import is off by one line: each record gets the next one's betnr, the last one none."""
    persons = [one for one in present(hit.storm) if hit.storm.knows(one)]
    betnrs = iter([*(one.betnr for one in persons[1:]), None])

    def shift(firm: Firm, person: Person, _dice: Random) -> str:
        firm.espo.edit(person.entity_id, betnr=next(betnrs))
        return SHIFTED

    leave(hit, persons, shift, relinked, 0)


def is_away(hit: Hit) -> None:
    """Some are deleted on either side, doubled, or linked elsewhere, and then all is as it was."""
    for person in present(hit.storm):
        if hit.dice.random() < SHARE:
            runs = hit.dice.randint(0, MOST_RUNS)
            way, back = hit.dice.choice((*WAYS, (lend, relinked)) if not runs and hit.storm.knows(person) else WAYS)
            leave(hit, [person], way, back, runs)


def present(storm: Storm) -> list[Person]:
    return [one for one in storm.firm.persons if one.away is None]


def leave(hit: Hit, persons: Sequence[Person], way: Leaves, back: Leaves, runs: int) -> None:
    """These are away until so many more runs have met it; neither side of them may be touched."""
    storm, firm, dice = hit.storm, hit.storm.firm, hit.dice
    held = {one.number: firm.sides(one).espo for one in persons}
    for person in persons:
        person.away = f"{way(firm, person, dice)} for a while"  # so that no affair brings it back
        if person.betnr in firm.advo.beteiligte.persons:
            firm.untouchable[person.betnr] = firm.rows(person)
        person.kinds.add("save_only")
        storm.tell(f"away: person{person.number} {person.away}")

    def put_right() -> None:
        for person in persons:
            firm.untouchable.setdefault(person.betnr, [])
            back(firm, person, dice)
            person.away = None
            firm.untouchable.pop(person.betnr, None)
            kept = firm.sides(person).espo == held[person.number]
            claim("who is away keeps its entries", kept, f"person{person.number}: {held[person.number]}")
            storm.tell(f"back: person{person.number}")
            if runs:  # two looks may have seen it: then who returns is recovered, and a deletion may come back
                storm.blinded = True
                removed = {value: what for value, what in person.last.items() if what == "removed"}
                begin_anew(firm, person, returned=True)
                person.last |= removed

    storm.last(runs, put_right)


def blank(firm: Firm, person: Person, _dice: Random) -> str:
    firm.espo.edit(person.entity_id, betnr=None)
    return BLANKED


def lend(firm: Firm, person: Person, _dice: Random) -> str:
    """The record is linked to a copy of its Beteiligten."""
    copy = person.betnr + 200_000
    if copy not in firm.advo.beteiligte.persons:
        firm.advo.copy_person(person.betnr, copy)
    firm.untouchable[copy] = firm.advo.rows(copy)
    firm.espo.edit(person.entity_id, betnr=copy)
    return LENT


def relinked(firm: Firm, person: Person, _dice: Random) -> str:
    firm.espo.edit(person.entity_id, betnr=person.betnr)
    return ""


WAYS: tuple[tuple[Leaves, Leaves], ...] = (
    (blank, relinked), (delete_record, restore_record), (delete_in_advoware, restore_in_advoware), (double, end_double),
)  # fmt: skip


# An old Advoware -----------------------------------------------------------------------------------------------------


def has_a_backup(hit: Hit) -> bool:
    """Whether a backup is there and runs wrote since, whose ids are given out again; nobody came or went."""
    backup, there = hit.storm.backup, hit.storm.firm.advo.beteiligte.persons
    return backup is not None and hit.storm.begun_since_backup > 1 and backup.persons.keys() == there.keys()


def puts_back_advoware(hit: Hit) -> None:
    """A backup of Advoware is put back, and people type in what gets ids and rowIds that are known already."""
    storm, firm, people = hit.storm, hit.storm.firm, hit.storm.people
    assert storm.backup is not None
    before = {one.number: (people.values(one), {row["id"]: row for row in firm.rows(one)}) for one in firm.persons}
    firm.advo.put_back(storm.backup)
    for person in firm.persons:
        values, rows = before[person.number]
        people.note(person, values)
        people.note_texts(person, rows)
        person.texts = {row["id"]: own_text(row["bemerkung"]) for row in firm.rows(person)}
        person.kinds.add("meanwhile")
        storm.tell(f"person{person.number} as in the backup")
        for _ in range(hit.dice.randint(0, 2)):
            done = people.edit(person, hit.dice, side="advo")
            storm.tell(f"edit {done}") if done else None

"""Whoever is not there for a while: a 404 of one or of everybody, an import that spoils the link, a person away.

What lasts is put right when another run begins. What one run only saw may have had no effect at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.simulation.affairs import (
    delete_beteiligten,
    delete_espo_record,
    double,
    end_double,
    reset_to_first_sync,
    restore_in_advoware,
    restore_record,
)
from tests.simulation.fault import HTML, JSON, FaultContext
from tests.simulation.invariants import check_rule
from tests.simulation.oracle import text_in_remark
from tests.simulation.worlds import Firm, Person

if TYPE_CHECKING:
    from tests.simulation.storm import FaultInjector

MOST_RUNS = 2  # that meet an absence besides the one in which it began
ABSENT_SHARE = 0.4
NOT_FOUND_JSON = SimResponse(
    404, {**JSON, "X-Status-Reason": "Record does not exist."}, b'{"message":"Nicht gefunden."}'
)
NOT_FOUND_PAGE = SimResponse(404, HTML, b"<html><h1>404 Not Found</h1></html>")
FORBIDDEN_PAGE = SimResponse(403, HTML, b"<html>The request was blocked.</html>")
BETNR_BLANKED, BETNR_SHIFTED, LINKED_TO_COPY = "its betnr is blanked", "its betnr is another one's", "linked to a copy"

AbsenceAction = Callable[[Firm, Person, Random], str]


# Answers about somebody who is there ---------------------------------------------------------------------------------


def answer_404(context: FaultContext) -> SimResponse:
    """404 for one person; the second look that sees it, ten minutes later, believes it."""
    assert context.person is not None
    context.injector.note_absence(context.person)
    return NOT_FOUND_JSON


def about_some(system: str, *, writes: bool | None = None) -> Callable[[FaultContext], bool]:
    """Requests about some persons to this system; the dice are the same for the whole run."""

    def applies(context: FaultContext) -> bool:
        if (
            context.system != system
            or not context.is_about_person
            or context.person is None
            or writes not in (None, context.is_write)
        ):
            return False
        return (
            context.injector.chance.rng(f"{context.injector.run}/some/{context.person.number}").random() < ABSENT_SHARE
        )

    return applies


def answer_all(answer: SimResponse, *systems: str) -> Callable[[FaultContext], None]:
    """Every person is answered so: a mistyped address, or an application without its database."""

    def inject(context: FaultContext) -> None:
        injector, chosen_system = context.injector, context.rng.choice(systems)

        def override(system: str, call: SimRequest, person: Person | None) -> SimResponse | None:
            return (
                answer if system == chosen_system and person is not None and not call.path.endswith("/Note") else None
            )

        injector.overrides.append(override)
        injector.undo_after(context.rng.randint(0, MOST_RUNS), lambda: injector.overrides.remove(override))

    return inject


# Persons who are away ------------------------------------------------------------------------------------------------


def blank_betnrs(context: FaultContext) -> None:
    """An import empties the betnr of some records."""
    chosen_persons = [
        person
        for person in context.injector.firm.persons
        if person.absence is None and context.rng.random() < ABSENT_SHARE
    ]
    make_absent(
        context,
        chosen_persons or present_persons(context.injector)[:1],
        blank_betnr,
        relink_person,
        context.rng.randint(0, MOST_RUNS),
    )


def shift_betnrs(context: FaultContext) -> None:
    """An import is off by one line: each record gets the next one's betnr, the last one none."""
    persons = [person for person in present_persons(context.injector) if context.injector.knows(person)]
    betnrs = iter([*(person.betnr for person in persons[1:]), None])

    def shift(firm: Firm, person: Person, _rng: Random) -> str:
        firm.espo.edit(person.entity_id, betnr=next(betnrs))
        return BETNR_SHIFTED

    make_absent(context, persons, shift, relink_person, 0)


def make_some_absent(context: FaultContext) -> None:
    """Some are deleted on either side, doubled, or linked elsewhere, and then all is as it was."""
    for person in present_persons(context.injector):
        if context.rng.random() < ABSENT_SHARE:
            runs = context.rng.randint(0, MOST_RUNS)
            begin_absence, end_absence = context.rng.choice(
                (*ABSENCES, (link_to_copy, relink_person)) if not runs and context.injector.knows(person) else ABSENCES
            )
            make_absent(context, [person], begin_absence, end_absence, runs)


def present_persons(injector: FaultInjector) -> list[Person]:
    return [person for person in injector.firm.persons if person.absence is None]


def make_absent(
    context: FaultContext,
    persons: Sequence[Person],
    begin_absence: AbsenceAction,
    end_absence: AbsenceAction,
    runs: int,
) -> None:
    """These are away until so many more runs have met it; neither side of them may be touched."""
    injector, firm, rng = context.injector, context.injector.firm, context.rng
    espo_values_before = {absentee.number: firm.sides(absentee).espo for absentee in persons}
    for person in persons:
        person.absence = f"{begin_absence(firm, person, rng)} for a while"  # so that no affair brings it back
        if person.betnr in firm.advo.beteiligte.persons:
            firm.frozen_rows[person.betnr] = firm.rows(person)
        person.edit_kinds.add("save_only")
        injector.log(f"away: person{person.number} {person.absence}")

    def undo() -> None:
        for person in persons:
            firm.frozen_rows.setdefault(person.betnr, [])
            end_absence(firm, person, rng)
            person.absence = None
            firm.frozen_rows.pop(person.betnr, None)
            is_unchanged = firm.sides(person).espo == espo_values_before[person.number]
            check_rule(
                "who is away keeps its entries",
                is_unchanged,
                f"person{person.number}: {espo_values_before[person.number]}",
            )
            injector.log(f"back: person{person.number}")
            if runs:  # two looks may have seen it: then who returns is recovered, and a deletion may come back
                injector.ambiguous = True
                removed_values = {
                    value: last_edit for value, last_edit in person.last_edits.items() if last_edit == "removed"
                }
                reset_to_first_sync(firm, person, is_return=True)
                person.last_edits |= removed_values

    injector.undo_after(runs, undo)


def blank_betnr(firm: Firm, person: Person, _rng: Random) -> str:
    firm.espo.edit(person.entity_id, betnr=None)
    return BETNR_BLANKED


def link_to_copy(firm: Firm, person: Person, _rng: Random) -> str:
    """The record is linked to a copy of its Beteiligten."""
    copy = person.betnr + 200_000
    if copy not in firm.advo.beteiligte.persons:
        firm.advo.copy_person(person.betnr, copy)
    firm.frozen_rows[copy] = firm.advo.rows(copy)
    firm.espo.edit(person.entity_id, betnr=copy)
    return LINKED_TO_COPY


def relink_person(firm: Firm, person: Person, _rng: Random) -> str:
    firm.espo.edit(person.entity_id, betnr=person.betnr)
    return ""


ABSENCES: tuple[tuple[AbsenceAction, AbsenceAction], ...] = (
    (blank_betnr, relink_person), (delete_espo_record, restore_record), (delete_beteiligten, restore_in_advoware), (double, end_double),
)  # fmt: skip


# An old Advoware -----------------------------------------------------------------------------------------------------


def has_usable_backup(context: FaultContext) -> bool:
    """Whether a backup is there and runs wrote since, whose ids are given out again; nobody came or went."""
    backup, persons_now = context.injector.advo_backup, context.injector.firm.advo.beteiligte.persons
    return backup is not None and context.injector.runs_since_backup > 1 and backup.persons.keys() == persons_now.keys()


def restore_advoware_backup(context: FaultContext) -> None:
    """A backup of Advoware is put back, and people type in what gets ids and rowIds that are known already."""
    injector, firm, people = context.injector, context.injector.firm, context.injector.people
    assert injector.advo_backup is not None
    values_and_rows = {
        owner.number: (people.values(owner), {row["id"]: row for row in firm.rows(owner)}) for owner in firm.persons
    }
    firm.advo.restore_backup(injector.advo_backup)
    for person in firm.persons:
        values, rows = values_and_rows[person.number]
        people.note_edit(person, values)
        people.note_texts(person, rows)
        person.own_texts = {row["id"]: text_in_remark(row["bemerkung"]) for row in firm.rows(person)}
        person.edit_kinds.add("meanwhile")
        injector.log(f"person{person.number} as in the backup")
        for _ in range(context.rng.randint(0, 2)):
            edit_text = people.edit(person, context.rng, side="advo")
            injector.log(f"edit {edit_text}") if edit_text else None

"""What must hold after every step and at rest, whatever people did and whatever went wrong (rules.md)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.simulation.neighbours import RETYPED_ELSEWHERE
from tests.simulation.oracle import (
    Edited,
    Sides,
    canon,
    edited,
    entries_of_rows,
    espo_can_hold,
    expected,
    is_relevant,
    marked_value,
    own_text,
)
from tests.simulation.people import MADE_CLEAR, SAVES, is_number, is_unclear
from tests.simulation.told import query, texts_told, values_that_lost
from tests.simulation.worlds import TYPE_OF, Firm, Person, marks_of

MARKER = re.compile(r"\[ESPOCRM:[^\]:]*:(\d+)\]")


class Violation(AssertionError):
    """Something was lost, doubled or blurred. ``rule`` is the invariant's name."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule


def after_a_step(firm: Firm, path: Path, *, killed: bool, kept: dict[str, set[str]]) -> None:
    """Hold at any time; ``kept`` are values in conflicts of state stores that are gone."""
    deletes = [call for sim in (firm.espo, firm.advo) for call in sim.journal if call.method == "DELETE"]
    claim("never a DELETE", not deletes, deletes)
    claim("never two Advoware writes at once", not firm.advo.overlapping_writes, firm.advo.overlapping_writes)
    if not killed and path.exists():
        claim("no lock left", not query(path, "select * from lease"), "the lease is still there")
    for betnr, rows in firm.untouchable.items():
        claim("nobody's rows are touched", firm.advo.rows(betnr) == rows, f"{betnr}: {rows}")
    lost = values_that_lost(path)
    for person in firm.persons:
        sides, buried = firm.sides(person), firm.buried.get(person.betnr)
        if buried is not None:  # deleted in Advoware, until somebody brings it back
            sides = Sides(sides.espo, frozenset(entries_of_rows({"tlf": row.tlf} for row in buried.rows.values())))
        for value, what in person.last.items():
            if what == "removed" or value in person.excused or len(person.touched.get(value, ())) > 1:
                continue
            kept_values = lost.get(person.entity_id, set()) | kept.get(person.entity_id, set())
            there = value in sides.espo | sides.advo | kept_values
            claim("nothing a person entered is lost", there, f"{value} of person{person.number} ({person.entity_id})")


@dataclass(frozen=True)
class Excuses:
    """What a run cannot be blamed for, by the numbers of persons: ``windowed``, edited between our last read and our
    write of the same thing, with the values a row had then and was given; ``refused``, a value was.
    ``blurred``: the state store was lost; ``faulty``: something went wrong at all; ``torn``: EspoCRM did not store
    arrays it confirmed, and shows those of a save late, so that one that was to be emptied read as empty."""

    windowed: Mapping[int, Collection[str]] = field(default_factory=dict)
    refused: frozenset[int] = frozenset()
    blurred: bool = False
    faulty: bool = False
    torn: bool = False


def at_rest(firm: Firm, path: Path, but: Excuses) -> None:
    """Hold when faults have ended and the sync has nothing more to do."""
    noted: dict[str, list[tuple[str, str, str]]] = {}
    for entity_id, side, reason, value in query(path, "select entity_id, side, reason, value from left_alone"):
        noted.setdefault(str(entity_id), []).append((str(side), str(reason), canon(str(value))))
    lost, told = values_that_lost(path), texts_told(path)
    status = {row[0]: row[1] for row in query(path, "select entity_id, status from persons")}
    for person in firm.persons:
        if person.away is not None:
            claim("who is away keeps its entries", entries_kept(firm, person), f"person{person.number} {person.away}")
            continue
        own = noted.get(person.entity_id, [])
        half_retyped = but.blurred and bool(person.kinds & {"retype_item", "swap_items"})
        if half_retyped:  # without the journal its two rows look like a person's copy, and copies are left alone
            person.doubled |= set(person.last)
        sides = firm.sides(person)
        no_marker_of_what_is_gone(firm, person, sides, own)
        stands = status.get(person.entity_id)
        claim("nobody is stuck", stands == "clean", f"person{person.number} {stands}")
        if firm.nature.direction != "both":
            one_way(firm, person, sides, but.windowed.get(person.number, ()))
            continue
        agreement(firm, person, sides, own, refused=person.number in but.refused)
        no_reading_beside(person, sides)
        nothing_made_twice(firm, person)
        if person.number not in but.windowed and not half_retyped:
            texts_survive(firm, person)
            texts_stand_where_meant(firm, person, told.get(person.entity_id, set()))
            if not but.blurred and person.number not in but.refused:
                kinds_fit(firm, person)
                right_answer(firm, person, sides, lost.get(person.entity_id, set()), but)


def no_marker_of_what_is_gone(firm: Firm, person: Person, sides: Sides, noted: list[tuple[str, str, str]]) -> None:
    """A value that is gone from both sides is gone from the remarks too, but where a row is left alone or held back."""
    marked = [(row, told) for row in firm.rows(person) if (told := marked_value(row["bemerkung"]))]
    kept = [row for row, _ in marked if is_empty(row["tlf"])]
    claim("no marker of ours on an empty row", not kept, f"person{person.number}: {kept}")
    left = {value for side, _, value in noted if side == "advo"}
    gone = [row for row, told in marked if told not in sides.espo | sides.advo and canon(row["tlf"]) not in left]
    gone = [] if any(reason == "held_back" for _, reason, _ in noted) else gone
    claim("no marker speaks of a value nobody holds", not gone, f"person{person.number}: {gone} {sides} {noted}")


def is_empty(value: str | None) -> bool:
    return not (value or "").strip()


def entries_kept(firm: Firm, person: Person) -> bool:
    """Whether EspoCRM still holds what it held when the person went away."""
    return person.model["espo"] <= firm.sides(person).espo


def one_way(firm: Firm, person: Person, sides: Sides, windowed: Collection[str]) -> None:
    """The side that is right in a one-directional configuration shows what people left there, and nothing else.

    ``windowed``: what a write met that somebody edited since our last read of it; a marker takes its value along.
    """
    name, shown = ("espo", sides.espo) if firm.nature.direction == "to_advoware" else ("advo", sides.advo)
    as_left = person.model[name] ^ shown <= set(windowed)
    claim("one direction", as_left, f"person{person.number} {name}: {person.model[name]} {shown}")


def texts_stand_where_meant(firm: Firm, person: Person, told: set[tuple[str, str]]) -> None:
    """A person's own text stands on no number it was not written for, unless a step says that it was kept there."""
    plain = firm.nature.plain
    for row in firm.rows(person):
        text, value = plain(own_text(row["bemerkung"])), canon(row["tlf"] or "")
        meant = (value in values for one, values in person.meant.items() if plain(one) == text)
        fits = not text or not value or any(meant) or (text, value) in {(plain(one), other) for one, other in told}
        fits |= row["id"] in person.cut_texts or half_a_marker(firm, text)
        claim("own texts stand where they were meant", fits, f"person{person.number}: {text!r} on {value}: {told}")


def kinds_fit(firm: Firm, person: Person) -> None:
    """EspoCRM's items keep what people chose for them, and their rows have the kommKz of the type they chose."""
    if person.kinds & {"meanwhile", "swap_rows", "fill_row", "copy_row", "double_row", "relink"}:
        return
    kept = {value: one for value, one in person.marks.items() if value not in firm.shared}
    now = {value: one for value, one in marks_of(firm, person).items() if value in kept}
    kept = {value: one for value, one in kept.items() if value in now and "advo" not in person.touched.get(value, ())}
    now = {value: now[value] for value in kept}
    claim("items keep what people chose", kept == now, f"person{person.number}: {kept} {now}")
    if person.edits != {"espo"} or "swap_items" in person.kinds or not person.synced:
        return  # swapped twice, a type may be what it was; without an agreement nobody knows which side's is new
    new = (person.asked & kept.keys()) - person.doubled
    wrong = [row for row in misfits(firm, person) if canon(row["tlf"]) in new and row["id"] not in person.misfits]
    claim("kommKz follows the type", not wrong, f"person{person.number}: {wrong} {kept}")


def misfits(firm: Firm, person: Person) -> list[dict[str, Any]]:
    """The rows of numbers whose kommKz is another than the type in EspoCRM says; a link leaves them as they are."""
    marks, found = marks_of(firm, person), []
    for row in firm.rows(person):
        value, told = canon(row["tlf"] or ""), MARKER.match(row["bemerkung"] or "")
        komm_kz = int(told[1]) if told else row["kommKz"]  # the real one cannot be read, so the marker's counts
        if value.startswith("+") and value in marks and TYPE_OF.get(komm_kz) != marks[value][0]:
            found.append(row)
    return found


def agreement(
    firm: Firm, person: Person, sides: Sides, noted: list[tuple[str, str, str]], *, refused: bool
) -> None:
    """Both sides agree on every value that both can hold; what was ``refused`` once is named and stays away."""
    left = {(side, value) for side, reason, value in noted if reason in {"unsyncable", "duplicate"}}
    unclear = {(side, value) for side, reason, value in noted if reason == "unclear"}
    before = person.agreed if person.synced else Sides(frozenset(), frozenset())
    still = (before.espo ^ before.advo) - person.touched.keys()  # refused before the last rest, not edited since
    not_taken = firm.nature.max_tlf is not None or refused
    not_taken &= any(one[:2] == ("espo", "unsyncable") for one in noted)
    for value in sides.advo - sides.espo:
        known = refused or person.crowded or value in person.doubled or value in person.excused or value in still
        just_replaced = "meanwhile" in person.kinds and person.last.get(value) == "removed"
        fine = (
            not espo_can_hold(value)
            or (("advo", value) in left and known)
            or ("advo", value) in unclear
            or (not_taken and (value in person.agreed.advo or just_replaced))  # what a value was to replace stays
            or (value in person.cut_values and any(one[1] == "unsyncable" for one in noted))
        )
        numbers = {number for one in person.hidden for number in person.hides(one)} | person.agreed.advo
        fine |= value in numbers and any(("espo", one) in unclear for one in sides.espo)
        claim("both sides agree", fine, f"person{person.number}: {value} only in Advoware; left alone: {noted}")
    for value in sides.espo - sides.advo:
        known = refused or firm.nature.max_tlf is not None or value in person.excused or value in still
        begun = {one for one in sides.advo if value.startswith(one) and ("advo", one) in left}  # its row says why
        fine = (("espo", value) in left or bool(begun and firm.nature.max_tlf)) and known
        instead = [one for side, why, one in noted if (side, why) == ("advo", "unsyncable")]  # it stays for what it got
        refuses = refused or any(not espo_can_hold(one) for one in instead)
        fine |= bool(instead) and refuses and value in person.agreed.espo
        waits = any(side == "advo" for side, _ in unclear) and value in person.agreed.espo | obscured(firm, person)
        fine |= ("espo", value) in unclear or waits
        claim("both sides agree", fine, f"person{person.number}: {value} only in EspoCRM; left alone: {noted}")


def no_reading_beside(person: Person, sides: Sides) -> None:
    """A number that a row nobody can read may mean is not brought beside that row.

    Where another number went from EspoCRM it may read as what that one was changed into: a pair is never touched by
    readings (rules.md §0).
    """
    if any(is_number(value) for value in person.agreed.espo - sides.espo):
        return
    alone = sides.advo - sides.espo
    stand = {value for value, unclear in person.prevented.items() if unclear in alone and value in sides.espo}
    brought = {value for value in stand & sides.advo if "advo" not in person.touched.get(value, ())}
    claim("no reading beside what nobody can read", not brought, f"person{person.number}: {brought} {sides}")


def nothing_made_twice(firm: Firm, person: Person) -> None:
    """No duplicate we made: a value stands twice only where a person typed it twice."""
    rows = Counter(canon(row["tlf"]) for row in firm.rows(person) if is_relevant(row["tlf"]))
    twice = {value for value, count in rows.items() if count > 1} - person.doubled
    claim("no duplicate we made", not twice, f"person{person.number}: {sorted(twice)} twice in Advoware")


def texts_survive(firm: Firm, person: Person) -> None:
    """People's own texts are there, byte for byte, as often as they were written."""
    rows = {row["id"]: row for row in firm.rows(person)}
    cut = {komm_id for komm_id, text in person.cut_texts.items() if person.texts.get(komm_id, text) == text}
    plain = firm.nature.plain
    texts = {komm_id: text for komm_id, text in person.texts.items() if text and not half_a_marker(firm, text)}
    written = Counter(plain(text) for komm_id, text in texts.items() if komm_id in rows.keys() - cut)
    left = [plain(own_text(row["bemerkung"])) for komm_id, row in rows.items() if komm_id not in cut]
    found = Counter(text for text in left if text and not half_a_marker(firm, text))
    if not firm.nature.answers_put and "meanwhile" in person.kinds:
        # without a rowId in the answer, a text deleted behind our write reads like a text cut off: it is written again
        claim("own texts survive", written <= found, f"person{person.number}: written {written}, found {found}")
        return
    claim("own texts survive", written == found, f"person{person.number}: written {written}, found {found}")


def half_a_marker(firm: Firm, text: str) -> bool:
    """Whether a text is what Advoware left of a marker, which somebody's edit made look like their own."""
    return firm.nature.max_bemerkung is not None and text.startswith("[ESPOCRM:") and "]" not in text


def right_answer(firm: Firm, person: Person, sides: Sides, lost: set[str], but: Excuses) -> None:
    """One-sided edits have one right answer, and conflicts that EspoCRM wins too."""
    espo = edited(person.agreed.espo, frozenset(person.model["espo"]))
    advo = edited(person.agreed.advo, frozenset(person.model["advo"]))
    types = retyped(person)
    both = "advo" in person.edits and ("espo" in person.edits or types)
    made_clear = MADE_CLEAR in person.kinds  # the pair that waited is in the baseline, not in what both sides showed
    if not person.synced or not (made_clear or person.agreed.espo & person.agreed.advo):  # without a pair: a first sync
        person_keeps_everything(person, sides, lost if "meanwhile" in person.kinds else set())
        return
    if made_clear or (both and (but.faulty or "meanwhile" in person.kinds or types)):
        return
    if person.doubled or person.crowded or len(sides.espo) >= 9 or firm.nature.max_tlf:
        return
    whole = firm.nature.scope == "person" and bool(espo) and bool(advo)
    if both and not (espo and advo):
        return
    waits = bool(espo.removed) and any(is_unclear(value) for value in espo.added)  # one may have become the other
    if waits or (both and person.kinds & {"swap_rows", "fill_row"}):
        return
    wanted = answer(person, sides, espo, advo, whole=whole)
    if wanted is None:
        return
    kept = (keeps_its_item(firm, person) & advo.removed & person.agreed.espo) - espo.removed
    wanted = Sides(wanted.espo | kept, wanted.advo - kept)  # left alone, so that EspoCRM wins nothing of it either
    if "meanwhile" in person.kinds:  # a run brought what was typed over in that moment, and the pair waits
        wanted = replace(wanted, espo=wanted.espo | (obscured(firm, person) & sides.espo))
    back = brought_back(advo.removed & sides.espo, wanted.espo) if but.torn else frozenset()
    wanted = Sides(wanted.espo | back, wanted.advo | back)
    told = f"person{person.number} from {person.agreed} by espo {espo} advo {advo}: wanted {wanted}, is {sides}"
    claim("the right answer", wanted == sides, told)
    if whole:
        gone = advo.added - sides.advo
        claim("every value that loses is kept", gone <= lost, f"person{person.number}: {gone - lost}")


def answer(person: Person, sides: Sides, espo: Edited, advo: Edited, *, whole: bool) -> Sides | None:
    """What both sides must show, None where people did so much that more than one answer is right.

    A pair of which nobody can read EspoCRM's half waits; when its row goes, that half is new, and comes as written.
    """
    if person.kinds & {"obscure_item", "add_a_reading"}:
        is_alone = person.kinds == {"obscure_item"} and len(espo.added) == len(espo.removed) == 1 and not advo
        waits = is_alone and espo.removed <= person.agreed.advo
        return Sides(espo.on(person.agreed.espo), person.agreed.advo) if waits else None
    if person.hidden and espo and advo:
        return None
    wanted = expected(person.agreed, espo, advo, whole_person=whole)
    ended = {value for value, number in person.hidden.items() if number in advo.removed}
    return wanted and Sides(wanted.espo, wanted.advo | (ended & sides.espo))


def brought_back(removed: frozenset[str], wanted: frozenset[str]) -> frozenset[str]:
    """What was deleted in Advoware, seen to be gone from EspoCRM, and shown there again by the status PUT's answer.

    So reads what somebody entered behind our write (rules.md §1, *Our own writes*): it is new, and nothing is lost. A
    read tells so only of an array that was to be empty.
    """
    left = {"@" in value for value in wanted}
    return frozenset(value for value in removed if ("@" in value) not in left)


def keeps_its_item(firm: Firm, person: Person) -> set[str]:
    """The values whose row holds now what EspoCRM cannot: nothing takes their place there, so they stay.

    So do those whose row holds such a value instead, as after two rows changed places: EspoCRM has that one already.
    """
    rows = [row for row in firm.rows(person) if is_relevant(row["tlf"])]
    had = [(value_it_had(person, row), canon(row["tlf"])) for row in rows]
    moved = [(value, instead) for value, instead in had if value not in (None, instead)]
    kept = {value for value, instead in moved if not espo_can_hold(instead)}
    while more := {value for value, instead in moved if instead in kept} - kept:
        kept |= more
    return kept


def value_it_had(person: Person, row: Mapping[str, Any]) -> str | None:
    """What a row held when all agreed: what its marker says, unless another row held it by then; else what came first
    of all that was typed over."""
    typed_over, marked = person.typed_over.get(row["id"], []), marked_value(row["bemerkung"])
    is_stale = not typed_over and {marked, canon(row["tlf"])} <= person.agreed.advo
    return marked if marked and not is_stale else next(iter(typed_over), None)


def obscured(firm: Firm, person: Person) -> set[str]:
    """The numbers over which was typed, since all agreed, what nobody can read: their pairs wait."""
    unclear = [row["id"] for row in firm.rows(person) if is_unclear(row["tlf"])]
    return {value for komm_id in unclear for value in person.typed_over.get(komm_id, ())}


def retyped(person: Person) -> bool:
    """Whether a type is EspoCRM's change: given on this record, or on one that shares its number while it was saved."""
    here, elsewhere = person.kinds & {"retype_item", "swap_items"}, RETYPED_ELSEWHERE in person.kinds
    return bool(here or (elsewhere and person.kinds & SAVES))


def person_keeps_everything(person: Person, sides: Sides, lost: set[str]) -> None:
    """First sync destroys nothing; ``lost`` is what a conflict after it may have cost."""
    for value, what in person.last.items():
        if what == "added":
            there = value in sides.espo | sides.advo | lost
            claim("first sync destroys nothing", there, f"person{person.number}: {value}")


def claim(rule: str, holds: bool, what: object) -> None:  # noqa: FBT001
    """Raise a Violation of this name unless it holds."""
    if not holds:
        raise Violation(rule, str(what))


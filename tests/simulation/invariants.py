"""What must hold after every step and at rest, whatever people did and whatever went wrong (etl/rules/README.md)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.simulation.neighbours import RETYPED_ELSEWHERE
from tests.simulation.oracle import (
    Edits,
    SideValues,
    canon,
    edits_between,
    entries_of_rows,
    espo_can_hold,
    is_relevant,
    marker_value,
    sides_at_rest,
    text_in_remark,
)
from tests.simulation.people import MADE_CLEAR, RECORD_SAVES, is_number, is_unclear
from tests.simulation.told import query_store, texts_in_journal, values_in_conflicts
from tests.simulation.worlds import TYPE_OF, Firm, Person, item_attributes

MARKER = re.compile(r"\[ESPOCRM:[^\]:]*:(\d+)\]")


class Violation(AssertionError):
    """Something was lost, doubled or blurred. ``rule`` is the invariant's name."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


def check_after_run(firm: Firm, path: Path, *, left_lease: bool, earlier_conflicts: dict[str, set[str]]) -> None:
    """Hold at any time; ``earlier_conflicts`` are values in conflicts of state stores that are gone."""
    deletes = [call for system in (firm.espo, firm.advo) for call in system.request_log if call.method == "DELETE"]
    check_rule("never a DELETE", not deletes, deletes)
    check_rule("never two Advoware writes at once", not firm.advo.overlapping_writes, firm.advo.overlapping_writes)
    if not left_lease and path.exists():
        check_rule("no lock left", not query_store(path, "select * from lease"), "the lease is still there")
    for betnr, rows in firm.frozen_rows.items():
        check_rule("nobody's rows are touched", firm.advo.rows(betnr) == rows, f"{betnr}: {rows}")
    conflict_values_by_person = values_in_conflicts(path)
    for person in firm.persons:
        sides, deleted_person = firm.sides(person), firm.deleted_persons.get(person.betnr)
        if deleted_person is not None:  # deleted in Advoware, until somebody brings it back
            sides = SideValues(
                sides.espo, frozenset(entries_of_rows({"tlf": row.tlf} for row in deleted_person.rows.values()))
            )
        for value, last_edit in person.last_edits.items():
            if (
                last_edit == "removed"
                or value in person.excused_values
                or len(person.sides_by_value.get(value, ())) > 1
            ):
                continue
            conflict_values = conflict_values_by_person.get(person.entity_id, set()) | earlier_conflicts.get(
                person.entity_id, set()
            )
            is_there = value in sides.espo | sides.advo | conflict_values
            check_rule(
                "nothing a person entered is lost", is_there, f"{value} of person{person.number} ({person.entity_id})"
            )


@dataclass(frozen=True)
class Excuses:
    """What a run cannot be blamed for, by the numbers of persons: ``window_edits``, edited between our last read and
    our write of the same thing, with the values a row had then and was given; ``refused_persons``, a value was.
    ``ambiguous``: the state store was lost; ``had_faults``: something went wrong at all; ``torn``: EspoCRM did not
    store arrays it confirmed, and shows those of a save late, so that one that was to be emptied read as empty."""

    window_edits: Mapping[int, Collection[str]] = field(default_factory=dict)
    refused_persons: frozenset[int] = frozenset()
    ambiguous: bool = False
    had_faults: bool = False
    torn: bool = False


def check_at_rest(firm: Firm, path: Path, excuses: Excuses) -> None:
    """Hold when faults have ended and the sync has nothing more to do."""
    left_alone: dict[str, list[tuple[str, str, str]]] = {}
    for entity_id, side, reason, value in query_store(path, "select entity_id, side, reason, value from left_alone"):
        left_alone.setdefault(str(entity_id), []).append((str(side), str(reason), canon(str(value))))
    conflict_values_by_person, texts_by_person = values_in_conflicts(path), texts_in_journal(path)
    status = {row[0]: row[1] for row in query_store(path, "select entity_id, status from persons")}
    for person in firm.persons:
        if person.absence is not None:
            check_rule(
                "who is away keeps its entries",
                has_kept_entries(firm, person),
                f"person{person.number} {person.absence}",
            )
            continue
        left_alone_here = left_alone.get(person.entity_id, [])
        half_retyped = excuses.ambiguous and bool(person.edit_kinds & {"retype_item", "swap_items"})
        if half_retyped:  # without the journal its two rows look like a person's copy, and copies are left alone
            person.duplicates |= set(person.last_edits)
        sides = firm.sides(person)
        check_markers(firm, person, sides, left_alone_here)
        person_status = status.get(person.entity_id)
        check_rule("nobody is stuck", person_status == "clean", f"person{person.number} {person_status}")
        if firm.traits.direction != "both":
            check_one_direction(firm, person, sides, excuses.window_edits.get(person.number, ()))
            continue
        check_agreement(firm, person, sides, left_alone_here, refused=person.number in excuses.refused_persons)
        no_reading_beside(person, sides)
        check_no_duplicates(firm, person)
        if person.number not in excuses.window_edits and not half_retyped:
            check_own_texts(firm, person)
            check_text_placement(firm, person, texts_by_person.get(person.entity_id, set()))
            if not excuses.ambiguous and person.number not in excuses.refused_persons:
                check_item_attributes(firm, person)
                check_right_answer(firm, person, sides, conflict_values_by_person.get(person.entity_id, set()), excuses)


def check_markers(firm: Firm, person: Person, sides: SideValues, left_alone: list[tuple[str, str, str]]) -> None:
    """A value that is gone from both sides is gone from the remarks too, but where a row is left alone or held back."""
    rows_with_marker = [
        (row, value_in_marker) for row in firm.rows(person) if (value_in_marker := marker_value(row["bemerkung"]))
    ]
    marked_empty_rows = [row for row, _ in rows_with_marker if is_blank_value(row["tlf"])]
    check_rule(
        "no marker of ours on an empty row", not marked_empty_rows, f"person{person.number}: {marked_empty_rows}"
    )
    values_left_alone = {value for side, _, value in left_alone if side == "advo"}
    stale_rows = [
        row
        for row, value_marked in rows_with_marker
        if value_marked not in sides.espo | sides.advo and canon(row["tlf"]) not in values_left_alone
    ]
    stale_rows = [] if any(reason == "held_back" for _, reason, _ in left_alone) else stale_rows
    check_rule(
        "no marker speaks of a value nobody holds",
        not stale_rows,
        f"person{person.number}: {stale_rows} {sides} {left_alone}",
    )


def is_blank_value(value: str | None) -> bool:
    return not (value or "").strip()


def has_kept_entries(firm: Firm, person: Person) -> bool:
    """Whether EspoCRM still holds what it held when the person went away."""
    return person.expected["espo"] <= firm.sides(person).espo


def check_one_direction(firm: Firm, person: Person, sides: SideValues, window_edits: Collection[str]) -> None:
    """The side that is right in a one-directional configuration shows what people left there, and nothing else.

    ``window_edits``: what a write met that somebody edited since our last read of it; a marker takes its value along.
    """
    name, values = ("espo", sides.espo) if firm.traits.direction == "to_advoware" else ("advo", sides.advo)
    is_as_left = person.expected[name] ^ values <= set(window_edits)
    check_rule("one direction", is_as_left, f"person{person.number} {name}: {person.expected[name]} {values}")


def check_text_placement(firm: Firm, person: Person, journal_texts: set[tuple[str, str]]) -> None:
    """A person's own text stands on no number it was not written for, unless a step says that it was kept there."""
    normalize = firm.traits.normalize
    for row in firm.rows(person):
        text, value = normalize(text_in_remark(row["bemerkung"])), canon(row["tlf"] or "")
        is_meant = (
            value in values for remark_text, values in person.values_of_text.items() if normalize(remark_text) == text
        )
        is_allowed = (
            not text
            or not value
            or any(is_meant)
            or (text, value) in {(normalize(remark_text), other_value) for remark_text, other_value in journal_texts}
        )
        is_allowed |= row["id"] in person.truncated_texts or is_half_marker(firm, text)
        check_rule(
            "own texts stand where they were meant",
            is_allowed,
            f"person{person.number}: {text!r} on {value}: {journal_texts}",
        )


def check_item_attributes(firm: Firm, person: Person) -> None:
    """EspoCRM's items keep what people chose for them, and their rows have the kommKz of the type they chose."""
    if person.edit_kinds & {"meanwhile", "swap_rows", "fill_row", "copy_row", "double_row", "relink"}:
        return
    attributes_before = {
        value: attributes for value, attributes in person.item_attributes.items() if value not in firm.shared_values
    }
    attributes_now = {
        value: attributes for value, attributes in item_attributes(firm, person).items() if value in attributes_before
    }
    attributes_before = {
        value: attributes
        for value, attributes in attributes_before.items()
        if value in attributes_now and "advo" not in person.sides_by_value.get(value, ())
    }
    attributes_now = {value: attributes_now[value] for value in attributes_before}
    check_rule(
        "items keep what people chose",
        attributes_before == attributes_now,
        f"person{person.number}: {attributes_before} {attributes_now}",
    )
    if person.edited_sides != {"espo"} or "swap_items" in person.edit_kinds or not person.synced:
        return  # swapped twice, a type may be what it was; without an agreement nobody knows which side's is new
    chosen_values = (person.type_chosen & attributes_before.keys()) - person.duplicates
    wrong_rows = [
        row
        for row in rows_with_wrong_komm_kz(firm, person)
        if canon(row["tlf"]) in chosen_values and row["id"] not in person.wrong_komm_kz_rows
    ]
    check_rule("kommKz follows the type", not wrong_rows, f"person{person.number}: {wrong_rows} {attributes_before}")


def rows_with_wrong_komm_kz(firm: Firm, person: Person) -> list[dict[str, Any]]:
    """The rows of numbers whose kommKz is another than the type in EspoCRM says; a link leaves them as they are."""
    attributes, wrong_rows = item_attributes(firm, person), []
    for row in firm.rows(person):
        value, marker = canon(row["tlf"] or ""), MARKER.match(row["bemerkung"] or "")
        komm_kz = int(marker[1]) if marker else row["kommKz"]  # the real one cannot be read, so the marker's counts
        if value.startswith("+") and value in attributes and TYPE_OF.get(komm_kz) != attributes[value][0]:
            wrong_rows.append(row)
    return wrong_rows


def check_agreement(
    firm: Firm, person: Person, sides: SideValues, left_alone: list[tuple[str, str, str]], *, refused: bool
) -> None:
    """Both sides agree on every value that both can hold; what was ``refused`` once is named and stays away."""
    values_left_alone = {(side, value) for side, reason, value in left_alone if reason in {"unsyncable", "duplicate"}}
    unclear = {(side, value) for side, reason, value in left_alone if reason == "unclear"}
    baseline = person.baseline if person.synced else SideValues(frozenset(), frozenset())
    refused_before = (
        baseline.espo ^ baseline.advo
    ) - person.sides_by_value.keys()  # refused before the last rest, not edited since
    advoware_refuses = firm.traits.max_tlf is not None or refused
    advoware_refuses &= any(note[:2] == ("espo", "unsyncable") for note in left_alone)
    for value in sides.advo - sides.espo:
        just_replaced = "meanwhile" in person.edit_kinds and person.last_edits.get(value) == "removed"
        is_explained = (
            refused
            or person.is_crowded
            or value in person.duplicates
            or value in person.excused_values
            or value in refused_before
        )
        is_allowed = (
            not espo_can_hold(value)
            or (("advo", value) in values_left_alone and is_explained)
            or ("advo", value) in unclear
            # what a value was to replace stays
            or (advoware_refuses and (value in person.baseline.advo or just_replaced))
            or (value in person.truncated_values and any(note[1] == "unsyncable" for note in left_alone))
        )
        numbers = {number for one in person.hidden for number in person.hides(one)} | person.baseline.advo
        # deleted in EspoCRM where an unclear value of its type was added: it may have become that one, and waits
        is_allowed |= (value in numbers or just_replaced) and any(("espo", one) in unclear for one in sides.espo)
        check_rule(
            "both sides agree", is_allowed, f"person{person.number}: {value} only in Advoware; left alone: {left_alone}"
        )
    for value in sides.espo - sides.advo:
        is_explained = (
            refused or firm.traits.max_tlf is not None or value in person.excused_values or value in refused_before
        )
        shortened_values = {
            beginning
            for beginning in sides.advo
            if value.startswith(beginning) and ("advo", beginning) in values_left_alone
        }  # its row says why
        is_allowed = (
            ("espo", value) in values_left_alone or bool(shortened_values and firm.traits.max_tlf)
        ) and is_explained
        replacing_values = [
            replacing for side, reason, replacing in left_alone if (side, reason) == ("advo", "unsyncable")
        ]  # it stays for what it got
        is_refusing = refused or any(not espo_can_hold(replacing) for replacing in replacing_values)
        is_allowed |= bool(replacing_values) and is_refusing and value in person.baseline.espo
        is_waiting = any(side == "advo" for side, _ in unclear) and value in person.baseline.espo | obscured(
            firm, person
        )
        is_allowed |= ("espo", value) in unclear or is_waiting
        check_rule(
            "both sides agree", is_allowed, f"person{person.number}: {value} only in EspoCRM; left alone: {left_alone}"
        )


def no_reading_beside(person: Person, sides: SideValues) -> None:
    """A number that a row nobody can read may mean is not brought beside that row.

    Where another number went from EspoCRM it may read as what that one was changed into: a pair is never touched by
    readings (rules §0).
    """
    if any(is_number(value) for value in person.baseline.espo - sides.espo):
        return
    alone = sides.advo - sides.espo
    stand = {value for value, unclear in person.prevented.items() if unclear in alone and value in sides.espo}
    brought = {value for value in stand & sides.advo if "advo" not in person.sides_by_value.get(value, ())}
    check_rule("no reading beside what nobody can read", not brought, f"person{person.number}: {brought} {sides}")


def check_no_duplicates(firm: Firm, person: Person) -> None:
    """No duplicate we made: a value stands twice only where a person typed it twice."""
    rows = Counter(canon(row["tlf"]) for row in firm.rows(person) if is_relevant(row["tlf"]))
    duplicates = {value for value, count in rows.items() if count > 1} - person.duplicates
    check_rule("no duplicate we made", not duplicates, f"person{person.number}: {sorted(duplicates)} twice in Advoware")


def check_own_texts(firm: Firm, person: Person) -> None:
    """People's own texts are there, byte for byte, as often as they were written."""
    rows = {row["id"]: row for row in firm.rows(person)}
    truncated_ids = {
        komm_id for komm_id, text in person.truncated_texts.items() if person.own_texts.get(komm_id, text) == text
    }
    normalize = firm.traits.normalize
    texts = {komm_id: text for komm_id, text in person.own_texts.items() if text and not is_half_marker(firm, text)}
    texts_expected = Counter(
        normalize(text) for komm_id, text in texts.items() if komm_id in rows.keys() - truncated_ids
    )
    texts_in_rows = [
        normalize(text_in_remark(row["bemerkung"])) for komm_id, row in rows.items() if komm_id not in truncated_ids
    ]
    texts_found = Counter(text for text in texts_in_rows if text and not is_half_marker(firm, text))
    if not firm.traits.answers_put and "meanwhile" in person.edit_kinds:
        # without a rowId in the answer, a text deleted behind our write reads like a text cut off: it is written again
        check_rule(
            "own texts survive",
            texts_expected <= texts_found,
            f"person{person.number}: written {texts_expected}, found {texts_found}",
        )
        return
    check_rule(
        "own texts survive",
        texts_expected == texts_found,
        f"person{person.number}: written {texts_expected}, found {texts_found}",
    )


def is_half_marker(firm: Firm, text: str) -> bool:
    """Whether a text is what Advoware left of a marker, which somebody's edit made look like their own."""
    return firm.traits.max_bemerkung is not None and text.startswith("[ESPOCRM:") and "]" not in text


def check_right_answer(firm: Firm, person: Person, sides: SideValues, conflict_values: set[str], but: Excuses) -> None:
    """One-sided edits have one right answer, and conflicts that EspoCRM wins too."""
    espo = edits_between(person.baseline.espo, frozenset(person.expected["espo"]))
    advo = edits_between(person.baseline.advo, frozenset(person.expected["advo"]))
    is_type_change = is_retyped(person)
    on_both_sides = "advo" in person.edited_sides and ("espo" in person.edited_sides or is_type_change)
    was_made_clear = (
        MADE_CLEAR in person.edit_kinds
    )  # the pair that waited is in the baseline, not in what both sides showed
    # EspoCRM's half of a pair that waits was edited before: when its row goes, both sides were, and EspoCRM wins
    wins_by_waiting = firm.traits.scope == "person" and any(value in advo.removed for value in person.hidden.values())
    if wins_by_waiting:
        check_losing_values_kept(person, advo.added - sides.advo, conflict_values)
        return
    if not person.synced or not (
        was_made_clear or person.baseline.espo & person.baseline.advo
    ):  # without a pair: a first sync
        check_first_sync_keeps_all(person, sides, conflict_values if "meanwhile" in person.edit_kinds else set())
        return
    if was_made_clear or (on_both_sides and (but.had_faults or "meanwhile" in person.edit_kinds or is_type_change)):
        return
    has_no_one_answer = person.duplicates or person.is_crowded or len(sides.espo) >= 9 or firm.traits.max_tlf
    if has_no_one_answer or (on_both_sides and not (espo and advo)):
        return
    whole_person = firm.traits.scope == "person" and bool(espo) and bool(advo)
    # of an unclear value added and another one removed, one may have become the other
    is_ambiguous = bool(espo.removed) and any(is_unclear(value) for value in espo.added)
    if is_ambiguous or (on_both_sides and person.edit_kinds & {"swap_rows", "fill_row"}):
        return
    expected_sides = answer(person, sides, espo, advo, whole=whole_person)
    if expected_sides is None:
        return
    kept_values = (values_kept_in_espo(firm, person) & advo.removed & person.baseline.espo) - espo.removed
    expected_sides = SideValues(
        expected_sides.espo | kept_values, expected_sides.advo - kept_values
    )  # left alone, so that EspoCRM wins nothing of it either
    if "meanwhile" in person.edit_kinds:  # a run brought what was typed over in that moment, and the pair waits
        expected_sides = replace(expected_sides, espo=expected_sides.espo | (obscured(firm, person) & sides.espo))
    back = brought_back(advo.removed & sides.espo, expected_sides.espo) if but.torn else frozenset()
    expected_sides = SideValues(expected_sides.espo | back, expected_sides.advo | back)
    description = (
        f"person{person.number} from {person.baseline} by espo {espo} advo {advo}: wanted {expected_sides}, is {sides}"
    )
    check_rule("the right answer", expected_sides == sides, description)
    if whole_person:
        check_losing_values_kept(person, advo.added - sides.advo, conflict_values)


def check_losing_values_kept(person: Person, losing_values: frozenset[str], conflict_values: set[str]) -> None:
    """What a conflict took from Advoware is in the table ``conflicts``, from where it can be restored."""
    lost_values = losing_values - conflict_values
    check_rule("every value that loses is kept", not lost_values, f"person{person.number}: {lost_values}")


def answer(person: Person, sides: SideValues, espo: Edits, advo: Edits, *, whole: bool) -> SideValues | None:
    """What both sides must show, None where people did so much that more than one answer is right.

    A pair of which nobody can read EspoCRM's half waits; when its row goes, that half is new, and comes as written.
    """
    if person.edit_kinds & {"obscure_item", "add_a_reading"}:
        is_alone = person.edit_kinds == {"obscure_item"} and len(espo.added) == len(espo.removed) == 1 and not advo
        waits = is_alone and espo.removed <= person.baseline.advo
        return SideValues(espo.apply_to(person.baseline.espo), person.baseline.advo) if waits else None
    if person.hidden and espo and advo:
        return None
    wanted = sides_at_rest(person.baseline, espo, advo, whole_person=whole)
    ended = {value for value, number in person.hidden.items() if number in advo.removed}
    # a number of EspoCRM that only the row which went prevented is new; another such row may still prevent it
    freed = {value for value, row in person.prevented.items() if row in advo.removed}
    if any(is_unclear(value) for value in sides.advo):
        freed &= sides.advo
    return wanted and SideValues(wanted.espo, wanted.advo | ((ended | freed) & sides.espo))


def brought_back(removed: frozenset[str], wanted: frozenset[str]) -> frozenset[str]:
    """What was deleted in Advoware, seen to be gone from EspoCRM, and shown there again by the status PUT's answer.

    So reads what somebody entered behind our write (rules §1, *Our own writes*): it is new, and nothing is lost. A
    read tells so only of an array that was to be empty.
    """
    left = {"@" in value for value in wanted}
    return frozenset(value for value in removed if ("@" in value) not in left)


def values_kept_in_espo(firm: Firm, person: Person) -> set[str]:
    """The values whose row holds now what EspoCRM cannot: nothing takes their place there, so they stay.

    So do those whose row holds such a value instead, as after two rows changed places: EspoCRM has that one already.
    """
    rows = [row for row in firm.rows(person) if is_relevant(row["tlf"])]
    had = [(value_it_had(person, row), canon(row["tlf"])) for row in rows]
    moved = [(value, unsyncable_rows) for value, unsyncable_rows in had if value not in (None, unsyncable_rows)]
    kept = {value for value, instead in moved if not espo_can_hold(instead)}
    while more := {value for value, instead in moved if instead in kept} - kept:
        kept |= more
    return kept


def value_it_had(person: Person, row: Mapping[str, Any]) -> str | None:
    """What a row held when all agreed: what its marker says, unless another row held it by then; else what came first
    of all that was typed over."""
    typed_over, marked = person.typed_over.get(row["id"], []), marker_value(row["bemerkung"])
    is_stale = not typed_over and {marked, canon(row["tlf"])} <= person.baseline.advo
    return marked if marked and not is_stale else next(iter(typed_over), None)


def obscured(firm: Firm, person: Person) -> set[str]:
    """The numbers over which was typed, since all agreed, what nobody can read: their pairs wait."""
    unclear = [row["id"] for row in firm.rows(person) if is_unclear(row["tlf"])]
    return {value for komm_id in unclear for value in person.typed_over.get(komm_id, ())}


def is_retyped(person: Person) -> bool:
    """Whether a type is EspoCRM's change: given on this record, or on one that shares its number while it was saved."""
    retyped_here, retyped_elsewhere = (
        person.edit_kinds & {"retype_item", "swap_items"},
        RETYPED_ELSEWHERE in person.edit_kinds,
    )
    return bool(retyped_here or (retyped_elsewhere and person.edit_kinds & RECORD_SAVES))


def check_first_sync_keeps_all(person: Person, sides: SideValues, conflict_values: set[str]) -> None:
    """First sync destroys nothing; ``conflict_values`` is what a conflict after it may have cost."""
    for value, last_edit in person.last_edits.items():
        if last_edit == "added":
            is_there = value in sides.espo | sides.advo | conflict_values
            check_rule("first sync destroys nothing", is_there, f"person{person.number}: {value}")


def check_rule(rule: str, holds: bool, detail: object) -> None:  # noqa: FBT001
    """Raise a Violation of this name unless it holds."""
    if not holds:
        raise Violation(rule, str(detail))


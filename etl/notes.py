"""Telling people in EspoCRM's stream which value lost (rules.md §4); never a reason to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.errors import PersonError, UnknownOutcome
from etl.store.conflicts import conflicts_to_note, mark_noted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.run import Run


def note_conflicts(run: Run, entity_id: str) -> None:
    """Tell people in the record's stream what lost; never a reason to fail (rules.md §4)."""
    if not run.limits.note_conflicts:
        return
    for conflict in conflicts_to_note(run.store, entity_id):
        try:
            run.store.still_ours()
            run.espo.note(entity_id, conflict_note(conflict, run.limits.language))
            run.tally.writes["espocrm"] += 1
        except (PersonError, UnknownOutcome) as error:
            run.log.warning("conflict_not_noted", entity_id=entity_id, error=error.kind)
        mark_noted(run.store, [conflict["id"]], run.utcnow())


def conflict_note(conflict: Mapping[str, Any], language: str) -> str:
    """One sentence for the firm's staff."""
    lost, kept, number = conflict["advo_value"], conflict["espo_value"], conflict["id"]
    if language == "de":
        there = f"dort steht {kept}" if kept else "dort steht der Eintrag nicht"
        again = f"Wer {lost} behalten will, trägt es hier wieder ein (Konflikt {number})."
        return f"Advoware: {lost} wurde überschrieben. EspoCRM hat Vorrang; {there}. {again}"
    there = f"there it is {kept}" if kept else "the entry is not there"
    again = f"To keep {lost}, enter it here again (conflict {number})."
    return f"Advoware: {lost} was overwritten. EspoCRM wins; {there}. {again}"

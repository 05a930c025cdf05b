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
            run.before_write()
            run.espo.note(entity_id, conflict_note(conflict, run.limits.language))
            run.tally.writes["espocrm"] += 1
        except (PersonError, UnknownOutcome) as error:
            run.log.warning("conflict_not_noted", entity_id=entity_id, error=str(error))
        mark_noted(run.store, [conflict["id"]], run.utcnow())


def conflict_note(conflict: Mapping[str, Any], language: str) -> str:
    """One sentence for the firm's staff."""
    lost, kept = conflict["advo_value"], conflict["espo_value"]
    if language == "de":
        instead = f"gilt {kept}" if kept else "der Eintrag wurde in EspoCRM gelöscht"
        back = f"Zurückholen: advosync restore {conflict['id']}"
        return f"Advoware: {lost} wurde überschrieben, denn {instead} (EspoCRM hat Vorrang). {back}"
    instead = f"{kept} applies" if kept else "the entry was deleted in EspoCRM"
    back = f"To put it back: advosync restore {conflict['id']}"
    return f"Advoware: {lost} was overwritten, because {instead} (EspoCRM wins). {back}"

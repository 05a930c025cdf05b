"""What the plots and the report say, in the languages staff read (``report.language``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jobs.config import Language

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ChartTexts:
    """One language. Mappings go by the words of the state store."""

    variants: Mapping[str, str]
    statuses: Mapping[str, str]
    ages: tuple[str, ...]
    persons_by_status: str
    changes_per_day: str
    poll_age: str
    run_duration: str
    run: str
    seconds: str
    persons: str


GERMAN_CHART_TEXTS: Final = ChartTexts(
    variants={
        "var1": "neu in EspoCRM",
        "var2": "gelöscht in EspoCRM",
        "var3": "gelöscht in Advoware",
        "var4": "neu in Advoware",
        "var5": "geändert in EspoCRM",
        "var6": "geändert in Advoware",
        "retype": "Art geändert in EspoCRM",
        "clash": "auf beiden Seiten geändert",
        "restore": "zurückgeholt",
        "undo": "zurückgenommen",
    },
    statuses={
        "clean": "abgeglichen",
        "pending_sync": "angemeldet",
        "dirty": "geändert",
        "syncing": "in Arbeit",
        "failed": "fehlgeschlagen",
        "permanently_failed": "mehrfach fehlgeschlagen",
        "conflict": "muss entschieden werden",
        "deleted_in_advoware": "in Advoware gelöscht",
        "undecided": "noch nicht angesehen",
        "not_linked": "nicht verknüpft",
    },
    ages=("unter 1 Stunde", "unter 6 Stunden", "unter 1 Tag", "unter 3 Tagen", "unter 1 Woche", "älter", "noch nie"),
    persons_by_status="Wie stehen die Personen?",
    changes_per_day="Was hat sich geändert, Tag für Tag?",
    poll_age="Wann wurde in Advoware zuletzt nachgesehen?",
    run_duration="Wie lange dauerten die Läufe?",
    run="Lauf",
    seconds="s",
    persons="Personen",
)

ENGLISH_CHART_TEXTS: Final = ChartTexts(
    variants={
        "var1": "new in EspoCRM",
        "var2": "deleted in EspoCRM",
        "var3": "deleted in Advoware",
        "var4": "new in Advoware",
        "var5": "changed in EspoCRM",
        "var6": "changed in Advoware",
        "retype": "type changed in EspoCRM",
        "clash": "changed on both sides",
        "restore": "put back",
        "undo": "undone",
    },
    statuses={
        "clean": "in sync",
        "pending_sync": "asked for",
        "dirty": "edited",
        "syncing": "being written",
        "failed": "failed",
        "permanently_failed": "failed repeatedly",
        "conflict": "to be decided",
        "deleted_in_advoware": "deleted in Advoware",
        "undecided": "not looked at yet",
        "not_linked": "not linked",
    },
    ages=("under 1 hour", "under 6 hours", "under 1 day", "under 3 days", "under 1 week", "older", "never"),
    persons_by_status="How do the persons stand?",
    changes_per_day="What changed, day by day?",
    poll_age="When was Advoware last looked at?",
    run_duration="How long did runs take?",
    run="run",
    seconds="s",
    persons="persons",
)

CHART_TEXTS: Final[Mapping[Language, ChartTexts]] = {Language.DE: GERMAN_CHART_TEXTS, Language.EN: ENGLISH_CHART_TEXTS}

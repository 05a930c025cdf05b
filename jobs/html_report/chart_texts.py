"""What the plots and the report say, in the languages staff read (``report.language``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etl.enums import HoldKind, PersonStatus
from etl.rules.variants import VARIANT_WORDS, Variant
from jobs.config import Language

if TYPE_CHECKING:
    from collections.abc import Mapping


REVERTED: Final = "reverted"
"""A change of Advoware that was put back there, because EspoCRM stands."""


@dataclass(frozen=True, slots=True)
class ChartTexts:
    """One language. Mappings go by the words of the state store."""

    variants: Mapping[str, str]
    statuses: Mapping[str, str]
    holds: Mapping[str, str]
    ages: tuple[str, ...]
    persons_by_status: str
    changes_per_day: str
    poll_age: str
    run_duration: str
    run: str
    seconds: str
    persons: str
    status_legend: tuple[str, str, str, str]
    outcome_legend: tuple[str, str, str]
    day: str
    axis_day: str

    @property
    def moment(self) -> str:
        """How a moment is written, for ``strftime``."""
        return f"{self.day}, %H:%M"


GERMAN_CHART_TEXTS: Final = ChartTexts(
    variants={
        Variant.VAR1: "neu in EspoCRM",
        Variant.VAR2: "gelöscht in EspoCRM",
        Variant.VAR3: "gelöscht in Advoware",
        Variant.VAR4: "neu in Advoware",
        Variant.VAR5: "geändert in EspoCRM",
        Variant.VAR6: "geändert in Advoware",
        Variant.RETYPE: "Art geändert in EspoCRM",
        Variant.CLASH: "auf beiden Seiten geändert",
        Variant.RESTORE: "zurückgeholt",
        Variant.UNDO: "zurückgenommen",
        REVERTED: "zurückgesetzt: EspoCRM gilt",
    },
    statuses={
        PersonStatus.CLEAN: "abgeglichen",
        PersonStatus.PENDING_SYNC: "angemeldet",
        PersonStatus.DIRTY: "geändert",
        PersonStatus.SYNCING: "in Arbeit",
        PersonStatus.FAILED: "fehlgeschlagen",
        PersonStatus.PERMANENTLY_FAILED: "mehrfach fehlgeschlagen",
        PersonStatus.CONFLICT: "muss entschieden werden",
        PersonStatus.DELETED_IN_ADVOWARE: "in Advoware gelöscht",
        "held": "zurückgehalten",
        "undecided": "noch nicht angesehen",
        "not_linked": "nicht verknüpft",
    },
    holds={
        HoldKind.REMOVALS: "es würde ungewöhnlich viel entfernt oder überschrieben",
        HoldKind.CONFIGURATION: "die Einstellungen haben sich geändert",
        HoldKind.RECOVERY: "der Zustandsspeicher kennt die Person nicht mehr",
        HoldKind.SECOND_WRITER: "ein anderes Programm schreibt hier ebenfalls",
        HoldKind.ENDINGS: "nicht mehr gefunden oder nicht mehr verknüpft wie zuvor, und das bei zu vielen auf einmal",
    },
    ages=("unter 1 Stunde", "unter 6 Stunden", "unter 1 Tag", "unter 3 Tagen", "unter 1 Woche", "älter", "noch nie"),
    persons_by_status="Wie stehen die Personen?",
    changes_per_day="Was hat sich geändert, Tag für Tag?",
    poll_age="Wann wurde in Advoware zuletzt nachgesehen?",
    run_duration="Wie lange dauerten die Läufe?",
    run="Lauf",
    seconds="s",
    persons="Personen",
    status_legend=("abgeglichen", "braucht jemanden", "wird gerade abgeglichen", "wird nicht abgeglichen"),
    outcome_legend=("gut beendet", "jemand zurückgehalten oder fehlgeschlagen", "nicht zu Ende gekommen"),
    day="%d.%m.%Y",
    axis_day="%d.%m.",
)

ENGLISH_CHART_TEXTS: Final = ChartTexts(
    variants={variant: VARIANT_WORDS.get(variant, "") for variant in GERMAN_CHART_TEXTS.variants}
    | {Variant.RESTORE: "put back", Variant.UNDO: "undone", REVERTED: "reverted: EspoCRM stands"},
    statuses={
        PersonStatus.CLEAN: "in sync",
        PersonStatus.PENDING_SYNC: "asked for",
        PersonStatus.DIRTY: "edited",
        PersonStatus.SYNCING: "being written",
        PersonStatus.FAILED: "failed",
        PersonStatus.PERMANENTLY_FAILED: "failed repeatedly",
        PersonStatus.CONFLICT: "to be decided",
        PersonStatus.DELETED_IN_ADVOWARE: "deleted in Advoware",
        "held": "held, waits for an approval",
        "undecided": "not looked at yet",
        "not_linked": "not linked",
    },
    holds={},
    ages=("under 1 hour", "under 6 hours", "under 1 day", "under 3 days", "under 1 week", "older", "never"),
    persons_by_status="How do the persons stand?",
    changes_per_day="What changed, day by day?",
    poll_age="When was Advoware last looked at?",
    run_duration="How long did runs take?",
    run="run",
    seconds="s",
    persons="persons",
    status_legend=("in sync", "needs somebody", "under way", "not synced"),
    outcome_legend=("ended well", "somebody held or failed", "did not come to its end"),
    day="%-d %b %Y",
    axis_day="%-d %b",
)

CHART_TEXTS: Final[Mapping[Language, ChartTexts]] = {Language.DE: GERMAN_CHART_TEXTS, Language.EN: ENGLISH_CHART_TEXTS}

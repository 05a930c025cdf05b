"""What the report for the firm's partners says, in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jobs.config import Language

if TYPE_CHECKING:
    from collections.abc import Mapping

Plural = tuple[str, str]
"""What is said of one, and of any other number."""


@dataclass(frozen=True, slots=True)
class ReportTexts:
    """Sentences with places for figures."""

    title: str
    date_range: str
    tiles: Mapping[str, Plural]
    open_parts: Mapping[str, Plural]
    all_well: str
    not_all_well: str
    runs: Plural
    outages: Plural
    failures_of_ours: Plural
    last_success: str
    arrivals: Mapping[str, Plural]
    minutes: Plural
    hours: Plural
    variants_heading: str
    lost_heading: str
    attention_heading: str
    person: str
    value_lost: str
    value_kept: str
    time: str
    reason: str
    state: str
    restored: str
    seen: str
    not_seen: str
    more: Plural
    more_persons: Plural
    nobody: str
    names_omitted: str
    conflict_explanation: str
    footer: str


GERMAN_REPORT_TEXTS: Final = ReportTexts(
    title="Abgleich von EspoCRM und Advoware",
    date_range="{since} bis {until}",
    tiles={
        "linked": ("Person ist verknüpft", "Personen sind verknüpft"),
        "to_espo": ("Änderung aus Advoware nach EspoCRM übernommen", "Änderungen aus Advoware nach EspoCRM übernommen"),
        "to_advo": ("Änderung aus EspoCRM nach Advoware übernommen", "Änderungen aus EspoCRM nach Advoware übernommen"),
        "reverted": (
            "Änderung in Advoware zurückgesetzt, weil EspoCRM gilt",
            "Änderungen in Advoware zurückgesetzt, weil EspoCRM gilt",
        ),
        "lost": (
            "Wert hat einen Konflikt verloren und ist aufbewahrt",
            "Werte haben einen Konflikt verloren und sind aufbewahrt",
        ),
        "restored": ("verlorener Wert zurückgeholt", "verlorene Werte zurückgeholt"),
    },
    open_parts={
        "persons": ("{n} Person braucht jemanden", "{n} Personen brauchen jemanden"),
        "held": (
            "{n} Person wird zurückgehalten und wartet auf eine Freigabe",
            "{n} Personen werden zurückgehalten und warten auf eine Freigabe",
        ),
        "lost": ("{n} verlorenen Wert hat noch niemand angesehen", "{n} verlorene Werte hat noch niemand angesehen"),
        "locked": ("{n} Datensatz ist in EspoCRM gesperrt", "{n} Datensätze sind in EspoCRM gesperrt"),
    },
    all_well="Alles abgeglichen: Niemand muss etwas tun.",
    not_all_well="Offen: {parts}.",
    runs=("{n} Lauf im Zeitraum", "{n} Läufe im Zeitraum"),
    outages=(
        "bei einem war ein System nicht erreichbar oder lehnte die Anmeldung ab",
        "bei {n} war ein System nicht erreichbar oder lehnte die Anmeldung ab",
    ),
    failures_of_ours=(
        "einer brach aus anderem Grund ab (Programm, Rechner oder Einstellungen)",
        "{n} brachen aus anderem Grund ab (Programm, Rechner oder Einstellungen)",
    ),
    last_success="Letzter guter Lauf: {last}.",
    arrivals={
        "espocrm_edit": (
            "Gemessen: {n} Änderung aus EspoCRM kam binnen {{p95}} in Advoware an.",
            "Von {n} gemessenen Änderungen aus EspoCRM kam die Hälfte binnen {{median}} an, 95 von 100 binnen {{p95}}.",
        ),
        "advoware_edit": (
            "Gemessen: {n} Änderung aus Advoware kam binnen {{p95}} in EspoCRM an.",
            (
                "Von {n} gemessenen Änderungen aus Advoware kam die Hälfte binnen {{median}} an, "
                "95 von 100 binnen {{p95}}."
            ),
        ),
    },
    minutes=("einer Minute", "{n} Minuten"),
    hours=("einer Stunde", "{n} Stunden"),
    variants_heading="Was war geschehen?",
    lost_heading="Werte, die einen Konflikt verloren haben",
    attention_heading="Personen, die jemanden brauchen",
    person="Person",
    value_lost="verlorener Wert",
    value_kept="unterlag gegen",
    time="wann",
    reason="warum",
    state="seitdem",
    restored="zurückgeholt {at}",
    seen="angesehen {at}",
    not_seen="noch nicht angesehen",
    more_persons=("und {n} weitere Person", "und {n} weitere Personen"),
    more=("und {n} weiterer: `advosync conflicts --all`", "und {n} weitere: `advosync conflicts --all`"),
    nobody="Keine.",
    names_omitted="Namen und Werte sind weggelassen; mit `--names` stehen sie hier.",
    conflict_explanation="Haben beide Seiten seit dem letzten Abgleich geändert, gilt EspoCRM. Der unterlegene Wert "
    "geht nicht verloren: Er bleibt in der Datenbank des Abgleichs, bis ihn jemand angesehen oder zurückgeholt hat.",
    footer="Erstellt {now} von advosync {version}. Tage und Zeiten: {zone}.",
)

ENGLISH_REPORT_TEXTS: Final = ReportTexts(
    title="EspoCRM and Advoware, kept the same",
    date_range="{since} to {until}",
    tiles={
        "linked": ("person is linked", "persons are linked"),
        "to_espo": ("change taken from Advoware to EspoCRM", "changes taken from Advoware to EspoCRM"),
        "to_advo": ("change taken from EspoCRM to Advoware", "changes taken from EspoCRM to Advoware"),
        "reverted": (
            "change in Advoware reverted, because EspoCRM stands",
            "changes in Advoware reverted, because EspoCRM stands",
        ),
        "lost": ("value lost a conflict and is kept", "values lost a conflict and are kept"),
        "restored": ("lost value put back", "lost values put back"),
    },
    open_parts={
        "persons": ("{n} person needs somebody", "{n} persons need somebody"),
        "held": ("{n} person is held and waits for an approval", "{n} persons are held and wait for an approval"),
        "lost": ("nobody looked at {n} lost value yet", "nobody looked at {n} lost values yet"),
        "locked": ("{n} record is locked in EspoCRM", "{n} records are locked in EspoCRM"),
    },
    all_well="All in sync: nobody has to do anything.",
    not_all_well="Open: {parts}.",
    runs=("{n} run in this span", "{n} runs in this span"),
    outages=("in {n} a system was out or refused the login",) * 2,
    failures_of_ours=("{n} broke off for another reason (program, machine or settings)",) * 2,
    last_success="Last good run: {last}.",
    arrivals={
        "espocrm_edit": (
            "{n} measured edit in EspoCRM arrived, within {{p95}}.",
            "{n} measured edits in EspoCRM arrived, half of them within {{median}}, 95 of 100 within {{p95}}.",
        ),
        "advoware_edit": (
            "{n} measured edit in Advoware arrived, within {{p95}}.",
            "{n} measured edits in Advoware arrived, half of them within {{median}}, 95 of 100 within {{p95}}.",
        ),
    },
    minutes=("{n} minute", "{n} minutes"),
    hours=("{n} hour", "{n} hours"),
    variants_heading="What had happened?",
    lost_heading="Values that lost a conflict",
    attention_heading="Persons that need somebody",
    person="Person",
    value_lost="value that lost",
    value_kept="lost against",
    time="when",
    reason="why",
    state="since then",
    restored="put back {at}",
    seen="seen {at}",
    not_seen="not looked at yet",
    more_persons=("and {n} more person", "and {n} more persons"),
    more=("and {n} more: `advosync conflicts --all`",) * 2,
    nobody="None.",
    names_omitted="Names and values are left out; `--names` puts them here.",
    conflict_explanation="Where both sides changed since they last agreed, EspoCRM's value stands. The other one is "
    "not lost: it stays in the sync's database until somebody has seen it or put it back.",
    footer="Made {now} by advosync {version}. Days and times: {zone}.",
)

REPORT_TEXTS: Final[Mapping[Language, ReportTexts]] = {
    Language.DE: GERMAN_REPORT_TEXTS,
    Language.EN: ENGLISH_REPORT_TEXTS,
}

"""What the report for the firm's partners says, in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jobs.config import Language

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ReportTexts:
    """Sentences with places for figures."""

    title: str
    date_range: str
    linked: str
    to_espo: str
    to_advo: str
    lost: str
    needs_attention: str
    all_well: str
    not_all_well: str
    runs: str
    variants_heading: str
    lost_heading: str
    attention_heading: str
    person: str
    value_lost: str
    value_kept: str
    time: str
    reason: str
    nobody: str
    names_omitted: str
    conflict_explanation: str
    footer: str


GERMAN_REPORT_TEXTS: Final = ReportTexts(
    title="Abgleich von EspoCRM und Advoware",
    date_range="{since} bis {until}",
    linked="Personen werden abgeglichen",
    to_espo="Änderungen aus Advoware nach EspoCRM übernommen",
    to_advo="Änderungen aus EspoCRM nach Advoware übernommen",
    lost="Werte haben einen Konflikt verloren und sind aufbewahrt",
    needs_attention="Personen brauchen jemanden",
    all_well="Alles abgeglichen: Niemand muss etwas tun.",
    not_all_well="Offen sind: Personen, die jemanden brauchen: {persons}; verlorene Werte, die noch niemand angesehen "
    "hat: {lost}; Personen, die auf eine Freigabe warten: {held}; in EspoCRM gesperrte Datensätze: {locked}.",
    runs="{runs} Läufe im Zeitraum; bei {outages} war ein System nicht erreichbar oder lehnte die Anmeldung ab, {own} "
    "brachen aus anderem Grund ab (Programm, Rechner oder Einstellungen). Letzter guter Lauf: {last} UTC.",
    variants_heading="Was war geschehen?",
    lost_heading="Werte, die einen Konflikt verloren haben",
    attention_heading="Personen, die jemanden brauchen",
    person="Person",
    value_lost="verlorener Wert",
    value_kept="geltender Wert",
    time="wann (UTC)",
    reason="warum",
    nobody="Keine.",
    names_omitted="Namen und Werte sind weggelassen; mit `--names` stehen sie hier.",
    conflict_explanation="Haben beide Seiten seit dem letzten Abgleich geändert, gilt EspoCRM. Der unterlegene Wert "
    "geht nicht verloren: Er bleibt in der Datenbank des Abgleichs, bis ihn jemand angesehen oder zurückgeholt hat.",
    footer="Erstellt {now} UTC von advosync {version}. Tage und Zeiten in UTC.",
)

ENGLISH_REPORT_TEXTS: Final = ReportTexts(
    title="EspoCRM and Advoware, kept the same",
    date_range="{since} to {until}",
    linked="persons are kept in sync",
    to_espo="changes taken from Advoware to EspoCRM",
    to_advo="changes taken from EspoCRM to Advoware",
    lost="values lost a conflict and are kept",
    needs_attention="persons need somebody",
    all_well="All in sync: nobody has to do anything.",
    not_all_well="Open: persons that need somebody: {persons}; lost values that nobody looked at yet: {lost}; "
    "persons that wait for an approval: {held}; records locked in EspoCRM: {locked}.",
    runs="{runs} runs in this span; in {outages} a system was out or refused the login, {own} broke off for another "
    "reason (program, machine or settings). Last good run: {last} UTC.",
    variants_heading="What had happened?",
    lost_heading="Values that lost a conflict",
    attention_heading="Persons that need somebody",
    person="Person",
    value_lost="value that lost",
    value_kept="value that stands",
    time="when (UTC)",
    reason="why",
    nobody="None.",
    names_omitted="Names and values are left out; `--names` puts them here.",
    conflict_explanation="Where both sides changed since they last agreed, EspoCRM's value stands. The other one is "
    "not lost: it stays in the sync's database until somebody has seen it or put it back.",
    footer="Made {now} UTC by advosync {version}. Days and times are UTC.",
)

REPORT_TEXTS: Final[Mapping[Language, ReportTexts]] = {
    Language.DE: GERMAN_REPORT_TEXTS,
    Language.EN: ENGLISH_REPORT_TEXTS,
}

"""What the report for the firm's partners says, in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jobs.config import Language

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Phrases:
    """Sentences with places for figures."""

    title: str
    span: str
    linked: str
    to_espo: str
    to_advo: str
    lost: str
    to_see_to: str
    all_well: str
    not_all_well: str
    runs: str
    split: str
    list_lost: str
    list_to_see_to: str
    person: str
    value_lost: str
    value_kept: str
    when: str
    how_it_stands: str
    nobody: str
    names_left_out: str
    how_conflicts: str
    footer: str


GERMAN: Final = Phrases(
    title="Abgleich von EspoCRM und Advoware",
    span="{since} bis {until}",
    linked="Personen werden abgeglichen",
    to_espo="Änderungen aus Advoware nach EspoCRM übernommen",
    to_advo="Änderungen aus EspoCRM nach Advoware übernommen",
    lost="Werte haben einen Konflikt verloren und sind aufbewahrt",
    to_see_to="Personen brauchen jemanden",
    all_well="Alles abgeglichen: Niemand muss etwas tun.",
    not_all_well="Offen sind: Personen, die jemanden brauchen: {persons}; verlorene Werte, die noch niemand angesehen "
    "hat: {lost}; Personen, die auf eine Freigabe warten: {held}.",
    runs="{runs} Läufe im Zeitraum, davon {broken} abgebrochen (ein System war nicht erreichbar oder lehnte die "
    "Anmeldung ab). Letzter guter Lauf: {last} UTC.",
    split="Was war geschehen?",
    list_lost="Werte, die einen Konflikt verloren haben",
    list_to_see_to="Personen, die jemanden brauchen",
    person="Person",
    value_lost="verlorener Wert",
    value_kept="geltender Wert",
    when="wann (UTC)",
    how_it_stands="warum",
    nobody="Keine.",
    names_left_out="Namen und Werte sind weggelassen; mit `--names` stehen sie hier.",
    how_conflicts="Haben beide Seiten seit dem letzten Abgleich geändert, gilt EspoCRM. Der unterlegene Wert geht "
    "nicht verloren: Er bleibt in der Datenbank des Abgleichs, bis ihn jemand angesehen oder zurückgeholt hat.",
    footer="Erstellt {now} UTC von advosync {version}. Tage und Zeiten in UTC.",
)

ENGLISH: Final = Phrases(
    title="EspoCRM and Advoware, kept the same",
    span="{since} to {until}",
    linked="persons are kept in sync",
    to_espo="changes taken from Advoware to EspoCRM",
    to_advo="changes taken from EspoCRM to Advoware",
    lost="values lost a conflict and are kept",
    to_see_to="persons need somebody",
    all_well="All in sync: nobody has to do anything.",
    not_all_well="Open: persons that need somebody: {persons}; lost values that nobody looked at yet: {lost}; "
    "persons that wait for an approval: {held}.",
    runs="{runs} runs in this span, {broken} of them broken off (a system was out or refused the login). "
    "Last good run: {last} UTC.",
    split="What had happened?",
    list_lost="Values that lost a conflict",
    list_to_see_to="Persons that need somebody",
    person="Person",
    value_lost="value that lost",
    value_kept="value that stands",
    when="when (UTC)",
    how_it_stands="why",
    nobody="None.",
    names_left_out="Names and values are left out; `--names` puts them here.",
    how_conflicts="Where both sides changed since they last agreed, EspoCRM's value stands. The other one is not "
    "lost: it stays in the sync's database until somebody has seen it or put it back.",
    footer="Made {now} UTC by advosync {version}. Days and times are UTC.",
)

PHRASES: Final[Mapping[Language, Phrases]] = {Language.DE: GERMAN, Language.EN: ENGLISH}

"""What the staff of the firm read about a failure, in their language (``report.language``).

Errors are in English, for the log and the state store. Here is the German of every sentence that can reach
``syncErrorMessage``; a test finds the sentence of each such error in the code and looks it up here.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

LOCKED_MESSAGE: Final = "Staff locked this record: the sync with Advoware waits until it is unlocked."

HELD_MESSAGE: Final = (
    "The sync would remove or overwrite entries of this person; nothing is changed on either side until the "
    "administrator decides."
)

LET_BE_MESSAGE: Final = (
    "EspoCRM and Advoware differ for this person and are left so; the sync goes on once an entry is changed on either "
    "side."
)

GERMAN_ERRORS: Final = {
    "{system} refused the write ({status}): {reason}": "{system} hat den Eintrag abgelehnt ({status}): {reason}",
    "{system} refuses this person (403: {reason}) although it accepts the login; check its rights there, and any "
    "firewall between.": "{system} verweigert den Zugriff auf diese Person (403: {reason}), obwohl die Anmeldung gilt; "
    "bitte die Rechte dort prüfen, und ob eine Firewall dazwischen steht.",
    "{system} has no person {key} (any more)": "{system} kennt die Person {key} nicht (mehr)",
    "Advoware's Beteiligter {betnr}: {complaint}.": "Advowares Antwort zu Beteiligtem {betnr} ist unvollständig: "
    "{complaint}.",
    "Advoware's Beteiligter {betnr}: {place} is missing.": "In Advowares Antwort zu Beteiligtem {betnr} fehlt {place}.",
    "Advoware's Beteiligter {betnr}: {place} is not usable ({why}).": "In Advowares Antwort zu Beteiligtem {betnr} ist "
    "{place} nicht zu gebrauchen ({why}).",
    "Advoware's Beteiligter {betnr}: betNr is {other} in the answer.": "Advoware hat auf die Frage nach Beteiligtem "
    "{betnr} mit {other} geantwortet.",
    "Advoware's Beteiligter {betnr}: kommunikation holds an id twice.": "Advoware nennt bei Beteiligtem {betnr} eine "
    "Kommunikation zweimal.",
    "Advoware confirmed a write to Kommunikation {komm_id} but did not carry it out.": "Advoware hat eine Änderung "
    "der Kommunikation {komm_id} bestätigt, aber nicht ausgeführt.",
    "Advoware stores Kommunikation {komm_id} shortened, whatever is written; look at its value and remark.": "Advoware "
    "speichert die Kommunikation {komm_id} immer gekürzt; bitte Nummer und Bemerkung dort ansehen.",
    "Advoware confirmed a new Kommunikation {komm_id} but does not show it.": "Advoware hat die neue Kommunikation "
    "{komm_id} bestätigt, zeigt sie aber nicht.",
    "Advoware does not take back what Kommunikation {komm_id} was.": "Advoware nimmt den früheren Stand der "
    "Kommunikation {komm_id} nicht zurück; bitte Nummer und Bemerkung dort ansehen.",
    "EspoCRM's App/user lacks user.id.": "EspoCRM nennt den eigenen Benutzer nicht.",
    "EspoCRM answered record {other} where {entity_id} was asked for.": "EspoCRM hat auf die Frage nach {entity_id} "
    "mit dem Datensatz {other} geantwortet.",
    "EspoCRM's record {entity_id} lacks the list {array}.": "In EspoCRMs Antwort zu {entity_id} fehlt die Liste "
    "{array}.",
    "EspoCRM's answer for {of} is no object.": "EspoCRMs Antwort ({of}) ist nicht lesbar.",
    "EspoCRM's {of} lacks {missing}; run `advosync check` for fields and permissions.": "In EspoCRMs Antwort ({of}) "
    "fehlt {missing}; Felder und Rechte zeigt `advosync check`.",
    "EspoCRM's {of} has an empty id.": "EspoCRMs Antwort ({of}) hat keine Kennung.",
    "EspoCRM's {of} has {name} as {kind} instead of text.": "In EspoCRMs Antwort ({of}) ist {name} kein Text.",
    "EspoCRM's {of} has {name} as {kind} instead of a whole number.": "In EspoCRMs Antwort ({of}) ist {name} keine "
    "ganze Zahl.",
    "EspoCRM confirmed {values} and did not store it: the API user may not edit that field, or a hook took it back; "
    "run `advosync check`.": "EspoCRM hat {values} bestätigt, aber nicht gespeichert: Der API-Benutzer darf das Feld "
    "nicht bearbeiten, oder eine eigene Erweiterung nimmt es zurück; `advosync check` zeigt die Rechte.",
    HELD_MESSAGE: "Der Abgleich würde Einträge dieser Person entfernen oder überschreiben; auf beiden Seiten bleibt "
    "alles, wie es ist, bis der Administrator entscheidet.",
    LET_BE_MESSAGE: "EspoCRM und Advoware weichen bei dieser Person voneinander ab, und so soll es bleiben; der "
    "Abgleich geht weiter, sobald auf einer der beiden Seiten ein Eintrag geändert wird.",
    LOCKED_MESSAGE: "Der Datensatz ist gesperrt: Der Abgleich mit Advoware wartet, bis er entsperrt wird.",
    "Several records carry betnr {betnr}: {records}. Keep it in one of them.": "Mehrere Datensätze tragen die betnr "
    "{betnr}: {records}. Bitte nur bei einem davon stehen lassen.",
}
"""English to German; what is in braces is taken over unchanged."""


def translate_error(sentence: str, language: str) -> str:
    """The sentence in the language of the staff; one that is not known stays as it is."""
    if language != "de":
        return sentence
    # Of several that fit the longest is the right one: "{complaint}" fits every sentence about a Beteiligter.
    candidates = [(len(english), fields, german) for english, fields, german in matching_templates(sentence)]
    if not candidates:
        return sentence
    _, fields, german = max(candidates, key=lambda candidate: candidate[0])
    return german.format(**fields)


def matching_templates(sentence: str) -> list[tuple[str, dict[str, str], str]]:
    """The known sentences that this one fits, with what is in the braces."""
    return [
        (english, match.groupdict(), german)
        for english, german in GERMAN_ERRORS.items()
        if (match := template_regex(english).fullmatch(sentence))
    ]


@cache
def template_regex(english: str) -> re.Pattern[str]:
    """A pattern for a sentence with any text in place of its braces."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(english)), re.DOTALL)

"""The eight statuses in staff's words: the help of the status field in EspoCRM, and a table in each guide.

One table for both; a test compares the guides with it, and it with ``PersonStatus``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from etl.enums import PersonStatus

if TYPE_CHECKING:
    from collections.abc import Mapping


class StatusHelp(NamedTuple):
    """What a status tells staff."""

    set_by: str
    meaning: str
    advice: str

    def named(self, fields: Mapping[str, str]) -> dict[str, str]:
        """The words by what they tell, with EspoCRM's names of the fields."""
        return {key: words.format_map(fields) for key, words in self._asdict().items()}


STATUS_HELP: Final[Mapping[str, Mapping[PersonStatus, StatusHelp]]] = {
    "en": {
        PersonStatus.PENDING_SYNC: StatusHelp(
            "EspoCRM in a new record, its formula when `{betnr}` changes, people, and the sync",
            "the record waits for the sync",
            "nothing; it stays so without a `{betnr}`, and while the record is locked",
        ),
        PersonStatus.DIRTY: StatusHelp(
            "EspoCRM's formula when phone or mail changes, and people",
            "edited in EspoCRM, not yet carried to Advoware",
            "nothing, the next run does it",
        ),
        PersonStatus.SYNCING: StatusHelp(
            "the sync, before it writes",
            "a run is writing this person",
            "save again in a minute; if it stays, tell the administrator",
        ),
        PersonStatus.CLEAN: StatusHelp(
            "the sync, after it has read both sides back",
            "both sides agree, but for what is left alone",
            "nothing",
        ),
        PersonStatus.FAILED: StatusHelp(
            "the sync, after an error with this person",
            "could not be synced; the sync tries again by itself",
            "correct the entry that `{error}` names",
        ),
        PersonStatus.PERMANENTLY_FAILED: StatusHelp(
            "the sync, after several errors in a row",
            "as failed; tried again after a day, or when the record is edited",
            "correct the entry, or ask the administrator for `retry`",
        ),
        PersonStatus.CONFLICT: StatusHelp(
            "the sync, where it must not decide",
            "a person must decide, for example which of two records with one `{betnr}` is right",
            "do what `{error}` says",
        ),
        PersonStatus.DELETED_IN_ADVOWARE: StatusHelp(
            "the sync, after two runs that did not find the person in Advoware",
            "Advoware does not know this `{betnr}`; the entries here stay and are not synced",
            "correct `{betnr}`, or remove it",
        ),
    },
    "de": {
        PersonStatus.PENDING_SYNC: StatusHelp(
            "EspoCRM bei einem neuen Datensatz, seine Formel, wenn sich `{betnr}` ändert, Mitarbeiter und der Abgleich",
            "der Datensatz wartet auf den Abgleich",
            "nichts; es bleibt dabei, solange `{betnr}` fehlt oder der Datensatz gesperrt ist",
        ),
        PersonStatus.DIRTY: StatusHelp(
            "die Formel von EspoCRM bei einer Änderung von Telefon oder E-Mail, und Mitarbeiter",
            "in EspoCRM geändert, noch nicht nach Advoware übertragen",
            "nichts, der nächste Lauf erledigt es",
        ),
        PersonStatus.SYNCING: StatusHelp(
            "der Abgleich, bevor er schreibt",
            "ein Lauf schreibt gerade diese Person",
            "in einer Minute noch einmal speichern; bleibt es dabei, den Administrator benachrichtigen",
        ),
        PersonStatus.CLEAN: StatusHelp(
            "der Abgleich, nachdem er beide Seiten noch einmal gelesen hat",
            "beide Seiten stimmen überein, bis auf das, was nicht angetastet wird",
            "nichts",
        ),
        PersonStatus.FAILED: StatusHelp(
            "der Abgleich, nach einem Fehler bei dieser Person",
            "konnte nicht abgeglichen werden; der Abgleich versucht es von selbst noch einmal",
            "den Eintrag berichtigen, den `{error}` nennt",
        ),
        PersonStatus.PERMANENTLY_FAILED: StatusHelp(
            "der Abgleich, nach mehreren Fehlern hintereinander",
            "wie failed; der nächste Versuch folgt nach einem Tag oder nach einer Änderung am Datensatz",
            "den Eintrag berichtigen oder den Administrator um `retry` bitten",
        ),
        PersonStatus.CONFLICT: StatusHelp(
            "der Abgleich, wo er nicht entscheiden darf",
            "ein Mensch muss entscheiden, etwa welcher von zwei Datensätzen mit derselben `{betnr}` der richtige ist",
            "tun, was `{error}` sagt",
        ),
        PersonStatus.DELETED_IN_ADVOWARE: StatusHelp(
            "der Abgleich, nachdem zwei Läufe die Person in Advoware nicht gefunden haben",
            "Advoware kennt diese `{betnr}` nicht; die Einträge hier bleiben und werden nicht abgeglichen",
            "`{betnr}` berichtigen oder entfernen",
        ),
    },
}
"""By language: who sets a status, what it means, and what staff do about it."""

SENTENCE: Final[Mapping[str, str]] = {
    "en": "**{status}**: {meaning}. What to do: {advice}. Set by: {set_by}.",
    "de": "**{status}**: {meaning}. Was zu tun ist: {advice}. Gesetzt von: {set_by}.",
}


def status_help_text(language: str, fields: Mapping[str, str]) -> str:
    """The help of EspoCRM's status field, in its Markdown: a paragraph for each status.

    ``fields`` are EspoCRM's names of ours, as the firm calls them.
    """
    sentence, statuses = SENTENCE[language], STATUS_HELP[language]
    return "\n\n".join(sentence.format(status=status, **entry.named(fields)) for status, entry in statuses.items())

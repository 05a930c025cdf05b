"""What people are told in messages, in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from etl.enums import HoldKind
from jobs.config import Language
from jobs.html_report.chart_texts import GERMAN_CHART_TEXTS
from jobs.run.report import HOLD_TEXTS

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class NoticeTexts:
    """The sentences of one language."""

    title: str
    title_of_outage: str
    title_of_its_end: str
    title_of_late: str
    title_of_kept: str
    test: str
    held: str
    failed: str
    outage: str
    login_refused: str
    outage_over: str
    late: str
    kept: str
    kinds: Mapping[str, str]
    more: str


NOTICE_TEXTS: Final = {
    Language.DE: NoticeTexts(
        title="advosync braucht eine Entscheidung",
        title_of_outage="advosync kann nicht abgleichen",
        title_of_its_end="advosync gleicht wieder ab",
        title_of_late="advosync braucht länger als zugesagt",
        title_of_kept="advosync hält die Zusage wieder ein",
        test="Probe: So erreichen Sie die Nachrichten von advosync.",
        held="Lauf {run} hält {count} zurück ({kind}): {who}.\n"
        "Ansehen: advosync held – freigeben: advosync approve {run}",
        failed="Mehrmals fehlgeschlagen, nächster Versuch in einem Tag: {who}.\n"
        "Der Grund steht in EspoCRM am Datensatz. Sofort noch einmal: advosync retry",
        outage="Seit {since} kommt kein Lauf mehr durch: {error}\n"
        "Nichts geht verloren; was inzwischen geändert wird, folgt danach. Ansehen: advosync status, advosync check",
        login_refused="Seit {since} wird die Anmeldung abgelehnt: {error}\n"
        "Das endet nicht von selbst: Zugangsdaten berichtigen, dann advosync check. Nichts geht verloren.",
        outage_over="Die Störung seit {since} ist vorbei; ein Lauf ist wieder durchgekommen.",
        late="Änderungen aus {system} kommen später an als zugesagt: von {count} in {days} Tagen brauchten 95 von 100 "
        "bis zu {measured} statt {promised}. Ansehen: advosync status",
        kept="Änderungen aus {system} kommen wieder an wie zugesagt: von {count} in {days} Tagen brauchten 95 von 100 "
        "höchstens {measured}; zugesagt sind {promised}.",
        kinds=GERMAN_CHART_TEXTS.holds,
        more="und {count} weitere",
    ),
    Language.EN: NoticeTexts(
        title="advosync needs a decision",
        title_of_outage="advosync cannot sync",
        title_of_its_end="advosync syncs again",
        title_of_late="advosync takes longer than promised",
        title_of_kept="advosync keeps its promise again",
        test="A test: this is how messages of advosync reach you.",
        held="Run {run} holds {count} back ({kind}): {who}.\n"
        "Look: advosync held – release: advosync approve {run}",
        failed="Failed repeatedly, tried again in a day: {who}.\n"
        "The reason stands in the record in EspoCRM. To try at once: advosync retry",
        outage="No run gets through since {since}: {error}\n"
        "Nothing is lost; what is edited meanwhile follows. Look: advosync status, advosync check",
        login_refused="The login is refused since {since}: {error}\n"
        "That does not end by itself: correct the login, then advosync check. Nothing is lost.",
        outage_over="The trouble since {since} is over; a run got through again.",
        late="Edits in {system} arrive later than promised: of {count} in {days} days, 95 of 100 took up to {measured} "
        "instead of {promised}. Look: advosync status",
        kept="Edits in {system} arrive as promised again: of {count} in {days} days, 95 of 100 took "
        "{measured} at most; {promised} are promised.",
        kinds={
            **HOLD_TEXTS,
            HoldKind.ENDINGS: "not found, or not linked as before any more, and so are too many at once",
        },
        more="and {count} more",
    ),
}  # fmt: skip

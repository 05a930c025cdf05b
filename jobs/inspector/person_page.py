"""The page of one person: how it stands, both sides beside each other and why, its story, and what to type next.

It answers "why is the old number still there?" by itself; everything on it comes from the state store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.enums import ABSENCE_REASONS, Absence, ChangeState
from etl.store.database import Store
from etl.store.queries.person_history import load_person_history
from etl.store.tables.persons import find_persons
from etl.store.tables.snapshots import load_items, load_rows
from jobs.commands.explain import event_blocks, history_document
from jobs.html_report.chart_texts import ENGLISH_CHART_TEXTS
from jobs.inspector.both_sides import (
    AT_ODDS,
    LEFT_ALONE,
    Record,
    line_cells,
    line_reasons,
    side_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jobs.inspector.both_sides import PersonView, SideLine


class Command(NamedTuple):
    """Something one would type next, and what for."""

    text: str
    purpose: str


def load_person_pages(path: Path, key: str, now: str, view: PersonView) -> list[Record]:
    """Return what the template ``person.html`` shows of everybody known by this ID or betnr."""
    with Store.open(path, now=now, read_only=True) as store:
        persons = find_persons(store, key)
        betnrs = [person["betnr"] for person in persons]
        pages = []
        for person in persons:
            history = load_person_history(store, person)
            items = load_items(store, person["entity_id"])
            rows = load_rows(store, person["betnr"]) if person["betnr"] is not None else []
            name = person["betnr"] if betnrs.count(person["betnr"]) == 1 else None
            pages.append(person_context(history, items, rows, str(name or person["entity_id"]), view))
        return pages


def person_context(history: Record, items: list[Record], rows: list[Record], key: str, view: PersonView) -> Record:
    """The page of one person whom commands call ``key``."""
    document = history_document(history)
    lines = side_lines(history, items, rows)
    waits_for = waiting_reason(history)
    for line in lines:
        reasons = list(line_reasons(line, history, document["events"], view))
        is_explained = line.standing not in AT_ODDS or any(reason.startswith("held:") for reason in reasons)
        line.reasons = reasons if is_explained else [waits_for, *reasons]
    return {
        "person": history["person"],
        "status": status_words(history["person"], is_held=bool(open_holds_of(history))),
        "sentences": list(standing_sentences(history, lines, view)),
        "lines": [line_cells(line, view) for line in lines],
        "story": [
            (heading, [(len(text) - len(text.lstrip()) > len("  "), text.strip()) for text in texts])
            for heading, texts in reversed(list(event_blocks(document["events"], view.zone)))
        ],
        "commands": list(next_commands(history, key, view)),
    }


def status_words(person: Record, *, is_held: bool) -> str:
    """The status in words, and the word EspoCRM has for it; who is held is not in sync, whatever EspoCRM shows."""
    words = ENGLISH_CHART_TEXTS.statuses
    if is_held:
        return f"{words['held']} ({person['status'] or 'none'})"
    if person["status"] is None:
        return words["undecided" if person["betnr"] is not None else "not_linked"]
    return f"{words[person['status']]} ({person['status']})"


# How it stands, and what next -------------------------------------------------------------------------------------


def standing_sentences(history: Record, lines: Sequence[SideLine], view: PersonView) -> Iterator[str]:
    """How the person stands, what keeps it from being synced first."""
    person = history["person"]
    for hold in open_holds_of(history):
        reason = hold["reason"] or hold["kind"]
        since = f"Held since {view.time(hold['held_at'])} by run {hold['run_id']}"
        end = "somebody edits an entry, or approves" if hold["until_edited"] else "somebody approves"
        yield f"{since}: {reason}. Nothing is written for this person until {end}."
    if person["espo_locked"]:
        yield "Staff locked the record in EspoCRM: its changes wait, on both sides, until it is unlocked."
    if person["gone_at"]:
        yield f"EspoCRM said {view.time(person['gone_at'])} that the record is gone."
    elif person["betnr"] is None:
        yield "It has no betnr in EspoCRM, so it is not synced."
    for absence in history["vanished"]:
        if not absence["ended_at"] and not absence["returned_at"]:
            seen = f"Since {view.time(absence['seen_at'])}: {ABSENCE_REASONS[Absence(absence['kind'])]}"
            yield f"{seen}. It waits, and all that was agreed stays."
    if person["error"]:
        next_attempt = person["next_retry_at"] or person["auto_reset_at"]
        attempt = f" It is tried again {view.time(next_attempt)}." if next_attempt else ""
        yield f"It failed: {person['error']}{attempt}"
    if person["due_since"]:
        waits = "Due" if open_holds_of(history) else "It waits for the next run"
        yield f"{waits} since {view.time(person['due_since'])}: {person['due_reason']}."
    yield agreement_sentence(lines, person, view)


def waiting_reason(history: Record) -> str:
    """In a few words, what all differences wait for; the sentences above the table say more."""
    person = history["person"]
    reasons = {
        "not linked: the record has no betnr": person["betnr"] is None,
        "held by a guard: it waits for an approval": open_holds_of(history),
        "locked by staff in EspoCRM": person["espo_locked"],
        "failed: it is tried again": person["error"],
        "waits for the next run": person["due_since"],
    }
    return next((words for words, applies in reasons.items() if applies), "not decided yet: the next look will")


def open_holds_of(history: Record) -> list[Record]:
    """The person's open holds."""
    return [hold for hold in history["held"] if not hold["released_at"]]


def agreement_sentence(lines: Sequence[SideLine], person: Record, view: PersonView) -> str:
    """Whether the sides agree, as last read: what was typed since is not known yet."""
    count = sum(line.standing in AT_ODDS for line in lines)
    left = sum(line.standing is LEFT_ALONE for line in lines)
    parts = [
        f"{count} {'value differs' if count == 1 else 'values differ'}" if count else "both sides agree",
        *([f"{left} {'entry is' if left == 1 else 'entries are'} left alone"] if left else []),
    ]
    reads = f"EspoCRM read {view.time(person['espo_seen_at'])}, Advoware {view.time(person['advo_seen_at'])}"
    text = f"{', '.join(parts)} ({reads}; what was typed since is not seen yet)."
    return text[0].upper() + text[1:]


def next_commands(history: Record, key: str, view: PersonView) -> Iterator[Command]:
    """What one would type next, the most pressing first."""
    for hold in open_holds_of(history):
        yield Command(f"{view.command} plan --person {key}", "shows the steps that wait")
        yield Command(
            f"{view.command} approve {hold['run_id']} --person {key}", "carries them out for this person alone"
        )
        if not hold["until_edited"]:
            purpose = "leaves this person as it is, until an entry of it changes"
            yield Command(f"{view.command} let-be {hold['run_id']} --person {key}", purpose)
    if history["person"]["error"]:
        yield Command(f"{view.command} retry {key}", "tries it again with the next run")
    for conflict in history["lost"]:
        if not conflict["restored_at"]:
            value = conflict["advo_value"] or "nothing"
            yield Command(f"{view.command} restore {conflict['id']}", f"puts {value} back on both sides; asks first")
            if not conflict["seen_at"]:
                yield Command(f"{view.command} conflicts --seen {conflict['id']}", "takes it off the list")
    yield Command(f"{view.command} sync --person {key}", "reads both sides now, and syncs what differs")
    yield Command(f"{view.command} explain {key} --all", "tells the whole story on a terminal")
    written = [step["run_id"] for step in history["written"] if step["state"] == ChangeState.DONE]
    if written:
        purpose = "shows what would be put back of the last run that wrote here, for everybody it wrote for"
        yield Command(f"{view.command} undo {max(written)} --dry-run", purpose)

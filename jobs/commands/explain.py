"""``explain``: one person's story in order of time, from the database alone."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from etl.enums import ABSENCE_REASONS, Absence, DecisionState
from etl.errors import ConfigError
from etl.rules.actions import REMARK_HINT
from etl.rules.marker import MarkerKind, decode
from etl.rules.variants import VARIANT_WORDS, Resolution, Variant
from etl.store.database import Store
from etl.store.queries.person_history import load_person_history
from etl.store.tables.persons import find_persons
from jobs.environment import PRODUCTION, Environment
from jobs.run.report import SIDE_WORDS, format_person_key
from jobs.screen import print_text
from jobs.times import format_local

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import tzinfo

    from rich.console import Console

    from jobs.config import Config

Event = dict[str, Any]

ONE_SCREEN: Final = 45
"""Lines that fit; older ones are counted, and shown when asked for."""

AFTER_ALL_RUNS: Final = 1 << 62
"""What no run did itself comes after what runs did at that moment."""

VARIANT_EFFECTS: Final[Mapping[str, str]] = {
    Variant.VAR1:     "written to Advoware",
    Variant.VAR2:     "Advoware's row is emptied and becomes a slot",
    Variant.VAR3:     "removed from EspoCRM",
    Variant.VAR4:     "added to EspoCRM, then marked in Advoware",
    Variant.VAR5:     "the same row in Advoware gets the new value",
    Variant.VAR6:     "EspoCRM's value is replaced, its type and flags stay",
    Variant.RETYPE:   "another row takes value and remark, the old one becomes a slot",
    Variant.LINK:     "marked in Advoware, neither spelling changes",
    Variant.REPAIR:   "marked again",
    Variant.CLASH:    "EspoCRM wins, the value that lost is kept",
    Variant.FORGET:   "no longer remembered",
    Variant.LEFTOVER: "it becomes a slot",
    Variant.UNDO:     "put back as it was before that run",
    Variant.RESTORE:  "stands on both sides again",
}  # fmt: skip
"""What each variant leads to, in words."""

FACT_WORDS: Final = (
    #  fact        if so                          if not
    ("known",     "agreed on before",            "not known before"),
    ("in_espo",   "in EspoCRM",                  "not in EspoCRM"),
    ("espo_edit", "changed there",               None),
    ("type_edit", "its type changed there",      None),
    ("in_advo",   "in Advoware",                 "not in Advoware"),
    ("advo_edit", "changed there",               None),
)  # fmt: skip
"""The facts of the decision table (etl/rules/variants.py), as they are told."""

MARKER_ONLY: Final = frozenset({Variant.LINK, Variant.REPAIR})
"""Nothing but markers: many of them are one line."""

STATE_WORDS: Final[Mapping[str, str]] = {
    DecisionState.SETTLED:    "verified",
    DecisionState.DONE:       "verified",
    DecisionState.SUPERSEDED: "planned again, as something moved meanwhile",
    DecisionState.PLANNED:    "not carried out yet",
    DecisionState.HELD:       "held back",
    DecisionState.FAILED:     "failed",
}  # fmt: skip


def explain_persons(config: Config, key: str, *, environment: Environment = PRODUCTION) -> list[dict[str, Any]]:
    """The story of everybody known by an ID or betnr, as ``--json`` prints it; ConfigError when nobody is."""
    with Store.open(config.state.path, now=environment.now(), read_only=True) as store:
        persons = find_persons(store, key)
        if not persons:
            raise ConfigError(f"Nobody is known as {key}: name the id of an EspoCRM record, or a betnr.")
        return [history_document(load_person_history(store, person)) for person in persons]


def history_document(history: Mapping[str, Any]) -> dict[str, Any]:
    """A person as it stands, and all that happened to it in order of time."""
    person = history["person"]
    columns = (
        "entity_id", "betnr", "name", "status", "due_since", "due_reason", "last_sync_at", "error", "retry_count",
        "next_retry_at", "auto_reset_at", "espo_seen_at", "advo_seen_at", "espo_changed_at", "advo_changed_at",
        "gone_at", "espo_locked",
    )  # fmt: skip
    events = [
        *decision_events(history),
        *failure_events(history),
        *retry_events(history),
        *hold_events(history),
        *absence_events(history),
        *conflict_events(history),
    ]
    sorted_events = sorted(
        events, key=lambda event: (event["at"] or "", event["run_id"] or AFTER_ALL_RUNS, event["order"])
    )
    return {
        "person": {name: person[name] for name in columns},
        "agreed": history["agreed"],
        "left_alone": history["left"],
        "held": [hold for hold in history["held"] if not hold["released_at"]],
        "events": [with_run_fields(event, history["runs"]) for event in sorted_events],
    }


def with_run_fields(event: Event, runs: Mapping[int, Mapping[str, Any]]) -> Event:
    """An event with who started its run, and why."""
    run = runs.get(event["run_id"], {})
    run_fields = {name: run.get(name) for name in ("trigger", "operator", "direction", "about")}
    reason = {"run_reason": run.get("reason")}
    return {name: value for name, value in {**event, **run_fields, **reason}.items() if name != "order"}


# What happened ------------------------------------------------------------------------------------------------------


def decision_events(history: Mapping[str, Any]) -> Iterator[Event]:
    """What was decided for each entry, why, and what was written."""
    steps: dict[int, list[dict[str, Any]]] = {}
    for row in history["written"]:
        steps.setdefault(row["decision_id"], []).append(row)
    for row in history["decided"]:
        facts = (row["facts"] or {}).get("seen")
        yield {
            "at": row["at"],
            "order": 1,
            "kind": "decided",
            "run_id": row["run_id"],
            "variant": row["variant"],
            "words": VARIANT_WORDS.get(row["variant"], row["variant"]),
            "rule": VARIANT_EFFECTS.get(row["variant"], ""),
            "facts": facts,
            "facts_in_words": describe_facts(facts) if facts and row["variant"] in VARIANT_EFFECTS else None,
            "reason": row["reason"],
            "verdict": (row["facts"] or {}).get("verdict"),
            "state": STATE_WORDS.get(row["state"], row["state"]),
            "steps": steps.get(row["id"], []),
        }


def describe_facts(facts: Mapping[str, bool]) -> str:
    """``agreed on before, in EspoCRM (changed there), in Advoware``."""
    words: list[str] = []
    for name, text_if_true, text_if_false in FACT_WORDS:
        text = text_if_true if facts[name] else text_if_false
        if text is None:
            continue
        if text_if_false is None:
            words[-1] += f" ({text})"
        else:
            words.append(text)
    return ", ".join(words)


def failure_events(history: Mapping[str, Any]) -> Iterator[Event]:
    """When it failed, how many times running; a decision that was verified in between ends the count."""
    verified_times = sorted(
        decision["at"] for decision in history["decided"] if STATE_WORDS.get(decision["state"]) == "verified"
    )
    consecutive, previous = 0, ""
    for failure in history["failed"]:
        consecutive = 0 if any(previous < at < failure["at"] for at in verified_times) else consecutive
        consecutive, previous = consecutive + 1, failure["at"]
        event = {"at": failure["at"], "order": 2, "kind": "failed", "run_id": failure["run_id"]}
        yield event | {"error": failure["error"], "times_running": consecutive}


def retry_events(history: Mapping[str, Any]) -> Iterator[Event]:
    """When an operator asked to try it again."""
    for retry in history["retried"]:
        yield {"at": retry["at"], "order": 0, "kind": "retried", "run_id": retry["run_id"]}


def hold_events(history: Mapping[str, Any]) -> Iterator[Event]:
    """When a guard kept it back, and when it was let go."""
    for hold in history["held"]:
        yield {"at": hold["held_at"], "order": 3, "kind": "held", "run_id": hold["run_id"], "reason": hold["reason"]}
        if hold["released_at"]:
            yield {"at": hold["released_at"], "order": 0, "kind": "released", "run_id": hold["run_id"],
                   "by": hold["released_by"]}  # fmt: skip


def absence_events(history: Mapping[str, Any]) -> Iterator[Event]:
    """When it was not there as agreed, and whether that was believed or it returned."""
    for absence in history["vanished"]:
        description = ABSENCE_REASONS[Absence(absence["kind"])]
        yield {"at": absence["seen_at"], "order": 2, "kind": "absent", "run_id": absence["run_id"], "what": description}
        for kind, at in (("ended", absence["ended_at"]), ("returned", absence["returned_at"])):
            if at:
                yield {"at": at, "order": 2, "kind": kind, "run_id": None, "what": description}


def conflict_events(history: Mapping[str, Any]) -> Iterator[Event]:
    """Which values lost, and whether somebody saw or restored them."""
    for conflict in history["lost"]:
        fields = {
            "conflict": conflict["id"],
            "lost": conflict["advo_value"],
            "kept": conflict["espo_value"],
            "run_id": conflict["run_id"],
        }
        yield {"at": conflict["created_at"], "order": 4, "kind": "lost", "reason": conflict["reason"], **fields}
        for kind in ("seen", "restored"):
            if conflict[f"{kind}_at"]:
                yield {"at": conflict[f"{kind}_at"], "order": 5, "kind": kind, **fields, "run_id": None}


# On the screen ------------------------------------------------------------------------------------------------------


def render_history(
    history: Mapping[str, Any], console: Console, zone: tzinfo, *, everything: bool = False
) -> None:
    """A person's story on one screen; older lines than fit only when ``everything`` is wanted."""
    lines = list(event_lines(history["events"], zone))
    limit = len(lines) if everything else ONE_SCREEN
    values = values_with_spaces(history)
    for number, line in enumerate(state_lines(history, zone)):
        print_text(console, line, "bold" if not number else "", whole=values)
    if len(lines) > limit:
        print_text(console, f"… {len(lines) - limit} earlier lines; --all shows them", "dim")
    for line in lines[-limit:]:
        print_text(console, line, "" if line.startswith(" ") else "cyan", whole=values)
    if not lines:
        print_text(console, "Nothing was ever decided for it.", "dim")


def values_with_spaces(history: Mapping[str, Any]) -> set[str]:
    """What somebody typed, and no line may end in."""
    steps = [step for event in history["events"] for step in event.get("steps", ())]
    values = [
        history["person"]["name"],
        *(entry["value"] for entry in history["left_alone"]),
        *(pair["espo_value"] for pair in history["agreed"]),
        *(record[name] for record in steps for name in ("old_value", "new_value")),
        *(event.get(name) for event in history["events"] for name in ("lost", "kept")),
    ]
    return {value for value in values if value and " " in value}


def state_lines(history: Mapping[str, Any], zone: tzinfo) -> Iterator[str]:
    """How it stands now."""
    person = history["person"]
    failing = f" ({person['error']})" if person["error"] else ""
    status = "held" if history["held"] else person["status"] or "undecided"
    yield f"{person['name'] or 'no name'} · {format_person_key(person)}: {status}{failing}"
    for hold in history["held"]:
        run, key = hold["run_id"], person["betnr"] or person["entity_id"]
        yield f"held by run {run}: `advosync approve {run} --person {key}`, or `advosync let-be {run} --person {key}`"
    next_attempt = person["next_retry_at"] or person["auto_reset_at"]
    due_since = format_local(person["due_since"], zone)
    due = f"due since {due_since}: {person['due_reason']}" if person["due_since"] else "nothing due"
    retry = f", tried again at {format_local(next_attempt, zone)}" if next_attempt else ""
    if person["espo_locked"]:
        yield "locked by staff in EspoCRM: its changes wait, on both sides, until it is unlocked"
    yield f"{due}{retry}; last in agreement {format_local(person['last_sync_at'], zone)}"
    last_reads = (format_local(person[f"{side}_seen_at"], zone) for side in ("espo", "advo"))
    yield "last read: EspoCRM {}, Advoware {} ({})".format(*last_reads, zone)
    agreed_values = ", ".join(pair["espo_value"] for pair in history["agreed"]) or "nothing yet"
    yield f"agreed: {agreed_values}"
    for entry in history["left_alone"]:
        entry_text = f"{entry['value'] or 'an empty row'} in {SIDE_WORDS[entry['side']]}"
        yield f"left alone: {entry_text}: {entry['detail'] or entry['reason']}"


def event_lines(events: Sequence[Event], zone: tzinfo) -> Iterator[str]:
    """What happened, line by line, each run's under a line that names it."""
    for heading, lines in event_blocks(events, zone):
        yield heading
        yield from lines


def event_blocks(events: Sequence[Event], zone: tzinfo) -> Iterator[tuple[str, list[str]]]:
    """What happened, by run, or by moment where no run did it: when and by whom, and what, indented by rank."""
    for _, group in groupby(events, key=lambda event: (event["run_id"] or event["at"], event["kind"] == "released")):
        group_events = list(group)
        lines = list(
            marker_summary(
                [event for event in group_events if event["kind"] == "decided" and event["variant"] in MARKER_ONLY]
            )
        )
        for event in group_events:
            if event["kind"] != "decided":
                lines.append(f"  {format_event(event)}")
            elif event["variant"] not in MARKER_ONLY:
                lines += decision_lines(event)
        yield f"{format_local(group_events[0]['at'], zone)}  {describe_run(group_events[0])}".rstrip(), lines


def describe_run(event: Event) -> str:
    """Which run, by whom."""
    if event["run_id"] is None or event["kind"] == "released":  # by whom it was let go, and long after that run
        return ""
    operator = f" by {event['operator']}" if event["operator"] else ""
    reason = f' ("{event["run_reason"]}")' if event["run_reason"] else ""
    about = f" of {ABOUT_WORDS[event['trigger']]} {event['about']}" if event["about"] is not None else ""
    return f"run {event['run_id']}, {event['trigger']}{about}{operator}{reason}"


ABOUT_WORDS: Final = {"approve": "run", "undo": "run", "restore": "conflict", "person": "plan"}
"""What the number is that an operator gave with a command."""


EVENT_TEMPLATES: Final = {
    "failed": "failed, attempt {times_running}: {error}",
    "retried": "an operator asked to try it again",
    "held": "held back: {reason}",
    "released": "what run {run_id} held was let go by {by}",
    "absent": "{what}: it waits, and all that was agreed stays",
    "ended": "{what}, seen again: what was agreed ended",
    "returned": "there again: it goes on from what was agreed",
    "lost": "{lost} lost {against}: kept as conflict {conflict}",
    "seen": "conflict {conflict} ({lost}) was marked as seen",
    "restored": "conflict {conflict}: {lost} was restored",
}


def format_event(event: Event) -> str:
    """Whatever else happened, in one sentence."""
    against = f"against {event['kept']}" if event.get("kept") else "as EspoCRM does not have it"
    return EVENT_TEMPLATES[event["kind"]].format(**event, against=against)


def marker_summary(marker_events: Sequence[Event]) -> Iterator[str]:
    """Entries that merely got a marker."""
    by_variant = itemgetter("variant")
    for _, group in groupby(sorted(marker_events, key=by_variant), key=by_variant):
        events = list(group)
        values = ", ".join(step["new_value"] for event in events for step in event["steps"] if step["new_value"])
        yield f"  {events[0]['words']}, {events[0]['rule']}: {values or len(events)}; {distinct_states(events)}"


def distinct_states(events: Iterable[Event]) -> str:
    """How far they came."""
    return ", ".join(dict.fromkeys(event["state"] for event in events))


def decision_lines(event: Event) -> Iterator[str]:
    """One entry: what was found, what follows from it, what was written."""
    espo_wins = event["verdict"] == Resolution.REVERT
    effect = "EspoCRM wins, Advoware is put back" if espo_wins else event["rule"]
    yield f"  {event['words']}: {effect}; {event['state']}"
    reason = event["reason"] or ""
    facts = event["facts_in_words"] if event["variant"] not in (Variant.UNDO, Variant.RESTORE) else None
    yield f"    because: {facts + remark_note(reason) if facts else reason}"
    for step in event["steps"]:
        yield f"    {format_write(step)}"


def remark_note(reason: str) -> str:
    """A remark that was kept across a change, so that somebody can look."""
    _, hint, remark = reason.partition(REMARK_HINT)
    return hint + remark


def format_write(step: Mapping[str, Any]) -> str:
    """One write: where, from what to what."""
    in_advo = step["side"] == "advo"
    place = f"Advoware row {step['komm_id'] or 'new'}" if in_advo else "EspoCRM"
    value = f"{step['old_value'] or '–'} → {step['new_value'] or '–'}"
    if step["old_value"] == step["new_value"]:
        value = step["new_value"] or "empty"
    remark = f", remark {format_remark(step['old_remark'])} → {format_remark(step['new_remark'])}" if in_advo else ""
    error = f" ({step['error']})" if step["error"] else ""
    return f"{place}: {value}{remark}; {step['state']}{error}"


def format_remark(remark: str | None) -> str:
    """A remark for the eye: the marker by its name, the own text as it is."""
    parts = decode(remark)
    name = {MarkerKind.MARKER: "[marker]", MarkerKind.SLOT: "[slot]", MarkerKind.DAMAGED: "[damaged marker]"}
    text = " ".join(parts.own_text.split())
    return " ".join(filter(None, [name.get(parts.kind, ""), f'"{text}"' if text else ""])) or "none"

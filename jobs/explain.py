"""``explain``: one person's story in order of time, from the database alone."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from etl.errors import ConfigError
from etl.rules.marker import MarkerKind, decode
from etl.store.database import Store
from etl.store.persons import find_persons
from etl.store.states import SEEN, Absence
from etl.store.story import story
from jobs.report import SIDE_WORDS, VARIANT_WORDS, person_of
from jobs.world import REAL, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

    from jobs.config import Config

Event = dict[str, Any]

ONE_SCREEN: Final = 45
"""Lines that fit; older ones are counted, and shown when asked for."""

LAST: Final = 1 << 62
"""What no run did itself comes after what runs did at that moment."""

RULES: Final = {
    "var1":     "written to Advoware",
    "var2":     "Advoware's row is emptied and becomes a slot",
    "var3":     "removed from EspoCRM",
    "var4":     "added to EspoCRM, then marked in Advoware",
    "var5":     "the same row in Advoware gets the new value",
    "var6":     "EspoCRM's value is replaced, its type and flags stay",
    "retype":   "another row takes value and remark, the old one becomes a slot",
    "link":     "marked in Advoware, neither spelling changes",
    "repair":   "marked again",
    "clash":    "EspoCRM wins, the value that lost is kept",
    "forget":   "no longer remembered",
    "leftover": "it becomes a slot",
    "undo":     "put back as it was before that run",
    "restore":  "stands on both sides again",
}  # fmt: skip
"""What each variant leads to, in words."""

FACTS: Final = (
    #  fact        if so                          if not
    ("known",     "agreed on before",            "not known before"),
    ("in_espo",   "in EspoCRM",                  "not in EspoCRM"),
    ("espo_edit", "changed there",               None),
    ("type_edit", "its type changed there",      None),
    ("in_advo",   "in Advoware",                 "not in Advoware"),
    ("advo_edit", "changed there",               None),
)  # fmt: skip
"""The facts of the decision table (etl/rules/variants.py), as they are told."""

QUIET: Final = frozenset({"link", "repair"})
"""Nothing but markers: many of them are one line."""

STATES: Final = {
    "settled": "verified", "done": "verified", "superseded": "planned again, as something moved meanwhile",
    "planned": "not carried out yet", "held": "held back", "failed": "failed",
}  # fmt: skip


def explained(config: Config, key: str, *, world: World = REAL) -> list[dict[str, Any]]:
    """The story of everybody known by an ID or betnr, as ``--json`` prints it; ConfigError when nobody is."""
    with Store.open(config.state.path, now=world.now(), read_only=True) as store:
        persons = find_persons(store, key)
        if not persons:
            raise ConfigError(f"Nobody is known as {key}: name the id of an EspoCRM record, or a betnr.")
        return [document(story(store, one)) for one in persons]


def document(told: Mapping[str, Any]) -> dict[str, Any]:
    """A person as it stands, and all that happened to it in order of time."""
    person = told["person"]
    shown = (
        "entity_id", "betnr", "name", "status", "due_since", "due_reason", "last_sync_at", "error", "retry_count",
        "next_retry_at", "auto_reset_at", "espo_seen_at", "advo_seen_at", "espo_changed_at", "advo_changed_at",
        "gone_at",
    )  # fmt: skip
    events = [*decisions(told), *failures(told), *retries(told), *holds(told), *absences(told), *losses(told)]
    in_order = sorted(events, key=lambda one: (one["at"] or "", one["run_id"] or LAST, one["order"]))
    return {
        "person": {name: person[name] for name in shown},
        "agreed": told["agreed"],
        "left_alone": told["left"],
        "events": [with_run(one, told["runs"]) for one in in_order],
    }


def with_run(event: Event, runs: Mapping[int, Mapping[str, Any]]) -> Event:
    """An event with who started its run, and why."""
    run = runs.get(event["run_id"], {})
    asked = {name: run.get(name) for name in ("trigger", "operator", "direction")}
    why = {"run_reason": run.get("reason")}
    return {name: value for name, value in {**event, **asked, **why}.items() if name != "order"}


# What happened ------------------------------------------------------------------------------------------------------


def decisions(told: Mapping[str, Any]) -> Iterator[Event]:
    """What was decided for each entry, why, and what was written."""
    steps: dict[int, list[dict[str, Any]]] = {}
    for one in told["written"]:
        steps.setdefault(one["decision_id"], []).append(one)
    for one in told["decided"]:
        facts = (one["facts"] or {}).get("seen")
        yield {
            "at": one["at"],
            "order": 1,
            "kind": "decided",
            "run_id": one["run_id"],
            "variant": one["variant"],
            "words": VARIANT_WORDS.get(one["variant"], one["variant"]),
            "rule": RULES.get(one["variant"], ""),
            "facts": facts,
            "facts_in_words": facts_in_words(facts) if facts and one["variant"] in RULES else None,
            "reason": one["reason"],
            "verdict": (one["facts"] or {}).get("verdict"),
            "state": STATES.get(one["state"], one["state"]),
            "steps": steps.get(one["id"], []),
        }


def facts_in_words(facts: Mapping[str, bool]) -> str:
    """``agreed on before, in EspoCRM (changed there), in Advoware``."""
    words: list[str] = []
    for name, so, not_so in FACTS:
        said = so if facts[name] else not_so
        if said is None:
            continue
        if not_so is None:
            words[-1] += f" ({said})"
        else:
            words.append(said)
    return ", ".join(words)


def failures(told: Mapping[str, Any]) -> Iterator[Event]:
    """When it failed, how many times running; a decision that was verified in between ends the count."""
    good = sorted(one["at"] for one in told["decided"] if STATES.get(one["state"]) == "verified")
    running, before = 0, ""
    for one in told["failed"]:
        running = 0 if any(before < at < one["at"] for at in good) else running
        running, before = running + 1, one["at"]
        yield {"at": one["at"], "order": 2, "kind": "failed", "run_id": one["run_id"], "error": one["error"],
               "times_running": running}  # fmt: skip


def retries(told: Mapping[str, Any]) -> Iterator[Event]:
    """When an operator asked to try it again."""
    for one in told["retried"]:
        yield {"at": one["at"], "order": 0, "kind": "retried", "run_id": one["run_id"]}


def holds(told: Mapping[str, Any]) -> Iterator[Event]:
    """When a guard kept it back, and when it was let go."""
    for one in told["held"]:
        yield {"at": one["held_at"], "order": 3, "kind": "held", "run_id": one["run_id"], "reason": one["reason"]}
        if one["released_at"]:
            yield {"at": one["released_at"], "order": 0, "kind": "released", "run_id": one["run_id"],
                   "by": one["released_by"]}  # fmt: skip


def absences(told: Mapping[str, Any]) -> Iterator[Event]:
    """When it was not there as agreed, and whether that was believed or it returned."""
    for one in told["vanished"]:
        what = SEEN[Absence(one["kind"])]
        yield {"at": one["seen_at"], "order": 2, "kind": "absent", "run_id": one["run_id"], "what": what}
        for kind, at in (("ended", one["ended_at"]), ("returned", one["returned_at"])):
            if at:
                yield {"at": at, "order": 2, "kind": kind, "run_id": None, "what": what}


def losses(told: Mapping[str, Any]) -> Iterator[Event]:
    """Which values lost, and whether somebody saw or restored them."""
    for one in told["lost"]:
        common = {"conflict": one["id"], "lost": one["advo_value"], "kept": one["espo_value"], "run_id": one["run_id"]}
        yield {"at": one["created_at"], "order": 4, "kind": "lost", "reason": one["reason"], **common}
        for kind in ("seen", "restored"):
            if one[f"{kind}_at"]:
                yield {"at": one[f"{kind}_at"], "order": 5, "kind": kind, **common, "run_id": None}


# On the screen ------------------------------------------------------------------------------------------------------


def render(told: Mapping[str, Any], console: Console, *, everything: bool = False) -> None:
    """A person's story on one screen; older lines than fit only when ``everything`` is wanted."""
    from rich.text import Text  # noqa: PLC0415 - not for --json

    lines = list(events_told(told["events"]))
    room = len(lines) if everything else ONE_SCREEN
    for number, line in enumerate(standing(told)):
        console.print(Text(line, style="bold" if not number else ""), soft_wrap=True)
    if len(lines) > room:
        console.print(Text(f"… {len(lines) - room} earlier lines; --all shows them", style="dim"))
    for line in lines[-room:]:
        console.print(Text(line, style="" if line.startswith(" ") else "cyan"), soft_wrap=True)
    if not lines:
        console.print(Text("Nothing was ever decided for it.", style="dim"))


def standing(told: Mapping[str, Any]) -> Iterator[str]:
    """How it stands now."""
    person = told["person"]
    failing = f" ({person['error']})" if person["error"] else ""
    yield f"{person['name'] or 'no name'} · {person_of(person)}: {person['status'] or 'undecided'}{failing}"
    waits = person["next_retry_at"] or person["auto_reset_at"]
    due = f"due since {person['due_since']}: {person['due_reason']}" if person["due_since"] else "nothing due"
    yield f"{due}{f', tried again at {waits}' if waits else ''}; last in agreement {person['last_sync_at'] or 'never'}"
    yield f"last read: EspoCRM {person['espo_seen_at'] or 'never'}, Advoware {person['advo_seen_at'] or 'never'} (UTC)"
    agreed = ", ".join(one["espo_value"] for one in told["agreed"]) or "nothing yet"
    yield f"agreed: {agreed}"
    for one in told["left_alone"]:
        what = f"{one['value'] or 'an empty row'} in {SIDE_WORDS[one['side']]}"
        yield f"left alone: {what}: {one['detail'] or one['reason']}"


def events_told(events: Sequence[Event]) -> Iterator[str]:
    """What happened, by run, or by moment where no run did it."""
    for _, group in groupby(events, key=lambda one: one["run_id"] or one["at"]):
        own = list(group)
        yield f"{own[0]['at']}  {run_in_words(own[0])}".rstrip()
        yield from in_one_line([one for one in own if one["kind"] == "decided" and one["variant"] in QUIET])
        for one in own:
            if one["kind"] != "decided":
                yield f"  {told_of(one)}"
            elif one["variant"] not in QUIET:
                yield from decided(one)


def run_in_words(event: Event) -> str:
    """Which run, by whom."""
    if event["run_id"] is None:
        return ""
    who = f" by {event['operator']}" if event["operator"] else ""
    why = f' ("{event["run_reason"]}")' if event["run_reason"] else ""
    return f"run {event['run_id']}, {event['trigger']}{who}{why}"


TOLD: Final = {
    "failed": "failed, attempt {times_running}: {error}",
    "retried": "an operator asked to try it again",
    "held": "held back: {reason}",
    "released": "let go by {by}",
    "absent": "{what}: it waits, and all that was agreed stays",
    "ended": "{what}, seen again: what was agreed ended",
    "returned": "there again: it goes on from what was agreed",
    "lost": "{lost} lost {against}: kept as conflict {conflict}",
    "seen": "conflict {conflict} ({lost}) was marked as seen",
    "restored": "conflict {conflict}: {lost} was restored",
}


def told_of(event: Event) -> str:
    """Whatever else happened, in one sentence."""
    against = f"against {event['kept']}" if event.get("kept") else "as EspoCRM does not have it"
    return TOLD[event["kind"]].format(**event, against=against)


def in_one_line(quiet: Sequence[Event]) -> Iterator[str]:
    """Entries that merely got a marker."""
    for _, group in groupby(sorted(quiet, key=lambda one: one["variant"]), key=lambda one: one["variant"]):
        own = list(group)
        values = [step["new_value"] for one in own for step in one["steps"]]
        yield f"  {own[0]['words']}, {own[0]['rule']}: {', '.join(filter(None, values)) or len(own)}; {states(own)}"


def states(events: Iterable[Event]) -> str:
    """How far they came."""
    return ", ".join(dict.fromkeys(one["state"] for one in events))


def decided(event: Event) -> Iterator[str]:
    """One entry: what was found, what follows from it, what was written."""
    wins = event["verdict"] == "revert"
    led_to = "EspoCRM wins, Advoware is put back" if wins else event["rule"]
    yield f"  {event['words']}: {led_to}; {event['state']}"
    beyond = event["reason"] or ""
    told = event["facts_in_words"] if event["variant"] not in ("undo", "restore") else None
    yield f"    because: {told + kept_remark(beyond) if told else beyond}"
    for step in event["steps"]:
        yield f"    {written(step)}"


def kept_remark(reason: str) -> str:
    """A remark that was kept across a change, so that somebody can look."""
    _, found, remark = reason.partition("; the remark ")
    return f"; the remark {remark}" if found else ""


def written(step: Mapping[str, Any]) -> str:
    """One write: where, from what to what."""
    in_advo = step["side"] == "advo"
    where = f"Advoware row {step['komm_id'] or 'new'}" if in_advo else "EspoCRM"
    value = f"{step['old_value'] or '–'} → {step['new_value'] or '–'}"
    if step["old_value"] == step["new_value"]:
        value = step["new_value"] or "empty"
    remark = f", remark {remark_told(step['old_remark'])} → {remark_told(step['new_remark'])}" if in_advo else ""
    error = f" ({step['error']})" if step["error"] else ""
    return f"{where}: {value}{remark}; {step['state']}{error}"


def remark_told(remark: str | None) -> str:
    """A remark for the eye: the marker by its name, the own text as it is."""
    parts = decode(remark)
    name = {MarkerKind.MARKER: "[marker]", MarkerKind.SLOT: "[slot]", MarkerKind.DAMAGED: "[damaged marker]"}
    text = " ".join(parts.own_text.split())
    return " ".join(filter(None, [name.get(parts.kind, ""), f'"{text}"' if text else ""])) or "none"

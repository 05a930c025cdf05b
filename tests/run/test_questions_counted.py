"""Every view and every example question, against figures counted another way: in Python, from the tables alone.

One firm with everything in it: persons in sync, held, failing, locked, waiting and gone, values that lost, values left
alone, slots, shared numbers, an outage, a refused command, an undo. A view or question without a figure here fails.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.queries.canned import CANNED_QUERIES
from etl.store.views import VIEWS
from etl.times import format_utc, parse_utc
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Row = dict[str, Any]
    Tables = dict[str, list[Row]]

DICTIONARY = (Path(__file__).parents[2] / "state" / "README.md").read_text("utf-8")
QUESTIONS = dict(re.findall(r"^([A-Z][^\n]+\?)\n\n```sql\n(.*?)```", DICTIONARY, flags=re.DOTALL | re.MULTILINE))
TABLES = (
    *("persons", "runs", "changes", "decisions", "conflicts", "holds", "left_alone", "espo_entries", "advo_entries"),
    "arrivals",
)
NUMBER = "+495111234560"


@pytest.fixture(scope="module")
def tables_and_store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, Path]:
    harness = SyncHarness(tmp_path_factory.mktemp("firm"), 30, guards={"max_removals": 12})
    harness.espo.store.entity.lockable = True
    links = list(harness.person_links())
    harness.advo.add_row(links[1][1], "0511 200 oder 300")
    harness.espo.edit(links[2][0], phones=[NUMBER])
    harness.espo.edit(links[3][0], phones=[NUMBER])
    harness.espo.edit(links[6][0], phones=[NUMBER])  # to be held when it is deleted
    harness.espo.edit(links[24][0], phones=[NUMBER])  # leaves slots behind, and is gone later
    harness.advo.add_row(links[24][1], "0511 400 oder 500")
    harness.run()
    harness.espo.edit(links[19][0], phones=[NUMBER])
    harness.run(trigger="plan", write=False)
    phones = "select komm_id, espo_value, espo_type from baseline where entity_id = ? and channel = 'phone'"
    (edited, _, kind), *others = harness.query_store(phones, links[4][0])
    harness.advo.edit_row(links[4][1], edited, value="0511 7654321")
    harness.espo.edit(links[4][0], phones=[("+495117654399", kind), *(pair[1:] for pair in others)])
    harness.espo.edit(links[22][0], phones=[])
    harness.run()
    harness.espo.edit(links[5][0], phones=[])
    undone = harness.run().run_id
    harness.run(trigger="undo", undo_run=undone, operator="anna")
    harness.espo.store.settings["maintenanceMode"] = True
    harness.run()
    harness.espo.store.settings["maintenanceMode"] = False
    with pytest.raises(ConfigError):
        harness.run(trigger="undo", undo_run=undone, direction="to_espocrm")
    harness.espo.delete(links[24][0])
    harness.espo.edit(links[23][0], betnr=links[22][1])  # two records of one Beteiligter, with its slots
    harness.run(sweep=True)
    harness.run(sweep=True)
    for entity_id, _ in links[6:18]:
        harness.espo.edit(entity_id, phones=[])
    harness.espo.lock(links[20][0])
    harness.espo.edit(links[21][0], phones=["+495117654300"])
    harness.espo.store.role.protected_ids.add(links[25][0])
    harness.advo.add_row(links[25][1], "+49511299999")
    harness.advo.add_row(links[20][1], "0511 1234560")
    harness.run(sweep=True)
    path = harness.config.state.path
    with closing(Store.open(path, now=format_utc(harness.clock()))) as store:
        left = {"entity_id": links[-1][0]}
        store.execute("update persons set gone_at = '2026', due_since = '2026' where entity_id = :entity_id", left)
        tables = {name: [dict(row) for row in store.rows(f"select * from {name}")] for name in TABLES}
    return tables, path


def here(tables: Tables) -> list[Row]:
    """Persons that EspoCRM still has."""
    return [person for person in tables["persons"] if person["gone_at"] is None]


def left_alone(tables: Tables) -> list[Row]:
    """Notes about persons that EspoCRM still has."""
    here_ids = {person["entity_id"] for person in here(tables)}
    return [note for note in tables["left_alone"] if note["entity_id"] in here_ids]


def held_ids(tables: Tables) -> set[str]:
    return {hold["entity_id"] for hold in tables["holds"] if hold["released_at"] is None}


def status_of(tables: Tables, person: Row) -> str:
    if person["entity_id"] in held_ids(tables):
        return "held"
    return "not_linked" if person["betnr"] is None else person["status"] or "undecided"


def lonely_values(tables: Tables) -> list[tuple[str, str, str]]:
    """Entity, side and value of what stands on one side only, of those both sides of whom were read."""
    lonely: list[tuple[str, str, str]] = []
    for person in here(tables):
        if None in (person["betnr"], person["espo_seen_at"], person["advo_seen_at"]):
            continue
        items = [item for item in tables["espo_entries"] if item["entity_id"] == person["entity_id"]]
        rows = [row for row in tables["advo_entries"] if row["betnr"] == person["betnr"] and row["canonical"]]
        in_espo = {(item["channel"], item["canonical"]) for item in items}
        in_advo = {(row["channel"], row["canonical"]) for row in rows}
        lonely += [
            (person["entity_id"], "espo", item["value"])
            for item in items
            if (item["channel"], item["canonical"]) not in in_advo
        ]
        lonely += [
            (person["entity_id"], "advo", row["value"])
            for row in rows
            if row["channel"] and (row["channel"], row["canonical"]) not in in_espo
        ]
    return lonely


def done(tables: Tables) -> list[Row]:
    return [change for change in tables["changes"] if change["state"] == "done"]


def ids(rows: Iterable[Row], column: str = "entity_id") -> Counter[Any]:
    return Counter(row[column] for row in rows)


def shared(tables: Tables, channels: tuple[str, ...]) -> Counter[Any]:
    owners: dict[str, set[str]] = {}
    here_ids = {person["entity_id"] for person in here(tables)}
    for item in tables["espo_entries"]:
        if item["channel"] in channels and item["entity_id"] in here_ids:
            owners.setdefault(item["canonical"], set()).add(item["entity_id"])
    return Counter({value: len(persons) for value, persons in owners.items() if len(persons) > 1})


def unclear_values(tables: Tables) -> Counter[Any]:
    betnrs = {person["betnr"]: person["entity_id"] for person in here(tables)}
    of_records = [item["value"] for item in tables["espo_entries"] if item["doubt"] is not None]
    of_rows = [
        row["value"]
        for row in tables["advo_entries"]
        if row["doubt"] is not None and row["channel"] and row["betnr"] in betnrs
    ]
    return Counter(of_records + of_rows)


def of_number(tables: Tables, states: set[str]) -> Counter[Any]:
    """Steps about the number, in these states."""
    steps = [step for step in tables["changes"] if NUMBER in (step["old_value"], step["new_value"])]
    assert {"planned", "held", "dropped"} & {step["state"] for step in steps}
    return ids(step for step in steps if step["state"] in states)


def owners_of_number(tables: Tables) -> Counter[Any]:
    """Who has the number on either side, however it is spelt, and how that person stands; also who is gone."""
    ids_in_espo = {item["entity_id"] for item in tables["espo_entries"] if item["canonical"] == NUMBER}
    betnrs = {row["betnr"] for row in tables["advo_entries"] if row["canonical"] == NUMBER}
    return Counter(
        (person["entity_id"], None if person["gone_at"] else status_of(tables, person))
        for person in tables["persons"]
        if person["entity_id"] in ids_in_espo or person["betnr"] in betnrs
    )


def slots(tables: Tables) -> Counter[Any]:
    betnrs = {person["betnr"] for person in here(tables)}
    return ids((row for row in tables["advo_entries"] if row["is_slot"] and row["betnr"] in betnrs), "komm_id")


def changes_by_month(tables: Tables) -> Counter[Any]:
    sides = {"var1": 0, "var2": 0, "var5": 0, "retype": 0, "var3": 1, "var4": 1, "var6": 1, "clash": 2}
    changes = [change for change in done(tables) if change["variant"] in sides]
    decided = {(change["decision_id"], sides[change["variant"]]) for change in changes}
    return Counter(side for _, side in decided)


def slowest_arrivals(tables: Tables) -> Counter[Any]:
    """How many edits of each side arrived, all on one day, beside the seconds of the slowest one."""
    seconds: dict[str, list[float]] = {}
    for edit in tables["arrivals"]:
        if edit["arrived_at"] is not None:
            took = parse_utc(edit["arrived_at"]) - parse_utc(edit["edited_at"])
            seconds.setdefault(edit["edited_in"], []).append(took.total_seconds())
    return Counter({(side, max(times)): len(times) for side, times in seconds.items()})


def story_of(tables: Tables, entity_id: str) -> Counter[Any]:
    """What is told of a person by table: its writes, what was decided without one, and so on, and what it stands on."""
    (person,) = (person for person in tables["persons"] if person["entity_id"] == entity_id)
    plans = {run["id"] for run in tables["runs"] if run["trigger"] == "plan"}
    written = {change["decision_id"] for change in tables["changes"]}
    decided = [
        decision
        for decision in tables["decisions"]
        if decision["variant"] != "same" and decision["id"] not in written
    ]
    changes = [change for change in tables["changes"] if change["run_id"] not in plans]
    parts = [changes, decided, tables["conflicts"], tables["holds"], tables["left_alone"]]
    moments = ("espo_seen_at", "advo_seen_at", "last_sync_at", "due_since", "next_retry_at")
    rows = sum(row["entity_id"] == entity_id for part in parts for row in part)
    return Counter({"rows": rows + sum(person[name] is not None for name in moments)})


def age_in_real_time(tables: Tables) -> Counter[Any]:
    """All looks were long ago: the firm's clock stands in the past."""
    linked = [person for person in here(tables) if person["betnr"] is not None]
    return Counter("7 never" if person["advo_seen_at"] is None else "6 longer ago" for person in linked)


@dataclass(frozen=True)
class Figure:
    """What of an answer is compared with what is ``counted`` otherwise: its rows by these columns, or a sum of one."""

    counted: Callable[[Tables], Counter[Any]]
    columns: tuple[str, ...] = ("entity_id",)
    total: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


HELD_PERSON = "held"
"""Stands for the entity id of the first person a guard holds."""

FIGURES = {
    "last_runs": Figure(lambda t: ids(t["runs"], "id"), ("id",)),
    "person_status": Figure(lambda t: Counter(status_of(t, person) for person in here(t)), ("status",)),
    "failing_persons": Figure(
        lambda t: ids(person for person in here(t) if status_of(t, person) in {"failed", "permanently_failed"})
    ),
    "open_conflicts": Figure(
        lambda t: ids((c for c in t["conflicts"] if not c["seen_at"] and not c["restored_at"]), "id"), ("id",)
    ),
    "unsyncable_entries": Figure(lambda t: ids(note for note in left_alone(t) if note["reason"] == "unsyncable")),
    "stale_persons": Figure(lambda t: ids(person for person in here(t) if person["betnr"] is not None)),
    "arrivals_by_day": Figure(slowest_arrivals, ("edited_in", "longest_seconds"), "edits"),
    "changes_by_day": Figure(lambda t: ids(done(t), "variant"), ("variant",), "changes"),
    "differences": Figure(lambda t: Counter(lonely_values(t)), ("entity_id", "stands_in", "value")),
    "what_happened_to": Figure(lambda t: story_of(t, first_held(t)), (), params={"person": HELD_PERSON}),
    "who_is_it": Figure(owners_of_number, ("entity_id", "status"), params={"name_or_number": NUMBER}),
    "values_that_lost_last_week": Figure(lambda _: Counter(), ("id",)),  # the firm's clock is further back
    "who_fails_and_why": Figure(
        lambda t: ids(
            person
            for person in here(t)
            if status_of(t, person) in {"failed", "permanently_failed", "conflict", "deleted_in_advoware"}
        )
    ),
    "where_do_the_sides_differ": Figure(lambda t: Counter(lonely_values(t)), ("entity_id", "stands_in", "value")),
    "what_did_run_write": Figure(
        lambda t: ids((c for c in t["changes"] if c["run_id"] == 1), "state"), ("state",), params={"run": 1}
    ),
    "who_is_held_back": Figure(lambda t: Counter(held_ids(t))),
    "who_waits": Figure(
        lambda t: Counter((p["entity_id"], status_of(t, p)) for p in here(t) if p["due_since"] is not None),
        ("entity_id", "status"),
    ),
    "what_happened_to_value": Figure(
        lambda t: of_number(t, {"started", "done", "failed", "unknown"}), params={"value": NUMBER}
    ),
    "what_is_left_alone": Figure(lambda t: ids(left_alone(t), "value"), ("value",)),
    "which_values_can_nobody_read": Figure(unclear_values, ("value",)),
    "how_old_are_the_looks": Figure(age_in_real_time, ("last_look_in_advoware",), "persons"),
    "which_runs_went_badly": Figure(lambda t: ids((r for r in t["runs"] if r["outcome"] != "done"), "id"), ("run_id",)),
    "what_did_operators_do": Figure(lambda t: ids((r for r in t["runs"] if r["operator"]), "id"), ("run_id",)),
    "shared_numbers": Figure(lambda t: shared(t, ("phone", "mail")), ("canonical",), "persons"),
    "Who has waited longest?": Figure(lambda t: ids(person for person in here(t) if person["due_since"] is not None)),
    "What happened to one number, in exactly this spelling (Advoware's may be another), whoever it belongs to?": Figure(
        lambda t: of_number(t, {"done"})
    ),
    "Which numbers do several persons share?": Figure(lambda t: shared(t, ("phone",)), ("canonical",), "persons"),
    "How often does each side change, month by month?": Figure(
        lambda t: Counter({"in_espocrm": changes_by_month(t)[0]}), (), "in_espocrm"
    ),
    "Which rows in Advoware are slots, ready to be used again?": Figure(slots, ("komm_id",)),
}


def first_held(tables: Tables) -> str:
    return min(held_ids(tables))


def sql_of(name: str) -> str:
    """The text of a view, of a question of ``inspect``, or of the dictionary."""
    if name in VIEWS:
        return f"select * from {name}"
    return CANNED_QUERIES[name].sql if name in CANNED_QUERIES else QUESTIONS[name]


def test_each_view_and_question_has_a_figure() -> None:
    assert {*VIEWS, *CANNED_QUERIES, *QUESTIONS} == {*FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_a_view_or_question_says_what_the_tables_say(name: str, tables_and_store: tuple[Tables, Path]) -> None:
    (tables, path), figure = tables_and_store, FIGURES[name]
    params = {key: first_held(tables) if value == HELD_PERSON else value for key, value in figure.params.items()}
    with closing(Store.open(path, now="2026-01-01 00:00:00", read_only=True)) as store:
        rows = store.rows(sql_of(name), params)
    answered: Counter[Any] = Counter()
    for row in rows:
        key = tuple(row[column] for column in figure.columns)
        answered[key[0] if len(key) == 1 else key or figure.total or "rows"] += row[figure.total] if figure.total else 1
    assert answered == figure.counted(tables)


def test_the_firm_has_what_the_figures_are_about(tables_and_store: tuple[Tables, Path]) -> None:
    tables, _ = tables_and_store
    empty = {name for name, figure in FIGURES.items() if not figure.counted(tables)}
    assert empty <= {"values_that_lost_last_week", "unsyncable_entries"}
    assert {run["outcome"] for run in tables["runs"]} >= {"done", "outage", "refused", "held"}

"""Playing a scenario: set up the way a firm gets there, edits as people, one run, and then everything is compared.

After every run: the people's own texts are unchanged, nothing was deleted, no lock is left, EspoCRM's status is clean
with the right fingerprint, the baseline is what both sides agree on, and another run of the same kind and a sweep write
nothing: both systems break every writing request off.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from tests.http_harness import word_options
from tests.notation import LEGEND, own_text_of_remark, parse_scenario

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobs.run.report import RunReport
    from tests.http_harness import HttpHarness, PersonKeys, PersonRequest
    from tests.notation import ItemState, RowState, ScenarioRound


EXPECTED_READS = {False: ["A:GET"], True: ["E:GET", "A:GET"]}
"""Who is not due is only looked at in Advoware, which has no list of changes; a sweep, or who is due, at both sides."""


def run_scenarios(
    harness: HttpHarness,
    *tables: str,
    words: Sequence[str] = (),
    legend: Mapping[str, str | None] | None = None,
    waits: bool = False,
) -> list[PersonKeys]:
    """Play tables, each on a person of its own and all in the same runs; return the persons.

    ``words``: direction and scope of all runs. ``waits``: the edits are such that a run waits and writes nothing.
    """
    scenarios = [parse_scenario(table, {**LEGEND, **(legend or {})}) for table in tables]
    people = [harness.add_person(scenario) for scenario in scenarios]
    if scenarios[0].synced:
        assert harness.run().outcome == "done"
    for rounds in zip(*(scenario.rounds for scenario in scenarios), strict=True):
        run_round(harness, people, rounds, [*words, *rounds[0].run], waits=waits)
    return people


def run_round(
    harness: HttpHarness,
    people: Sequence[PersonKeys],
    rounds: Sequence[ScenarioRound],
    words: Sequence[str],
    *,
    waits: bool,
) -> None:
    """Edits, one run, and all that must hold after it."""
    for person, round_ in zip(people, rounds, strict=True):
        harness.edit(person, round_.edits)
    texts = [harness.own_texts(person) for person in people]
    states_before = [(harness.items(person), harness.rows(person)) for person in people]
    if waits:
        waiting_report = harness.run(**word_options(words))
        assert (waiting_report.outcome, waiting_report.persons.waiting, harness.writes) == ("done", len(people), [])
    report = harness.run(**word_options(words))
    assert report.outcome == "done"
    for person, round_, before in zip(people, rounds, states_before, strict=True):
        assert_sides(harness, person, round_, before)
        assert_store(harness, person, round_)
        assert_requests(harness, person, round_)
    assert_report(harness, report, rounds)
    assert all(
        harness.own_texts(person).items() >= before.items() for person, before in zip(people, texts, strict=True)
    )
    assert_nothing_to_do(harness, people, words)


def assert_sides(
    harness: HttpHarness, person: PersonKeys, round_: ScenarioRound, before: tuple[list[ItemState], list[RowState]]
) -> None:
    """Both sides are as told; status and fingerprint fit to them."""
    items, rows = before
    expected = (
        items if round_.after.items is None else sorted(round_.after.items),
        rows if round_.after.rows is None else round_.after.rows,
    )
    assert (harness.items(person), harness.rows(person)) == expected
    record = harness.espo.record(person.entity_id)
    assert (record["syncStatus"], record["syncErrorMessage"]) == ("clean", None)
    assert record["kommunikationHash"] == harness.fingerprint(person)


def assert_store(harness: HttpHarness, person: PersonKeys, round_: ScenarioRound) -> None:
    """What lost in this run and what is left alone are as told; the agreed pairs are the rows with a marker."""
    lost_values = harness.query_store(
        "select espo_value, advo_value from conflicts where entity_id = ? and run_id = (select max(id) from runs)",
        person.entity_id,
    )
    left_alone = harness.query_store("select reason, side, value from left_alone where entity_id = ?", person.entity_id)
    baseline_rows = harness.query_store(
        "select komm_id from baseline where entity_id = ? order by komm_id", person.entity_id
    )
    rows_with_marker = [
        (row.komm_id,) for row in harness.rows(person) if row.tlf and own_text_of_remark(row.remark) != row.remark
    ]
    assert (lost_values, left_alone, baseline_rows) == (round_.lost, round_.left, rows_with_marker)


def assert_requests(harness: HttpHarness, person: PersonKeys, round_: ScenarioRound) -> None:
    """The requests about the person, in their order; the rows of Advoware may be written in any."""
    if round_.calls is not None:
        assert request_words(harness.requests_about(person)) == sort_neighbouring_writes(round_.calls)


def request_words(requests: Iterable[PersonRequest]) -> list[str]:
    """``E:GET A:PUT E:NOTE``: system and method."""
    return sort_neighbouring_writes(
        f"{request.side}:{'NOTE' if request.path == '/Note' else request.method}" for request in requests
    )


def sort_neighbouring_writes(calls: Iterable[str]) -> list[str]:
    """Calls with neighbouring writes to Advoware sorted."""
    groups = groupby(calls, key=lambda call: call in {"A:PUT", "A:POST"})
    return [call for is_write_group, group in groups for call in (sorted(group) if is_write_group else group)]


def assert_report(harness: HttpHarness, report: RunReport, rounds: Sequence[ScenarioRound]) -> None:
    """The report counts what was decided, lost and written."""
    if any(round_.did for round_ in rounds):
        assert sorted(Counter(report.variants).elements()) == sorted(word for round_ in rounds for word in round_.did)
    assert report.conflicts == sum(len(round_.lost) for round_ in rounds)
    assert (report.writes.espocrm, report.writes.advoware) == (len(harness.espo.writes), len(harness.advo.writes))


def assert_nothing_to_do(harness: HttpHarness, people: Sequence[PersonKeys], words: Sequence[str] = ()) -> None:
    """Another run, and a sweep, look once and write nothing; nothing was deleted, no lock is left."""
    before = [(harness.items(person), harness.advo.rows(person.betnr)) for person in people]
    harness.may_write = False
    for sweep in (False, True):
        due = {entity_id for (entity_id,) in harness.query_store("select entity_id from persons where due_since <> ''")}
        report = harness.run(**word_options(words), sweep=sweep)
        assert (report.outcome, harness.writes) == ("done", [])
        expected_reads = [EXPECTED_READS[sweep or person.entity_id in due] for person in people]
        assert [request_words(harness.requests_about(person)) for person in people] == expected_reads
    harness.may_write = True
    assert [(harness.items(person), harness.advo.rows(person.betnr)) for person in people] == before
    assert harness.espo.counts["DELETE"] + harness.advo.counts["DELETE"] == 0
    assert harness.advo.overlapping_writes == 0
    assert harness.query_store("select count(*) from lease") == [(0,)]
    assert {status for (status,) in harness.query_store("select status from persons")} == {"clean"}

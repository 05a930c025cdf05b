"""Playing a scenario: set up the way a firm gets there, edits as people, one run, and then everything is compared.

After every run: the people's own texts are unchanged, nothing was deleted, no lock is left, EspoCRM's status is clean
with the right fingerprint, the baseline is what both sides agree on, and another run of the same kind and a sweep write
nothing: both systems break every writing request off.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from tests.notation import LEGEND, own_text, story

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jobs.report import RunReport
    from tests.notation import ItemShown, Round, RowShown
    from tests.office import Office, Person, Sent


LOOKS = {False: ["A:GET"], True: ["E:GET", "A:GET"]}
"""Who is not due is only looked at in Advoware, which has no list of changes; a sweep, or who is due, at both sides."""


def play(
    office: Office,
    *tables: str,
    words: Sequence[str] = (),
    legend: Mapping[str, str | None] | None = None,
    waits: bool = False,
) -> list[Person]:
    """Play tables, each on a person of its own and all in the same runs; return the persons.

    ``words``: direction and scope of all runs. ``waits``: the edits are such that a run waits and writes nothing.
    """
    stories = [story(table, {**LEGEND, **(legend or {})}) for table in tables]
    people = [office.move_in(one) for one in stories]
    if stories[0].synced:
        assert office.run().outcome == "done"
    for told in zip(*(one.rounds for one in stories), strict=True):
        play_round(office, people, told, [*words, *told[0].run], waits=waits)
    return people


def play_round(
    office: Office, people: Sequence[Person], told: Sequence[Round], words: Sequence[str], *, waits: bool
) -> None:
    """Edits, one run, and all that must hold after it."""
    for person, this in zip(people, told, strict=True):
        office.edit(person, this.edits)
    texts = [office.own_texts(person) for person in people]
    stood = [(office.items(person), office.rows(person)) for person in people]
    if waits:
        waiting = office.run(*words)
        assert (waiting.outcome, waiting.persons.waiting, office.writes) == ("done", len(people), [])
    report = office.run(*words)
    assert report.outcome == "done"
    for person, this, before in zip(people, told, stood, strict=True):
        stands(office, person, this, before)
        remembers(office, person, this)
        asked_for(office, person, this)
    reports(office, report, told)
    assert all(office.own_texts(person).items() >= before.items() for person, before in zip(people, texts, strict=True))
    nothing_is_left_to_do(office, people, words)


def stands(office: Office, person: Person, this: Round, before: tuple[list[ItemShown], list[RowShown]]) -> None:
    """Both sides are as told; status and fingerprint fit to them."""
    items, rows = before
    told = (
        items if this.after.items is None else sorted(this.after.items),
        rows if this.after.rows is None else this.after.rows,
    )
    assert (office.items(person), office.rows(person)) == told
    record = office.espo.record(person.entity_id)
    assert (record["syncStatus"], record["syncErrorMessage"]) == ("clean", None)
    assert record["kommunikationHash"] == office.fingerprint(person)


def remembers(office: Office, person: Person, this: Round) -> None:
    """What lost in this run and what is left alone are as told; the agreed pairs are the rows with a marker."""
    lost = office.remembered(
        "select espo_value, advo_value from conflicts where entity_id = ? and run_id = (select max(id) from runs)",
        person.entity_id,
    )
    left = office.remembered("select reason, side, value from left_alone where entity_id = ?", person.entity_id)
    agreed = office.remembered("select komm_id from baseline where entity_id = ? order by komm_id", person.entity_id)
    marked = [(row.komm_id,) for row in office.rows(person) if row.tlf and own_text(row.remark) != row.remark]
    assert (lost, left, agreed) == (this.lost, this.left, marked)


def asked_for(office: Office, person: Person, this: Round) -> None:
    """The requests about the person, in their order; the rows of Advoware may be written in any."""
    if this.calls is not None:
        assert spoken(office.sent(person)) == in_any_order(this.calls)


def spoken(sent: Iterable[Sent]) -> list[str]:
    """``E:GET A:PUT E:NOTE``: system and method."""
    return in_any_order(f"{one.side}:{'NOTE' if one.path == '/Note' else one.method}" for one in sent)


def in_any_order(calls: Iterable[str]) -> list[str]:
    """Calls with neighbouring writes to Advoware sorted."""
    grouped = groupby(calls, key=lambda call: call in {"A:PUT", "A:POST"})
    return [call for writes, group in grouped for call in (sorted(group) if writes else group)]


def reports(office: Office, report: RunReport, told: Sequence[Round]) -> None:
    """The report counts what was decided, lost and written."""
    if any(this.did for this in told):
        assert sorted(Counter(report.variants).elements()) == sorted(word for this in told for word in this.did)
    assert report.conflicts == sum(len(this.lost) for this in told)
    written = [side for side, _ in office.writes]
    assert (report.writes.espocrm, report.writes.advoware) == (written.count("E"), written.count("A"))


def nothing_is_left_to_do(office: Office, people: Sequence[Person], words: Sequence[str] = ()) -> None:
    """Another run, and a sweep, look once and write nothing; nothing was deleted, no lock is left."""
    before = [(office.items(person), office.advo.rows(person.betnr)) for person in people]
    office.may_write = False
    for sweep in (False, True):
        due = {entity_id for (entity_id,) in office.remembered("select entity_id from persons where due_since <> ''")}
        report = office.run(*words, sweep=sweep)
        assert (report.outcome, office.writes) == ("done", [])
        looks = [LOOKS[sweep or person.entity_id in due] for person in people]
        assert [spoken(office.sent(person)) for person in people] == looks
    office.may_write = True
    assert [(office.items(person), office.advo.rows(person.betnr)) for person in people] == before
    assert office.espo.counts["DELETE"] + office.advo.counts["DELETE"] == 0
    assert office.advo.overlapping_writes == 0
    assert office.remembered("select count(*) from lease") == [(0,)]
    assert {status for (status,) in office.remembered("select status from persons")} == {"clean"}

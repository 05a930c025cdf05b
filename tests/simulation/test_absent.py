"""Cases by name of *Endings* (rules.md §1 ²): an absence is believed when two runs saw it, and undoes nobody's work.

In each a number is deleted on one side and the absence comes between: forgotten, the number would come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.sandbox.simulator import Answer, Call
from tests.simulation.absences import NO_PAGE, NOT_THERE
from tests.simulation.test_hard_cases import BETNR, MOBILE, OFFICE, Case, case
from tests.simulation.told import query
from tests.simulation.worlds import Person

SOME = 5


@contextmanager
def beside_others(others: int = 0) -> Iterator[Case]:
    """A person with two numbers, and others who have one."""
    rows = {"0511 2000001": "", "0171 2000001": ""}
    with case({OFFICE: "Office", MOBILE: "Mobile"}, rows=rows) as one:
        for number in range(others):
            betnr, value = BETNR + 1 + number, f"+49511300000{number}"
            one.firm.espo.add_person(f"Ben Beispiel{number}", betnr, phones=[(value, "Office")])
            one.firm.advo.add_person(betnr, f"Ben Beispiel{number}")
            one.firm.advo.add_row(betnr, value)
        one.sync()
        one.sync()
        yield one


@contextmanager
def answered(one: Case, answer: Answer, *, everybody: bool = False) -> Iterator[None]:
    """Advoware answers so about this person, or about all of them."""

    def silence(system: str, call: Call, person: Person | None) -> Answer | None:
        of_them = "/Beteiligte/" in call.path if everybody else person is one.person
        return answer if system == "advo" and of_them else None

    one.life.storm.silences.append(silence)
    yield
    one.life.storm.silences.remove(silence)


def deleted_in_advoware(one: Case) -> None:
    with one.edited():
        one.firm.advo.remove_row(BETNR, one.row("01712000001")["id"])


def two_looks(one: Case) -> None:
    """Two runs, far enough apart for what both see to be believed."""
    one.sync(sweep=True)
    one.firm.clock.advance(600)
    one.sync(sweep=True)


def went_on_from_its_baseline(one: Case) -> None:
    one.rest()
    assert one.espo == one.advo == {OFFICE}


def test_one_404_of_somebody_who_is_there_ends_nothing() -> None:
    with beside_others(1) as one:
        deleted_in_advoware(one)
        with answered(one, NOT_THERE):
            one.sync(sweep=True)
        went_on_from_its_baseline(one)


def test_a_page_that_says_404_ends_nothing() -> None:
    with beside_others(1) as one:
        deleted_in_advoware(one)
        with answered(one, NO_PAGE):
            two_looks(one)
        went_on_from_its_baseline(one)


def test_a_404_for_everybody_ends_nothing() -> None:
    """Row 2: with a mistyped path everybody was deleted_in_advoware, and a firm's work was undone."""
    with beside_others(2) as one:
        deleted_in_advoware(one)
        with answered(one, NOT_THERE, everybody=True):
            two_looks(one)
        went_on_from_its_baseline(one)


def test_an_import_that_blanks_many_is_held() -> None:
    """More than the guard lets end within a day: they wait until they are back, and go on."""
    with beside_others(SOME) as one:
        deleted_in_advoware(one)
        records = {record.id: record.values["betnr"] for record in one.firm.espo.store.records.values()}
        for entity_id in records:
            one.firm.espo.edit(entity_id, betnr=None)
        one.firm.clock.advance(60)
        two_looks(one)
        assert query(one.life.path, "select count(*) from holds where kind = 'endings' and released_at is null") == [
            (len(records),)
        ]
        for entity_id, betnr in records.items():
            one.firm.espo.edit(entity_id, betnr=betnr)
        went_on_from_its_baseline(one)


def test_whoever_returns_is_recovered() -> None:
    """What people did meanwhile in EspoCRM is carried out, once somebody approved; a first sync would bring it back."""
    with beside_others() as one:
        one.firm.espo.edit(one.entity_id, betnr=None)
        one.firm.clock.advance(60)
        two_looks(one)
        one.set_items((OFFICE, "Office"))
        one.firm.espo.edit(one.entity_id, betnr=BETNR)
        one.rest()
        assert one.espo == one.advo == {OFFICE}

"""Cases by name of *Endings* (rules §1): an absence is believed when two runs saw it, and undoes nobody's work.

In each a number is deleted on one side and the absence comes between: forgotten, the number would come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.simulation.absences import NOT_FOUND_JSON, NOT_FOUND_PAGE
from tests.simulation.test_hard_cases import BETNR, MOBILE, OFFICE, CaseWorld, case
from tests.simulation.told import query_store
from tests.simulation.worlds import Person

OTHERS = 5


@contextmanager
def case_with_others(others: int = 0) -> Iterator[CaseWorld]:
    """A person with two numbers, and others who have one."""
    rows = {"0511 2000001": "", "0171 2000001": ""}
    with case({OFFICE: "Office", MOBILE: "Mobile"}, rows=rows) as world:
        for number in range(others):
            betnr, value = BETNR + 1 + number, f"+49511300000{number}"
            world.firm.espo.add_person(f"Ben Beispiel{number}", betnr, phones=[(value, "Office")])
            world.firm.advo.add_person(betnr, f"Ben Beispiel{number}")
            world.firm.advo.add_row(betnr, value)
        world.sync()
        world.sync()
        yield world


@contextmanager
def override_answer(world: CaseWorld, answer: SimResponse, *, everybody: bool = False) -> Iterator[None]:
    """Advoware answers so about this person, or about all of them."""

    def override(system: str, call: SimRequest, person: Person | None) -> SimResponse | None:
        is_about_them = "/Beteiligte/" in call.path if everybody else person is world.person
        return answer if system == "advo" and is_about_them else None

    world.sim.injector.overrides.append(override)
    yield
    world.sim.injector.overrides.remove(override)


def delete_mobile_row(world: CaseWorld) -> None:
    with world.note_edits():
        world.firm.advo.remove_row(BETNR, world.row("01712000001")["id"])


def sync_twice(world: CaseWorld) -> None:
    """Two runs, far enough apart for what both see to be believed."""
    world.sync(sweep=True)
    world.firm.clock.advance(600)
    world.sync(sweep=True)


def assert_uses_baseline(world: CaseWorld) -> None:
    world.run_to_rest()
    assert world.espo == world.advo == {OFFICE}


def test_one_404_of_somebody_who_is_there_ends_nothing() -> None:
    with case_with_others(1) as world:
        delete_mobile_row(world)
        with override_answer(world, NOT_FOUND_JSON):
            world.sync(sweep=True)
        assert_uses_baseline(world)


def test_a_page_that_says_404_ends_nothing() -> None:
    with case_with_others(1) as world:
        delete_mobile_row(world)
        with override_answer(world, NOT_FOUND_PAGE):
            sync_twice(world)
        assert_uses_baseline(world)


def test_a_404_for_everybody_ends_nothing() -> None:
    """Row 2: with a mistyped path everybody was deleted_in_advoware, and a firm's work was undone."""
    with case_with_others(2) as world:
        delete_mobile_row(world)
        with override_answer(world, NOT_FOUND_JSON, everybody=True):
            sync_twice(world)
        assert_uses_baseline(world)


def test_an_import_that_blanks_many_is_held() -> None:
    """More than the guard lets end within a day: they wait until they are back, and go on."""
    with case_with_others(OTHERS) as world:
        delete_mobile_row(world)
        records = {record.id: record.values["betnr"] for record in world.firm.espo.store.records.values()}
        for entity_id in records:
            world.firm.espo.edit(entity_id, betnr=None)
        world.firm.clock.advance(60)
        sync_twice(world)
        assert query_store(
            world.sim.path, "select count(*) from holds where kind = 'endings' and released_at is null"
        ) == [(len(records),)]
        for entity_id, betnr in records.items():
            world.firm.espo.edit(entity_id, betnr=betnr)
        assert_uses_baseline(world)


def test_whoever_returns_is_recovered() -> None:
    """What people did meanwhile in EspoCRM is carried out, once somebody approved; a first sync would bring it back."""
    with case_with_others() as world:
        world.firm.espo.edit(world.entity_id, betnr=None)
        world.firm.clock.advance(60)
        sync_twice(world)
        world.set_items((OFFICE, "Office"))
        world.firm.espo.edit(world.entity_id, betnr=BETNR)
        world.run_to_rest()
        assert world.espo == world.advo == {OFFICE}

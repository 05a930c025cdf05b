"""The invented firms: the same seed makes the same firm, and people leave every person something."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.firm import fill_firm, small_law_firm
from jobs.sandbox.people import make_first_day_edits, random_edits
from jobs.sandbox.simulator import Json, SimClock

Simulators = tuple[EspoSim, AdvoSim]


def new_simulators() -> Simulators:
    clock = SimClock(datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC))
    return EspoSim(clock), AdvoSim(clock)


def records_and_rows(simulators: Simulators) -> tuple[list[Json], dict[int, list[Json]]]:
    espo, advo = simulators
    return [espo.record(entity_id) for entity_id in espo.store.records], {
        betnr: advo.rows(betnr) for betnr in advo.beteiligte.persons
    }


def test_the_same_seed_makes_the_same_firm_and_the_same_edits() -> None:
    first, second = new_simulators(), new_simulators()
    for simulators in (first, second):
        fill_firm(*simulators, 40, seed=3)
        random_edits(*simulators, 60, seed=4)
    assert records_and_rows(first) == records_and_rows(second)


def test_a_firm_holds_what_makes_syncing_hard() -> None:
    espo, advo = new_simulators()
    fill_firm(espo, advo, 200, seed=1)
    rows = [row for betnr in advo.beteiligte.persons for row in advo.rows(betnr)]
    assert {row["kommKz"] for row in rows} >= {1, 2, 3, 4, 5, 6, 8, 12}
    assert any(row["bemerkung"] == "Gegner, nicht anrufen" for row in rows)
    assert any("privat" in row["tlf"] for row in rows)
    assert 0 < sum(record.values["betnr"] is None for record in espo.store.records.values()) < 40


def test_an_unlinked_firm_has_no_betnr_in_espocrm() -> None:
    espo, advo = new_simulators()
    fill_firm(espo, advo, 5, seed=1, linked=False)
    assert {record.values["betnr"] for record in espo.store.records.values()} == {None}


@pytest.mark.parametrize("seed", range(5))
def test_people_never_take_a_sides_last_entry(seed: int) -> None:
    espo, advo = new_simulators()
    persons = fill_firm(espo, advo, 8, seed)
    assert len(random_edits(espo, advo, 300, seed)) == 300
    for person in persons:
        assert espo.items(person.entity_id)
        assert any(row["tlf"] for row in advo.rows(person.betnr))
        assert len(espo.items(person.entity_id)) <= 20


def test_a_day_at_the_small_firm_touches_both_sides() -> None:
    espo, advo = new_simulators()
    persons = small_law_firm(espo, advo)
    advo.add_row(persons["Yilmaz"].betnr, "+491713210042", komm_kz=3)  # as the first sync would
    before = records_and_rows((espo, advo))
    assert len(make_first_day_edits(espo, advo, persons)) == 6
    assert records_and_rows((espo, advo)) != before

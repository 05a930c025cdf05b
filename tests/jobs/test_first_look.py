"""`check --data`: what a first sync will meet, without a trace in either system or in the state store."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from etl.errors import Outage
from jobs import first_look
from jobs.config import Config
from jobs.pipeline import Options, run
from jobs.sandbox.advoware import AdvoSim
from jobs.sandbox.espocrm import EspoSim
from jobs.sandbox.firm import small_law_firm
from jobs.sandbox.server import config as settings
from jobs.sandbox.simulator import SimClock
from jobs.sandbox.transport import InProcess
from jobs.world import World
from tests.old_store import first_edition
from tests.practice import remembered

if TYPE_CHECKING:
    from pathlib import Path


class Firm:
    """The small law firm, and one more person for each thing that goes wrong."""

    def __init__(self, folder: Path) -> None:
        self.clock = SimClock()
        self.espo, self.advo = EspoSim(self.clock), AdvoSim(self.clock)
        small_law_firm(self.espo, self.advo)
        self.twin = self.espo.add_person("Max Doppel", 104711, phones=[], mails=[])
        self.espo.add_person("Nie Da", 999999, phones=[("+495113219999", "Office")], mails=[])
        written = {**settings("http://crm.test", "https://a.advo-net.net"), "state": {"path": str(folder / "state.db")}}
        written["advoware"]["configurator_url"] = "https://c.advo-net.net"
        written["sync"] = {"persons_per_run": 2}
        self.config = Config.model_validate(written)
        self.world = World(
            utcnow=self.clock,
            sleep=self.clock.advance,
            espo_transport=InProcess(self.espo),
            advo_transport=InProcess(self.advo),
            durable=False,
            heartbeat=False,
        )
        self.clock.advance(600)

    def look(self) -> first_look.FirstLook:
        return first_look.look(self.config, world=self.world)


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    return Firm(tmp_path)


def test_everybody_is_looked_at_and_nothing_is_written(firm: Firm) -> None:
    seen = firm.look()
    assert seen.figures["records"] == 9
    assert seen.figures["linked"] == 8
    assert not [call for call in (*firm.espo.writes, *firm.advo.writes) if not call.is_login]
    assert not firm.config.state.path.exists()


def test_what_somebody_must_see_to_is_named(firm: Firm) -> None:
    found = {point.name: point.found for point in firm.look().points}
    assert [told.split(":")[0] for told in found["shared betnr"]] == ["104711"]
    assert firm.twin in found["shared betnr"][0]
    assert ["Nie Da" in told for told in found["not in Advoware"]] == [True]
    assert any("Mutter: 0511 123456 (advo)" in told for told in found["unclear (words)"])
    assert found["free text"] == found["parted"] == ()
    assert any("käthe@krämer.de" in told for told in found["refused"])
    assert any("+49 511 3210051" in told for told in found["duplicates"])
    assert any("0171/3210022" in told for told in found["guessed kommKz"])
    assert found["synced before"] == ()


def test_who_was_saved_only_just_now_is_left_out_by_name(firm: Firm) -> None:
    """0ddc3ba left such records out without a word (issue 13, row 13)."""
    first, *_ = (one.id for one in firm.espo.store.records.values() if one.values["betnr"] == 104712)
    firm.clock.advance(60)  # everybody else was saved a while ago
    firm.espo.edit(first, firstName="Moritz")
    found = {point.name: point.found for point in firm.look().points}
    assert found["left out"] == (first,)
    firm.clock.advance(60)
    assert {point.name: point.found for point in firm.look().points}["left out"] == ()


def test_unclear_values_are_counted_by_why_with_three_examples_and_how_to_write_them(firm: Firm) -> None:
    firm.advo.add_person(104799, "Max Unklar")
    firm.espo.add_person("Max Unklar", 104799)
    for value in ("0511 12345/46", "0511 12345/47", "0511 12345/48", "0511 12345/49", "siehe Akte"):
        firm.advo.add_row(104799, value)
    firm.clock.advance(600)
    seen = firm.look()
    points = {point.name: point for point in seen.points}
    assert points["unclear (or_sign)"].count == 4
    assert "Write each number into an entry of its own" in points["unclear (or_sign)"].about
    assert ["siehe Akte" in told for told in points["free text"].found] == [True]
    text = io.StringIO()
    first_look.render(seen, Console(file=text, width=200))
    shown = text.getvalue()
    assert [f"0511 12345/4{last} (advo)" in shown for last in (6, 7, 8, 9)] == [True, True, True, False]
    assert "unclear (prefix)" not in points  # nothing to say of what is not there


def test_pairs_of_the_first_edition_that_are_one_value_no_more_are_counted_before_the_first_run(tmp_path: Path) -> None:
    practice = first_edition("corpus", tmp_path)
    before = practice.config.state.path.read_bytes()
    found = {point.name: point.found for point in first_look.look(practice.config, world=practice.world).points}
    assert practice.config.state.path.read_bytes() == before
    ended = {line.partition(": ")[2] for line in found["parted"]}
    assert "+49491711234567 (espo), 491711234567 (advo)" in ended
    assert len(found["unclear (start_lost)"]) > 5
    pairs = set(remembered(practice, "select entity_id, komm_id from baseline"))
    practice.run()
    left = set(remembered(practice, "select entity_id, komm_id from baseline"))
    assert len(pairs - left) == len(found["parted"]) > 10
    after = {point.name: point.found for point in first_look.look(practice.config, world=practice.world).points}
    assert after["parted"] == ()


def test_the_variants_are_those_of_the_first_sync(firm: Firm) -> None:
    seen = firm.look()
    firm.clock.advance(60)
    assert seen.variants == dict(run(firm.config, Options(sweep=True), world=firm.world).variants)


def test_after_a_first_sync_there_is_nothing_left_to_do(firm: Firm) -> None:
    run(firm.config, Options(sweep=True), world=firm.world)
    firm.clock.advance(60)
    assert firm.look().variants == {}


def test_it_can_be_read_by_a_script(firm: Firm) -> None:
    document = json.loads(firm.look().to_json())
    assert list(document) == ["figures", "variants", "writes", "points"]
    assert {point["name"]: point["count"] for point in document["points"]}["shared betnr"] == 1


def test_a_system_that_is_out_ends_it(firm: Firm) -> None:
    firm.espo.store.settings["maintenanceMode"] = True
    with pytest.raises(Outage):
        firm.look()

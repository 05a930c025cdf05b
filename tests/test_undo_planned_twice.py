"""Undo of a run that planned a person twice, because somebody edited in between: one entry, put back as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.records import Scope
from tests.practice import Practice, remembered

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.sandbox.simulator import Call

TYPED, NEW = "Max@Muster.DE", "mu@muster.de"


def test_what_an_earlier_plan_of_the_run_agreed_on_was_not_agreed_before_it(tmp_path: Path) -> None:
    """Its pair would stand without an item; a new mail of EspoCRM would be taken for its change, and overwrite it."""
    practice = Practice.of(tmp_path, 0)
    entity_id = practice.espo.add_person("Max Muster", 1, phones=["+495111234560"])
    practice.advo.add_person(1, "Max Muster")
    practice.run()
    practice.espo.edit(entity_id, mails=[NEW])
    row = practice.advo.add_row(1, TYPED, komm_kz=4)
    edits: list[Call] = []

    def touched(call: Call) -> None:
        """Somebody saves the row again behind our array PUT, so that the person is planned a second time."""
        if call.method == "GET" and "/Beteiligte/" in call.path and practice.espo.writes and not edits:
            edits.append(call)
            practice.advo.edit_row(1, row, value=TYPED)

    practice.advo.before = touched
    practice.run(scope=Scope.ENTRY)
    practice.advo.before = None
    assert edits
    last = remembered(practice, "select max(id) from runs")[0][0]
    assert remembered(practice, f"select count(*) from decisions where run_id = {last} and komm_id = {row}") == [(2,)]
    practice.run(trigger="undo", undo_run=last, operator="anna", reason="wrong")
    assert remembered(practice, "select count(*) from baseline where channel = 'mail'") == [(0,)]
    practice.run()
    practice.run(sweep=True)
    assert practice.writes == []
    assert [one["tlf"] for one in practice.advo.rows(1) if one["tlf"] and "@" in one["tlf"]] == [TYPED]
    assert [one["emailAddress"] for one in practice.espo.items(entity_id) if "emailAddress" in one] == [NEW]

"""Undo of a run that planned a person twice, because somebody edited in between: one entry, put back as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.records import Scope
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.sandbox.simulator import SimRequest

TYPED, NEW = "Max@Muster.DE", "mu@muster.de"


def test_what_an_earlier_plan_of_the_run_agreed_on_was_not_agreed_before_it(tmp_path: Path) -> None:
    """Its pair would stand without an item; a new mail of EspoCRM would be taken for its change, and overwrite it."""
    harness = SyncHarness(tmp_path, 0)
    entity_id = harness.espo.add_person("Max Muster", 1, phones=["+495111234560"])
    harness.advo.add_person(1, "Max Muster")
    harness.run()
    harness.espo.edit(entity_id, mails=[NEW])
    row = harness.advo.add_row(1, TYPED, komm_kz=4)
    reads: list[SimRequest] = []

    def save_row_again(call: SimRequest) -> None:
        """Somebody saves the row again behind our array PUT, so that the person is planned a second time."""
        if call.method == "GET" and "/Beteiligte/" in call.path and harness.espo.writes and not reads:
            reads.append(call)
            harness.advo.edit_row(1, row, value=TYPED)

    harness.advo.before = save_row_again
    harness.run(scope=Scope.ENTRY)
    harness.advo.before = None
    assert reads
    run_id = harness.query_store("select max(id) from runs")[0][0]
    assert harness.query_store(f"select count(*) from decisions where run_id = {run_id} and komm_id = {row}") == [(2,)]
    harness.run(trigger="undo", undo_run=run_id, operator="anna", reason="wrong")
    assert harness.query_store("select count(*) from baseline where channel = 'mail'") == [(0,)]
    harness.run()
    harness.run(sweep=True)
    assert harness.writes == []
    assert [row_json["tlf"] for row_json in harness.advo.rows(1) if row_json["tlf"] and "@" in row_json["tlf"]] == [
        TYPED
    ]
    assert [
        item_json["emailAddress"] for item_json in harness.espo.items(entity_id) if "emailAddress" in item_json
    ] == [NEW]

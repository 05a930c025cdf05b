"""``check`` warns when somebody else writes the records this store keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.commands.check import check_for_second_writer
from jobs.commands.checks.findings import CheckResult
from jobs.pipeline import RunOptions, run_to_completion
from jobs.sandbox.espocrm.login import SYNC_USER
from tests.harness import CommandHarness

if TYPE_CHECKING:
    from pathlib import Path


def writer_findings(harness: CommandHarness) -> list[CheckResult]:
    return list(check_for_second_writer(harness.config.state.path, SYNC_USER.id, harness.clock()))


def test_one_store_that_writes_alone_is_no_reason_to_warn(tmp_path: Path) -> None:
    harness = CommandHarness(tmp_path)
    assert writer_findings(harness) == []
    harness.run()
    harness.run()
    assert writer_findings(harness) == []


def test_a_second_store_on_the_same_espocrm_is_warned_of(tmp_path: Path) -> None:
    harness = CommandHarness(tmp_path)
    harness.run()
    other_state = harness.config.state.model_copy(update={"path": tmp_path / "other.db"})
    other = harness.config.model_copy(update={"state": other_state})
    harness.clock.advance(3600)
    betnr = next(record.values["betnr"] for record in harness.espo.store.records.values() if record.values["betnr"])
    harness.advo.add_row(betnr, "0511 3217777", None, komm_kz=1)
    harness.clock.advance(60)
    run_to_completion(other, RunOptions(), environment=harness.environment)
    harness.run()
    assert [finding.message.split(":")[0].split(";")[0] for finding in writer_findings(harness)] == [
        "1 records were saved with this API key, but not by this state store",
        "1 records are written by another sync or a hook",
    ]

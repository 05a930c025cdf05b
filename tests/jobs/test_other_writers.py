"""``check`` warns when somebody else writes the records this store keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.checks import other_writers
from jobs.findings import Finding
from jobs.pipeline import Options, run
from jobs.sandbox.espocrm_login import SYNC_USER
from tests.firm import Firm

if TYPE_CHECKING:
    from pathlib import Path


def findings(firm: Firm) -> list[Finding]:
    return list(other_writers(firm.config.state.path, SYNC_USER.id, firm.clock()))


def test_one_store_that_writes_alone_is_no_reason_to_warn(tmp_path: Path) -> None:
    firm = Firm.of(tmp_path)
    assert findings(firm) == []
    firm.go()
    firm.go()
    assert findings(firm) == []


def test_a_second_store_on_the_same_espocrm_is_warned_of(tmp_path: Path) -> None:
    firm = Firm.of(tmp_path)
    firm.go()
    elsewhere = firm.config.state.model_copy(update={"path": tmp_path / "other.db"})
    other = firm.config.model_copy(update={"state": elsewhere})
    firm.clock.advance(3600)
    betnr = next(one.values["betnr"] for one in firm.espo.store.records.values() if one.values["betnr"])
    firm.advo.add_row(betnr, "0511 3217777", None, komm_kz=1)
    firm.clock.advance(60)
    run(other, Options(), world=firm.world)
    firm.go()
    assert [one.message.split(":")[0].split(";")[0] for one in findings(firm)] == [
        "1 records were saved with this API key, but not by this state store",
        "1 records are written by another sync or a hook",
    ]

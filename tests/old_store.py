"""A firm as the first edition left it (``tests/first_edition``), with this program about to run over it."""

from __future__ import annotations

import json
import lzma
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.sandbox.espocrm.login import PERSON, SYNC_USER
from tests.harness import SyncHarness

if TYPE_CHECKING:
    from jobs.sandbox.advoware.api import AdvoSim
    from jobs.sandbox.espocrm.api import EspoSim

FIRST_EDITION = Path(__file__).parent / "first_edition"

Json = dict[str, Any]


def open_first_edition(name: str, folder: Path, **sections: Any) -> SyncHarness:
    """Both systems and the state store as commit 0ddc3ba left them; ``sections``: of the configuration."""
    harness = SyncHarness(folder, 0, seed=1, **sections)
    document = json.loads(read_fixture(f"{name}.json"))
    harness.clock.set(datetime.fromisoformat(document["at"]))
    harness.espo.store.settings.update(document.get("settings", {}))
    fill_espocrm(harness.espo, document["records"])
    fill_advoware(harness.advo, document["persons"])
    with closing(sqlite3.connect(harness.config.state.path)) as store:
        store.executescript(read_fixture(f"{name}.sql"))
    harness.config.state.path.chmod(0o600)
    return harness


def read_fixture(name: str) -> str:
    """A file of this name, which is compressed where it is long."""
    compressed = FIRST_EDITION / f"{name}.xz"
    if compressed.exists():
        return lzma.decompress(compressed.read_bytes()).decode()
    return (FIRST_EDITION / name).read_text("utf-8")


def fill_espocrm(espo: EspoSim, records: list[Json]) -> None:
    """Records as they were, saved by whom and when they were."""
    for record_json in records:
        own_fields = {
            name: value for name, value in record_json.items() if name.startswith(("sync", "advoware", "kommunikation"))
        }
        phones = [item for item in record_json["items"] if "phoneNumber" in item]
        mails = [item for item in record_json["items"] if "emailAddress" in item]
        espo.add_person(
            record_json["name"],
            record_json["betnr"],
            phones=phones,
            mails=mails,
            entity_id=record_json["id"],
            **own_fields,
        )
        record = espo.store.records[record_json["id"]]
        record.created_at, record.modified_at = record_json["createdAt"], record_json["modifiedAt"]
        record.modified_by = next(
            (user for user in (SYNC_USER, PERSON) if user.id == record_json["modifiedById"]), None
        )


def fill_advoware(advo: AdvoSim, persons: list[Json]) -> None:
    """Rows with the ids and rowIds they had; new ones get others, because the seed of rowIds is another."""
    advo.beteiligte.seed = 1
    for person_json in persons:
        advo.add_person(person_json["betnr"], f"{person_json['fields']['vorname']} {person_json['fields']['name']}")
    rows = sorted(
        ((row, person_json["betnr"]) for person_json in persons for row in person_json["rows"]),
        key=lambda pair: pair[0]["id"],
    )
    for row, betnr in rows:
        while (komm_id := advo.add_row(betnr, row["tlf"], row["bemerkung"], komm_kz=row["kommKz"])) < row["id"]:
            advo.remove_row(betnr, komm_id)
        advo.beteiligte.persons[betnr].rows[komm_id].row_id = row["rowId"]

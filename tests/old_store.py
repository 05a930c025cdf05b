"""A firm as the first edition left it (``tests/first_edition``), with this program about to run over it."""

from __future__ import annotations

import json
import lzma
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.sandbox.espocrm_login import PERSON, SYNC_USER
from tests.practice import Practice

if TYPE_CHECKING:
    from jobs.sandbox.advoware import AdvoSim
    from jobs.sandbox.espocrm import EspoSim

FIRST_EDITION = Path(__file__).parent / "first_edition"

Json = dict[str, Any]


def first_edition(name: str, folder: Path, **sections: Any) -> Practice:
    """Both systems and the state store as commit 0ddc3ba left them; ``sections``: of the configuration."""
    practice = Practice.of(folder, 0, seed=1, **sections)
    told = json.loads(kept(f"{name}.json"))
    practice.clock.set(datetime.fromisoformat(told["at"]))
    practice.espo.store.settings.update(told.get("settings", {}))
    fill_espocrm(practice.espo, told["records"])
    fill_advoware(practice.advo, told["persons"])
    with closing(sqlite3.connect(practice.config.state.path)) as store:
        store.executescript(kept(f"{name}.sql"))
    practice.config.state.path.chmod(0o600)
    return practice


def kept(name: str) -> str:
    """A file of this name, which is compressed where it is long."""
    packed = FIRST_EDITION / f"{name}.xz"
    if packed.exists():
        return lzma.decompress(packed.read_bytes()).decode()
    return (FIRST_EDITION / name).read_text("utf-8")


def fill_espocrm(espo: EspoSim, records: list[Json]) -> None:
    """Records as they were, saved by whom and when they were."""
    for one in records:
        named = {name: value for name, value in one.items() if name.startswith(("sync", "advoware", "kommunikation"))}
        phones = [item for item in one["items"] if "phoneNumber" in item]
        mails = [item for item in one["items"] if "emailAddress" in item]
        espo.add_person(one["name"], one["betnr"], phones=phones, mails=mails, entity_id=one["id"], **named)
        record = espo.store.records[one["id"]]
        record.created_at, record.modified_at = one["createdAt"], one["modifiedAt"]
        record.modified_by = next((user for user in (SYNC_USER, PERSON) if user.id == one["modifiedById"]), None)


def fill_advoware(advo: AdvoSim, persons: list[Json]) -> None:
    """Rows with the ids and rowIds they had; new ones get others, because the seed of rowIds is another."""
    advo.beteiligte.seed = 1
    for one in persons:
        advo.add_person(one["betnr"], f"{one['fields']['vorname']} {one['fields']['name']}")
    rows = sorted(((row, one["betnr"]) for one in persons for row in one["rows"]), key=lambda pair: pair[0]["id"])
    for row, betnr in rows:
        while (made := advo.add_row(betnr, row["tlf"], row["bemerkung"], komm_kz=row["kommKz"])) < row["id"]:
            advo.remove_row(betnr, made)
        advo.beteiligte.persons[betnr].rows[made].row_id = row["rowId"]

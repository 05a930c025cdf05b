"""``forget``: erase a person who is no longer linked, from the store and from the copies it manages (GDPR)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.store.tables.persons import find_persons
from etl.store.upkeep.erase import erase, erase_from_copy
from jobs.commands.maintenance import backup_folder, run_maintenance_job, store_of_copy
from jobs.environment import PRODUCTION, Environment

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.config import Config
    from jobs.run.options import RunOptions, RunRequest


def forget_by_key(
    config: Config, key: str, options: RunOptions, *, environment: Environment = PRODUCTION
) -> dict[str, Any]:
    """Erase a person by its ID or betnr; ConfigError while it is linked, or when nobody is known by it."""
    return run_maintenance_job(config, options, environment, lambda request: erase_with_copies(request, key.strip()))


def erase_with_copies(request: RunRequest, key: str) -> dict[str, Any]:
    """Erase from every copy first, so that one that cannot be written leaves the person findable for another try."""
    persons = find_persons(request.store, key)
    if len(persons) > 1:
        raise ConfigError(f"Several records carry betnr {key}: name the ID of the one that is meant.")
    person = persons[0] if persons else None
    if person is not None and person["betnr"] is not None and person["gone_at"] is None:
        raise ConfigError(
            f"{person['entity_id']} is linked to betnr {person['betnr']}. Take the betnr out of the record in EspoCRM, "
            "or delete the record; after two syncs that saw so, some minutes apart, it can be forgotten."
        )
    entity_id = person["entity_id"] if person is not None else key
    copies = [path for path in list_managed_copies(request.store.path) if erase_from_copy(path, entity_id)]
    if not erase(request.store, entity_id) and not copies:
        raise ConfigError(f"Nobody is known as {key}: name the id of an EspoCRM record, or a betnr.")
    return {"forgotten": 1, "copies": len(copies)}


def list_managed_copies(path: Path) -> list[Path]:
    """The copies of this store: backups, whatever they are called, and those taken before a migration."""
    backups = [copy for copy in backup_folder(path).glob("*.db") if store_of_copy(copy) in {path.stem, None}]
    return sorted([*backups, *path.parent.glob(f"{path.name}.v*")])

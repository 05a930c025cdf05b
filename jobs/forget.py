"""``forget``: erase a person who is no longer linked, from the store and from the copies it manages (GDPR)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.store.forget import erase, erase_from_copy
from etl.store.persons import find_persons
from jobs.maintenance import backups_of, kept
from jobs.world import REAL, World

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.config import Config
    from jobs.options import Options, Order


def forget(config: Config, key: str, options: Options, *, world: World = REAL) -> dict[str, Any]:
    """Erase a person by its ID or betnr; ConfigError while it is linked, or when nobody is known by it."""
    return kept(config, options, world, lambda order: forgotten(order, key.strip()))


def forgotten(order: Order, key: str) -> dict[str, Any]:
    """Erase from every copy first, so that one that cannot be written leaves the person findable for another try."""
    found = find_persons(order.store, key)
    if len(found) > 1:
        raise ConfigError(f"Several records carry betnr {key}: name the ID of the one that is meant.")
    person = found[0] if found else None
    if person is not None and person["betnr"] is not None and person["gone_at"] is None:
        raise ConfigError(
            f"{person['entity_id']} is linked to betnr {person['betnr']}. Take the betnr out of the record in EspoCRM, "
            "or delete the record; after two syncs that saw so, some minutes apart, it can be forgotten."
        )
    entity_id = person["entity_id"] if person is not None else key
    copies = [path for path in managed_copies(order.store.path) if erase_from_copy(path, entity_id)]
    if not erase(order.store, entity_id) and not copies:
        raise ConfigError(f"Nobody is known as {key}: name the id of an EspoCRM record, or a betnr.")
    return {"forgotten": 1, "copies": len(copies)}


def managed_copies(path: Path) -> list[Path]:
    """The copies this program makes: backups, and those taken before a migration."""
    before_migrations = path.parent.glob(f"{path.name}.v*")
    return sorted([*backups_of(path).glob("*.db"), *before_migrations])

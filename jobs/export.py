"""``export``: a view as CSV, for a spreadsheet; recorded with who and why, as the data leaves the store."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.views import VIEWS
from jobs.recorded import Asked, recorded
from jobs.world import REAL, World

if TYPE_CHECKING:
    from jobs.config import Config


def export(config: Config, view: str, asked: Asked, *, world: World = REAL) -> str:
    """Return the view as CSV text with a line of names; ConfigError when there is no such view."""
    if view not in VIEWS:
        raise ConfigError(f"There is no view {view}; there are {', '.join(VIEWS)}.")
    with Store.open(config.state.path, now=world.now(), durable=world.durable) as store:
        rows = store.rows(f"select * from {view}")  # noqa: S608 - one of our own names
        names = [column.name for column in store.db.view(view).columns]
        recorded(store, "export", asked, world.now(), {"view": view, "rows": len(rows)})
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

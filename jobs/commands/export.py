"""``export``: a view as CSV, for a spreadsheet; recorded with who and why, as the data leaves the store."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.store.database import Store
from etl.store.views import VIEWS
from jobs.commands.operator_log import OperatorRequest, record_operation
from jobs.environment import PRODUCTION, Environment

if TYPE_CHECKING:
    from jobs.config import Config


def export_view(config: Config, view: str, request: OperatorRequest, *, environment: Environment = PRODUCTION) -> str:
    """Return the view as CSV text with a line of names; ConfigError when there is no such view."""
    if view not in VIEWS:
        raise ConfigError(f"There is no view {view}; there are {', '.join(VIEWS)}.")
    with Store.open(config.state.path, now=environment.now(), durable=environment.durable) as store:
        rows = store.rows(f"select * from {view}")  # noqa: S608 - one of our own names
        names = [column.name for column in store.db.view(view).columns]
        record_operation(store, "export", request, environment.now(), {"view": view, "rows": len(rows)})
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

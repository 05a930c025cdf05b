"""Datasette's metadata of the database: titles, meanings, facets and questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from etl.store.queries.canned import CANNED_QUERIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from jobs.inspector.dictionary import Dictionary, TableDoc

DATABASE: Final = "state"
OWNER: Final = "owner"

FACETS: Final[Mapping[str, list[str]]] = {
    "persons":            ["status", "due_reason"],
    "espo_entries":       ["channel", "type"],
    "former_entries":     ["channel", "opt_out"],
    "advo_entries":       ["channel", "marker_kind"],
    "baseline":           ["channel", "komm_kz"],
    "left_alone":         ["reason", "side", "detail"],
    "runs":               ["trigger", "outcome"],
    "decisions":          ["variant", "state"],
    "changes":            ["variant", "side", "state"],
    "conflicts":          ["variant", "kept"],
    "holds":              ["kind", "released_by"],
    "failing_persons":    ["status", "error"],
    "unsyncable_entries": ["detail", "channel"],
    "changes_by_day":     ["side", "variant"],
    "differences":        ["stands_in", "channel", "left_alone"],
}  # fmt: skip
"""By what a table can be narrowed down at once."""

NEWEST_FIRST: Final = dict.fromkeys(("runs", "decisions", "changes", "array_puts", "conflicts", "holds"), "id")

INTERNAL_TABLES: Final = {"settings", "lease"}
"""Tables nobody asks about; they stay reachable."""


def datasette_metadata(dictionary: Dictionary, zone: tzinfo) -> dict[str, Any]:
    """Datasette's metadata: who may look, and what each thing is."""
    tables = {**dictionary.tables, **dictionary.views}
    return {
        "title": "advosync: what the sync remembers",
        "allow": {"id": OWNER},
        "databases": {
            DATABASE: {
                "description": f"Read-only. Times are {zone}. As CSV and JSON every table, view and question has UTC.",
                "tables": {name: table_metadata(name, doc) for name, doc in tables.items()},
                "queries": {
                    name: {
                        "title": question.title,
                        "description": question.description,
                        "sql": question.sql.strip(),
                        "hide_sql": True,
                    }
                    for name, question in CANNED_QUERIES.items()
                },
            }
        },
    }


def table_metadata(name: str, doc: TableDoc) -> dict[str, Any]:
    """The metadata of one table or view."""
    entry: dict[str, Any] = {"description": doc.about, "columns": doc.columns}
    if name in FACETS:
        entry["facets"] = FACETS[name]
    if name in NEWEST_FIRST:
        entry["sort_desc"] = NEWEST_FIRST[name]
    if name in INTERNAL_TABLES:
        entry["hidden"] = True
    return entry

"""Advoware's JSON as our records: what must be there is there, or the error names the field (advoware-api.md §2)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etl.errors import Malformed
from etl.records import AdvoPerson, Row, RowDraft

CONTACT_FIELDS = frozenset({
    "telGesch", "faxGesch", "mobil", "emailGesch", "mailGesch", "telPrivat", "faxPrivat", "emailPrivat", "mailPrivat",
    "autotelefon", "sonstige", "internet",
})
"""Top-level fields of a person that say which kommKz a value has. Only ``mobil`` was ever seen; none is needed (A)."""


class _Kommunikation(BaseModel):
    """A row. ``tlf`` and ``bemerkung`` may be null but not absent: absent they would read as emptied by a person."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: int = Field(gt=0)
    rowId: str = Field(min_length=1)  # noqa: N815 - Advoware's name
    tlf: str | None
    bemerkung: str | None
    kommKz: int | None = None  # noqa: N815 - Advoware's name
    online: bool | None = None
    betNr: int | None = None  # noqa: N815 - Advoware's name

    def row(self) -> Row:
        """The same as one of our records."""
        return Row(self.id, self.rowId, self.tlf, self.bemerkung, self.kommKz or 0, self.online or False)


class _Beteiligter(BaseModel):
    """A person, as far as the sync needs one."""

    model_config = ConfigDict(hide_input_in_errors=True)

    betNr: int | None = None  # noqa: N815 - Advoware's name
    kommunikation: list[_Kommunikation]


def is_person(payload: object) -> bool:
    """It has the shape of a person, usable or not."""
    whole = _unwrapped(payload)
    return isinstance(whole, dict) and "kommunikation" in whole


def read_person(payload: object, betnr: int) -> AdvoPerson:
    """The person in ``payload``, bare or in a list of one (A); ``Malformed`` names what is missing or wrong."""
    whole = _unwrapped(payload)
    try:
        person = _Beteiligter.model_validate(whole)
    except ValidationError as error:
        raise Malformed(f"Advoware's Beteiligter {betnr}: {_complaint(error)}.") from None
    _demand_own(person, betnr)
    return AdvoPerson(betnr, tuple(row.row() for row in person.kommunikation), _contact_fields(whole))


def read_created(payload: object, draft: RowDraft) -> Row | None:
    """The created row; ``None`` without a usable id. What the answer lacks is taken from ``draft``, a rowId is ""."""
    told = _unwrapped(payload)
    if not isinstance(told, dict):
        return None
    sent = {"tlf": draft.value, "bemerkung": draft.remark, "kommKz": draft.komm_kz, "online": draft.online}
    row = _row_or_none({"rowId": "?"} | sent | told)
    if row is None or isinstance(told.get("id"), bool):
        return None
    return row if "rowId" in told else Row(row.komm_id, "", row.value, row.remark, row.komm_kz, row.online)


def read_updated(payload: object, komm_id: int) -> Row | None:
    """The row as a PUT answers it; ``None`` where the answer is something else: then the verifying GET tells (A)."""
    row = _row_or_none(_unwrapped(payload))
    return row if row is not None and row.komm_id == komm_id else None


def _unwrapped(payload: object) -> Any:  # noqa: ANN401 - foreign JSON, validated by the callers
    return payload[0] if isinstance(payload, list) and len(payload) == 1 else payload


def _row_or_none(payload: object) -> Row | None:
    try:
        return _Kommunikation.model_validate(payload).row()
    except ValidationError:
        return None


def _demand_own(person: _Beteiligter, betnr: int) -> None:
    """An answer about somebody else, or with one row twice, is not this person's."""
    said = {person.betNr} if person.betNr is not None else {row.betNr for row in person.kommunikation} - {None}
    if strangers := sorted(said - {betnr}, key=str):
        raise Malformed(f"Advoware's Beteiligter {betnr}: betNr is {strangers[0]} in the answer.")
    if len({row.id for row in person.kommunikation}) != len(person.kommunikation):
        raise Malformed(f"Advoware's Beteiligter {betnr}: kommunikation holds an id twice.")


def _contact_fields(whole: dict[str, object]) -> dict[str, str]:
    return {name: value for name, value in whole.items() if name in CONTACT_FIELDS and isinstance(value, str)}


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the answer"
    return f"{place} is missing" if first["type"] == "missing" else f"{place} is not usable ({first['msg']})"

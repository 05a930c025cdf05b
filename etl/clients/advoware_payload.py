"""Advoware's JSON as our records: what must be there is there, or the error names the field (Advoware §2)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etl.errors import MalformedPayload
from etl.records import AdvoRecord, AdvoRow, RowDraft

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

    def to_row(self) -> AdvoRow:
        """This row as an ``AdvoRow``."""
        return AdvoRow(self.id, self.rowId, self.tlf, self.bemerkung, self.kommKz or 0, self.online or False)


class _Beteiligter(BaseModel):
    """A person, as far as the sync needs one."""

    model_config = ConfigDict(hide_input_in_errors=True)

    betNr: int | None = None  # noqa: N815 - Advoware's name
    kommunikation: list[_Kommunikation]


def is_person_payload(payload: object) -> bool:
    """Whether the payload has the shape of a person, usable or not."""
    person = _unwrap_single(payload)
    return isinstance(person, dict) and "kommunikation" in person


def parse_person(payload: object, betnr: int) -> AdvoRecord:
    """The person in ``payload``, bare or in a list of one (A); ``MalformedPayload`` names what is missing or wrong."""
    person_payload = _unwrap_single(payload)
    try:
        person = _Beteiligter.model_validate(person_payload)
    except ValidationError as error:
        raise MalformedPayload(f"Advoware's Beteiligter {betnr}: {_validation_message(error)}.") from None
    _require_betnr(person, betnr)
    return AdvoRecord(betnr, tuple(row.to_row() for row in person.kommunikation), _contact_fields(person_payload))


def parse_created_row(payload: object, draft: RowDraft) -> AdvoRow | None:
    """The created row; ``None`` without a usable id. What the answer lacks is taken from ``draft``, a rowId is ""."""
    row_payload = _unwrap_single(payload)
    if not isinstance(row_payload, dict):
        return None
    sent = {"tlf": draft.value, "bemerkung": draft.remark, "kommKz": draft.komm_kz, "online": draft.online}
    row = _parse_row({"rowId": "?"} | sent | row_payload)
    if row is None or isinstance(row_payload.get("id"), bool):
        return None
    return row if "rowId" in row_payload else AdvoRow(row.komm_id, "", row.value, row.remark, row.komm_kz, row.online)


def parse_updated_row(payload: object, komm_id: int) -> AdvoRow | None:
    """The row as a PUT answers it; ``None`` where the answer is something else: then the verifying GET tells (A)."""
    row = _parse_row(_unwrap_single(payload))
    return row if row is not None and row.komm_id == komm_id else None


def _unwrap_single(payload: object) -> Any:  # noqa: ANN401 - foreign JSON, validated by the callers
    return payload[0] if isinstance(payload, list) and len(payload) == 1 else payload


def _parse_row(payload: object) -> AdvoRow | None:
    try:
        return _Kommunikation.model_validate(payload).to_row()
    except ValidationError:
        return None


def _require_betnr(person: _Beteiligter, betnr: int) -> None:
    """An answer about somebody else, or with one row twice, is not this person's."""
    betnrs = {person.betNr} if person.betNr is not None else {row.betNr for row in person.kommunikation} - {None}
    if other_betnrs := sorted(betnrs - {betnr}, key=str):
        raise MalformedPayload(f"Advoware's Beteiligter {betnr}: betNr is {other_betnrs[0]} in the answer.")
    if len({row.id for row in person.kommunikation}) != len(person.kommunikation):
        raise MalformedPayload(f"Advoware's Beteiligter {betnr}: kommunikation holds an id twice.")


def _contact_fields(person_payload: dict[str, object]) -> dict[str, str]:
    return {name: value for name, value in person_payload.items() if name in CONTACT_FIELDS and isinstance(value, str)}


def _validation_message(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field_path = ".".join(str(part) for part in first["loc"]) or "the answer"
    return f"{field_path} is missing" if first["type"] == "missing" else f"{field_path} is not usable ({first['msg']})"

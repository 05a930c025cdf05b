"""Bad days on demand: what an operator has to know before it happens to the firm."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

from jobs.sandbox.people import Editors

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.sandbox.advoware.api import AdvoSim
    from jobs.sandbox.espocrm.api import EspoSim
    from jobs.sandbox.simulator import Json

SUBSCRIBER_DIGITS = 7
"""By so many last digits a number is known again, however each side spells it."""


def toggle_outage(_espo: EspoSim, advo: AdvoSim, _seed: int) -> list[str]:
    """Advoware's local service goes down, or is there again."""
    advo.behaviour.offline = not advo.behaviour.offline
    if advo.behaviour.offline:
        return ["Advoware is out: runs end with 4; `outage` once more ends it"]
    return ["Advoware is back"]


def make_conflict(espo: EspoSim, advo: AdvoSim, seed: int) -> list[str]:
    """One number that both sides have is changed on both, differently."""
    random = Random(seed)  # noqa: S311  people, no secret
    editors = Editors(espo, advo, random)
    pairs = [
        (entity_id, betnr, phones, phone, row)
        for entity_id, betnr in editors.persons()
        for phones in [editors.phones(entity_id)]
        for phone in phones
        for rows in [rows_of_number(editors.entries(betnr), phone["phoneNumber"])]
        if len(rows) == 1  # of a number typed twice only one row is synced
        for row in rows
    ]
    if not pairs:
        return ["Nobody has a number on both sides; run `sync` first"]
    entity_id, betnr, phones, phone, row = random.choice(pairs)
    in_espo, in_advo = f"+49511{next(editors.numbers)}", f"0511 {next(editors.numbers)}"
    espo.edit(entity_id, phones=[{**phone, "phoneNumber": in_espo} if other is phone else other for other in phones])
    advo.edit_row(betnr, row["id"], value=in_advo)
    return [f"{betnr}: {phone['phoneNumber']} changed to {in_espo} in EspoCRM and to {in_advo} in Advoware"]


def delete_many(espo: EspoSim, advo: AdvoSim, seed: int) -> list[str]:
    """Of every person only one entry is left in Advoware, as after an import that went wrong."""
    editors = Editors(espo, advo, Random(seed))  # noqa: S311  people, no secret
    deleted = [(betnr, row["id"]) for _, betnr in editors.persons() for row in editors.entries(betnr)[1:]]
    for betnr, komm_id in deleted:
        advo.remove_row(betnr, komm_id)
    return [f"Advoware: {len(deleted)} entries of {len({betnr for betnr, _ in deleted})} persons deleted"]


def rows_of_number(rows: list[Json], number: str) -> list[Json]:
    """The rows that hold a number."""
    return [row for row in rows if last_digits(row["tlf"]) == last_digits(number)]


def last_digits(value: str) -> str:
    """What a number is known by; a mail has none and is never alike."""
    digits = re.sub(r"\D", "", value)
    return digits[-SUBSCRIBER_DIGITS:] if "@" not in value and len(digits) >= SUBSCRIBER_DIGITS else value


INCIDENTS: dict[str, Callable[[EspoSim, AdvoSim, int], list[str]]] = {
    "outage": toggle_outage,
    "conflict": make_conflict,
    "deletion": delete_many,
}
"""What may be typed, and what then happens."""

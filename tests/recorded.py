"""The recordings of a real EspoCRM 9.2.7, and the simulator as that server stood before each of them.

Two sessions: five persons in the first, in the second four more and a Contact, on a server without `advowareRowId`.
A simulator is brought to a cassette by replaying what was recorded before it in its session.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import yaml

from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.login import BASIC_CREDENTIALS, SYNC_USER
from jobs.sandbox.simulator import SimClock, SimResponse

CASSETTES = Path(__file__).parent / "cassettes" / "espocrm-9.2.7"
SITE = "http://crm.example.test"

FIRST = (
    "login", "settings_and_fields", "list_keyset_paging", "list_limits", "list_due_persons", "get_record",
    "write_arrays", "write_refused", "shared_phone_row", "version_number", "stream_note", "create_fields",
    "deleted_record",
)  # fmt: skip
SECOND = (
    "metadata_unset_key", "field_not_editable", "field_not_readable", "shared_lookup", "shared_flags", "protected_row",
    "stream_off",
)  # fmt: skip

ANNA, BERND, CLARA, DORIS, EMIL = FIRST_PERSONS = (
    "6b043d185cf2319ed", "6b043d197d5ce6745", "6b043d1a9d5c1ad31", "6b043d1bbce6e4a8b", "6b043d1cdc3df6f0b",
)  # fmt: skip
GERDA, HANS, ILSE, LENA = "6b08de375bc304bfc", "6b08de38baa685113", "6b08de38c16d6477b", "6b08de3aa54301502"
KARL = "6b08de3a97648b01c"  # the Contact
SYNC = replace(SYNC_USER, id="6b08de35b0fdfcf66")
ROLES: dict[str, tuple[str, str, dict[str, str]]] = {
    "field_not_editable": ("6b08de365ef0ace75", "sync_noedit", {"read": "yes", "edit": "no"}),
    "field_not_readable": ("6b08de36ee273e8dc", "sync_noread", {"read": "no", "edit": "no"}),
}


def load_interactions(cassette: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load((CASSETTES / f"{cassette}.yaml").read_text("utf-8"))["interactions"])


def response_date(interaction: dict[str, Any]) -> datetime:
    return parsedate_to_datetime(interaction["response"]["headers"]["date"][0])


def simulator_at(cassette: str) -> tuple[EspoSim, SimClock]:
    """The simulator and its clock as the server was when this cassette began."""
    session = FIRST if cassette in FIRST else SECOND
    clock = SimClock()
    sim = EspoSim(clock, api_key="API-KEY")
    (seed_first_session if session == FIRST else seed_second_session)(sim, clock)
    for earlier in session[: session.index(cassette)]:
        prepare_cassette(sim, earlier)
        for interaction in load_interactions(earlier):
            replay(sim, clock, interaction)
    prepare_cassette(sim, cassette)
    clock.set(response_date(load_interactions(cassette)[0]))
    return sim, clock


def replay(sim: EspoSim, clock: SimClock, interaction: dict[str, Any]) -> SimResponse:
    """The simulator's answer to a recorded request, at the second the real one gave it."""
    request = interaction["request"]
    clock.set(response_date(interaction))
    headers = {name: values[0] for name, values in request["headers"].items()}
    if "Authorization" in headers:
        headers["Authorization"] = f"Basic {BASIC_CREDENTIALS}"
    elif interaction["response"]["status"]["code"] == 401:
        headers["X-Api-Key"] = "wrong"  # keys are masked: whoever got 401 had the wrong one
    return sim.handle(request["method"], request["uri"].removeprefix(SITE), headers, (request["body"] or "").encode())


def prepare_cassette(sim: EspoSim, cassette: str) -> None:
    """What the administrator changed before this cassette."""
    sim.store.concurrency = True if cassette == "version_number" else None
    sim.store.stream = cassette != "stream_off"
    if cassette == "deleted_record":
        sim.delete(DORIS)
    if cassette in SECOND:
        entity_id, name, rights = ROLES.get(cassette, (SYNC.id, SYNC.name, {}))
        sim.login.api_user = replace(SYNC, id=entity_id, name=name)
        sim.store.role.fields = {field: rights for field in ("phoneNumber", "emailAddress") if rights}


def seed_first_session(sim: EspoSim, clock: SimClock) -> None:
    """The five persons as they stood when the first session began."""
    names = ("Anna Ahrens", "Bernd Brandt", "Clara Conrad", "Doris Drewes", "Emil Ernst")
    for n, (entity_id, name) in enumerate(zip(FIRST_PERSONS, names, strict=True)):
        clock.set(parsedate_to_datetime(f"Mon, 23 Nov 2026 13:18:{16 + n} GMT"))
        mail = f"{name.split()[1].lower()}{n}@kanzlei-muster.de"
        phones = [(f"+4951170000{n}", "Office"), (f"+4917170000{n}", "Mobile")]
        sim.add_person(name, 910001 + n, phones=phones, mails=[mail], entity_id=entity_id, user=SYNC_USER)
    sim.store.ids = itertools.chain(["6b043d1f91f747a65"], sim.store.ids)  # the note of stream_note


def seed_second_session(sim: EspoSim, clock: SimClock) -> None:
    """The persons of the second session, and a Contact that is nobody's affair, with marks on his number and mail."""
    sim.app_timestamp = "1795739388"
    del sim.store.fields["advowareRowId"]
    marks = {"optOut": True, "invalid": True}
    for second, entity_id, name, betnr, mail, phone in (
        (47, GERDA, "Gerda Gruber", 910011, "gruber@kanzlei-muster.de", "+49511700011"),
        (48, HANS, "Hans Huber", 910012, "hans@kanzlei-muster.de", "+49511700020"),
        (48, ILSE, "Ilse Iser", 910013, "iser@kanzlei-muster.de", "+49511700031"),
        (50, LENA, "Lena Lang", 910014, "lang@kanzlei-muster.de", "+49511700051"),
    ):
        clock.set(parsedate_to_datetime(f"Fri, 27 Nov 2026 01:34:{second} GMT"))
        addresses: dict[str, Any] = {"phones": [(phone, "Office")], "mails": [mail]}
        sim.add_person(name, betnr, **addresses, entity_id=entity_id, user=SYNC, syncStatus="clean")
        if entity_id == HANS:
            phones = [*addresses["phones"], {"phoneNumber": "+49511700021", "type": "Fax", **marks}]
            sim.edit(HANS, phones=phones, mails=[mail, {"emailAddress": "Huber@Kanzlei-Muster.de", **marks}])
            sim.store.records[HANS].modified_by = SYNC
    sim.store.ids = itertools.chain([KARL, "6b08de3dc1edb7e27"], sim.store.ids)  # the Contact, the note of stream_off
    fax = {"phoneNumber": "+49511700041", "type": "Fax", **marks}
    sim.add_contact("Karl Krause", phones=[fax], mails=[{"emailAddress": "Krause@Kanzlei-Muster.de", **marks}])

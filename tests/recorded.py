"""The recordings of four real EspoCRMs, and the simulator as such a server stood before each of them.

The same requests were recorded in each version, in the order below: five persons in the first session, in the second
four more and a Contact, and on EspoCRM 10 one who is locked. Whose ids, and when, the recordings themselves say. A
simulator is brought to a recording by replaying what was recorded before it in its session.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.espocrm.login import ADMIN, BASIC_CREDENTIALS, SYNC_USER
from jobs.sandbox.espocrm.versions import VERSIONS
from jobs.sandbox.simulator import SimClock, SimResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.sandbox.espocrm.record import User
    from jobs.sandbox.espocrm.versions import EspoVersion

CASSETTES = Path(__file__).parent / "cassettes"
SITE = "http://crm.example.test"

FIRST = (
    "login", "settings_and_fields", "list_keyset_paging", "list_limits", "list_due_persons", "get_record",
    "write_arrays", "write_refused", "shared_phone_row", "version_number", "stream_note", "create_fields",
    "deleted_record",
)  # fmt: skip
SECOND = (
    "metadata_unset_key", "field_not_editable", "field_not_readable", "shared_lookup", "shared_flags", "protected_row",
    "stream_off", "transactional_save", "record_locked", "not_lockable",
)  # fmt: skip
ALL = FIRST + SECOND

FIRST_NAMES = ("Anna Ahrens", "Bernd Brandt", "Clara Conrad", "Doris Drewes", "Emil Ernst")
SECOND_PERSONS = {
    "Gerda Gruber": (910011, "gruber@kanzlei-muster.de", "+49511700011"),
    "Hans Huber":   (910012, "hans@kanzlei-muster.de",   "+49511700020"),
    "Ilse Iser":    (910013, "iser@kanzlei-muster.de",   "+49511700031"),
    "Lena Lang":    (910014, "lang@kanzlei-muster.de",   "+49511700051"),
    "Olaf Otto":    (910015, "otto@kanzlei-muster.de",   "+49511700061"),  # 10: the one who is locked
}  # fmt: skip
CONTACT = "Karl Krause"
MARKS = {"optOut": True, "invalid": True}
RIGHTS = {
    "field_not_editable": {"read": "yes", "edit": "no"},
    "field_not_readable": {"read": "no", "edit": "no"},
}


def load_interactions(folder: str, cassette: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load((CASSETTES / folder / f"{cassette}.yaml").read_text("utf-8"))["interactions"])


def response_date(interaction: dict[str, Any]) -> datetime:
    return parsedate_to_datetime(interaction["response"]["headers"]["date"][0])


def response_json(interaction: dict[str, Any]) -> Any:
    """A recorded body; None where it is no JSON."""
    body = interaction["response"]["body"]["string"]
    return json.loads(body) if body[:1] in {"{", "["} else None


@dataclass(frozen=True)
class RecordedPerson:
    """Who stands in a recording."""

    id: str
    created_at: str


@dataclass(frozen=True)
class Recordings:
    """All recordings of one version, in the order they were made."""

    version: EspoVersion

    @property
    def folder(self) -> Path:
        return CASSETTES / f"espocrm-{self.version.number}"

    @cached_property
    def interactions(self) -> dict[str, list[dict[str, Any]]]:
        """The exchanges of each cassette."""
        present = {file.stem for file in self.folder.glob("*.yaml")}
        return {name: load_interactions(self.folder.name, name) for name in ALL if name in present}

    @cached_property
    def persons(self) -> dict[str, RecordedPerson]:
        """Everybody by name."""
        return {
            record["name"]: RecordedPerson(record["id"], record["createdAt"])
            for record in self._records()
            if {"id", "name", "createdAt", "emailAddress"} <= record.keys()
        }

    def __getitem__(self, first_name: str) -> str:
        """The id of a person, who is named in short."""
        return next(person.id for name, person in self.persons.items() if name.startswith(first_name))

    @property
    def first_ids(self) -> list[str]:
        """The ids of the first session's persons."""
        return [self[name] for name in FIRST_NAMES]

    def before(self, cassette: str) -> list[str]:
        """The cassettes before it in its session."""
        session = FIRST if cassette in FIRST else SECOND
        return [name for name in session[: session.index(cassette)] if name in self.interactions]

    def user_of(self, cassette: str) -> User:
        """The API user who asks in a cassette: of its own role, else of its session."""
        source = cassette if cassette in RIGHTS else "login" if cassette in FIRST else "stream_off"
        (user,) = (
            response["user"]
            for response in map(response_json, self.interactions[source])
            if isinstance(response, dict) and "user" in response
        )
        return replace(SYNC_USER, id=user["id"], name=user["name"])

    def _records(self) -> Iterator[dict[str, Any]]:
        for response in map(response_json, itertools.chain.from_iterable(self.interactions.values())):
            if isinstance(response, dict):
                yield from (response, *(part for part in response.get("list", [])))


@cache
def recordings_of(version: str) -> Recordings:
    """The recordings of a version, by its name."""
    return Recordings(VERSIONS[version])


def simulator_at(version: str, cassette: str) -> tuple[EspoSim, SimClock]:
    """The simulator of a version, and its clock, as the server was when this cassette began."""
    recordings, clock = recordings_of(version), SimClock()
    sim = EspoSim(clock, api_key="API-KEY", espocrm=version)
    sim.login.api_user = recordings.user_of(cassette)
    (seed_first_session if cassette in FIRST else seed_second_session)(sim, clock, recordings)
    for earlier in recordings.before(cassette):
        prepare_cassette(sim, clock, recordings, earlier)
        for interaction in recordings.interactions[earlier]:
            replay(sim, clock, interaction)
    prepare_cassette(sim, clock, recordings, cassette)
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


def prepare_cassette(sim: EspoSim, clock: SimClock, recordings: Recordings, cassette: str) -> None:
    """What the administrator changed before this cassette."""
    interactions = recordings.interactions[cassette]
    sim.store.entity.concurrency = True if cassette == "version_number" else None
    sim.store.entity.stream = cassette != "stream_off"
    sim.app_timestamp = next(
        headers["x-app-timestamp"][0]
        for headers in (interaction["response"]["headers"] for interaction in interactions)
        if "x-app-timestamp" in headers
    )
    notes = [interaction for interaction in interactions if interaction["request"]["uri"].endswith("Note")]
    note_ids = [response_json(interaction)["id"] for interaction in notes]
    sim.store.ids = itertools.chain(note_ids, sim.store.ids)
    if cassette == "deleted_record":
        sim.delete(recordings["Doris"])
    if cassette == "record_locked":
        lock_person(sim, clock, recordings["Olaf"], response_json(interactions[1]))
    sim.login.api_user = recordings.user_of(cassette)
    rights = RIGHTS.get(cassette)
    sim.store.role.fields = {field: rights for field in ("phoneNumber", "emailAddress") if rights}
    clock.set(response_date(interactions[0]))


def lock_person(sim: EspoSim, clock: SimClock, entity_id: str, locked_record: dict[str, Any]) -> None:
    """Let the administrator lock somebody when, and as whom, the record tells."""
    clock.set(parse_time(locked_record["modifiedAt"]))
    sim.store.entity.lockable = True
    sim.lock(entity_id, replace(ADMIN, id=locked_record["modifiedById"]))


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def seed_first_session(sim: EspoSim, clock: SimClock, recordings: Recordings) -> None:
    """The five persons as they stood when the first session began; on 9.2 with a field more, in an older EspoCRM."""
    if recordings.version is VERSIONS["9.2"]:
        sim.store.entity.fields["advowareRowId"] = {"type": "varchar", "maxLength": 50, "isCustom": True}
        sim.store.settings["maintenanceMode"] = False
    for n, name in enumerate(FIRST_NAMES):
        person = recordings.persons[name]
        clock.set(parse_time(person.created_at))
        mail = f"{name.split()[1].lower()}{n}@kanzlei-muster.de"
        phones = [(f"+4951170000{n}", "Office"), (f"+4917170000{n}", "Mobile")]
        user = sim.login.api_user
        sim.add_person(name, 910001 + n, phones=phones, mails=[mail], entity_id=person.id, user=user)


def seed_second_session(sim: EspoSim, clock: SimClock, recordings: Recordings) -> None:
    """The persons of the second session, and a Contact that is nobody's affair, with marks on his number and mail."""
    user = recordings.user_of("stream_off")
    for name, (betnr, mail, phone) in SECOND_PERSONS.items():
        if name not in recordings.persons:
            continue
        person = recordings.persons[name]
        clock.set(parse_time(person.created_at))
        addresses: dict[str, Any] = {"phones": [(phone, "Office")], "mails": [mail]}
        sim.add_person(name, betnr, **addresses, entity_id=person.id, user=user, syncStatus="clean")
        if name == "Hans Huber":
            phones = [*addresses["phones"], {"phoneNumber": "+49511700021", "type": "Fax", **MARKS}]
            sim.edit(person.id, phones=phones, mails=[mail, {"emailAddress": "Huber@Kanzlei-Muster.de", **MARKS}])
            sim.store.records[person.id].modified_by = user
    sim.store.ids = itertools.chain([recordings[CONTACT]], sim.store.ids)
    fax = {"phoneNumber": "+49511700041", "type": "Fax", **MARKS}
    sim.add_contact(CONTACT, phones=[fax], mails=[{"emailAddress": "Krause@Kanzlei-Muster.de", **MARKS}])

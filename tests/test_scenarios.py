"""The 32 scenarios of tests/scenarios.md, each as a table through whole runs over HTTP.

How to read one: ``before`` stands on both sides (and is synced when ``edits`` follow), ``edits`` is what people leave
behind, ``after`` what one run makes of it; columns EspoCRM | row kommKz tlf | remark, letters as in `tests.notation`.
``calls`` are the requests about the person in their order, ``lost`` the values in ``conflicts``. `tests.play` adds what
holds after every scenario.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jobs.sandbox.espocrm.versions import VERSIONS
from tests.notation import LEGEND, marker_text, slot_text
from tests.play import assert_nothing_to_do, run_scenarios

if TYPE_CHECKING:
    from tests.http_harness import HttpHarness



@pytest.fixture(params=VERSIONS)
def espocrm(request: pytest.FixtureRequest) -> str:
    """Each scenario is played with every EspoCRM the sandbox can be."""
    return str(request.param)


ONE_SIDE = {
    "S1": """Var1: new in EspoCRM
before   w Home *          | 88001 6 w'        |
edits    w Home *          | =
         x Office          |
after    w Home *          | 88001 6 w'        | m(w:6)
         x Office          | 88002 1 x         | m(x:1)
calls    E:GET A:GET A:POST A:GET E:PUT
did      var1
""",
    "S2": """Var2: deleted in EspoCRM
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        | nur vormittags
edits    w Home *          | =
after    w Home *          | 88001 6 w'        | m(w:6)
                           | 88002 1           | slot(1) nur vormittags
calls    E:GET A:GET E:GET A:PUT A:GET E:PUT
did      var2
""",
    "S3": """Var3: deleted in Advoware
before   w Home            | 88001 6 w'        |
         x Office          | 88002 1 x'        |
         y Fax * optOut    | 88003 2 y'        |
edits    =                 | 88001 6 w'        | ^
                           | 88003 2 y'        | ^
after    w Home            | 88001 6 w'        | m(w:6)
         y Fax * optOut    | 88003 2 y'        | m(y:2)
calls    A:GET E:GET A:GET E:PUT E:GET A:GET E:PUT
did      var3
""",
    "S4": """Var4: new in Advoware
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        |
edits    =                 | 88001 6 w'        | ^
                           | 88002 1 x'        | ^
                           | 88003 1 z'        | Büro
after    w Home *          | 88001 6 w'        | m(w:6)
         x Office          | 88002 1 x'        | m(x:1)
         z Office          | 88003 1 z'        | m(z:1) Büro
calls    A:GET E:GET E:PUT E:GET A:GET A:PUT A:GET E:PUT
did      var4
""",
    "S5": """Var5: changed in EspoCRM: the same row
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1o x'       | Zentrale
edits    w Home *          | =
         x2 Office         |
after    w Home *          | 88001 6 w'        | m(w:6)
         x2 Office         | 88002 1o x2       | m(x2:1) Zentrale
calls    E:GET A:GET A:PUT A:GET E:PUT
did      var5
""",
    "S6": """Var6: changed in Advoware: type and primary stay
before   w Home            | 88001 6 w'        |
         x Fax * invalid   | 88002 2 x'        |
edits    =                 | 88001 6 w'        | ^
                           | 88002 2 x3'       | ^
after    w Home            | 88001 6 w'        | m(w:6)
         x3 Fax * invalid  | 88002 2 x3'       | m(x3:2)
calls    A:GET E:GET E:PUT E:GET A:GET A:PUT A:GET E:PUT
did      var6
""",
}

CONFLICTS = {
    "C1": """both change one entry
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        |
edits    w Home *          | 88001 6 w'        | ^
         x2 Office         | 88002 1 x3'       | ^
after    w Home *          | 88001 6 w'        | m(w:6)
         x2 Office         | 88002 1 x2        | m(x2:1)
lost     x2                | x3'
calls    E:GET A:GET A:PUT A:GET E:PUT E:NOTE
did      clash
""",
    "C2 person": """both have something new
before   w Home *          | 88001 6 w'        |
edits    w Home *          | 88001 6 w'        | ^
         y Office          | 88002 1 z'        | Büro
after    w Home *          | 88001 6 w'        | m(w:6)
         y Office          | 88002 1           | slot(1) Büro
                           | 88003 1 y         | m(y:1)
lost     -                 | z'
calls    E:GET A:GET A:POST A:PUT A:GET E:PUT E:NOTE
did      var1 var4
""",
    "C2 entry": """both have something new: both kept on both sides
before   w Home *          | 88001 6 w'        |
edits    w Home *          | 88001 6 w'        | ^
         y Office          | 88002 1 z'        | Büro
after    w Home *          | 88001 6 w'        | m(w:6)
         y Office          | 88002 1 z'        | m(z:1) Büro
         z Office          | 88003 1 y         | m(y:1)
calls    E:GET A:GET E:PUT E:GET A:GET A:POST A:PUT A:GET E:PUT
did      var1 var4
""",
    "C3 person": """each changes another entry
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        |
         y Fax             | 88003 2 y'        | Kanzlei
edits    w Home *          | 88001 6 w'        | ^
         x2 Office         | 88002 1 x'        | ^
         y Fax             | 88003 2 y3'       | ^
after    w Home *          | 88001 6 w'        | m(w:6)
         x2 Office         | 88002 1 x2        | m(x2:1)
         y Fax             | 88003 2 y         | m(y:2) Kanzlei
lost     y                 | y3'
calls    E:GET A:GET A:PUT A:PUT A:GET E:PUT E:NOTE
did      var5 var6
""",
    "C3 entry": """each changes another entry: both carried over
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        |
         y Fax             | 88003 2 y'        | Kanzlei
edits    w Home *          | 88001 6 w'        | ^
         x2 Office         | 88002 1 x'        | ^
         y Fax             | 88003 2 y3'       | ^
after    w Home *          | 88001 6 w'        | m(w:6)
         x2 Office         | 88002 1 x2        | m(x2:1)
         y3 Fax            | 88003 2 y3'       | m(y3:2) Kanzlei
calls    E:GET A:GET E:PUT E:GET A:GET A:PUT A:PUT A:GET E:PUT
did      var5 var6
""",
    "C4": """deleted in EspoCRM, changed in Advoware
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        | Zentrale
edits    w Home *          | 88001 6 w'        | ^
                           | 88002 1 x3'       | ^
after    w Home *          | 88001 6 w'        | m(w:6)
                           | 88002 1           | slot(1) Zentrale
lost     -                 | x3'
calls    E:GET A:GET E:GET A:PUT A:GET E:PUT E:NOTE
did      clash
""",
    "C5": """changed in EspoCRM, deleted in Advoware: both gave x up
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        |
edits    w Home *          | 88001 6 w'        | ^
         x2 Office         |
after    w Home *          | 88001 6 w'        | m(w:6)
         x2 Office         | 88003 1 x2        | m(x2:1)
calls    E:GET A:GET E:GET A:GET A:POST A:GET E:PUT
did      var1
""",
}

FIRST_SYNC = {
    "I1": """the same on both sides, without markers
before   x Office *        | 88001 1 x'        | Zentrale
         a *               | 88002 4 a'        |
after    x Office *        | 88001 1 x'        | m(x:1) Zentrale
         a *               | 88002 4 a'        | m(a:4)
calls    E:GET A:GET A:PUT A:PUT A:GET E:PUT
did      link link
""",
    "I2": """only in EspoCRM
before   x Office *        | -
after    x Office *        | 88001 1 x         | m(x:1)
calls    E:GET A:GET A:POST A:GET E:PUT
did      var1
""",
    "I3": """only in Advoware
before   -                 | 88001 1 x'        |
                           | 88002 4 a'        | privat
after    x Office *        | 88001 1 x'        | m(x:1)
         a' *              | 88002 4 a'        | m(a':4) privat
calls    E:GET A:GET E:PUT E:GET A:GET A:PUT A:PUT A:GET E:PUT
did      var4 var4
""",
    "I4": """two links whatever the spelling, one more on each side
before   x Office *        | 88001 1 x'        |
         y Home            | 88002 1 z'        |
         a' *              | 88003 4 a         |
after    x Office *        | 88001 1 x'        | m(x:1)
         y Home            | 88002 1 z'        | m(z:1)
         a' *              | 88003 4 a         | m(a':4)
         z Office          | 88004 6 y         | m(y:6)
calls    E:GET A:GET E:PUT E:GET A:GET A:PUT A:PUT A:PUT A:POST A:GET E:PUT
did      link link var1 var4
""",
    "I5 nothing": """nothing on either side
before   -                 | -
after    -                 | -
calls    E:GET A:GET E:PUT
""",
    "I5 internet": """only what is not sync-relevant
before   -                 | 88001 5 www.muster.de |
after    -                 | 88001 5 www.muster.de |
calls    E:GET A:GET E:PUT
""",
}

SLOTS = {
    "L1": """Var2 of a Mobile entry
before   w Home *          | 88001 6 w'        |
         p Mobile          | 88002 3 p'        |
edits    w Home *          | =
after    w Home *          | 88001 6 w'        | m(w:6)
                           | 88002 3           | slot(3)
calls    E:GET A:GET E:GET A:PUT A:GET E:PUT
did      var2
""",
    "L2": """an empty slot of the kommKz is used again: no POST
before   w Home *          | 88001 6 w'        |
         p Mobile          | 88002 3 p'        |
edits    w Home *          | =
after    w Home *          | 88001 6 w'        | m(w:6)
                           | 88002 3           | slot(3)
edits    w Home *          | =
         q Mobile          |
after    w Home *          | 88001 6 w'        | m(w:6)
         q Mobile          | 88002 3 q         | m(q:3)
calls    E:GET A:GET A:PUT A:GET E:PUT
did      var1
""",
    "L2 own text": """a slot with somebody's text is kept
before   w Home *          | 88001 6 w'        |
         p Mobile          | 88002 3 p'        | Mutter, nur abends
edits    w Home *          | =
after    w Home *          | 88001 6 w'        | m(w:6)
                           | 88002 3           | slot(3) Mutter, nur abends
edits    w Home *          | =
         q Mobile          |
after    w Home *          | 88001 6 w'        | m(w:6)
         q Mobile          | 88002 3           | slot(3) Mutter, nur abends
                           | 88003 3 q         | m(q:3)
calls    E:GET A:GET A:POST A:GET E:PUT
did      var1
""",
    "L3": """a slot of another kommKz is not used
before   w Home *          | 88001 6 w'        |
         a *               | 88002 4 a         |
edits    w Home *          | =
after    w Home *          | 88001 6 w'        | m(w:6)
                           | 88002 4           | slot(4)
edits    w Home *          | =
         q Mobile          |
after    w Home *          | 88001 6 w'        | m(w:6)
         q Mobile          | 88002 4           | slot(4)
                           | 88003 3 q         | m(q:3)
calls    E:GET A:GET A:POST A:GET E:PUT
did      var1
""",
    "L4": """a person typed into a slot
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        | Zentrale
edits    w Home *          | =
after    w Home *          | 88001 6 w'        | m(w:6)
                           | 88002 1           | slot(1) Zentrale
edits    =                 | 88001 6 w'        | ^
                           | 88002 1 z'        | ^
after    w Home *          | 88001 6 w'        | m(w:6)
         z Office          | 88002 1 z'        | m(z:1) Zentrale
calls    A:GET E:GET E:PUT E:GET A:GET A:PUT A:GET E:PUT
did      var4
""",
}

DIRECTION = {
    "D2": """to_espocrm holds back what is EspoCRM's, a later run carries it out
before   w Home *          | 88001 6 w'        |
edits    w Home *          | 88001 6 w'        | ^
         y Office          | 88002 1 z'        | Büro
run      to_espocrm
after    w Home *          | 88001 6 w'        | m(w:6)
         y Office          | 88002 1 z'        | m(z:1) Büro
         z Office          |
left     held_back espo y
calls    E:GET A:GET E:PUT E:GET A:GET A:PUT A:GET E:PUT
did      var4
run      both
after    w Home *          | 88001 6 w'        | m(w:6)
         y Office          | 88002 1 z'        | m(z:1) Büro
         z Office          | 88003 1 y         | m(y:1)
calls    E:GET A:GET A:POST A:GET E:PUT
did      var1
""",
    "D3": """to_advoware: a change in Advoware is reverted
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        | Zentrale
edits    =                 | 88001 6 w'        | ^
                           | 88002 1 x3'       | ^
run      to_advoware
after    w Home *          | 88001 6 w'        | m(w:6)
         x Office          | 88002 1 x         | m(x:1) Zentrale
lost     x                 | x3'
calls    A:GET E:GET A:PUT A:GET E:PUT E:NOTE
did      var6
""",
    "D4": """to_advoware: what is new in Advoware becomes a slot
before   w Home *          | 88001 6 w'        |
edits    =                 | 88001 6 w'        | ^
                           | 88002 1 z'        | Büro
run      to_advoware
after    w Home *          | 88001 6 w'        | m(w:6)
                           | 88002 1           | slot(1) Büro
lost     -                 | z'
calls    A:GET E:GET A:PUT A:GET E:PUT E:NOTE
did      var4
""",
}

FINGERPRINT = {
    "H1": """nothing changed
before   w Home *          | 88001 6 w'        |
edits    =                 | =
after    =                 | =
calls    A:GET
""",
    "H3": """only an Internet entry changed in Advoware
before   w Home *          | 88001 6 w'        |
                           | 88002 5 www.muster.de |
edits    =                 | 88001 6 w'        | ^
                           | 88002 5 www.neu.de | neu
after    w Home *          | 88001 6 w'        | m(w:6)
                           | 88002 5 www.neu.de | neu
calls    A:GET E:GET
""",
}

KOMM_KZ = {
    "K1": """the marker's kommKz counts, whatever the value looks like
before   -                 | 88001 3 x'        | m(x:3)
after    x Mobile *        | 88001 3 x'        | m(x:3)
""",
    "K2": """the person's field with the same value tells
person   mobil=0511 1234560
before   -                 | 88001 3 x'        |
after    x Mobile *        | 88001 3 x'        | m(x:3)
""",
    "K3": """EspoCRM's type tells
before   x Home *          | -
after    x Home *          | 88001 6 x         | m(x:6)
""",
    "K4": """a mail is 4, a mobile number is 3
before   -                 | 88001 4 a@b.de    |
                           | 88002 3 p'        |
after    a@b.de *          | 88001 4 a@b.de    | m(a@b.de:4)
         p Mobile *        | 88002 3 p'        | m(p:3)
""",
    "K5": """a landline is 1
before   -                 | 88001 1 x'        |
after    x Office *        | 88001 1 x'        | m(x:1)
""",
}

ONE_CHANGE_PER_SIDE = [
    """D1: a Var1
before   w Home *          | 88001 6 w'        |
edits    w Home *          | =
         x Office          |
after    w Home *          | 88001 6 w'        | m(w:6)
         x Office          | 88004 1 x         | m(x:1)
calls    E:GET A:GET A:POST A:GET E:PUT
did      var1
""",
    """D1: a Var4 on another person
before   b *               | 88002 4 b         |
edits    =                 | 88002 4 b         | ^
                           | 88003 1 z'        |
after    b *               | 88002 4 b         | m(b:4)
         z Office *        | 88003 1 z'        | m(z:1)
calls    A:GET E:GET E:PUT E:GET A:GET A:PUT A:GET E:PUT
did      var4
""",
]

TABLES = FIRST_SYNC | SLOTS | DIRECTION | FINGERPRINT | KOMM_KZ
BOTH_SCOPES = [
    pytest.param(scope, table, id=f"{name.split()[0]}-{scope}")
    for name, table in CONFLICTS.items()
    for scope in ("person", "entry")
    if name.split()[-1] in (scope, name)
]


def scenario_phone(letter: str, kind: str, **flags: bool) -> dict[str, Any]:
    """A whole phone item: what is left out would be reset for all who share the number."""
    return {"phoneNumber": LEGEND[letter], "type": kind, "primary": False, "optOut": False, "invalid": False} | flags


def writable_fields(letter: str, remark: str, *, online: bool = False) -> dict[str, Any]:
    """All writable fields of a row: whether a PUT merges or replaces is not known."""
    return {"tlf": LEGEND.get(letter, letter), "bemerkung": remark, "online": online}


RUN_AFTER_FIRST_SYNC = 1  # after the first sync
X, X2, Z, X3 = (str(LEGEND[letter]) for letter in ("x", "x2", "z", "x3"))
ARRAY = ("E", "PUT", "")
ROW = ("A", "PUT", "/Kommunikationen/88002")
STATUS = ("E", "PUT", "")
CLEAN = {
    "advowareLastSync": "2026-08-30 08:10:00",
    "syncStatus": "clean",
    "syncErrorMessage": None,
    "syncRetryCount": 0,
    "syncNextRetry": None,
    "syncAutoResetAt": None,
}

BODIES = {
    "S1": [(("A", "POST", "/Kommunikationen"), writable_fields("x", marker_text(X, 1)) | {"kommKz": 1})],
    "S2": [(ROW, writable_fields("", slot_text(1, "nur vormittags")))],
    "S3": [
        (
            ARRAY,
            {
                "syncStatus": "syncing",
                "phoneNumberData": [scenario_phone("y", "Fax", primary=True, optOut=True), scenario_phone("w", "Home")],
            },
        )
    ],
    "S4": [
        (
            ARRAY,
            {
                "syncStatus": "syncing",
                "phoneNumberData": [
                    scenario_phone("w", "Home", primary=True),
                    scenario_phone("x", "Office"),
                    scenario_phone("z", "Office"),
                ],
            },
        ),
        (("A", "PUT", "/Kommunikationen/88003"), writable_fields("z'", marker_text(Z, 1, "Büro"))),
    ],
    "S5": [(ROW, writable_fields("x2", marker_text(X2, 1, "Zentrale"), online=True))],
    "S6": [
        (
            ARRAY,
            {
                "syncStatus": "syncing",
                "phoneNumberData": [
                    scenario_phone("x3", "Fax", primary=True, invalid=True),
                    scenario_phone("w", "Home"),
                ],
            },
        ),
        (ROW, writable_fields("x3'", marker_text(X3, 2))),
    ],
}


@pytest.mark.parametrize("name", ONE_SIDE)
def test_a_change_on_one_side_is_written_with_these_bodies(http_harness: HttpHarness, name: str) -> None:
    """The bodies to the letter; the status, with the fingerprint on it, closes the person."""
    [person] = run_scenarios(http_harness, ONE_SIDE[name])
    write_bodies = [
        ((request.side, request.method, request.path), request.body)
        for request in http_harness.requests_about(person, RUN_AFTER_FIRST_SYNC)
        if request.body
    ]
    assert write_bodies == [*BODIES[name], (STATUS, CLEAN | {"kommunikationHash": http_harness.fingerprint(person)})]


@pytest.mark.parametrize(("scope", "table"), BOTH_SCOPES)
def test_a_conflict_ends_as_its_table_says(http_harness: HttpHarness, scope: str, table: str) -> None:
    run_scenarios(http_harness, table, words=[scope])


@pytest.mark.parametrize("table", [pytest.param(table, id=name.replace(" ", "-")) for name, table in TABLES.items()])
def test_a_scenario_ends_as_its_table_says(http_harness: HttpHarness, table: str) -> None:
    run_scenarios(http_harness, table)


@pytest.mark.parametrize("tables", [pytest.param(ONE_CHANGE_PER_SIDE, id="D1")])
def test_both_directions_in_one_run(http_harness: HttpHarness, tables: list[str]) -> None:
    run_scenarios(http_harness, *tables)


@pytest.mark.parametrize("table", [pytest.param(ONE_SIDE["S1"], id="H2")])
def test_written_person_is_loaded_once_more_and_its_fingerprint_written_once(
    http_harness: HttpHarness, table: str
) -> None:
    [person] = run_scenarios(http_harness, table)
    requests = http_harness.requests_about(person, RUN_AFTER_FIRST_SYNC)
    last_write = max(place for place, request in enumerate(requests) if request.side == "A" and request.body)
    assert [request.method for request in requests[last_write:] if request.side == "A"] == ["POST", "GET"]
    assert sum("kommunikationHash" in (request.body or {}) for request in requests) == 1


def test_unchanged_person_whose_status_asks_for_a_sync_gets_a_status_and_no_fingerprint(
    http_harness: HttpHarness,
) -> None:
    [person] = run_scenarios(http_harness, FINGERPRINT["H1"])
    http_harness.espo.edit(person.entity_id, syncStatus="dirty")
    http_harness.run()
    write_bodies = [request.body for request in http_harness.requests_about(person) if request.body]
    assert write_bodies == [CLEAN | {"advowareLastSync": "2026-08-30 08:25:00"}]
    assert_nothing_to_do(http_harness, [person])


VANISHED = [
    """from EspoCRM: two slots
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        | Zentrale
edits    -                 | =
after    -                 | 88001 6           | slot(6)
                           | 88002 1           | slot(1) Zentrale
calls    E:GET A:GET E:GET A:PUT A:PUT A:GET E:PUT
did      var2 var2
""",
    """from Advoware: an empty array
before   w Home *          | 88001 6 w'        |
         x Office          | 88002 1 x'        | Zentrale
edits    =                 | -
after    -                 | -
calls    E:GET A:GET A:GET E:PUT E:GET A:GET E:PUT
did      var3 var3
""",
]


@pytest.mark.parametrize("table", [pytest.param(VANISHED[0], id="espo"), pytest.param(VANISHED[1], id="advo")])
def test_person_whose_entries_all_vanished_waits_until_the_next_run_sees_the_same(
    http_harness: HttpHarness, table: str
) -> None:
    run_scenarios(http_harness, table, waits=True)

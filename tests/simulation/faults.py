"""What can go wrong, by name: one table, so that each fault can be let loose alone or with others.

``storm.py`` lets them strike; here stands where each may strike, how often, and what it does then. What stores less
than it is sent is in ``half_stored.py``, whoever is not there in ``absences.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jobs.sandbox.simulator import Answer, ConnectionLost, TimedOut, Unreachable
from tests.simulation.absences import (
    BLOCKED,
    NO_PAGE,
    NOT_THERE,
    blanked,
    has_a_backup,
    is_away,
    is_not_there,
    nobody_is_there,
    of_some,
    puts_back_advoware,
    shifted,
)
from tests.simulation.disk import FULL, LOCKED, Killed, trouble
from tests.simulation.fault import HTML, JSON, POWER_LOST, Fault, Hit, Moment
from tests.simulation.half_stored import (
    LINKED_ONLY,
    MAILS_ONLY,
    SCALARS_ONLY,
    UNLINKED_ONLY,
    stores_nothing,
    withdraws_fields,
)
from tests.simulation.neighbours import shares
from tests.simulation.oracle import canon, shortened

HOUR = 3600.0

# Requests -----------------------------------------------------------------------------------------------------------


def breaks(*kinds: type[Exception]) -> Callable[[Hit], Answer | None]:
    """The connection breaks in one of these ways."""

    def happens(hit: Hit) -> Answer | None:
        raise hit.dice.choice(kinds)

    return happens


def answers(*kinds: Answer) -> Callable[[Hit], Answer | None]:
    """One of these is the answer."""
    return lambda hit: hit.dice.choice(kinds)


def refuses(hit: Hit) -> Answer:
    """A value, or a request, is refused; of a write its value is to blame."""
    if hit.person is not None and hit.is_write:
        hit.storm.refused.add(hit.person.number)
    return Answer(hit.dice.choice((400, 413, 422)), JSON, b'{"message":"no"}')


def conflicts(hit: Hit) -> Answer:
    """EspoCRM says that the record was modified; Advoware that the value is there already."""
    if hit.system == "espo":
        return Answer(409, {**JSON, "X-Status-Reason": "modified"}, b"{}")
    if hit.person is not None:
        hit.storm.refused.add(hit.person.number)
    return Answer(409, JSON, b'{"message":"duplicate"}')


def revokes(hit: Hit) -> None:
    hit.storm.firm.advo.login.revoke()


def cuts(hit: Hit) -> Answer:
    return hit.answer._replace(body=hit.answer.body[: len(hit.answer.body) // 2])


# Lists --------------------------------------------------------------------------------------------------------------


def lists(change: Callable[[list[Any]], list[Any]], *, lying: bool = False) -> Callable[[Hit], Answer]:
    """Another list than the system's; ``lying``: its total fits."""

    def happens(hit: Hit) -> Answer:
        page = json.loads(hit.answer.body)
        listed = change(page["list"])
        total = len(listed) if lying and page.get("total", 0) >= 0 else page.get("total")
        return hit.answer._replace(body=json.dumps({**page, "list": listed, "total": total}).encode())

    return happens


def lists_of_yesterday(hit: Hit) -> Answer:
    """The list as it was before people's last edits, as a lagging copy of the database shows it."""
    store, yesterday = hit.storm.firm.espo.store, hit.storm.yesterday
    today, store.records = store.records, yesterday or store.records
    try:
        page = store.listing(hit.call.target.partition("?")[2], no_total=b'"total":-' in hit.answer.body)
    finally:
        store.records = today
    return hit.answer._replace(body=json.dumps(page).encode())


def rows_are_missing(hit: Hit) -> Answer | None:
    """One GET of a person in Advoware lacks rows; once only, for two looks at the same would be two witnesses."""
    payload = json.loads(hit.answer.body)
    shown = payload[0] if isinstance(payload, list) else payload
    assert hit.person is not None
    if hit.person.number in hit.storm.degraded or not shown["kommunikation"]:
        return None
    hit.storm.degraded.add(hit.person.number)
    rows = shown["kommunikation"]
    kept = rows[: hit.dice.randrange(len(rows))]
    shown["kommunikation"] = kept
    hit.storm.unread.setdefault(hit.person.number, set()).update(f"row{row['id']}" for row in rows[len(kept) :])
    return hit.answer._replace(body=json.dumps(payload).encode())


def no_rows_are_shown(hit: Hit) -> Answer:
    """A person in Advoware shows no row at all, and again at every look of this run."""
    payload = json.loads(hit.answer.body)
    shown = payload[0] if isinstance(payload, list) else payload
    shown["kommunikation"] = []
    return hit.answer._replace(body=json.dumps(payload).encode())


def is_of_somebody_unlucky(hit: Hit) -> bool:
    """Of every other person that was in agreement once; the dice are the same for the whole run."""
    if not is_a_row_list(hit) or hit.person is None or not hit.person.synced:
        return False
    return hit.storm.fate.dice(f"{hit.storm.run}/unlucky/{hit.person.number}").random() < 0.5


def is_a_row_list(hit: Hit) -> bool:
    return hit.system == "advo" and hit.call.method == "GET" and hit.is_person and hit.answer.status == 200


# Clocks, processes, other writers -------------------------------------------------------------------------------------


def our_clock(seconds: float) -> Callable[[Hit], None]:
    """Our clock jumps, until the run is over."""

    def happens(hit: Hit) -> None:
        hit.storm.our_error = seconds

    return happens


def their_clock(seconds: float) -> Callable[[Hit], None]:
    """EspoCRM's clock, its ``Date`` and its times jump, until the run is over."""

    def happens(hit: Hit) -> None:
        hit.storm.their_error = seconds

    return happens


def disk_says(code: int, message: str) -> Callable[[Hit], Answer | None]:
    def happens(_hit: Hit) -> Answer | None:
        raise trouble(code, message)

    return happens


def dies(hit: Hit) -> None:
    hit.storm.disk.dead = True
    raise Killed


def sleeps(hit: Hit) -> None:
    """The process stands still for ten minutes, so that its lease runs out, and another run goes through meanwhile."""
    hit.storm.firm.clock.advance(600)
    hit.storm.another_run()


def second_runner(hit: Hit) -> None:
    """Somebody starts another run while this one works."""
    hit.storm.another_run()


def another_sync(hit: Hit) -> None:
    """Another sync writes the same record: its own fingerprint, or a status, or the rows as they are.

    A value that it saves shortened, as we left it a moment ago, is one that somebody typed.
    """
    firm, victim = hit.storm.firm, hit.person
    assert victim is not None
    if firm.espo.store.records[victim.entity_id].deleted:
        return
    what = hit.dice.choice(("fingerprint", "status", "rows"))
    if what == "fingerprint":
        firm.espo.edit(victim.entity_id, kommunikationHash=f"{hit.dice.getrandbits(64):016x}")
    elif what == "status":
        firm.espo.edit(victim.entity_id, syncStatus=hit.dice.choice(("clean", "dirty", "syncing", "failed")))
    else:
        for row in firm.rows(victim):
            firm.advo.edit_row(victim.betnr, row["id"], value=row["tlf"])
            victim.cut_values |= {canon(row["tlf"])} if shortened(row, firm.nature.max_tlf) else set()


# The table ------------------------------------------------------------------------------------------------------------

BAD_GATEWAY = Answer(502, HTML, b"<html>bad gateway</html>")
LOGIN_PAGE = Answer(200, HTML, b"<html><h1>Anmeldung</h1></html>")
START, BEFORE, AFTER, COMMIT, NATURE = Moment.START, Moment.BEFORE, Moment.AFTER, Moment.COMMIT, Moment.NATURE


def array_put(hit: Hit) -> bool:
    return hit.is_array_put

# fmt: off
FAULTS: dict[str, Fault] = {
    "none":                           Fault(NATURE),
    "request lost":                   Fault(BEFORE, 0.15, breaks(ConnectionLost, Unreachable)),
    "answer lost":                    Fault(AFTER,  0.15, breaks(ConnectionLost)),
    "timeout before effect":          Fault(BEFORE, 0.15, breaks(TimedOut)),
    "timeout after effect":           Fault(AFTER,  0.15, breaks(TimedOut)),
    "4xx":                            Fault(BEFORE, 0.10, refuses),
    "404 although there":             Fault(BEFORE, 0.10, is_not_there, lambda hit: hit.is_person, unseen=True),
    "409":                            Fault(BEFORE, 0.20, conflicts, lambda hit: hit.is_write and hit.is_person),
    "429":                            Fault(BEFORE, 0.15, answers(Answer(429, {"Retry-After": "2"}, b""),
                                                                  Answer(429, {}, b""))),
    "5xx before effect":              Fault(BEFORE, 0.15, answers(Answer(500, JSON, b""), BAD_GATEWAY)),
    "5xx after effect":               Fault(AFTER,  0.15, answers(Answer(500, JSON, b""), BAD_GATEWAY)),
    "503 with Retry-After":           Fault(BEFORE, 0.15, answers(Answer(503, {**HTML, "Retry-After": "1"}, b""))),
    "HTML page before effect":        Fault(BEFORE, 0.15, answers(LOGIN_PAGE)),
    "HTML page after effect":         Fault(AFTER,  0.15, answers(LOGIN_PAGE)),
    "answer cut":                     Fault(AFTER,  0.15, cuts),
    "token expires":                  Fault(BEFORE, 0.25, revokes, lambda hit: hit.system == "advo"),
    "list truncated":                 Fault(AFTER,  0.90, lists(lambda found: found[: len(found) // 2]),
                                            lambda hit: hit.is_list),
    "list truncated, total lies":     Fault(AFTER,  0.90, lists(lambda found: found[: len(found) // 2], lying=True),
                                            lambda hit: hit.is_list, unseen=True),
    "list with a hole":               Fault(AFTER,  0.90, lists(lambda found: found[:1] + found[-1:]),
                                            lambda hit: hit.is_list),
    "list empty":                     Fault(AFTER,  0.90, lists(lambda _found: []), lambda hit: hit.is_list),
    "list empty, total lies":         Fault(AFTER,  0.90, lists(lambda _found: [], lying=True),
                                            lambda hit: hit.is_list, unseen=True),
    "list repeated":                  Fault(AFTER,  0.90, lists(lambda found: found + found[:1]),
                                            lambda hit: hit.is_list),
    "list reordered":                 Fault(AFTER,  0.90, lists(lambda found: found[::-1]), lambda hit: hit.is_list),
    "list of yesterday":              Fault(AFTER,  0.90, lists_of_yesterday, lambda hit: hit.is_list,
                                            unseen=True),
    "rows missing in a GET":          Fault(AFTER,  0.50, rows_are_missing, is_a_row_list, unseen=True),
    "no rows shown in a run":         Fault(AFTER,  1.00, no_rows_are_shown, is_of_somebody_unlucky,
                                            blinding=True, unseen=True, agreed=True),
    "torn EspoCRM reads":             Fault(Moment.EDIT, 0.30, nature={"torn_reads": 3}),
    "values shortened":               Fault(NATURE, nature={"max_tlf": 30}),
    "remarks shortened":              Fault(NATURE, nature={"max_bemerkung": 40}),
    "kommKz always 0":                Fault(NATURE, nature={"real_komm_kz": False}),
    "kommKz real":                    Fault(NATURE, nature={"real_komm_kz": True}),
    "PUT merges":                     Fault(NATURE, nature={"replaces": False}),
    "PUT replaces":                   Fault(NATURE, nature={"replaces": True}),
    "PUT without answer":             Fault(NATURE, nature={"answers_put": False}),
    "our clock an hour ahead":        Fault(BEFORE, 0.05, our_clock(HOUR)),
    "our clock an hour behind":       Fault(BEFORE, 0.05, our_clock(-HOUR)),
    "EspoCRM's clock an hour ahead":  Fault(BEFORE, 0.05, their_clock(HOUR), unseen=True),
    "EspoCRM's clock an hour behind": Fault(BEFORE, 0.05, their_clock(-HOUR), unseen=True),
    "database locked":                Fault(COMMIT, 0.05, disk_says(*LOCKED)),
    "disk full":                      Fault(COMMIT, 0.05, disk_says(*FULL)),
    "killed":                         Fault(Moment.POINT, 0.03, dies),
    POWER_LOST:                       Fault(Moment.POINT, 0.03, dies),
    "state store deleted":            Fault(Moment.STORE, 1.0, blinding=True),
    "old backup put back":            Fault(Moment.STORE, 1.0, blinding=True),
    "two runners at once":            Fault(Moment.BETWEEN, 0.10, second_runner),
    "a run sleeps beyond its lease":  Fault(Moment.BETWEEN, 0.05, sleeps),
    "a second writer":                Fault(BEFORE, 0.05, another_sync, lambda hit: hit.is_person),
    "people edit meanwhile":          Fault(Moment.EDIT, 0.10),
    "arrays not stored, echoed":      Fault(BEFORE, 0.90, stores_nothing(echoes=True), array_put),
    "arrays not stored, shown":       Fault(BEFORE, 0.90, stores_nothing(echoes=False), array_put),
    "some values not stored":         Fault(BEFORE, 0.90, stores_nothing(echoes=True, share=0.5), array_put),
    "fields may not be edited":       Fault(BEFORE, 0.90, withdraws_fields, array_put),
    "dies: mails stored, no phones":  Fault(BEFORE, 0.90, MAILS_ONLY, array_put),
    "dies: unlinked, not linked":     Fault(BEFORE, 0.90, UNLINKED_ONLY, array_put),
    "dies: linked, not unlinked":     Fault(BEFORE, 0.90, LINKED_ONLY, array_put),
    "dies: scalars only":             Fault(BEFORE, 0.90, SCALARS_ONLY, array_put),
    "404 of some in EspoCRM":         Fault(BEFORE, 1.00, is_not_there, of_some("espo"), unseen=True),
    "404 of some in Advoware":        Fault(BEFORE, 1.00, is_not_there, of_some("advo"), unseen=True),
    "HTML 404 of some in Advoware":   Fault(BEFORE, 1.00, answers(NO_PAGE), of_some("advo"), unseen=True),
    "404 for everybody":              Fault(START,  1.00, nobody_is_there(NOT_THERE, "espo", "advo"), unseen=True),
    "HTML 404 for everybody":         Fault(START,  1.00, nobody_is_there(NO_PAGE, "advo"), unseen=True),
    "betnr blanked":                  Fault(START,  1.00, blanked, unseen=True),
    "betnr shifted":                  Fault(START,  1.00, shifted, unseen=True, agreed=True),
    "away and back":                  Fault(START,  1.00, is_away, unseen=True),
    "a backup of Advoware put back":  Fault(START,  1.00, puts_back_advoware, has_a_backup,
                                            blinding=True, unseen=True, agreed=True),
    "403 to reads of some":           Fault(BEFORE, 1.00, answers(BLOCKED), of_some("advo", writes=False), unseen=True),
    "403 to writes of some":          Fault(BEFORE, 1.00, answers(BLOCKED), of_some("advo", writes=True), unseen=True),
    "403 of EspoCRM to some":         Fault(BEFORE, 1.00, answers(Answer(403, {}, b"")), of_some("espo"), unseen=True),
    "remarks trimmed":                Fault(NATURE, nature={"trims": True}),
    "line ends changed":              Fault(NATURE, nature={"line_ends": "\r\n"}),
    "remarks cut inside a letter":    Fault(NATURE, nature={"max_bemerkung": 39, "utf16": True}),
    "shared address rows":            Fault(START,  1.00, shares, unseen=True),
}
# fmt: on

PASSING = (
    "request lost", "answer lost", "timeout before effect", "timeout after effect", "429", "5xx before effect",
    "5xx after effect", "503 with Retry-After", "HTML page before effect", "HTML page after effect", "answer cut",
    "token expires",
)  # fmt: skip
LISTS = ("list truncated", "list empty", "list repeated", "list reordered", "list of yesterday")
OTHERS = (
    "409", "our clock an hour ahead", "our clock an hour behind", "EspoCRM's clock an hour ahead",
    "EspoCRM's clock an hour behind", "two runners at once", "a run sleeps beyond its lease", "a second writer",
    "rows missing in a GET", "4xx", "404 although there",
)  # fmt: skip
SECOND_EDITION = (
    "arrays not stored, echoed", "arrays not stored, shown", "some values not stored", "fields may not be edited",
    "dies: mails stored, no phones", "dies: unlinked, not linked", "dies: linked, not unlinked", "dies: scalars only",
    "404 of some in EspoCRM", "404 of some in Advoware", "HTML 404 of some in Advoware", "404 for everybody",
    "HTML 404 for everybody", "betnr blanked", "betnr shifted", "away and back", "403 to reads of some",
    "403 to writes of some", "403 of EspoCRM to some", "shared address rows",
)  # fmt: skip
"""Faults that whole lives are mixed of; the others need a look of their own (``trials.py``)."""

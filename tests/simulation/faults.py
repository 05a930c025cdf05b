"""What can go wrong, by name: one table, so that each fault can be let loose alone or with others.

``storm.py`` lets them strike; here stands where each may strike, how often, and what it does then. What stores less
than it is sent is in ``half_stored.py``, whoever is not there in ``absences.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jobs.sandbox.simulator import ConnectionLost, SimResponse, TimedOut, Unreachable
from tests.simulation.absences import (
    FORBIDDEN_PAGE,
    NOT_FOUND_JSON,
    NOT_FOUND_PAGE,
    about_some,
    answer_404,
    answer_all,
    blank_betnrs,
    has_usable_backup,
    make_some_absent,
    restore_advoware_backup,
    shift_betnrs,
)
from tests.simulation.disk import FULL, LOCKED, SimulatedKill, sqlite_error
from tests.simulation.fault import HTML, JSON, POWER_LOSS, FaultContext, FaultSpec, InjectionPoint
from tests.simulation.half_stored import (
    LINKED_ONLY,
    MAILS_ONLY,
    SCALARS_ONLY,
    UNLINKED_ONLY,
    drop_array_values,
    forbid_fields,
)
from tests.simulation.locks import is_lockable, lock_record
from tests.simulation.neighbours import edit_shared_values
from tests.simulation.oracle import canon, value_before_truncation

HOUR = 3600.0

# Requests -----------------------------------------------------------------------------------------------------------


def break_connection(*errors: type[Exception]) -> Callable[[FaultContext], SimResponse | None]:
    """The connection breaks in one of these ways."""

    def inject(context: FaultContext) -> SimResponse | None:
        raise context.rng.choice(errors)

    return inject


def answer_with(*possible_answers: SimResponse) -> Callable[[FaultContext], SimResponse | None]:
    """One of these is the answer."""
    return lambda context: context.rng.choice(possible_answers)


def refuse_request(context: FaultContext) -> SimResponse:
    """A value, or a request, is refused; of a write its value is to blame."""
    if context.person is not None and context.is_write:
        context.injector.refused_persons.add(context.person.number)
    return SimResponse(context.rng.choice((400, 413, 422)), JSON, b'{"message":"no"}')


def answer_conflict(context: FaultContext) -> SimResponse:
    """EspoCRM says that the record was modified; Advoware that the value is there already."""
    if context.system == "espo":
        return SimResponse(409, {**JSON, "X-Status-Reason": "modified"}, b"{}")
    if context.person is not None:
        context.injector.refused_persons.add(context.person.number)
    return SimResponse(409, JSON, b'{"message":"duplicate"}')


def revoke_token(context: FaultContext) -> None:
    context.injector.firm.advo.login.revoke()


def truncate_answer(context: FaultContext) -> SimResponse:
    return context.answer._replace(body=context.answer.body[: len(context.answer.body) // 2])


# Lists --------------------------------------------------------------------------------------------------------------


def change_list(
    change: Callable[[list[Any]], list[Any]], *, with_matching_total: bool = False
) -> Callable[[FaultContext], SimResponse]:
    """Another list than the system's; ``with_matching_total``: its total fits."""

    def inject(context: FaultContext) -> SimResponse:
        page = json.loads(context.answer.body)
        records = change(page["list"])
        total = len(records) if with_matching_total and page.get("total", 0) >= 0 else page.get("total")
        return context.answer._replace(body=json.dumps({**page, "list": records, "total": total}).encode())

    return inject


def answer_stale_list(context: FaultContext) -> SimResponse:
    """The list as it was before people's last edits, as a lagging copy of the database shows it."""
    store, stale_records = context.injector.firm.espo.store, context.injector.stale_records
    current_records, store.records = store.records, stale_records or store.records
    try:
        page = store.listing(context.call.target.partition("?")[2], no_total=b'"total":-' in context.answer.body)
    finally:
        store.records = current_records
    return context.answer._replace(body=json.dumps(page).encode())


def hide_some_rows(context: FaultContext) -> SimResponse | None:
    """One GET of a person in Advoware lacks rows; once only, for two looks at the same would be two witnesses."""
    payload = json.loads(context.answer.body)
    person_payload = payload[0] if isinstance(payload, list) else payload
    assert context.person is not None
    if context.person.number in context.injector.rows_hidden_from or not person_payload["kommunikation"]:
        return None
    context.injector.rows_hidden_from.add(context.person.number)
    rows = person_payload["kommunikation"]
    rows_left = rows[: context.rng.randrange(len(rows))]
    person_payload["kommunikation"] = rows_left
    context.injector.unread_edits.setdefault(context.person.number, set()).update(
        f"row{row['id']}" for row in rows[len(rows_left) :]
    )
    return context.answer._replace(body=json.dumps(payload).encode())


def hide_all_rows(context: FaultContext) -> SimResponse:
    """A person in Advoware shows no row at all, and again at every look of this run."""
    payload = json.loads(context.answer.body)
    person_payload = payload[0] if isinstance(payload, list) else payload
    person_payload["kommunikation"] = []
    return context.answer._replace(body=json.dumps(payload).encode())


def is_of_chosen_person(context: FaultContext) -> bool:
    """Of every other person that was in agreement once; the dice are the same for the whole run."""
    if not is_row_read(context) or context.person is None or not context.person.synced:
        return False
    return context.injector.chance.rng(f"{context.injector.run}/unlucky/{context.person.number}").random() < 0.5


def is_row_read(context: FaultContext) -> bool:
    return (
        context.system == "advo"
        and context.call.method == "GET"
        and context.is_about_person
        and context.answer.status == 200
    )


# Clocks, processes, other writers -------------------------------------------------------------------------------------


def shift_our_clock(seconds: float) -> Callable[[FaultContext], None]:
    """Our clock jumps, until the run is over."""

    def inject(context: FaultContext) -> None:
        context.injector.our_clock_error = seconds

    return inject


def shift_espo_clock(seconds: float) -> Callable[[FaultContext], None]:
    """EspoCRM's clock, its ``Date`` and its times jump, until the run is over."""

    def inject(context: FaultContext) -> None:
        context.injector.espo_clock_error = seconds

    return inject


def raise_sqlite_error(code: int, message: str) -> Callable[[FaultContext], SimResponse | None]:
    def inject(_context: FaultContext) -> SimResponse | None:
        raise sqlite_error(code, message)

    return inject


def kill_process(context: FaultContext) -> None:
    context.injector.disk.dead = True
    raise SimulatedKill


def sleep_past_lease(context: FaultContext) -> None:
    """The process stands still for ten minutes, so that its lease runs out, and another run goes through meanwhile."""
    context.injector.firm.clock.advance(600)
    context.injector.run_another()


def start_second_run(context: FaultContext) -> None:
    """Somebody starts another run while this one works."""
    context.injector.run_another()


def let_other_sync_write(context: FaultContext) -> None:
    """Another sync writes the same record: its own fingerprint, or a status, or the rows as they are.

    A value that it saves shortened, as we left it a moment ago, is one that somebody typed.
    """
    firm, person = context.injector.firm, context.person
    assert person is not None
    if firm.espo.store.records[person.entity_id].deleted:
        return
    target = context.rng.choice(("fingerprint", "status", "rows"))
    if target == "fingerprint":
        firm.espo.edit(person.entity_id, kommunikationHash=f"{context.rng.getrandbits(64):016x}")
    elif target == "status":
        firm.espo.edit(person.entity_id, syncStatus=context.rng.choice(("clean", "dirty", "syncing", "failed")))
    elif person.absence is None:  # whoever is away is nobody's to write
        for row in firm.rows(person):
            firm.advo.edit_row(person.betnr, row["id"], value=row["tlf"])
            person.truncated_values |= (
                {canon(row["tlf"])} if value_before_truncation(row, firm.traits.max_tlf) else set()
            )


# The table ------------------------------------------------------------------------------------------------------------

BAD_GATEWAY = SimResponse(502, HTML, b"<html>bad gateway</html>")
LOGIN_PAGE = SimResponse(200, HTML, b"<html><h1>Anmeldung</h1></html>")
START, BEFORE, AFTER, COMMIT, TRAIT = (
    InjectionPoint.START,
    InjectionPoint.BEFORE,
    InjectionPoint.AFTER,
    InjectionPoint.COMMIT,
    InjectionPoint.TRAIT,
)


def is_array_put(context: FaultContext) -> bool:
    return context.is_array_put

# fmt: off
FAULTS: dict[str, FaultSpec] = {
    "none":                           FaultSpec(TRAIT),
    "request lost":                   FaultSpec(BEFORE, 0.15, break_connection(ConnectionLost, Unreachable)),
    "answer lost":                    FaultSpec(AFTER,  0.15, break_connection(ConnectionLost)),
    "timeout before effect":          FaultSpec(BEFORE, 0.15, break_connection(TimedOut)),
    "timeout after effect":           FaultSpec(AFTER,  0.15, break_connection(TimedOut)),
    "4xx":                            FaultSpec(BEFORE, 0.10, refuse_request),
    "404 although there":             FaultSpec(BEFORE, 0.10, answer_404, lambda context: context.is_about_person, sweep_only=True),
    "409":                            FaultSpec(BEFORE, 0.20, answer_conflict, lambda context: context.is_write and context.is_about_person),
    "429":                            FaultSpec(BEFORE, 0.15, answer_with(SimResponse(429, {"Retry-After": "2"}, b""),
                                                                  SimResponse(429, {}, b""))),
    "5xx before effect":              FaultSpec(BEFORE, 0.15, answer_with(SimResponse(500, JSON, b""), BAD_GATEWAY)),
    "5xx after effect":               FaultSpec(AFTER,  0.15, answer_with(SimResponse(500, JSON, b""), BAD_GATEWAY)),
    "503 with Retry-After":           FaultSpec(BEFORE, 0.15, answer_with(SimResponse(503, {**HTML, "Retry-After": "1"}, b""))),
    "HTML page before effect":        FaultSpec(BEFORE, 0.15, answer_with(LOGIN_PAGE)),
    "HTML page after effect":         FaultSpec(AFTER,  0.15, answer_with(LOGIN_PAGE)),
    "answer cut":                     FaultSpec(AFTER,  0.15, truncate_answer),
    "token expires":                  FaultSpec(BEFORE, 0.25, revoke_token, lambda context: context.system == "advo"),
    "list truncated":                 FaultSpec(AFTER,  0.90, change_list(lambda records: records[: len(records) // 2]),
                                            lambda context: context.is_list),
    "list truncated, total lies":     FaultSpec(AFTER,  0.90, change_list(lambda records: records[: len(records) // 2], with_matching_total=True),
                                            lambda context: context.is_list, sweep_only=True),
    "list with a hole":               FaultSpec(AFTER,  0.90, change_list(lambda records: records[:1] + records[-1:]),
                                            lambda context: context.is_list),
    "list empty":                     FaultSpec(AFTER,  0.90, change_list(lambda _records: []), lambda context: context.is_list),
    "list empty, total lies":         FaultSpec(AFTER,  0.90, change_list(lambda _records: [], with_matching_total=True),
                                            lambda context: context.is_list, sweep_only=True),
    "list repeated":                  FaultSpec(AFTER,  0.90, change_list(lambda records: records + records[:1]),
                                            lambda context: context.is_list),
    "list reordered":                 FaultSpec(AFTER,  0.90, change_list(lambda records: records[::-1]), lambda context: context.is_list),
    "list of yesterday":              FaultSpec(AFTER,  0.90, answer_stale_list, lambda context: context.is_list,
                                            sweep_only=True),
    "rows missing in a GET":          FaultSpec(AFTER,  0.50, hide_some_rows, is_row_read, sweep_only=True),
    "no rows shown in a run":         FaultSpec(AFTER,  1.00, hide_all_rows, is_of_chosen_person,
                                            ambiguous=True, sweep_only=True, needs_baseline=True),
    "torn EspoCRM reads":             FaultSpec(InjectionPoint.EDIT, 0.30, traits={"torn_reads": 3}),
    "values shortened":               FaultSpec(TRAIT, traits={"max_tlf": 30}),
    "remarks shortened":              FaultSpec(TRAIT, traits={"max_bemerkung": 40}),
    "kommKz always 0":                FaultSpec(TRAIT, traits={"real_komm_kz": False}),
    "kommKz real":                    FaultSpec(TRAIT, traits={"real_komm_kz": True}),
    "PUT merges":                     FaultSpec(TRAIT, traits={"replaces": False}),
    "PUT replaces":                   FaultSpec(TRAIT, traits={"replaces": True}),
    "PUT without answer":             FaultSpec(TRAIT, traits={"answers_put": False}),
    "our clock an hour ahead":        FaultSpec(BEFORE, 0.05, shift_our_clock(HOUR)),
    "our clock an hour behind":       FaultSpec(BEFORE, 0.05, shift_our_clock(-HOUR)),
    "EspoCRM's clock an hour ahead":  FaultSpec(BEFORE, 0.05, shift_espo_clock(HOUR), sweep_only=True),
    "EspoCRM's clock an hour behind": FaultSpec(BEFORE, 0.05, shift_espo_clock(-HOUR), sweep_only=True),
    "database locked":                FaultSpec(COMMIT, 0.05, raise_sqlite_error(*LOCKED)),
    "disk full":                      FaultSpec(COMMIT, 0.05, raise_sqlite_error(*FULL)),
    "killed":                         FaultSpec(InjectionPoint.KILL_POINT, 0.03, kill_process),
    POWER_LOSS:                       FaultSpec(InjectionPoint.KILL_POINT, 0.03, kill_process),
    "state store deleted":            FaultSpec(InjectionPoint.STORE, 1.0, ambiguous=True),
    "old backup put back":            FaultSpec(InjectionPoint.STORE, 1.0, ambiguous=True),
    "two runners at once":            FaultSpec(InjectionPoint.BETWEEN, 0.10, start_second_run),
    "a run sleeps beyond its lease":  FaultSpec(InjectionPoint.BETWEEN, 0.05, sleep_past_lease),
    "a second writer":                FaultSpec(BEFORE, 0.05, let_other_sync_write, lambda context: context.is_about_person),
    "staff lock a record":            FaultSpec(
        BEFORE, 0.20, lock_record, is_lockable, traits={"espocrm": "10", "lockable": True}
    ),
    "people edit meanwhile":          FaultSpec(InjectionPoint.EDIT, 0.10),
    "arrays not stored, echoed":      FaultSpec(BEFORE, 0.90, drop_array_values(echoes=True), is_array_put),
    "arrays not stored, shown":       FaultSpec(BEFORE, 0.90, drop_array_values(echoes=False), is_array_put),
    "some values not stored":         FaultSpec(BEFORE, 0.90, drop_array_values(echoes=True, share=0.5), is_array_put),
    "fields may not be edited":       FaultSpec(BEFORE, 0.90, forbid_fields, is_array_put),
    "dies: mails stored, no phones":  FaultSpec(BEFORE, 0.90, MAILS_ONLY, is_array_put),
    "dies: unlinked, not linked":     FaultSpec(BEFORE, 0.90, UNLINKED_ONLY, is_array_put),
    "dies: linked, not unlinked":     FaultSpec(BEFORE, 0.90, LINKED_ONLY, is_array_put),
    "dies: scalars only":             FaultSpec(BEFORE, 0.90, SCALARS_ONLY, is_array_put),
    "404 of some in EspoCRM":         FaultSpec(BEFORE, 1.00, answer_404, about_some("espo"), sweep_only=True),
    "404 of some in Advoware":        FaultSpec(BEFORE, 1.00, answer_404, about_some("advo"), sweep_only=True),
    "HTML 404 of some in Advoware":   FaultSpec(BEFORE, 1.00, answer_with(NOT_FOUND_PAGE), about_some("advo"), sweep_only=True),
    "404 for everybody":              FaultSpec(START,  1.00, answer_all(NOT_FOUND_JSON, "espo", "advo"), sweep_only=True),
    "HTML 404 for everybody":         FaultSpec(START,  1.00, answer_all(NOT_FOUND_PAGE, "advo"), sweep_only=True),
    "betnr blanked":                  FaultSpec(START,  1.00, blank_betnrs, sweep_only=True),
    "betnr shifted":                  FaultSpec(START,  1.00, shift_betnrs, sweep_only=True, needs_baseline=True),
    "away and back":                  FaultSpec(START,  1.00, make_some_absent, sweep_only=True),
    "a backup of Advoware put back":  FaultSpec(START,  1.00, restore_advoware_backup, has_usable_backup,
                                            ambiguous=True, sweep_only=True, needs_baseline=True),
    "403 to reads of some":           FaultSpec(BEFORE, 1.00, answer_with(FORBIDDEN_PAGE), about_some("advo", writes=False), sweep_only=True),
    "403 to writes of some":          FaultSpec(BEFORE, 1.00, answer_with(FORBIDDEN_PAGE), about_some("advo", writes=True), sweep_only=True),
    "403 of EspoCRM to some":         FaultSpec(BEFORE, 1.00, answer_with(SimResponse(403, {}, b"")), about_some("espo"), sweep_only=True),
    "remarks trimmed":                FaultSpec(TRAIT, traits={"trims": True}),
    "line ends changed":              FaultSpec(TRAIT, traits={"line_ends": "\r\n"}),
    "remarks cut inside a letter":    FaultSpec(TRAIT, traits={"max_bemerkung": 39, "utf16": True}),
    "shared address rows":            FaultSpec(START,  1.00, edit_shared_values, sweep_only=True),
}
# fmt: on

TRANSIENT_FAULTS = (
    "request lost", "answer lost", "timeout before effect", "timeout after effect", "429", "5xx before effect",
    "5xx after effect", "503 with Retry-After", "HTML page before effect", "HTML page after effect", "answer cut",
    "token expires",
)  # fmt: skip
LIST_FAULTS = ("list truncated", "list empty", "list repeated", "list reordered", "list of yesterday")
OTHER_FAULTS = (
    "409", "our clock an hour ahead", "our clock an hour behind", "EspoCRM's clock an hour ahead",
    "EspoCRM's clock an hour behind", "two runners at once", "a run sleeps beyond its lease", "a second writer",
    "rows missing in a GET", "4xx", "404 although there",
)  # fmt: skip
SECOND_EDITION_FAULTS = (
    "arrays not stored, echoed", "arrays not stored, shown", "some values not stored", "fields may not be edited",
    "dies: mails stored, no phones", "dies: unlinked, not linked", "dies: linked, not unlinked", "dies: scalars only",
    "404 of some in EspoCRM", "404 of some in Advoware", "HTML 404 of some in Advoware", "404 for everybody",
    "HTML 404 for everybody", "betnr blanked", "betnr shifted", "away and back", "403 to reads of some",
    "403 to writes of some", "403 of EspoCRM to some", "shared address rows",
)  # fmt: skip
"""Faults that whole lives are mixed of; the others need a look of their own (``trials.py``)."""

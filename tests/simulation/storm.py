"""The weather of a run: at each request and each commit the dice tell which fault strikes, and who edits in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jobs.sandbox.advoware.rows import AdvoDatabase
from jobs.sandbox.simulator import SimRequest, SimResponse
from tests.simulation.chance import SeededChance
from tests.simulation.consent import OptOuts
from tests.simulation.disk import Disk, SimulatedKill
from tests.simulation.fault import NO_ANSWER, NO_FAULTS, FaultContext, FaultProfile, FaultSpec, InjectionPoint
from tests.simulation.faults import FAULTS
from tests.simulation.oracle import entries_of_rows
from tests.simulation.people import People
from tests.simulation.worlds import Firm, Person

UNLOGGED_PATHS = ("App/user", "Settings")
ABSENCE_CONFIRMED_AFTER = timedelta(seconds=590)  # an absence, by a second look (rules §1, Endings)
AnswerOverride = Callable[[str, SimRequest, Person | None], SimResponse | None]


@dataclass
class FaultInjector:
    """The hooks of both systems and of the disk for one run. ``is_observed``: somebody looks at every request;
    since all agreed, ``store_is_lost``: the state store was deleted, ``is_unstored``: EspoCRM confirmed arrays that it
    did not store."""

    chance: SeededChance
    firm: Firm
    people: People
    disk: Disk
    log: Callable[[str], None]
    opt_outs: OptOuts
    run_another: Callable[[], None] = lambda: None
    on_request: Callable[[str, SimRequest, Person | None, set[str]], None] = lambda *_: None
    on_answer: Callable[[SimRequest, SimResponse], None] = lambda *_: None
    profile: FaultProfile = NO_FAULTS
    run: str = ""
    point_count: int = 0
    transaction_count: int = 0
    request_counts: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    unread_edits: dict[int, set[str]] = field(default_factory=dict)
    window_edits: dict[int, set[str]] = field(default_factory=dict)
    refused_persons: set[int] = field(default_factory=set)
    rows_hidden_from: set[int] = field(default_factory=set)
    ambiguous: bool = False
    store_is_lost: bool = False
    is_unstored: bool = False
    our_clock_error: float = 0.0
    espo_clock_error: float = 0.0
    stale_records: dict[str, Any] = field(default_factory=dict)
    paused_at: FaultContext | None = None
    is_observed: bool = False
    lasting_faults: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    overrides: list[AnswerOverride] = field(default_factory=list)
    absent_since: dict[int, tuple[str, datetime]] = field(default_factory=dict)
    advo_backup: AdvoDatabase | None = None
    runs_since_backup: int = 0

    def begin_run(self, run: str, profile: FaultProfile) -> None:
        """Let this weather be over the next run."""
        self.run, self.profile, self.point_count, self.transaction_count = run, profile, 0, 0
        self.request_counts.clear()
        self.opt_outs.begin_run()
        self.disk.dead, self.disk.is_power_loss = False, profile.is_power_loss
        self.disk.note_sync()
        for system, system_name in ((self.firm.espo, "espo"), (self.firm.advo, "advo")):
            system.before, system.after = self.before_hook(system_name), self.after_hook(system_name)
        self.disk.before_commit, self.disk.on_begin = self.at_commit, self.at_begin
        self.undo_expired()
        self.runs_since_backup += 1
        self.inject_at(InjectionPoint.START, FaultContext(self, f"{run}/start", "firm"))

    def end_run(self) -> None:
        """Clear sky."""
        for system in (self.firm.espo, self.firm.advo):
            system.before = system.after = None
        self.disk.before_commit = self.disk.on_begin = lambda: None
        self.disk.dead = False
        self.our_clock_error = self.espo_clock_error = 0.0
        self.paused_at = None
        self.firm.espo.store.put_crashes.clear()

    # What lasts

    def undo_after(self, runs: int, undo: Callable[[], None]) -> None:
        """What struck stays so for this run and ``runs`` more, and is put right when the next one begins."""
        self.lasting_faults.append((runs, undo))

    def undo_expired(self, *, everything: bool = False) -> None:
        """Put right whatever had its time."""
        lasting, self.lasting_faults = self.lasting_faults, []
        for runs, undo in lasting:
            if runs and not everything:
                self.lasting_faults.append((runs - 1, undo))
            else:
                self.log("put right")
                undo()

    def note_absence(self, person: Person) -> None:
        """Somebody looks gone; who still does when another run looks ten minutes later is."""
        now = self.firm.clock()
        run, since = self.absent_since.setdefault(person.number, (self.run, now))
        self.ambiguous |= run != self.run and now - since >= ABSENCE_CONFIRMED_AFTER

    def reset(self) -> None:
        """Both sides agree: what went wrong until now is over."""
        for notes in (
            self.window_edits,
            self.refused_persons,
            self.unread_edits,
            self.rows_hidden_from,
            self.absent_since,
        ):
            notes.clear()
        self.ambiguous = self.store_is_lost = self.is_unstored = False

    def knows(self, person: Person) -> bool:
        """Whether the state store knows which betnr was agreed: where it does not, any is good (rules §3)."""
        return person.synced and not self.store_is_lost

    # What strikes

    def inject_at(self, point: InjectionPoint, context: FaultContext) -> SimResponse | None:
        """Let the faults of this moment strike; the first answer one of them gives."""
        for name, probability in self.profile.faults.items():
            fault = FAULTS[name]
            if fault.point is not point or not fault.applies(context):
                continue
            if not self.chance.occurs(f"{context.key}/{name}", probability):
                continue
            answer = self.inject_fault(name, fault, context)
            if answer is not None:
                return answer
        return None

    def inject_fault(self, name: str, fault: FaultSpec, context: FaultContext) -> SimResponse | None:
        """One fault happens."""
        self.injected[name] += 1
        self.ambiguous |= fault.ambiguous
        self.log(f"fault {context.key}: {name}")
        return fault.inject(context)

    def pause(self) -> None:
        """A moment right after an answer: the process may stand still here, and others may run."""
        context, self.paused_at = self.paused_at, None
        if context is not None and not self.disk.dead:
            self.inject_at(InjectionPoint.BETWEEN, context)

    # Moments at which a process may die

    def reach_kill_point(self) -> None:
        """One more moment, before a write or a commit; the chosen one is the last.

        After one of them nothing lasting happens until the next, so dying after it is dying before that.
        """
        self.point_count += 1
        if self.point_count == self.profile.kill_at:
            self.disk.dead = True
            self.log(f"killed at point {self.point_count}")
        if self.disk.dead:
            raise SimulatedKill
        self.inject_at(InjectionPoint.KILL_POINT, self.disk_context("point"))

    def at_commit(self) -> None:
        """Before a commit: the process may die, the file may be locked, the disk full."""
        self.reach_kill_point()
        self.inject_at(InjectionPoint.COMMIT, self.disk_context("disk"))

    def at_begin(self) -> None:
        """Before a transaction: the process may stand still here, and others may run."""
        self.transaction_count += 1
        key = f"{self.run}/begin/{self.transaction_count}"
        self.inject_at(InjectionPoint.BETWEEN, FaultContext(self, key, "disk"))

    def disk_context(self, what: str) -> FaultContext:
        key = f"{self.run}/{what}/{self.point_count}"
        return FaultContext(self, key, "disk")

    # Requests

    def is_quiet(self, call: SimRequest) -> bool:
        """A read in calm weather, most of all requests: nothing strikes it, and it tells nobody anything new."""
        nothing_new = not any(self.unread_edits.values()) and not self.opt_outs.unread_keys
        return (
            self.profile.is_fault_free
            and call.method == "GET"
            and nothing_new
            and not (self.is_observed or self.overrides)
        )

    def person_of(self, system: str, call: SimRequest) -> Person | None:
        """Whom a request is about."""
        if call.path.endswith("/Note"):
            return next((person for person in self.firm.persons if person.entity_id in call.body), None)
        path_parts = call.path.split("/")
        if system == "espo":
            return next((person for person in self.firm.persons if person.entity_id in path_parts), None)
        betnrs = {int(part) for part in path_parts if part.isdigit()}
        return next((person for person in self.firm.persons if person.betnr in betnrs), None)

    def before_hook(self, system: str) -> Callable[[SimRequest], SimResponse | None]:
        def before(call: SimRequest) -> SimResponse | None:
            self.firm.clock.advance(self.firm.traits.latency)
            if call.is_write:
                self.reach_kill_point()
            elif self.disk.dead:
                raise SimulatedKill
            if self.is_quiet(call):
                return None
            person = self.person_of(system, call)
            self.let_people_edit(system, call, person, "before")
            base = self.request_name(system, call, person)
            self.request_counts[base] += 1
            answer = self.override_for(system, call, person)
            if answer is None:
                answer = self.inject_at(
                    InjectionPoint.BEFORE,
                    self.fault_context(f"{base}/{self.request_counts[base]}", system, call, person),
                )
            if answer is None:
                self.note_window_edit(system, call, person)
                self.on_request(system, call, person, self.unread_edits.get(person.number, set()) if person else set())
            return answer

        return before

    def after_hook(self, system: str) -> Callable[[SimRequest, SimResponse], SimResponse | None]:
        def after(call: SimRequest, answer: SimResponse) -> SimResponse | None:
            self.firm.clock.advance(self.firm.traits.latency)
            if not call.is_login and not call.path.endswith(UNLOGGED_PATHS):
                suffix = "?list" if call.path.endswith("CBeteiligte") else ""
                self.log(f"{system} {call.method} {call.path[-36:]}{suffix} {call.body} -> {answer.status}")
            if self.is_quiet(call):
                self.on_answer(call, answer)
                return None
            person = self.person_of(system, call)
            base = self.request_name(system, call, person)
            context = self.fault_context(f"{base}/{self.request_counts[base]}", system, call, person, answer)
            try:
                altered_answer = self.inject_at(InjectionPoint.AFTER, context)
                self.on_answer(call, altered_answer or answer)
                if altered_answer is None and person and call.method == "GET":
                    self.unread_edits[person.number] = {
                        edit
                        for edit in self.unread_edits.get(person.number, ())
                        if (edit == "items") != (system == "espo")
                    }
                if system == "espo":
                    self.opt_outs.note_answer(call, altered_answer or answer, altered=altered_answer is not None)
            finally:
                self.let_people_edit(system, call, person, "after")
                self.paused_at = context
            return altered_answer

        return after

    def override_for(self, system: str, call: SimRequest, person: Person | None) -> SimResponse | None:
        """The answer of a system that does not answer for itself."""
        answers = (override(system, call, person) for override in self.overrides)
        return next((answer for answer in answers if answer is not None), None)

    def request_name(self, system: str, call: SimRequest, person: Person | None) -> str:
        """A name for a kind of request that shrinking does not move."""
        return f"{self.run}/{system}/{call.method}/{person.number if person else call.path[-20:]}"

    def fault_context(
        self, key: str, system: str, call: SimRequest, person: Person | None, answer: SimResponse | None = None
    ) -> FaultContext:
        return FaultContext(self, key, system, call, answer or NO_ANSWER, person)

    # People in between

    def let_people_edit(self, system: str, call: SimRequest, person: Person | None, when: str) -> None:
        """Let somebody edit between two requests, mostly the person under way."""
        edit_faults = {
            name: fault_probability
            for name, fault_probability in self.profile.faults.items()
            if FAULTS[name].point is InjectionPoint.EDIT
        }
        probability = max([self.profile.edit_probability, *edit_faults.values()])
        if probability <= 0 or call.is_login:
            return
        who = person.number if person else "nobody"
        key = f"{self.run}/people/{system}/{call.method}/{who}/{self.request_counts[f'{system}{who}{when}']}/{when}"
        self.request_counts[f"{system}{who}{when}"] += 1
        if not self.chance.occurs(key, probability):
            return
        self.injected.update(list(edit_faults))
        rng = self.chance.rng(key)
        edited_person = person if person is not None and rng.random() < 0.8 else rng.choice(self.firm.persons)
        rows_before = {row["id"]: row for row in self.firm.rows(edited_person)}
        items_before, opt_outs_before = self.firm.espo.items(edited_person.entity_id), self.opt_outs.opt_out_keys()
        description = self.people.edit(edited_person, rng, side=self.profile.side)
        if description:
            self.opt_outs.note_edits(opt_outs_before)
            edited_person.edit_kinds.add("meanwhile")
            self.log(f"meanwhile {description}")
            rows_after = {row["id"]: row for row in self.firm.rows(edited_person)}
            changed_things = {
                f"row{komm_id}"
                for komm_id in rows_before | rows_after
                if rows_before.get(komm_id) != rows_after.get(komm_id)
            }
            if self.firm.espo.items(edited_person.entity_id) != items_before:
                changed_things.add("items")
                edited_person.saved_in = self.run
            self.unread_edits.setdefault(edited_person.number, set()).update(changed_things)

    def note_window_edit(self, system: str, call: SimRequest, person: Person | None) -> None:
        """The one window the sync cannot close: an edit between its last read and its write of the same thing."""
        if person is None:
            return
        unread_edits = self.unread_edits.setdefault(person.number, set())
        is_array_edit = (
            system == "espo" and "Data" in call.body and "items" in unread_edits and not self.firm.traits.concurrency
        )
        is_row_edit = system == "advo" and call.method == "PUT" and f"row{call.path.rpartition('/')[2]}" in unread_edits
        if is_array_edit or is_row_edit:
            rows = [
                written_row
                for written_row in self.firm.rows(person)
                if is_row_edit and call.path.endswith(f"/{written_row['id']}")
            ]
            self.window_edits.setdefault(person.number, set()).update(
                entries_of_rows([*rows, call.json] if is_row_edit else [])
            )

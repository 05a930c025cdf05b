"""The weather of a run: at each request and each commit the dice tell which fault strikes, and who edits in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jobs.sandbox.advoware_rows import Beteiligte
from jobs.sandbox.simulator import Answer, Call
from tests.simulation.chance import Fate
from tests.simulation.consent import Consent
from tests.simulation.disk import Disk, Killed
from tests.simulation.fault import CALM, NO_ANSWER, Fault, Hit, Moment, Weather
from tests.simulation.faults import FAULTS
from tests.simulation.oracle import entries_of_rows
from tests.simulation.people import People
from tests.simulation.worlds import Firm, Person

UNTOLD = ("App/user", "Settings")
BELIEVED_AFTER = timedelta(seconds=590)  # an absence, by a second look (rules.md §1, Endings)
Silence = Callable[[str, Call, Person | None], Answer | None]


@dataclass
class Storm:
    """The hooks of both systems and of the disk for one run. ``attended``: somebody looks at every request;
    since all agreed, ``store_is_lost``: the state store was deleted, ``is_unstored``: EspoCRM confirmed arrays that it
    did not store."""

    fate: Fate
    firm: Firm
    people: People
    disk: Disk
    tell: Callable[[str], None]
    consent: Consent
    another_run: Callable[[], None] = lambda: None
    watch: Callable[[str, Call, Person | None, set[str]], None] = lambda *_: None
    heard: Callable[[Call, Answer], None] = lambda *_: None
    weather: Weather = CALM
    run: str = ""
    points: int = 0
    begun: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    unread: dict[int, set[str]] = field(default_factory=dict)
    windowed: dict[int, set[str]] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    degraded: set[int] = field(default_factory=set)
    blinded: bool = False
    store_is_lost: bool = False
    is_unstored: bool = False
    our_error: float = 0.0
    their_error: float = 0.0
    yesterday: dict[str, Any] = field(default_factory=dict)
    standing_still: Hit | None = None
    attended: bool = False
    lasting: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    absent_since: dict[int, tuple[str, datetime]] = field(default_factory=dict)
    backup: Beteiligte | None = None
    begun_since_backup: int = 0

    def begin(self, run: str, weather: Weather) -> None:
        """Let this weather be over the next run."""
        self.run, self.weather, self.points, self.begun = run, weather, 0, 0
        self.seen.clear()
        self.consent.begin()
        self.disk.dead, self.disk.is_power_loss = False, weather.is_power_loss
        self.disk.syncs()
        for sim, name in ((self.firm.espo, "espo"), (self.firm.advo, "advo")):
            sim.before, sim.after = self.before_hook(name), self.after_hook(name)
        self.disk.before, self.disk.begins = self.at_commit, self.at_begin
        self.put_right()
        self.begun_since_backup += 1
        self.strike(Moment.START, Hit(self, f"{run}/start", "firm"))

    def end(self) -> None:
        """Clear sky."""
        for sim in (self.firm.espo, self.firm.advo):
            sim.before = sim.after = None
        self.disk.before = self.disk.begins = lambda: None
        self.disk.dead = False
        self.our_error = self.their_error = 0.0
        self.standing_still = None
        self.firm.espo.store.deaths.clear()

    # What lasts

    def last(self, runs: int, put_right: Callable[[], None]) -> None:
        """What struck stays so for this run and ``runs`` more, and is put right when the next one begins."""
        self.lasting.append((runs, put_right))

    def put_right(self, *, all_of_it: bool = False) -> None:
        """Put right whatever had its time."""
        lasting, self.lasting = self.lasting, []
        for runs, put_right in lasting:
            if runs and not all_of_it:
                self.lasting.append((runs - 1, put_right))
            else:
                self.tell("put right")
                put_right()

    def missed(self, person: Person) -> None:
        """Somebody looks gone; who still does when another run looks ten minutes later is."""
        now = self.firm.clock()
        run, since = self.absent_since.setdefault(person.number, (self.run, now))
        self.blinded |= run != self.run and now - since >= BELIEVED_AFTER

    def forget(self) -> None:
        """Both sides agree: what went wrong until now is over."""
        for mine in (self.windowed, self.refused, self.unread, self.degraded, self.absent_since):
            mine.clear()
        self.blinded = self.store_is_lost = self.is_unstored = False

    def knows(self, person: Person) -> bool:
        """Whether the state store knows which betnr was agreed: where it does not, any is good (rules.md §3)."""
        return person.synced and not self.store_is_lost

    # What strikes

    def strike(self, moment: Moment, hit: Hit) -> Answer | None:
        """Let the faults of this moment strike; the first answer one of them gives."""
        for name, chance in self.weather.faults.items():
            fault = FAULTS[name]
            if fault.moment is not moment or not fault.concerns(hit):
                continue
            if not self.fate.strikes(f"{hit.key}/{name}", chance):
                continue
            answer = self.let(name, fault, hit)
            if answer is not None:
                return answer
        return None

    def let(self, name: str, fault: Fault, hit: Hit) -> Answer | None:
        """One fault happens."""
        self.struck[name] += 1
        self.blinded |= fault.blinding
        self.tell(f"fault {hit.key}: {name}")
        return fault.happens(hit)

    def pause(self) -> None:
        """A moment right after an answer: the process may stand still here, and others may run."""
        hit, self.standing_still = self.standing_still, None
        if hit is not None and not self.disk.dead:
            self.strike(Moment.BETWEEN, hit)

    # Moments at which a process may die

    def point(self) -> None:
        """One more moment, before a write or a commit; the chosen one is the last.

        After one of them nothing lasting happens until the next, so dying after it is dying before that.
        """
        self.points += 1
        if self.points == self.weather.kill_at:
            self.disk.dead = True
            self.tell(f"killed at point {self.points}")
        if self.disk.dead:
            raise Killed
        self.strike(Moment.POINT, self.of_disk("point"))

    def at_commit(self) -> None:
        """Before a commit: the process may die, the file may be locked, the disk full."""
        self.point()
        self.strike(Moment.COMMIT, self.of_disk("disk"))

    def at_begin(self) -> None:
        """Before a transaction: the process may stand still here, and others may run."""
        self.begun += 1
        key = f"{self.run}/begin/{self.begun}"
        self.strike(Moment.BETWEEN, Hit(self, key, "disk"))

    def of_disk(self, what: str) -> Hit:
        key = f"{self.run}/{what}/{self.points}"
        return Hit(self, key, "disk")

    # Requests

    def is_quiet(self, call: Call) -> bool:
        """A read in calm weather, most of all requests: nothing strikes it, and it tells nobody anything new."""
        nothing_new = not any(self.unread.values()) and not self.consent.unseen
        return (
            self.weather.is_calm and call.method == "GET" and nothing_new and not (self.attended or self.silences)
        )

    def person_of(self, system: str, call: Call) -> Person | None:
        """Whom a request is about."""
        if call.path.endswith("/Note"):
            return next((one for one in self.firm.persons if one.entity_id in call.body), None)
        named = call.path.split("/")
        if system == "espo":
            return next((one for one in self.firm.persons if one.entity_id in named), None)
        betnrs = {int(name) for name in named if name.isdigit()}
        return next((one for one in self.firm.persons if one.betnr in betnrs), None)

    def before_hook(self, system: str) -> Callable[[Call], Answer | None]:
        def before(call: Call) -> Answer | None:
            self.firm.clock.advance(self.firm.nature.latency)
            if call.is_write:
                self.point()
            elif self.disk.dead:
                raise Killed
            if self.is_quiet(call):
                return None
            person = self.person_of(system, call)
            self.interfere(system, call, person, "before")
            base = self.name(system, call, person)
            self.seen[base] += 1
            answer = self.silent(system, call, person)
            if answer is None:
                answer = self.strike(Moment.BEFORE, self.hit(f"{base}/{self.seen[base]}", system, call, person))
            if answer is None:
                self.note_window(system, call, person)
                self.watch(system, call, person, self.unread.get(person.number, set()) if person else set())
            return answer

        return before

    def after_hook(self, system: str) -> Callable[[Call, Answer], Answer | None]:
        def after(call: Call, answer: Answer) -> Answer | None:
            self.firm.clock.advance(self.firm.nature.latency)
            if not call.is_login and not call.path.endswith(UNTOLD):
                told = "?list" if call.path.endswith("CBeteiligte") else ""
                self.tell(f"{system} {call.method} {call.path[-36:]}{told} {call.body} -> {answer.status}")
            if self.is_quiet(call):
                self.heard(call, answer)
                return None
            person = self.person_of(system, call)
            base = self.name(system, call, person)
            hit = self.hit(f"{base}/{self.seen[base]}", system, call, person, answer)
            try:
                spoiled = self.strike(Moment.AFTER, hit)
                self.heard(call, spoiled or answer)
                if spoiled is None and person and call.method == "GET":
                    self.unread[person.number] = {
                        one for one in self.unread.get(person.number, ()) if (one == "items") != (system == "espo")
                    }
                if system == "espo":
                    self.consent.answered(call, spoiled or answer, spoiled=spoiled is not None)
            finally:
                self.interfere(system, call, person, "after")
                self.standing_still = hit
            return spoiled

        return after

    def silent(self, system: str, call: Call, person: Person | None) -> Answer | None:
        """The answer of a system that does not answer for itself."""
        given = (silence(system, call, person) for silence in self.silences)
        return next((answer for answer in given if answer is not None), None)

    def name(self, system: str, call: Call, person: Person | None) -> str:
        """A name for a kind of request that shrinking does not move."""
        return f"{self.run}/{system}/{call.method}/{person.number if person else call.path[-20:]}"

    def hit(self, key: str, system: str, call: Call, person: Person | None, answer: Answer | None = None) -> Hit:
        return Hit(self, key, system, call, answer or NO_ANSWER, person)

    # People in between

    def interfere(self, system: str, call: Call, person: Person | None, when: str) -> None:
        """Let somebody edit between two requests, mostly the person under way."""
        editing = {name: chance for name, chance in self.weather.faults.items() if FAULTS[name].moment is Moment.EDIT}
        chance = max([self.weather.people, *editing.values()])
        if chance <= 0 or call.is_login:
            return
        who = person.number if person else "nobody"
        key = f"{self.run}/people/{system}/{call.method}/{who}/{self.seen[f'{system}{who}{when}']}/{when}"
        self.seen[f"{system}{who}{when}"] += 1
        if not self.fate.strikes(key, chance):
            return
        self.struck.update(list(editing))
        dice = self.fate.dice(key)
        victim = person if person is not None and dice.random() < 0.8 else dice.choice(self.firm.persons)
        before = {row["id"]: row for row in self.firm.rows(victim)}
        arrays, opted_out = self.firm.espo.items(victim.entity_id), self.consent.opted_out()
        told = self.people.edit(victim, dice, side=self.weather.side)
        if told:
            self.consent.edited(opted_out)
            victim.kinds.add("meanwhile")
            self.tell(f"meanwhile {told}")
            after = {row["id"]: row for row in self.firm.rows(victim)}
            touched = {f"row{komm_id}" for komm_id in before | after if before.get(komm_id) != after.get(komm_id)}
            if self.firm.espo.items(victim.entity_id) != arrays:
                touched.add("items")
                victim.saved_in = self.run
            self.unread.setdefault(victim.number, set()).update(touched)

    def note_window(self, system: str, call: Call, person: Person | None) -> None:
        """The one window the sync cannot close: an edit between its last read and its write of the same thing."""
        if person is None:
            return
        unread = self.unread.setdefault(person.number, set())
        array = system == "espo" and "Data" in call.body and "items" in unread and not self.firm.nature.concurrency
        row = system == "advo" and call.method == "PUT" and f"row{call.path.rpartition('/')[2]}" in unread
        if array or row:
            rows = [one for one in self.firm.rows(person) if row and call.path.endswith(f"/{one['id']}")]
            self.windowed.setdefault(person.number, set()).update(entries_of_rows([*rows, call.json] if row else []))

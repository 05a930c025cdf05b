"""What goes wrong between the sync and the two systems, at any request; and people who edit in between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.sandbox.simulator import Answer, Call, ConnectionLost, TimedOut, Unreachable
from tests.simulation.chance import Fate
from tests.simulation.disk import FULL, LOCKED, Disk, Killed, trouble
from tests.simulation.people import People
from tests.simulation.worlds import Firm, Person

HTML = {"Content-Type": "text/html"}
TEXT = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Weather:
    """How likely what is in one run. ``kill_at``: the process dies at this point (requests and commits counted)."""

    passing: float = 0.0
    refusing: float = 0.0
    lists: float = 0.0
    degraded: float = 0.0
    people: float = 0.0
    disk: float = 0.0
    kill_at: int | None = None
    side: str | None = None


CALM = Weather()


@dataclass
class Storm:
    """The hooks of both systems and of the disk for one run."""

    fate: Fate
    firm: Firm
    people: People
    disk: Disk
    tell: Callable[[str], None]
    weather: Weather = CALM
    run: str = ""
    points: int = 0
    writes: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    stale: dict[str, Answer] = field(default_factory=dict)
    unread: dict[int, set[str]] = field(default_factory=dict)
    seen_now: int = 0
    windowed: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)

    def begin(self, run: str, weather: Weather) -> None:
        """Let this weather be over the next run."""
        self.run, self.weather, self.points = run, weather, 0
        self.seen.clear()
        self.disk.dead = False
        for sim, name in ((self.firm.espo, "espo"), (self.firm.advo, "advo")):
            sim.before, sim.after = self.before_hook(name), self.after_hook(name)
        self.disk.before = self.at_commit

    def end(self) -> None:
        """Clear sky."""
        for sim in (self.firm.espo, self.firm.advo):
            sim.before = sim.after = None
        self.disk.before = lambda: None
        self.disk.dead = False

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

    def at_commit(self) -> None:
        """Before a commit: the process may die, the file may be locked, the disk full."""
        self.point()
        key = f"{self.run}/disk/{self.points}"
        if self.fate.strikes(key, self.weather.disk):
            code, message = self.fate.dice(key).choice((LOCKED, FULL))
            self.tell(message)
            raise trouble(code, message)

    # Requests

    def person_of(self, system: str, call: Call) -> Person | None:
        """Whom a request is about."""
        for person in self.firm.persons:
            name = person.entity_id if system == "espo" else f"/{person.betnr}"
            if name in call.path or (call.path.endswith("/Note") and name in call.body):
                return person
        return None

    def before_hook(self, system: str) -> Callable[[Call], Answer | None]:
        def before(call: Call) -> Answer | None:
            self.firm.clock.advance(self.firm.nature.latency)
            if call.is_write:
                self.point()
            elif self.disk.dead:
                raise Killed
            person = self.person_of(system, call)
            self.interfere(system, call, person, "before")
            key = self.key(system, call, person)
            answer = self.stopped(system, key, call)
            if answer is None:
                self.note_window(system, call, person)
            return answer

        return before

    def after_hook(self, system: str) -> Callable[[Call, Answer], Answer | None]:
        def after(call: Call, answer: Answer) -> Answer | None:
            self.firm.clock.advance(self.firm.nature.latency)
            if not call.is_login and not call.path.endswith(("App/user", "Settings")):
                told = "?list" if call.path.endswith("CBeteiligte") else ""
                self.tell(f"{system} {call.method} {call.path[-36:]}{told} {call.body} -> {answer.status}")
            person = self.person_of(system, call)
            key = f"{self.run}/{system}/{call.method}/{person.number if person else call.path[-20:]}/{self.seen_now}"
            try:
                spoiled = self.spoiled(key, call, answer)
                if spoiled is None and person and call.method == "GET":
                    self.unread[person.number] = {
                        one for one in self.unread.get(person.number, ()) if (one == "items") != (system == "espo")
                    }
            finally:
                self.interfere(system, call, person, "after")
            return spoiled

        return after

    def key(self, system: str, call: Call, person: Person | None) -> str:
        """A name for this request that shrinking does not move."""
        base = f"{self.run}/{system}/{call.method}/{person.number if person else call.path[-20:]}"
        self.seen[base] += 1
        self.seen_now = self.seen[base]
        return f"{base}/{self.seen_now}"

    def stopped(self, system: str, key: str, call: Call) -> Answer | None:
        """What keeps a request from having its effect."""
        dice = self.fate.dice(key)
        if self.fate.strikes(f"{key}/lost", self.weather.passing / 2):
            kinds: tuple[Answer | Exception, ...] = (
                ConnectionLost(), TimedOut(), Unreachable(), Answer(500, TEXT, b""), Answer(503, HTML, b"<h1>no</h1>"),
                Answer(503, {**HTML, "Retry-After": "1"}, b""), Answer(429, {"Retry-After": "2"}, b""),
                Answer(502, HTML, b"<html>bad gateway</html>"),
            )  # fmt: skip
            kind = dice.choice(kinds)
            self.tell(f"fault {key}: {kind!r}"[:120])
            if isinstance(kind, Exception):
                raise kind
            return kind
        person = self.person_of(system, call) if call.is_write and not call.path.endswith("/Note") else None
        if person and self.fate.strikes(f"{key}/refused", self.weather.refusing):
            self.tell(f"fault {key}: refused")
            self.refused.add(person.number)
            return Answer(dice.choice((400, 413, 422)), TEXT, b'{"message":"no"}')
        if call.path.find("/Beteiligte/") >= 0 and self.fate.strikes(f"{key}/token", self.weather.passing / 4):
            self.tell("token revoked")
            self.firm.advo.login.revoke()
        return None

    def spoiled(self, key: str, call: Call, answer: Answer) -> Answer | None:
        """What happens to an answer whose request had its effect."""
        dice = self.fate.dice(f"{key}/after")
        is_list = call.method == "GET" and call.path.endswith("/CBeteiligte")
        if self.fate.strikes(f"{key}/answer", self.weather.passing / 2):
            kind = dice.choice(("lost", "late", "html", "cut", "500"))
            self.tell(f"fault {key}: answer {kind}")
            if kind == "lost":
                raise ConnectionLost
            if kind == "late":
                raise TimedOut
            return {
                "html": Answer(200, HTML, b"<html>login</html>"),
                "cut": answer._replace(body=answer.body[: len(answer.body) // 2]),
                "500": Answer(500, TEXT, b""),
            }[kind]
        if is_list and answer.status == 200 and self.fate.strikes(f"{key}/list", self.weather.lists):
            return self.bad_list(key, answer)
        return None

    def bad_list(self, key: str, answer: Answer) -> Answer:
        """A list truncated (honest or lying), emptied, repeated or reordered."""
        page = json.loads(answer.body)
        records = page["list"]
        kind = self.fate.dice(f"{key}/kind").choice(("short", "lying", "empty", "repeated", "reordered"))
        self.tell(f"fault {key}: list {kind}")
        if kind in {"short", "lying"}:
            records = records[: len(records) // 2]
        if kind == "lying" and page.get("total", 0) >= 0:
            page["total"] = len(records)
        if kind == "empty":
            records = []
        if kind == "repeated":
            records = records + records[:1]
        if kind == "reordered":
            records = records[::-1]
        return answer._replace(body=json.dumps({**page, "list": records}).encode())

    # People in between

    def interfere(self, system: str, call: Call, person: Person | None, when: str) -> None:
        """Let somebody edit between two requests, mostly the person under way."""
        if self.weather.people <= 0 or call.is_login:
            return
        who = person.number if person else "nobody"
        key = f"{self.run}/people/{system}/{call.method}/{who}/{self.seen[f'{system}{who}{when}']}/{when}"
        self.seen[f"{system}{who}{when}"] += 1
        if not self.fate.strikes(key, self.weather.people):
            return
        dice = self.fate.dice(key)
        victim = person if person is not None and dice.random() < 0.8 else dice.choice(self.firm.persons)
        before = {row["id"]: row for row in self.firm.advo.rows(victim.betnr)}
        arrays = self.firm.espo.items(victim.entity_id)
        told = self.people.edit(victim, dice, side=self.weather.side)
        if told:
            victim.kinds.add("meanwhile")
            self.tell(f"meanwhile {told}")
            after = {row["id"]: row for row in self.firm.advo.rows(victim.betnr)}
            touched = {f"row{komm_id}" for komm_id in before | after if before.get(komm_id) != after.get(komm_id)}
            touched |= {"items"} if self.firm.espo.items(victim.entity_id) != arrays else set()
            self.unread.setdefault(victim.number, set()).update(touched)

    def note_window(self, system: str, call: Call, person: Person | None) -> None:
        """The one window the sync cannot close: an edit between its last read and its write of the same thing."""
        if person is None:
            return
        unread = self.unread.setdefault(person.number, set())
        array = system == "espo" and "Data" in call.body and "items" in unread and not self.firm.nature.concurrency
        row = system == "advo" and call.method == "PUT" and f"row{call.path.rpartition('/')[2]}" in unread
        if array or row:
            self.windowed.add(person.number)

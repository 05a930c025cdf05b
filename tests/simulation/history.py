"""The life of one world: people edit, runs fail, the weather clears, all comes to rest, and everything is checked."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from threading import Lock

import structlog

from etl.clients import advoware
from etl.errors import ConfigError, LockHeld, StoreError
from jobs.config import Config
from jobs.options import Options
from jobs.pipeline import run
from jobs.sandbox.server import Servers
from jobs.sandbox.server import config as section
from jobs.sandbox.transport import InProcess
from jobs.world import World
from tests.simulation.affairs import UNSEEN, affair
from tests.simulation.chance import Fate
from tests.simulation.consent import Consent
from tests.simulation.disk import Disk, Killed, under
from tests.simulation.fault import CALM, Weather
from tests.simulation.faults import FAULTS, LISTS, OTHERS, PASSING, SECOND_EDITION
from tests.simulation.invariants import Excuses, Violation, after_a_step, at_rest, claim, misfits
from tests.simulation.oracle import canon, entries_of_items, entries_of_rows, espo_can_hold, own_text
from tests.simulation.people import People
from tests.simulation.storm import Storm
from tests.simulation.told import let_go, query, steps_of, texts_told, unmended, values_that_lost
from tests.simulation.wire import short_wires
from tests.simulation.witness import Witness
from tests.simulation.worlds import START, Firm, Moment, Nature, Person, build, marks_of

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

LOCK = "ONE_WRITE"  # the name by which the client asks for it
DEAD = 4_194_305  # a process number no Linux gives
SAMPLED = 0.15  # how often a run on the way to rest is planned first
UPGRADED = 0.15  # how often the grammar of values is another one than that of the run before
RARE = 0.06  # how often something happens to a whole record
NEWER = 0.3  # how often a run meets what the second edition knows
POWER = 0.3  # how often it is not the process alone that dies
Step = tuple[object, ...]
ENOUGH = 16  # runs after which everybody must be at rest
STORE = "state.db"
GONE = "what was not synced is gone"
SHM = Path("/dev/shm")  # noqa: S108  memory instead of a disk, private folders in it


@dataclass
class Life:
    """One world with its systems, its state store and its trace."""

    fate: Fate
    nature: Nature
    folder: Path
    firm: Firm = field(init=False)
    trace: list[str] = field(default_factory=list)
    kept: dict[str, set[str]] = field(default_factory=dict)
    typed: set[str] = field(default_factory=set)
    runs: int = 0
    faulty: bool = False
    blurred: bool = False

    def __post_init__(self) -> None:
        self.firm = build(self.fate, self.nature)
        self.people = People(self.firm)
        self.disk = Disk()
        self.consent = Consent(self.firm)
        talk = (self.trace.append, self.consent, self.another_run)
        self.storm = Storm(self.fate, self.firm, self.people, self.disk, *talk)
        self.firm.espo.clock = self.firm.espo.store.clock = self.their_time
        self.path = self.folder / STORE
        self.witness = Witness(self.firm, self.path, self.consent)
        self.storm.watch, self.storm.heard = self.witness.saw, self.witness.heard
        base = section("http://crm.test", self.firm.advo.address)
        base["espocrm"] |= {"read_concurrency": 1}
        base["advoware"] |= {"read_concurrency": 1}
        sync = {"conflict_scope": self.nature.scope, "direction": self.nature.direction}
        base |= {"state": {"path": str(self.path)}, "sync": sync}
        self.config = Config.model_validate(base)
        self.world = World(
            utcnow=self.our_time,
            monotonic=self.seconds,
            sleep=self.firm.clock.advance,
            espo_transport=InProcess(self.firm.espo),
            advo_transport=InProcess(self.firm.advo),
            heartbeat=False,
        )

    def speak_over(self, servers: Servers) -> None:
        """Real sockets from now on; a process can still die at a commit, not at a request."""
        self.world = replace(self.world, espo_transport=None, advo_transport=None)
        sections = {name: getattr(self.config, name).model_dump() for name in ("sync", "state")}
        base = servers.config()
        base["espocrm"] |= {"read_concurrency": 1}
        base["advoware"] |= {"read_concurrency": 1}
        self.config = Config.model_validate(base | sections)

    def seconds(self) -> float:
        """Since the beginning."""
        return (self.firm.clock() - START).total_seconds()

    def our_time(self) -> datetime:
        """What our clock says; the client asks after every answer, and there a process may stand still."""
        self.storm.pause()
        return self.firm.clock() + timedelta(seconds=self.storm.our_error)

    def their_time(self) -> datetime:
        """What EspoCRM's clock says."""
        return self.firm.clock() + timedelta(seconds=self.storm.their_error)

    def tell(self, line: str) -> None:
        """One more line of the trace."""
        self.trace.append(line)

    @property
    def fingerprint(self) -> str:
        """One text for all that happened."""
        return sha256("\n".join(self.trace).encode()).hexdigest()[:16]

    # One run

    def step(self, weather: Weather = CALM, **options: object) -> str:
        """One run in this weather, and what must hold after it; returns how it ended."""
        self.runs += 1
        name = f"run{self.runs}"
        self.tell(f"--- {name} {weather} {options}")
        self.firm.espo.forget_calls()
        self.firm.advo.forget_calls()
        self.storm.begin(name, weather)
        self.witness.begin(name)
        self.faulty |= not weather.is_calm
        self.typed |= standing(self.firm)
        ended = "killed"
        try:
            report = run(self.config, Options(**options), world=self.world)  # type: ignore[arg-type]
            ended = str(report.outcome)
            self.report = report
            self.tell(f"ended {ended} {report.variants} {report.writes} {report.error} {report.errors}")
        except Killed:
            self.bury()
        except (StoreError, LockHeld, ConfigError) as error:
            ended = type(error).__name__
            self.tell(f"ended {ended}: {str(error)[-60:]}")
        finally:
            self.storm.end()
        self.blurred |= self.storm.blinded
        for person in self.firm.persons:
            if person.number in self.storm.windowed:
                person.excused |= set(person.last)
                person.doubled |= set(person.last)
        claim("no number that no person typed", not (made := self.invented()), made)
        could_not_let_go = ended in {"killed", "StoreError", "LockHeld"}  # or met the lease of one that could not
        after_a_step(self.firm, self.path, killed=could_not_let_go, kept=self.kept)
        self.witness.end(approved="approve_run" in options)
        return ended

    def invented(self) -> set[str]:
        """Numbers in either system that stood in neither before this run, and that nobody typed meanwhile.

        What Advoware makes of a number that it cuts short is Advoware's.
        """
        now = {value for value in standing(self.firm) if value.startswith("+")}
        typed = {value for person in self.firm.persons for value in (*person.last, *person.touched)}
        made = now - self.typed - typed
        if self.nature.max_tlf is None:
            return made
        return {value for value in made if not any(whole.startswith(value) for whole in self.typed | typed)}

    def step_as_planned(self, *, sweep: bool) -> str:
        """A plan and, at the same moment, a run: it writes what the plan said, but for whom a guard keeps back."""
        moment = self.firm.clock.offset
        planned = steps_of(self.path, run(self.config, Options(sweep=sweep, write=False), world=self.world).run_id)
        self.firm.clock.offset = moment
        ended = self.step(sweep=sweep)
        written = steps_of(self.path, self.report.run_id)
        held = {entity_id for (entity_id,) in query(self.path, "select entity_id from holds where released_at is null")}
        for entity_id in planned.keys() | written.keys():
            same = planned.get(entity_id) == written.get(entity_id) or (entity_id in held and entity_id not in written)
            same |= any(self.is_shared(step) for step in planned.get(entity_id, ()))
            same |= self.is_planned_again(entity_id, planned.get(entity_id, []), written.get(entity_id, []))
            told = f"{entity_id}: planned {planned.get(entity_id)}, written {written.get(entity_id)}"
            claim("a run writes what the plan said", same or self.nature.cuts, told)
        return ended

    def is_planned_again(self, entity_id: str, planned: list[Step], written: list[Step]) -> bool:
        """Whether the same was planned twice: the run itself changed what this record shares with another one."""
        shared = self.firm.shared & entries_of_items(self.firm.espo.items(entity_id)).keys()
        return bool(shared) and set(planned) == set(written)

    def is_shared(self, step: Step) -> bool:
        """Whether a step is about what several records hold: only the look-up before the PUT tells how it stands."""
        return any(isinstance(value, str) and canon(value) in self.firm.shared for value in step)

    def another_run(self) -> None:
        """Another process runs while one is under way."""
        weather, self.storm.weather = self.storm.weather, CALM
        self.tell("--- another run begins")
        try:
            with own_write_lock():
                report = run(self.config, Options(), world=self.world)
            self.tell(f"--- the other ended {report.outcome} {report.writes}")
        except (StoreError, LockHeld) as error:
            self.tell(f"--- the other ended {type(error).__name__}")
        finally:
            self.storm.weather = weather

    def bury(self) -> None:
        """The process is gone: its lease names one that does not exist. With the power went what was not synced."""
        if self.disk.synced is not None:
            self.tell(GONE)
            self.put_back(self.disk.synced)
        if self.path.exists():
            with closing(sqlite3.connect(self.path)) as db:
                if db.execute("select 1 from sqlite_master where name = 'lease'").fetchone():
                    db.execute("update lease set pid = ?", (DEAD,))
                    db.commit()

    @property
    def writes(self) -> int:
        """Writes of the last run to both systems."""
        return len(self.firm.espo.writes) + len(self.firm.advo.writes)

    # To rest

    def come_to_rest(self, *, sweeps: bool = False, sampled: float = SAMPLED) -> None:
        """Calm runs until one writes nothing and nobody is due; then a sweep must find nothing they missed.

        A share of them, ``sampled``, is planned first and must write what the plan said. With ``sweeps`` every run
        looks at everybody, so that one that writes nothing tells.
        """
        sweeps = sweeps or any(person.kinds & UNSEEN for person in self.firm.persons)
        for number in range(ENOUGH):
            self.firm.clock.advance(26 * 3600 if number % 6 == 5 else 600)
            planned = not self.storm.lasting and self.fate.dice(f"plan{self.runs}").random() < sampled
            planned &= self.path.exists()
            ended = self.step_as_planned(sweep=sweeps) if planned else self.step(sweep=sweeps)
            quiet = ended == "done" and not self.writes and not self.waiting() and not self.storm.lasting
            held = self.approve()
            if quiet and not held:
                break
        else:
            raise Violation("nobody is stuck", f"not at rest after {ENOUGH} runs: {self.waiting()}")
        for _ in range(0 if sweeps else 2):
            self.firm.clock.advance(600)
            self.step(sweep=True)
            if not self.wrote_to_sharers_only():
                break
        claim("at rest a run writes nothing", not self.writes, [*self.firm.espo.writes, *self.firm.advo.writes])
        windowed, refused = self.storm.windowed, frozenset(self.storm.refused)
        torn = self.storm.is_unstored and bool(self.nature.torn_reads)
        excuses = Excuses(windowed, refused, blurred=self.blurred, faulty=self.faulty, torn=torn)
        at_rest(self.firm, self.path, excuses)
        self.remember()

    def wrote_to_sharers_only(self) -> bool:
        """Whether the last run wrote, and only to records with a number of another one too.

        Who edits its type there changes it here, and no list says so (espocrm-api.md, fact 5): a sweep finds it.
        """
        systems = (("espo", self.firm.espo), ("advo", self.firm.advo))
        whom = [self.storm.person_of(name, call) for name, system in systems for call in system.writes]
        return bool(whom) and all(one is not None and self.firm.shared & self.firm.sides(one).espo for one in whom)

    def waiting(self) -> list[tuple[object, ...]]:
        """Who still has something open; of two records with one betnr a human must choose first."""
        linked = "select betnr from persons where gone_at is null group by betnr having count(*) > 1"
        due = f"due_since is not null and (status is not 'conflict' or betnr not in ({linked}))"
        vanished = "entity_id in (select entity_id from endings where ended_at is null and returned_at is null)"
        return query(self.path, f"select entity_id, due_reason, status, error from persons where {due} or {vanished}")

    def stored(self) -> bytes | None:
        """The state store as a file."""
        if not self.path.exists():
            return None
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("pragma wal_checkpoint(truncate)")
        return self.path.read_bytes()

    def put_back(self, stored: bytes | None) -> None:
        """Put a file in the place of the state store, or nothing."""
        let_go(self.path)
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
        if stored is not None:
            self.path.write_bytes(stored)

    def go_back_to(self, past: Past) -> None:
        """Let everything be as it was then, the systems, the people, the state store, and what was noted of it."""
        self.storm.lasting.clear()
        self.storm.silences.clear()
        self.firm.espo.store.hook = None
        past.moment.again()
        self.put_back(past.stored)
        self.trace[:] = past.trace
        self.runs, self.faulty, self.blurred = past.runs, False, False
        self.kept.clear()
        self.storm.forget()
        self.storm.struck.clear()
        self.witness.stood, self.witness.unseen = deepcopy(past.stood), deepcopy(past.unseen)
        self.consent.known = set(past.known)

    def approve(self) -> bool:
        """The operator looks at what is held and lets it go on; whether anything was."""
        if self.storm.lasting:  # who looks sees that something is wrong
            return False
        holds = query(self.path, "select distinct run_id from holds where released_at is null")
        for (held,) in holds:
            self.firm.clock.advance(60)
            self.step(approve_run=held, operator="op")
        return bool(holds)

    def remember(self) -> None:
        """Both sides agree: what comes next is compared with this."""
        for person in self.firm.persons:
            person.agreed = self.firm.sides(person)
            person.model = {"espo": set(person.agreed.espo), "advo": set(person.agreed.advo)}
            person.last = dict.fromkeys(person.agreed.espo | self.asked_of_advoware(person), "added")
            person.doubled &= person.agreed.advo
            person.texts = {
                row["id"]: text for row in self.firm.rows(person) if (text := own_text(row["bemerkung"]))
            }
            person.marks = marks_of(self.firm, person)
            self.remember_unread(person)
            person.misfits = {row["id"] for row in misfits(self.firm, person)}
            mine = (person.edits, person.kinds, person.excused, person.asked, person.cut_values)
            for noted in (person.touched, person.cut_texts, person.typed_over, *mine):
                noted.clear()
            person.synced = person.away is None
        self.consent.at_rest()
        self.storm.forget()
        self.faulty = self.blurred = False

    def remember_unread(self, person: Person) -> None:
        """Which pairs still wait for what nobody can read to be written clearly."""
        if person.away is None:
            waiting = [value for value in person.hidden if value not in person.agreed.advo]
            hidden = {value: person.agreed.advo.intersection(person.hides(value)) for value in waiting}
            person.hidden = {value: min(numbers) for value, numbers in hidden.items() if numbers}
            person.earlier.clear()
        person.prevented = {value: row for value, row in person.prevented.items() if value not in person.agreed.advo}

    def asked_of_advoware(self, person: Person) -> frozenset[str]:
        """What must stay in Advoware; what a value that it shortens was to replace stands there for a while only."""
        kept = person.agreed.advo
        if self.nature.max_tlf is None:
            return kept
        return frozenset(one for one in kept if not espo_can_hold(one))

    # A whole life

    def live(self, episodes: int = 3) -> None:
        """First sync and some episodes of edits and weather."""
        for number in range(episodes):
            dice = self.fate.dice(f"episode{number}")
            backup, struck = self.stored(), self.storm.struck.copy()
            if number:
                self.edit_all(f"episode{number}")
            for _ in range(dice.choice((0, 1, 1, 2, 3))):
                self.firm.clock.advance(dice.choice((10, 300, 900)))
                self.upgrade()
                self.step(weather_of(self.fate.dice(f"weather{self.runs}"), self.nature.edition))
                if dice.random() < 0.3:
                    self.edit_all(f"episode{number}/{self.runs}", share=0.2)
                    for person in self.firm.persons:
                        person.kinds.add("meanwhile")
                if dice.random() < 0.08 and self.path.exists():
                    self.lose_store(dice.choice((None, None, backup)))
            self.come_to_rest(sweeps=any(FAULTS[name].unseen for name in self.storm.struck - struck))

    def upgrade(self) -> None:
        """Now and then another version of the grammar, or of the numbers' metadata, runs: all values are read anew."""
        if self.nature.edition > 1 and self.fate.dice(f"upgrade{self.runs}").random() < UPGRADED and self.path.exists():
            with closing(sqlite3.connect(self.path)) as store, store:
                if store.execute("select 1 from sqlite_master where name = 'settings'").fetchone():
                    store.execute("delete from settings where key = 'grammar'")
                    self.tell("another grammar")

    def edit_all(self, key: str, share: float = 0.6) -> None:
        """People edit, most persons on one side only."""
        self.storm.yesterday = self.firm.records()
        for person in self.firm.persons:
            dice = self.fate.dice(f"{key}/person{person.number}")
            if self.fate.strikes(f"{key}/person{person.number}/affair", RARE):
                told = affair(self.firm, person, dice)
                self.tell(f"affair {told}") if told else None
                if told and self.blurred:  # a copy's markers are all that a recovery has; an operator approves
                    person.excused |= person.copied & person.last.keys()
            side = dice.choice(("espo", "advo", "espo", "advo", None))
            for number in range(dice.choice((1, 1, 2, 3)) if dice.random() < share else 0):
                if self.fate.strikes(f"{key}/person{person.number}/edit{number}", 1.0):
                    told = self.people.edit(person, self.fate.dice(f"{key}/person{person.number}/{number}"), side=side)
                    self.tell(f"edit {told}") if told else None
            self.firm.clock.advance(0.2)

    def lose_store(self, backup: bytes | None = None) -> None:
        """The state store is deleted, or an old copy of it put in its place."""
        self.blurred = True
        self.storm.store_is_lost |= backup is None
        self.consent.known.clear()
        told = texts_told(self.path)
        for person in self.firm.persons:
            rows = entries_of_rows(self.firm.rows(person))  # a second row that we made: nobody knows whose it is then
            person.doubled |= {value for value, count in rows.items() if count > 1}
            for text, value in told.get(person.entity_id, ()):
                person.meant.setdefault(text, set()).add(value)
            person.excused |= {number for value in person.hidden for number in person.hides(value)}  # gone from EspoCRM
            if self.nature.direction != "both":  # what a direction holds back under a copied marker looks agreed then
                person.excused |= person.copied
        for entity_id, values in values_that_lost(self.path).items():
            self.kept.setdefault(entity_id, set()).update(values)
        self.tell("an old backup is put back" if backup else "state store deleted")
        begun = unmended(self.path)
        self.put_back(backup)
        self.note_cut(begun - unmended(self.path))

    def note_cut(self, forgotten: Collection[tuple[str, str, str]]) -> None:
        """What stands shortened in Advoware, and whole only in a write that nobody remembers any more."""
        for person in self.firm.persons:
            writes = [(value, remark) for entity_id, value, remark in forgotten if entity_id == person.entity_id]
            for row in self.firm.rows(person):
                for value, remark in writes:
                    if row["bemerkung"] == self.nature.cut_remark(remark) != remark:
                        person.cut_texts[row["id"]] = own_text(remark)
                    if is_cut(row["tlf"], value, self.nature.max_tlf):
                        person.cut_values.add(canon(row["tlf"]))
                if row["id"] in person.cut_texts or canon(row["tlf"] or "") in person.cut_values:
                    person.meant.setdefault(own_text(row["bemerkung"]), set()).add(canon(row["tlf"]))


def standing(firm: Firm) -> set[str]:
    """Every value that any person has on either side."""
    sides = [firm.sides(person) for person in firm.persons]
    return {value for one in sides for value in one.espo | one.advo}


def is_cut(stands: str | None, sent: str, most: int | None) -> bool:
    """Whether Advoware stores only the beginning of what was sent."""
    return most is not None and len(sent) > most and stands == sent[:most]


def weather_of(dice: Random, edition: int) -> Weather:
    """The weather of one run."""
    people = dice.choice((0.0, 0.0, 0.01, 0.05))
    kind = dice.choice(("calm", "rough", "stormy", "kill", "kill", "kill", "lists", "disk", "others"))
    faults: dict[str, float] = {
        "calm":   {},
        "rough":  dict.fromkeys(PASSING, 0.002),
        "stormy": dict.fromkeys(PASSING, 0.015),
        "kill":   {},
        "lists":  dict.fromkeys(LISTS, 0.2),
        "disk":   {"database locked": 0.01, "disk full": 0.01},
        "others": dict.fromkeys(dice.sample(OTHERS, 2), 0.02),
    }[kind]  # fmt: skip
    kill_at = dice.randint(1, 150) if kind == "kill" else None
    if edition > 1 and dice.random() < NEWER:
        faults |= {name: min(FAULTS[name].chance, 0.2) for name in dice.sample(SECOND_EDITION, 2)}
    return Weather(faults, people, kill_at, power=kill_at is not None and dice.random() < POWER)


class Past:
    """A quiet moment of a life, before anything went wrong, to go back to as often as one likes."""

    def __init__(self, life: Life) -> None:
        self.moment, self.stored = Moment(life.firm), life.stored()
        self.runs, self.trace = life.runs, tuple(life.trace)
        self.stood, self.unseen = deepcopy(life.witness.stood), deepcopy(life.witness.unseen)
        self.known = frozenset(life.consent.known)


@contextmanager
def own_write_lock() -> Iterator[None]:
    """Another process has a lock of its own: one that sleeps amid a write must not be waited for."""
    real = advoware.ONE_WRITE
    setattr(advoware, LOCK, Lock())
    try:
        yield
    finally:
        setattr(advoware, LOCK, real)


@contextmanager
def a_life(
    seed: int, *, persons: int = 20, spared: Collection[str] = (), nature: Nature | None = None
) -> Iterator[Life]:
    """The world of a seed, in a folder of its own."""
    fate = Fate(seed, frozenset(spared))
    folder = Path(tempfile.mkdtemp(prefix="advosync-sim-", dir=SHM if SHM.is_dir() else None))
    try:
        life = Life(fate, nature or Nature.drawn(fate.dice("nature"), persons), folder)
        with under(life.disk), short_wires():
            yield life
    finally:
        let_go(folder / STORE)
        shutil.rmtree(folder, ignore_errors=True)

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
from jobs.pipeline import run_to_completion
from jobs.run.options import RunOptions
from jobs.sandbox.server import Servers
from jobs.sandbox.server import sandbox_config as section
from tests.harness import simulated_environment
from tests.simulation.affairs import UNLISTED_EVENTS, apply_person_event
from tests.simulation.chance import SeededChance
from tests.simulation.consent import OptOuts
from tests.simulation.disk import Disk, SimulatedKill, use_disk
from tests.simulation.fault import NO_FAULTS, FaultProfile
from tests.simulation.faults import FAULTS, LIST_FAULTS, OTHER_FAULTS, SECOND_EDITION_FAULTS, TRANSIENT_FAULTS
from tests.simulation.invariants import (
    Excuses,
    Violation,
    check_after_run,
    check_at_rest,
    check_rule,
    rows_with_wrong_komm_kz,
)
from tests.simulation.oracle import (
    canon,
    entries_of_items,
    entries_of_rows,
    espo_can_hold,
    marker_value,
    text_in_remark,
)
from tests.simulation.people import People
from tests.simulation.storm import FaultInjector
from tests.simulation.told import (
    close_store,
    open_advoware_writes,
    query_store,
    steps_by_person,
    texts_in_journal,
    values_in_conflicts,
)
from tests.simulation.wire import bypass_httpx
from tests.simulation.witness import WriteChecker
from tests.simulation.worlds import (
    LATEST_EDITION,
    START,
    Firm,
    FirmSnapshot,
    Person,
    Traits,
    build_firm,
    item_attributes,
)

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

LOCK_NAME = "WRITE_LOCK"  # the name by which the client asks for it
UNUSED_PID = 4_194_305  # a process number no Linux gives
PLAN_SHARE = 0.15  # how often a run on the way to rest is planned first
GRAMMAR_CHANGE_SHARE = 0.15  # how often the grammar of values is another one than that of the run before
EVENT_PROBABILITY = 0.06  # how often something happens to a whole record
LOCK_SHARE = 0.3  # how often staff lock records in a run
SECOND_EDITION_SHARE = 0.3  # how often a run meets what the second edition knows
POWER_LOSS_SHARE = 0.3  # how often it is not the process alone that dies
MAX_RUNS = 16  # runs after which everybody must be at rest
STORE_FILE = "state.db"
UNSYNCED_LOST = "what was not synced is gone"
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  memory instead of a disk, private folders in it
Step = tuple[object, ...]


@dataclass
class Simulation:
    """One world with its systems, its state store and its trace."""

    chance: SeededChance
    traits: Traits
    folder: Path
    firm: Firm = field(init=False)
    trace: list[str] = field(default_factory=list)
    earlier_conflicts: dict[str, set[str]] = field(default_factory=dict)
    known_values: set[str] = field(default_factory=set)
    run_count: int = 0
    had_faults: bool = False
    ambiguous: bool = False

    def __post_init__(self) -> None:
        self.firm = build_firm(self.chance, self.traits)
        self.people = People(self.firm)
        self.disk = Disk()
        self.opt_outs = OptOuts(self.firm)
        callbacks = (self.trace.append, self.opt_outs, self.run_another)
        self.injector = FaultInjector(self.chance, self.firm, self.people, self.disk, *callbacks)
        self.firm.espo.clock = self.firm.espo.store.clock = self.espo_time
        self.path = self.folder / STORE_FILE
        self.write_checker = WriteChecker(self.firm, self.path, self.opt_outs)
        self.injector.on_request, self.injector.on_answer = (
            self.write_checker.check_write,
            self.write_checker.note_answer,
        )
        base = section("http://crm.test", self.firm.advo.address)
        base["espocrm"] |= {"read_concurrency": 1}
        base["advoware"] |= {"read_concurrency": 1}
        sync = {"conflict_scope": self.traits.scope, "direction": self.traits.direction}
        base |= {"state": {"path": str(self.path)}, "sync": sync}
        self.config = Config.model_validate(base)
        environment = simulated_environment(self.firm.clock, self.firm.espo, self.firm.advo)
        self.environment = replace(environment, utcnow=self.our_time, monotonic=self.elapsed_seconds, durable=True)

    def use_servers(self, servers: Servers) -> None:
        """Real sockets from now on; a process can still die at a commit, not at a request."""
        self.environment = replace(self.environment, espo_transport=None, advo_transport=None)
        sections = {name: getattr(self.config, name).model_dump() for name in ("sync", "state")}
        base = servers.config()
        base["espocrm"] |= {"read_concurrency": 1}
        base["advoware"] |= {"read_concurrency": 1}
        self.config = Config.model_validate(base | sections)

    def elapsed_seconds(self) -> float:
        """Since the beginning."""
        return (self.firm.clock() - START).total_seconds()

    def our_time(self) -> datetime:
        """What our clock says; the client asks after every answer, and there a process may stand still."""
        self.injector.pause()
        return self.firm.clock() + timedelta(seconds=self.injector.our_clock_error)

    def espo_time(self) -> datetime:
        """What EspoCRM's clock says."""
        return self.firm.clock() + timedelta(seconds=self.injector.espo_clock_error)

    def log(self, line: str) -> None:
        """One more line of the trace."""
        self.trace.append(line)

    @property
    def trace_hash(self) -> str:
        """One text for all that happened."""
        return sha256("\n".join(self.trace).encode()).hexdigest()[:16]

    # One run

    def run_and_check(self, profile: FaultProfile = NO_FAULTS, **options: object) -> str:
        """One run in this weather, and what must hold after it; returns how it ended."""
        self.run_count += 1
        name = f"run{self.run_count}"
        self.log(f"--- {name} {profile} {options}")
        self.firm.espo.clear_request_log()
        self.firm.advo.clear_request_log()
        self.injector.begin_run(name, profile)
        self.write_checker.begin_run(name)
        self.had_faults |= not profile.is_fault_free
        self.known_values |= all_values(self.firm)
        outcome = "killed"
        try:
            report = run_to_completion(self.config, RunOptions(**options), environment=self.environment)  # type: ignore[arg-type]
            outcome = str(report.outcome)
            self.report = report
            self.log(f"ended {outcome} {report.variants} {report.writes} {report.error} {report.errors}")
        except SimulatedKill:
            self.clean_up_killed_run()
        except (StoreError, LockHeld, ConfigError) as error:
            outcome = type(error).__name__
            self.log(f"ended {outcome}: {str(error)[-60:]}")
        finally:
            self.injector.end_run()
        self.ambiguous |= self.injector.ambiguous
        for person in self.firm.persons:
            if person.number in self.injector.window_edits:
                person.excused_values |= set(person.last_edits)
                person.duplicates |= set(person.last_edits)
        check_rule("no number that no person typed", not (invented := self.invented_values()), invented)
        left_lease = outcome in {"killed", "StoreError", "LockHeld"}  # or met the lease of one that could not
        check_after_run(self.firm, self.path, left_lease=left_lease, earlier_conflicts=self.earlier_conflicts)
        self.write_checker.end_run(approved="approve_run" in options)
        return outcome

    def invented_values(self) -> set[str]:
        """Numbers in either system that stood in neither before this run, and that nobody typed meanwhile.

        What Advoware makes of a number that it cuts short is Advoware's.
        """
        current_values = {value for value in all_values(self.firm) if value.startswith("+")}
        typed_now = {value for person in self.firm.persons for value in (*person.last_edits, *person.sides_by_value)}
        new_values = current_values - self.known_values - typed_now
        if self.traits.max_tlf is None:
            return new_values
        return {
            value
            for value in new_values
            if not any(full_value.startswith(value) for full_value in self.known_values | typed_now)
        }

    def plan_then_run(self, *, sweep: bool) -> str:
        """A plan and, at the same moment, a run: it writes what the plan said, but for whom a guard keeps back."""
        clock_offset = self.firm.clock.offset
        planned_steps = steps_by_person(
            self.path,
            run_to_completion(self.config, RunOptions(sweep=sweep, write=False), environment=self.environment).run_id,
        )
        self.firm.clock.offset = clock_offset
        outcome = self.run_and_check(sweep=sweep)
        written_steps = steps_by_person(self.path, self.report.run_id)
        persons_held = {
            entity_id
            for (entity_id,) in query_store(self.path, "select entity_id from holds where released_at is null")
        }
        for entity_id in planned_steps.keys() | written_steps.keys():
            is_same = planned_steps.get(entity_id) == written_steps.get(entity_id) or (
                entity_id in persons_held and entity_id not in written_steps
            )
            is_same |= any(self.touches_shared_value(step) for step in planned_steps.get(entity_id, ()))
            is_same |= self.is_planned_again(
                entity_id, planned_steps.get(entity_id, []), written_steps.get(entity_id, [])
            )
            description = f"{entity_id}: planned {planned_steps.get(entity_id)}, written {written_steps.get(entity_id)}"
            check_rule("a run writes what the plan said", is_same or self.traits.truncates, description)
        return outcome

    def is_planned_again(self, entity_id: str, planned: list[Step], written: list[Step]) -> bool:
        """Whether the same was planned twice: the run itself changed what this record shares with another one."""
        shared = self.firm.shared_values & entries_of_items(self.firm.espo.items(entity_id)).keys()
        return bool(shared) and set(planned) == set(written)

    def touches_shared_value(self, step: Step) -> bool:
        """Whether a step is about what several records hold: only the look-up before the PUT tells how it stands."""
        return any(isinstance(value, str) and canon(value) in self.firm.shared_values for value in step)

    def run_another(self) -> None:
        """Another process runs while one is under way."""
        profile, self.injector.profile = self.injector.profile, NO_FAULTS
        self.log("--- another run begins")
        try:
            with separate_write_lock():
                report = run_to_completion(self.config, RunOptions(), environment=self.environment)
            self.log(f"--- the other ended {report.outcome} {report.writes}")
        except (StoreError, LockHeld) as error:
            self.log(f"--- the other ended {type(error).__name__}")
        finally:
            self.injector.profile = profile

    def clean_up_killed_run(self) -> None:
        """The process is gone: its lease names one that does not exist. With the power went what was not synced."""
        if self.disk.synced_file is not None:
            self.log(UNSYNCED_LOST)
            self.replace_store(self.disk.synced_file)
        if self.path.exists():
            with closing(sqlite3.connect(self.path)) as db:
                if db.execute("select 1 from sqlite_master where name = 'lease'").fetchone():
                    db.execute("update lease set pid = ?", (UNUSED_PID,))
                    db.commit()

    @property
    def write_count(self) -> int:
        """Writes of the last run to both systems."""
        return len(self.firm.espo.writes) + len(self.firm.advo.writes)

    # To rest

    def run_to_rest(self, *, sweeps: bool = False, plan_share: float = PLAN_SHARE) -> None:
        """Calm runs until one writes nothing and nobody is due; then a sweep must find nothing they missed.

        A share of them, ``plan_share``, is planned first and must write what the plan said. With ``sweeps`` every run
        looks at everybody, so that one that writes nothing tells.
        """
        sweeps = sweeps or any(person.edit_kinds & UNLISTED_EVENTS for person in self.firm.persons)
        for number in range(MAX_RUNS):
            self.firm.clock.advance(26 * 3600 if number % 6 == 5 else 600)
            plan_first = (
                not self.injector.lasting_faults and self.chance.rng(f"plan{self.run_count}").random() < plan_share
            )
            plan_first &= self.path.exists()
            outcome = self.plan_then_run(sweep=sweeps) if plan_first else self.run_and_check(sweep=sweeps)
            is_quiet = (
                outcome == "done"
                and not self.write_count
                and not self.unfinished_persons()
                and not self.injector.lasting_faults
            )
            had_holds = self.approve()
            if is_quiet and not had_holds:
                break
        else:
            raise Violation("nobody is stuck", f"not at rest after {MAX_RUNS} runs: {self.unfinished_persons()}")
        for _ in range(0 if sweeps else 2):
            self.firm.clock.advance(600)
            self.run_and_check(sweep=True)
            if not self.wrote_only_to_sharers():
                break
        check_rule(
            "at rest a run writes nothing", not self.write_count, [*self.firm.espo.writes, *self.firm.advo.writes]
        )
        window_edits, refused_persons = self.injector.window_edits, frozenset(self.injector.refused_persons)
        torn = self.injector.is_unstored and bool(self.traits.torn_reads)
        excuses = Excuses(
            window_edits, refused_persons, ambiguous=self.ambiguous, had_faults=self.had_faults, torn=torn
        )
        check_at_rest(self.firm, self.path, excuses)
        self.set_baselines()

    def wrote_only_to_sharers(self) -> bool:
        """Whether the last run wrote, and only to records with a number of another one too.

        Who edits its type there changes it here, and no list says so (EspoCRM fact A5): a sweep finds it.
        """
        systems = (("espo", self.firm.espo), ("advo", self.firm.advo))
        persons = [self.injector.person_of(name, call) for name, system in systems for call in system.writes]
        return bool(persons) and all(
            person is not None and self.firm.shared_values & self.firm.sides(person).espo for person in persons
        )

    def unfinished_persons(self) -> list[tuple[object, ...]]:
        """Who still has something open; of two records with one betnr a human must choose first."""
        shared_betnrs = "select betnr from persons where gone_at is null group by betnr having count(*) > 1"
        due = f"due_since is not null and (status is not 'conflict' or betnr not in ({shared_betnrs}))"
        absent = "entity_id in (select entity_id from endings where ended_at is null and returned_at is null)"
        return query_store(
            self.path, f"select entity_id, due_reason, status, error from persons where {due} or {absent}"
        )

    def store_bytes(self) -> bytes | None:
        """The state store as a file."""
        if not self.path.exists():
            return None
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("pragma wal_checkpoint(truncate)")
        return self.path.read_bytes()

    def replace_store(self, content: bytes | None) -> None:
        """Put a file in the place of the state store, or nothing."""
        close_store(self.path)
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (self.folder / name).unlink(missing_ok=True)
        if content is not None:
            self.path.write_bytes(content)

    def restore(self, snapshot: SimulationSnapshot) -> None:
        """Let everything be as it was then, the systems, the people, the state store, and what was noted of it."""
        self.injector.lasting_faults.clear()
        self.injector.overrides.clear()
        self.firm.espo.store.hook = None
        snapshot.firm_snapshot.restore()
        self.replace_store(snapshot.store_bytes)
        self.trace[:] = snapshot.trace
        self.run_count, self.had_faults, self.ambiguous = snapshot.run_count, False, False
        self.earlier_conflicts.clear()
        self.injector.reset()
        self.injector.injected.clear()
        self.write_checker.past_markers, self.write_checker.unconfirmed = (
            deepcopy(snapshot.past_markers),
            deepcopy(snapshot.unconfirmed),
        )
        self.opt_outs.known_keys = set(snapshot.known_keys)

    def approve(self) -> bool:
        """The operator looks at what is held and lets it go on; whether anything was."""
        if self.injector.lasting_faults:  # who looks sees that something is wrong
            return False
        holds = query_store(self.path, "select distinct run_id from holds where released_at is null")
        for (run_id,) in holds:
            self.firm.clock.advance(60)
            self.run_and_check(approve_run=run_id, operator="op")
        return bool(holds)

    def set_baselines(self) -> None:
        """Both sides agree: what comes next is compared with this."""
        for person in self.firm.persons:
            person.baseline = self.firm.sides(person)
            person.expected = {"espo": set(person.baseline.espo), "advo": set(person.baseline.advo)}
            person.last_edits = dict.fromkeys(person.baseline.espo | self.values_kept_in_advoware(person), "added")
            person.duplicates &= person.baseline.advo
            person.own_texts = {
                row["id"]: text for row in self.firm.rows(person) if (text := text_in_remark(row["bemerkung"]))
            }
            person.item_attributes = item_attributes(self.firm, person)
            self.remember_unread(person)
            person.wrong_komm_kz_rows = {row["id"] for row in rows_with_wrong_komm_kz(self.firm, person)}
            notes = (
                person.edited_sides,
                person.edit_kinds,
                person.excused_values,
                person.type_chosen,
                person.truncated_values,
            )
            for noted in (person.sides_by_value, person.truncated_texts, person.typed_over, *notes):
                noted.clear()
            person.synced = person.absence is None
        self.opt_outs.note_rest()
        self.injector.reset()
        self.had_faults = self.ambiguous = False

    def remember_unread(self, person: Person) -> None:
        """Which pairs still wait for what nobody can read to be written clearly."""
        if person.absence is None:
            waiting = [value for value in person.hidden if value not in person.baseline.advo]
            hidden = {value: person.baseline.advo.intersection(person.hides(value)) for value in waiting}
            person.hidden = {value: min(numbers) for value, numbers in hidden.items() if numbers}
            person.earlier.clear()
        person.prevented = {value: row for value, row in person.prevented.items() if value not in person.baseline.advo}

    def values_kept_in_advoware(self, person: Person) -> frozenset[str]:
        """What must stay in Advoware; what a value that it shortens was to replace stands there for a while only."""
        values = person.baseline.advo
        if self.traits.max_tlf is None:
            return values
        return frozenset(value for value in values if not espo_can_hold(value))

    # A whole life

    def run_episodes(self, episodes: int = 3) -> None:
        """First sync and some episodes of edits and weather."""
        for number in range(episodes):
            rng = self.chance.rng(f"episode{number}")
            backup, injected_before = self.store_bytes(), self.injector.injected.copy()
            if number:
                self.edit_all(f"episode{number}")
            for _ in range(rng.choice((0, 1, 1, 2, 3))):
                self.firm.clock.advance(rng.choice((10, 300, 900)))
                self.change_grammar()
                self.run_and_check(random_profile(self.chance.rng(f"weather{self.run_count}"), self.traits.edition))
                if rng.random() < 0.3:
                    self.edit_all(f"episode{number}/{self.run_count}", share=0.2)
                    for person in self.firm.persons:
                        person.edit_kinds.add("meanwhile")
                if rng.random() < 0.08 and self.path.exists():
                    self.lose_store(rng.choice((None, None, backup)))
            self.run_to_rest(sweeps=any(FAULTS[name].sweep_only for name in self.injector.injected - injected_before))

    def change_grammar(self) -> None:
        """Now and then another version of the grammar, or of the numbers' metadata, runs: all values are read anew."""
        if (
            self.traits.edition > 1
            and self.chance.rng(f"upgrade{self.run_count}").random() < GRAMMAR_CHANGE_SHARE
            and self.path.exists()
        ):
            with closing(sqlite3.connect(self.path)) as store, store:
                if store.execute("select 1 from sqlite_master where name = 'settings'").fetchone():
                    store.execute("delete from settings where key = 'grammar'")
                    self.log("another grammar")

    def edit_all(self, key: str, share: float = 0.6) -> None:
        """People edit, most persons on one side only."""
        self.injector.stale_records = self.firm.records()
        for person in self.firm.persons:
            rng = self.chance.rng(f"{key}/person{person.number}")
            if self.chance.occurs(f"{key}/person{person.number}/affair", EVENT_PROBABILITY):
                description = apply_person_event(self.firm, person, rng)
                self.log(f"affair {description}") if description else None
                if description and self.ambiguous:  # a copy's markers are all that a recovery has; an operator approves
                    person.excused_values |= person.copied_values & person.last_edits.keys()
            side = rng.choice(("espo", "advo", "espo", "advo", None))
            for number in range(rng.choice((1, 1, 2, 3)) if rng.random() < share else 0):
                if self.chance.occurs(f"{key}/person{person.number}/edit{number}", 1.0):
                    description = self.people.edit(
                        person, self.chance.rng(f"{key}/person{person.number}/{number}"), side=side
                    )
                    self.log(f"edit {description}") if description else None
            self.firm.clock.advance(0.2)

    def lose_store(self, backup: bytes | None = None) -> None:
        """The state store is deleted, or an old copy of it put in its place."""
        self.ambiguous = True
        self.injector.store_is_lost |= backup is None
        self.opt_outs.known_keys.clear()
        texts_by_person = texts_in_journal(self.path)
        for person in self.firm.persons:
            rows = entries_of_rows(self.firm.rows(person))  # a second row that we made: nobody knows whose it is then
            person.duplicates |= {value for value, count in rows.items() if count > 1}
            for text, value in texts_by_person.get(person.entity_id, ()):
                person.values_of_text.setdefault(text, set()).add(value)
            person.excused_values |= {
                number for value in person.hidden for number in person.hides(value)
            }  # gone from EspoCRM
            if self.traits.direction != "both":  # what a direction holds back under a marker looks agreed then
                person.excused_values |= person.copied_values | values_marked_alone(self.firm, person)
        for entity_id, values in values_in_conflicts(self.path).items():
            self.earlier_conflicts.setdefault(entity_id, set()).update(values)
        self.log("an old backup is put back" if backup else "state store deleted")
        open_writes = open_advoware_writes(self.path)
        self.replace_store(backup)
        self.note_truncated(open_writes - open_advoware_writes(self.path))

    def note_truncated(self, lost_writes: Collection[tuple[str, str, str]]) -> None:
        """What stands shortened in Advoware, and whole only in a write that nobody remembers any more."""
        for person in self.firm.persons:
            writes = [(value, remark) for entity_id, value, remark in lost_writes if entity_id == person.entity_id]
            for row in self.firm.rows(person):
                for value, remark in writes:
                    if row["bemerkung"] == self.traits.truncate_remark(remark) != remark:
                        person.truncated_texts[row["id"]] = text_in_remark(remark)
                    if is_cut_short(row["tlf"], value, self.traits.max_tlf):
                        person.truncated_values.add(canon(row["tlf"]))
                if row["id"] in person.truncated_texts or canon(row["tlf"] or "") in person.truncated_values:
                    person.values_of_text.setdefault(text_in_remark(row["bemerkung"]), set()).add(canon(row["tlf"]))


def all_values(firm: Firm) -> set[str]:
    """Every value that any person has on either side."""
    sides = [firm.sides(person) for person in firm.persons]
    return {value for values in sides for value in values.espo | values.advo}


def is_cut_short(stored: str | None, sent_value: str, limit: int | None) -> bool:
    """Whether Advoware stores only the beginning of what was sent."""
    return limit is not None and len(sent_value) > limit and stored == sent_value[:limit]


def random_profile(rng: Random, edition: int) -> FaultProfile:
    """The weather of one run."""
    edit_probability = rng.choice((0.0, 0.0, 0.01, 0.05))
    kind = rng.choice(("calm", "rough", "stormy", "kill", "kill", "kill", "lists", "disk", "others"))
    faults: dict[str, float] = {
        "calm":   {},
        "rough":  dict.fromkeys(TRANSIENT_FAULTS, 0.002),
        "stormy": dict.fromkeys(TRANSIENT_FAULTS, 0.015),
        "kill":   {},
        "lists":  dict.fromkeys(LIST_FAULTS, 0.2),
        "disk":   {"database locked": 0.01, "disk full": 0.01},
        "others": dict.fromkeys(rng.sample(OTHER_FAULTS, 2), 0.02),
    }[kind]  # fmt: skip
    if edition >= LATEST_EDITION and rng.random() < LOCK_SHARE:
        faults["staff lock a record"] = 0.05
    kill_at = rng.randint(1, 150) if kind == "kill" else None
    if edition > 1 and rng.random() < SECOND_EDITION_SHARE:
        faults |= {name: min(FAULTS[name].probability, 0.2) for name in rng.sample(SECOND_EDITION_FAULTS, 2)}
    return FaultProfile(
        faults, edit_probability, kill_at, power=kill_at is not None and rng.random() < POWER_LOSS_SHARE
    )


def values_marked_alone(firm: Firm, person: Person) -> set[str]:
    """What rows hold whose marker names a value that EspoCRM does not show: to a new store, deleted there."""
    return {
        canon(row["tlf"] or "")
        for row in firm.rows(person)
        if (marked := marker_value(row["bemerkung"])) and marked not in firm.sides(person).espo
    }


class SimulationSnapshot:
    """A quiet moment of a life, before anything went wrong, to go back to as often as one likes."""

    def __init__(self, sim: Simulation) -> None:
        self.firm_snapshot, self.store_bytes = FirmSnapshot(sim.firm), sim.store_bytes()
        self.run_count, self.trace = sim.run_count, tuple(sim.trace)
        self.past_markers, self.unconfirmed = (
            deepcopy(sim.write_checker.past_markers),
            deepcopy(sim.write_checker.unconfirmed),
        )
        self.known_keys = frozenset(sim.opt_outs.known_keys)


@contextmanager
def separate_write_lock() -> Iterator[None]:
    """Another process has a lock of its own: one that sleeps amid a write must not be waited for."""
    real_lock = advoware.WRITE_LOCK
    setattr(advoware, LOCK_NAME, Lock())
    try:
        yield
    finally:
        setattr(advoware, LOCK_NAME, real_lock)


@contextmanager
def open_simulation(
    seed: int, *, persons: int = 20, excluded: Collection[str] = (), traits: Traits | None = None
) -> Iterator[Simulation]:
    """The world of a seed, in a folder of its own."""
    chance = SeededChance(seed, frozenset(excluded))
    folder = Path(tempfile.mkdtemp(prefix="advosync-sim-", dir=MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None))
    try:
        sim = Simulation(chance, traits or Traits.draw(chance.rng("nature"), persons), folder)
        with use_disk(sim.disk), bypass_httpx():
            yield sim
    finally:
        close_store(folder / STORE_FILE)
        shutil.rmtree(folder, ignore_errors=True)

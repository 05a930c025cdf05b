"""Two firms that could hardly be more alike take turns in one process: nothing of a firm gets into the other."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from etl.rules.values.classify import classify
from jobs.environment import PRODUCTION, StopSignal
from jobs.firms.result import FirmCommand, FirmResult, FirmTask
from jobs.firms.turn import take_turn
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimClock, SimRequest, SimResponse, make_json_response
from jobs.telemetry.logs import MaskingFormatter

NAMES = ("Max Mustermann", "Erika Weiß", "Jürgen Lüders")
FIRST_BETNR = 104711
CLOCK = SimClock()
ROUNDS = (
    (FirmCommand.CHECK, FirmCommand.PLAN, FirmCommand.SYNC),
    (FirmCommand.PLAN, FirmCommand.SYNC, FirmCommand.BACKUP, FirmCommand.STATUS),
    (FirmCommand.SYNC, FirmCommand.SWEEP, FirmCommand.MAINTENANCE),
)
"""What both firms are asked in turns; between two rounds people edit."""


@dataclass
class Firm:
    """A firm, both of its systems, and how to know anything of it again."""

    name: str
    digits: str
    folder: Path
    espo: EspoSim
    advo: AdvoSim
    servers: Servers
    entity_ids: list[str]

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.yaml"

    @property
    def traces(self) -> list[str]:
        """What nobody else may know: whatever these stand in, came from this firm."""
        ports = [str(urlsplit(url).port) for url in (self.servers.espo_url, self.servers.advo_url)]
        hosts = [f"127.0.0.1:{port}" for port in ports]
        return [f"511{self.digits}", f"@{self.name}.de", f"Notiz {self.name}", f"key-of-{self.name}", *hosts]

    def fill(self) -> None:
        """The same persons as everywhere, with values of this firm only, some of them in conflict."""
        for number, name in enumerate(NAMES):
            betnr, tail = FIRST_BETNR + number, f"{self.digits}{number}"
            phones = [(f"+49511{tail}1", "Office"), (f"+49511{tail}2", "Mobile")]
            mails = [f"person{number}@{self.name}.de"]
            self.entity_ids.append(self.espo.add_person(name, betnr, phones=phones, mails=mails))
            self.advo.add_person(betnr, name)
            self.advo.add_row(betnr, f"0511/{tail}1", f"Notiz {self.name}")
            self.advo.add_row(betnr, f"0511 {tail}3", "nur vormittags")

    def edit(self) -> None:
        """People change things on both sides, and EspoCRM refuses one of them with the value in its words."""
        first, second, _ = self.entity_ids
        self.espo.edit(first, phones=[f"+49511{self.digits}77"])
        row = self.advo.rows(FIRST_BETNR)[0]
        self.advo.edit_row(FIRST_BETNR, row["id"], value=f"0511 {self.digits}88")
        self.espo.edit(second, phones=[f"+49511{self.digits}99"])
        self.espo.before = self.refuse_second

    def refuse_second(self, request: SimRequest) -> SimResponse | None:
        if request.method == "PUT" and request.path.endswith(self.entity_ids[1]):
            return make_json_response(400, {"message": f"not +49511{self.digits}99"})
        return None

    def config(self) -> dict[str, dict[str, object]]:
        document = self.servers.config()
        document["espocrm"] |= {"api_key": f"key-of-{self.name}", "settle_seconds": 0}
        return {**document, "state": {"path": f"state/{self.name}.db"}}

    def everything_stored(self) -> str:
        """All that the store, its copies, and whatever else lies in its folder hold."""
        files = [path for path in (self.folder / "state").rglob(f"{self.name}*") if path.is_file()]
        assert len(files) >= 2
        return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)

    def everything_in_its_systems(self) -> str:
        """Both systems' persons, and every request they were sent."""
        persons = [self.espo.record(entity_id) for entity_id in self.entity_ids]
        rows = [self.advo.rows(FIRST_BETNR + number) for number in range(len(NAMES))]
        requests = [f"{call.target} {call.body}" for sim in (self.espo, self.advo) for call in sim.request_log]
        assert requests
        return json.dumps([persons, rows, requests, self.espo.store.notes], ensure_ascii=False, default=str)


@pytest.fixture
def firms(tmp_path: Path) -> Iterator[tuple[Firm, Firm]]:
    with ExitStack() as stack:
        made: list[Firm] = []
        for name, digits in (("adler", "30707"), ("bussard", "41818")):
            espo, advo = EspoSim(CLOCK, api_key=f"key-of-{name}"), AdvoSim(CLOCK)
            advo.login.issued_count = 1000 * len(made)  # no token of the one is good for the other
            servers = stack.enter_context(Servers(espo, advo))
            firm = Firm(name, digits, tmp_path, espo, advo, servers, [])
            firm.fill()
            firm.path.write_text(yaml.safe_dump(firm.config()), "utf-8")
            made.append(firm)
        yield made[0], made[1]


@pytest.fixture
def stop_signal() -> Iterator[StopSignal]:
    signal = StopSignal()
    yield signal
    signal.close()


def turn(firm: Firm, command: FirmCommand, stop_signal: StopSignal) -> FirmResult:
    """One turn, logging all there is, values included."""
    CLOCK.advance(1)
    task = FirmTask(firm.name, firm.path, command, "operator", log_level=logging.DEBUG, details=True)
    return take_turn(task, stop_signal, environment=replace(PRODUCTION, utcnow=CLOCK, durable=False))


def traces_found(text: str, firm: Firm) -> list[str]:
    return [trace for trace in firm.traces if trace in text]


def test_two_firms_in_turns_leave_nothing_of_the_one_with_the_other(
    firms: tuple[Firm, Firm], capsys: pytest.CaptureFixture[str], stop_signal: StopSignal
) -> None:
    results = {firm.name: "" for firm in firms}
    for commands in ROUNDS:
        for command in commands:
            for firm in firms:
                result = turn(firm, command, stop_signal)
                assert result.outcome in {"done", "failed_persons"}, result
                results[firm.name] += f"{result}\n"
        for firm in firms:
            firm.edit()
    logged: dict[str, str] = {firm.name: "" for firm in firms}
    for line in capsys.readouterr().err.splitlines():
        logged[json.loads(line)["firm"]] += f"{line}\n"
    for firm, other in (firms, firms[::-1]):
        own = {
            "store": firm.everything_stored(),
            "systems": firm.everything_in_its_systems(),
            "results": results[firm.name],
            "log": logged[firm.name],
        }
        assert {place: found for place, text in own.items() if (found := traces_found(text, other))} == {}
        assert {place for place, text in own.items() if traces_found(text, firm)} == set(own), "the search is blind"
    assert {command for commands in ROUNDS for command in commands} == set(FirmCommand)


def test_each_turn_logs_in_for_itself(firms: tuple[Firm, Firm], stop_signal: StopSignal) -> None:
    for number in (1, 2, 3):
        for place, firm in enumerate(firms):
            assert turn(firm, FirmCommand.SYNC, stop_signal).outcome == "done"
            assert firm.advo.login.issued_count == 1000 * place + number


def test_after_a_turn_the_process_knows_no_value_of_the_firm(firms: tuple[Firm, Firm], stop_signal: StopSignal) -> None:
    assert turn(firms[0], FirmCommand.SYNC, stop_signal).outcome == "done"
    assert classify.cache_info().currsize == 0
    kept = {
        f"{name}.{cached.__name__}"
        for name, module in list(sys.modules.items())
        if name.split(".")[0] in {"etl", "jobs"}
        for cached in vars(module).values()
        if hasattr(cached, "cache_info") and cached.cache_info().currsize
    }
    formatter = logging.getLogger().handlers[0].formatter
    assert isinstance(formatter, MaskingFormatter)
    assert formatter.secret_variants == []
    names = {entry.rpartition(".")[2] for entry in kept}
    names_of_engine = {"decision_table", "no_links", "variant_by_facts"}
    assert names <= names_of_engine | {"package_version", "preload_planner", "template_regex"}


def test_a_broken_file_and_a_refused_login_are_one_firms_failure(
    firms: tuple[Firm, Firm], capsys: pytest.CaptureFixture[str], stop_signal: StopSignal
) -> None:
    first, second = firms
    document = yaml.safe_load(first.path.read_text("utf-8"))
    document["espocrm"]["api_key"] = "wrong"
    first.path.write_text(yaml.safe_dump(document), "utf-8")
    refused = turn(first, FirmCommand.SYNC, stop_signal)
    assert (refused.firm, refused.outcome) == ("adler", "outage")
    assert turn(second, FirmCommand.SYNC, stop_signal).outcome == "done"
    first.path.write_text("espocrm: [", "utf-8")
    broken = turn(first, FirmCommand.SYNC, stop_signal)
    assert (broken.firm, broken.outcome, broken.exit_code) == ("adler", "refused", 64)
    assert str(first.path) in (broken.error or "")
    assert turn(second, FirmCommand.SYNC, stop_signal).outcome == "done"
    firms_logged = {json.loads(line)["firm"] for line in capsys.readouterr().err.splitlines()}
    assert firms_logged == {"adler", "bussard"}

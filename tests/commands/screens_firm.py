"""A firm whose values are as long as people's are, and each screen of it as a command would draw it.

Lived once for all screens, in this process; times, ids and places are the same on every machine.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

import pytest

from etl.environment import network_variables
from etl.rules.variants import Variant
from jobs import cli
from jobs.commands.check import render_checks, run_checks
from jobs.commands.check_data import render_first_sync_report, report_first_sync
from jobs.commands.config_show import list_settings, render_settings
from jobs.commands.conflicts import list_lost_values, render_conflicts
from jobs.commands.explain import explain_persons, render_history
from jobs.commands.held import list_held_persons, render_holds
from jobs.commands.status import collect_status, render_status
from jobs.config import Config
from jobs.exit_codes import ExitCode
from jobs.firms.overview import render_results, sort_results
from jobs.firms.result import FirmCommand, FirmResult
from jobs.run.options import Selection
from jobs.run.report import PLAN_TRIGGER, RunReport, render_plan, render_steps_summary, render_summary
from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import Servers
from jobs.sandbox.simulator import SimRequest, SimResponse, make_json_response
from tests.harness import FaultHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

    from jobs.commands.checks.findings import CheckResult

LONG_MAIL = "kaethe.mueller-luedenscheidt@rechtsanwaelte-schoenhausen.de"
NEW_MAIL = "k.mueller-luedenscheidt@notariat-und-kanzlei-schoenhausen.de"
ODD_MAIL = "Käthe.Müller-Lüdenscheidt@Kanzlei-Müller-und-Weiß.de"
PHONE = "0511 123 45 60"
UNCLEAR = "0511 12345/12346"
REMARK = "nur vormittags, sonst Frau Weiß (Durchwahl 17)"
LONG_REMARK = "zwischen neun und zwölf im Büro, danach bei Frau Weiß im Vorzimmer; freitags grundsätzlich gar nicht"
NAMES = {
    104711: "Käthe-Marie Müller-Lüdenscheidt zu Schönhausen",
    104712: "Jürgen Weiß-Großräschen",
    104713: "Söhnke Übelacker & Gebrüder Köhler Vermögensverwaltungsgesellschaft mbH",
    104714: "Þóra Łukasiewicz",
}
OTHER_VALUES = (
    "0171 - 998 87 66", "0171 - 998 87 55", "(0511) 321 00 21", "0511 / 321 00 22", "+49 30 1234567",
    "0049 (0)30 / 765 43 21", "0511 123 45 61", "poststelle@vermoegensverwaltung-uebelacker-und-koehler.de",
    "2026-03-02 09:01:00", "2026-03-02 10:16:00",
)  # fmt: skip
VALUES = (LONG_MAIL, NEW_MAIL, ODD_MAIL, PHONE, UNCLEAR, REMARK, *NAMES.values(), *OTHER_VALUES)
"""All that a line may not end in; the long remark, which no line of a small screen can hold, is none of them."""

BERLIN = ZoneInfo("Europe/Berlin")
CONFIG = """\
espocrm: {url: "https://crm.example.de", api_key: "${ESPOCRM_API_KEY}"}
advoware:
  kanzlei: "K1"
  database: "D1"
  user: "sync"
  app_id: "${ADVOWARE_APP_ID}"
  api_key: "${ADVOWARE_API_KEY}"
  password: "${ADVOWARE_PASSWORD}"
state: {path: /var/lib/advosync/state.db}
"""


def check_anew(folder: Path) -> Iterator[CheckResult]:
    """What `check` finds before anything was synced; its clients go by the real clock."""
    espo, advo = EspoSim(), AdvoSim()
    espo.add_person(NAMES[104711], 104711)
    advo.add_person(104711, NAMES[104711])
    with Servers(espo, advo) as servers, pytest.MonkeyPatch.context() as environment:
        for name in network_variables(os.environ):
            environment.delenv(name)
        settings = servers.config() | {"state": {"path": str(folder / "new.db")}}
        for result in run_checks(Config.model_validate(settings)):
            message = result.message.replace(str(folder), "/var/lib/advosync")
            yield replace(result, message=message.replace(servers.advo_url, "https://advoware.example.de"))


class ScreensFirm(FaultHarness):
    """Four persons, and a week in which everything happened to them."""

    def __init__(self, folder: Path) -> None:
        guards = {"max_removals": 2, "max_removal_share": 0.5}
        super().__init__(folder, guards=guards, espocrm={"settle_seconds": 0}, schedule={"timezone": "Europe/Berlin"})
        self.ids = {betnr: self.espo.add_person(name, betnr) for betnr, name in NAMES.items()}
        for betnr, name in NAMES.items():
            self.advo.add_person(betnr, name)
        for betnr, value, remark, komm_kz in (
            (104711, LONG_MAIL, REMARK, 4),
            (104711, PHONE, LONG_REMARK, 1),
            (104711, UNCLEAR, None, 1),
            (104712, "0171 - 998 87 66", None, 3),
            (104712, ODD_MAIL, None, 4),
            (104713, "(0511) 321 00 21", "Zentrale", 1),
            (104713, "0511 / 321 00 22", None, 1),
            (104713, "poststelle@vermoegensverwaltung-uebelacker-und-koehler.de", None, 4),
            (104714, "+49 30 1234567", None, 1),
        ):
            self.advo.add_row(betnr, value, remark, komm_kz=komm_kz)
        self.first_sync = report_first_sync(self.config, environment=self.environment)
        self.reports = dict(self.live())
        self.checks = list(check_anew(folder))
        path = folder / "config.yaml"
        path.write_text(CONFIG, "utf-8")
        self.settings_shown = list_settings(path, {"ESPOCRM_API_KEY": "geheim-1"})
        with closing(sqlite3.connect(self.path)) as store:
            store.execute("update runs set host = 'kanzlei'")
            store.execute("update settings set value = '0123456789abcdef' where key = 'instance_id'")
            store.commit()

    def live(self) -> Iterator[tuple[str, RunReport]]:
        """What happened, and the reports of what will be shown."""
        self.run()
        self.change_row(104712, "0171 - 998 87 66", "0171 - 998 87 55")
        self.espo.edit(self.ids[104712], phones=[("+4917199887777", "Mobile")])
        self.change_row(104711, PHONE, "0511 123 45 61")
        with self.hook_before(self.espo, self.refuse_to_save(104711)):
            yield "sync", self.run(sweep=True)
        self.clock.advance(3600)
        self.run(persons=("104711",))
        self.change_row(104711, LONG_MAIL, NEW_MAIL)
        yield "backfill", self.run(trigger="backfill", operator="olga", backfill=Selection(betnrs=(104711, 999999)))
        for row in self.advo.rows(104713):
            self.advo.remove_row(104713, row["id"])
        self.run(sweep=True)
        self.run_later(sweep=True)
        self.change_row(104711, NEW_MAIL, LONG_MAIL)
        self.advo.add_row(104714, "0049 (0)30 / 765 43 21", REMARK)
        yield "plan", self.run(trigger="plan", persons=("104711", "104714"), write=False)
        yield "plan-held", self.run(trigger="plan", held=True, write=False)
        yield "undo", self.run(trigger="plan", undo_run=1, operator="olga", write=False)

    def change_row(self, betnr: int, value: str, new_value: str) -> None:
        """Somebody types another value into Advoware."""
        (row,) = (row for row in self.advo.rows(betnr) if row["tlf"] == value)
        self.advo.edit_row(betnr, row["id"], value=new_value)

    def refuse_to_save(self, betnr: int) -> Callable[[SimRequest], SimResponse | None]:
        """EspoCRM has a rule of its own against this person."""

        def refuse(request: SimRequest) -> SimResponse | None:
            if request.method != "PUT" or self.ids[betnr] not in request.path:
                return None
            return make_json_response(403, {}, {"X-Status-Reason": f"{PHONE} must not be changed."})

        return refuse

    # The screens

    def draw(self, name: str, console: Console) -> None:
        """Show the screen of this name."""
        if name in self.reports:
            self.draw_run(self.reports[name], console)
        elif name.startswith("help"):
            cli.app([*name.split("-")[1:], "--help"], prog_name="advosync", standalone_mode=False)
        else:
            self.DRAWINGS[name](self, console)

    def draw_run(self, report: RunReport, console: Console) -> None:
        """A run as its command shows it; of what would be put back the summary, and then the list somebody asks for."""
        is_dialogue = any(change["variant"] == Variant.UNDO for change in report.changes)
        if is_dialogue:
            render_steps_summary(report, console)
            render_summary(report, console)
        if report.trigger == PLAN_TRIGGER:
            render_plan(report, console)
        if not is_dialogue:
            render_summary(report, console)

    def status(self) -> dict[str, Any]:
        """What ``status`` tells, in a place that is the same everywhere."""
        place = {"id": "0123456789abcdef", "host": "kanzlei", "path": "/var/lib/advosync/state.db"}
        return {**collect_status(self.config, self.clock()), "instance": place}

    def draw_explanations(self, console: Console) -> None:
        for betnr in NAMES:
            for history in explain_persons(self.config, str(betnr), environment=self.environment):
                render_history(history, console, BERLIN, everything=True)

    def draw_firms(self, console: Console) -> None:
        error = f'advoware.password: the variable "WEISS_ADVOWARE_PASSWORD" is not set; {PHONE} knows it'
        document = self.status() | {"stale": False}
        results = [
            FirmResult("mueller-luedenscheidt-und-partner", "done", ExitCode.DONE, document=document),
            FirmResult("weiss", "usage", ExitCode.USAGE, error),
        ]
        render_results(FirmCommand.STATUS, sort_results(FirmCommand.STATUS, results), console)

    DRAWINGS: ClassVar[dict[str, Callable[[ScreensFirm, Console], None]]] = {
        "held": lambda firm, console: render_holds(list_held_persons(firm.config), console, BERLIN),
        "status": lambda firm, console: render_status(firm.status(), console, BERLIN),
        "explain": draw_explanations,
        "conflicts": lambda firm, console: render_conflicts(
            list_lost_values(firm.config, everything=True), console, BERLIN
        ),
        "check": lambda firm, console: render_checks(firm.checks, console),
        "check-data": lambda firm, console: render_first_sync_report(firm.first_sync, console),
        "firms-status": draw_firms,
        "config-show": lambda firm, console: render_settings(firm.settings_shown, console),
    }
    """How the commands draw what they show, apart from runs and help."""

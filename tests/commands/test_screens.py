"""What stands on a screen, letter by letter: at 80 and 120 columns, piped, without colours, without umlauts.

The pages in ``screens`` are the screens. After a change that is meant, ``ADVOSYNC_WRITE_SCREENS=1`` writes them anew.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from etl.store.database import Store
from etl.store.tables.conflicts import save_conflicts
from etl.store.tables.runs import start_run
from tests.telemetry.test_progress import read_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

SCREENS = Path(__file__).parent / "screens"
NOW = "2026-11-27 08:15:00"
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
LOST = (
    ("6b09732495b6cb270", 104711, "0511 1234560", "+49511999888"),
    ("6b097324e195caffd", 104712, "Käthe.Müller-Lüdenscheidt@Kanzlei-Muster.de", "kaethe@mueller-luedenscheidt.de"),
)
NO_UMLAUTS = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


class Screen(NamedTuple):
    """How a command is looked at; no ``columns``: its output goes to a file."""

    name: str
    arguments: tuple[str, ...]
    columns: int | None = None
    env: Mapping[str, str] = {}


CONFLICTS = ("conflicts",)
ALL_SCREENS = (
    Screen("conflicts-80", CONFLICTS, 80),
    Screen("conflicts-120", CONFLICTS, 120),
    Screen("conflicts-160", CONFLICTS, 160),
    Screen("conflicts-no-color", CONFLICTS, 160, {"NO_COLOR": "1"}),
    Screen("conflicts-piped", CONFLICTS),
    Screen("conflicts-piped-lang-c", CONFLICTS, None, NO_UMLAUTS),
    Screen("config-80", ("config", "show"), 80),
    Screen("config-piped", ("config", "show")),
)


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("/var/lib/advosync/state.db", str(tmp_path / "state.db")), "utf-8")
    with Store.open(tmp_path / "state.db", now=NOW, durable=False) as store, store.transaction():
        run_id = start_run(store, now=NOW, version="1", trigger="sync")
        save_conflicts(
            store,
            [
                {
                    "run_id": run_id, "entity_id": entity_id, "betnr": betnr, "variant": "var6", "espo_value": kept,
                    "advo_value": lost, "channel": "mail" if "@" in lost else "phone", "created_at": NOW,
                }
                for entity_id, betnr, lost, kept in LOST
            ],
        )  # fmt: skip
    return path


def look_at(screen: Screen, config_file: Path) -> str:
    """What the command writes to standard output, there."""
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("ADVOWARE", "ESPOCRM", "LC_"))}
    env = {**unset, "TERM": "xterm", "LANG": "C.UTF-8", "ESPOCRM_API_KEY": "geheim-1", **screen.env}
    for name in {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"} - set(screen.env):
        env.pop(name, None)
    command = [sys.executable, "-m", "jobs", "--config", str(config_file), *screen.arguments]
    if screen.columns is None:
        written = subprocess.run(command, env=env, capture_output=True, check=True).stdout
    else:
        own_end, process_end = pty.openpty()
        fcntl.ioctl(process_end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, screen.columns, 0, 0))
        with subprocess.Popen(command, env=env, stdin=process_end, stdout=process_end) as process:
            os.close(process_end)
            written = read_terminal(own_end)
        assert process.returncode == 0
    return written.decode().replace("\r\n", "\n").replace(str(config_file.parent), "/srv")


@pytest.mark.parametrize("screen", ALL_SCREENS, ids=lambda screen: screen.name)
def test_a_screen_is_the_one_that_was_looked_at(screen: Screen, config_file: Path) -> None:
    path, text = SCREENS / f"{screen.name}.txt", look_at(screen, config_file)
    if os.environ.get("ADVOSYNC_WRITE_SCREENS"):
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")
    assert "geheim" not in text


def test_no_value_is_broken_at_any_width(config_file: Path) -> None:
    values = [value for conflict in LOST for value in (conflict[0], *conflict[2:])]
    for columns in (20, 40, 80, 120, None):
        text = look_at(Screen("", CONFLICTS, columns), config_file)
        assert [value for value in values if value not in text] == []

"""What commands need: both systems over HTTP, and a configuration that names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from jobs.sandbox.advoware.api import AdvoSim
from jobs.sandbox.espocrm.api import EspoSim
from jobs.sandbox.server import Servers


@pytest.fixture
def systems() -> Iterator[Servers]:
    with Servers(EspoSim(), AdvoSim()) as servers:
        yield servers


@pytest.fixture
def config_file(tmp_path: Path, systems: Servers) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(systems.config()), "utf-8")
    return path

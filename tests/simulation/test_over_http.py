"""The same seeds over real sockets: what the engine asks and writes is what it asks and writes in process."""

from __future__ import annotations

import pytest

from jobs.sandbox.server import Servers
from tests.simulation.fault import Weather
from tests.simulation.history import Life, a_life

SEEDS = (3, 4, 5)
FAULTS = {"answer lost": 0.05, "5xx before effect": 0.05, "answer cut": 0.05, "429": 0.05, "token expires": 0.05}


def lived(life: Life) -> list[str]:
    """First sync, edits, a run in rough weather with people in between, and rest; the requests and what struck."""
    life.come_to_rest()
    life.edit_all("edits", share=1.0)
    life.firm.clock.advance(60)
    life.step(Weather(FAULTS, people=0.05))
    life.come_to_rest()
    return [line for line in life.trace if not line.startswith(("---", "ended"))]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_life_over_sockets_is_the_life_in_process(seed: int) -> None:
    with a_life(seed, persons=3) as life:
        in_process = lived(life)
    with a_life(seed, persons=3) as life, Servers(life.firm.espo, life.firm.advo) as servers:
        life.speak_over(servers)
        assert lived(life) == in_process
    assert any("fault" in line for line in in_process)

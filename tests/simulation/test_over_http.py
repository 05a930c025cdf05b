"""The same seeds over real sockets: what the engine asks and writes is what it asks and writes in process."""

from __future__ import annotations

import pytest

from jobs.sandbox.server import Servers
from tests.simulation.fault import FaultProfile
from tests.simulation.history import Simulation, open_simulation

SEEDS = (3, 4, 5)
FAULTS = {"answer lost": 0.05, "5xx before effect": 0.05, "answer cut": 0.05, "429": 0.05, "token expires": 0.05}


def run_and_trace(sim: Simulation) -> list[str]:
    """First sync, edits, a run in rough weather with people in between, and rest; the requests and what struck."""
    sim.run_to_rest()
    sim.edit_all("edits", share=1.0)
    sim.firm.clock.advance(60)
    sim.run_and_check(FaultProfile(FAULTS, edit_probability=0.05))
    sim.run_to_rest()
    return [line for line in sim.trace if not line.startswith(("---", "ended"))]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_life_over_sockets_is_the_life_in_process(seed: int) -> None:
    with open_simulation(seed, persons=3) as sim:
        in_process = run_and_trace(sim)
    with open_simulation(seed, persons=3) as sim, Servers(sim.firm.espo, sim.firm.advo) as servers:
        sim.use_servers(servers)
        assert run_and_trace(sim) == in_process
    assert any("fault" in line for line in in_process)

"""The simulation is worth its time: it finds each of the bugs that are planted here."""

from __future__ import annotations

import re

import pytest

from tests.simulation.planted import BUGS
from tests.simulation.simulation import Simulation, ViolationError

MOST_SEEDS = 50


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    """Within a few seeds a bug breaks its promise, and the verdict says how to see it again."""
    bug = BUGS[name]
    for seed in (bug.seed, *range(MOST_SEEDS)):
        try:
            with bug.plant():
                Simulation(seed, bug.prepare).run()
        except ViolationError as found:
            verdict, again, *story = str(found).splitlines()
            assert re.search(bug.found_as, verdict), verdict
            assert f"TEST_SEED={seed} " in again
            assert any(line.startswith("step ") for line in story)
            return
    pytest.fail(f"{MOST_SEEDS} seeds do not find it")

"""The simulation of a whole daemon: what holds for every seed, and that a seed is a whole story."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.profile import IS_LONG
from tests.simulation.simulation import Simulation

ROOT = Path(__file__).parents[2]
SEEDS = 500 if IS_LONG else 20
CHOSEN = os.environ.get("TEST_SEED")
_AGAIN = "from tests.simulation.simulation import Simulation; print(Simulation(3).run())"


@pytest.mark.parametrize("seed", [int(CHOSEN)] if CHOSEN else range(SEEDS))
def test_no_promise_is_broken(seed: int) -> None:
    """Through edits, slots, deliveries, full disks, jumps of the clock and crashes all holds."""
    Simulation(seed).run()


def test_a_seed_replays_exactly() -> None:
    """Two runs of one seed do the same, also in processes that hash texts differently."""
    told = [
        subprocess.run(
            [sys.executable, "-c", _AGAIN],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]

    assert told[0] == told[1] != ""
    assert Simulation(3).run() == told[0].strip()


def test_seeds_differ() -> None:
    """Another seed is another story."""
    assert len({Simulation(seed).run() for seed in range(3)}) == 3

"""Executions of many nodes: they let the loop turn, and leave nothing for a look at all objects."""

from __future__ import annotations

import asyncio
import gc
from itertools import pairwise

import pytest

from flowrunner.engine.graph import GraphWalk
from flowrunner.engine.part import PartRun
from flowrunner.engine.run import ExecutionRun
from flowrunner.engine.runtime import ExecutionRuntime
from flowrunner.engine.starting import MOST_A_TURN
from flowrunner.model.states import ExecutionState, NodeState, Reason
from tests.fakes.engine import Outcome, World, flow, simulate

MANY = 10 * MOST_A_TURN
WAITING = flow(
    "\n".join(f"  - {{id: n{i}, type: wait, params: {{for: 1h}}, needs: []}}" for i in range(MANY))
)


def test_nodes_ready_at_once_are_started_in_many_turns() -> None:
    """However many nodes are ready at once, a turn of the loop starts some of them."""

    async def story(world: World) -> tuple[list[int], Outcome]:
        accepted, counts = await world.submit(world.define(WAITING)), list[int]()
        while MANY not in counts:
            states = (world.engine.live_states(accepted.id) or {}).values()
            counts.append(sum(state is not NodeState.PENDING for state in states))
            await asyncio.sleep(0)
        return counts, await world.end_of(accepted.id)

    counts, outcome = simulate(story)
    assert counts[0] < MANY
    assert max(later - before for before, later in pairwise(counts)) <= MOST_A_TURN
    assert outcome.execution.state is ExecutionState.SUCCEEDED
    assert len(outcome.nodes) == MANY


@pytest.mark.parametrize("started", [0, 1, 2 * MOST_A_TURN])
def test_cancel_while_nodes_are_being_started(started: int) -> None:
    """A cancel that comes while ready nodes wait for their turn ends all of them, once."""

    async def story(world: World) -> Outcome:
        accepted, count = await world.submit(world.define(WAITING)), -1
        while count < started:
            await asyncio.sleep(0)
            states = world.engine.live_states(accepted.id)
            if states is not None:
                count = sum(state is not NodeState.PENDING for state in states.values())
        await world.engine.cancel(accepted.id, Reason.CANCELLED)
        return await world.end_of(accepted.id)

    outcome = simulate(story)
    assert outcome.execution.state is ExecutionState.CANCELLED
    assert len(outcome.nodes) == MANY
    assert {node.state for node in outcome.nodes.values()} == {NodeState.CANCELLED}


def test_ended_execution_leaves_nothing_to_the_garbage_collector() -> None:
    """All that carried it is freed at its end: a look for garbage would hold the loop."""

    async def story(world: World) -> None:
        await world.run(flow("\n".join(f"  - {{id: n{i}, type: noop}}" for i in range(20))))

    before = _carriers()  # of other tests
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        simulate(story)
        left = [each for each in _carriers() if all(each is not known for known in before)]
    finally:
        if was_enabled:
            gc.enable()
    assert left == []


def _carriers() -> list[object]:
    kinds = (ExecutionRun, ExecutionRuntime, PartRun, GraphWalk)
    return [each for each in gc.get_objects() if isinstance(each, kinds)]

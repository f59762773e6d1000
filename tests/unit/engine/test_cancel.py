"""Cancelling: what runs ends in its own time, what waits ends at once, nothing begins anew."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.model.states import ExecutionState, Reason
from tests.fakes.engine import FAILS, HANGS, Act, Acts, Outcome, World, flow, simulate

CHAIN = flow("  - {id: a, run: x}\n  - {id: b, run: x}\n  - {id: c, run: x, if: always()}")


def cancel_after(
    seconds: float, text: str, acts: Acts | None = None, *, node_slots: int = 1_000
) -> Outcome:
    """Runs a flow that is asked to end after some seconds."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(seconds)
        assert await world.engine.cancel(accepted.id)
        return await world.end_of(accepted.id)

    return simulate(story, acts, node_slots=node_slots)


def test_cancel_ends_the_process_and_all_that_follows() -> None:
    """Every node that is not final becomes cancelled, whatever its `if`."""
    outcome = cancel_after(5, CHAIN, {"a": HANGS})
    assert outcome.states == {"b": "cancelled", "c": "cancelled", "a": "cancelled"}
    assert set(outcome.reasons.values()) == {"cancelled"}
    assert outcome.execution.state is ExecutionState.CANCELLED
    assert outcome.execution.reason == "cancelled"
    assert outcome.execution.error is None
    (attempt,) = outcome.attempts
    assert (attempt.state, attempt.reason, attempt.exit_code) == ("cancelled", "cancelled", None)


def test_cancel_leaves_what_has_ended() -> None:
    """Nodes that were final before the cancel keep their state."""
    outcome = cancel_after(5, CHAIN, {"b": HANGS})
    assert outcome.states == {"a": "succeeded", "c": "cancelled", "b": "cancelled"}


def test_cancel_gives_the_process_its_time() -> None:
    """A process has `kill_after` between SIGTERM and SIGKILL."""

    async def story(world: World) -> float:
        text = flow("  - {id: a, run: x, kill_after: 20s}")
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert world.signals("a") == ["SIGTERM", "SIGCONT", "SIGKILL"]
        assert outcome.execution.ended_at is not None
        return (outcome.execution.ended_at - outcome.execution.created_at).total_seconds()

    assert simulate(story, {"a": Act(lasts_s=None, on_term_s=None)}) == 21


@pytest.mark.parametrize(
    ("first", "second"),
    [pytest.param(1, 4, id="cancel-first"), pytest.param(6, 4, id="timeout-first")],
)
def test_cancel_and_timeout_together_do_not_shorten_the_grace(first: int, second: int) -> None:
    """A timeout while a cancel waits for the process, or the reverse, signals nothing early."""
    text = flow("  - {id: a, run: x, timeout: 5s, kill_after: 20s}")

    async def story(world: World) -> tuple[list[str], float]:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(first)
        await world.engine.cancel(accepted.id)
        await asyncio.sleep(second)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert outcome.execution.ended_at is not None
        lasted = outcome.execution.ended_at - outcome.execution.created_at
        return world.signals("a"), lasted.total_seconds()

    signals, lasted = simulate(story, {"a": Act(lasts_s=None, on_term_s=None)})
    assert signals == ["SIGTERM", "SIGCONT", "SIGKILL"]
    assert lasted == min(first, 5) + 20


def test_cancel_in_a_retry_delay_ends_the_node() -> None:
    """No further attempt is made, and the attempts so far are kept."""
    text = flow("  - {id: a, run: x, retry: {max_attempts: 5, delay: 1h}}")
    outcome = cancel_after(10, text, {"a": FAILS})
    assert [str(attempt.state) for attempt in outcome.attempts] == ["failed"]
    assert outcome.states == {"a": "cancelled"}


def test_cancel_ends_a_wait_at_once() -> None:
    """A `wait` holds nothing that would have to end first."""
    outcome = cancel_after(10, flow("  - {id: a, type: wait, params: {for: 1d}}"))
    assert outcome.states == {"a": "cancelled"}
    assert outcome.execution.ended_at is not None
    lasted = outcome.execution.ended_at - outcome.execution.created_at
    assert lasted.total_seconds() == 10


def test_cancel_ends_a_node_that_waits_for_its_turn() -> None:
    """A node that is queued for a place on the host never starts."""
    text = flow("  - {id: a, run: x}\n  - {id: b, run: x, needs: []}")

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert outcome.states == {"a": "cancelled", "b": "cancelled"}
        assert world.spawned("b") == []

    simulate(story, {"a": HANGS}, node_slots=1)


def test_cancel_while_a_program_is_started_gives_it_its_time() -> None:
    """A program that runs before we have heard of it is ended like any other, not killed."""
    text = flow("  - {id: a, run: x, kill_after: 20s}")

    async def story(world: World) -> list[str]:
        world.spawner.takes_s = 5
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert outcome.states == {"a": "cancelled"}
        return world.signals("a")

    assert simulate(story, {"a": Act(lasts_s=None, on_term_s=10)}) == ["SIGTERM", "SIGCONT"]


@pytest.mark.parametrize("turns", range(12), ids=lambda turn: f"turn-{turn}")
def test_cancel_at_any_moment_leaves_every_node_final(turns: int) -> None:
    """However early the cancel comes, the execution ends and all its nodes with it."""
    text = flow("""
  - {id: a, run: x}
  - {id: b, type: log, needs: [], params: {message: hello}}
  - {id: c, run: x}
""")

    async def story(world: World) -> None:
        accepting = asyncio.create_task(world.submit(world.define(text)))
        for _ in range(turns):
            await asyncio.sleep(0)
        accepted = await accepting
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert outcome.states.keys() == {"a", "b", "c"}
        assert outcome.execution.state in (ExecutionState.CANCELLED, ExecutionState.SUCCEEDED)

    simulate(story)


def test_cancel_while_the_log_is_closed_keeps_the_outcome() -> None:
    """What an attempt came to is recorded even if the cancel comes between its end and that."""
    text = flow("  - {id: a, run: x}\n  - {id: b, run: x}")

    async def story(world: World) -> None:
        world.log_writer.finish_takes_s = 5
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert outcome.states == {"b": "cancelled", "a": "succeeded"}
        assert [attempt.state for attempt in outcome.attempts] == ["succeeded"]
        assert outcome.execution.state is ExecutionState.CANCELLED

    simulate(story, {"a": Act(prints=b"hello\n")})


def test_cancel_while_the_log_is_closed_prevents_the_retry() -> None:
    """An attempt that failed just before the cancel is the node's last."""
    text = flow("  - {id: a, run: x, retry: {max_attempts: 3}}\n  - {id: b, run: x}")

    async def story(world: World) -> None:
        world.log_writer.finish_takes_s = 5
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert outcome.states == {"b": "cancelled", "a": "failed"}
        assert len(world.spawner.requests) == 1
        assert outcome.execution.state is ExecutionState.CANCELLED

    simulate(story, {"a": Act(prints=b"hello\n", exit_code=1)})


def test_cancel_before_the_first_node_is_not_lost() -> None:
    """An execution on its way out of the queue ends before it begins; the first reason stays."""

    async def story(world: World) -> None:
        spec = world.define(flow("  - {id: a, run: x}"))
        await world.submit(spec)
        queued = await world.submit(spec)
        world.disk.latency_s = 5
        await asyncio.sleep(65 + 5 + 2)
        assert world.record[-1] == "update running"
        await world.engine.cancel(queued.id)
        await world.engine.cancel(queued.id, Reason.DELETED)
        outcome = await world.end_of(queued.id)
        assert (outcome.states, outcome.reasons) == ({"a": "cancelled"}, {"a": "cancelled"})
        assert (outcome.execution.state, outcome.execution.reason) == ("cancelled", "cancelled")
        assert len(world.spawner.requests) == 1

    simulate(story, {"a": Act(lasts_s=60)})


def test_cancel_after_the_last_node_changes_nothing() -> None:
    """An execution whose nodes are all final ends as they say."""

    async def story(world: World) -> ExecutionState:
        world.disk.latency_s = 10
        accepted = await world.submit(world.define(flow("  - {id: a, type: noop}")))
        await asyncio.sleep(5)
        await world.engine.cancel(accepted.id)
        return (await world.end_of(accepted.id)).execution.state

    assert simulate(story) is ExecutionState.SUCCEEDED


def test_second_cancel_changes_nothing() -> None:
    """The first reason stands."""

    async def story(world: World) -> str:
        accepted = await world.submit(world.define(CHAIN))
        await asyncio.sleep(1)
        await world.engine.cancel(accepted.id)
        await world.engine.cancel(accepted.id, Reason.DELETED)
        return (await world.end_of(accepted.id)).execution.reason

    assert simulate(story, {"a": Act(lasts_s=None, on_term_s=5)}) == "cancelled"


def test_cancel_of_a_queued_execution_ends_it_at_once() -> None:
    """It never starts, and is over when the call returns."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        first, second = await world.submit(spec), await world.submit(spec)
        assert await world.engine.cancel(second.id)
        execution = (await world.outcome(second.id)).execution
        assert (execution.state, execution.reason) == (ExecutionState.CANCELLED, "cancelled")
        assert execution.started_at is None
        assert world.engine.queued_count == 0
        await world.engine.cancel(first.id)
        await world.end_of(first.id)
        assert [each.id for each in world.observer.ended] == [second.id, first.id]

    simulate(story, {"a": HANGS})


def test_cancel_of_what_is_not_here_says_so() -> None:
    """Neither an unknown execution nor one that has ended can be cancelled."""

    async def story(world: World) -> None:
        outcome = await world.run(CHAIN)
        assert not await world.engine.cancel(outcome.execution.id)

    simulate(story)


def test_deleted_flow_takes_its_queue_along() -> None:
    """What waits for a removed flow ends with the reason; what runs goes on to its end."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        accepted = [await world.submit(spec) for _ in range(3)]
        world.remove(spec.key)
        await world.engine.cancel_queued(spec.key, Reason.DELETED)
        ends = [(await world.end_of(each.id)).execution for each in accepted[1:]]
        assert {(each.state, each.reason) for each in ends} == {("cancelled", "deleted")}
        first = await world.end_of(accepted[0].id)
        assert first.execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"a": Act(lasts_s=60)})

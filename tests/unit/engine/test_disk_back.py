"""A store that fails in the middle of an execution: it goes on when the disk is back."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import HANGS, OK, Act, Acts, Outcome, World, flow, simulate
from tests.fakes.records import make_attempt

RERUN = """
  - {id: a, run: x}
  - {id: b, run: x, on_interrupt: rerun}
  - {id: c, run: x}"""
CLEANED = "finally: [{id: f, run: x}]"


def after_a_full_disk(text: str, acts: Acts, *beginnings: str, full_s: float = 60) -> Outcome:
    """Runs a flow whose disk takes none of these writes from the fifth second on."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(5)
        world.disk.fail(*beginnings, "update")
        await asyncio.sleep(full_s)
        assert world.observer.ended == []
        world.disk.mend()
        outcome = await world.end_of(accepted.id)
        assert world.observer.started == [accepted.id]
        assert world.observer.ended == [outcome.execution]
        assert await world.storage.journal.running() == []
        return outcome

    return simulate(story, acts)


def test_execution_goes_on_when_the_disk_is_back() -> None:
    """What had ended is kept, what was at work is repeated where the flow says so."""
    acts = {"b": [Act(lasts_s=10), OK]}
    outcome = after_a_full_disk(flow(RERUN), acts, "finish b")
    assert outcome.execution.state is ExecutionState.SUCCEEDED
    ends = [(each.key.node, each.key.number, each.reason) for each in outcome.attempts]
    assert ends == [("a", 1, ""), ("b", 1, "interrupted"), ("b", 2, ""), ("c", 1, "")]


@pytest.mark.parametrize("text", ["id: b, run: x, on_interrupt: rerun", "id: b, type: noop"])
def test_attempt_whose_end_was_lost_is_counted_once(text: str) -> None:
    """It ended, its end was not kept, and it is ended or tried again: for metrics it is one."""

    async def story(world: World) -> None:
        steps = f"  - {{id: a, run: x}}\n  - {{{text}, foreach: [1, 2]}}\n  - {{id: c, run: x}}"
        accepted = await world.submit(world.define(flow(steps)))
        await asyncio.sleep(5)
        world.disk.fail("finish b", "update")
        await asyncio.sleep(60)
        world.disk.mend()
        outcome = await world.end_of(accepted.id)
        told = [attempt.key for _, attempt in world.observer.attempts]
        assert sorted(told) == [attempt.key for attempt in outcome.attempts]

    simulate(story, {"a": Act(lasts_s=6), "b": [Act(lasts_s=10), OK]})


def test_finally_runs_when_the_disk_is_back() -> None:
    """An attempt that may not be repeated has failed, and what cleans up after it runs."""
    text = flow("  - {id: a, run: x}\n  - {id: b, run: x}", top=CLEANED)
    outcome = after_a_full_disk(text, {"a": Act(lasts_s=10)}, "finish a")
    assert outcome.execution.reason == "interrupted"
    assert outcome.states == {"a": "failed", "b": "skipped", "f": "succeeded"}


def test_timeout_strikes_while_the_disk_is_full() -> None:
    """The bound of an execution counts the time in which nothing could be journaled."""
    text = flow("  - {id: a, run: x, on_interrupt: rerun}", top=f"timeout: 30s\n{CLEANED}")
    outcome = after_a_full_disk(text, {"a": [Act(lasts_s=10), HANGS]}, "finish a")
    assert outcome.execution.state is ExecutionState.TIMED_OUT
    assert outcome.states == {"a": "cancelled", "f": "succeeded"}


def test_reason_to_end_that_could_not_be_journaled_is_not_forgotten() -> None:
    """A timeout that strikes on a full disk still ends the execution when it is back."""
    text = flow("  - {id: a, run: x}", top=f"timeout: 30s\n{CLEANED}")
    outcome = after_a_full_disk(text, {"a": HANGS}, "nothing else")
    assert outcome.execution.state is ExecutionState.TIMED_OUT
    assert outcome.states == {"a": "cancelled", "f": "succeeded"}


def test_cancel_while_the_disk_is_full_has_its_effect_when_it_is_back() -> None:
    """It is refused as not durable, and kept in mind all the same."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(flow(RERUN)))
        await asyncio.sleep(5)
        world.disk.fail("finish b", "update")
        await asyncio.sleep(30)
        assert world.engine.live_states(accepted.id) is None
        with pytest.raises(StorageError):
            await world.engine.cancel(accepted.id)
        world.disk.mend()
        return await world.end_of(accepted.id)

    outcome = simulate(story, {"b": Act(lasts_s=10)})
    assert outcome.execution.state is ExecutionState.CANCELLED
    assert outcome.reasons == {"a": "", "b": "cancelled", "c": "cancelled"}


def test_cancel_of_a_finally_while_the_disk_is_full_asks_for_nothing() -> None:
    """All that it could end has ended before: what comes after a crash must not be told of it."""
    text = flow("  - {id: a, run: x}", top="finally: [{id: f, run: x, on_interrupt: rerun}]")

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(5)
        world.disk.fail("finish f", "update")
        await asyncio.sleep(10)
        with pytest.raises(StorageError):
            await world.engine.cancel(accepted.id)
        world.disk.mend()
        await asyncio.sleep(10)
        kept = await world.storage.executions.get(accepted.id)
        assert kept is not None
        assert (kept.state, kept.reason) == (ExecutionState.RUNNING, "")
        outcome = await world.end_of(accepted.id)
        assert outcome.execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"f": [Act(lasts_s=10), Act(lasts_s=60)]})


def test_force_leaves_out_a_finally_that_is_about_to_go_on() -> None:
    """There is no run of it yet in a new life, and what is told is journaled all the same."""
    text = flow("  - {id: a, run: x}", top="finally: [{id: f, run: x, on_interrupt: rerun}]")

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(5)
        after = world.after_crash()
        await world.engine.drain(0)
        await after.recover()
        assert after.engine.live_states(accepted.id) is None
        assert await after.engine.cancel(accepted.id, force=True)
        assert (await after.outcome(accepted.id)).execution.reason == "forced"
        outcome = await after.end_of(accepted.id)
        await after.idle()
        assert outcome.states == {"a": "succeeded", "f": "cancelled"}
        assert after.spawned("f") == []

    simulate(story, {"f": Act(lasts_s=10)})


def test_second_cancel_says_no_more_than_the_journal_has() -> None:
    """While the first one could not be journaled and its processes still end, it is refused too."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(flow("  - {id: a, run: x}")))
        await asyncio.sleep(5)
        world.disk.fail("update")
        with pytest.raises(StorageError):
            await world.engine.cancel(accepted.id)
        await asyncio.sleep(1)
        assert world.engine.live_states(accepted.id) == {"a": "running"}
        with pytest.raises(StorageError):
            await world.engine.cancel(accepted.id)
        world.disk.mend()
        return await world.end_of(accepted.id)

    outcome = simulate(story, {"a": Act(lasts_s=None, on_term_s=5)})
    assert outcome.execution.state is ExecutionState.CANCELLED


def test_node_that_had_not_begun_is_not_ended_when_the_end_before_it_is_lost() -> None:
    """Its begin was under way; it ends after the node that it needs, which is repeated."""

    async def story(world: World) -> Outcome:
        world.disk.fail("finish a.1 succeeded")
        world.disk.latency_s = 2
        accepted = await world.submit(world.define(flow(text)))
        outcome = await world.end_of(accepted.id)
        assert await world.storage.journal.running() == []
        return outcome

    text = "  - {id: a, run: x, on_interrupt: rerun}\n  - {id: b, run: x, on_interrupt: fail}"
    outcome = simulate(story, {"a": OK, "b": OK})
    assert list(outcome.nodes) == ["a", "b"]  # in the order of their ends


def test_cancel_that_was_kept_is_not_taken_back_by_what_goes_on() -> None:
    """The first write of an execution that goes on says no less than the journal did before."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow(RERUN)))
        await asyncio.sleep(5)
        world.disk.fail("finish b", "update")
        await asyncio.sleep(30)
        world.disk.mend()
        world.disk.latency_s = 10
        cancelling = asyncio.create_task(world.engine.cancel(accepted.id))
        await asyncio.sleep(2)
        assert world.record[-2:] == ["update running", "update running"]
        assert (await world.outcome(accepted.id)).execution.reason == "cancelled"
        assert await cancelling
        await world.end_of(accepted.id)

    simulate(story, {"b": Act(lasts_s=10)})


def test_stop_while_the_disk_is_full_leaves_it_to_the_next_start() -> None:
    """The daemon does not wait for the disk; the journal has what the next life needs."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow(RERUN)))
        await asyncio.sleep(5)
        world.disk.fail("finish b", "update")
        await asyncio.sleep(30)
        await world.engine.drain(60)
        assert world.observer.ended == []
        after = world.after_crash({"b": OK})
        await after.recover()
        outcome = await after.end_of(accepted.id)
        assert outcome.execution.state is ExecutionState.SUCCEEDED
        await after.idle()

    simulate(story, {"b": Act(lasts_s=10)})


def test_disk_that_fails_again_is_waited_for_again() -> None:
    """Each time the execution goes on from what is on disk then."""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(flow(RERUN)))
        await asyncio.sleep(5)
        for _ in range(3):
            world.disk.fail("finish b", "update")
            await asyncio.sleep(60)
            world.disk.mend()
            await asyncio.sleep(5)
        return await world.end_of(accepted.id)

    outcome = simulate(story, {"b": Act(lasts_s=10)})
    assert outcome.execution.state is ExecutionState.SUCCEEDED
    numbers = [each.key.number for each in outcome.attempts if each.key.node == "b"]
    assert numbers == [1, 2, 3, 4]


def test_what_the_store_refuses_for_good_fails_the_execution() -> None:
    """Waiting would not help an attempt that the journal has already, which must not be."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow(RERUN)))
        await world.storage.journal.begin(make_attempt(accepted.id, "c"))
        outcome = await world.end_of(accepted.id)
        assert outcome.execution.reason == "storage.conflict"
        assert outcome.states == {"a": "succeeded", "b": "succeeded", "c": "failed"}

    simulate(story, {"b": Act(lasts_s=10)})


@pytest.mark.parametrize("each", ["", ", foreach: [1, 2]"], ids=["node", "items"])
@pytest.mark.parametrize("says", ["rerun", "fail"])
def test_begin_that_was_kept_after_an_end_that_was_lost_is_taken_up(says: str, each: str) -> None:
    """The node has begun only if what it needs ends well again; else its attempt is ended."""
    nodes = f"""
  - {{id: a, run: x, on_interrupt: {says}}}
  - {{id: b, run: x, on_interrupt: rerun{each}}}"""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(flow(nodes)))
        await asyncio.sleep(5)
        world.disk.fail("finish a", "update")
        await asyncio.sleep(30)
        await world.storage.journal.begin(make_attempt(accepted.id, "b"))
        world.disk.mend()
        outcome = await world.end_of(accepted.id)
        assert await world.storage.journal.running() == []
        return outcome

    outcome = simulate(story, {"a": [Act(lasts_s=10), OK], "b": OK})
    ends = [each.reason for each in outcome.attempts if each.key[1:3] == ("b", 0)]
    assert outcome.execution.error is None or outcome.execution.error.code != "storage.conflict"
    if says == "rerun":
        assert outcome.states == {"a": "succeeded", "b": "succeeded"}
        assert ends == ["interrupted", ""]
    else:
        assert outcome.states == {"a": "failed", "b": "skipped"}
        assert ends == ["interrupted"]

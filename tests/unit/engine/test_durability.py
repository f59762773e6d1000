"""What is on disk when: before a side effect, before a success, after a fault of the disk."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.execution import Execution
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, OK, WORK, Act, Acts, World, flow, simulate

CHAIN = flow("  - {id: a, run: x}\n  - {id: b, run: x}")


def test_begin_is_durable_before_the_process_starts() -> None:
    """A process that was ever started is known to the journal, whenever the power fails."""

    async def story(world: World) -> list[str]:
        world.disk.latency_s = 1
        await world.run(CHAIN)
        return world.record

    record = simulate(story)
    for node in "ab":
        assert record.index(f"durable begin {node}.1") < record.index(f"spawn {node}.1")


def test_end_is_written_before_the_next_begin() -> None:
    """A durable begin proves the end of all that it needed: the journal keeps order."""

    async def story(world: World) -> list[str]:
        world.disk.latency_s = 1
        text = flow("  - {id: a, run: x, retry: {max_attempts: 2}}\n  - {id: b, run: x}")
        await world.run(text)
        return [each for each in world.record if not each.startswith(("durable", "spawn"))]

    assert simulate(story, {"a": [FAILS, OK]})[1:] == [
        "begin a.1",
        "finish a.1 failed",
        "begin a.2",
        "finish a.2 succeeded",
        "begin b.1",
        "finish b.1 succeeded",
        "update succeeded",
    ]


def test_node_does_not_wait_for_the_end_before_it_to_be_durable() -> None:
    """Between two processes there is one commit, not two."""

    async def story(world: World) -> float:
        world.disk.latency_s = 1
        outcome = await world.run(CHAIN)
        assert outcome.execution.ended_at is not None
        return (outcome.execution.ended_at - outcome.execution.created_at).total_seconds()

    create, begins, last_end = 1, 2, 1
    assert simulate(story) == create + begins + last_end


def test_end_of_the_execution_is_written_after_all_its_nodes() -> None:
    """An execution that is final in the journal has all its nodes there."""

    async def story(world: World) -> list[str]:
        world.disk.latency_s = 1
        await world.run(flow("  - {id: a, type: noop}\n  - {id: b, type: noop, needs: []}"))
        return world.record

    assert simulate(story)[-4:] == [
        "durable finish a.1 succeeded",
        "durable finish b.1 succeeded",
        "update succeeded",
        "durable update succeeded",
    ]


def test_nobody_hears_of_an_end_that_is_not_durable() -> None:
    """The observer is told when the end of the execution is on disk."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow("  - {id: a, run: x}")))
        await asyncio.sleep(0.5)
        world.disk.latency_s = 10
        await asyncio.sleep(15)
        assert world.record[-2:] == ["durable finish a.1 succeeded", "update succeeded"]
        assert world.observer.ended == []
        await world.end_of(accepted.id)
        assert world.record[-1] == "durable update succeeded"

    simulate(story, {"a": Act(lasts_s=1)})


def test_promotion_is_durable_before_anything_begins() -> None:
    """A queued execution is running in the journal before its first attempt is."""

    async def story(world: World) -> list[str]:
        spec = world.define(CHAIN)
        await world.submit(spec)
        queued = await world.submit(spec)
        await world.end_of(queued.id)
        return world.record

    record = simulate(story)
    assert record.index("durable update running") < len(record) - record[::-1].index("begin a.1")


@pytest.mark.parametrize("force", [False, True])
def test_cancel_is_durable_before_it_is_answered(*, force: bool) -> None:
    """A crash right after the answer finds the wish in the journal, and what `force` left out."""
    text = flow("  - {id: a, run: x, kill_after: 1m}", top="finally: [{id: f, run: x}]")

    async def story(world: World) -> list[str]:
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(5)
        world.disk.latency_s = 1
        await world.engine.cancel(accepted.id, force=force)
        answered = list(world.record)
        await world.end_of(accepted.id)
        return answered

    record = simulate(story, {"a": Act(lasts_s=None, on_term_s=30)})
    assert "durable update running" in record
    assert ("durable settle f cancelled" in record) is force


def test_cancel_that_cannot_be_journaled_is_refused() -> None:
    """Who cancels hears that a crash would forget it; once the disk is back it has its effect."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow("  - {id: a, run: x}")))
        await asyncio.sleep(5)
        world.disk.fail("update running")
        with pytest.raises(StorageError):
            await world.engine.cancel(accepted.id)
        await asyncio.sleep(60)
        world.disk.mend()
        outcome = await world.end_of(accepted.id)
        assert outcome.execution.state is ExecutionState.CANCELLED
        assert outcome.reasons == {"a": "cancelled"}

    simulate(story, {"a": HANGS})


def test_cancel_between_queue_and_run_is_durable_before_it_is_answered() -> None:
    """Also of an execution that is about to leave the queue, and has no run yet."""

    async def story(world: World) -> None:
        spec = world.define(flow("  - {id: a, run: x}"))
        await world.submit(spec)
        queued = await world.submit(spec)
        world.disk.latency_s = 5
        await asyncio.sleep(65 + 5 + 2)
        assert world.record[-1] == "update running"
        assert await world.engine.cancel(queued.id)
        kept = await world.storage.executions.get(queued.id)
        assert kept is not None
        assert kept.reason == "cancelled"
        await world.end_of(queued.id)

    simulate(story, {"a": Act(lasts_s=60)})


def test_second_cancel_of_what_waits_is_answered_with_the_first() -> None:
    """Two who cancel one queued execution are both told when its end is on disk."""

    async def story(world: World) -> None:
        spec = world.define(flow("  - {id: a, run: x}"))
        first, queued = await world.submit(spec), await world.submit(spec)
        world.disk.fail("update cancelled")
        world.disk.latency_s = 1
        asked = [world.engine.cancel(queued.id) for _ in range(2)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in answers] == [StorageError, StorageError]
        world.disk.mend()
        assert await asyncio.gather(*(world.engine.cancel(queued.id) for _ in range(2))) == [
            True,
            True,
        ]
        await world.end_of(first.id)

    simulate(story)


def test_cancel_of_what_begins_at_that_moment_is_not_lost() -> None:
    """It was in line when it was asked for, and runs when the engine turns to it."""

    async def story(world: World) -> None:
        spec = world.define(flow("  - {id: a, run: x}"))
        first, queued = await world.submit(spec), await world.submit(spec)
        world.define(flow("  - {id: a, run: x}", top="concurrency: {limit: 2}"))
        asking = asyncio.ensure_future(world.engine.cancel(queued.id))
        await asyncio.sleep(0)
        world.engine.admit_waiting()
        assert await asking
        assert (await world.end_of(queued.id)).execution.state is ExecutionState.CANCELLED
        await world.engine.cancel(first.id)
        await world.end_of(first.id)

    simulate(story, {"a": HANGS})


def test_cancel_is_refused_while_the_begin_cannot_be_journaled() -> None:
    """It is remembered for as long as the daemon lives, and nobody is promised more."""

    async def story(world: World) -> None:
        spec = world.define(flow("  - {id: a, run: x}"))
        await world.submit(spec)
        queued = await world.submit(spec)
        world.disk.fail("update running")
        await asyncio.sleep(90)
        with pytest.raises(StorageError):
            await world.engine.cancel(queued.id)
        world.disk.mend()
        outcome = await world.end_of(queued.id)
        assert outcome.execution.state is ExecutionState.CANCELLED

    simulate(story, {"a": Act(lasts_s=60)})


def test_cancel_of_what_was_given_up_is_refused() -> None:
    """Its nodes are final in memory alone: a crash would let it go on as if nobody had asked."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow("  - {id: a, run: x}")))
        await asyncio.sleep(5)
        world.disk.fail("")
        await asyncio.sleep(60)
        with pytest.raises(StorageError):
            await world.engine.cancel(accepted.id)
        world.disk.mend()
        await world.end_of(accepted.id)

    simulate(story, {"a": Act(lasts_s=30)})


# Faults of the disk


def run_with_fault(
    *beginnings: str, acts: Acts | None = None
) -> tuple[Execution, Execution, list[str]]:
    """Runs a flow whose writes fail for a minute.

    Returns the execution as journaled in that minute, as told at its end, and the record.
    """

    async def story(world: World) -> tuple[Execution, Execution, list[str]]:
        world.disk.fail(*beginnings)
        accepted = await world.submit(world.define(CHAIN))
        await asyncio.sleep(60)
        assert world.observer.ended == []
        meanwhile = (await world.outcome(accepted.id)).execution
        world.disk.mend()
        outcome = await world.end_of(accepted.id)
        (told,) = world.observer.ended
        assert told == outcome.execution
        return meanwhile, told, world.record

    return simulate(story, acts)


def test_process_is_not_started_when_its_begin_cannot_be_written() -> None:
    """What cannot be journaled does not happen until it can be."""
    meanwhile, told, record = run_with_fault("begin a", "update")
    assert meanwhile.state is ExecutionState.RUNNING
    assert told.state is ExecutionState.SUCCEEDED
    assert record.index("durable begin a.1") < record.index("spawn a.1")


@pytest.mark.parametrize("fault", ["finish a", "finish b"], ids=["first-end", "last-end"])
def test_success_is_not_reported_when_it_cannot_be_written(fault: str) -> None:
    """An attempt whose end could not be journaled was cut short, as in a crash."""
    meanwhile, told, _ = run_with_fault(fault, "update")
    assert meanwhile.state is ExecutionState.RUNNING
    assert (told.state, told.reason) == (ExecutionState.FAILED, "interrupted")
    assert told.ended_at is not None


def test_end_waits_for_the_disk() -> None:
    """An execution whose last word alone cannot be written is not over until it is."""
    meanwhile, told, _ = run_with_fault("update")
    assert meanwhile.state is ExecutionState.RUNNING
    assert told.state is ExecutionState.SUCCEEDED


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["by-itself", "after-a-cancel"])
def test_end_that_waits_for_the_disk_does_not_hold_up_a_stop(*, is_cancelled: bool) -> None:
    """At a stop it is left to the next start, which finds it running."""

    async def story(world: World) -> None:
        world.disk.fail("update")
        accepted = await world.submit(world.define(CHAIN))
        if is_cancelled:
            with pytest.raises(StorageError):
                await world.engine.cancel(accepted.id)
        await asyncio.sleep(60)
        await world.engine.drain(5)
        assert world.observer.ended == []
        assert (await world.outcome(accepted.id)).execution.state is ExecutionState.RUNNING

    simulate(story)


def test_fault_of_the_journal_ends_the_processes() -> None:
    """Nothing goes on that could not be recorded: its processes are asked to end."""

    async def story(world: World) -> None:
        world.disk.fail("finish quick", "update")
        text = flow("  - {id: slow, run: x}\n  - {id: quick, run: x, needs: []}")
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(60)
        assert world.signals("slow") == ["SIGTERM", "SIGCONT"]
        world.disk.mend()
        await world.end_of(accepted.id)

    simulate(story, {"slow": HANGS})


def test_fault_of_the_skips_is_noticed() -> None:
    """The end of a node without an attempt is no less of a promise: it is written again."""
    _, told, record = run_with_fault("settle", "update", acts={"a": FAILS})
    assert told.reason == "exit_code"
    assert record.count("settle b skipped") == 2
    assert record.count("durable settle b skipped") == 1


def test_fault_that_passes_interrupts_what_was_at_work() -> None:
    """Its writes are lost with those behind them, so nothing is told that is not on disk."""

    async def story(world: World) -> None:
        world.disk.fail("finish quick")
        text = flow("""
  - {id: slow, run: x}
  - {id: quick, run: x, needs: []}
  - {id: last, run: x}
""")
        accepted = await world.submit(world.define(text))
        await asyncio.sleep(2)
        world.disk.mend()
        outcome = await world.end_of(accepted.id)
        execution = outcome.execution
        assert (execution.state, execution.reason) == (ExecutionState.FAILED, "interrupted")
        assert outcome.reasons == {"slow": "interrupted", "quick": "interrupted", "last": "needs"}
        assert {str(attempt.state) for attempt in outcome.attempts} == {"failed"}
        assert await world.storage.journal.running() == []

    simulate(story, {"slow": Act(lasts_s=None, on_term_s=5), "quick": Act(lasts_s=1)})


def test_promotion_waits_for_the_disk() -> None:
    """An accepted execution whose turn comes while the disk is full begins when it is back."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        accepted = [(await world.submit(spec)).id for _ in range(3)]
        world.disk.fail("update running")
        await asyncio.sleep(60)
        assert (await world.outcome(accepted[1])).execution.state is ExecutionState.QUEUED
        world.disk.mend()
        for execution_id in accepted[1:]:
            ended = (await world.end_of(execution_id)).execution
            assert ended.state is ExecutionState.SUCCEEDED

    simulate(story, {"a": Act(lasts_s=1)})


def test_promotion_that_waits_for_the_disk_does_not_hold_up_a_stop() -> None:
    """At a stop it is left in line for the next start."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        accepted = [(await world.submit(spec)).id for _ in range(2)]
        world.disk.fail("update running")
        await asyncio.sleep(60)
        await world.engine.drain(5)
        assert (await world.outcome(accepted[1])).execution.state is ExecutionState.QUEUED

    simulate(story, {"a": Act(lasts_s=1)})


# Beginnings and ends of an execution


def test_work_folder_is_removed_at_the_end() -> None:
    """Nothing that an execution left in its folders stays behind."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(CHAIN))
        await asyncio.sleep(1)
        assert world.files.names(WORK / accepted.id) == ["a.1", "a.1.script", "files"]
        await world.end_of(accepted.id)
        await world.idle()
        assert world.files.names(WORK) == []

    simulate(story, {"a": Act(lasts_s=5)})


def test_work_folder_that_cannot_be_removed_changes_nothing() -> None:
    """The execution has ended as it ended."""

    async def story(world: World) -> None:
        world.files.fail("remove_tree", "", PermissionError(13, "Permission denied"))
        outcome = await world.run(CHAIN)
        assert outcome.execution.state is ExecutionState.SUCCEEDED

    simulate(story)


def test_flow_without_processes_touches_no_folder() -> None:
    """Folders are made for processes alone."""

    async def story(world: World) -> None:
        await world.run(flow("  - {id: a, type: noop}"))
        await world.idle()
        assert world.files.calls == []

    simulate(story)


def test_missing_secret_fails_the_execution_with_all_its_nodes() -> None:
    """A secret that left the host since the flow was judged ready fails it before it begins."""
    text = flow("  - {id: a, run: x}\n  - {id: b, run: x}", top="secrets: [KEY]")

    async def story(world: World) -> None:
        outcome = await world.run(text)
        execution = outcome.execution
        assert (execution.state, execution.reason) == (ExecutionState.FAILED, "secret_missing")
        assert execution.error is not None
        assert execution.error.message == "this host has no secret KEY"
        assert outcome.states == {"a": "cancelled", "b": "cancelled"}
        assert outcome.attempts == []

    simulate(story)


def test_crash_of_the_engine_itself_ends_one_execution() -> None:
    """An error nobody foresaw is that execution's failure; the next one of the flow starts."""

    async def story(world: World) -> None:
        spec = world.define(flow("  - {id: a, run: x}\n  - {id: b, run: x, needs: []}"))
        world.observer.fails_on = "a"
        first, second = await world.submit(spec), await world.submit(spec)
        outcome = await world.end_of(first.id)
        assert (outcome.execution.state, outcome.execution.reason) == ("failed", "internal")
        assert outcome.states.keys() == {"a", "b"}
        assert world.signals("b") == ["SIGTERM", "SIGCONT"]
        world.observer.fails_on = ""
        world.acts["b"] = OK
        assert (await world.end_of(second.id)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"a": Act(lasts_s=1), "b": HANGS})

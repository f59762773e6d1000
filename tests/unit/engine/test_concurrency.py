"""Concurrency of a flow: who starts, who waits, who is refused, and that no place gets lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from flowrunner.errors import RefusedError, StorageError
from flowrunner.model.execution import ScheduleKey
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState, Reason
from tests.fakes.clock import DEFAULT_START
from tests.fakes.engine import HANGS, Act, World, flow, simulate


def limited(rules: str = "limit: 1", name: str = "flow") -> str:
    return flow("  - {id: a, run: x}", name=name, top=f"concurrency: {{{rules}}}")


MINUTE = {"a": Act(lasts_s=60)}


async def state_of(world: World, execution_id: ExecutionId) -> str:
    execution = (await world.outcome(execution_id)).execution
    return f"{execution.state} {execution.reason}".strip()


def assert_no_place_is_left(world: World) -> None:
    """Fails when the bookkeeping remembers an execution that is over."""
    assert world.engine._admission.is_empty


# Queue


def test_starts_beyond_the_limit_wait_in_order() -> None:
    """At most `limit` executions run; the others follow one by one, oldest first."""

    async def story(world: World) -> None:
        spec = world.define(limited("limit: 2"))
        accepted = [(await world.submit(spec)).id for _ in range(5)]
        assert (world.engine.running_count, world.engine.queued_count) == (2, 3)
        assert [await state_of(world, each) for each in accepted] == ["running"] * 2 + [
            "queued"
        ] * 3
        outcomes = [await world.end_of(each) for each in accepted]
        starts = [outcome.execution.started_at for outcome in outcomes]
        assert starts == [
            DEFAULT_START + timedelta(seconds=seconds) for seconds in (0, 0, 60, 60, 120)
        ]
        assert world.observer.queued == accepted[2:]
        assert world.observer.started == accepted
        await world.idle()
        assert_no_place_is_left(world)

    simulate(story, MINUTE)


def test_flows_do_not_wait_for_each_other() -> None:
    """The limit counts the executions of one flow."""

    async def story(world: World) -> None:
        for name in ("one", "two"):
            await world.submit(world.define(limited(name=name)))
        assert (world.engine.running_count, world.engine.queued_count) == (2, 0)

    simulate(story, MINUTE)


def test_failed_execution_makes_room() -> None:
    """However an execution ends, the next one starts."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        first, second, third = [(await world.submit(spec)).id for _ in range(3)]
        await asyncio.sleep(1)
        await world.engine.cancel(first)
        world.acts["a"] = Act(exit_code=1)
        assert await state_of(world, third) == "queued"
        await world.end_of(second)
        await world.end_of(third)
        assert [str(each.state) for each in world.observer.ended] == [
            "cancelled",
            "failed",
            "failed",
        ]

    simulate(story, {"a": HANGS})


def test_newcomer_does_not_pass_those_who_wait() -> None:
    """While somebody waits, a start joins the end of the line even if a place is free."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        accepted = [(await world.submit(spec)).id for _ in range(2)]
        world.define(limited("limit: 5"))  # nobody has been told of it yet
        accepted.append((await world.submit(spec)).id)
        assert world.engine.queued_count == 2
        world.engine.admit_waiting()
        assert world.engine.queued_count == 0
        for each in accepted:
            await world.end_of(each)

    simulate(story, MINUTE)


def test_larger_limit_starts_those_who_wait() -> None:
    """A new definition with a larger limit takes effect for what is queued already."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        accepted = [(await world.submit(spec)).id for _ in range(4)]
        world.define(limited("limit: 3"))
        world.engine.admit_waiting()
        await asyncio.sleep(1)
        assert [await state_of(world, each) for each in accepted] == ["running"] * 3 + ["queued"]
        for each in accepted:
            await world.end_of(each)

    simulate(story, MINUTE)


def test_smaller_limit_waits_for_those_who_run() -> None:
    """A new definition with a smaller limit ends nothing; it lets nobody in until there is room."""

    async def story(world: World) -> None:
        spec = world.define(limited("limit: 2"))
        accepted = [(await world.submit(spec)).id for _ in range(4)]
        world.define(limited("limit: 1"))
        outcomes = [await world.end_of(each) for each in accepted]
        starts = [outcome.execution.started_at for outcome in outcomes]
        assert starts == [DEFAULT_START + timedelta(seconds=seconds) for seconds in (0, 0, 60, 120)]

    simulate(story, MINUTE)


def test_queued_execution_runs_what_it_was_accepted_with() -> None:
    """The definition is pinned when the execution is accepted, not when it starts."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        await world.submit(spec)
        queued = await world.submit(spec)
        world.define(flow("  - {id: other, type: noop}"))
        outcome = await world.end_of(queued.id)
        assert list(outcome.states) == ["a"]
        assert outcome.execution.digest == spec.digest

    simulate(story, MINUTE)


# Refusals


def test_skip_refuses_a_start_beyond_the_limit() -> None:
    """Under `on_conflict: skip` nothing waits and nothing is written."""

    async def story(world: World) -> None:
        spec = world.define(limited("on_conflict: skip"))
        first = await world.submit(spec)
        refused = world.request(spec)
        with pytest.raises(RefusedError) as caught:
            await world.engine.submit(refused)
        assert caught.value.code == "concurrency"
        assert await world.storage.executions.get(refused.id) is None
        await world.end_of(first.id)
        await world.idle()
        assert_no_place_is_left(world)

    simulate(story, MINUTE)


def test_full_queue_refuses_deliveries_alone() -> None:
    """`queue_limit` counts deliveries; slots and starts by hand find a place."""

    async def story(world: World) -> None:
        spec = world.define(limited("queue_limit: 2"))
        accepted = [await world.submit(spec)]
        accepted += [await world.submit(spec, trigger="webhook:push") for _ in range(2)]
        with pytest.raises(RefusedError) as caught:
            await world.submit(spec, trigger="webhook:push")
        assert caught.value.code == "queue_full"
        accepted += [await world.submit(spec), await world.submit(spec, trigger="schedule:daily")]
        for each in accepted:
            await world.end_of(each.id)
        await world.idle()
        assert_no_place_is_left(world)

    simulate(story, MINUTE)


# Slots


def test_newer_slot_takes_the_place_of_the_one_that_waits() -> None:
    """Of each schedule one slot waits at most; the older one ends as superseded."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        first, older, newer = [
            (await world.submit(spec, trigger="schedule:nightly")).id for _ in range(3)
        ]
        assert await state_of(world, older) == "cancelled superseded"
        assert world.engine.queued_count == 1
        await world.end_of(newer)
        assert [each.id for each in world.observer.ended] == [older, first, newer]

    simulate(story, MINUTE)


def test_slots_of_other_triggers_are_not_superseded() -> None:
    """A slot gives way to its own schedule alone; starts by hand and deliveries never do."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        triggers = ["manual", "schedule:hourly", "webhook:push", "manual", "schedule:nightly"]
        accepted = [(await world.submit(spec, trigger=each)).id for each in triggers]
        assert world.engine.queued_count == 4
        for each in accepted:
            assert (await world.end_of(each)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, MINUTE)


def test_slot_is_superseded_only_by_one_that_is_accepted() -> None:
    """When the newer slot cannot be written, the older one keeps its place."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        await world.submit(spec)
        older = (await world.submit(spec, trigger="schedule:nightly")).id
        world.disk.fail("create")
        with pytest.raises(StorageError):
            await world.submit(spec, trigger="schedule:nightly")
        world.disk.mend()
        assert (await world.end_of(older)).execution.state is ExecutionState.SUCCEEDED
        await world.idle()
        assert_no_place_is_left(world)

    simulate(story, MINUTE)


def test_slots_that_come_together_leave_one_waiting() -> None:
    """Of slots accepted at the same time the newest one stays in line."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        await world.submit(spec)
        world.disk.latency_s = 1
        requests = [world.request(spec, trigger="schedule:nightly") for _ in range(4)]
        await asyncio.gather(*(world.engine.submit(each) for each in requests))
        await asyncio.sleep(5)
        states = [await state_of(world, each.id) for each in requests]
        assert states == ["cancelled superseded"] * 3 + ["queued"]

    simulate(story, MINUTE)


def test_slot_goes_in_the_write_that_accepts_the_newer_one() -> None:
    """A crash finds both or neither; a place that gets free meanwhile is for the newer one."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        await world.submit(spec)
        older = (await world.submit(spec, trigger="schedule:nightly")).id
        await asyncio.sleep(59)
        world.disk.latency_s = 5
        newer = await world.submit(spec, trigger="schedule:nightly")
        assert f"durable create {newer.id} and cancelled superseded" in world.record
        world.disk.latency_s = 0
        assert (await world.end_of(newer.id)).execution.state is ExecutionState.SUCCEEDED
        assert older not in world.observer.started
        assert await state_of(world, older) == "cancelled superseded"

    simulate(story, MINUTE)


# Accepting


def test_accepted_means_durable() -> None:
    """`submit` returns after the execution is on disk, and nothing begins before."""

    async def story(world: World) -> None:
        world.disk.latency_s = 1
        accepted = await world.submit(world.define(limited()))
        assert world.record[:2] == [f"create {accepted.id}", f"durable create {accepted.id}"]
        await world.end_of(accepted.id)

    simulate(story)


def test_definition_is_kept_before_the_execution_that_names_it() -> None:
    """What a queued execution will run can be found after a crash."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        world.disk.fail("create")
        with pytest.raises(StorageError):
            await world.submit(spec)
        assert await world.storage.definitions.get(spec.digest) is not None

    simulate(story)


def test_start_with_a_known_key_is_the_same_start() -> None:
    """The second start with one key returns the first execution and takes no place."""

    async def story(world: World) -> None:
        spec = world.define(limited("limit: 3"))
        first = await world.submit(spec, start_key="delivery-1")
        again = await world.submit(spec, start_key="delivery-1")
        assert (again.id, first.created, again.created) == (first.id, True, False)
        assert world.engine.running_count == 1
        await world.end_of(first.id)
        late = await world.submit(spec, start_key="delivery-1")
        assert late == (first.id, False)
        await world.idle()
        assert len(world.observer.ended) == 1
        assert_no_place_is_left(world)

    simulate(story, MINUTE)


def test_known_key_in_the_queue_lets_the_next_one_in() -> None:
    """A start that turns out to be known gives its place in line to those behind it."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        first = await world.submit(spec, start_key="delivery-1")
        world.disk.latency_s = 100
        again = asyncio.create_task(world.submit(spec, start_key="delivery-1"))
        await asyncio.sleep(1)
        behind = await world.submit(spec)
        assert await again == (first.id, False)
        assert (await world.end_of(behind.id)).execution.state is ExecutionState.SUCCEEDED
        await world.idle()
        assert [each.id for each in world.observer.ended] == [first.id, behind.id]
        assert_no_place_is_left(world)

    simulate(story, MINUTE)


@pytest.mark.parametrize("running", [0, 1], ids=["would-start", "would-wait"])
def test_start_that_cannot_be_written_leaves_no_trace(running: int) -> None:
    """After a fault of the storage the caller knows, and the place is free again."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        for _ in range(running):
            await world.submit(spec)
        world.disk.fail("create")
        with pytest.raises(StorageError) as caught:
            await world.submit(spec)
        assert caught.value.code == "storage.full"
        world.disk.mend()
        last = await world.submit(spec)
        assert (await world.end_of(last.id)).execution.state is ExecutionState.SUCCEEDED
        await world.idle()
        assert_no_place_is_left(world)
        assert len(world.observer.ended) == 1 + running

    simulate(story, MINUTE)


def test_start_goes_on_when_its_caller_is_gone() -> None:
    """A client that hangs up while its delivery is written has started the flow all the same."""

    async def story(world: World) -> None:
        world.disk.latency_s = 5
        request = world.request(world.define(limited()))
        asking = asyncio.create_task(world.engine.submit(request))
        await asyncio.sleep(1)
        asking.cancel()
        assert (await world.end_of(request.id)).execution.state is ExecutionState.SUCCEEDED
        await world.idle()
        assert_no_place_is_left(world)

    simulate(story)


def test_start_moves_the_cursor_of_its_schedule() -> None:
    """Slot and execution are one write: whoever knows the cursor knows the execution."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        schedule = ScheduleKey(flow=spec.key, trigger="nightly", fingerprint="@daily")
        request = world.request(
            spec, trigger="schedule:nightly", slot_at=DEFAULT_START, cursor=schedule
        )
        await world.engine.submit(request)
        assert await world.storage.slots.cursor(schedule) == DEFAULT_START
        await world.end_of(request.id)

    simulate(story)


# Faults of the queue


def test_end_of_a_queued_execution_that_cannot_be_written_is_none() -> None:
    """A cancel that the disk refuses is reported, and the execution stays in its place."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        accepted = [(await world.submit(spec)).id for _ in range(3)]
        world.disk.fail("update cancelled")
        with pytest.raises(StorageError):
            await world.engine.cancel(accepted[1])
        world.disk.mend()
        for each in accepted:
            assert (await world.end_of(each)).execution.state is ExecutionState.SUCCEEDED
        assert world.observer.started == accepted

    simulate(story, MINUTE)


def test_place_that_gets_free_meanwhile_is_taken() -> None:
    """An execution that was out of the line for a cancel in vain starts when its turn has come."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        accepted = [(await world.submit(spec)).id for _ in range(2)]
        await asyncio.sleep(59)
        world.disk.fail("update cancelled")
        world.disk.latency_s = 5
        cancelling = asyncio.create_task(world.engine.cancel(accepted[1]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        world.disk.latency_s = 0
        with pytest.raises(StorageError):
            await cancelling
        outcome = await world.end_of(accepted[1])
        assert outcome.execution.state is ExecutionState.SUCCEEDED

    simulate(story, MINUTE)


def test_end_of_a_line_tells_who_was_in_it() -> None:
    """Only those whose ends are on disk are named; the running one goes on."""

    async def story(world: World) -> None:
        spec = world.define(limited())
        accepted = [(await world.submit(spec)).id for _ in range(3)]
        assert [world.engine.is_queued(each) for each in accepted] == [False, True, True]
        world.disk.fail("update cancelled")
        assert await world.engine.cancel_queued(spec.key, Reason.CANCELLED) == ()
        world.disk.mend()
        assert await world.engine.cancel_queued(spec.key, Reason.CANCELLED) == tuple(accepted[1:])
        assert (await world.end_of(accepted[0])).execution.state is ExecutionState.SUCCEEDED

    simulate(story, MINUTE)

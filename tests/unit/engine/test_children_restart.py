"""Nodes of type `flow` over the ends of the daemon: the same attempt finds the same child."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from flowrunner.engine.recovery import recover
from flowrunner.errors import StorageError
from flowrunner.model.execution import Execution
from flowrunner.model.ids import Digest, ExecutionId, Json
from flowrunner.model.states import AttemptState, ExecutionState
from flowrunner.storage.memory_flows import MemoryDefinitions
from tests.fakes.engine import HANGS, OK, Act, Acts, Outcome, World, flow, simulate

CALL = "  - {id: sub, type: flow, params: {flow: child}}"
PARENT = flow(CALL, name="parent", top="finally: [{id: last, run: x}]")
CHILD = flow("  - {id: work, run: x}", name="child", top="finally: [{id: tidy, run: x}]")
WORK = {"work": Act(lasts_s=600, on_term_s=3)}
SURVIVES = CHILD.replace("run: x}\n", "run: x, on_interrupt: rerun}\n")


async def started(world: World, text: str = PARENT, child: str = SURVIVES) -> ExecutionId:
    """Starts the parent and lets five seconds pass."""
    world.define(child)
    accepted = await world.submit(world.define(text))
    await asyncio.sleep(5)
    return accepted.id


async def only_child(world: World, parent: ExecutionId) -> Execution:
    (found,) = await world.storage.executions.children(parent, limit=100)
    kept = await world.storage.executions.get(found.id)
    assert kept is not None
    return kept


async def next_life(world: World, acts: Acts | None = None, *, is_stop: bool = False) -> World:
    """Returns the life after a crash, or after a stop that could wait for nothing."""
    if is_stop:
        await world.engine.drain(0)
    after = world.after_crash(acts)
    if not is_stop:
        await world.engine.drain(0)
    return after


async def asked_to_end(world: World, execution_id: ExecutionId) -> None:
    """Makes the journal say that an execution was cancelled, and nothing of its children."""
    execution = await world.storage.executions.get(execution_id)
    assert execution is not None
    await world.storage.executions.update(replace(execution, reason="cancelled"))


async def settled(world: World, execution_id: ExecutionId) -> Outcome:
    outcome = await world.end_of(execution_id)
    await world.idle()
    world.assert_clean()
    return outcome


@pytest.mark.parametrize("is_stop", [False, True], ids=["crash", "stop"])
def test_parent_and_child_both_go_on(is_stop: bool) -> None:  # noqa: FBT001 - drawn
    """The attempt goes on waiting for the child that it has; nothing is started twice."""

    async def story(world: World) -> None:
        parent = await started(world)
        child = await only_child(world, parent)
        after = await next_life(world, {"work": Act(lasts_s=30)}, is_stop=is_stop)
        await after.recover()
        outcome = await settled(after, parent)
        assert outcome.execution.state is ExecutionState.SUCCEEDED
        assert [each.key.node for each in outcome.attempts] == ["last", "sub"]
        assert (await only_child(after, parent)).id == child.id
        assert len(after.spawned("work")) == 1

    simulate(story, WORK)


def test_child_is_found_before_its_start_is_judged() -> None:
    """What would refuse another start of the flow, as the child itself does, is not asked."""
    child = SURVIVES.replace("nodes:", "concurrency: {on_conflict: skip}\nnodes:")

    async def story(world: World) -> None:
        parent = await started(world, PARENT, child)
        after = await next_life(world, {"work": Act(lasts_s=30)})
        await after.recover()
        assert (await settled(after, parent)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, WORK)


class SlowDefinitions:
    """Meets `DefinitionStore` for whoever reads; lets others go on meanwhile."""

    def __init__(self, inner: MemoryDefinitions) -> None:
        self._inner = inner

    async def get(self, digest: Digest) -> dict[str, Json] | None:
        await asyncio.sleep(1)
        return await self._inner.get(digest)

    def put(self, digest: Digest, definition: Mapping[str, Json]) -> asyncio.Future[None]:
        return self._inner.put(digest, definition)

    async def list(self) -> list[Digest]:
        return await self._inner.list()

    def mark(self) -> int:
        return self._inner.mark()

    async def delete(self, digest: Digest, *, unless_put_since: int | None = None) -> None:
        await self._inner.delete(digest, unless_put_since=unless_put_since)


def test_nobody_goes_on_before_all_are_known() -> None:
    """A parent that is to end looks for its child, which recovery may not have read yet."""

    async def story(world: World) -> None:
        parent = await started(world)
        after = await next_life(world)
        await asked_to_end(after, parent)
        slow = replace(after.services, definitions=SlowDefinitions(after.storage.definitions))
        begun = after.clock.now()
        await recover(after.engine, slow, after.rules_of)
        await settled(after, parent)
        child = await only_child(after, parent)
        assert (child.state, child.reason) == (ExecutionState.CANCELLED, "parent")
        assert child.ended_at is not None
        assert (child.ended_at - begun).total_seconds() == 2

    simulate(story, WORK)


def test_child_that_ended_meanwhile_is_found() -> None:
    """A crash between the end of the child and that of the node loses nothing."""

    async def story(world: World) -> None:
        parent = await started(world)
        child = await only_child(world, parent)
        after = await next_life(world)
        ended = replace(child, state=ExecutionState.SUCCEEDED, ended_at=after.clock.now())
        await after.storage.executions.update(ended)
        await after.recover()
        outcome = await settled(after, parent)
        assert outcome.execution.state is ExecutionState.SUCCEEDED
        assert after.spawned("work") == []

    simulate(story, WORK)


def test_child_that_was_removed_is_not_started_again() -> None:
    """Its key is still taken: nobody knows what it did, and the node says so."""

    async def story(world: World) -> None:
        parent = await started(world)
        child = await only_child(world, parent)
        after = await next_life(world)
        await after.storage.executions.update(replace(child, state=ExecutionState.SUCCEEDED))
        await after.storage.executions.prune([child.id])
        await after.recover()
        outcome = await settled(after, parent)
        assert outcome.reasons["sub"] == "flow_lost"
        assert after.spawned("work") == []

    simulate(story, WORK)


def test_crash_before_the_child_was_accepted_starts_one() -> None:
    """The attempt has begun and has no child yet: it gets its one."""

    async def story(world: World) -> None:
        world.define(SURVIVES)
        world.disk.latency_s = 2.0
        accepted = asyncio.ensure_future(world.submit(world.define(PARENT)))
        await asyncio.sleep(3)
        assert sum("durable create" in each for each in world.record) == 1
        after = await next_life(world, {"work": OK})
        await accepted
        await after.recover()
        parent = (await accepted).id
        outcome = await settled(after, parent)
        assert outcome.execution.state is ExecutionState.SUCCEEDED
        await only_child(after, parent)

    simulate(story, WORK)


@pytest.mark.parametrize("force", [False, True], ids=["cancel", "force"])
def test_cancel_before_a_crash_ends_the_child_after_it(force: bool) -> None:  # noqa: FBT001 - drawn
    """Parent and child had not ended: the node is settled when the child is, `finally` after it."""

    async def story(world: World) -> None:
        parent = await started(world)
        await world.engine.cancel(parent, force=force)
        await asyncio.sleep(1)
        after = await next_life(world, {"tidy": Act(lasts_s=60)})
        await after.recover()
        outcome = await settled(after, parent)
        child = await only_child(after, parent)
        assert child.state is ExecutionState.CANCELLED
        assert child.reason == (
            "cancelled" if force else "parent"
        )  # only that it was forced is kept
        assert outcome.execution.state is ExecutionState.CANCELLED
        assert outcome.states["sub"] == "cancelled"
        assert child.ended_at is not None
        spawned = [each.env["NODE_ID"] for each in after.spawner.requests]
        assert spawned == ([] if force else ["tidy", "last"])
        sub = outcome.nodes["sub"]
        assert sub.ended_at is not None
        assert sub.ended_at >= child.ended_at

    simulate(story, WORK)


def test_cancel_that_only_the_parent_knows_of_reaches_the_child() -> None:
    """A crash may come between what is journaled of the one and of the other."""

    async def story(world: World) -> None:
        parent = await started(world)
        after = await next_life(world)
        await asked_to_end(after, parent)
        await after.recover()
        await settled(after, parent)
        child = await only_child(after, parent)
        assert (child.state, child.reason) == (ExecutionState.CANCELLED, "parent")
        assert after.spawned("work") == []

    simulate(story, WORK)


def test_child_of_a_finally_goes_on_though_the_parent_was_cancelled() -> None:
    """A cancel lets `finally` run, and what it waits for."""
    text = flow("  - {id: a, run: x}", name="parent", top="finally: [" + CALL.strip("- ") + "]")

    async def story(world: World) -> None:
        parent = await started(world, text)
        await world.engine.cancel(parent)
        await asyncio.sleep(5)
        child = await only_child(world, parent)
        after = await next_life(world, {"work": OK})
        await after.recover()
        outcome = await settled(after, parent)
        assert outcome.states == {"a": "cancelled", "sub": "succeeded"}
        assert (await only_child(after, parent)).id == child.id

    simulate(story, {**WORK, "a": HANGS})


def test_stop_while_the_child_is_ending_leaves_both() -> None:
    """The stop does not wait for a `finally`; the next life does."""

    async def story(world: World) -> None:
        parent = await started(world)
        await world.engine.cancel(parent)
        await asyncio.sleep(10)
        assert world.spawned("tidy")
        after = await next_life(world, {"tidy": OK}, is_stop=True)
        assert (await after.outcome(parent)).nodes == {}
        await after.recover()
        outcome = await settled(after, parent)
        child = await only_child(after, parent)
        assert (outcome.execution.state, child.state) == (ExecutionState.CANCELLED,) * 2

    simulate(story, {**WORK, "tidy": Act(lasts_s=600)})


@pytest.mark.parametrize("text", ["node", "flow"])
def test_timeout_that_struck_while_the_daemon_was_down_ends_the_child(text: str) -> None:
    """The time of the node, and that of the flow, go on meanwhile."""
    timed = {
        "node": PARENT.replace("child}", "child}, timeout: 30s"),
        "flow": PARENT.replace("finally:", "timeout: 30s\nfinally:"),
    }[text]

    async def story(world: World) -> None:
        parent = await started(world, timed)
        after = await next_life(world)
        await asyncio.sleep(60)
        await after.recover()
        outcome = await settled(after, parent)
        child = await only_child(after, parent)
        assert (child.state, child.reason) == (ExecutionState.CANCELLED, "parent")
        assert outcome.states["sub"] == {"node": "timed_out", "flow": "cancelled"}[text]

    simulate(story, WORK)


def test_timeout_that_struck_before_a_crash_counts_though_the_clock_is_set_back() -> None:
    """The child has been asked to end for it, and no person has cancelled that."""

    async def story(world: World) -> None:
        parent = await started(world, PARENT.replace("child}", "child}, timeout: 30s"))
        await asyncio.sleep(30)
        assert (await only_child(world, parent)).reason == "parent"
        after = await next_life(world)
        after.clock.jump(-3600)
        await after.recover()
        outcome = await settled(after, parent)
        assert (outcome.states["sub"], outcome.reasons["sub"]) == ("timed_out", "timeout")

    simulate(story, {**WORK, "tidy": Act(lasts_s=60)})


@pytest.mark.parametrize("is_stop", [False, True], ids=["crash", "stop"])
def test_attempt_that_must_not_go_on_ends_its_child(is_stop: bool) -> None:  # noqa: FBT001 - drawn
    """With `on_interrupt: fail` nothing is left of the attempt, before `finally` begins."""
    text = PARENT.replace("child}", "child}, on_interrupt: fail")

    async def story(world: World) -> None:
        parent = await started(world, text)
        after = await next_life(world, {"tidy": Act(lasts_s=20)}, is_stop=is_stop)
        await after.recover()
        outcome = await settled(after, parent)
        child = await only_child(after, parent)
        assert outcome.reasons["sub"] == "interrupted"
        assert (child.state, child.reason) == (ExecutionState.CANCELLED, "parent")

    simulate(story, WORK)


def test_cancel_of_a_child_that_nobody_waits_for_is_kept_when_it_is_told() -> None:
    """The restart has asked it to end already, and a further crash must not forget that either."""
    text = PARENT.replace("child}", "child}, on_interrupt: fail")

    async def story(world: World) -> None:
        parent = await started(world, text)
        after = await next_life(world, {"tidy": Act(lasts_s=60)})
        await after.recover()
        await asyncio.sleep(5)
        child = await only_child(after, parent)
        assert await after.engine.cancel(child.id)
        child = await only_child(after, parent)
        assert (child.state, child.reason) == (ExecutionState.RUNNING, "parent")
        await settled(after, parent)

    simulate(story, WORK)


def test_cancel_of_a_child_that_nobody_waits_for_is_not_told_while_it_is_not_kept() -> None:
    """What the restart asks is journaled, and while that fails nobody is told that it is done."""
    text = PARENT.replace("child}", "child}, on_interrupt: fail")

    async def story(world: World) -> None:
        parent = await started(world, text)
        after = await next_life(world, {"tidy": Act(lasts_s=60)})
        child = await only_child(after, parent)
        after.disk.fail("update running")
        await after.recover()
        await asyncio.sleep(5)
        with pytest.raises(StorageError):
            await after.engine.cancel(child.id)
        after.disk.mend()
        await settled(after, parent)
        assert (await only_child(after, parent)).reason == "parent"

    simulate(story, WORK)


def test_stop_waits_no_longer_than_for_the_work_of_the_child() -> None:
    """A parent that must not go on is left with its child; the stop does not hang on it."""
    text = PARENT.replace("child}", "child}, on_interrupt: fail")
    child = flow("  - {id: work, run: x}\n  - {id: more, run: x}", name="child")

    async def story(world: World) -> None:
        parent = await started(world, text, child)
        before = world.clock.now()
        await world.engine.drain(300)
        assert (world.clock.now() - before).total_seconds() == 15
        assert (await world.outcome(parent)).nodes == {}

    simulate(story, {"work": Act(lasts_s=20)})


def test_stop_does_not_wait_for_a_child_in_line() -> None:
    """What waits for a place is left, and so is who waits for that."""
    text = PARENT.replace("child}", "child}, on_interrupt: fail")

    async def story(world: World) -> None:
        await world.submit(world.define(CHILD))
        parent = await started(world, text, CHILD)
        assert (await only_child(world, parent)).state is ExecutionState.QUEUED
        ended: list[float] = []
        asyncio.create_task(world.engine.drain(300)).add_done_callback(lambda _: ended.append(1))
        await asyncio.sleep(1)
        assert world.engine.live(parent) is None
        await asyncio.sleep(600)
        assert ended
        assert (await world.outcome(parent)).nodes == {}

    simulate(story, WORK)


@pytest.mark.parametrize("each", [False, True], ids=["node", "items"])
def test_timeout_that_strikes_during_a_stop_leaves_both(each: bool) -> None:  # noqa: FBT001 - drawn
    """The child still has its time, so who waits for it has not ended: the next life ends both."""
    call = EACH + "}" if each else CALL
    nodes = call.replace("params:", "timeout: 30s, on_interrupt: fail, params:", 1)
    text = flow(nodes.replace("}}}", "}}", 1), name="parent")

    async def story(world: World) -> None:
        parent = await started(world, text, OF_ITEM if each else SURVIVES)
        await world.engine.drain(60)
        assert (await world.outcome(parent)).nodes == {}
        after = world.after_crash({"tidy": Act(lasts_s=20)})
        await after.recover()
        outcome = await settled(after, parent)
        ended = outcome.nodes["sub"].ended_at
        assert outcome.reasons["sub"] == "interrupted"
        assert ended is not None
        for child in await all_children(after, parent):
            assert (child.state, child.reason) == (ExecutionState.CANCELLED, "parent")
            assert child.ended_at is not None
            assert child.ended_at <= ended

    simulate(story, WORK)


EACH = (
    "  - {id: sub, type: flow, foreach: [a, b, c], max_parallel: 2, params: {flow: child, inputs: "
    "{item: '${{ item }}'}}}"
)
OF_ITEM = SURVIVES.replace(
    "nodes:", "inputs: {item: {}}\nconcurrency: {on_conflict: allow}\nnodes:"
)


async def all_children(world: World, parent: ExecutionId) -> list[Execution]:
    found = await world.storage.executions.children(parent, limit=100)
    kept = [await world.storage.executions.get(each.id) for each in found]
    return [each for each in kept if each is not None]


def test_each_item_goes_on_waiting_for_its_child() -> None:
    """After a crash no item starts a second one, and the outputs are in order."""
    child = OF_ITEM + "\noutputs: {got: '${{ inputs.item }}'}\n"

    async def story(world: World) -> None:
        parent = await started(world, flow(EACH, name="parent"), child)
        assert len(await all_children(world, parent)) == 2
        after = await next_life(world, {"work": Act(lasts_s=5)})
        await after.recover()
        outcome = await settled(after, parent)
        assert outcome.nodes["sub"].outputs == [{"got": "a"}, {"got": "b"}, {"got": "c"}]
        found = await all_children(after, parent)
        assert [each.parent and each.parent.attempt.item_index for each in found] == [0, 1, 2]

    simulate(story, WORK)


@pytest.mark.parametrize("way", ["cancel", "asked", "fail"])
def test_children_of_items_end_before_their_node(way: str) -> None:
    """Whether a cancel came before the crash or its end does, or the attempts must not go on."""
    call = EACH + (", on_interrupt: fail}" if way == "fail" else "}")
    text = flow(call.replace("}}}", "}}", 1), name="parent")

    async def story(world: World) -> None:
        parent = await started(world, text, OF_ITEM)
        if way == "cancel":
            await world.engine.cancel(parent)
        after = await next_life(world, {"tidy": Act(lasts_s=30)})
        if way == "asked":
            await asked_to_end(after, parent)
        await after.recover()
        outcome = await settled(after, parent)
        found = await all_children(after, parent)
        assert [(str(each.state), each.reason) for each in found] == [("cancelled", "parent")] * 2
        ended = outcome.nodes["sub"].ended_at
        assert ended is not None
        assert all(each.ended_at is not None and each.ended_at <= ended for each in found)
        assert str(outcome.nodes["sub"].state) == ("failed" if way == "fail" else "cancelled")
        assert after.spawned("work") == []

    simulate(story, WORK)


def test_item_that_failed_before_a_crash_ends_the_children_of_the_others() -> None:
    """`fail_fast` goes for them too, though the crash came before they were asked to end."""

    async def story(world: World) -> None:
        parent = await started(world, flow(EACH, name="parent"), OF_ITEM)
        first, second = await all_children(world, parent)
        await world.engine.cancel(first.id)
        after = await next_life(world)
        await asyncio.sleep(1)
        await after.storage.executions.update(replace(first, state=ExecutionState.FAILED))
        await after.recover()
        outcome = await settled(after, parent)
        assert outcome.execution.state is ExecutionState.FAILED
        kept = await after.storage.executions.get(second.id)
        assert kept is not None
        assert (kept.state, kept.reason) == (ExecutionState.CANCELLED, "parent")

    simulate(story, WORK)


def test_child_whose_parent_is_lost_is_ended() -> None:
    """Nobody waits for it any more."""

    async def story(world: World) -> None:
        parent = await started(world)
        after = await next_life(world)
        execution = await after.storage.executions.get(parent)
        assert execution is not None
        await after.storage.definitions.delete(execution.digest)
        report = await after.recover()
        assert report.lost == 1
        child = await only_child(after, parent)
        await settled(after, child.id)
        assert (await only_child(after, parent)).reason == "parent"

    simulate(story, WORK)


@pytest.mark.parametrize("is_stop", [False, True], ids=["crash", "stop"])
def test_child_in_line_keeps_its_place(is_stop: bool) -> None:  # noqa: FBT001 - drawn
    """It was accepted, and its parent waits for it as before."""

    async def story(world: World) -> None:
        world.define(SURVIVES)
        first = await world.submit(world.flows[next(iter(world.flows))])
        parent = await started(world)
        after = await next_life(world, {"work": Act(lasts_s=5)}, is_stop=is_stop)
        await after.recover()
        assert after.engine.queued_count == 1
        await after.end_of(first.id)
        outcome = await settled(after, parent)
        assert outcome.execution.state is ExecutionState.SUCCEEDED

    simulate(story, WORK)


BESIDE = "\n  - {id: b, needs: [], type: wait, params: {for: 20s}}"


def test_store_that_fails_lets_the_parent_go_on_waiting() -> None:
    """When it works again the attempt is taken up, with the child that it has."""

    async def story(world: World) -> None:
        parent = await started(world, flow(f"{CALL}{BESIDE}", name="parent"))
        world.disk.fail("finish b.1", "update running")
        await asyncio.sleep(30)
        world.disk.mend()
        outcome = await world.end_of(parent)
        child = await only_child(world, parent)
        assert outcome.execution.state is ExecutionState.SUCCEEDED
        assert child.state is ExecutionState.SUCCEEDED
        assert len(world.spawned("work")) == 1

    simulate(story, WORK)


def test_store_that_fails_an_attempt_that_must_not_go_on_ends_its_child() -> None:
    """With `on_interrupt: fail` the attempt is over, and so is what it waited for."""
    call = CALL.replace("child}", "child}, on_interrupt: fail")

    async def story(world: World) -> None:
        parent = await started(world, flow(f"{call}{BESIDE}", name="parent"))
        world.disk.fail("finish b.1", "update running")
        await asyncio.sleep(30)
        world.disk.mend()
        outcome = await world.end_of(parent)
        child = await only_child(world, parent)
        assert outcome.reasons["sub"] == "interrupted"
        assert (child.state, child.reason) == (ExecutionState.CANCELLED, "parent")

    simulate(story, WORK)


def test_cancel_of_a_child_in_line_is_tried_until_it_is_kept() -> None:
    """A full disk keeps the child in line; the parent ends when both ends are on disk."""

    async def story(world: World) -> None:
        await world.submit(world.define(CHILD))
        parent = await started(world, PARENT, CHILD)
        world.disk.fail("update cancelled")
        with pytest.raises(StorageError):
            await world.engine.cancel((await only_child(world, parent)).id)
        await world.engine.cancel(parent)
        await asyncio.sleep(10)
        assert (await world.outcome(parent)).nodes == {}
        world.disk.mend()
        await world.end_of(parent)
        assert (await only_child(world, parent)).state is ExecutionState.CANCELLED

    simulate(story, WORK)


def test_attempt_of_a_call_is_running_in_the_journal() -> None:
    """So a restart knows that it goes on."""

    async def story(world: World) -> None:
        parent = await started(world)
        (attempt,) = (await world.outcome(parent)).attempts
        assert attempt.state is AttemptState.RUNNING
        await world.engine.cancel(parent, force=True)
        await world.end_of(parent)

    simulate(story, {"work": HANGS})

"""Nodes of type `flow`: one child for each attempt, which ends no later than who waits for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from flowrunner.model.execution import Execution
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.pause import Pause
from flowrunner.model.states import ExecutionState, Reason
from tests.fakes.engine import FAILS, HANGS, OK, Act, Outcome, World, flow, simulate

CALL = "  - {id: sub, type: flow, params: {flow: child}}"
PARENT = flow(CALL, name="parent")
CHILD = flow("  - {id: work, run: x}", name="child")
KEY = FlowKey("default", "child")


async def children(world: World, parent: ExecutionId) -> list[Execution]:
    found = await world.storage.executions.children(parent, limit=100)
    kept = [await world.storage.executions.get(each.id) for each in found]
    return [each for each in kept if each is not None]


async def started(world: World, text: str = PARENT, *flows: str) -> ExecutionId:
    """Starts a flow and lets a second pass."""
    for each in flows or (CHILD,):
        world.define(each)
    accepted = await world.submit(world.define(text))
    await asyncio.sleep(1)
    return accepted.id


async def call(world: World, text: str = PARENT, *flows: str) -> Outcome:
    return await world.end_of(await started(world, text, *flows))


def error_of(outcome: Outcome, node: str = "sub") -> tuple[str, str]:
    error = outcome.nodes[node].error
    assert error is not None
    return error.code, error.message


def test_outputs_of_the_child_are_those_of_the_node() -> None:
    """Inputs go down, converted to what the child declares; its result comes up."""
    child = (
        "version: 1\nname: child\ninputs: {n: {type: integer}, s: {default: a}}\n"
        "nodes: [{id: x, type: noop}]\noutputs: {m: '${{ inputs.n }}', by: '${{ trigger.flow }}'}\n"
    )
    parent = flow(
        "  - {id: one, type: set, params: {values: {n: '4'}}}"
        "\n  - {id: sub, type: flow, params: {flow: child, inputs: {n: '${{ nodes.one.outputs.n "
        "}}'}}}\n  - {id: seen, type: set, params: {values: {v: '${{ nodes.sub.outputs.m }}'}}}",
        name="parent",
    )

    async def story(world: World) -> None:
        outcome = await call(world, parent, child)
        (only,) = await children(world, outcome.execution.id)
        assert only.inputs == {"n": 4, "s": "a"}
        assert outcome.nodes["sub"].outputs == {"m": 4, "by": "parent"}
        assert outcome.nodes["seen"].outputs == {"v": 4}
        assert (only.cause.trigger_id, only.cause.trigger_type) == ("parent", "flow")
        assert only.parent is not None
        assert only.parent.attempt == outcome.attempts[2].key
        assert world.log(outcome.execution.id, "sub") == [f"execution {only.id} of flow child"]

    simulate(story)


@pytest.mark.parametrize(
    ("act", "top", "code", "message"),
    [
        pytest.param(FAILS, "", "flow_failed", "failed: node work: ", id="failed"),
        pytest.param(HANGS, "timeout: 5s", "flow_timed_out", "timed out: took", id="timed-out"),
    ],
)
def test_child_that_does_not_succeed_fails_the_attempt(
    act: Act, top: str, code: str, message: str
) -> None:
    """The error says how the child ended and why, and names it."""

    async def story(world: World) -> None:
        outcome = await call(world, PARENT, flow("  - {id: work, run: x}", name="child", top=top))
        (only,) = await children(world, outcome.execution.id)
        assert error_of(outcome)[0] == code
        assert f"the flow 'child' {message}" in error_of(outcome)[1]
        error = outcome.nodes["sub"].error
        assert error is not None
        assert error.details["execution_id"] == only.id
        assert outcome.execution.state is ExecutionState.FAILED

    simulate(story, {"work": act})


def test_each_attempt_has_a_child_of_its_own() -> None:
    """A retry of the node starts the flow anew."""
    text = PARENT.replace("child}}", "child}, retry: {max_attempts: 3, delay: 10s}}")

    async def story(world: World) -> None:
        parent = await started(world, text)
        await asyncio.sleep(15)
        world.acts["work"] = OK
        outcome = await world.end_of(parent)
        states = [str(each.state) for each in await children(world, parent)]
        assert states == ["failed", "failed", "succeeded"]
        assert [each.reason for each in outcome.attempts] == ["flow_failed", "flow_failed", ""]

    simulate(story, {"work": FAILS})


def test_child_that_nobody_waits_for_is_only_accepted() -> None:
    """The node succeeds at once with the id; a cancel of the parent leaves that child alone."""
    text = flow(
        CALL.replace("child}", "child, wait: false}") + "\n  - {id: long, type: wait, params: "
        "{for: 1h}}",
        name="parent",
    )

    async def story(world: World) -> None:
        parent = await started(world, text)
        (only,) = await children(world, parent)
        await world.engine.cancel(parent)
        outcome = await world.end_of(parent)
        assert outcome.nodes["sub"].outputs == {"execution_id": only.id}
        assert (await world.end_of(only.id)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"work": Act(lasts_s=60)})


def test_cancel_reaches_the_child_and_waits_for_it() -> None:
    """The parent's node has ended when the child has, with its `finally`, however deep it is."""
    middle = flow("  - {id: sub, type: flow, params: {flow: leaf}}", name="child")
    leaf = flow("  - {id: work, run: x}", name="leaf", top="finally: [{id: tidy, run: x}]")

    async def story(world: World) -> None:
        parent = await started(world, PARENT, middle, leaf)
        await world.engine.cancel(parent)
        outcome = await world.end_of(parent)
        (child,) = await children(world, parent)
        (last,) = await children(world, child.id)
        assert (child.state, child.reason) == (ExecutionState.CANCELLED, "parent")
        assert (last.state, last.reason) == (ExecutionState.CANCELLED, "parent")
        assert (await world.outcome(last.id)).states["tidy"] == "succeeded"
        ends = [each.ended_at for each in (last, child, outcome.execution)]
        assert None not in ends
        assert ends == sorted(ends, key=str)
        assert outcome.execution.started_at is not None
        assert ends[2] is not None
        assert ends[2] - outcome.execution.started_at == timedelta(seconds=1 + 3 + 60)
        assert outcome.execution.state is ExecutionState.CANCELLED

    simulate(story, {"work": Act(lasts_s=None, on_term_s=3), "tidy": Act(lasts_s=60)})


def test_force_leaves_out_the_finally_of_the_child() -> None:
    """Also when the parent was asked to end before, and waits for that `finally`."""
    child = flow("  - {id: work, run: x}", name="child", top="finally: [{id: tidy, run: x}]")

    async def story(world: World) -> None:
        parent = await started(world, PARENT, child)
        await world.engine.cancel(parent)
        await asyncio.sleep(5)
        assert world.spawned("tidy")
        await world.engine.cancel(parent, force=True)
        await asyncio.sleep(0.1)
        outcome = await world.outcome(parent)
        (only,) = await children(world, parent)
        assert (outcome.execution.state, only.state) == (ExecutionState.CANCELLED,) * 2

    simulate(story, {"work": HANGS, "tidy": HANGS})


@pytest.mark.parametrize(
    ("text", "state"),
    [
        pytest.param(PARENT.replace("child}", "child}, timeout: 30s"), "failed", id="node"),
        pytest.param(flow(CALL, name="parent", top="timeout: 30s"), "timed_out", id="flow"),
    ],
)
def test_timeout_reaches_the_child(text: str, state: str) -> None:
    """Whether that of the node or that of the whole flow strikes."""

    async def story(world: World) -> None:
        outcome = await call(world, text)
        (only,) = await children(world, outcome.execution.id)
        assert (only.state, only.reason) == (ExecutionState.CANCELLED, "parent")
        assert str(outcome.execution.state) == state
        assert only.ended_at is not None
        assert outcome.nodes["sub"].ended_at == only.ended_at

    simulate(story, {"work": Act(lasts_s=None, on_term_s=2)})


def test_cancel_beside_a_timeout_changes_nothing_for_the_child() -> None:
    """The node is ending its child already, and goes on waiting for that."""
    text = PARENT.replace("child}", "child}, timeout: 5s")

    async def story(world: World) -> None:
        parent = await started(world, text)
        await asyncio.sleep(10)
        await world.engine.cancel(parent)
        outcome = await world.end_of(parent)
        (only,) = await children(world, parent)
        assert only.ended_at is not None
        assert outcome.nodes["sub"].ended_at == only.ended_at
        assert only.started_at is not None
        assert only.ended_at - only.started_at == timedelta(seconds=5 + 8)

    simulate(story, {"work": Act(lasts_s=None, on_term_s=8)})


def test_cancel_while_the_child_is_being_accepted_ends_it() -> None:
    """Its start cannot be taken back, so it is ended as soon as it has come to be."""

    async def story(world: World) -> None:
        world.define(CHILD)
        spec = world.define(PARENT)
        world.disk.latency_s = 2.0
        parent = (await world.submit(spec)).id
        await asyncio.sleep(1)
        assert world.observer.started == [parent]
        await world.engine.cancel(parent)
        outcome = await world.end_of(parent)
        (only,) = await children(world, parent)
        assert (only.state, only.reason) == (ExecutionState.CANCELLED, "parent")
        assert outcome.execution.state is ExecutionState.CANCELLED

    simulate(story, {"work": HANGS})


def test_cancelled_child_fails_the_node_that_waits() -> None:
    """Whoever cancels the child alone lets the parent go on as after any failure."""

    async def story(world: World) -> None:
        parent = await started(world)
        (only,) = await children(world, parent)
        await world.engine.cancel(only.id)
        outcome = await world.end_of(parent)
        assert error_of(outcome) == (
            "flow_cancelled",
            "the flow 'child' was cancelled: cancelled",
        )

    simulate(story, {"work": HANGS})


def test_missing_flow_fails_the_node() -> None:
    """Nothing else of the flow is touched, and another attempt may find it."""
    text = PARENT.replace("child}", "child}, retry: {max_attempts: 2, delay: 1m}")

    async def story(world: World) -> None:
        world.define(CHILD)
        world.remove(KEY)
        parent = (await world.submit(world.define(text))).id
        await asyncio.sleep(1)
        world.define(CHILD)
        outcome = await world.end_of(parent)
        assert [each.reason for each in outcome.attempts] == ["flow_missing", ""]
        assert len(await children(world, parent)) == 1

    simulate(story)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param("{}", "input 'n' is required", id="missing"),
        pytest.param("{n: 1, x: 1}", "'x' is not an input", id="unknown"),
        pytest.param("{n: five}", "'n' must be of type integer", id="type"),
        pytest.param("{n: 11}", "'n' must be at most 10", id="bound"),
    ],
)
def test_inputs_that_do_not_fit_end_the_node(inputs: str, message: str) -> None:
    """Another attempt would bring the same."""
    child = (
        "version: 1\nname: child\ninputs: {n: {type: integer, maximum: 10}}\n"
        "nodes: [{id: x, type: noop}]\n"
    )
    text = PARENT.replace("child}", f"child, inputs: {inputs}}}, retry: {{max_attempts: 2}}")

    async def story(world: World) -> None:
        outcome = await call(world, text, child)
        assert error_of(outcome)[0] == "input.invalid"
        assert message in error_of(outcome)[1]
        assert len(outcome.attempts) == 1

    simulate(story)


def test_held_flow_is_not_started() -> None:
    """A paused flow starts for nobody, and the node says why."""

    async def story(world: World) -> None:
        world.registry.set_pause(KEY, Pause(at=world.clock.now()))
        assert error_of(await call(world)) == ("paused", "flow default/child is paused")

    simulate(story)


def test_flow_that_skips_refuses_the_child() -> None:
    """Another attempt may come at a better time."""
    child = CHILD.replace("nodes:", "concurrency: {on_conflict: skip}\nnodes:")
    text = PARENT.replace("child}", "child}, retry: {max_attempts: 2, delay: 2m}")

    async def story(world: World) -> None:
        await world.submit(world.define(child))
        outcome = await call(world, text, child)
        assert [each.reason for each in outcome.attempts] == ["concurrency", ""]

    simulate(story, {"work": Act(lasts_s=60)})


def test_child_waits_in_line_for_its_own_group() -> None:
    """It is neither slot nor delivery: nothing takes its place, and no `queue_limit` counts it."""
    child = CHILD.replace("nodes:", "concurrency: {queue_limit: 0}\nnodes:")

    async def story(world: World) -> None:
        await world.submit(world.define(child))
        parents = [await started(world, PARENT.replace("parent", f"p{n}"), child) for n in "ab"]
        assert world.engine.queued_count == 2
        for each in parents:
            assert (await world.end_of(each)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"work": Act(lasts_s=60)})


@pytest.mark.parametrize(
    "most",
    [
        pytest.param({"most_executions": 1}, id="host"),
        pytest.param({"limits": {"default": (1, 9)}}, id="account"),
    ],
)
def test_child_needs_no_place_that_its_parent_holds(most: dict[str, Any]) -> None:
    """A host or an account that is full of parents goes on; others wait for it."""

    async def story(world: World) -> None:
        parent = await started(world)
        other = await world.submit(world.define(flow("  - {id: x, run: x}", name="other")))
        await asyncio.sleep(1)
        assert world.engine.is_queued(other.id)
        (only,) = await children(world, parent)
        assert only.state is ExecutionState.RUNNING
        await world.end_of(other.id)

    simulate(story, {"work": Act(lasts_s=60)}, **most)


@pytest.mark.parametrize("on_conflict", ["queue", "skip", "replace"])
@pytest.mark.parametrize("between", [False, True], ids=["parent", "grandparent"])
def test_group_of_an_ancestor_is_a_deadlock(on_conflict: str, between: bool) -> None:  # noqa: FBT001 - drawn
    """It fails at once, whatever the child would do about a conflict."""
    group = f"concurrency: {{group: \"'g'\", on_conflict: {on_conflict}}}"
    child = flow("  - {id: work, run: x}", name="child", top=group)
    parent = flow(CALL, name="parent", top=group)
    middle = flow(CALL, name="middle")

    async def story(world: World) -> None:
        if not between:
            outcome = await call(world, parent, child)
        else:
            top = parent.replace("flow: child", "flow: middle")
            outcome = await call(world, top, child, middle)
            (found,) = await children(world, outcome.execution.id)
            outcome = await world.outcome(found.id)
        assert error_of(outcome)[0] == "concurrency_deadlock"
        assert world.spawner.requests == []

    simulate(story)


def in_group(group: str, keys: str = "") -> str:
    return f"concurrency: {{group: \"'{group}'\"{keys}}}"


def crossing(keys: str = "", more: str = "") -> tuple[str, ...]:
    """A and B, which hold x and y for a while and then want the other one by a child."""
    call_in = "  - {{id: hold, run: x}}\n  - {{id: sub, type: flow, params: {{flow: {}}}}}"
    return (
        flow(call_in.format("in-y"), name="a", top=in_group("x")),
        flow(call_in.format("in-x"), name="b", top=in_group("y", more)),
        flow("  - {id: work, run: x}", name="in-x", top=in_group("x", keys)),
        flow("  - {id: work, run: x}", name="in-y", top=in_group("y", keys + more)),
    )


async def both(world: World, texts: tuple[str, ...]) -> tuple[ExecutionId, ExecutionId]:
    """Starts A, a second later B."""
    one, two, *_ = [world.define(text) for text in texts]
    first = (await world.submit(one)).id
    await asyncio.sleep(1)
    return first, (await world.submit(two)).id


def test_waits_that_cross_fail_the_later_one() -> None:
    """A waits for the group of B, whose child would wait for that of A: only one can go on."""

    async def story(world: World) -> None:
        first, second = await both(world, crossing())
        outcome = await world.end_of(second)
        code, message = error_of(outcome)
        assert code == "concurrency_deadlock"
        assert message == (
            "the flow 'in-x' would wait for the concurrency group 'x', which the execution "
            f"{first} holds, and that one waits for a group which is held above this one"
        )
        assert (await world.end_of(first)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"hold": Act(lasts_s=5)})


def test_circle_of_three_is_found() -> None:
    """Also where a child below a child waits, and where the circle is longer."""
    hold = "  - {{id: hold, run: x}}\n  - {{id: sub, type: flow, params: {{flow: {}}}}}"
    through = "  - {{id: sub, type: flow, params: {{flow: {}}}}}"
    texts = [
        flow(hold.format(f"via-{to}"), name=name, top=in_group(own))
        for name, own, to in (("a", "x", "y"), ("b", "y", "z"), ("c", "z", "x"))
    ]
    for group in "xyz":
        texts.append(flow(through.format(f"in-{group}"), name=f"via-{group}"))
        texts.append(flow("  - {id: work, run: x}", name=f"in-{group}", top=in_group(group)))

    async def story(world: World) -> None:
        specs = [world.define(text) for text in texts][:3]
        ids = []
        for spec in specs:
            ids.append((await world.submit(spec)).id)
            await asyncio.sleep(1)
        states = [(await world.end_of(each)).execution.state for each in reversed(ids)]
        assert states == ["failed", "succeeded", "succeeded"]
        (via,) = await children(world, ids[2])
        assert error_of(await world.outcome(via.id))[0] == "concurrency_deadlock"

    simulate(story, {"hold": Act(lasts_s=5)})


@pytest.mark.parametrize(
    ("keys", "more"),
    [
        pytest.param(", on_conflict: replace", "", id="takes the place"),
        pytest.param("", ", limit: 2", id="has room"),
    ],
)
def test_waits_that_need_not_cross_are_left_alone(keys: str, more: str) -> None:
    """Who makes itself room, or finds some, closes no circle."""

    async def story(world: World) -> None:
        ids = await both(world, crossing(keys, more))
        outcomes = [await world.end_of(each) for each in ids]
        errors = [each.nodes["sub"].error for each in outcomes if "sub" in each.nodes]
        assert "concurrency_deadlock" not in [each.code for each in errors if each]

    simulate(story, {"hold": Act(lasts_s=5)})


def test_holder_that_is_not_stuck_keeps_the_circle_open() -> None:
    """With two places one holder may be free to end, and then all go on."""
    texts = crossing(more=", limit: 2")
    free = flow("  - {id: long, run: x}", name="free", top=in_group("y", ", limit: 2"))

    async def story(world: World) -> None:
        other = (await world.submit(world.define(free))).id
        first, second = await both(world, texts)
        await asyncio.sleep(10)
        (waiting,) = await children(world, first)
        assert waiting.state is ExecutionState.QUEUED
        for each in (other, first, second):
            assert (await world.end_of(each)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"hold": Act(lasts_s=5), "long": Act(lasts_s=60)})


def test_holder_that_is_being_cancelled_is_not_stuck() -> None:
    """It will give its place back, so the child of the other one waits for that."""

    async def story(world: World) -> None:
        texts = crossing()
        first, second = await both(world, texts)
        await asyncio.sleep(4.5)  # A waits for y by its child, B still works
        (waiting,) = await children(world, first)
        assert waiting.state is ExecutionState.QUEUED
        await world.engine.cancel(first)
        assert (await world.end_of(second)).execution.state is ExecutionState.SUCCEEDED

    simulate(story, {"hold": Act(lasts_s=5)})


def test_group_of_an_ancestor_that_does_not_wait_is_none() -> None:
    """A child that nobody waits for stands in line until its parent has ended."""
    group = "concurrency: {group: \"'g'\"}"
    child = flow("  - {id: work, run: x}", name="child", top=group)
    parent = flow(CALL.replace("child}", "child, wait: false}"), name="parent", top=group)

    async def story(world: World) -> None:
        outcome = await call(world, parent, child)
        (only,) = await children(world, outcome.execution.id)
        assert (await world.end_of(only.id)).execution.state is ExecutionState.SUCCEEDED

    simulate(story)


def test_group_above_one_that_does_not_wait_is_none() -> None:
    """Who waits for the child does not hold its group, and nobody waits for that one."""
    group = "concurrency: {group: \"'g'\"}"
    top = flow(
        "  - {id: sub, type: flow, params: {flow: middle, wait: false}}\n"
        "  - {id: long, type: wait, params: {for: 1m}}",
        name="parent",
        top=group,
    )
    child = flow("  - {id: work, run: x}", name="child", top=group)

    async def story(world: World) -> None:
        parent = await started(world, top, child, flow(CALL, name="middle"))
        (middle,) = await children(world, parent)
        assert (await world.end_of(middle.id)).execution.state is ExecutionState.SUCCEEDED

    simulate(story)


def test_child_that_needs_no_room_is_no_deadlock() -> None:
    """The rules in force count: what has become `allow` starts beside its parent."""
    text = (
        "version: 1\nname: parent\nvars: {own: parent}\ninputs: {again: {type: boolean, default: "
        "true}}\nnodes:\n  - {id: long, type: wait, params: {for: 1m}}\n  - {id: sub, if: inputs."
        "again, type: flow, params: {flow: '${{ vars.own }}', inputs: {again: false}}}\n"
    )

    async def story(world: World) -> None:
        parent = (await world.submit(world.define(text), inputs={"again": True})).id
        await asyncio.sleep(1)
        world.define(f"{text}concurrency: {{on_conflict: allow}}\n")
        assert (await world.end_of(parent)).execution.state is ExecutionState.SUCCEEDED

    simulate(story)


def test_flows_that_call_each_other_come_to_an_end() -> None:
    """A name that is computed passes the check for circles; the depth ends it."""
    text = (
        "version: 1\nname: parent\nvars: {own: parent}\nconcurrency: {on_conflict: allow}\n"
        "nodes: [{id: sub, type: flow, params: {flow: '${{ vars.own }}'}}]\n"
    )

    async def story(world: World) -> None:
        outcome = await call(world, text)
        depth = 0
        while found := await children(world, outcome.execution.id):
            outcome = await world.outcome(found[0].id)
            depth += 1
        assert depth == 16
        assert error_of(outcome)[0] == "flow_depth"

    simulate(story)


def test_child_comes_before_others_when_a_person_waits() -> None:
    """What was started by hand at the top is by hand below."""

    async def story(world: World) -> None:
        for each in (CHILD, PARENT, PARENT.replace("parent", "second")):
            world.define(each)
        keys = [FlowKey("default", name) for name in ("child", "second", "parent")]
        await world.submit(world.flows[keys[0]])
        await world.submit(world.flows[keys[1]], trigger="schedule")
        await asyncio.sleep(1)
        by_hand = (await world.submit(world.flows[keys[2]])).id
        await asyncio.sleep(1)
        (only,) = await children(world, by_hand)
        await world.end_of(only.id)
        (other,) = await children(world, world.observer.started[1])
        assert other.id < only.id
        assert other.id not in world.observer.started

    simulate(story, {"work": Act(lasts_s=60)})


def test_deleted_flow_takes_its_waiting_child_along() -> None:
    """The node that waited for it fails and says so."""

    async def story(world: World) -> None:
        await world.submit(world.define(CHILD))
        parent = await started(world)
        await world.engine.cancel_queued(KEY, Reason.DELETED)
        outcome = await world.end_of(parent)
        assert error_of(outcome) == ("flow_cancelled", "the flow 'child' was cancelled: deleted")

    simulate(story, {"work": Act(lasts_s=60)})

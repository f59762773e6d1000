"""What a retry from one node repeats, and what it keeps."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flowrunner.engine.history import History
from flowrunner.engine.kept import kept_from
from flowrunner.errors import RefusedError, ValidationError
from flowrunner.model.execution import NOTHING_KEPT, Kept
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, HANGS, Act, Acts, Outcome, World, flow, simulate
from tests.fakes.ids import sequential_id

NEW = sequential_id(99)
CHAIN = flow("  - {id: a, run: x}\n  - {id: b, run: x}\n  - {id: c, run: x}")
BRANCHES = flow("""
  - {id: a, run: x}
  - {id: left, run: x, needs: [a]}
  - {id: left2, run: x, needs: [left]}
  - {id: right, run: x, needs: [a]}
  - {id: right2, run: x, needs: [right]}
  - {id: last, run: x, needs: [left2, right2]}""")
SWITCH = flow(
    """
  - {id: pick, type: switch, params: {cases: [{when: vars.big, goto: big}], default: small}}
  - {id: big, run: x, needs: [pick]}
  - {id: small, run: x, needs: [pick]}
  - {id: join, run: x, needs: [big, small]}
  - {id: other, run: x, needs: []}""",
    top="vars: {big: true}",
)


async def history_of(world: World, execution_id: ExecutionId) -> History:
    journal = world.storage.journal
    return History(
        nodes=await journal.nodes(execution_id), attempts=await journal.attempts(execution_id)
    )


def kept_of(text: str, start: str, acts: Acts | None = None) -> Kept:
    """Runs a flow to its end and returns what a retry from a node keeps."""

    async def story(world: World) -> Kept:
        spec = world.define(text)
        outcome = await world.run(text)
        return kept_from(spec, start, await history_of(world, outcome.execution.id), NEW)

    return simulate(story, acts)


def names(kept: Kept) -> set[str]:
    return {status.node for status in kept.nodes}


def retried(text: str, start: str, acts: Acts, then: Acts) -> tuple[Outcome, World]:
    """Runs a flow, then once more from a node, with other acts."""

    async def story(world: World) -> tuple[Outcome, World]:
        spec = world.define(text)
        first = (await world.run(text)).execution
        world.acts = dict(then)
        world.spawner.requests.clear()
        return await again(world, spec, first.id, start), world

    return simulate(story, acts)


async def again(world: World, spec: FlowSpec, first: ExecutionId, start: str) -> Outcome:
    request = world.request(spec)
    kept = kept_from(spec, start, await history_of(world, first), request.id)
    await world.engine.submit(replace(request, kept=kept, retry_of=first))
    return await world.end_of(request.id)


def test_nodes_below_run_anew_and_the_others_keep_their_results() -> None:
    """Whatever depends on the node, at any distance, and nothing else."""
    kept = kept_of(BRANCHES, "left")
    assert names(kept) == {"a", "right", "right2"}
    assert {status.reason for status in kept.nodes} == {"kept"}
    assert {status.execution for status in kept.nodes} == {NEW}
    assert {attempt.key.execution for attempt in kept.attempts} == {NEW}


def test_first_node_keeps_nothing_of_a_chain() -> None:
    """A retry from where everything begins is a retry of everything."""
    assert kept_of(CHAIN, "a") == NOTHING_KEPT


def test_branch_that_failed_is_repeated_with_what_is_below_it() -> None:
    """The cause may be gone, and the execution shall end well."""
    assert names(kept_of(BRANCHES, "left", {"right": FAILS})) == {"a"}


def test_tolerated_failure_is_kept() -> None:
    """A failure that the flow puts up with is a result."""
    text = flow("  - {id: a, run: x, continue_on_error: true}\n  - {id: b, run: x}")
    (status,) = kept_of(text, "b", {"a": Act(exit_code=7)}).nodes
    assert (status.state, status.reason, status.error is not None) == ("failed", "kept", True)


def test_choice_of_a_switch_is_kept_or_made_anew_with_all_it_names() -> None:
    """A skip counts as before, for the same reason."""
    kept = kept_of(SWITCH, "join")
    assert {status.node: status.reason for status in kept.nodes} == {
        "pick": "kept",
        "big": "kept",
        "other": "kept",
        "small": "not_chosen",
    }
    assert names(kept_of(SWITCH, "pick")) == {"other"}
    assert names(kept_of(SWITCH, "small")) == {"pick", "big", "other"}


def test_last_attempt_of_a_kept_node_goes_along() -> None:
    """Its exit code is what expressions see of the node."""
    text = flow("""
  - {id: a, run: x, retry: {max_attempts: 3, delay: 1s}, success_exit_codes: [0, 3]}
  - {id: b, run: x}""")
    kept = kept_of(text, "b", {"a": [FAILS, Act(exit_code=3)]})
    assert [(each.key.number, each.exit_code) for each in kept.attempts] == [(2, 3)]


def test_start_below_a_failure_is_refused() -> None:
    """Its needs would never be met; the message names the first cause."""
    with pytest.raises(RefusedError, match="depends on a, which has not ended well") as caught:
        kept_of(CHAIN, "c", {"a": FAILS})
    assert caught.value.code == "upstream"
    assert "--from a" in caught.value.message


def test_start_below_a_cancelled_node_is_refused() -> None:
    """Of an execution that never began, only a node without needs may be named."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        ids = [(await world.submit(spec)).id for _ in range(2)]
        await world.engine.cancel(ids[1])
        nothing = await history_of(world, ids[1])
        assert kept_from(spec, "a", nothing, NEW) == NOTHING_KEPT
        with pytest.raises(RefusedError, match="it never ran"):
            kept_from(spec, "b", nothing, NEW)
        await world.engine.cancel(ids[0])
        await world.end_of(ids[0])
        with pytest.raises(RefusedError, match=r"it is cancelled \(cancelled\)"):
            kept_from(spec, "b", await history_of(world, ids[0]), NEW)

    simulate(story, {"a": HANGS})


@pytest.mark.parametrize(
    ("start", "text"),
    [
        ("tidy", "node tidy is of finally, which runs anew"),
        ("d", r"no node 'd' \(nodes: a, b, c\)"),
        ("", r"no node ''"),
    ],
)
def test_start_that_is_no_node_is_refused(start: str, text: str) -> None:
    """A name that the flow does not have, or has in `finally`, is told."""
    with pytest.raises(ValidationError, match=text) as caught:
        kept_of(CHAIN.replace("nodes:", "finally: [{id: tidy, run: x}]\nnodes:"), start)
    assert caught.value.code == "request.from"


@pytest.mark.heavy
def test_long_graph_is_worked_out() -> None:
    """A chain of two thousand nodes takes no recursion."""
    text = flow("\n".join(f"  - {{id: n{number}, type: noop}}" for number in range(2_000)))
    assert len(kept_of(text, "n1000").nodes) == 1_000


# The execution that begins with them


def test_kept_nodes_do_not_run_and_are_seen() -> None:
    """Expressions see their outputs and exit codes as in the execution that ran them."""
    text = flow("""
  - {id: a, run: x, outputs: {v: {}}, success_exit_codes: [0, 3]}
  - {id: b, run: x}
  - id: c
    type: set
    params: {values: {v: "${{ nodes.a.outputs.v }}", code: "${{ nodes.a.exit_code }}"}}""")
    outcome, world = retried(
        text, "b", {"a": Act(outputs=b"v=7\n", exit_code=3), "b": FAILS}, {"a": FAILS}
    )
    assert outcome.execution.state is ExecutionState.SUCCEEDED
    assert outcome.nodes["c"].outputs == {"v": "7", "code": 3}
    assert [each.env["NODE_ID"] for each in world.spawner.requests] == ["b"]
    assert outcome.reasons == {"a": "kept", "b": "", "c": ""}


def test_finally_runs_anew() -> None:
    """What cleans up does so for every execution."""
    text = CHAIN.replace("nodes:", "finally: [{id: tidy, run: x}]\nnodes:")
    outcome, world = retried(text, "c", {"c": FAILS}, {})
    assert [each.env["NODE_ID"] for each in world.spawner.requests] == ["c", "tidy"]
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_kept_node_is_kept_again() -> None:
    """A retry of a retry builds on what both have done."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        first = (await world.run(CHAIN)).execution.id
        second = await again(world, spec, first, "b")
        assert second.execution.state is ExecutionState.FAILED
        world.acts["c"] = Act()
        third = await again(world, spec, second.execution.id, "c")
        assert third.reasons == {"a": "kept", "b": "kept", "c": ""}

    simulate(story, {"c": FAILS})


def test_queued_execution_keeps_what_it_took_over_after_a_crash() -> None:
    """It is put back in line, not resumed, and begins where it was to begin."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        first = (await world.run(CHAIN)).execution.id
        world.acts = {"a": HANGS}
        busy = await world.submit(spec)
        request = world.request(spec)
        kept = kept_from(spec, "c", await history_of(world, first), request.id)
        await world.engine.submit(replace(request, kept=kept, retry_of=first))
        after = world.after_crash({"a": Act(lasts_s=60)})
        await world.engine.drain(0)
        report = await after.recover()
        assert (report.restored, report.resumed) == (1, 1)
        assert after.engine.queued_count == 1
        assert (await after.outcome(request.id)).execution.state is ExecutionState.QUEUED
        outcome = await after.end_of(request.id)
        assert outcome.reasons == {"a": "kept", "b": "kept", "c": ""}
        assert outcome.execution.retry_of == first
        assert busy.id != request.id
        await after.idle()

    simulate(story, {"c": FAILS})


def test_running_execution_resumes_with_what_it_took_over() -> None:
    """A crash in its first node is a crash like any other."""

    async def story(world: World) -> None:
        spec = world.define(CHAIN)
        first = (await world.run(CHAIN)).execution.id
        world.acts = {"c": HANGS}
        request = world.request(spec)
        kept = kept_from(spec, "c", await history_of(world, first), request.id)
        await world.engine.submit(replace(request, kept=kept))
        await asyncio.sleep(1)
        after = world.after_crash({})
        await world.engine.drain(0)
        assert (await after.recover()).resumed == 1
        outcome = await after.end_of(request.id)
        assert outcome.reasons == {"a": "kept", "b": "kept", "c": "interrupted"}
        await after.idle()

    simulate(story)


# Items

ITEMS = flow(
    "  - {id: a, run: x}\n"
    "  - {id: m, run: x, foreach: [a, b, c], fail_fast: false, env: {ITEM: '${{ item }}'}}\n"
    "  - {id: z, run: x, env: {OUT: '${{ nodes.m.outputs }}'}}"
)
TWO_FAIL: Acts = {"m": FAILS, "m.b": Act(outputs=b"n=2\n")}


def ran(world: World) -> list[str]:
    """The items of `m` that had a process."""
    return [request.env["ITEM"] for request in world.spawned("m")]


def item_attempts(outcome: Outcome) -> list[str]:
    return [
        f"{each.key.item_index}.{each.key.number} {each.state}"
        for each in outcome.attempts
        if each.key.node == "m"
    ]


def test_only_items_that_did_not_succeed_run_again() -> None:
    """The others keep their outputs, and the node comes to a list of all."""
    outcome, world = retried(ITEMS, "m", TWO_FAIL, {"m": Act(outputs=b"n=1\n")})
    assert ran(world) == ["a", "c"]
    assert outcome.states == {"a": "succeeded", "m": "succeeded", "z": "succeeded"}
    assert outcome.nodes["m"].outputs == [{"n": "1"}, {"n": "2"}, {"n": "1"}]
    assert item_attempts(outcome) == ["0.1 succeeded", "1.1 succeeded", "2.1 succeeded"]


def test_items_of_another_branch_are_kept_too() -> None:
    """A node that did not end well repeats what failed it, though another one is named."""
    text = ITEMS.replace("id: z, run: x", "id: z, run: x, needs: [a]")
    text = text.replace(", env: {OUT: '${{ nodes.m.outputs }}'}", "")
    _, world = retried(text, "z", TWO_FAIL, {})
    assert ran(world) == ["a", "c"]


def test_item_keeps_the_attempt_that_succeeded() -> None:
    """Its number goes on counting nothing: what runs again begins with its first attempt."""
    text = ITEMS.replace("fail_fast: false", "fail_fast: false, retry: {max_attempts: 2}")
    acts: Acts = {"m.a": FAILS, "m.b": [FAILS, Act()], "m.c": Act()}
    outcome, world = retried(text, "m", acts, {"m.a": [FAILS, Act()]})
    assert ran(world) == ["a", "a"]
    assert item_attempts(outcome) == [
        "0.1 failed",
        "0.2 succeeded",
        "1.2 succeeded",
        "2.1 succeeded",
    ]


@pytest.mark.parametrize(
    ("old", "new", "start", "acts"),
    [
        pytest.param("", "", "m", {}, id="it succeeded and is named"),
        pytest.param("", "", "a", TWO_FAIL, id="its need runs anew"),
        pytest.param("[a, b, c]", "[a, b, '${{ execution.id }}']", "m", TWO_FAIL, id="execution"),
        pytest.param("[a, b, c]", "[a, b, '${{ now() }}']", "m", TWO_FAIL, id="now"),
        pytest.param(
            "[a, b, c]", "[a, b, [{x: '${{ trigger.id }}'}]]", "m", TWO_FAIL, id="trigger"
        ),
    ],
)
def test_whole_node_runs_where_its_items_may_be_others(
    old: str, new: str, start: str, acts: Acts
) -> None:
    """And where a person asks for one again that had succeeded."""
    _, world = retried(ITEMS.replace(old, new), start, acts, {})
    assert len(ran(world)) == 3


def test_tolerated_items_run_again_when_their_node_is_named() -> None:
    """`continue_on_error` keeps a node that failed, unless somebody asks for it."""
    text = ITEMS.replace("fail_fast: false", "continue_on_error: true")
    _, world = retried(text, "m", TWO_FAIL, {})
    assert ran(world) == ["a", "c"]
    _, world = retried(text, "z", TWO_FAIL, {})
    assert ran(world) == []


def test_now_of_items_is_that_of_the_retry() -> None:
    """What runs again does not live in the time of the first execution, also after a crash."""
    text = ITEMS.replace("env: {ITEM:", "env: {AT: '${{ now() }}', ITEM:")
    text = text.replace("fail_fast: false", "fail_fast: false, on_interrupt: rerun")

    async def story(world: World) -> None:
        spec = world.define(text)
        first = (await world.run(text)).execution.id
        await asyncio.sleep(7)
        world.acts = {"m.c": HANGS}
        world.spawner.requests.clear()
        request = world.request(spec)
        kept = kept_from(spec, "m", await history_of(world, first), request.id)
        await world.engine.submit(replace(request, kept=kept, retry_of=first))
        await asyncio.sleep(9)
        after = world.after_crash({})
        await world.engine.drain(0)
        await after.recover()
        outcome = await after.end_of(request.id)
        told = [each.env["AT"] for each in (*world.spawned("m"), *after.spawned("m"))]
        assert told == ["2027-03-01T12:00:07+00:00"] * 3
        assert outcome.nodes["m"].started_at == outcome.execution.created_at
        await after.idle()

    simulate(story, TWO_FAIL)


def test_retried_items_survive_a_crash() -> None:
    """After a crash in the retry neither those of the first execution nor of the second repeat."""

    async def story(world: World) -> None:
        text = ITEMS.replace("fail_fast: false", "fail_fast: false, on_interrupt: rerun")
        spec = world.define(text)
        first = (await world.run(text)).execution.id
        world.acts = {"m.a": Act(outputs=b"n=1\n"), "m.c": HANGS}
        request = world.request(spec)
        kept = kept_from(spec, "m", await history_of(world, first), request.id)
        await world.engine.submit(replace(request, kept=kept, retry_of=first))
        await asyncio.sleep(1)
        after = world.after_crash({"m.c": Act(outputs=b"n=3\n")})
        await world.engine.drain(0)
        await after.recover()
        outcome = await after.end_of(request.id)
        assert ran(after) == ["c"]
        assert outcome.nodes["m"].outputs == [{"n": "1"}, {"n": "2"}, {"n": "3"}]
        await after.idle()

    simulate(story, TWO_FAIL)


def test_queued_retry_of_items_survives_a_crash() -> None:
    """What it took over is with it when it begins in the next life."""

    async def story(world: World) -> None:
        spec = world.define(ITEMS)
        first = (await world.run(ITEMS)).execution.id
        world.acts = {"a": HANGS}
        await world.submit(spec)
        request = world.request(spec)
        kept = kept_from(spec, "m", await history_of(world, first), request.id)
        await world.engine.submit(replace(request, kept=kept, retry_of=first))
        after = world.after_crash({"a": FAILS})
        await world.engine.drain(0)
        await after.recover()
        outcome = await after.end_of(request.id)
        assert outcome.execution.state is ExecutionState.SUCCEEDED
        assert ran(after) == ["a", "c"]
        await after.idle()

    simulate(story, TWO_FAIL)

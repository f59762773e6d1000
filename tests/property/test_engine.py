"""What the engine promises for every graph, whatever becomes of its nodes, and at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState, NodeState
from tests.fakes.engine import Act, Outcome, World, flow, simulate

MOST_NODES = 8
CONDITIONS = (None, "true", "false", "success()", "failure()", "always()", "skipped()")
RANKS = {NodeState.PENDING: 0, NodeState.QUEUED: 1, NodeState.RUNNING: 2}
FINAL_RANK = 3
FAILURES = ("failed", "timed_out")
FINALS = """finally:
  - {id: good, run: x, if: success()}
  - {id: bad, run: x, if: failure()}
  - {id: cut, run: x, if: cancelled()}
  - {id: left, run: x, if: skipped()}
  - {id: any, run: x}"""
MOMENTS = st.tuples(st.integers(0, 15), st.integers(0, 8))
"""A second, and a turn of the loop within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """A node: what is written about it, what its attempts do, and what it comes to."""

    needs: tuple[int, ...]
    condition: str | None
    keys: str
    acts: Sequence[Act]
    ends: str
    is_tolerated: bool = False


KINDS = {
    "quick": ("run: x", [Act()], "succeeded"),
    "slow": ("run: x", [Act(lasts_s=7)], "succeeded"),
    "bad": ("run: x", [Act(exit_code=1, lasts_s=1)], "failed"),
    "dies": ("run: x", [Act(signal="SIGSEGV", lasts_s=2)], "failed"),
    "second": (
        "run: x, retry: {max_attempts: 2, delay: 3s}",
        [Act(exit_code=1), Act(lasts_s=1)],
        "succeeded",
    ),
    "hangs": ("run: x, timeout: 4s", [Act(lasts_s=None)], "timed_out"),
    "deaf": (
        "run: x, timeout: 2s, kill_after: 3s",
        [Act(lasts_s=None, on_term_s=None)],
        "timed_out",
    ),
    "noop": ("type: noop", [], "succeeded"),
    "fail": ("type: fail, params: {message: no}", [], "failed"),
    "wait": ("type: wait, params: {for: 5s}", [], "succeeded"),
    "items": ("run: x, foreach: [a, b, c], max_parallel: 2", [Act(lasts_s=2)], "succeeded"),
    "items_bad": (
        "run: x, foreach: [a, b, c], max_parallel: 2",
        [Act(exit_code=1, lasts_s=2)],
        "failed",
    ),
    "items_all_bad": (
        "run: x, foreach: [a, b, c], max_parallel: 2, fail_fast: false",
        [Act(exit_code=1, lasts_s=2)],
        "failed",
    ),
    "items_second": (
        "run: x, foreach: [a, b, c], max_parallel: 2, retry: {max_attempts: 2, delay: 3s}",
        [Act(exit_code=1), Act(lasts_s=1)],
        "succeeded",
    ),
    "items_wait": (
        "type: wait, foreach: [a, b, c], max_parallel: 2, params: {for: 3s}",
        [],
        "succeeded",
    ),
    "items_noop": ("type: noop, foreach: [a, b, c], max_parallel: 2", [], "succeeded"),
}


@st.composite
def plays(draw: st.DrawFn) -> list[Play]:
    """A graph: each node needs any of those above it."""
    made: list[Play] = []
    for number in range(draw(st.integers(1, MOST_NODES))):
        above = st.sets(st.integers(0, number - 1), max_size=3) if number else st.just(set[int]())
        keys, acts, ends = KINDS[draw(st.sampled_from(sorted(KINDS)))]
        made.append(
            Play(
                needs=tuple(sorted(draw(above))),
                condition=draw(st.sampled_from(CONDITIONS)),
                keys=keys,
                acts=acts,
                ends=ends,
                is_tolerated=draw(st.booleans()),
            )
        )
    return made


def text_of(graph: Sequence[Play], top: str = "", keys: str = "") -> str:
    lines = []
    for number, play in enumerate(graph):
        needs = ", ".join(f"n{need}" for need in play.needs)
        condition = f', if: "{play.condition}"' if play.condition else ""
        tolerated = ", continue_on_error: true" if play.is_tolerated else ""
        written = f"{play.keys}, needs: [{needs}]{condition}{tolerated}{keys}"
        lines.append(f"  - {{id: n{number}, {written}}}")
    return flow("\n".join(lines), top=top)


def acts_of(graph: Sequence[Play]) -> dict[str, Act | Sequence[Act]]:
    return {f"n{number}": play.acts for number, play in enumerate(graph) if play.acts}


def expected(graph: Sequence[Play]) -> dict[str, tuple[str, bool]]:
    """Each node's state, and whether a skip is its own: the rules of the format, written anew."""
    found: list[tuple[str, bool]] = []
    failed_above: list[bool] = []
    for play in graph:
        needs = [(found[need], graph[need].is_tolerated) for need in play.needs]
        below_failure = any(
            failed_above[need] or (found[need][0] in FAILURES and not graph[need].is_tolerated)
            for need in play.needs
        )
        success = all(
            state == "succeeded" or own or (state in FAILURES and tolerated)
            for (state, own), tolerated in needs
        )
        answers = {
            "success()": success,
            "failure()": below_failure,
            "always()": True,
            "skipped()": any(state == "skipped" for (state, _), _ in needs),
        }
        failed_above.append(below_failure)
        if play.condition in answers:
            found.append((play.ends, False) if answers[play.condition] else ("skipped", True))
        elif not success:
            found.append(("skipped", False))
        else:
            found.append(("skipped", True) if play.condition == "false" else (play.ends, False))
    return {f"n{number}": each for number, each in enumerate(found)}


def states_of(outcome: Outcome) -> dict[str, tuple[str, bool]]:
    """The same of what the journal has."""
    return {
        name: (str(status.state), status.state == "skipped" and status.reason == "if")
        for name, status in outcome.nodes.items()
        if name[1:].isdigit()
    }


def assert_sound(graph: Sequence[Play], outcome: Outcome) -> None:
    """What holds for every execution that has ended after it began."""
    assert outcome.execution.state.is_final
    mains = {name for name in outcome.states if name[1:].isdigit()}
    assert mains == {f"n{number}" for number in range(len(graph))}
    if len(mains) < len(outcome.states):
        assert_finally_ran(graph, outcome)
    assert all(status.state.is_final for status in outcome.nodes.values())
    assert all(attempt.state != "running" for attempt in outcome.attempts)
    assert_needs_came_first(graph, outcome)
    assert_agrees(graph, outcome)
    assert_items_ended_once(outcome)


def assert_items_ended_once(outcome: Outcome) -> None:
    """No item is tried after its end, and one that ended well is told so by its node."""
    for attempt, following in zip(outcome.attempts, outcome.attempts[1:], strict=False):
        assert attempt.item_end is None or attempt.key[:3] != following.key[:3]
    for attempt in outcome.attempts:
        outputs = outcome.nodes[attempt.key.node].outputs
        if attempt.item_end is not None and isinstance(outputs, list):
            assert outputs[attempt.key.item_index] == attempt.item_end.outputs


def assert_needs_came_first(graph: Sequence[Play], outcome: Outcome) -> None:
    """No attempt began before the ends of the needs were in the journal, and over."""
    order = list(outcome.nodes)
    for attempt in (each for each in outcome.attempts if each.key.node[1:].isdigit()):
        name = attempt.key.node
        for need in (f"n{number}" for number in graph[int(name[1:])].needs):
            assert order.index(need) < order.index(name)
            ended_at = outcome.nodes[need].ended_at
            assert ended_at is not None
            assert ended_at <= attempt.started_at


def assert_agrees(graph: Sequence[Play], outcome: Outcome) -> None:
    """The state of the execution is what its nodes say."""
    state, states = outcome.execution.state, outcome.states
    failures = [
        name
        for name, each in states.items()
        if each in FAILURES and not (name[1:].isdigit() and graph[int(name[1:])].is_tolerated)
    ]
    if "cancelled" in states.values():
        assert state is ExecutionState.CANCELLED
    elif failures:
        assert state is ExecutionState.FAILED
        assert outcome.execution.error is not None
        assert outcome.execution.error.details["node"] == failures[0]
    else:
        assert state is ExecutionState.SUCCEEDED


def assert_finally_ran(graph: Sequence[Play], outcome: Outcome) -> None:
    """The nodes of `FINALS` came last and did what all of `nodes` together say."""
    names, states = list(outcome.states), outcome.states
    assert names[-5:] == ["good", "bad", "cut", "left", "any"]
    mains = {name: states[name] for name in names[:-5]}
    is_cancelled = "cancelled" in mains.values()
    has_failed = any(
        state in FAILURES and not graph[int(name[1:])].is_tolerated for name, state in mains.items()
    )
    runs = {
        "good": not has_failed and not is_cancelled,
        "bad": has_failed,
        "cut": is_cancelled,
        "left": "skipped" in mains.values(),
        "any": True,
    }
    # A cancel that comes too late for any node has been heard all the same.
    told = {
        name: states[name] == "succeeded" or outcome.reasons[name] == "interrupted" for name in runs
    }
    told["cut"] = told["cut"] if is_cancelled else runs["cut"]
    assert told == runs


async def come_to(second: int, turn: int) -> None:
    """Returns after some seconds and some turns of the loop."""
    await asyncio.sleep(second)
    for _ in range(turn):
        await asyncio.sleep(0)


async def watch(world: World, execution_id: ExecutionId) -> None:
    """Looks at the states of an execution again and again: none ever goes back."""
    seen: Mapping[str, NodeState] = {}
    while True:
        live = world.engine.live_states(execution_id) or {}
        for name, state in live.items():
            before = RANKS.get(seen[name], FINAL_RANK) if name in seen else 0
            assert RANKS.get(state, FINAL_RANK) >= before
            assert before < FINAL_RANK or state is seen[name]
        seen = live
        await asyncio.sleep(0.25)


def assert_nothing_is_held(world: World) -> None:
    """Every place that was taken is free again."""
    assert world.engine._admission.is_empty
    assert (world.engine.running_count, world.engine.queued_count) == (0, 0)


@given(plays(), st.integers(1, 4), st.sampled_from([0.0, 0.5]))
def test_every_graph_ends_as_the_rules_say(
    graph: list[Play], node_slots: int, latency_s: float
) -> None:
    """Each node ends in the state that the flow format gives it, whatever runs beside it."""

    async def story(world: World) -> Outcome:
        world.disk.latency_s = latency_s
        accepted = await world.submit(world.define(text_of(graph, FINALS)))
        watching = asyncio.create_task(watch(world, accepted.id))
        outcome = await world.end_of(accepted.id)
        await world.idle()
        assert_nothing_is_held(world)
        assert not watching.done(), watching.exception()
        watching.cancel()
        await asyncio.wait([watching])
        return outcome

    outcome = simulate(story, acts_of(graph), node_slots=node_slots)
    assert_sound(graph, outcome)
    assert states_of(outcome) == expected(graph)


@given(
    plays(),
    st.lists(st.tuples(st.integers(0, 9), st.none() | MOMENTS), min_size=1, max_size=6),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.5]),
)
def test_cancels_at_any_moment_leave_nothing_half_done(
    graph: list[Play],
    starts: list[tuple[int, tuple[int, int] | None]],
    limit: int,
    latency_s: float,
) -> None:
    """Executions that run, wait and are cancelled all end, and hold no place afterwards."""

    async def one(world: World, start_s: int, cancel_at: tuple[int, int] | None) -> ExecutionId:
        await asyncio.sleep(start_s)
        accepted = await world.submit(
            world.define(text_of(graph, f"concurrency: {{limit: {limit}}}\n{FINALS}"))
        )
        if cancel_at is not None:
            await come_to(*cancel_at)
            await world.engine.cancel(accepted.id)
        await world.observer.wait(accepted.id)
        return accepted.id

    async def story(world: World) -> list[Outcome]:
        world.disk.latency_s = latency_s
        ids = await asyncio.gather(*(one(world, *each) for each in starts))
        await world.idle()
        assert_nothing_is_held(world)
        assert await world.storage.executions.unfinished() == []
        assert await world.storage.journal.running() == []
        return [await world.outcome(each) for each in ids]

    for outcome in simulate(story, acts_of(graph), node_slots=2):
        if outcome.execution.started_at is None:
            assert outcome.execution.state is ExecutionState.CANCELLED
            assert (outcome.states, outcome.attempts) == ({}, [])
        else:
            assert_sound(graph, outcome)


@given(
    plays(),
    st.integers(1, 4),
    MOMENTS,
    st.sampled_from(["crash", "stop"]),
    st.sampled_from(["fail", "rerun"]),
    st.sampled_from([0.0, 0.5]),
)
def test_end_of_the_daemon_at_any_moment_loses_nothing(
    graph: list[Play],
    count: int,
    moment: tuple[int, int],
    how: str,
    on_interrupt: str,
    latency_s: float,
) -> None:
    """After a crash or a stop every execution goes on to its end.

    Nothing that had ended is repeated; and where every node may run again, all comes to what it
    would have come to without the interruption.
    """

    async def story(world: World) -> list[Outcome]:
        world.disk.latency_s = latency_s
        spec = world.define(text_of(graph, FINALS, keys=f", on_interrupt: {on_interrupt}"))
        ids = [(await world.submit(spec)).id for _ in range(count)]
        await come_to(*moment)
        if how == "stop":
            await world.engine.drain(1)
        after = world.after_crash()
        ended = {each: set((await after.outcome(each)).states) for each in ids}
        await world.engine.drain(0)
        await after.recover()
        for each in await after.storage.executions.unfinished():
            await after.observer.wait(each.id)
        await after.idle()
        after.assert_clean()
        assert_nothing_is_held(after)
        assert await after.storage.executions.unfinished() == []
        assert await after.storage.journal.running() == []
        spawned = {
            (each.env["EXECUTION_ID"], each.env["NODE_ID"]) for each in after.spawner.requests
        }
        assert not spawned & {(each, name) for each in ids for name in ended[each]}
        return [await after.outcome(each) for each in ids]

    for outcome in simulate(story, acts_of(graph), node_slots=2):
        assert_sound(graph, outcome)
        if on_interrupt == "rerun":
            assert states_of(outcome) == expected(graph)

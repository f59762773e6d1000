"""A trace tells what happened: worked out anew, each decision comes to what it came to then."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.model.expressions import truth
from flowrunner.model.expressions.explain import Came
from flowrunner.model.ids import ExecutionId, Json
from flowrunner.model.states import NodeState
from flowrunner.model.trace import NodeTrace
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Act, Acts, Outcome, World, flow
from tests.fakes.inline_threads import run_inline
from tests.fakes.traces import trace_of

FINALS = """finally:
  - {id: good, run: x, if: success()}
  - {id: bad, run: x, if: failure()}
  - {id: cut, run: x, if: cancelled()}
  - {id: left, run: x, if: skipped() && execution.id != ''}"""
TOP = f"inputs: {{k: {{type: integer}}}}\n{FINALS}"

KINDS = (
    ("type: set, params: {values: {v: NUMBER}}", None),
    ("type: noop", None),
    ("run: x, continue_on_error: true", Act(exit_code=3, lasts_s=1)),
    ("run: x", Act(exit_code=3, lasts_s=2)),
    ("run: x", Act(lasts_s=4)),
    ("run: x, timeout: 2s", Act(lasts_s=None)),
    ("run: x, retry: {max_attempts: 3, delay: 2s, if: attempt.number < 2}", Act(exit_code=1)),
    ("type: wait, params: {for: 3s}", None),
)
STATUSES = ("failure()", "skipped()", "success()")
"""Only for the `if` of a node."""

PARTS = (
    "true",
    "inputs.k > NUMBER",
    "nodes.NEED.state == 'failed'",
    "nodes.NEED.exit_code == 3",
    "nodes.NEED.duration_s >= NUMBER",
    "default(nodes.NEED.outputs, 'none') == 'none'",
    *STATUSES,
    "number(nodes.NEED.state) > 1",
    "(inputs.k == NUMBER)",
)
ABOUT_TIME = ("now() < add(execution.created_at, 'NUMBERs')", "matches(now(), '[02468][+]00:00$')")


class TickingClock(FakeClock):
    """Every look takes a microsecond."""

    def now(self) -> Json:
        self.advance(1e-6)
        return super().now()


@st.composite
def conditions(draw: st.DrawFn, needs: Sequence[str], parts: Sequence[str]) -> str:
    """An expression over needs, with `&&`, `||` and `!` between its parts."""
    usable = [part for part in parts if needs or "NEED" not in part]
    found = []
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from(usable)).replace("NUMBER", str(draw(st.integers(0, 4))))
        part = part.replace("NEED", draw(st.sampled_from(needs)) if needs else "")
        found.append(f"!({part})" if draw(st.booleans()) else part)
    return draw(st.sampled_from([" && ", " || "])).join(found)


@st.composite
def flows(draw: st.DrawFn, parts: Sequence[str]) -> tuple[str, Acts]:
    """A graph of nodes with conditions, and behind it a switch with three ways."""
    lines: list[str] = []
    acts: dict[str, Act] = {}
    names: list[str] = []
    for number in range(draw(st.integers(1, 7))):
        needs = draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names else []
        keys, act = draw(st.sampled_from(KINDS))
        keys = keys.replace("NUMBER", str(draw(st.integers(0, 4))))
        condition = draw(st.none() | conditions(needs, parts))
        written = f', if: "{condition}"' if condition else ""
        lines.append(f"  - {{id: n{number}, needs: [{', '.join(needs)}], {keys}{written}}}")
        names.append(f"n{number}")
        if act is not None:
            acts[f"n{number}"] = act
    need = draw(st.sampled_from(names))
    free = [part for part in parts if part not in STATUSES]
    cases = ", ".join(
        f'{{when: "{draw(conditions([need], free))}", goto: {goto}}}' for goto in ("x", "y")
    )
    lines.append(f"  - {{id: s, type: switch, needs: [{need}], if: always(),")
    lines.append(f"     params: {{cases: [{cases}], default: z}}}}")
    lines += [f"  - {{id: {goto}, needs: [s], type: noop}}" for goto in "xyz"]
    lines.append("  - {id: end, needs: [x, y, z], type: noop}")
    return flow("\n".join(lines), top=TOP), acts


def assert_tells_what_happened(trace: Mapping[str, NodeTrace], outcome: Outcome) -> None:
    """Each decision that is told led to the state that the journal has."""
    was_cut = any(state == "cancelled" for state in outcome.states.values())
    for name, node in trace.items():
        status = outcome.nodes[name]
        if name == "cut" and not was_cut:
            continue  # a cancel that came too late for any node has left no trace
        assert node.doubts == (), (name, node.doubts)
        assert (node.state, node.reason) == (status.state, status.reason)
        assert_condition(node)
        if node.choice is not None and node.state is NodeState.SUCCEEDED:
            assert node.choice.chosen == first_true(node)


def assert_condition(node: NodeTrace) -> None:
    """The value of an `if` and the state of its node say the same."""
    if node.condition is None:
        return
    is_skipped_by_it = (node.state, node.reason) == (NodeState.SKIPPED, "if")
    match node.condition.came:
        case Came.EVALUATED:
            assert node.condition.value is not None
            assert truth(node.condition.value.value) is not is_skipped_by_it
        case Came.FAILED:
            assert (node.state, node.reason) == (NodeState.FAILED, "expression")
        case Came.NOT_EVALUATED:
            assert node.reason in ("needs", "not_chosen", "cancelled"), node


def first_true(node: NodeTrace) -> str | None:
    """What a switch chooses by what is told of its cases."""
    assert node.choice is not None
    for case in node.choice.cases:
        if case.when.value is not None and truth(case.when.value.value):
            return case.goto
    return node.choice.default


@given(flows((*PARTS, *ABOUT_TIME)), st.integers(0, 4), st.none() | st.integers(0, 9))
def test_trace_tells_what_happened(
    written: tuple[str, Acts], k: int, cancel_after_s: int | None
) -> None:
    """Conditions and choices come to what they came to, also `now()` to the microsecond."""
    text, acts = written

    async def story() -> None:
        world = World(acts, clock=TickingClock(), node_slots=2)
        accepted = await world.submit(world.define(text), inputs={"k": k})
        if cancel_after_s is not None:
            await asyncio.sleep(cancel_after_s)
            await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert_tells_what_happened(await trace_of(world, accepted.id, limit=3), outcome)
        await world.idle()

    run_inline(story())


@given(flows(PARTS), st.integers(0, 4), st.integers(0, 9), st.sampled_from(["fail", "rerun"]))
def test_trace_of_a_resumed_execution_tells_what_happened(
    written: tuple[str, Acts], k: int, crash_after_s: int, on_interrupt: str
) -> None:
    """A crash in the middle changes nothing about what is told of the decisions."""
    text, acts = written
    text = text.replace("run: x,", f"run: x, on_interrupt: {on_interrupt},")

    async def story() -> None:
        world = World(acts)
        accepted = await world.submit(world.define(text), inputs={"k": k})
        await asyncio.sleep(crash_after_s)
        after = world.after_crash()
        await world.engine.drain(0)
        await after.recover()
        outcome = await ended(after, accepted.id)
        assert_tells_what_happened(await trace_of(after, accepted.id), outcome)
        await after.idle()

    run_inline(story())


@given(flows(PARTS), st.integers(0, 4), st.integers(0, 7), st.integers(0, 6))
def test_trace_can_be_asked_for_at_any_moment(
    written: tuple[str, Acts], k: int, seconds: int, turns: int
) -> None:
    """While an execution runs, what is told of it is never doubted, and each open node waits."""
    text, acts = written

    async def story() -> None:
        world = World(acts, node_slots=1)
        world.disk.latency_s = 0.5
        accepted = await world.submit(world.define(text), inputs={"k": k})
        await asyncio.sleep(seconds)
        for _ in range(turns):
            await asyncio.sleep(0)
        trace = await trace_of(world, accepted.id)
        execution = await world.storage.executions.get(accepted.id)
        assert execution is not None
        for node in trace.values():
            assert node.doubts == (), (node.id, node.doubts)
            assert node.ended_as or node.wait or execution.state.is_final
        await world.end_of(accepted.id)
        await world.idle()

    run_inline(story())


async def ended(world: World, execution_id: ExecutionId) -> Outcome:
    """Waits for the end of an execution that may have ended before the crash."""
    outcome = await world.outcome(execution_id)
    return outcome if outcome.execution.state.is_final else await world.end_of(execution_id)

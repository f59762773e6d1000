"""Attempts: how often a node is tried, how long, how its processes end, what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.model.depth import DATA_DEPTH
from flowrunner.model.execution import Attempt, Failure
from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.model.states import AttemptState, ExecutionState, NodeState
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from tests.fakes.engine import FAILS, OK, Act, Acts, Outcome, World, flow, run_flow, simulate

RETRIED = flow("  - {id: a, run: x, retry: {max_attempts: 3, delay: 10s}}")
GONE = ExecutionError("command not found", code="command_not_found", final=True)
BUSY = ExecutionError("cannot start", code="spawn_failed")


def states(outcome: Outcome) -> list[str]:
    return [str(attempt.state) for attempt in outcome.attempts]


def starts(outcome: Outcome) -> list[float]:
    """Seconds from the creation of the execution to each attempt."""
    created = outcome.execution.created_at
    return [(attempt.started_at - created).total_seconds() for attempt in outcome.attempts]


class CodeNode:
    """A node type of foreign code: `act` is its whole work."""

    type = "code"
    schema: Mapping[str, Any] = {"type": "object"}
    is_shell_like = False
    acts_outside = False
    on_interrupt = OnInterrupt.RERUN
    survives_restart = False
    output_names = None

    async def act(self, ctx: ExecutionContext) -> Mapping[str, Json]:
        raise NotImplementedError

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        return ()

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        return NodeResult(outputs=await self.act(ctx))


def run_code(node: CodeNode, keys: str = "") -> Outcome:
    """Runs one node of foreign code."""

    async def story(world: World) -> Outcome:
        world.nodes.register("code", lambda: node)
        return await world.run(flow(f"  - {{id: a, type: code{keys}}}"))

    return simulate(story)


# Retry


@pytest.mark.parametrize(
    ("acts", "expected", "state"),
    [
        pytest.param([OK], ["succeeded"], "succeeded", id="first-succeeds"),
        pytest.param([FAILS, OK], ["failed", "succeeded"], "succeeded", id="second-succeeds"),
        pytest.param([FAILS], ["failed"] * 3, "failed", id="all-fail"),
        pytest.param([Act(raises=BUSY), OK], ["failed", "succeeded"], "succeeded", id="spawn"),
        pytest.param([Act(raises=GONE)], ["failed"], "failed", id="command-not-found-is-final"),
        pytest.param([Act(outputs=b"bad line")], ["failed"], "failed", id="bad-output-is-final"),
        pytest.param([Act(signal="SIGSEGV"), OK], ["failed", "succeeded"], "succeeded", id="died"),
    ],
)
def test_retry_tries_until_success_or_a_final_error(
    acts: Sequence[Act], expected: list[str], state: str
) -> None:
    """`max_attempts` counts the first try; an error that no retry can cure ends the node."""
    outcome = run_flow(RETRIED, {"a": acts})
    assert states(outcome) == expected
    assert outcome.states == {"a": state}


def test_retry_waits_its_delay_after_each_failure() -> None:
    """The delay runs from the end of an attempt to the start of the next."""
    outcome = run_flow(RETRIED, {"a": Act(exit_code=1, lasts_s=5)})
    assert starts(outcome) == [0, 15, 30]
    node = outcome.nodes["a"]
    assert node.started_at is not None
    assert node.ended_at is not None
    assert (node.ended_at - node.started_at).total_seconds() == 35


def test_fail_is_never_retried() -> None:
    """What the flow itself calls a failure is final."""
    text = flow(
        "  - {id: a, type: fail, retry: {max_attempts: 3}, params: {message: no rows, code: none}}"
    )
    outcome = run_flow(text)
    assert states(outcome) == ["failed"]
    assert outcome.reasons == {"a": "none"}


def test_expression_that_fails_is_never_retried() -> None:
    """Parameters that cannot be evaluated will not be the next time either."""
    nodes = """
  - {id: a, type: noop}
  - id: b
    type: set
    retry: {max_attempts: 3}
    params: {values: {n: "${{ lower(trigger.body) }}"}}
"""
    outcome = run_flow(flow(nodes))
    assert [attempt.reason for attempt in outcome.attempts] == ["", "expression"]


def test_waiting_for_a_retry_takes_no_process_from_others() -> None:
    """During the delay of one node another may use its place on the host."""
    text = flow("""
  - {id: a, run: x, retry: {max_attempts: 2, delay: 1h}}
  - {id: b, run: x, needs: []}
""")

    async def story(world: World) -> list[str]:
        return list((await world.run(text)).states)

    assert simulate(story, {"a": [FAILS, OK]}, node_slots=1) == ["b", "a"]


# Timeout


def test_timeout_ends_a_process_politely() -> None:
    """At the timeout the group gets SIGTERM, and the attempt is timed out."""

    async def story(world: World) -> Outcome:
        outcome = await world.run(flow("  - {id: a, run: x, timeout: 30s}"))
        assert world.signals("a") == ["SIGTERM", "SIGCONT"]
        return outcome

    outcome = simulate(story, {"a": Act(lasts_s=None, on_term_s=2)})
    (attempt,) = outcome.attempts
    assert attempt.state is AttemptState.TIMED_OUT
    assert (attempt.reason, attempt.exit_code) == ("timeout", None)
    assert attempt.error is not None
    assert attempt.error.message == "took longer than its timeout of 30 s"
    assert lasted(attempt) == 32
    assert outcome.states == {"a": "timed_out"}
    assert outcome.execution.state is ExecutionState.FAILED
    assert outcome.execution.reason == "timeout"


def test_kill_follows_when_sigterm_is_ignored() -> None:
    """`kill_after` later the group gets SIGKILL."""

    async def story(world: World) -> Outcome:
        text = flow("  - {id: a, run: x, timeout: 30s, kill_after: 5s}")
        outcome = await world.run(text)
        assert world.signals("a") == ["SIGTERM", "SIGCONT", "SIGKILL"]
        return outcome

    outcome = simulate(story, {"a": Act(lasts_s=None, on_term_s=None)})
    assert lasted(outcome.attempts[0]) == 35
    assert outcome.states == {"a": "timed_out"}


@pytest.mark.parametrize(
    ("child_s", "duration_s", "killed"),
    [
        pytest.param(3, 33, [], id="cleans-up"),
        pytest.param(None, 35, ["SIGKILL"], id="ignores-sigterm"),
    ],
)
def test_kill_after_is_for_the_whole_group(
    child_s: float | None, duration_s: float, killed: list[str]
) -> None:
    """A child has its grace when the leader is dead already and nobody holds the output."""

    async def story(world: World) -> Outcome:
        text = flow("  - {id: a, run: x, timeout: 30s, kill_after: 5s}")
        outcome = await world.run(text)
        assert world.signals("a") == ["SIGTERM", "SIGCONT", *killed]
        return outcome

    outcome = simulate(story, {"a": Act(lasts_s=None, child_on_term_s=child_s)})
    assert lasted(outcome.attempts[0]) == duration_s
    assert outcome.states == {"a": "timed_out"}


def test_timeout_bounds_each_attempt_and_is_retried() -> None:
    """An attempt that took too long counts as one that failed; each has the whole time."""
    text = flow("  - {id: a, run: x, timeout: 30s, retry: {max_attempts: 3, delay: 1m}}")
    outcome = run_flow(text, {"a": [Act(lasts_s=None), Act(lasts_s=None), Act(lasts_s=29)]})
    assert states(outcome) == ["timed_out", "timed_out", "succeeded"]
    assert starts(outcome) == [0, 90, 180]
    assert outcome.execution.state is ExecutionState.SUCCEEDED


def test_timeout_bounds_nodes_without_a_process_too() -> None:
    """A `wait` that is longer than its timeout times out."""
    text = flow("  - {id: a, type: wait, timeout: 1m, params: {for: 1h}}")
    assert run_flow(text).states == {"a": "timed_out"}


def test_process_that_ends_in_time_gets_no_signal() -> None:
    """Nothing is signalled when nothing needs to be."""

    async def story(world: World) -> None:
        await world.run(flow("  - {id: a, run: x, timeout: 30s}"))
        assert world.signals("a") == []

    simulate(story, {"a": Act(lasts_s=29)})


def lasted(attempt: Attempt) -> float:
    assert attempt.ended_at is not None
    return (attempt.ended_at - attempt.started_at).total_seconds()


# What is recorded


@pytest.mark.parametrize(
    ("act", "exit_code", "reason"),
    [
        pytest.param(Act(exit_code=2), 2, "exit_code", id="exit-code"),
        pytest.param(Act(signal="SIGKILL"), None, "signal:SIGKILL", id="killed"),
        pytest.param(Act(raises=GONE), None, "command_not_found", id="never-started"),
        pytest.param(Act(outputs=b"x\xff="), None, "output", id="bad-output"),
    ],
)
def test_failed_attempt_says_why(act: Act, exit_code: int | None, reason: str) -> None:
    """A signal has no exit code; attempt and node carry the same reason."""
    outcome = run_flow(flow("  - {id: a, run: x}"), {"a": act})
    (attempt,) = outcome.attempts
    assert (attempt.state, attempt.exit_code, attempt.reason) == ("failed", exit_code, reason)
    assert outcome.reasons == {"a": reason}
    assert outcome.nodes["a"].error == attempt.error


def test_successful_attempt_has_its_exit_code() -> None:
    """Exit code 0 is recorded; a node without a process has none."""
    outcome = run_flow(flow("  - {id: a, run: x}\n  - {id: b, type: noop}"))
    assert [attempt.exit_code for attempt in outcome.attempts] == [0, None]
    assert [attempt.reason for attempt in outcome.attempts] == ["", ""]


def test_secret_in_an_error_is_masked() -> None:
    """What an attempt says of its failure holds no secret of the flow."""
    text = flow("  - {id: a, run: x}", top="secrets: [KEY]")
    act = Act(outputs=b"n<<hunter22\n1\n")
    error = run_flow(text, {"a": act}, secrets={"KEY": "hunter22"}).attempts[0].error
    assert error is not None
    assert error.message == "the block that begins in line 1 of $FLOW_OUTPUT is not closed"
    assert error.details == {"delimiter": "***"}


def test_message_of_fail_counts_as_data() -> None:
    """What the author lets a `fail` node say may quote inputs; node and execution know it."""
    outcome = run_flow(flow("  - {id: a, type: fail, params: {message: 'no rows'}}"))
    assert outcome.attempts[0].error == Failure(code="fail", message="no rows", quotes_data=True)
    assert outcome.execution.error == Failure(
        code="fail", message="node a: no rows", details={"node": "a"}, quotes_data=True
    )


@pytest.mark.parametrize("depth", [100, 101, 970, 100_000])
def test_outputs_may_be_nested_100_deep(depth: int) -> None:
    """Outputs that nobody could read again fail their attempt for good."""
    text = flow(
        "  - {id: a, run: x, outputs: {n: {type: array}}, retry: {max_attempts: 2}}\n"
        "  - {id: b, type: set, params: {values: {n: ['${{ nodes.a.outputs.n }}']}}}"
    )
    outcome = run_flow(text, {"a": Act(outputs=b"n=" + b"[" * depth + b"]" * depth)})
    last = "a" if depth > DATA_DEPTH else "b"  # which puts the outputs into one more list
    attempt = outcome.attempts[-1]
    assert (attempt.key.node, attempt.key.number, attempt.reason) == (last, 1, "output")
    assert attempt.error is not None
    assert attempt.error.message.startswith("output n")


# Foreign code


def test_node_that_crashes_ends_its_attempt_alone() -> None:
    """Whatever a node type raises becomes a final failure of that one attempt."""

    class Crashing(CodeNode):
        async def act(self, ctx: ExecutionContext) -> Mapping[str, Json]:
            return {"x": 1 / 0}

    outcome = run_code(Crashing(), ", retry: {max_attempts: 3}")
    (attempt,) = outcome.attempts
    assert attempt.error is not None
    assert attempt.error.code == "internal"
    assert attempt.error.details == {"error": "ZeroDivisionError: division by zero"}
    assert outcome.execution.state is ExecutionState.FAILED


@pytest.mark.parametrize("keys", ["", ", timeout: 1h"], ids=["without-timeout", "with-timeout"])
def test_timeout_error_of_a_node_is_not_its_timeout(keys: str) -> None:
    """A `TimeoutError` that comes out of a node's own work is its failure."""

    class Late(CodeNode):
        async def act(self, ctx: ExecutionContext) -> Mapping[str, Json]:
            raise TimeoutError("the server was slow")

    outcome = run_code(Late(), keys)
    assert outcome.states == {"a": "failed"}
    assert outcome.reasons == {"a": "internal"}


@pytest.mark.parametrize("raised", [RuntimeError, ExecutionError], ids=["crash", "failure"])
def test_timeout_stays_a_timeout_when_cleaning_up_fails(raised: type[Exception]) -> None:
    """An error while a node gives up at its timeout does not hide the timeout."""

    class Clumsy(CodeNode):
        async def act(self, ctx: ExecutionContext) -> Mapping[str, Json]:
            try:
                await asyncio.sleep(3600)
            finally:
                raise raised("cannot clean up")

    assert run_code(Clumsy(), ", timeout: 1s").states == {"a": "timed_out"}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(float("inf"), id="infinity"),
        pytest.param(float("nan"), id="no-number"),
        pytest.param({1, 2}, id="set"),
        pytest.param("x" * 300_000, id="too-large"),
        pytest.param(["€" * 100_000], id="too-large-in-bytes"),
    ],
)
def test_outputs_that_cannot_be_kept_fail_the_attempt(value: object) -> None:
    """Outputs are JSON of at most 256 KiB, whatever type of node gives them."""

    class Giving(CodeNode):
        async def act(self, ctx: ExecutionContext) -> Mapping[str, Json]:
            return {"x": value}

    outcome = run_code(Giving())
    assert outcome.reasons == {"a": "output"}
    assert outcome.nodes["a"].outputs is None


def test_context_says_which_attempt_it_is() -> None:
    """A node type learns its flow, key, inputs, deadline, and what came before, read-only."""
    seen: list[tuple[ExecutionContext, Mapping[str, Json]]] = []

    class Curious(CodeNode):
        async def act(self, ctx: ExecutionContext) -> Mapping[str, Json]:
            seen.append((ctx, dict(ctx.upstream)))  # for as long as the attempt lasts
            return {}

    async def story(world: World) -> Outcome:
        world.nodes.register("code", Curious)
        return await world.run(
            flow(
                "  - {id: a, type: set, params: {values: {x: 1}}}\n"
                "  - {id: b, type: code, timeout: 1m}",
                top="inputs: {day: {default: monday}}",
            ),
            inputs={"day": "friday"},
        )

    outcome = simulate(story)
    ((ctx, upstream),) = seen
    assert (ctx.account, ctx.flow.name, ctx.node_type) == ("default", "flow", "code")
    assert ctx.key == (outcome.execution.id, "b", 0, 1)
    assert ctx.inputs == {"day": "friday"}
    assert upstream["a"]["outputs"] == {"x": 1}
    assert ctx.deadline is not None
    assert (ctx.deadline - ctx.clock.now()).total_seconds() == 60
    with pytest.raises(TypeError):
        ctx.upstream["a"] = None  # type: ignore[index]


def test_states_only_move_forward() -> None:
    """A node waits as queued, runs, and keeps running through its retries."""
    text = flow("""
  - {id: first, run: x}
  - {id: a, run: x, needs: [], retry: {max_attempts: 2, delay: 10s}}
""")

    async def story(world: World) -> list[NodeState]:
        accepted = await world.submit(world.define(text))
        seen: list[NodeState] = []
        for _ in range(30):
            live = world.engine.live_states(accepted.id)
            if live and (not seen or seen[-1] is not live["a"]):
                seen.append(live["a"])
            await asyncio.sleep(1)
        return seen

    acts: Acts = {"first": Act(lasts_s=5), "a": [Act(exit_code=1, lasts_s=5), Act(lasts_s=60)]}
    assert simulate(story, acts, node_slots=1) == [NodeState.QUEUED, NodeState.RUNNING]

"""The result of an execution: what `outputs` of the flow come to, and when there is none."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.engine.recovery import RecoveryReport
from flowrunner.model.ids import Json
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, OK, Act, World, flow, run_flow, simulate

COUNT = "  - {id: count, run: x, outputs: {rows: {type: integer}}}"
COUNTS = {"count": Act(outputs=b"rows=42\n")}


def test_outputs_are_the_result_of_a_success() -> None:
    """Values keep their type, mixed text becomes a text, literals stand as they are."""
    top = """\
labels: {team: data}
vars: {limit: 90}
env: {LANG: C}
inputs: {day: {default: monday}}
outputs:
  rows: ${{ nodes.count.outputs.rows }}
  text: ${{ inputs.day }} of ${{ flow.labels.team }}
  sum: ${{ vars.limit }}
  where: ${{ env.LANG }}
  how: ${{ trigger.type }}
  state: ${{ nodes.count.state }}
  code: ${{ nodes.count.exit_code }}
  five: 5
  truth: true
"""
    outcome = run_flow(flow(COUNT, top=top), COUNTS, inputs={"day": "monday"})

    assert outcome.execution.state is ExecutionState.SUCCEEDED
    assert outcome.execution.outputs == {
        "rows": 42,
        "text": "monday of data",
        "sum": 90,
        "where": "C",
        "how": "manual",
        "state": "succeeded",
        "code": 0,
        "five": 5,
        "truth": True,
    }


def test_flow_without_outputs_has_no_result() -> None:
    """Nothing is declared, so nothing is told."""
    assert run_flow(flow(COUNT), COUNTS).execution.outputs is None


def test_every_node_is_seen_whatever_its_place() -> None:
    """Nodes that nothing waits for, and those that were skipped, whose outputs are null."""
    nodes = f"{COUNT}\n  - {{id: b, needs: [], type: set, params: {{values: {{x: 1}}}}}}\n"
    nodes += "  - {id: c, if: 'false', type: set, params: {values: {y: 2}}}"
    top = """\
outputs:
  rows: ${{ nodes.count.outputs.rows }}
  x: ${{ nodes.b.outputs.x }}
  y: ${{ nodes.c.outputs.y }}
  z: ${{ nodes.c.state }}
"""
    outcome = run_flow(flow(nodes, top=top), COUNTS)
    assert outcome.execution.outputs == {"rows": 42, "x": 1, "y": None, "z": "skipped"}


def test_failed_execution_has_no_result() -> None:
    """Outputs are those of a success; those that could be told are not told either."""
    outcome = run_flow(flow(COUNT, top="outputs: {five: 5}"), {"count": FAILS})

    assert outcome.execution.state is ExecutionState.FAILED
    assert outcome.execution.reason == "exit_code"
    assert outcome.execution.outputs is None


def test_cancelled_execution_has_no_result() -> None:
    """A cancel comes before the result."""

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow(COUNT, top="outputs: {five: 5}")))
        await asyncio.sleep(1)
        assert await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert outcome.execution.state is ExecutionState.CANCELLED
        assert outcome.execution.outputs is None

    simulate(story, {"count": Act(lasts_s=None)})


def test_output_that_cannot_be_evaluated_fails_the_execution() -> None:
    """A success whose result nobody can name is none: the reason says which output and why."""
    top = "outputs: {ok: 1, rows: '${{ nodes.count.outputs.rows < 5 }}'}"
    outcome = run_flow(flow(COUNT, top=top), {"count": Act(outputs=b"")})

    execution = outcome.execution
    assert (execution.state, execution.reason) == (ExecutionState.FAILED, "output")
    assert execution.outputs is None
    assert execution.error is not None
    assert execution.error.code == "output"
    assert execution.error.message.startswith("output rows: ")
    assert outcome.states == {"count": "succeeded"}


@pytest.mark.parametrize(("copies", "state"), [(15, "succeeded"), (17, "failed")])
def test_outputs_of_an_execution_have_4_mib(copies: int, state: str) -> None:
    """A result beyond the bound fails the execution instead of filling the journal."""
    outputs = "".join(f"\n  o{n}: ${{{{ nodes.count.outputs.text }}}}" for n in range(copies))
    nodes = "  - {id: count, run: x, outputs: {text: {}}}"
    acts = {"count": Act(outputs=b"text=" + b"x" * (256 * 1024 - 100) + b"\n")}
    execution = run_flow(flow(nodes, top=f"outputs:{outputs}"), acts).execution

    assert str(execution.state) == state
    if execution.error is not None:
        assert (execution.error.code, execution.reason) == ("output", "output")
        assert execution.error.message == "the outputs take more than 4 MiB"


def test_crash_before_the_end_comes_to_the_same_result() -> None:
    """Outputs follow from the journal alone, so that a restart cannot change them."""
    nodes = f"""\
{COUNT[:-1]}, retry: {{max_attempts: 2, delay: 1s}}, if: "true"}}
  - {{id: late, type: wait, params: {{for: 2s}}}}"""
    top = """\
inputs: {day: {default: x}}
outputs:
  rows: ${{ nodes.count.outputs.rows }}
  code: ${{ nodes.count.exit_code }}
  took: ${{ nodes.count.duration_s }}
  body: ${{ trigger.body.ref }}
  id: ${{ execution.id }}
  work: ${{ execution.work_dir }}
  files: ${{ execution.flow_dir }}
  late: ${{ nodes.late.duration_s }}
  day: ${{ inputs.day }}
"""
    counts = {"count": [FAILS, Act(outputs=b"rows=42\n", lasts_s=0.5)]}

    async def story(world: World) -> dict[str, Json] | None:
        spec = world.define(flow(nodes, top=top))
        accepted = await world.submit(
            spec, trigger="webhook:push", payload=b'{"ref": "main"}', inputs={"day": "x"}
        )
        world.disk.fail("update succeeded")
        await asyncio.sleep(10)
        after = world.after_crash()
        world.disk.mend()
        straight = await world.end_of(accepted.id)
        assert await after.recover() == RecoveryReport(resumed=1)
        recovered = await after.end_of(accepted.id)
        await after.idle()
        assert recovered.execution.state is ExecutionState.SUCCEEDED
        assert recovered.execution.outputs == straight.execution.outputs
        return recovered.execution.outputs

    outputs = simulate(story, counts)
    assert outputs is not None
    assert {name: outputs[name] for name in ("rows", "code", "body", "day")} == {
        "rows": 42,
        "code": 0,
        "body": "main",
        "day": "x",
    }


def test_crash_before_an_end_without_result_ends_as_failed() -> None:
    """An output that cannot be evaluated fails the execution after a restart too."""
    top = "outputs: {rows: '${{ nodes.count.outputs.rows < 5 }}'}"

    async def story(world: World) -> None:
        accepted = await world.submit(world.define(flow(COUNT, top=top)))
        world.disk.fail("update failed")
        await asyncio.sleep(5)
        after = world.after_crash()
        world.disk.mend()
        await world.end_of(accepted.id)
        await after.recover()
        outcome = await after.end_of(accepted.id)
        await after.idle()
        assert outcome.execution.reason == "output"

    simulate(story, {"count": OK})


def test_result_may_be_nested_100_deep() -> None:
    """Outputs of a node that are as deep as they may be cannot be put into one more map."""
    nodes = "  - {id: a, run: x, outputs: {n: {type: array}}}"
    deepest = {"a": Act(outputs=b"n=" + b"[" * 100 + b"]" * 100)}

    told = run_flow(flow(nodes, top="outputs: {x: '${{ nodes.a.outputs.n }}'}"), deepest)
    failed = run_flow(flow(nodes, top="outputs: {x: '${{ nodes.a.outputs }}'}"), deepest)

    assert told.execution.state is ExecutionState.SUCCEEDED
    assert (failed.execution.state, failed.execution.reason) == (ExecutionState.FAILED, "output")
    assert failed.execution.error is not None
    assert failed.execution.error.message == "output x is nested deeper than 100 levels"

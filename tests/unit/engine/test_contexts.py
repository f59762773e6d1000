"""What expressions of a node see, and what becomes of their values."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from flowrunner.engine.scope import ContextScope, Once
from flowrunner.model.ids import Json
from tests.fakes.engine import FAILS, REVISION, Act, Outcome, World, flow, run_flow, simulate


def value_of(expression: str, *, top: str = "", payload: bytes | None = None) -> Json:
    """The value of an expression in a node below `a`, a successful shell node with outputs."""
    nodes = f"""
  - {{id: a, run: x, outputs: {{rows: {{type: integer}}, name: {{}}}}}}
  - {{id: b, type: set, params: {{values: {{v: "${{{{ {expression} }}}}"}}}}}}
"""
    acts = {"a": Act(outputs=b"rows=42\nname=orders\n", lasts_s=1.5)}
    outcome = run_flow(flow(nodes, top=top), acts, payload=payload)
    assert outcome.states["b"] == "succeeded", outcome.nodes["b"].error
    return outcome.nodes["b"].outputs["v"]


TOP = """
labels: {team: data}
vars: {limit: 3}
env: {PLAIN: 1.10}
"""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("nodes.a.outputs.rows", 42, id="typed-output"),
        pytest.param("nodes.a.outputs.name", "orders", id="text-output"),
        pytest.param("nodes.a.state", "succeeded", id="state"),
        pytest.param("nodes.a.exit_code", 0, id="exit-code"),
        pytest.param("nodes.a.error", None, id="no-error"),
        pytest.param("nodes.a.duration_s", 1.5, id="duration"),
        pytest.param("vars.limit", 3, id="vars"),
        pytest.param("flow.name", "flow", id="flow-name"),
        pytest.param("flow.account", "default", id="account"),
        pytest.param("flow.labels.team", "data", id="labels"),
        pytest.param("execution.revision", REVISION, id="revision"),
        pytest.param("execution.slot_at", None, id="no-slot"),
        pytest.param("execution.created_at", "2027-03-01T12:00:00+00:00", id="created"),
        pytest.param("execution.flow_dir", "/flows/default", id="flow-dir"),
        pytest.param("trigger.type", "manual", id="trigger"),
        pytest.param("trigger.body", None, id="no-body"),
        pytest.param("env.PLAIN", "1.10", id="env-keeps-its-source-text"),
    ],
)
def test_expression_sees_its_context(expression: str, expected: Json) -> None:
    """Each context of the flow format holds what the format says."""
    assert value_of(expression, top=TOP) == expected


def test_inputs_are_those_of_the_execution() -> None:
    """What a start brought is seen, not the default."""
    text = flow(
        "  - {id: a, type: set, params: {values: {v: '${{ inputs.n }}'}}}",
        top="inputs: {n: {type: integer, default: 1}}",
    )
    assert run_flow(text, inputs={"n": 7}).nodes["a"].outputs == {"v": 7}


def test_trigger_shows_the_body_of_a_delivery() -> None:
    """A JSON body is data, with its types."""
    assert value_of("trigger.body.list[1]", payload=b'{"list": [1, 2.5]}') == 2.5
    assert value_of("trigger.body", payload=b"") is None


def test_failed_node_shows_its_error_and_no_outputs() -> None:
    """Below a failure `error` tells its code and message; outputs are null."""
    text = flow("""
  - {id: a, run: x, outputs: {rows: {type: integer}}}
  - id: b
    type: set
    if: always()
    params:
      values:
        code: "${{ nodes.a.error.code }}"
        text: "${{ nodes.a.error.message }}"
        exit: "${{ nodes.a.exit_code }}"
        rows: "${{ nodes.a.outputs.rows }}"
""")
    assert run_flow(text, {"a": FAILS}).nodes["b"].outputs == {
        "code": "node_failed",
        "text": "exit code 1",
        "exit": 1,
        "rows": None,
    }


def test_result_of_an_expression_is_not_evaluated_again() -> None:
    """Data from outside that looks like an expression stays text."""
    payload = b'{"x": "${{ vars.limit }}"}'
    assert value_of("trigger.body.x", top="vars: {limit: 3}", payload=payload) == (
        "${{ vars.limit }}"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("plain", "plain", id="text"),
        pytest.param(None, "", id="null"),
        pytest.param(True, "true", id="true"),
        pytest.param(7, "7", id="integer"),
        pytest.param(2.5, "2.5", id="number"),
        pytest.param(["ä", {"b": 1}], '["ä",{"b":1}]', id="json"),
    ],
)
def test_value_in_env_becomes_text(value: Json, text: str) -> None:
    """A variable is a string: null is empty, lists and maps are compact JSON."""

    async def story(world: World) -> str:
        spec = world.define(flow("  - {id: a, run: x, env: {V: '${{ trigger.body }}'}}"))
        payload = json.dumps(value).encode()
        accepted = await world.submit(spec, trigger="webhook:push", payload=payload)
        await world.end_of(accepted.id)
        return world.spawned("a")[0].env["V"]

    assert simulate(story) == text


def test_env_that_cannot_be_evaluated_fails_the_attempt() -> None:
    """An expression of the flow's env fails each node that would have had it, before it starts."""
    text = flow("  - {id: a, run: x}", top="env: {V: '${{ length(trigger.body) }}'}")

    async def story(world: World) -> Outcome:
        outcome = await world.run(text)
        assert world.spawner.requests == []
        return outcome

    assert simulate(story).reasons == {"a": "expression"}


def test_a_context_is_made_when_it_is_first_asked_for() -> None:
    """And never again: who asks twice gets the same value."""
    made: list[Json] = []

    def make() -> Json:
        made.append({"name": "nightly"})
        return made[-1]

    moment = datetime(2026, 3, 1, tzinfo=UTC)
    scope = ContextScope({"flow": Once(make), "inputs": {}}, lambda _: True, moment)

    assert not made
    assert scope.lookup("flow") is scope.lookup("flow") is made[0]
    assert len(made) == 1

"""The built-in types without a process: what each does with its params."""

from __future__ import annotations

import logging

import pytest

from flowrunner.errors import FlowError
from flowrunner.model.ids import Json
from flowrunner.nodes.builtin.noop import NoopNode
from flowrunner.nodes.builtin.wait import WaitNode
from flowrunner.nodes.registry import NodeRegistry
from tests.fakes.engine import Outcome, World, flow, run_flow, simulate
from tests.fakes.nodes import builtin_nodes


def lines_of(message: str, value: Json, *, secrets: dict[str, str] | None = None) -> list[str]:
    """The log of a `log` node whose message refers to `inputs.v`."""
    top = "inputs: {v: {default: ''}}\nsecrets: [KEY]" if secrets else "inputs: {v: {default: ''}}"

    async def story(world: World) -> list[str]:
        text = flow(f"  - {{id: a, type: log, params: {{message: {message!r}}}}}", top=top)
        outcome = await world.run(text, inputs={"v": value})
        assert outcome.states == {"a": "succeeded"}
        return world.log(outcome.execution.id, "a")

    return simulate(story, secrets=secrets)


# set


def test_set_keeps_the_types_of_its_values() -> None:
    """Each entry becomes an output; an expression keeps the type of its value."""
    text = flow(
        """
  - id: a
    type: set
    params:
      values: {n: "${{ vars.n }}", text: "n is ${{ vars.n }}", list: [1, "${{ vars.n }}"], no: null}
""",
        top="vars: {n: 7}",
    )
    outputs = run_flow(text).nodes["a"].outputs
    assert outputs == {"n": 7, "text": "n is 7", "list": [1, 7], "no": None}


# fail


def test_fail_says_what_the_flow_says() -> None:
    """Message and code of the error are those of the params; the message is in the log."""
    text = flow("  - {id: a, type: fail, params: {message: no rows for monday, code: no_rows}}")

    async def story(world: World) -> tuple[Outcome, list[str]]:
        outcome = await world.run(text)
        return outcome, world.log(outcome.execution.id, "a")

    outcome, log = simulate(story)
    error = outcome.nodes["a"].error
    assert error is not None
    assert (error.code, error.message) == ("no_rows", "no rows for monday")
    assert log == ["no rows for monday"]


def test_fail_without_a_code_is_a_fail() -> None:
    """The code has a default."""
    outcome = run_flow(flow("  - {id: a, type: fail, params: {message: no}}"))
    assert outcome.reasons == {"a": "fail"}


# log


@pytest.mark.parametrize(
    ("message", "value", "expected"),
    [
        pytest.param("v is ${{ inputs.v }}", 7, ["v is 7"], id="mixed"),
        pytest.param("${{ inputs.v }}", {"a": [1, None]}, ['{"a":[1,null]}'], id="json"),
        pytest.param("${{ inputs.v }}", True, ["true"], id="boolean"),
        pytest.param("${{ inputs.v }}", "one\ntwo", ["one", "two"], id="lines"),
        pytest.param("${{ inputs.v }}", "half \ud800 pair", ["half \\ud800 pair"], id="surrogate"),
    ],
)
def test_log_writes_its_message(message: str, value: Json, expected: list[str]) -> None:
    """Text is written as it is, other values as JSON, whatever the text holds."""
    assert lines_of(message, value) == expected


def test_log_masks_secrets_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    """A secret that came into a message by way of an input is hidden in both logs."""
    with caplog.at_level(logging.INFO):
        lines = lines_of("key ${{ inputs.v }}", "hunter22", secrets={"KEY": "hunter22"})
    assert lines == ["key ***"]
    assert "key ***" in caplog.text
    assert "hunter22" not in caplog.text


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_log_speaks_to_the_daemon_at_its_level(
    level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon's own log has the message at the level that the flow chose."""
    with caplog.at_level(logging.DEBUG):
        run_flow(flow(f"  - {{id: a, type: log, params: {{message: hello, level: {level}}}}}"))
    (record,) = [each for each in caplog.records if "node.message" in each.message]
    assert record.levelname == level.upper()
    assert record.message == "node.message 'hello'"


def test_log_cannot_forge_a_line_of_the_daemon(caplog: pytest.LogCaptureFixture) -> None:
    """A line end in a message from outside is escaped in the daemon's log, and a long one cut."""
    with caplog.at_level(logging.INFO):
        lines_of("${{ inputs.v }}", "x\nERROR forged" + "y" * 5_000)
    (record,) = [each for each in caplog.records if "node.message" in each.message]
    assert "\n" not in record.message
    assert len(record.message) < 1_100


# noop and wait


def test_noop_succeeds_with_nothing() -> None:
    """It has no outputs and writes no log."""

    async def story(world: World) -> None:
        outcome = await world.run(flow("  - {id: a, type: noop}"))
        assert outcome.nodes["a"].outputs == {}
        assert dict(world.log_writer.files) == {}

    simulate(story)


def test_wait_lets_its_time_pass() -> None:
    """A `wait` of an hour ends after an hour, and holds no process."""

    async def story(world: World) -> float:
        await world.run(flow("  - {id: a, type: wait, params: {for: 1h30m}}"))
        assert world.spawner.requests == []
        return world.clock.monotonic()

    assert simulate(story) == 5_400


@pytest.mark.parametrize("value", ["90", "soon", ""], ids=["no-unit", "word", "nothing"])
def test_wait_refuses_what_is_no_duration(value: str) -> None:
    """A duration without a unit is found before anything runs."""
    (problem,) = WaitNode().validate({"for": value})
    assert problem.path == ("for",)


def test_shell_refuses_a_nul() -> None:
    """No shell script can hold a NUL; the finding points at the script."""
    (problem,) = builtin_nodes().require("shell").validate({"script": "echo \0"})
    assert problem.path == ("script",)


# The registry


def test_registry_has_every_built_in_type() -> None:
    """The types of the flow format that exist so far."""
    expected = "email exec fail flow log noop notify set shell switch wait"
    assert " ".join(builtin_nodes().types) == expected


@pytest.mark.parametrize("node_type", builtin_nodes().types)
def test_type_knows_its_own_name(node_type: str) -> None:
    """The word in a flow, the key of the registry and the node's own word are one."""
    node = builtin_nodes().require(node_type)
    assert node.type == node_type
    assert builtin_nodes().schemas()[node_type] is node.schema


def test_type_is_registered_once() -> None:
    """A second registration is refused, so that nobody replaces a type unseen."""
    registry = NodeRegistry()
    registry.register("noop", NoopNode)
    with pytest.raises(FlowError) as caught:
        registry.register("noop", NoopNode)
    assert caught.value.code == "node.duplicate"


def test_unknown_type_is_an_error() -> None:
    """Asking for a type that is not there has its own code."""
    registry = NodeRegistry()
    assert registry.get("nothing") is None
    with pytest.raises(FlowError) as caught:
        registry.require("nothing")
    assert caught.value.code == "node.unknown"


def test_node_is_made_once_and_only_when_needed() -> None:
    """A factory is not asked before its type is used, and never twice."""
    made: list[NoopNode] = []

    def make() -> NoopNode:
        made.append(NoopNode())
        return made[-1]

    registry = NodeRegistry()
    registry.register("noop", make)
    assert made == []
    assert registry.require("noop") is registry.require("noop")
    assert len(made) == 1

"""`flow` by itself: what it asks for, and what it makes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Execution, Failure
from flowrunner.model.ids import ExecutionId, Json
from flowrunner.model.states import ExecutionState
from flowrunner.nodes.builtin.flow import FlowCall, FlowNode, NoFlows
from tests.fakes.ids import sequential_id
from tests.fakes.records import make_execution
from tests.unit.nodes.attempts import Notes, make_context


class Answers:
    """Meets `CallsFlows`: every child ends as one execution did."""

    def __init__(self, ended: Execution) -> None:
        self._ended = ended
        self.calls: list[FlowCall] = []

    async def start(self, call: FlowCall) -> ExecutionId:
        self.calls.append(call)
        return self._ended.id

    async def run(self, call: FlowCall, told: Callable[[ExecutionId], None]) -> Execution:
        self.calls.append(call)
        told(self._ended.id)
        return self._ended


def execute(answers: Answers, **params: Json) -> dict[str, Json]:
    node = FlowNode(lambda: answers)
    return dict(asyncio.run(node.execute(make_context(), params)).outputs)


ENDED = make_execution(7, state=ExecutionState.SUCCEEDED)


def test_flow_without_outputs_gives_none() -> None:
    """A child that declares no result leaves the node without outputs."""
    assert execute(Answers(ENDED), flow="other") == {}


@pytest.mark.parametrize("wait", [True, False])
def test_log_names_the_child(wait: bool) -> None:  # noqa: FBT001 - drawn
    """Whoever reads the log of the parent finds that of the child."""
    notes = Notes()
    node = FlowNode(lambda: Answers(ENDED))
    asyncio.run(node.execute(make_context(notes), {"flow": "other", "wait": wait}))
    assert notes.texts == [f"execution {sequential_id(7)} of flow other"]


def test_call_says_all_that_is_asked_for() -> None:
    """The attempt, its flow, the other flow, the inputs, and whether it waits."""
    answers, ctx = Answers(ENDED), make_context()
    assert execute(answers, flow="other", inputs={"a": 1}, wait=False) == {
        "execution_id": sequential_id(7)
    }
    assert answers.calls == [
        FlowCall(key=ctx.key, caller=ctx.flow, flow="other", inputs={"a": 1}, is_waited=False)
    ]


@pytest.mark.parametrize("computed", [None, 5, "", "No Name", "x" * 64, ["a"]])
def test_what_is_no_name_is_no_flow(computed: Json) -> None:
    """An expression may give anything; nobody is asked for it, and no message quotes it."""
    answers = Answers(ENDED)
    with pytest.raises(ExecutionError) as caught:
        execute(answers, flow=computed)
    assert (caught.value.code, answers.calls) == ("flow_missing", [])
    assert caught.value.message == "'flow' gave no name of a flow"


def test_error_of_the_child_is_told_with_its_reserve() -> None:
    """A message that may hold data says so, as it did in the child."""
    failure = Failure(code="fail", message="node x: secret of 42", quotes_data=True)
    ended = replace(ENDED, state=ExecutionState.FAILED, reason="fail", error=failure)
    with pytest.raises(ExecutionError) as caught:
        execute(Answers(ended), flow="other")
    assert caught.value.message == "the flow 'backup' failed: node x: secret of 42"
    assert caught.value.quotes_data
    assert not caught.value.final
    assert caught.value.details == {
        "execution_id": sequential_id(7),
        "flow": "backup",
        "state": "failed",
        "reason": "fail",
        "error": "fail",
    }


@pytest.mark.parametrize("wait", [True, False])
def test_where_there_are_no_flows_none_is_found(wait: bool) -> None:  # noqa: FBT001 - drawn
    """Checks know the type without anybody who could start a flow."""
    with pytest.raises(ExecutionError) as caught:
        asyncio.run(FlowNode(NoFlows).execute(make_context(), {"flow": "other", "wait": wait}))
    assert caught.value.code == "flow_missing"

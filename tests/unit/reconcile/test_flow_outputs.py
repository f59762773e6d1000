"""Promises of `flowrunner.reconcile.flow_outputs`: an output that no flow gives is told at load."""

from __future__ import annotations

import pytest

from flowrunner.definitions.codes import UNDECLARED_OUTPUT
from flowrunner.model.finding import Finding
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Revision
from flowrunner.reconcile.plan import Plan, make_plan
from flowrunner.reconcile.replan import Planner
from flowrunner.reconcile.scan import Scanner, Snapshot
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.registry.entry import FlowEntry
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.nodes import builtin_compiler

SCANNER = Scanner(FakeFiles(), builtin_compiler(), FolderTrees(FakeFiles()), FakeClock())
CHILD = """version: 1
name: child
nodes: [{id: x, type: set, params: {values: {n: 1}}}]
outputs: {rows: "${{ nodes.x.outputs.n }}"}
"""
CALLER, CHILD_KEY = FlowKey(DEFAULT_ACCOUNT, "caller"), FlowKey(DEFAULT_ACCOUNT, "child")


def caller(*lines: str, call: str = "params: {flow: child}") -> str:
    nodes = [f"  - {{id: sub, type: flow, {call}}}", *lines]
    return "\n".join(["version: 1", "name: caller", "vars: {v: child}", "nodes:", *nodes, ""])


def tells(text: str) -> str:
    return f"  - {{id: tell, type: log, params: {{message: {text!r}}}}}"


def snapshot(**texts: str) -> Snapshot:
    files = tuple(SCANNER.compile(text.encode(), f"{name}.yaml") for name, text in texts.items())
    return Snapshot(revision=Revision("r"), files=files)


def plan(before: dict[FlowKey, FlowEntry], **texts: str) -> Plan:
    return make_plan(snapshot(**texts), before)


def findings(text: str) -> list[Finding]:
    made = plan({}, caller=text, child=CHILD)
    assert not made.entries[CHILD_KEY].findings
    return list(made.entries[CALLER].findings)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param(
            caller(tells("${{ nodes.sub.outputs.row }} and ${{ nodes.sub.outputs.row }}")),
            (6, 50),
            id="text",
        ),
        pytest.param(
            caller("  - {id: a, type: noop, if: nodes.sub.outputs.row == 1}"), (6, 29), id="bare"
        ),
        pytest.param(caller("outputs: {o: '${{ nodes.sub.outputs.row }}'}"), (6, 19), id="outputs"),
        pytest.param(
            caller(
                tells("${{ nodes.sub.outputs[0].row }}"),
                call="foreach: [1, 2], params: {flow: child}",
            ),
            (6, 50),
            id="items",
        ),
    ],
)
def test_output_that_the_other_flow_lacks_is_a_finding(text: str, place: tuple[int, int]) -> None:
    """It points at the first expression that reads it, and names what there is."""
    (finding,) = findings(text)
    assert (finding.code, finding.line, finding.column) == (UNDECLARED_OUTPUT.code, *place)
    assert finding.message == "the flow 'child' has no output 'row'"
    assert finding.hint == "did you mean 'rows'?"
    assert finding.is_error


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(caller(tells("${{ nodes.sub.outputs.rows }}")), id="there"),
        pytest.param(caller(tells("${{ to_json(nodes.sub.outputs) }}")), id="all-of-them"),
        pytest.param(caller(tells("$${{ nodes.sub.outputs.row }}")), id="escaped"),
        pytest.param(
            caller(tells("${{ nodes.sub.outputs.row }}"), call="params: {flow: other}"),
            id="unknown-flow",
        ),
        pytest.param(
            caller(tells("${{ nodes.sub.outputs.row }}"), call="params: {flow: '${{ vars.v }}'}"),
            id="computed-name",
        ),
        pytest.param(
            caller(
                tells("${{ nodes.sub.outputs.execution_id }}"),
                call="params: {flow: child, wait: false}",
            ),
            id="not-waited-for",
        ),
    ],
)
def test_output_that_may_be_there_is_none(text: str) -> None:
    """What a flow that nobody knows gives back is seen when the node has ended."""
    assert UNDECLARED_OUTPUT.code not in [each.code for each in findings(text)]


def test_flow_without_outputs_is_told_how_to_declare_one() -> None:
    """There is no name to be near to."""
    text = caller(tells("${{ nodes.sub.outputs.rows }}"))
    made = plan({}, caller=text, child=CHILD.partition("outputs:")[0])
    assert [each.hint for each in made.entries[CALLER].findings] == [
        "declare it there: outputs: {rows: …}"
    ]


def test_edit_of_the_called_flow_tells_the_caller_and_disarms_nobody() -> None:
    """The new version of the one comes into force; the other keeps its own, and goes on."""
    text = caller(tells("${{ nodes.sub.outputs.rows }}"))
    planner, before = Planner(), dict[FlowKey, FlowEntry]()
    first = snapshot(caller=text, child=CHILD)
    made = planner.plan(first, before)
    planner.carried_out(first, made)
    second = snapshot(caller=text, child=CHILD.replace("{rows:", "{lines:"))
    after = planner.plan(second, dict(made.entries))

    assert after.changed == {CHILD_KEY}
    assert [each.message for each in after.entries[CALLER].findings] == [
        "the flow 'child' has no output 'rows'"
    ]
    assert after.entries[CALLER].spec is made.entries[CALLER].spec


def test_edit_of_an_expression_alone_is_judged() -> None:
    """A version that reads another output says something else to other flows."""
    planner, before = Planner(), dict[FlowKey, FlowEntry]()
    first = snapshot(caller=caller(tells("${{ nodes.sub.outputs.rows }}")), child=CHILD)
    made = planner.plan(first, before)
    planner.carried_out(first, made)
    second = snapshot(caller=caller(tells("${{ nodes.sub.outputs.row }}")), child=CHILD)
    after = planner.plan(second, dict(made.entries))

    assert after.changed == frozenset()
    assert [each.code for each in after.entries[CALLER].findings] == [UNDECLARED_OUTPUT.code]

"""Promises of `flowrunner.reconcile.flow_inputs`: a call that cannot succeed is told at load."""

from __future__ import annotations

import pytest

from flowrunner.definitions.codes import CALL_INPUTS
from flowrunner.model.finding import Finding
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Revision
from flowrunner.reconcile.plan import Plan, make_plan
from flowrunner.reconcile.scan import Scanner, Snapshot
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.registry.entry import FlowEntry
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.nodes import builtin_compiler

SCANNER = Scanner(FakeFiles(), builtin_compiler(), FolderTrees(FakeFiles()), FakeClock())
CHILD = """version: 1
name: child
inputs:
  day: {type: string, pattern: '^[0-9-]+$'}
  rows: {type: integer, minimum: 1, default: 5}
nodes: [{id: x, type: noop}]
"""
CALLER, CHILD_KEY = FlowKey(DEFAULT_ACCOUNT, "caller"), FlowKey(DEFAULT_ACCOUNT, "child")


def caller(inputs: str, flow: str = "child") -> str:
    return (
        "version: 1\nname: caller\nvars: {v: 1}\nnodes:\n  - id: sub\n    type: flow\n"
        f"    params:\n      flow: {flow}\n      inputs: {inputs}\n"
    )


def plan(before: dict[FlowKey, FlowEntry], **texts: str) -> Plan:
    files = tuple(SCANNER.compile(text.encode(), f"{name}.yaml") for name, text in texts.items())
    return make_plan(Snapshot(revision=Revision("r"), files=files), before)


def findings(inputs: str, child: str = CHILD) -> list[Finding]:
    made = plan({}, caller=caller(inputs), child=child)
    assert not made.entries[CHILD_KEY].findings
    return list(made.entries[CALLER].findings)


@pytest.mark.parametrize(
    ("inputs", "place", "message"),
    [
        pytest.param("{}", (8, 13), "the flow 'child' needs the input 'day'", id="missing"),
        pytest.param(
            "{day: '1', row: 5}", (9, 31), "the flow 'child' has no input 'row'", id="unknown"
        ),
        pytest.param(
            "{day: x}", (9, 21), "the input 'day' of 'child' must match ^[0-9-]+$", id="pattern"
        ),
        pytest.param(
            "{day: '1', rows: many}",
            (9, 32),
            "the input 'rows' of 'child' must be of type integer",
            id="type",
        ),
        pytest.param(
            "{day: '1', rows: 0}",
            (9, 32),
            "the input 'rows' of 'child' must be at least 1",
            id="bound",
        ),
        pytest.param(
            "{day: '1', rows: '0'}",
            (9, 32),
            "the input 'rows' of 'child' must be at least 1",
            id="converted",
        ),
    ],
)
def test_input_that_cannot_fit_is_a_finding(
    inputs: str, place: tuple[int, int], message: str
) -> None:
    """It points at the input, or at the name of the flow when one is missing."""
    (finding,) = findings(inputs)
    assert (finding.code, finding.line, finding.column) == (CALL_INPUTS.code, *place)
    assert finding.message == message
    assert finding.is_error


def test_finding_has_a_hint() -> None:
    """The nearest input, or what to add."""
    unknown, missing = findings("{dya: '1'}")
    assert unknown.hint == "did you mean 'day'?"
    assert missing.hint == "add it: inputs: {day: …}"


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param("{day: '1', rows: 7}", id="literal"),
        pytest.param("{day: '1', rows: '7'}", id="text-that-is-converted"),
        pytest.param("{day: '${{ vars.v }}', rows: '${{ vars.v }}'}", id="computed"),
    ],
)
def test_input_that_may_fit_is_none(inputs: str) -> None:
    """What an expression gives is known when the node runs."""
    assert findings(inputs) == []


@pytest.mark.parametrize("flow", ["other", "'${{ vars.v }}'"])
def test_flow_that_is_not_known_takes_anything(flow: str) -> None:
    """That there is none is another finding, or nobody's."""
    entry = plan({}, caller=caller("{a: 1}", flow), child=CHILD).entries[CALLER]
    assert CALL_INPUTS.code not in [finding.code for finding in entry.findings]


def test_edit_of_the_called_flow_tells_the_caller_and_disarms_nobody() -> None:
    """The new version of the one comes into force; the other keeps its own, and goes on."""
    fits = caller("{day: '1'}")
    before = plan({}, caller=fits, child=CHILD).entries
    after = plan(
        dict(before), caller=fits, child=CHILD.replace("  rows", "  more: {default: ''}\n  rows")
    )
    narrowed = plan(dict(before), caller=fits, child=CHILD.replace(", default: 5", ""))

    assert after.entries[CALLER].findings == ()
    assert narrowed.changed == {CHILD_KEY}
    assert [each.message for each in narrowed.entries[CALLER].findings] == [
        "the flow 'child' needs the input 'rows'"
    ]
    assert narrowed.entries[CALLER].spec is before[CALLER].spec


def test_call_is_judged_by_the_version_that_stays() -> None:
    """A new version that other files refuse asks nobody for its inputs."""
    fits = caller("{day: '1'}")
    before = plan({}, caller=fits, child=CHILD).entries
    refused = CHILD.replace(", default: 5", "") + (
        "finally: [{id: back, type: flow, params: {flow: caller, inputs: {}}}]\n"
    )
    made = plan(dict(before), caller=fits, child=refused)

    assert [each.code for each in made.entries[CHILD_KEY].findings] == ["FR315"]
    assert made.entries[CALLER].findings == ()

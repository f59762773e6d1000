"""What `FlowKinds` says of a name is true of what the engine gives it."""

from __future__ import annotations

from datetime import date

import pytest

from flowrunner.definitions.checks.kinds import FlowKinds
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.model.expressions import Reference, parse_expression, references
from flowrunner.model.expressions.function_table import ANY
from flowrunner.model.expressions.values import Kind, kind_of
from tests.fakes.engine import FAILS, Act, flow, run_flow
from tests.fakes.nodes import builtin_nodes

TOP = """
labels: {team: data}
inputs:
  text: {default: x}
  whole: {type: integer, default: 1}
  real: {type: number, default: 1.5}
  flag: {type: boolean, default: true}
  list: {type: array, default: [1, {k: v}]}
  map: {type: object, default: {k: 1}}
vars: {n: 1, deep: {list: [a, 2], none: null}}
env: {PLAIN: 1.10}
"""
NODES = """
  - {id: good, run: x, outputs: {rows: {type: integer}, name: {}, items: {type: array}}}
  - {id: bad, needs: [], run: x, outputs: {rows: {type: integer}}}
  - {id: skipped, needs: [], if: inputs.whole == 2, run: x, outputs: {rows: {type: integer}}}
  - id: facts
    needs: []
    type: set
    params: {values: {n: 3, l: [1], text: "a ${{ inputs.whole }}", sole: "${{ inputs.whole }}"}}
"""
KNOWN = {
    "inputs": "map", "inputs.text": "string", "inputs.whole": "number", "inputs.real": "number",
    "inputs.flag": "boolean", "inputs.list": "list", "inputs.map": "map", "inputs.text.k": "null",
    "vars": "map", "vars.n": "number", "vars.deep": "map", "vars.deep.list": "list",
    "vars.deep.list[0]": "string", "vars.deep.list[1]": "number", "vars.deep.list[9]": "null",
    "vars.deep.none": "null", "vars.n.k": "null", "env": "map", "env.PLAIN": "string",
    "trigger": "map", "trigger.id": "string", "trigger.type": "string", "trigger.headers": "map",
    "trigger.headers.x": "null string", "trigger.query": "map", "trigger.query.x": "null string",
    "execution": "map", "execution.id": "string", "execution.revision": "string",
    "execution.slot_at": "null string", "execution.slot_date": "null string",
    "execution.created_at": "string", "execution.work_dir": "string",
    "execution.flow_dir": "string", "flow": "map", "flow.name": "string",
    "flow.account": "string", "flow.labels": "map", "flow.labels.team": "null string",
    "flow.labels.other": "null string", "host": "map", "host.name": "string",
    "nodes.good.state": "string", "nodes.good.exit_code": "null number",
    "nodes.good.duration_s": "null number", "nodes.good.error": "null map",
    "nodes.bad.error.code": "null string", "nodes.bad.error.message": "null string",
    "nodes.good.outputs": "null map", "nodes.good.outputs.rows": "null number",
    "nodes.good.outputs.name": "null string", "nodes.good.outputs.items": "null list",
    "nodes.good.outputs.name.k": "null", "nodes.bad.outputs.rows": "null number",
    "nodes.skipped.outputs.rows": "null number", "nodes.skipped.state": "string",
    "nodes.skipped.exit_code": "null number", "nodes.skipped.duration_s": "null number",
    "nodes.facts.outputs.n": "null number", "nodes.facts.outputs.l": "null list",
}  # fmt: skip
"""Names, and the kinds that they may have."""
UNKNOWN = [
    "trigger.body", "trigger.body.x", "inputs.list[0]", "inputs.map.k",
    "nodes.good.outputs.items[0]", "nodes.facts.outputs.text", "nodes.facts.outputs.sole",
]  # fmt: skip
"""Names of which nothing is known."""


def reference_of(text: str) -> Reference:
    (reference,) = references(parse_expression(text))
    return reference


def kinds() -> FlowKinds:
    document = read_yaml(flow(NODES, top=TOP).encode(), file="flow.yaml")
    return FlowKinds(
        Subject(
            document=document,
            data=document.data,
            catalog=builtin_nodes(),
            as_of=date(2027, 3, 1),
        )
    )


def test_kinds_of_names_are_known() -> None:
    """Declarations and literals tell, as the table says."""
    found = {text: kinds()(reference_of(text)) for text in KNOWN}
    assert found == {text: {Kind(word) for word in words.split()} for text, words in KNOWN.items()}


@pytest.mark.parametrize("text", UNKNOWN)
def test_kinds_of_other_names_are_not(text: str) -> None:
    """Data from outside, members of lists and maps, and computed values may be anything."""
    assert kinds()(reference_of(text)) == ANY


def test_engine_gives_what_was_said() -> None:
    """Each name has a value of one of its kinds in an execution."""
    names = [*KNOWN, *UNKNOWN]
    values = "\n".join(
        f'        v{number}: "${{{{ {name} }}}}"' for number, name in enumerate(names)
    )
    last = f"""
  - id: last
    needs: [good, bad, skipped, facts]
    if: always()
    type: set
    params:
      values:
{values}
"""
    acts = {"good": Act(outputs=b"rows=1\nname=x\nitems=[1]\n"), "bad": FAILS}
    inputs = {"text": "x", "whole": 1, "real": 1.5, "flag": True, "list": [1], "map": {"k": 1}}
    outcome = run_flow(flow(NODES + last, top=TOP), acts, inputs=inputs)
    given = outcome.nodes["last"].outputs

    wrong = {
        name: given[f"v{number}"]
        for number, name in enumerate(names)
        if kind_of(given[f"v{number}"]) not in kinds()(reference_of(name))
    }
    assert wrong == {}

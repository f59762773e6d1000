"""`show --trace`: a trace of the daemon as a person reads it, and as programs do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowrunner.cli.main import main
from flowrunner.cli.trace_text import trace_text
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.model.ids import Json
from flowrunner.web.trace_wire import trace_json
from tests.fakes.engine import FAILS, Act, World, flow, simulate
from tests.fakes.traces import trace_page
from tests.unit.cli.control_server import ControlServer
from tests.unit.cli.documents import EXECUTION_ID

Captured = pytest.CaptureFixture[str]
TRACE = f"GET /api/v1/executions/{EXECUTION_ID}/trace"

NODES = """
  - {id: count, run: ./count, outputs: {rows: {type: integer}}}
  - id: load
    if: nodes.count.outputs.rows > 0 && (inputs.day != 'sunday' || failure())
    run: ./load
    env: {DAY: "${{ inputs.day }}", KEY: "${{ secrets.TOKEN }}"}
    retry: {max_attempts: 2, delay: 30s, if: attempt.exit_code == 1}
  - {id: tell, type: log, params: {message: "loaded ${{ nodes.count.outputs.rows }}"}}"""
TOP = """inputs: {day: {type: string}}
secrets: [TOKEN]
finally:
  - {id: tidy, type: noop, if: failure()}"""

EXPECTED = """\
id     00000000-0000-7000-8000-000000000001
flow   flow
state  failed (exit_code)

count (shell): succeeded
  now(): 2027-03-01T12:00:00Z
  params:
    script: ./count
  attempt 1: succeeded, exit code 0, began 2027-03-01T12:00:00Z, took 0.00s
  outputs: {"rows": 7}

load (shell): failed (exit_code)
  needs: count
  now(): 2027-03-01T12:00:00Z
  if: nodes.count.outputs.rows > 0 && (inputs.day != 'sunday' || failure()) → true
    nodes.count.outputs.rows > 0 → true
      nodes.count.outputs.rows → 7
    inputs.day != 'sunday' || failure() → true
      inputs.day != 'sunday' → true
        inputs.day → monday
      failure() → not evaluated
  params:
    script: ./load
  env:
    DAY: monday
    KEY: ***
  attempt 1: failed (exit_code), exit code 1, began 2027-03-01T12:00:00Z, took 0.00s
    error: node_failed: exit code 1
    retried: it was try 1 of 2, after 30s
    retry.if: attempt.exit_code == 1 → true
      attempt.exit_code → 1
  attempt 2: failed (exit_code), exit code 1, began 2027-03-01T12:00:30Z, took 0.00s
    error: node_failed: exit code 1
    not retried: it was the last of 2 tries
  error: node_failed: exit code 1

tell (log): skipped (needs)
  why: need load is failed (exit_code)
  needs: load
  now(): 2027-03-01T12:00:30Z

tidy (noop, finally): succeeded
  now(): 2027-03-01T12:00:30Z
  if: failure() → true
  attempt 1: succeeded, began 2027-03-01T12:00:30Z, took 0.00s"""


def document(nodes: str, *, top: str = "", inputs: dict[str, Json] | None = None) -> Any:
    """Runs a flow and returns its trace as the daemon answers it."""
    acts = {"count": Act(outputs=b"rows=7\n"), "load": FAILS}

    async def story(world: World) -> Any:
        outcome = await world.run(flow(nodes, top=top), inputs=inputs)
        return trace_json(await trace_page(world, outcome.execution.id))

    return simulate(story, acts, secrets={"TOKEN": "hunter2"})


def test_trace_reads_from_top_to_bottom() -> None:
    """Each node stands with its condition, its values and its attempts, as they ended."""
    assert trace_text(document(NODES, top=TOP, inputs={"day": "monday"})) == EXPECTED


def test_items_stand_before_the_attempts() -> None:
    """Of a `foreach` some items are shown with what they were given, and attempts name theirs."""
    items = ", ".join(f"h{number}" for number in range(12))
    node = f"{{id: a, type: log, foreach: [{items}], params: {{message: '${{{{ item }}}}!'}}}}"
    lines = trace_text(document(f"  - {node}", top="")).splitlines()
    start = lines.index("  items: 12, 10 of them here")
    assert lines[start + 1 : start + 6] == [
        "    item 0: h0",
        "      params:",
        "        message: h0!",
        "    item 1: h1",
        "      params:",
    ]
    assert [line.split(":")[0] for line in lines if "attempt" in line][
        -1
    ] == "  attempt 1 of item 11"


def test_pages_are_joined(server: ControlServer, capsys: Captured) -> None:
    """The command reads all pages, and programs get them as one."""
    whole = document(NODES, top=TOP, inputs={"day": "monday"})
    first = {**whole, "items": whole["items"][:1], "next_cursor": "count"}
    rest = {**whole, "items": whole["items"][1:]}
    for output, parse in (("json", json.loads), ("yaml", _parse_yaml)):
        server.put(TRACE, first, rest)
        assert main(["show", EXECUTION_ID, "--trace", "-o", output]) == 0
        assert parse(capsys.readouterr().out) == whole
    path = f"{TRACE}?limit=1000"
    assert [asked for asked in server.asked if "trace" in asked][:2] == [
        path,
        f"{path}&cursor=count",
    ]


def _parse_yaml(text: str) -> Any:
    return read_yaml(text.encode(), file="out.yaml").data


HOSTILE = "\x1b]0;owned\x07\x9b31m\r\n\u202efdp.exe\x00 ***"


@pytest.mark.parametrize("output", ["text", "wide", "json", "yaml"])
def test_hostile_values_cannot_steer_a_terminal(
    server: ControlServer, capsys: Captured, output: str
) -> None:
    """Control characters and marks of direction in data are escaped wherever they stand."""
    nodes = """
  - {id: a, type: set, params: {values: {v: "${{ inputs.evil }}"}}}
  - {id: b, type: noop, if: nodes.a.outputs.v != 'x'}
  - {id: c, type: fail, params: {message: "${{ inputs.evil }}"}}
  - id: d
    type: set
    needs: []
    foreach: ["${{ inputs.evil }}"]
    params: {values: {v: "${{ item }}"}}"""
    top = "inputs: {evil: {type: string}}"
    server.put(TRACE, document(nodes, top=top, inputs={"evil": HOSTILE}))

    assert main(["show", EXECUTION_ID, "--trace", "-o", output]) == 0
    shown = capsys.readouterr().out
    assert "owned" in shown
    assert all(char == "\n" or char.isprintable() for char in shown)


def test_value_on_a_line_is_cut_unless_it_may_be_wide() -> None:
    """A long value ends in dots; `wide` shows as much as the daemon gave, and says it was cut."""
    nodes = '  - {id: a, type: log, params: {message: "${{ inputs.big }}"}}'
    found = document(nodes, top="inputs: {big: {type: string}}", inputs={"big": "x" * 5_000})

    assert f"message: {'x' * 100}… (cut)" in trace_text(found)
    assert f"message: {'x' * 1_000}… (cut)" in trace_text(found, wide=True)


def test_waits_and_problems_stand_at_the_top() -> None:
    """A queued execution says what holds it up, one without a definition what is lost."""
    found = document("  - {id: a, type: noop}")
    waits = [{"kind": "group", "message": "its group is full", "executions": ["one", "two"]}]
    problem = {"code": "definition_lost", "message": "it is gone", "details": {}}
    shown = trace_text({**found, "waits_for": waits, "problem": problem})

    assert "waits for  its group is full: one, two\n" in shown
    assert "problem    definition_lost: it is gone\n" in shown


def test_open_node_says_until_when() -> None:
    """An open node shows what it waits for and until when, behind those that have ended."""
    found = document("  - {id: a, type: noop}\n  - {id: b, type: noop}")
    until = {"kind": "delay", "message": "it waits", "nodes": [], "until": "2027-03-01T12:00:09.5Z"}
    opened = {**found["items"][0], "ended_as": None, "waits_for": until, "doubts": ["odd"]}
    lines = trace_text({**found, "items": [opened, found["items"][1]]}).splitlines()

    assert "  waits: it waits until 2027-03-01T12:00:09Z" in lines
    assert "  doubt: odd" in lines
    assert lines.index("b (noop): succeeded") < lines.index("a (noop): succeeded")

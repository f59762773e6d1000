"""A flow that starts another one, in the real daemon: told, found again after `kill -9`, ended."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import says, write_flow

pytestmark = pytest.mark.system

HELD = """echo "begun $ATTEMPT"
while [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done
echo rows=42 >> "$FLOW_OUTPUT"
"""
CHILD = f"""inputs: {{day: {{type: string}}, rows: {{type: integer}}}}
nodes:
  - id: work
    on_interrupt: rerun
    outputs: {{rows: {{type: integer}}}}
    run: |
{indent(HELD, "      ")}
finally:
  - {{id: tidy, on_interrupt: rerun, run: 'echo tidy >> "$FLOW_DIR/tidied"'}}
outputs: {{rows: "${{{{ nodes.work.outputs.rows }}}}", by: "${{{{ trigger.flow }}}}"}}
"""
CALL = """nodes:
  - {id: sub, type: flow, params: {flow: child, inputs: {day: monday, rows: "7"}}}
outputs: {rows: "${{ nodes.sub.outputs.rows }}", by: "${{ nodes.sub.outputs.by }}"}
"""


def write_flows(flows: Path) -> None:
    write_flow(flows, "child", CHILD)
    write_flow(flows, "parent", CALL)
    (flows / "hold").touch()


def begun(running: RunningDaemon) -> tuple[str, dict[str, Any]]:
    """Starts the parent; returns its id and its child, whose node has begun."""
    parent = running.start("parent")
    (child,) = eventually(lambda: running.execution(parent)["children"])
    eventually(lambda: "begun 1" in running.logs(child["id"]))
    return parent, child


def test_kill_9_between_parent_and_child(flows: Path, state: Path) -> None:
    """The same attempt waits for the same child, and has its outputs; both name each other."""
    write_flows(flows)
    with daemon(flows, state, env=OPEN) as running:
        parent, child = begun(running)
        assert (child["flow"], child["node"], child["state"]) == ("child", "sub", "running")
        running.kill()

    with daemon(flows, state, env=OPEN) as running:
        eventually(lambda: "begun 2" in running.logs(child["id"]))
        (flows / "hold").unlink()
        execution = running.ended(parent)
        assert execution["outputs"] == {"rows": 42, "by": "parent"}
        assert [each["id"] for each in execution["children"]] == [child["id"]]
        assert len(execution["nodes"][0]["attempts"]) == 1
        ended = running.execution(child["id"])
        assert ended["inputs"] == {"day": "monday", "rows": 7}
        assert ended["trigger"] == {"id": "parent", "type": "flow"}
        assert ended["parent"]["execution_id"] == parent
        assert running.executions("child")[0]["parent"]["node"] == "sub"
        shown = running.command("show", parent).stdout
        assert child["id"] in shown
        assert f"parent    {parent} sub" in running.command("show", child["id"]).stdout


def test_kill_9_after_a_cancel_of_the_parent(flows: Path, state: Path) -> None:
    """What was asked of the parent reaches the child, whenever the daemon died."""
    write_flows(flows)
    with daemon(flows, state, env=OPEN) as running:
        parent, child = begun(running)
        running.command("cancel", parent)
        running.kill()

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(parent)
        ended = running.execution(child["id"])
        assert (execution["state"], execution["reason"]) == ("cancelled", "cancelled")
        assert (ended["state"], ended["reason"]) == ("cancelled", "parent")
        assert (flows / "tidied").read_text().startswith("tidy\n")
        assert ended["ended_at"] <= execution["ended_at"]


def test_flow_whose_target_leaves_goes_on_and_says_so(flows: Path, state: Path) -> None:
    """It is not Ready, and starts all the same; its node fails until the other flow is back."""
    write_flow(flows, "child", says("hello"))
    write_flow(
        flows,
        "parent",
        "nodes:\n  - {id: first, type: noop}\n  - {id: sub, type: flow, params: {flow: child}}\n",
    )
    with daemon(flows, state, env=OPEN) as running:
        (flows / "child.yaml").unlink()
        running.reconcile()
        ready = running.condition("parent")
        assert (ready["status"], ready["reason"]) == ("False", "FlowMissing")
        failed = running.ended(running.start("parent"))
        assert [node["state"] for node in failed["nodes"]] == ["succeeded", "failed"]
        assert failed["error"]["code"] == "flow_missing"

        write_flow(flows, "child", says("hello"))
        running.reconcile()
        assert running.condition("parent")["status"] == "True"
        assert running.ended(running.start("parent"))["state"] == "succeeded"

"""Why an execution went as it did, told by the real daemon over its socket and its port."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.system.daemon import daemon
from tests.system.flow_files import write_flow

pytestmark = pytest.mark.system

NODES = """\
secrets: [TOKEN]
nodes:
  - {id: count, run: 'echo rows=7 >> "$FLOW_OUTPUT"', outputs: {rows: {type: integer}}}
  - {id: load, if: nodes.count.outputs.rows > 9, run: exit 1}
  - {id: tell, run: test "$KEY" = hunter2-and-more, env: {KEY: "${{ secrets.TOKEN }}"}}
"""


def test_trace_is_told_after_a_restart_to_who_may_see_it(flows: Path, state: Path) -> None:
    """The unix socket shows a trace, also of an earlier life; the port asks for the right."""
    secret = {"FLOWRUNNER_SECRET_TOKEN": "hunter2-and-more"}
    write_flow(flows, "sums", NODES)
    with daemon(flows, state, env=secret) as first:
        execution_id = first.start("sums")
        assert first.ended(execution_id)["state"] == "succeeded"
        before = first.command("show", execution_id, "--trace").stdout
        first.kill()
    with daemon(flows, state) as second:  # which does not have the secret at all
        shown = second.command("show", execution_id, "--trace").stdout
        trace = json.loads(second.command("show", execution_id, "--trace", "--json").stdout)
        refused = second.request(f"/api/v1/executions/{execution_id}/trace")
    assert shown == before
    assert "load (shell): skipped (if)\n  why: its if is not true\n" in shown
    assert "nodes.count.outputs.rows → 7\n" in shown
    assert "KEY: ***\n" in shown
    assert "hunter2" not in json.dumps(trace["items"][2]["env"])
    assert [node["doubts"] for node in trace["items"]] == [[], [], []]
    assert (refused.status, refused.json["code"]) == (401, "auth.missing")

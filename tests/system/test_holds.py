"""Flows that are kept from starting, by the real daemon, its commands and its restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.daemon import OPEN, daemon, eventually
from tests.system.flow_files import runs, says, write_flow

pytestmark = pytest.mark.system

HELD = 'while [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done'
"""A script that runs for as long as the file `hold` lies beside the flow."""


def test_paused_flow_is_refused_until_it_is_resumed(flows: Path, state: Path) -> None:
    """A pause is told with its reason, outlives a `kill -9`, and is ended by `resume`."""
    write_flow(flows, "hello", says("hello"))
    with daemon(flows, state, env=OPEN) as first:
        first.command("pause", "hello", "--reason", "migration")
        first.kill()
    with daemon(flows, state, env=OPEN) as second:
        paused = second.condition("hello", "Paused")
        assert (paused["status"], paused["reason"]) == ("True", "Paused")
        assert paused["message"].endswith(": migration")
        assert second.metric("flowrunner_flow_suspended", flow="hello") == 1
        refused = second.command("run", "hello", check=False)
        assert (refused.returncode, "paused" in refused.stderr) == (5, True)
        forced = second.start("hello", "--force")
        assert second.ended(forced)["state"] == "succeeded"
        second.command("resume", "hello")
        assert second.ended(second.start("hello"))["state"] == "succeeded"
        assert second.metric("flowrunner_flow_suspended", flow="hello") == 0


def test_what_waits_is_cancelled_and_what_ended_is_retried(flows: Path, state: Path) -> None:
    """`cancel --queued` ends only what waits; `retry` starts what has ended as it was accepted."""
    write_flow(flows, "slow", "inputs: {who: {}}\n", runs(HELD))
    (flows / "hold").touch()
    with daemon(flows, state, env=OPEN) as running:
        first, second, third = (running.start("slow", "--input", f"who={n}") for n in "abc")
        refused = running.command("cancel", "--queued", first, check=False)
        assert (refused.returncode, "does not wait" in refused.stderr) == (5, True)
        refused = running.command("retry", first, check=False)
        assert (refused.returncode, "has not ended" in refused.stderr) == (5, True)
        running.command("cancel", "--queued", second)
        assert running.command("cancel", "--queued", "slow").stdout.split() == [third]
        assert [running.execution(each)["state"] for each in (first, second, third)] == [
            "running",
            "cancelled",
            "cancelled",
        ]
        (flows / "hold").unlink()
        assert running.ended(first)["state"] == "succeeded"
        again = running.ended(running.command("retry", third).stdout.strip())
        assert (again["state"], again["retry_of"], again["inputs"]) == (
            "succeeded",
            third,
            {"who": "c"},
        )
        assert again["trigger"] == {"id": "retry", "type": "retry"}
        refused = running.command("cancel", again["id"], check=False)
        assert (refused.returncode, "has ended" in refused.stderr) == (5, True)
        refused = running.command("cancel", "00000000-0000-7000-8000-000000000000", check=False)
        assert (refused.returncode, "there is no execution" in refused.stderr) == (5, True)


def test_cancel_while_finally_runs_is_refused(flows: Path, state: Path) -> None:
    """The command does not claim to end what it leaves alone; `--force` ends it."""
    ending = f"finally: [{{id: tidy, run: '{HELD}'}}]\n"
    write_flow(flows, "tidies", ending, says("hello"))
    (flows / "hold").touch()
    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("tidies")

        def tidies() -> bool:
            states = {
                node["id"]: node["state"] for node in running.execution(execution_id)["nodes"]
            }
            return states.get("tidy") == "running"

        eventually(tidies, lambda: running.events)
        refused = running.command("cancel", execution_id, check=False)
        assert (refused.returncode, refused.stdout) == (5, "")
        assert "its finally is running; --force ends it" in refused.stderr
        running.command("cancel", "--force", execution_id)
        assert running.ended(execution_id)["state"] == "cancelled"

"""Flows that are kept from starting, by the real daemon, its commands and its restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.daemon import OPEN, daemon
from tests.system.flow_files import says, write_flow

pytestmark = pytest.mark.system


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

"""Triggers that wait for a start, a flow or a file, and promises, in the real daemon."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import write_flow

pytestmark = pytest.mark.system

NOOP = "nodes: [{id: only, type: noop}]\n"
HELD = """nodes:
  - {id: work, run: 'while [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done'}
"""


def write_flows(flows: Path, inbox: Path) -> None:
    write_flow(flows, "at-boot", "triggers: [{type: start}]\n", NOOP)
    write_flow(flows, "at-start", "triggers: [{type: start, once_per: daemon}]\n", NOOP)
    write_flow(flows, "held", "triggers: [{type: start}]\nsuspend: true\n", NOOP)
    write_flow(flows, "first", HELD)
    write_flow(flows, "second", "triggers: [{type: flow, flow: first, states: [failed]}]\n", NOOP)
    inputs = "{path: '${{ trigger.path }}'}"
    trigger = f"{{type: file, path: '{inbox}/*.csv', settle: 500ms, inputs: {inputs}}}"
    write_flow(flows, "imports", f"triggers: [{trigger}]\ninputs: {{path: {{}}}}\n", NOOP)
    write_flow(flows, "slow", "sla: {max_duration: 100ms}\n", HELD)


def ended(running: RunningDaemon, flow: str, number: int) -> list[dict[str, Any]]:
    """Waits until so many executions of a flow have ended, and returns them, newest first."""

    def all_of_them() -> list[dict[str, Any]] | None:
        found = running.executions(flow)
        finals = [each for each in found if each["state"] not in ("queued", "running")]
        return finals if len(finals) == number else None

    return eventually(all_of_them, lambda: running.executions(flow))


def imported(running: RunningDaemon, number: int) -> list[str]:
    """Returns the names of the files that were imported, oldest first."""
    found = [running.execution(each["id"]) for each in ended(running, "imports", number)]
    return [Path(each["inputs"]["path"]).name for each in reversed(found)]


def metric(running: RunningDaemon, name: str, **labels: str) -> float:
    """Returns a sample by its labels; 0 where there is none."""
    for line in running.request("/metrics").text.splitlines():
        if line.startswith(name) and all(
            f'{key}="{value}"' in line for key, value in labels.items()
        ):
            return float(line.rpartition(" ")[2])
    return 0.0


def late_executions(running: RunningDaemon, flow: str) -> list[str]:
    """Returns the executions of a flow that its events say took too long."""
    found = running.request(f"/api/v1/flows/default/{flow}/events").json["items"]
    return [each["message"].split()[-1] for each in found if each["reason"] == "MaxDuration"]


def test_triggers_fire_once_over_a_crash(flows: Path, state: Path, tmp_path: Path) -> None:
    """Boot, start, end of a flow and file each start their flow exactly once, `kill -9` or not."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a.csv").write_text("a")
    write_flows(flows, inbox)
    (flows / "hold").touch()
    env = {**OPEN, "FLOWRUNNER_ENGINE__ROOTS": str(inbox)}
    with daemon(flows, state, env=env) as running:
        ended(running, "at-boot", 1)
        ended(running, "at-start", 1)
        assert imported(running, 1) == ["a.csv"]
        eventually(lambda: metric(running, "flowrunner_starts_skipped_total", flow="held") == 1)
        write_flow(flows, "at-boot-too", "triggers: [{type: start}]\n", NOOP)
        slow = running.start("slow")
        eventually(lambda: metric(running, "flowrunner_sla_breaches_total", flow="slow") == 1)
        eventually(lambda: late_executions(running, "slow") == [slow])
        first = running.start("first")
        eventually(lambda: running.execution(first)["state"] == "running")
        (inbox / "a.csv").rename(inbox / "b.csv")
        running.kill()

    # What was at work is cut short: the end of `first` is written by this life, and followed in it.
    (inbox / "c.csv").write_text("c")
    with daemon(flows, state, env=env) as running:
        (followed,) = ended(running, "second", 1)
        assert followed["trigger"] == {"id": "flow", "type": "flow"}
        assert running.ended(first)["state"] == running.ended(slow)["state"] == "failed"
        ended(running, "at-start", 2)
        assert imported(running, 2) == ["a.csv", "c.csv"]
        assert metric(running, "flowrunner_sla_breaches_total", flow="slow") == 0
        assert late_executions(running, "slow") == [slow]
        assert len(running.executions("at-boot")) == 1
        assert running.executions("at-boot-too") == running.executions("held") == []
        text = running.command("flows", "imports").stdout
        assert f"{inbox}/*.csv" in text
        running.kill()

    with daemon(flows, state, env=env) as running:
        ended(running, "at-start", 3)
        (inbox / "b.csv").write_text("other")
        assert imported(running, 3) == ["a.csv", "c.csv", "b.csv"]
        assert len(running.executions("second")) == 1


def watched_inodes(pid: int) -> set[int]:
    """Returns the inodes that a process watches by inotify. Source: proc_pid_fdinfo(5)."""
    found: set[int] = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(OSError):  # closed meanwhile
            text = info.read_text(encoding="ascii")
            found |= {
                int(each, 16) for each in re.findall(r"^inotify .*?ino:(\w+)", text, re.MULTILINE)
            }
    return found


def test_folders_of_files_tell_what_comes(flows: Path, state: Path, tmp_path: Path) -> None:
    """A folder is watched from its first look on, as is one that comes later, and let go again."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    inputs = "{path: '${{ trigger.path }}'}"
    trigger = f"{{type: file, path: '{inbox}/**/*.csv', settle: 1s, inputs: {inputs}}}"
    write_flow(flows, "imports", f"triggers: [{trigger}]\ninputs: {{path: {{}}}}\n", NOOP)
    write_flow(flows, "other", NOOP)
    with daemon(flows, state, env={**OPEN, "FLOWRUNNER_ENGINE__ROOTS": str(inbox)}) as running:
        pid = running.process.pid
        eventually(lambda: inbox.stat().st_ino in watched_inodes(pid), lambda: running.events)
        later = inbox / "later"
        later.mkdir()
        eventually(lambda: later.stat().st_ino in watched_inodes(pid), lambda: running.events)
        (later / "a.csv").write_text("a")
        assert imported(running, 1) == ["a.csv"]
        assert running.metric("flowrunner_file_triggers_unwatched") == 0
        assert running.request("/api/v1/status").json["conditions"] == []
        (flows / "imports.yaml").unlink()
        running.reconcile()
        eventually(lambda: inbox.stat().st_ino not in watched_inodes(pid), lambda: running.events)
        assert running.stop() == 0


def test_circle_of_triggers_is_refused_and_roots_are_held(flows: Path, state: Path) -> None:
    """Whoever closes a circle stays out; a path outside of the roots keeps a flow from Ready."""
    follows = "triggers: [{{type: flow, flow: {0}}}]\n"
    write_flow(flows, "a", NOOP)
    write_flow(flows, "b", follows.format("a"), NOOP)
    write_flow(flows, "c", "triggers: [{type: file, path: /etc/*.conf}]\n", NOOP)
    with daemon(flows, state, env=OPEN) as running:
        assert running.condition("c")["reason"] == "PathNotPermitted"
        write_flow(flows, "a", follows.format("b"), NOOP)
        running.command("reconcile", "--wait", check=False)  # 1: there is a finding
        assert running.condition("a")["reason"] == "FlowCycle"
        running.ended(running.start("a"))
        (second,) = ended(running, "b", 1)
        assert second["state"] == "succeeded"

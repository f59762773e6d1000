"""Nothing of an attempt survives: what it may have become, by how it ends, by what holds it.

Each test is a column of the matrix: one execution whose nodes are its rows.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.profile import IS_LONG
from tests.system.daemon import (
    INSTALLED,
    OPEN,
    Program,
    RunningDaemon,
    attempts_of,
    daemon,
    eventually,
)
from tests.system.delegation import delegated_cgroup, program_within

pytestmark = pytest.mark.system

QUIET = ">/dev/null 2>&1"
BECOMES = {
    "plain": "",
    "background": f"sleep @ {QUIET} &",
    "nohup": f"nohup sleep @ {QUIET} &",
    "another_session": f"setsid sleep @ {QUIET} &",
    "double_fork": f"setsid sh -c 'sleep @ & exit' {QUIET}",
    "deaf": f"setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' @ {QUIET} &",
    "stopped": f"setsid sleep @ {QUIET} &\n        kill -STOP $!",
    "holding_pipes": "setsid sleep @ &",
    "another_name": f"env -i setsid sh -c 'sleep @ & exit' {QUIET}",
}
"""What a script does before it waits or exits; `@` is how its processes are found again."""

HELD_BY = ("descent", "cgroup")
ENDS = ("success", "timeout", "cancel", "stop", "kill-and-restart")
QUICK = {
    *(("descent", end) for end in ("success", "timeout", "cancel", "kill-and-restart")),
    *(("cgroup", end) for end in ("cancel", "kill-and-restart")),
}
"""The columns of the short profile."""

NOT_OURS = {("descent", "kill-and-restart"): {"another_name"}}
"""Orphans of a daemon that was killed are told by their mark alone where no cgroup holds them, and
this one has shed it."""

ENVIRONMENT = {
    **OPEN,
    "FLOWRUNNER_ENGINE__DRAIN_TIMEOUT": "0s",
    "FLOWRUNNER_ENGINE__MAX_RUNNING_NODES": "100",
}


def columns() -> Iterator[object]:
    for held in HELD_BY:
        for end in ENDS:
            skip = pytest.mark.skipif(
                not IS_LONG and (held, end) not in QUICK, reason="in the long profile alone"
            )
            yield pytest.param(held, end, id=f"{held}-{end}", marks=skip)


@contextmanager
def holding(held: str) -> Iterator[Program]:
    """What runs a daemon that holds its attempts in this way."""
    if held == "descent":
        yield INSTALLED
        return
    with delegated_cgroup() as base:
        yield program_within(base)


class Rows:
    """The nodes of one execution, and what is left of each."""

    def __init__(self) -> None:
        unique = secrets.randbelow(10**9)
        self._words = {row: f"300.{unique:09}{n:03}" for n, row in enumerate(BECOMES)}

    def flow(self, end: str) -> str:
        nodes = "".join(self._node(row, end) for row in BECOMES)
        return f"version: 1\nname: rows\nnodes:\n{nodes}"

    def _node(self, row: str, end: str) -> str:
        script = BECOMES[row].replace("@", self._words[row])
        last = "" if end == "success" else f"exec sleep {self._words[row]}"
        limit = "    timeout: 2s\n" if end == "timeout" else ""
        lines = "".join(
            f"      {line.strip()}\n" for line in (*script.split("\n"), "echo begun", last)
        )
        return f"  - id: {row}\n    needs: []\n    kill_after: 500ms\n{limit}    run: |\n{lines}"

    def left(self) -> set[str]:
        """Which rows have live processes."""
        lines = [_command_line(int(entry.name)) for entry in Path("/proc").glob("[0-9]*")]
        return {row for row, word in self._words.items() if any(word in line for line in lines)}

    def kill(self) -> None:
        """Ends what a failed test would leave on the host."""
        for entry in Path("/proc").glob("[0-9]*"):
            if any(word in _command_line(int(entry.name)) for word in self._words.values()):
                with suppress(ProcessLookupError):
                    os.kill(int(entry.name), signal.SIGKILL)


def _command_line(pid: int) -> str:
    """The words of a live process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.parametrize(("held", "end"), list(columns()))
def test_nothing_survives(held: str, end: str, flows: Path, state: Path) -> None:
    """Whatever processes of an attempt have become, they are gone with it."""
    rows = Rows()
    (flows / "rows.yaml").write_text(rows.flow(end))
    try:
        with holding(held) as program:
            with daemon(flows, state, env=ENVIRONMENT, program=program) as running:
                assert f"process.families kind={held}" in running.output
                bring_to_an_end(running, end, rows)
            if end == "kill-and-restart":
                with daemon(flows, state, env=ENVIRONMENT, program=program):
                    assert rows.left() == NOT_OURS.get((held, end), set())
    finally:
        rows.kill()


def bring_to_an_end(running: RunningDaemon, end: str, rows: Rows) -> None:
    """Starts all rows, ends them in the given way, and looks what is left."""
    execution_id = running.start("rows")
    eventually(
        lambda: running.logs(execution_id).count("begun") == len(BECOMES), lambda: running.events
    )
    if end == "kill-and-restart":
        assert rows.left() == set(BECOMES)
        running.process.kill()
        running.process.wait()
        return
    if end == "stop":
        assert running.stop() == 0
    else:
        if end == "cancel":
            running.command("cancel", execution_id)
        states = {node["state"] for node in running.ended(execution_id)["nodes"]}
        assert states == {{"success": "succeeded", "timeout": "timed_out"}.get(end, "cancelled")}
    assert rows.left() == set()
    assert attempts_of(running.state) == []

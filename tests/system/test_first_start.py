"""A first start with many files: a crew compiles them, and is gone when they are in force."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from flowrunner.definitions.ahead import MANY
from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import flow_text, says

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a crew needs two processors"),
]

COUNT = MANY + 200
BROKEN = "version: 1\nname: broken\nnodes: [{id: a, type: nope}]\n"


def write_many(flows: Path) -> None:
    for number in range(COUNT):
        path = flows / f"flow-{number}.yaml"
        path.write_text(flow_text(f"flow-{number}", says(f"word-{number}")), encoding="utf-8")
    (flows / "broken.yaml").write_text(BROKEN, encoding="utf-8")


def crew_of(pid: int) -> list[int]:
    """Returns the processes that compile for a daemon."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"compile_ahead" in (path.parent / "cmdline").read_bytes():
                found.append(int(path.parent.name))
    return found


def is_there(pid: int) -> bool:
    """Whether a process is alive; one that waits to be buried is not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_crew_ends_with_a_daemon_that_is_killed_and_the_next_start_is_whole(
    flows: Path, state: Path
) -> None:
    """A `kill -9` amid the compiling leaves nobody; the next start puts every flow in force."""
    write_many(flows)
    killed = RunningDaemon(flows, state, env=OPEN)
    try:
        crew = eventually(lambda: crew_of(killed.process.pid), lambda: killed.output)
    finally:
        killed.kill()
    eventually(lambda: not any(map(is_there, crew)))
    with daemon(flows, state, env=OPEN) as running:
        assert crew_of(running.process.pid) == []
        assert running.metric("flowrunner_flows", state="ready") == COUNT
        (finding,) = running.flow("broken")["findings"]
        assert finding["message"].startswith("'nope' is not one of")
        (node,) = running.ended(running.start("flow-600"))["nodes"]
        assert node["outputs"] == {"word": "word-600"}

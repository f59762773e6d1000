"""Process groups: who is in one, and when nobody is any more."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowrunner.system.process import LocalSpawner, SpawnRequest
from flowrunner.system.process_group import members_of, wait_until_empty
from tests.fakes.spawner import RecordingSink


def write_stat(proc: Path, pid: int, *, state: str = "S", group: int, name: str = "cat") -> None:
    """What the kernel shows of a process. Source: proc(5), /proc/pid/stat."""
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {state} 1 {group} 7 0 -1 4194304\n")


@contextmanager
def group_of(script: str) -> Iterator[subprocess.Popen[str]]:
    """A shell that leads a group and is not reaped before the end; it has printed a line."""
    with subprocess.Popen(
        ("/bin/sh", "-c", script),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        yield leader


def let_go(leader: subprocess.Popen[str]) -> None:
    """Ends the standard input that a group reads."""
    assert leader.stdin is not None
    leader.stdin.close()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_members_are_the_live_processes_of_the_group(tmp_path: Path) -> None:
    """Other groups, the dead and what is no process do not count, whatever a name looks like."""
    write_stat(tmp_path, 20, group=20)
    write_stat(tmp_path, 21, group=20, state="T", name="odd) Z 1 99 (name")
    write_stat(tmp_path, 22, group=20, state="Z")
    write_stat(tmp_path, 23, group=23)
    (tmp_path / "24").mkdir()
    (tmp_path / "uptime").write_text("1 1")
    assert sorted(members_of(20, tmp_path)) == [20, 21]


def test_members_that_cannot_be_told_are_an_error(tmp_path: Path) -> None:
    """A look that fails is not taken for an empty group."""
    with pytest.raises(OSError, match="No such file"):
        members_of(20, tmp_path / "none")


def test_group_is_waited_for_after_its_leader() -> None:
    """It is not empty before the last child has ended; an unreaped leader is nobody."""

    async def main(leader: subprocess.Popen[str]) -> bool:
        waiting = asyncio.create_task(wait_until_empty(leader.pid))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        let_go(leader)
        await waiting
        return bool(done)

    with group_of("exec 3<&0; { read line <&3; } & echo up") as leader:
        os.waitid(os.P_PID, leader.pid, os.WEXITED | os.WNOWAIT)
        assert not asyncio.run(main(leader))
        assert members_of(leader.pid) == []


def test_what_a_member_starts_meanwhile_is_waited_for_too() -> None:
    """A chain of processes, each started by the one before, is followed to its end."""
    chain = "sleep 0.1; (sleep 0.1; (sleep 0.1; echo last) & ) & "
    with group_of(f"echo up; ({chain}) &") as leader:
        asyncio.run(wait_until_empty(leader.pid))
        assert leader.stdout is not None
        os.set_blocking(leader.stdout.fileno(), False)
        assert leader.stdout.readline() == "last\n"


def test_given_up_wait_leaves_no_descriptor() -> None:
    """A wait that is cancelled closes what it held."""

    async def main(leader: subprocess.Popen[str]) -> tuple[int, int]:
        before = open_descriptors()
        waiting = asyncio.create_task(wait_until_empty(leader.pid))
        await asyncio.wait([waiting], timeout=0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        return before, open_descriptors()

    with group_of("echo up; read line") as leader:
        before, after = asyncio.run(main(leader))
        let_go(leader)
    assert before == after


@pytest.mark.parametrize(
    ("descriptors", "empty"), [(None, True), (3, False)], ids=["enough", "run-out"]
)
def test_group_that_cannot_be_looked_at_counts_as_inhabited(
    descriptors: int | None, *, empty: bool
) -> None:
    """A process without a free descriptor gives the group its whole time instead of killing it."""
    spawner = LocalSpawner()
    request = SpawnRequest(argv=("true",), env={"PATH": "/usr/bin:/bin"}, cwd=Path("/"))

    async def main() -> bool:
        process = await spawner.spawn(lambda: request, RecordingSink())
        await process.wait()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors or soft, hard))
        try:
            return await process.vacate(30 if empty else 0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await process.close()

    assert asyncio.run(main()) is empty
    spawner.close()

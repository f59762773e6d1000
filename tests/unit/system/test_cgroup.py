"""Cgroups for real: who is in one, killing, waiting and removing; and families in them.

Needs a cgroup of version 2 that may be written; as an ordinary user these tests are skipped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.system.cgroup import PROCS, Cgroup
from flowrunner.system.cgroup_family import CgroupFamilies, cgroup_path, find_delegated
from flowrunner.system.marks import PROC
from flowrunner.system.process import ExitStatus, LocalSpawner, SpawnRequest
from flowrunner.system.process_table import read_facts
from tests.fakes.spawner import RecordingSink
from tests.system.delegation import delegated_cgroup

MARK = {"EXECUTION_ID": "x", "NODE_ID": "a", "ATTEMPT": "1", "WORK_DIR": "/state/work/x/files"}
ENVIRONMENT = {"PATH": "/usr/bin:/bin", **MARK}


@pytest.fixture
def base() -> Iterator[Path]:
    with delegated_cgroup() as folder:
        yield folder


def enter(group: Path, script: str) -> subprocess.Popen[str]:
    """A shell in a group; it has printed a line."""
    running = subprocess.Popen(
        ("/bin/sh", "-c", f'echo 0 >"$0"; {script}', str(group / PROCS)),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    return running


def below(base: Path, *names: str) -> Path:
    folder = base.joinpath(*names)
    folder.mkdir(parents=True)
    return folder


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# One group


def test_members_of_all_groups_below_are_told(base: Path) -> None:
    """A process may make groups within its own: they count."""
    running = enter(below(base, "one", "two"), "echo up; exec sleep 600")
    group = Cgroup(base / "one")
    assert [facts.pid for facts in group.members()] == [running.pid]
    group.send(signal.SIGTERM)
    assert running.wait() == -signal.SIGTERM


@pytest.mark.parametrize("way", [Cgroup.kill, Cgroup.kill_frozen], ids=["at-once", "frozen"])
def test_kill_ends_everybody(base: Path, way: Callable[[Cgroup], None]) -> None:
    """Stopped, deaf and in other sessions: nobody stays, by either way of the kernel."""
    script = """
        setsid sh -c 'trap "" TERM; while :; do sleep 600; done' &
        setsid sleep 600 & kill -STOP $!
        echo up; exec sleep 600"""
    folder = below(base, "one")
    running = enter(folder, script)
    group = Cgroup(folder)
    assert len(group.members()) >= 3
    assert not group.remove()
    way(group)
    assert group.wait_empty(30)
    assert running.wait() == -signal.SIGKILL
    assert group.remove()
    assert not folder.exists()


def test_what_is_gone_is_empty(base: Path) -> None:
    """A group that somebody else has removed is no error."""
    group = Cgroup(base / "none")
    group.kill()
    asyncio.run(group.until_empty())
    assert group.members() == []
    assert group.wait_empty(30)
    assert group.remove()


def test_wait_has_its_limit(base: Path) -> None:
    """Somebody is still there: the wait says so."""
    folder = below(base, "one")
    running = enter(folder, "echo up; exec sleep 600")
    assert not Cgroup(folder).wait_empty(0.01)
    running.kill()
    running.wait()


def test_end_of_the_last_member_wakes_the_wait(base: Path) -> None:
    """The kernel tells when a group is empty; a wait that is given up leaves no descriptor."""
    folder = below(base, "one")
    running = enter(folder, "echo up; exec sleep 600")

    async def main() -> None:
        before = open_descriptors()
        given_up = asyncio.create_task(Cgroup(folder).until_empty())
        waiting = asyncio.create_task(Cgroup(folder).until_empty())
        await asyncio.wait([waiting], timeout=0.05)
        given_up.cancel()
        assert not waiting.done()
        running.kill()
        await waiting
        await asyncio.wait([given_up])
        assert open_descriptors() == before

    asyncio.run(main())
    running.wait()


# Families


def carry_out(base: Path, *argv: str, environment: dict[str, str] | None = None) -> str:
    """Runs a command as an attempt in a cgroup, and returns what it printed."""
    spawner = LocalSpawner(CgroupFamilies(base))

    async def main() -> str:
        sink = RecordingSink()
        request = SpawnRequest(argv=argv, env=environment or ENVIRONMENT, cwd=Path("/"))
        running = await spawner.spawn(lambda: request, sink)
        try:
            assert await running.wait() == ExitStatus(exit_code=0)
            await running.drain()
        finally:
            await running.close()
        return sink.data["stdout"].decode()

    try:
        return asyncio.run(main())
    finally:
        spawner.close()


def test_attempt_runs_in_a_cgroup_of_its_own(base: Path) -> None:
    """It is there before its command is loaded, bears the attempt's name, and is removed."""
    printed = carry_out(base, "cat", "/proc/self/cgroup")
    assert f"/{base.name}/attempt-1.x.a.1\n" in printed
    assert list(base.glob("attempt-*")) == []


def test_environment_is_exactly_what_was_asked(base: Path) -> None:
    """The shell that enters the group leaves no trace, and takes nothing of the flow's own."""
    own = {**ENVIRONMENT, "PWD": "/", "SHLVL": "7", "ODD": "a b\nc"}
    for environment in (ENVIRONMENT, own):
        printed = carry_out(base, "cat", "/proc/self/environ", environment=environment)
        pairs = sorted(pair for pair in printed.split("\0") if not pair.startswith("_="))
        assert pairs == sorted(["", *(f"{name}={value}" for name, value in environment.items())])


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        pytest.param(("no-such-command",), "command_not_found", id="missing"),
        pytest.param(("/etc/passwd",), "not_executable", id="not-executable"),
        pytest.param(("/bin/echo", "x" * 200_000), "spawn_failed", id="too-large"),
    ],
)
def test_start_that_fails_is_told_as_without_cgroups(
    base: Path, argv: tuple[str, ...], code: str
) -> None:
    """The shell in between hides no reason, and no group is left."""
    with pytest.raises(ExecutionError) as caught:
        carry_out(base, *argv)
    assert (caught.value.code, caught.value.final) == (code, True)
    assert list(base.glob("attempt-*")) == []


@pytest.mark.parametrize("number", [None, signal.SIGTERM], ids=["closed", "terminated"])
def test_nobody_leaves_the_group(base: Path, number: int | None) -> None:
    """An orphan in another session, without a mark, ends with its attempt."""
    script = "env -i setsid sh -c 'sleep 600 >/dev/null 2>&1 & echo $!'; exec sleep 600"
    families = CgroupFamilies(base)
    spawner = LocalSpawner(families)

    async def main() -> int:
        sink = RecordingSink()
        request = SpawnRequest(argv=("/bin/sh", "-c", script), env=ENVIRONMENT, cwd=Path("/"))
        running = await spawner.spawn(lambda: request, sink)
        while not sink.data["stdout"].endswith(b"\n"):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        if number is not None:
            await running.signal_all(number)
            assert await running.vacate(30)
        await running.close()
        return int(sink.data["stdout"])

    orphan = asyncio.run(main())
    spawner.close()
    assert read_facts(orphan) is None
    assert list(base.glob("attempt-*")) == []


def test_what_outlived_its_kill_is_killed_again(base: Path) -> None:
    """A group that was not empty in time is looked after until it is."""
    folder = below(base, "attempt-1")
    running = enter(folder, "echo up; exec sleep 600")
    families = CgroupFamilies(base)
    families.survives(Cgroup(folder))

    async def main() -> None:
        while folder.exists():
            await families.tidy()

    asyncio.run(main())
    running.wait()  # tells nothing: here the child of a test is an orphan, and buried as one
    assert read_facts(running.pid) is None


# Delegation


def in_child(base: Path, code: str) -> str:
    """Runs a line of Python in a process of its own that is in a cgroup."""
    lines = "from flowrunner.system.cgroup_family import *; "
    command = ("/bin/sh", "-c", 'echo 0 >"$0"; exec "$@"', str(base / PROCS))
    python = (sys.executable, "-c", lines + code)
    done = subprocess.run((*command, *python), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_delegated_group_is_found(base: Path) -> None:
    """A process in a group that the service manager has marked may use it."""
    assert in_child(base, "print(find_delegated())") == str(base)


def test_group_that_is_not_marked_is_not_touched(base: Path) -> None:
    """To be allowed to write, as root is, is not to be meant."""
    os.removexattr(base, "user.delegate")
    assert in_child(base, "print(find_delegated())") == "None"
    assert find_delegated() != base


def test_group_of_an_attempt_is_not_taken_for_a_delegated_one(base: Path) -> None:
    """A daemon that a flow starts does not end the attempts of ours."""
    assert in_child(below(base, "attempt-1.x.a.1"), "print(find_delegated())") == "None"


def test_group_in_which_another_daemon_lives_is_not_touched(base: Path) -> None:
    """Two daemons of one unit do not end each other's attempts."""
    running = enter(below(base, "daemon"), "echo up; exec sleep 600")
    assert in_child(base, "print(find_delegated())") == "None"
    running.kill()
    running.wait()


def test_daemon_moves_to_a_leaf_and_ends_what_is_left(base: Path) -> None:
    """What an earlier daemon left in groups of attempts is killed, and the groups are removed."""
    running = enter(below(base, "attempt-9.x.a.1", "own"), "echo up; exec sleep 600")
    code = "f = CgroupFamilies(find_delegated()); f.occupy(); print(attempt_prefix())"
    prefix = in_child(base, code)
    assert prefix.endswith(f"/{base.name}/attempt-")
    assert running.wait() == -signal.SIGKILL
    assert sorted(folder.name for folder in base.iterdir() if folder.is_dir()) == ["daemon"]
    again = below(base, "attempt-1.x.a.1")
    assert in_child(base / "daemon", "print(find_delegated())") == str(base)
    assert again.exists()


def test_path_of_a_process_without_cgroups_is_none(tmp_path: Path) -> None:
    """Hosts with version 1 alone have no line for version 2."""
    (tmp_path / "cgroup").write_text("9:name=systemd:/\n1:cpu:/a\n")
    assert cgroup_path(tmp_path) is None
    assert cgroup_path(tmp_path / "none") is None
    assert cgroup_path(PROC / "self") is not None

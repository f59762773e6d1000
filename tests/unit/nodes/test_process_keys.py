"""What the keys of a node about its process do, with real processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.model.process import Limits, ProcessSpec
from flowrunner.nodes.prologue import prologue
from flowrunner.system.descent import DescentFamilies
from flowrunner.system.process import ExitStatus, LocalSpawner, SpawnRequest
from tests.fakes.spawner import RecordingSink

ENV = {"PATH": "/usr/bin:/bin"}


def ran(
    spec: ProcessSpec,
    *argv: str,
    cwd: Path = Path("/"),
    stdin: bytes | None = None,
    env: Mapping[str, str] = ENV,
) -> tuple[ExitStatus, str, str]:
    """How a program ended that is started so, and what it printed on both streams."""
    sink = RecordingSink()
    request = SpawnRequest(argv=argv, env=env, cwd=cwd, prologue=prologue(spec), stdin=stdin)

    async def run() -> ExitStatus:
        with closing(LocalSpawner(DescentFamilies())) as spawner:
            process = await spawner.spawn(lambda: request, sink)
            try:
                await process.drain()
                return await process.wait()
            finally:
                await process.close()

    status = asyncio.run(run())
    return status, sink.data["stdout"].decode(), sink.data["stderr"].decode()


def printed(spec: ProcessSpec, script: str) -> str:
    status, out, err = ran(spec, "/bin/sh", "-c", script)
    assert (status.exit_code, err) == (0, "")
    return out.strip()


def test_a_node_that_says_nothing_starts_without_a_shell_before_it() -> None:
    """The usual way costs nothing."""
    assert prologue(ProcessSpec()) == ()


@pytest.mark.parametrize("umask", ["027", "0077", "000"])
def test_umask_holds_for_the_program(umask: str) -> None:
    """Files it makes have the mode that the mask leaves."""
    assert int(printed(ProcessSpec(umask=umask), "umask"), 8) == int(umask, 8)


def test_nice_is_added_to_that_of_the_daemon() -> None:
    """The program gives way to others, silently."""
    expected = min(os.getpriority(os.PRIO_PROCESS, 0) + 7, 19)
    assert printed(ProcessSpec(nice=7), "nice") == str(expected)


@pytest.mark.parametrize(
    ("limits", "name", "soft", "hard"),
    [
        pytest.param(
            Limits(memory=2**29 + 1), "Max address space", "536871936", "536871936", id="memory"
        ),
        pytest.param(Limits(cpu_time_s=30), "Max cpu time", "30", "35", id="cpu-time"),
        pytest.param(Limits(files=100), "Max open files", "100", "100", id="files"),
        pytest.param(Limits(processes=4000), "Max processes", "4000", "4000", id="processes"),
    ],
)
def test_limits_are_those_of_the_kernel(limits: Limits, name: str, soft: str, hard: str) -> None:
    """Each process has them, whatever shell stands behind /bin/sh."""
    table = printed(ProcessSpec(limits=limits), "cat /proc/self/limits")
    line = next(line for line in table.splitlines() if line.startswith(name))
    assert line.removeprefix(name).split()[:2] == [soft, hard]


@pytest.mark.heavy
def test_processor_time_ends_with_a_signal_that_tells_why() -> None:
    """SIGXCPU becomes the reason of the attempt."""
    spec = ProcessSpec(limits=Limits(cpu_time_s=1))
    status, _, _ = ran(spec, "/bin/sh", "-c", "while :; do :; done")
    assert status.signal == "SIGXCPU"


def test_all_keys_work_together() -> None:
    """One prologue holds them all; the program is the shell that became it."""
    limits = Limits(memory=2**30, cpu_time_s=60, files=64, processes=3000)
    spec = ProcessSpec(umask="022", nice=3, limits=limits)
    assert printed(spec, "umask; ulimit -n; ulimit -t") == "0022\n64\n60"


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program"])
def test_a_missing_program_is_told_apart_from_a_failing_one(program: str) -> None:
    """As without a prologue: final, with its own code."""
    with pytest.raises(ExecutionError) as caught:
        ran(ProcessSpec(nice=1), program)
    assert caught.value.code == "command_not_found"


def test_arguments_pass_through_the_prologue_unread() -> None:
    """No shell parses them."""
    words = ["a b", "$HOME", "`id`", "'", '"', "*", "-n", "", "line\nbreak"]
    status, out, _ = ran(ProcessSpec(umask="022"), "/usr/bin/printf", "%s|", *words)
    assert (status.exit_code, out) == (0, "".join(f"{word}|" for word in words))


@pytest.mark.parametrize("size", [0, 1, 1_000_000], ids=["empty", "byte", "a-megabyte"])
@pytest.mark.parametrize("spec", [ProcessSpec(), ProcessSpec(umask="022")], ids=["plain", "umask"])
def test_stdin_is_read_to_its_end(spec: ProcessSpec, size: int) -> None:
    """More than a pipe holds hangs nobody, and a program that does not read it loses nothing."""
    status, out, _ = ran(spec, "/bin/sh", "-c", "wc -c", stdin=b"x" * size)
    assert (status.exit_code, out.strip()) == (0, str(size))
    assert ran(spec, "/bin/true", stdin=b"x" * size)[0].exit_code == 0


def test_without_stdin_there_is_nothing_to_read() -> None:
    """A program that asks is not left waiting."""
    assert ran(ProcessSpec(), "/bin/cat")[:2] == (ExitStatus(exit_code=0), "")


def test_stdin_lies_on_no_disk() -> None:
    """A secret on its way to a program is in memory alone."""
    _, out, _ = ran(ProcessSpec(), "/bin/readlink", "/proc/self/fd/0", stdin=b"hunter2")
    assert out.startswith("/memfd:")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("gone", "No such file or directory", id="missing"),
        pytest.param("file", "Not a directory", id="file"),
    ],
)
@pytest.mark.parametrize("spec", [ProcessSpec(), ProcessSpec(nice=1)], ids=["plain", "prologue"])
def test_a_missing_working_dir_is_named(
    tmp_path: Path, spec: ProcessSpec, name: str, reason: str
) -> None:
    """The attempt fails with the key and a hint; the path, which is data, is in its details."""
    (tmp_path / "file").touch()
    with pytest.raises(ExecutionError) as caught:
        ran(spec, "/bin/true", cwd=tmp_path / name)
    assert caught.value.code == "spawn_failed"
    assert caught.value.message.startswith(f"cannot start in its working_dir: {reason}; it must")
    assert str(tmp_path) not in caught.value.message
    assert caught.value.details["cwd"] == str(tmp_path / name)

"""The promises of spawning: exact ends, whole output, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from flowrunner.errors import ExecutionError
from flowrunner.system.descent import DescentFamilies
from flowrunner.system.one_core import LinuxAffinity, OneCore
from flowrunner.system.process import ExitStatus, LocalSpawner, Process, SpawnRequest
from tests.fakes.spawner import FakeSpawner, Performance, RecordingSink
from tests.fakes.virtual_time import run_virtual

SPAWN_THREADS = 8
ENV = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def spawner() -> Iterator[LocalSpawner]:
    made = LocalSpawner(DescentFamilies())
    yield made
    made.close()


def shell(script: str, cwd: Path = Path("/")) -> Callable[[], SpawnRequest]:
    return lambda: SpawnRequest(argv=("/bin/sh", "-c", script), env=ENV, cwd=cwd)


def command(*argv: str, cwd: Path = Path("/")) -> Callable[[], SpawnRequest]:
    return lambda: SpawnRequest(argv=argv, env=ENV, cwd=cwd)


def carry_out(
    spawner: LocalSpawner, prepare: Callable[[], SpawnRequest]
) -> tuple[ExitStatus, RecordingSink]:
    """Spawns, waits, drains and closes, as the engine does."""

    async def main() -> tuple[ExitStatus, RecordingSink]:
        sink = RecordingSink()
        process = await spawner.spawn(prepare, sink)
        status = await process.wait()
        await process.drain()
        await process.close()
        return status, sink

    return asyncio.run(main())


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def stat_of(pid: str | int) -> list[str]:
    """State, parent and so on of a process (proc(5), after the name); empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def children() -> set[str]:
    """Our child processes, zombies too."""
    numbers = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {number for number in numbers if stat_of(number)[1:2] == [str(os.getpid())]}


def has_ended(pid: int) -> bool:
    """Whether no process has this number, or only a corpse that init has not taken yet."""
    return stat_of(pid)[:1] in ([], ["Z"])


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until the kernel has got there; the test's time limit is the bound."""
    while not condition():  # noqa: ASYNC110 - the kernel sets no event
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("exit 0", ExitStatus(exit_code=0), id="success"),
        pytest.param("exit 7", ExitStatus(exit_code=7), id="failure"),
        pytest.param("kill -KILL $$", ExitStatus(signal="SIGKILL"), id="killed"),
        pytest.param("kill -40 $$", ExitStatus(signal="SIG40"), id="nameless-signal"),
    ],
)
def test_wait_tells_how_the_leader_ended(
    spawner: LocalSpawner, script: str, expected: ExitStatus
) -> None:
    """The exit code or the name of the signal is told, never a mixture."""
    status, _ = carry_out(spawner, shell(script))
    assert status == expected


def test_all_output_arrives_by_stream(spawner: LocalSpawner) -> None:
    """Both streams are complete, apart from each other, and ended exactly once."""
    _, sink = carry_out(spawner, shell("head -c 300000 /dev/zero; echo oops >&2"))
    assert sink.data == {"stdout": bytes(300000), "stderr": b"oops\n"}
    assert sorted(sink.ended) == ["stderr", "stdout"]


def test_child_gets_exactly_what_was_asked(spawner: LocalSpawner, tmp_path: Path) -> None:
    """Environment, folder and standard input are those of the request, in an own session."""
    script = "cat; pwd; cat /proc/$$/environ; echo; cut -d' ' -f1,6 /proc/$$/stat"
    _, sink = carry_out(spawner, shell(script, cwd=tmp_path))
    folder, environment, numbers = sink.data["stdout"].decode().splitlines()
    assert (folder, environment) == (str(tmp_path), "PATH=/usr/bin:/bin\0")
    pid, session = numbers.split()
    assert session == pid


@pytest.mark.parametrize(
    ("content", "mode", "code"),
    [
        pytest.param(None, 0, "command_not_found", id="missing"),
        pytest.param("#!/no/such\n", 0o755, "command_not_found", id="interpreter-missing"),
        pytest.param("#!/bin/sh\n", 0o644, "not_executable", id="no-x-bit"),
        pytest.param("no program", 0o755, "not_executable", id="no-format"),
    ],
)
def test_unusable_program_is_a_final_error(
    spawner: LocalSpawner, tmp_path: Path, content: str | None, mode: int, code: str
) -> None:
    """A program that is missing or cannot be executed has its own code; no retry can help."""
    program = tmp_path / "program"
    if content is not None:
        program.write_text(content)
        program.chmod(mode)
    with pytest.raises(ExecutionError) as caught:
        carry_out(spawner, command(str(program)))
    assert (caught.value.code, caught.value.final) == (code, True)
    assert str(program) not in caught.value.message  # an argument may be data
    assert caught.value.details["program"] == str(program)


def test_program_is_looked_for_in_the_path_of_the_request(
    spawner: LocalSpawner, tmp_path: Path
) -> None:
    """A bare name is found through the request's own PATH, not the daemon's."""
    program = tmp_path / "greet"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    request = SpawnRequest(argv=("greet",), env={"PATH": str(tmp_path)}, cwd=tmp_path)
    _, sink = carry_out(spawner, lambda: request)
    assert sink.data["stdout"] == b"hello\n"


def fail_to_write() -> SpawnRequest:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("prepare", "final"),
    [
        pytest.param(command("/bin/true", cwd=Path("/no/such")), False, id="folder-missing"),
        pytest.param(command("/etc", cwd=Path("/etc/passwd")), False, id="folder-is-a-file"),
        pytest.param(command("/bin/echo", "x" * 200_000), True, id="argument-too-long"),
        pytest.param(command("/bin/echo", *["x" * 100_000] * 80), True, id="too-many-arguments"),
        pytest.param(command("/bin/echo", "a\0b"), True, id="nul-in-argument"),
        pytest.param(fail_to_write, False, id="preparing-fails"),
    ],
)
def test_other_spawn_failures_share_one_code(
    spawner: LocalSpawner, prepare: Callable[[], SpawnRequest], *, final: bool
) -> None:
    """Whatever else keeps a process from starting is `spawn_failed` and leaks no descriptor."""
    carry_out(spawner, command("/bin/true"))
    before = open_descriptors()
    with pytest.raises(ExecutionError) as caught:
        carry_out(spawner, prepare)
    assert (caught.value.code, caught.value.final) == ("spawn_failed", final)
    assert open_descriptors() == before


def test_command_that_is_too_large_says_what_to_do(spawner: LocalSpawner) -> None:
    """Trying again would not help; the message names the limit and the way around it."""
    with pytest.raises(ExecutionError) as caught:
        carry_out(spawner, command("/bin/echo", "x" * 200_000))
    assert "its arguments and environment are larger" in caught.value.message
    assert "$FLOW_PAYLOAD_FILE" in caught.value.message


def test_error_of_prepare_passes_unchanged(spawner: LocalSpawner) -> None:
    """A `FlowError` raised while preparing keeps its code."""

    def prepare() -> SpawnRequest:
        raise ExecutionError("no such user", code="user_not_permitted")

    with pytest.raises(ExecutionError) as caught:
        carry_out(spawner, prepare)
    assert caught.value.code == "user_not_permitted"


def test_prepare_runs_outside_the_event_loop(spawner: LocalSpawner) -> None:
    """Files are written in a thread, so a slow disk does not hold the loop."""
    threads: list[threading.Thread] = []

    def prepare() -> SpawnRequest:
        threads.append(threading.current_thread())
        return command("/bin/true")()

    carry_out(spawner, prepare)
    assert threads[0] is not threading.main_thread()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Enough of them for five hundred processes at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.heavy
@pytest.mark.usefixtures("many_descriptors")
def test_five_hundred_at_once_leave_nothing_behind(spawner: LocalSpawner) -> None:
    """Many processes at once end well; no zombie, descriptor, thread and no warning stays."""

    async def one() -> ExitStatus:
        process = await spawner.spawn(command("true"), RecordingSink())
        status = await process.wait()
        await process.drain()
        await process.close()
        await process.close()
        return status

    async def main() -> list[ExitStatus]:
        return await asyncio.gather(*(one() for _ in range(500)))

    asyncio.run(one())  # starts the threads of the pool
    known = children()
    before = open_descriptors(), threading.active_count()
    statuses = asyncio.run(main())
    gc.collect()  # an unreaped Popen would warn here
    assert statuses == [ExitStatus(exit_code=0)] * 500
    assert open_descriptors() == before[0]
    assert threading.active_count() <= before[1] + SPAWN_THREADS
    assert children() - known == set()


def test_closed_process_leaves_nothing_to_the_garbage_collector(spawner: LocalSpawner) -> None:
    """It is freed with its pipes as soon as nobody holds it: a look for garbage holds the loop."""

    async def main() -> weakref.ref[Process]:
        process = await spawner.spawn(command("true"), RecordingSink())
        await process.wait()
        await process.close()
        return weakref.ref(process)

    gc.disable()
    try:
        left = asyncio.run(main())
        spawner.close()  # its threads may be about to forget what they started
        assert left() is None
    finally:
        gc.enable()


async def start(spawner: LocalSpawner, script: str) -> tuple[Process, RecordingSink]:
    """Starts a script and waits until it has printed something."""
    sink = RecordingSink()
    process = await spawner.spawn(shell(script), sink)
    await until(lambda: sink.data["stdout"] != b"")
    return process, sink


def test_group_signal_reaches_children_of_the_leader(spawner: LocalSpawner) -> None:
    """A signal to the group ends the leader's own children too."""

    async def main() -> ExitStatus:
        process, sink = await start(spawner, "sleep 600 & echo $!; wait")
        await process.signal_all(signal.SIGTERM)
        status = await process.wait()
        await until(lambda: has_ended(int(sink.data["stdout"])))
        await process.close()
        return status

    assert asyncio.run(main()) == ExitStatus(signal="SIGTERM")


def test_close_kills_a_process_that_still_runs(spawner: LocalSpawner) -> None:
    """Closing needs no consent: leader and group are gone after it, whatever they ignore."""

    async def main() -> ExitStatus:
        process, sink = await start(spawner, "trap '' TERM; sleep 600 & echo $!; wait")
        await process.close()
        assert has_ended(int(sink.data["stdout"]))
        return await process.wait()

    assert asyncio.run(main()) == ExitStatus(signal="SIGKILL")


def test_close_sweeps_what_the_leader_left_running(spawner: LocalSpawner) -> None:
    """A child in the background is gone when its leader's attempt has ended."""

    async def main() -> None:
        process, sink = await start(spawner, "sleep 600 >/dev/null 2>&1 & echo $!")
        await process.wait()
        await process.drain()
        assert not has_ended(int(sink.data["stdout"]))
        await process.close()
        assert has_ended(int(sink.data["stdout"]))

    asyncio.run(main())


def test_signal_after_close_is_not_sent(spawner: LocalSpawner) -> None:
    """Once reaped the number may belong to a stranger, so nothing is signalled any more."""

    async def main() -> None:
        process = await spawner.spawn(command("true"), RecordingSink())
        await process.close()
        await process.signal_all(signal.SIGKILL)

    asyncio.run(main())


def test_leader_is_a_zombie_until_closed(spawner: LocalSpawner) -> None:
    """After `wait` the number of the group is still reserved for the sweep."""

    async def main() -> None:
        process = await spawner.spawn(command("true"), RecordingSink())
        await process.wait()
        assert stat_of(process.pid)[0] == "Z"
        await process.close()
        assert stat_of(process.pid) == []

    asyncio.run(main())


def test_grandchild_holding_the_pipe_does_not_hold_the_attempt(
    spawner: LocalSpawner, tmp_path: Path
) -> None:
    """A daemonised grandchild keeps the pipe open, but draining has its limit; then it is ended."""
    pid_file = tmp_path / "pid"
    script = """setsid sh -c 'echo $$ > pid; exec sleep 600' &
        while [ ! -s pid ]; do :; done; echo last words"""

    async def main() -> RecordingSink:
        sink = RecordingSink()
        process = await spawner.spawn(shell(script, cwd=tmp_path), sink)
        await process.drain(timeout_s=0.05)
        await process.close()
        return sink

    sink = asyncio.run(main())
    assert has_ended(int(pid_file.read_text()))
    assert sink.data["stdout"] == b"last words\n"
    assert sorted(sink.ended) == ["stderr", "stdout"]


def test_close_without_drain_keeps_what_was_printed(spawner: LocalSpawner) -> None:
    """What is in the pipe at the end is delivered even if nobody drained."""

    async def main() -> RecordingSink:
        sink = RecordingSink()
        sink.congested = True
        process = await spawner.spawn(shell("echo hello"), sink)
        await process.wait()
        await process.close()
        return sink

    sink = asyncio.run(main())
    assert sink.data["stdout"] == b"hello\n"
    assert sorted(sink.ended) == ["stderr", "stdout"]


def test_congested_sink_holds_the_child_back(spawner: LocalSpawner) -> None:
    """Output waits in the pipe while the sink is congested, and flows when it no longer is."""

    async def main() -> tuple[int, RecordingSink]:
        sink = RecordingSink()
        sink.congested = True
        process = await spawner.spawn(shell("head -c 1000000 /dev/zero"), sink)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.1)
        held = len(sink.data["stdout"])
        sink.congested = False
        await process.wait()
        await process.drain()
        await process.close()
        return held, sink

    held, sink = asyncio.run(main())
    assert held == 0
    assert len(sink.data["stdout"]) == 1_000_000


def cancel_when_preparing(
    spawner: LocalSpawner, prepare: Callable[[], SpawnRequest], started: threading.Event
) -> Coroutine[Any, Any, None]:
    async def main() -> None:
        task = asyncio.ensure_future(spawner.spawn(prepare, RecordingSink()))
        await until(started.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    return main()


def test_cancelled_spawn_leaks_no_child() -> None:
    """A spawn cancelled on its way is finished, killed and reaped, even after the loop's end."""
    before = open_descriptors(), children()
    spawner = LocalSpawner(DescentFamilies(), threads=2)
    started, cancelled = threading.Event(), threading.Event()

    def prepare() -> SpawnRequest:
        started.set()
        cancelled.wait()
        return command("sleep", "600")()

    asyncio.run(cancel_when_preparing(spawner, prepare, started))
    cancelled.set()
    spawner.close()
    gc.collect()  # an unreaped Popen would warn here
    assert (open_descriptors(), children()) == before


class SpyAffinity(LinuxAffinity):
    """Notes to how few cores a thread was bound."""

    def __init__(self) -> None:
        super().__init__()
        self.fewest = os.cpu_count() or 1

    def allow(self, cores: frozenset[int], thread: int = 0) -> None:
        self.fewest = min(self.fewest, len(cores))
        super().allow(cores, thread)


def test_programs_of_a_burst_may_run_on_every_core() -> None:
    """Many started at a time: loop and threads share a core, what they start is not bound to it."""
    affinity = SpyAffinity()
    before = os.sched_getaffinity(0)
    spawner = LocalSpawner(DescentFamilies(), one_core=OneCore(affinity))

    async def one() -> bytes:
        sink = RecordingSink()
        process = await spawner.spawn(shell("grep Cpus_allowed: /proc/self/status"), sink)
        await process.wait()
        await process.drain()
        await process.close()
        return sink.data["stdout"]

    async def main() -> set[bytes]:
        return set(await asyncio.gather(*(one() for _ in range(40))))

    seen = asyncio.run(main())
    spawner.close()
    assert affinity.fewest == 1  # of a host with one core, too
    assert {int(mask.split()[1].replace(b",", b""), 16) for mask in seen} == {
        sum(1 << core for core in before)
    }
    assert os.sched_getaffinity(0) == before


def test_cancelled_spawn_that_waits_for_a_thread_never_starts() -> None:
    """A spawn that is cancelled before its turn is not prepared at all."""
    spawner = LocalSpawner(DescentFamilies(), threads=1)
    started, cancelled = threading.Event(), threading.Event()
    prepared: list[str] = []

    def first() -> SpawnRequest:
        started.set()
        cancelled.wait()
        return command("true")()

    def second() -> SpawnRequest:
        prepared.append("second")
        return command("true")()

    async def main() -> None:
        sink = RecordingSink()
        running = asyncio.ensure_future(spawner.spawn(first, sink))
        await until(started.is_set)
        waiting = asyncio.ensure_future(spawner.spawn(second, sink))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        cancelled.set()
        await (await running).close()

    asyncio.run(main())
    spawner.close()
    assert prepared == []


def test_cancelled_close_is_carried_out_all_the_same(spawner: LocalSpawner) -> None:
    """Cancelling `close` does not stop the sweep: the leader is reaped as soon as it has ended."""

    async def main() -> None:
        before = open_descriptors()
        process, _ = await start(spawner, "echo ready; sleep 600")
        closing = asyncio.create_task(process.close())
        await asyncio.sleep(0)
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing
        await until(lambda: stat_of(process.pid) == [])
        await until(lambda: open_descriptors() == before)

    asyncio.run(main())


def test_cancelled_wait_can_be_repeated(spawner: LocalSpawner) -> None:
    """A wait that is given up does not spoil the next one."""

    async def main() -> ExitStatus:
        process, _ = await start(spawner, "echo ready; sleep 600")
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.01)
        await process.signal_all(signal.SIGTERM)  # not SIGINT: ignored in the background of a shell
        status = await process.wait()
        await process.close()
        return status

    assert asyncio.run(main()) == ExitStatus(signal="SIGTERM")


def test_fake_spawner_plays_its_script_on_virtual_time() -> None:
    """The fake used by the engine's tests behaves like a process: output, time, TERM, KILL."""
    slow = Performance(
        output=[("stdout", b"hi\n")],
        duration_s=3600.0,
        on_term=None,
        status=ExitStatus(exit_code=3),
    )
    fake = FakeSpawner(lambda request: slow if request.argv == ("slow",) else Performance())

    async def main() -> tuple[ExitStatus, ExitStatus, ExitStatus, float]:
        sink = RecordingSink()
        quick = await fake.spawn(command("quick"), sink)
        patient = await fake.spawn(command("slow"), sink)
        killed = await fake.spawn(command("slow"), sink)
        await killed.signal_all(signal.SIGTERM, signal.SIGKILL)
        ends = await quick.wait(), await patient.wait(), await killed.wait()
        now = asyncio.get_running_loop().time()
        for process in (quick, patient, killed):
            await process.drain()
            await process.close()
        return *ends, now

    quick, patient, killed, now = run_virtual(main())
    assert quick == ExitStatus(exit_code=0)
    assert (patient, now) == (ExitStatus(exit_code=3), 3600.0)
    assert killed == ExitStatus(signal="SIGKILL")
    assert fake.processes[2].signals == ["SIGTERM", "SIGKILL"]
    assert fake.unclosed == 0

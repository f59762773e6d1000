"""Spawns processes and waits for them.

Why not asyncio's subprocesses: they wait for pipes that grandchildren hold (cpython#119710),
may signal a recycled pid (cpython#127049), lose the child when the spawn is cancelled
(cpython#103847), use a thread per child on 3.11 and hold the loop while the program is loaded
(cpython#146181). Here a small pool of threads starts them, the exit arrives by pidfd, the
output through own pipes, and a process keeps its number until its family has been killed.

Left to others: the command and its environment, time limits (the engine), who belongs to a family
(`flowrunner.system.family`), masking and the format of logs (behind `OutputSink`). SIGCHLD is not
used and must not be ignored by the daemon.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.system.descent import signal_group
from flowrunner.system.family import Enclosure, Families
from flowrunner.system.identity import Identity, as_user
from flowrunner.system.leader import Leaders, Streams, kill_and_reap, reap
from flowrunner.system.one_core import OneCore
from flowrunner.system.output import OutputSink, Stream
from flowrunner.system.pipes import PipeReader
from flowrunner.system.program_file import check_program
from flowrunner.system.spawn_errors import spawn_error
from flowrunner.system.threads import Threads

DRAIN_S = 2.0
"""Seconds that a pipe still held by a grandchild delays the end of an attempt (DESIGN 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnRequest:
    """What to start.

    Attributes:
        argv: The program, looked for in the `PATH` of `env` when it has no slash, and arguments.
        env: The whole environment; nothing is inherited.
        cwd: An existing folder.
        prologue: A command that becomes the one behind it, `argv`; none if empty.
        stdin: What it can read; None: nothing. It lies in memory, never on disk.
        identity: As whom it runs; None: as this process.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    prologue: tuple[str, ...] = ()
    stdin: bytes | None = None
    identity: Identity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitStatus:
    """How a process ended: exactly one is set, or none if the kernel did not tell.

    Attributes:
        exit_code: 0 to 255.
        signal: The name of the signal that killed it, such as ``SIGKILL``.
    """

    exit_code: int | None = None
    signal: str | None = None


class Process(Protocol):
    """A spawned process, the leader of its own session and process group.

    The order is `wait`, `drain`, and in any case `close`.
    """

    @property
    def pid(self) -> int:
        """The number of the leader and of its group, its own until `close`."""

    async def wait(self) -> ExitStatus:
        """Returns once the leader has ended. Safe to cancel, and to call again."""

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Waits for the leader's exit and the end of both pipes, the latter `timeout_s` at most.

        Afterwards the sink has got everything the leader printed and the pipes are closed.
        Safe to cancel: `close` then takes what there is.
        """

    async def vacate(self, timeout_s: float) -> bool:
        """Waits until the leader has ended and nobody else of its family lives.

        Returns:
            False if somebody still does after `timeout_s` seconds, or if that cannot be told
            for want of descriptors. Safe to cancel.
        """

    async def signal_all(self, *numbers: int) -> None:
        """Sends signals, in this order, to the whole family.

        A process of another user is out of reach. Nothing happens when nobody is left, or once
        the process is closed.
        """

    async def close(self) -> None:
        """Kills what is left of the family, reaps the leader and closes all descriptors.

        Waits for a leader that has not ended yet, and then until the killed are gone, the latter
        `DRAIN_S` at most: a process in the hands of the kernel may take longer. Idempotent; if
        cancelled, the rest happens all the same.
        """


class Spawner(Protocol):
    """Starts processes."""

    def spawn(self, prepare: Callable[[], SpawnRequest], output: OutputSink) -> Awaitable[Process]:
        """Starts what `prepare` returns and feeds its output to `output` from now on.

        `prepare` runs outside the event loop and may write files; its `FlowError` passes.
        The caller closes the process. If cancelled, nothing stays behind: a process that was
        started nevertheless is killed and reaped.

        Raises:
            ExecutionError: ``command_not_found`` or ``not_executable`` (both final),
                ``spawn_failed`` for everything else: final where the command is no command or too
                large, and not for what may pass, such as a missing folder.
        """


class LocalSpawner:
    """Spawns on this host.

    Args:
        families: How everything that an attempt starts is held together.
        threads: How many spawns may be under way at once. More threads make the slowest spawn
            slower and nothing faster.
        one_core: What the threads share with the loop while several are at work.

    Attributes:
        threads: Those in which it spawns; other short work around a process may run there too.
    """

    def __init__(
        self, families: Families, threads: int = 8, one_core: OneCore | None = None
    ) -> None:
        self._families = families
        self._one_core = one_core or OneCore()
        self._leaders = Leaders()
        self._nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.threads = Threads(threads, "spawn", before=self._one_core.join)

    def spawn(
        self, prepare: Callable[[], SpawnRequest], output: OutputSink
    ) -> asyncio.Future[Process]:
        """As `Spawner.spawn` says."""
        if self.threads.under_way:
            self._one_core.gather()
        return self.threads.make(
            partial(self._start, prepare),
            lambda child: _LocalProcess(child, output),
            _discard,
        )

    def _start(self, prepare: Callable[[], SpawnRequest]) -> _Child:
        """Runs in a thread."""
        request: SpawnRequest | None = None
        try:
            request = prepare()
            return self._enclosed(request)
        except (OSError, ValueError) as error:
            program, folder = (request.argv[0], request.cwd) if request else (None, None)
            raise spawn_error(program, folder, error) from error

    def _enclosed(self, request: SpawnRequest) -> _Child:
        enclosure = self._families.enclose(request.env)
        with ExitStack() as on_failure:
            on_failure.callback(enclosure.abandon)
            if enclosure.prologue or request.prologue or request.identity:
                check_program(request.argv[0], request.env, request.cwd)
            child = self._child(request, enclosure)
            on_failure.pop_all()
        return child

    def _child(self, request: SpawnRequest, enclosure: Enclosure) -> _Child:
        words: tuple[str, ...] = ()
        env = request.env
        if request.identity is not None:
            words, env = as_user(request.identity, env)
        with ExitStack() as on_failure, ExitStack() as always:
            stdout, stdout_end = os.pipe()
            on_failure.callback(os.close, stdout)
            always.callback(os.close, stdout_end)
            stderr, stderr_end = os.pipe()
            on_failure.callback(os.close, stderr)
            always.callback(os.close, stderr_end)
            if request.identity is not None:  # else `echo > /dev/stderr` would be refused
                for pipe in (stdout_end, stderr_end):
                    os.fchown(pipe, request.identity.uid, request.identity.gid)
            stdin = self._nothing if request.stdin is None else _stdin(request.stdin, always)
            words = (*enclosure.prologue, *request.prologue, *words, *request.argv)
            streams = Streams(stdin, stdout_end, stderr_end)
            with self._one_core.spread():
                pid = self._leaders.start(words, env, request.cwd, streams)
            on_failure.callback(kill_and_reap, pid)
            pidfd = os.pidfd_open(pid)
            os.set_blocking(stdout, False)
            os.set_blocking(stderr, False)
            on_failure.pop_all()
        return _Child(pid=pid, enclosure=enclosure, pidfd=pidfd, stdout=stdout, stderr=stderr)

    def close(self) -> None:
        """Waits for spawns under way; blocks. Processes already handed out are not touched."""
        self.threads.close()
        self._one_core.scatter()
        nothing, self._nothing = self._nothing, -1
        if nothing >= 0:
            os.close(nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    """A started process, where its family is, and the descriptors that belong to it."""

    pid: int
    enclosure: Enclosure
    pidfd: int
    stdout: int
    stderr: int


class _LocalProcess:
    """A child in the event loop. Must be made there, in the same turn in which it is received."""

    def __init__(self, child: _Child, output: OutputSink) -> None:
        self.pid = child.pid
        self._is_reaped = False
        self._pidfd = child.pidfd
        self._output = output
        self._loop = asyncio.get_running_loop()
        self._family = child.enclosure.found(self.pid)
        self._closing: asyncio.Task[None] | None = None
        self._status: ExitStatus | None = None
        self._exited = asyncio.Event()
        self._drained = asyncio.Event()
        self._open_pipes = 2
        self._pipes: tuple[PipeReader, ...] = (
            self._reader("stdout", child.stdout),
            self._reader("stderr", child.stderr),
        )
        self._loop.add_reader(self._pidfd, self._on_exit)

    async def wait(self) -> ExitStatus:
        while self._status is None:
            await self._exited.wait()
        return self._status

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        await self.wait()
        if self._open_pipes:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._drained.wait()
            self._finish_pipes()

    async def vacate(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self.wait()
                await self._until_empty()
        except TimeoutError:
            return False
        return True

    async def signal_all(self, *numbers: int) -> None:
        if not self._is_reaped and self._closing is None:
            await self._family.signal(*numbers)

    async def close(self) -> None:
        if self._is_reaped:
            return
        if self._closing is None:
            if self._status is not None and self._family.end():
                self._release()
                return
            self._closing = self._loop.create_task(self._close(), name=f"close {self.pid}")
        await asyncio.shield(self._closing)

    async def _until_empty(self) -> None:
        try:
            await self._family.until_empty()
        except OSError:
            await asyncio.Event().wait()  # in doubt somebody is there, and has its whole time

    async def _close(self) -> None:
        try:
            if self._status is None:
                signal_group(self.pid, signal.SIGKILL)
                await self.wait()
            await self._family.kill(DRAIN_S)
        finally:  # also when the loop ends and cancels us
            if self._status is not None:
                self._release()

    def _release(self) -> None:
        reap(self.pid)  # it has ended
        self._is_reaped = True
        self._family.close()
        os.close(self._pidfd)
        self._finish_pipes()
        self._pipes = ()  # they know us: nothing is left to Python's collector of garbage

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._status = _peek_status(self.pid)
        self._exited.set()

    def _reader(self, stream: Stream, fd: int) -> PipeReader:
        return PipeReader(
            fd,
            feed=partial(self._output.feed, stream),
            is_congested=lambda: self._output.is_congested,
            on_end=partial(self._on_pipe_end, stream),
        )

    def _on_pipe_end(self, stream: Stream) -> None:
        self._output.end(stream)
        self._open_pipes -= 1
        if self._open_pipes == 0:
            self._drained.set()

    def _finish_pipes(self) -> None:
        for pipe in self._pipes:
            pipe.finish()


def _discard(child: _Child) -> None:
    """Ends the child of a spawn that nobody waits for any more. Runs in a thread."""
    kill_and_reap(child.pid)
    child.enclosure.abandon()
    for fd in (child.pidfd, child.stdout, child.stderr):
        os.close(fd)


def _stdin(data: bytes, always: ExitStack) -> int:
    fd = os.memfd_create("stdin")
    always.callback(os.close, fd)
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _peek_status(pid: int) -> ExitStatus:
    """Returns how an ended child ended and leaves it unreaped."""
    try:
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:  # SIGCHLD is ignored: the kernel reaped it
        return ExitStatus()
    if info is None:
        return ExitStatus()
    if info.si_code == os.CLD_EXITED:
        return ExitStatus(exit_code=info.si_status)
    return ExitStatus(signal=_signal_name(info.si_status))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal between SIGRTMIN and SIGRTMAX
        return f"SIG{number}"

"""Running a program for an attempt: files around it, its environment, its end, its outputs.

Shared by the shell-like node types. Spawning itself belongs to `flowrunner.system.process`,
the bound in time to the engine, which cancels.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from flowrunner.errors import ExecutionError, FlowError
from flowrunner.model.ids import Json
from flowrunner.model.process import SCRIPT
from flowrunner.model.secret import SecretValue, revealed
from flowrunner.model.states import Reason
from flowrunner.nodes.base import NodeFailedError, NodeResult
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.environment import HostFacts, build_environment
from flowrunner.nodes.outputs import OUTPUT_LIMIT, output_error, parse_outputs
from flowrunner.nodes.program import Program
from flowrunner.nodes.prologue import prologue
from flowrunner.system.files import FileKind, Files, FileTooLargeError
from flowrunner.system.identity import Identity
from flowrunner.system.process import ExitStatus, Process, Spawner, SpawnRequest
from flowrunner.system.threads import InThread
from flowrunner.system.users import OWN_USER, Users


class ProgramRunner:
    """Runs programs for attempts. Safe to cancel at any await: all they started is ended first."""

    def __init__(
        self,
        *,
        spawner: Spawner,
        files: Files,
        host: HostFacts,
        users: Users = OWN_USER,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._in_thread = in_thread
        self._spawner = spawner
        self._files = files
        self._host = host
        self._users = users

    async def run(self, ctx: ExecutionContext, program: Program) -> NodeResult:
        """Runs one program to its end.

        Raises:
            NodeFailedError: Its exit code is not among those of a success, or a signal ended it.
            ExecutionError: It could not be started, or its outputs are malformed (``output``).
        """
        process = await self._start(ctx, program)
        try:
            status = await process.wait()
            await process.drain()
        except asyncio.CancelledError:
            await _to_its_end(_end(process, ctx.kill_after_s))
            raise
        finally:
            await process.close()
        if status.exit_code not in ctx.success_exit_codes:
            raise _failure(status, await self._outputs(ctx, self._outputs_so_far))
        outputs = await self._outputs(ctx, self._read_outputs)
        return NodeResult(outputs=outputs, exit_code=status.exit_code)

    async def _outputs(
        self,
        ctx: ExecutionContext,
        read: Callable[[ExecutionContext], Mapping[str, Json]],
    ) -> Mapping[str, Json]:
        """Reads what a program has written in a thread; most have written nothing.

        The look for that is the one question to the disk on the loop: about a name in a folder that
        was made for this attempt, so that the system has it in memory. A thread would take twenty
        times as long.
        """
        with suppress(OSError):
            found = self._files.stat(_beside(ctx.tmp, "output"))
            if found is None or (found.kind is FileKind.FILE and not found.size):
                return {}
        return await self._in_thread(partial(read, ctx))

    async def _start(self, ctx: ExecutionContext, program: Program) -> Process:
        """Starts the program. If cancelled, it is not started, or ended like one that runs.

        It may have done a lot by the time that we hear of its start.
        """
        given_up = threading.Event()

        def prepare() -> SpawnRequest:
            if given_up.is_set():
                raise ExecutionError("cancelled before it was started", code="cancelled")
            return self._prepare(ctx, program)

        starting = asyncio.ensure_future(self._spawner.spawn(prepare, ctx.sink))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            given_up.set()
            await _to_its_end(_end_started(starting, ctx.kill_after_s))
            raise

    def _prepare(self, ctx: ExecutionContext, program: Program) -> SpawnRequest:
        """Writes what the program finds on disk; runs in the spawner's thread.

        As few names as possible: to make one costs as much as the rest of the preparation, and
        the journal's commits wait for it. So `$FLOW_OUTPUT` comes into being with its first line.
        """
        tmp = ctx.tmp
        output = _beside(tmp, "output")
        extra = {"TMPDIR": str(tmp), "FLOW_OUTPUT": str(output)}
        if ctx.payload is not None:
            extra["FLOW_PAYLOAD_FILE"] = str(_beside(tmp, "payload"))
        name = ctx.process.user
        identity = None if name is None else self._users.identity(name, ctx.account)
        env = build_environment(ctx, _seen_by(identity, self._host), extra)
        self._files.make_folder(ctx.directories.work)
        self._files.make_folder(tmp)
        if program.is_repeated:
            self._files.remove(output)
        argv = program.argv
        if program.script is not None:
            script = _beside(tmp, "script")
            write = self._files.replace if program.is_repeated else self._files.write_new
            write(script, program.script.encode())
            argv = tuple(str(script) if word == SCRIPT else word for word in argv)
        if ctx.payload is not None:
            self._files.replace(_beside(tmp, "payload"), ctx.payload)
        if identity is not None:
            self._hand_over(ctx, identity)
        elif self._users.has_others:
            self._files.replace(output, b"")  # 0600, whatever the umask: the folder may be passable
        return SpawnRequest(
            argv=argv,
            env=env,
            cwd=ctx.directories.work / (ctx.process.working_dir or ""),
            prologue=prologue(ctx.process),
            stdin=None if ctx.stdin is None else _bytes(ctx.stdin),
            identity=identity,
        )

    def _hand_over(self, ctx: ExecutionContext, identity: Identity) -> None:
        """Gives another user what is its own; the folder in which that lies stays ours.

        So it cannot make `$FLOW_OUTPUT` itself, nor put anything else in its place.
        """
        tmp, private = ctx.tmp, ctx.directories.private
        output = _beside(tmp, "output")
        self._files.replace(output, b"")
        files = [_beside(tmp, name) for name in ("script", "payload")]
        there = [path for path in files if self._files.stat(path) is not None]
        own = (ctx.directories.work, tmp, output, *there)
        state = private.parent.parent
        self._users.hand_over(identity, (state, private.parent, private), own)

    def _read_outputs(self, ctx: ExecutionContext) -> Mapping[str, Json]:
        try:
            data = self._files.read(_beside(ctx.tmp, "output"), limit=OUTPUT_LIMIT)
        except FileNotFoundError:
            data = b""
        except FileTooLargeError as error:
            message = f"$FLOW_OUTPUT is larger than {OUTPUT_LIMIT // 1024} KiB"
            raise output_error(message) from error
        except OSError as error:
            raise output_error(f"$FLOW_OUTPUT cannot be read: {error.strerror or error}") from error
        return parse_outputs(data, ctx.declared_outputs, ctx.hidden)

    def _outputs_so_far(self, ctx: ExecutionContext) -> Mapping[str, Json]:
        """Returns what a program that failed has written; nothing if that is not in order."""
        try:
            return self._read_outputs(ctx)
        except ExecutionError:
            return {}


def _seen_by(identity: Identity | None, host: HostFacts) -> HostFacts:
    """Returns the facts with the user that a program runs as."""
    if identity is None:
        return host
    return replace(host, user=identity.name, home=identity.home)


def _bytes(stdin: str | SecretValue) -> bytes:
    """Here, and nowhere else, what a program reads becomes readable."""
    return str(revealed(stdin)).encode(errors="surrogateescape")


def _beside(tmp: Path, name: str) -> Path:
    """Returns the path of a file of the attempt's own."""
    return Path(f"{tmp}.{name}")


def _failure(status: ExitStatus, outputs: Mapping[str, Json]) -> NodeFailedError:
    """Returns the error of a program that ended badly."""
    if status.signal is not None:
        text, reason = f"ended by {status.signal}", f"signal:{status.signal}"
    elif status.exit_code is not None:
        text, reason = f"exit code {status.exit_code}", str(Reason.EXIT_CODE)
    else:
        text, reason = "ended, and the system does not tell how", str(Reason.EXIT_CODE)
    return NodeFailedError(text, exit_code=status.exit_code, reason=reason, outputs=outputs)


async def _end(process: Process, kill_after_s: float) -> None:
    """Asks the family to end, then makes it: SIGTERM, `kill_after_s`, SIGKILL.

    It is the whole family that is given the time, whether or not it holds the output: a shell
    dies at once of SIGTERM, the program it had started may be cleaning up. SIGCONT wakes those
    that are stopped, which SIGTERM alone would not reach. Source: systemd.kill(5), which does
    the same.
    """
    await process.signal_all(signal.SIGTERM, signal.SIGCONT)
    if not await process.vacate(kill_after_s):
        await process.signal_all(signal.SIGKILL)
    await process.drain()


async def _end_started(starting: asyncio.Future[Process], kill_after_s: float) -> None:
    """Ends what is being started, if it is."""
    try:
        process = await starting
    except FlowError:
        return
    try:
        await _end(process, kill_after_s)
    finally:
        await process.close()


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Waits for work that must not be cut short, however often the waiting is cancelled."""
    ending = asyncio.ensure_future(work)
    while not ending.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(ending)
    ending.result()

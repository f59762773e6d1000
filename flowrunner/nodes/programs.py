"""Running a program for an attempt: files around it, its environment, its end, its outputs.

Shared by the shell-like node types. Spawning itself belongs to `flowrunner.system.process`,
the bound in time to the engine, which cancels.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowrunner.errors import ExecutionError
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeFailedError, NodeResult
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.environment import HostFacts, build_environment
from flowrunner.nodes.outputs import OUTPUT_LIMIT, parse_outputs
from flowrunner.system.files import Files, FileTooLargeError
from flowrunner.system.process import ExitStatus, Process, Spawner, SpawnRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run: an argument list, and a script appended to it as the path of a file."""

    argv: tuple[str, ...]
    script: str | None = None


class ProgramRunner:
    """Runs programs for attempts. Safe to cancel at any await: the whole group is ended first."""

    def __init__(self, *, spawner: Spawner, files: Files, host: HostFacts) -> None:
        self._spawner = spawner
        self._files = files
        self._host = host

    async def run(self, ctx: ExecutionContext, program: Program) -> NodeResult:
        """Runs one program to its end.

        Raises:
            NodeFailedError: It exited with another code than 0, or a signal ended it.
            ExecutionError: It could not be started, or its outputs are malformed (``output``).
        """
        process = await self._spawner.spawn(lambda: self._prepare(ctx, program), ctx.sink)
        try:
            status = await process.wait()
            await process.drain()
        except asyncio.CancelledError:
            await _end(process, ctx.kill_after_s)
            raise
        finally:
            await process.close()
        _check(status)
        outputs = await asyncio.to_thread(self._read_outputs, ctx)
        return NodeResult(outputs=outputs, exit_code=status.exit_code)

    def _prepare(self, ctx: ExecutionContext, program: Program) -> SpawnRequest:
        """Writes what the program finds on disk; runs in the spawner's thread."""
        paths = _Paths.of(ctx.directories.private)
        self._files.make_folder(ctx.directories.work)
        self._files.make_folder(paths.tmp)
        self._files.replace(paths.output, b"")
        argv = program.argv
        if program.script is not None:
            self._files.replace(paths.script, program.script.encode())
            argv = (*argv, str(paths.script))
        if ctx.payload is not None:
            self._files.replace(paths.payload, ctx.payload)
        extra = {"TMPDIR": str(paths.tmp), "FLOW_OUTPUT": str(paths.output)}
        if ctx.payload is not None:
            extra["FLOW_PAYLOAD_FILE"] = str(paths.payload)
        env = build_environment(ctx, self._host, extra)
        return SpawnRequest(argv=argv, env=env, cwd=ctx.directories.work)

    def _read_outputs(self, ctx: ExecutionContext) -> Mapping[str, Json]:
        path = _Paths.of(ctx.directories.private).output
        try:
            data = self._files.read(path, limit=OUTPUT_LIMIT)
        except FileNotFoundError:
            data = b""
        except FileTooLargeError as error:
            message = f"$FLOW_OUTPUT is larger than {OUTPUT_LIMIT // 1024} KiB"
            raise ExecutionError(message, code="output", final=True) from error
        except OSError as error:
            message = f"$FLOW_OUTPUT cannot be read: {error.strerror}"
            raise ExecutionError(message, code="output", final=True) from error
        return parse_outputs(data, ctx.declared_outputs)


@dataclass(frozen=True, slots=True)
class _Paths:
    tmp: Path
    output: Path
    script: Path
    payload: Path

    @classmethod
    def of(cls, private: Path) -> _Paths:
        return cls(private / "tmp", private / "output", private / "script", private / "payload")


def _check(status: ExitStatus) -> None:
    if status.exit_code == 0:
        return
    if status.signal is not None:
        raise NodeFailedError(
            f"ended by {status.signal}", exit_code=None, reason=f"signal:{status.signal}"
        )
    raise NodeFailedError(
        f"exit code {status.exit_code}", exit_code=status.exit_code, reason="exit_code"
    )


async def _end(process: Process, kill_after_s: float) -> None:
    """Asks the group to end, then makes it: SIGTERM, `kill_after_s`, SIGKILL."""
    process.signal_group(signal.SIGTERM)
    try:
        async with asyncio.timeout(kill_after_s):
            await process.wait()
    except TimeoutError:
        process.signal_group(signal.SIGKILL)
        await process.wait()
    await process.drain()

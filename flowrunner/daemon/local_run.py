"""Executing a flow file in this process, without a daemon: `flowrunner run FILE`."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from flowrunner.config.settings import Settings, SourceSettings, StorageSettings
from flowrunner.daemon.build import Parts, build
from flowrunner.daemon.build_ground import Choices
from flowrunner.daemon.offline import make_compiler, read_flow, validate
from flowrunner.daemon.siblings import files_called
from flowrunner.daemon.stop_signals import StopSignals
from flowrunner.dataclass import dataclass
from flowrunner.definitions.compiler import Compiler
from flowrunner.errors import ValidationError
from flowrunner.model.execution import Failure
from flowrunner.model.ids import ExecutionId, Revision
from flowrunner.reconcile.plan import make_plan
from flowrunner.reconcile.scan import ScannedFile, Scanner, Snapshot
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.secrets.lookup import take_environment
from flowrunner.service.views import LogCursor
from flowrunner.system.clock import SystemClock
from flowrunner.system.descent import DescentFamilies
from flowrunner.system.files import LocalFiles
from flowrunner.system.hardening import harden_process

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class LocalEnd:
    """How the execution of a file ended: its final state, and why if that is not success."""

    state: str
    reason: str = ""
    error: Failure | None = None


def run_local(path: Path, inputs: Mapping[str, str], emit: Callable[[str], None]) -> LocalEnd:
    """Does what `execute_file` does, as the only work of a process that is made safe for it.

    Secrets come from the environment and the credentials directory, as for the daemon. Nodes
    inherit none of them, and cannot read them from this process.
    """
    harden_process()
    return execute_file(path, inputs, emit, take_environment(os.environ))


def execute_file(
    path: Path,
    inputs: Mapping[str, str],
    emit: Callable[[str], None],
    secret_environment: Mapping[str, str],
) -> LocalEnd:
    """Executes a flow file in this process with the memory store, and returns how it ended.

    Its nodes may start flows of other files, if these lie beside it: see
    `flowrunner.daemon.siblings`. What nobody waits for ends with it.

    The output of its nodes goes to `emit`, a line at a time, masked. SIGTERM, SIGHUP and SIGINT
    cancel the execution: its nodes get their `kill_after`, and its files are removed. Must be
    called in the main thread.

    Raises:
        ValidationError: The file has findings (all of them in `findings`), or the inputs do not
            fit.
        FlowError: The flow is not ready on this host.
        KeyboardInterrupt: SIGINT came; the execution has ended.
    """
    siblings = files_called(_scanner(make_compiler()), path)
    report = validate([str(each) for each in (path, *siblings)])
    errors = [finding for finding in report.findings if finding.is_error]
    if errors:
        findings = [finding.to_json() for finding in report.findings]
        raise ValidationError(f"{path} has {len(errors)} errors", findings=findings)
    files = (path, *siblings)
    end, stopped_by = asyncio.run(_execute(files, inputs, emit, secret_environment))
    if stopped_by is signal.SIGINT:
        raise KeyboardInterrupt
    return end


async def _execute(
    files: Sequence[Path],
    inputs: Mapping[str, str],
    emit: Callable[[str], None],
    secret_environment: Mapping[str, str],
) -> tuple[LocalEnd, signal.Signals | None]:
    """Returns how it ended, and the signal that asked to end if one did."""
    stop = StopSignals()  # before there is anything that a signal could leave behind
    with tempfile.TemporaryDirectory(prefix="flowrunner-") as folder:
        settings = replace(
            Settings(),
            storage=StorageSettings(backend="memory", path=Path(folder)),
            source=SourceSettings(path=files[0].parent),
        )
        parts = build(settings, secret_environment, DescentFamilies(), Choices(is_trial=True))
        await parts.storage.open()
        try:
            end = await _run(parts, files, inputs, emit, stop)
        finally:
            await parts.engine.drain(0)
            await parts.events.notices.close()
            parts.log_writer.close()
            parts.spawner.close()
            await parts.storage.close()
    return end, stop.first


async def _run(
    parts: Parts,
    paths: Sequence[Path],
    inputs: Mapping[str, str],
    emit: Callable[[str], None],
    stop: StopSignals,
) -> LocalEnd:
    scanner = _scanner(parts.compiler)
    files = [_without_triggers(read_flow(scanner, path, path.name)) for path in paths]
    few = Snapshot(revision=Revision(files[0].content), files=tuple(files), is_whole=False)
    plan = make_plan(few, {})
    await parts.applier.apply(plan)
    key = next(key for key in plan.entries if key.name == files[0].candidate.name)
    execution_id = await parts.service.start(key, dict(inputs), as_text=True)
    ending = asyncio.create_task(_cancel_on(stop, parts, execution_id), name="cancel")
    try:
        return await _follow(parts, execution_id, emit)
    finally:
        ending.cancel()


async def _cancel_on(stop: StopSignals, parts: Parts, execution_id: ExecutionId) -> None:
    await stop.wait()
    await parts.engine.cancel(execution_id)


def _scanner(compiler: Compiler) -> Scanner:
    return Scanner(LocalFiles(), compiler, FolderTrees(LocalFiles()), SystemClock())


def _without_triggers(file: ScannedFile) -> ScannedFile:
    """Returns the file as a flow that only a person starts, on this host: nothing is armed."""
    candidate = file.candidate
    if candidate.spec is None:
        return file
    spec = replace(candidate.spec, triggers=(), runs_on=())
    return replace(file, candidate=replace(candidate, spec=spec))


async def _follow(parts: Parts, execution_id: ExecutionId, emit: Callable[[str], None]) -> LocalEnd:
    """Passes log lines on as they come, until the execution has ended."""
    cursor = LogCursor()
    while True:
        page = await parts.service.logs(execution_id, cursor=cursor)
        cursor = page.cursor
        for chunk in page.chunks:
            for line in chunk.lines:
                emit(f"{chunk.name}: {line.text}")
        if page.is_complete:
            ended = (await parts.service.execution(execution_id)).execution
            return LocalEnd(str(ended.state), ended.reason, ended.error)
        await asyncio.sleep(_POLL_S)

"""Executing a flow file in this process, without a daemon: `flowrunner run FILE`."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from flowrunner.config.settings import Settings, SourceSettings, StorageSettings
from flowrunner.daemon.build import Parts, build
from flowrunner.daemon.offline import validate
from flowrunner.errors import ValidationError
from flowrunner.model.ids import Revision
from flowrunner.reconcile.plan import make_plan
from flowrunner.reconcile.revision import NoRevisions
from flowrunner.reconcile.scan import ScannedFile, Scanner, Snapshot
from flowrunner.secrets.lookup import take_environment
from flowrunner.service.views import LogCursor
from flowrunner.system.clock import SystemClock
from flowrunner.system.files import LocalFiles

_POLL_S = 0.05


def run_local(path: Path, inputs: Mapping[str, str], emit: Callable[[str], None]) -> str:
    """Executes a flow file in this process with the memory store, and returns its final state.

    Secrets come from the environment and the credentials directory, as for the daemon. The
    output of its nodes goes to `emit`, a line at a time, masked.

    Raises:
        ValidationError: The file has findings (all of them in `findings`), or the inputs do not
            fit.
        FlowError: The flow is not ready on this host.
    """
    report = validate([str(path)])
    errors = [finding for finding in report.findings if finding.is_error]
    if errors:
        findings = [finding.to_json() for finding in report.findings]
        raise ValidationError(f"{path} has {len(errors)} errors", findings=findings)
    with tempfile.TemporaryDirectory(prefix="flowrunner-") as folder:
        settings = replace(
            Settings(),
            storage=StorageSettings(backend="memory", path=Path(folder)),
            source=SourceSettings(path=path.parent),
        )
        return asyncio.run(_run_local(settings, path, inputs, emit))


async def _run_local(
    settings: Settings, path: Path, inputs: Mapping[str, str], emit: Callable[[str], None]
) -> str:
    parts = build(settings, take_environment(os.environ))
    await parts.storage.open()
    try:
        scanner = Scanner(LocalFiles(), parts.compiler, NoRevisions(), SystemClock())
        file = _without_triggers(scanner.read_file(path, path.name))
        plan = make_plan(Snapshot(revision=Revision(file.content), files=(file,)), {})
        await parts.applier.apply(plan)
        (key,) = plan.entries
        started = await parts.service.start(key, dict(inputs), as_text=True)
        return await _follow(parts, started.execution.id, emit)
    finally:
        await parts.engine.drain(0)
        parts.log_writer.close()
        parts.spawner.close()
        await parts.storage.close()


def _without_triggers(file: ScannedFile) -> ScannedFile:
    """Returns the file as a flow that only a person starts: nothing here is armed."""
    candidate = file.candidate
    if candidate.spec is None:
        return file
    return replace(file, candidate=replace(candidate, spec=replace(candidate.spec, triggers=())))


async def _follow(parts: Parts, execution_id: str, emit: Callable[[str], None]) -> str:
    """Passes log lines on as they come, until the execution has ended."""
    cursor = LogCursor()
    while True:
        page = await parts.service.logs(execution_id, cursor=cursor)
        cursor = page.cursor
        for chunk in page.chunks:
            for line in chunk.lines:
                emit(f"{chunk.node}: {line.text}")
        if page.is_complete:
            return str((await parts.service.execution(execution_id)).execution.state)
        await asyncio.sleep(_POLL_S)

"""What works without a daemon: validating and printing schemas, by the daemon's own code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from flowrunner.definitions import codes
from flowrunner.definitions.compiler import Candidate, Compiler
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.errors import FlowError, ValidationError
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json, Revision
from flowrunner.nodes.base import NodeResult
from flowrunner.nodes.builtins import register_builtins
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.program import Program
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.reconcile.plan import make_plan
from flowrunner.reconcile.revision import NoRevisions
from flowrunner.reconcile.scan import (
    ScannedFile,
    Scanner,
    Snapshot,
    SourceProblem,
    UnstableSourceError,
)
from flowrunner.system.clock import SystemClock
from flowrunner.system.files import LocalFiles

read_settings_yaml = read_yaml
"""The reader of settings files, for `flowrunner.config.loader.load_settings`."""

STDIN_NAME = "<stdin>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `validate` found; `flows` counts the files that define a valid flow."""

    findings: tuple[Finding, ...]
    flows: int


class MissingPathError(ValidationError):
    """A path on the command line does not exist."""

    default_code = "usage.path"


def make_compiler() -> Compiler:
    """Returns a compiler with the built-in node types; they cannot execute."""
    nodes = NodeRegistry()
    register_builtins(nodes, _RunsNothing())
    return Compiler(nodes, SystemClock())


class _RunsNothing:
    """Stands where the daemon has its `ProgramRunner`: checking a flow never runs a command."""

    async def run(self, ctx: ExecutionContext, program: Program) -> NodeResult:
        """Refuses."""
        raise FlowError(f"node {ctx.key.node} was not meant to run {program.argv[0]}")


def flow_schema_document() -> Mapping[str, Json]:
    """Returns the flow schema with the built-in node types."""
    return make_compiler().schema.document


def validate(paths: Sequence[str], *, stdin: bytes | None = None) -> Report:
    """Checks files and folders together, as one pass of the daemon would.

    Flows that others name are looked for only when all paths are folders: single files seldom are
    everything.

    A file that several paths lead to is checked once, under the first of them. Two names of it
    within one folder stay two, as they are for the daemon.

    Args:
        paths: Files, folders, or `-` for `stdin`.
        stdin: The content of standard input, when a path is `-`.

    Raises:
        MissingPathError: A path does not exist.
    """
    scanner = Scanner(LocalFiles(), make_compiler(), NoRevisions(), SystemClock())
    files: dict[str, list[ScannedFile]] = {}
    for path in paths:
        found: dict[str, list[ScannedFile]] = {}
        for file in _scanned(scanner, path, stdin):
            found.setdefault(os.path.realpath(file.candidate.file), []).append(file)
        for real, names in found.items():
            files.setdefault(real, names)
    snapshot = Snapshot(
        revision=Revision(""),
        files=tuple(chain.from_iterable(files.values())),
        is_whole=all(Path(path).is_dir() for path in paths),
    )
    plan = make_plan(snapshot, {})
    findings = {f for entry in plan.entries.values() for f in entry.findings}
    findings.update(f for file in plan.rejected for f in file.findings)
    flows = sum(1 for entry in plan.entries.values() if entry.spec is not None)
    return Report(findings=tuple(sorted(findings)), flows=flows)


def _scanned(scanner: Scanner, path: str, stdin: bytes | None) -> list[ScannedFile]:
    if path == "-":
        return [scanner.compile(stdin or b"", STDIN_NAME)]
    try:
        if Path(path).is_dir():
            prefix = "" if path in (".", "./") else path.rstrip("/") + "/"
            snapshot = scanner.scan(Path(path))
            whole = [_unread_folder(path, snapshot.problem)] if snapshot.problem else []
            return [*whole, *(_prefixed(file, prefix) for file in snapshot.files)]
        return [scanner.read_file(Path(path), path)]
    except (UnstableSourceError, OSError) as error:
        raise MissingPathError(f"{path}: no such file or folder") from error


def _unread_folder(path: str, problem: SourceProblem) -> ScannedFile:
    """Returns a finding about a folder that the daemon would not take: it must fail here too."""
    finding = Finding(file=path, code=codes.NOT_READABLE.code, message=problem.message)
    return ScannedFile(content="", candidate=Candidate(file=path, findings=(finding,)))


def _prefixed(file: ScannedFile, prefix: str) -> ScannedFile:
    """Returns a file under the path a person can open from here."""
    candidate = file.candidate
    findings = tuple(replace(f, file=prefix + f.file) for f in candidate.findings)
    named = replace(candidate, file=prefix + candidate.file, findings=findings)
    return replace(file, candidate=named)

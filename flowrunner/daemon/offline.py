"""What works without a daemon: validating and printing schemas, by the daemon's own code."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from flowrunner.daemon.account_places import AccountPlaces, of_default
from flowrunner.daemon.defaults_above import layers_above
from flowrunner.dataclass import dataclass
from flowrunner.definitions import codes
from flowrunner.definitions.candidate_cache import CachingReader
from flowrunner.definitions.checks.texts import MANY_TEXTS
from flowrunner.definitions.compiler import Candidate, Compiler, Reader
from flowrunner.definitions.defaults_schema import defaults_schema
from flowrunner.definitions.flow_schema import flow_schema
from flowrunner.definitions.folder_defaults import DEFAULTS_FILE, FolderDefaults
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.errors import FlowError, ValidationError
from flowrunner.model.accounts import NO_ACCOUNTS
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Json, Revision
from flowrunner.nodes.base import NodeResult
from flowrunner.nodes.builtins import register_builtins
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.program import Program
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.reconcile.plan import make_plan
from flowrunner.reconcile.scan import (
    AccountOf,
    ScannedFile,
    Scanner,
    Snapshot,
    SourceProblem,
    UnstableSourceError,
)
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.system.clock import SystemClock
from flowrunner.system.files import LocalFiles
from flowrunner.system.private_folder import PrivateFolder, user_cache_folder

if TYPE_CHECKING:  # else every check would load what only `--settings` needs
    from flowrunner.config.settings import Settings

read_settings_yaml = read_yaml
"""The reader of settings files, for `flowrunner.config.loader.load_settings`."""

STDIN_NAME = "<stdin>"

_MANY = 20
_DAY_S = 86_400


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
    return Compiler(_node_types(), SystemClock(), MANY_TEXTS)


def _node_types() -> NodeRegistry:
    nodes = NodeRegistry()
    register_builtins(nodes, _RunsNothing())
    return nodes


class _RunsNothing:
    """Stands where the daemon has its `ProgramRunner`: checking a flow never runs a command."""

    async def run(self, ctx: ExecutionContext, program: Program) -> NodeResult:
        """Refuses."""
        raise FlowError(f"node {ctx.key.node} was not meant to run {program.argv[0]}")


def flow_schema_document() -> Mapping[str, Json]:
    """Returns the flow schema with the built-in node types."""
    return make_compiler().schema.document


def defaults_schema_document() -> Mapping[str, Json]:
    """Returns the schema of a `_defaults.yaml`."""
    return defaults_schema()


def finding_codes() -> tuple[codes.Code, ...]:
    """Returns every code that a finding can have, in order."""
    return tuple(codes.CODES.values())


def validate(
    paths: Sequence[str],
    *,
    stdin: bytes | None = None,
    settings: Settings | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
    use_cache: bool = False,
) -> Report:
    """Checks files and folders together, as one pass of the daemon would.

    A folder counts as a root of flows; for a file, see `flowrunner.daemon.defaults_above`. A file
    that several paths lead to is checked once, under the first of them. Two names of it within one
    folder stay two, as they are for the daemon. Flows that others name are looked for only when
    all paths are folders: single files seldom are everything.

    Args:
        paths: Files, folders, or `-` for `stdin`.
        stdin: The content of standard input, when a path is `-`.
        settings: Those of this host, to look at it too: whose the files are, which secrets there
            are, and which users and node types may be. None: all belongs to the account `default`.
        environment: Tells where secrets and caches lie.
        use_cache: Whether to keep what was compiled. It never changes what is found.

    Raises:
        MissingPathError: A path does not exist.
    """
    cache = _cache(paths, environment) if use_cache else None
    reader: Reader = cache or make_compiler()
    places = AccountPlaces(NO_ACCOUNTS)
    if settings is not None:
        from flowrunner.daemon.this_host import on_this_host

        reader, places = on_this_host(reader, settings, environment)
    with _without_collector():
        snapshot = _everything(_Desk(reader, places), paths, stdin)
        plan = make_plan(snapshot, {})
    if cache is not None:
        cache.save()
    findings = {f for entry in plan.entries.values() for f in entry.findings}
    findings.update(f for file in plan.rejected for f in file.findings)
    findings.update(f for each in snapshot.defaults for f in each.findings)  # advice, too
    flows = sum(1 for entry in plan.entries.values() if entry.spec is not None)
    return Report(findings=tuple(sorted(findings)), flows=flows)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowsRead:
    """What files define: the valid flows, by name, and the errors of the others."""

    flows: tuple[FlowSpec, ...]
    findings: tuple[Finding, ...]


def read_flows(paths: Sequence[str]) -> FlowsRead:
    """Reads files and folders together, as `validate` does; raises as it."""
    with _without_collector():
        snapshot = _everything(_Desk(make_compiler(), AccountPlaces(NO_ACCOUNTS)), paths, None)
        plan = make_plan(snapshot, {})
    entries = [entry for _, entry in sorted(plan.entries.items())]
    findings = {f for entry in entries for f in entry.findings if f.is_error}
    findings.update(f for file in plan.rejected for f in file.findings if f.is_error)
    flows = tuple(entry.spec for entry in entries if entry.spec is not None)
    return FlowsRead(flows=flows, findings=tuple(sorted(findings)))


def _cache(paths: Sequence[str], environment: Mapping[str, str]) -> CachingReader | None:
    """Returns a reader with a cache; None for a few files, which compile sooner than it is read."""
    if len(paths) < _MANY and not any(map(os.path.isdir, paths)):
        return None
    folder = user_cache_folder(environment)
    if folder is None:
        return None
    from flowrunner.daemon.validate_cache import GenerationStore, generation_of

    nodes, clock = _node_types(), SystemClock()
    now = clock.now()
    generation = generation_of(flow_schema(nodes.schemas()), now.date())
    store = GenerationStore(PrivateFolder(folder), generation)
    return CachingReader(
        Compiler(nodes, clock, MANY_TEXTS), nodes, store, int(now.timestamp() // _DAY_S)
    )


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keeps Python from looking for garbage: among many definitions it finds none, slowly."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Desk(NamedTuple):
    """What files are read with."""

    reader: Reader
    places: AccountPlaces

    def scanner(self, account_of: AccountOf) -> Scanner:
        """Returns a scanner for files of which it is known whose they are."""
        files, clock = LocalFiles(), SystemClock()
        return Scanner(files, self.reader, FolderTrees(files), clock, account_of)


def _everything(desk: _Desk, paths: Sequence[str], stdin: bytes | None) -> Snapshot:
    """Returns every file once; under one path alone no file can be found twice."""
    if len(paths) == 1:
        whole = Path(paths[0]).is_dir()
        return replace(_scanned(desk, paths[0], stdin), is_whole=whole)
    files: dict[str, list[ScannedFile]] = {}
    defaults: dict[str, FolderDefaults] = {}
    for path in paths:
        scanned = _scanned(desk, path, stdin)
        found: dict[str, list[ScannedFile]] = {}
        for file in scanned.files:
            found.setdefault(os.path.realpath(file.candidate.file), []).append(file)
        for real, names in found.items():
            files.setdefault(real, names)
        for each in scanned.defaults:
            defaults.setdefault(os.path.realpath(each.file), each)
    return replace(
        _snapshot(chain.from_iterable(files.values()), defaults.values()),
        is_whole=all(Path(path).is_dir() for path in paths),
    )


def _scanned(desk: _Desk, path: str, stdin: bytes | None) -> Snapshot:
    if path == "-":
        return _snapshot([desk.scanner(of_default).compile(stdin or b"", STDIN_NAME)])
    if not path:  # which `Path` takes for the current folder
        raise MissingPathError("an empty path names no file or folder")
    try:
        if Path(path).is_dir():
            return _scanned_folder(desk.scanner(desk.places.below(path)), path)
        scanner = desk.scanner(desk.places.of_file(path))
        if Path(path).name == DEFAULTS_FILE:
            return _snapshot([], [scanner.read_defaults(Path(path), path)])
        return _snapshot([read_flow(scanner, Path(path), path)])
    except (UnstableSourceError, OSError) as error:
        raise MissingPathError(f"{path}: no such file or folder") from error


def read_flow(scanner: Scanner, path: Path, name: str) -> ScannedFile:
    """Reads one file under the given name, below the defaults that are above it.

    Raises:
        UnstableSourceError: It is missing, or something changed while it was read.
    """
    return scanner.read_file(path, name, layers=layers_above(scanner, path))


def _scanned_folder(scanner: Scanner, path: str) -> Snapshot:
    prefix = "" if path in (".", "./") else path.rstrip("/") + "/"
    snapshot = scanner.scan(Path(path))
    whole = [_unread_folder(path, snapshot.problem)] if snapshot.problem else []
    return _snapshot(
        [*whole, *(_prefixed(file, prefix) for file in snapshot.files)],
        [_prefixed_defaults(defaults, prefix) for defaults in snapshot.defaults],
    )


def _snapshot(files: Iterable[ScannedFile], defaults: Iterable[FolderDefaults] = ()) -> Snapshot:
    return Snapshot(revision=Revision(""), files=tuple(files), defaults=tuple(defaults))


def _unread_folder(path: str, problem: SourceProblem) -> ScannedFile:
    """Returns a finding about a folder that the daemon would not take: it must fail here too."""
    finding = Finding(file=path, code=codes.NOT_READABLE.code, message=problem.message)
    return ScannedFile(content="", candidate=Candidate(file=path, findings=(finding,)))


def _prefixed(file: ScannedFile, prefix: str) -> ScannedFile:
    """Returns a file under the path a person can open from here."""
    candidate = file.candidate
    findings = _prefixed_findings(candidate.findings, prefix)
    named = replace(candidate, file=prefix + candidate.file, findings=findings)
    return replace(file, candidate=named)


def _prefixed_defaults(defaults: FolderDefaults, prefix: str) -> FolderDefaults:
    findings = _prefixed_findings(defaults.findings, prefix)
    return replace(defaults, file=prefix + defaults.file, findings=findings)


def _prefixed_findings(findings: Iterable[Finding], prefix: str) -> tuple[Finding, ...]:
    return tuple(replace(finding, file=prefix + finding.file) for finding in findings)

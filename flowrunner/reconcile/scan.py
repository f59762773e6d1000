"""One reading of the source: every file considered, compiled, under one revision.

Runs in a thread. Files whose stat did not change are not read again, contents that did not
change are not parsed again, unless a `_defaults.yaml` above them did. What the source is (git or
not) is `flowrunner.reconcile.revision`, which names count is `flowrunner.reconcile.names`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowrunner.definitions import codes
from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Reader
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.model.conditions import ConditionReason
from flowrunner.model.finding import Finding
from flowrunner.model.ids import DEFAULT_ACCOUNT, Revision
from flowrunner.reconcile.folders import LayersOf
from flowrunner.reconcile.names import IGNORE_FILE, is_considered, is_defaults, patterns_of
from flowrunner.reconcile.revision import RevisionReader
from flowrunner.system.clock import Clock
from flowrunner.system.files import (
    ChangedWhileReadError,
    FileKind,
    Files,
    FileStat,
    FileTooLargeError,
    NotRegularError,
    Walk,
    WalkEntry,
)

FILE_LIMIT = 1024 * 1024
DEPTH_LIMIT = 16
FILES_LIMIT = 50_000
_RACY_NS = 2_000_000_000
"""A file written this shortly before it was read may be written again under the same stat."""


class UnstableSourceError(Exception):
    """The source changed while it was read; the pass must be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFile:
    """A file and what it compiled to.

    Attributes:
        content: SHA-256 of its bytes, and of the defaults above it if there are any; empty if
            unread.
    """

    content: str
    candidate: Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceProblem:
    """Why not everything could be read: too many files, a folder without access."""

    reason: ConditionReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The source at one revision.

    Attributes:
        defaults: Every `_defaults.yaml`, the broken ones too.
        problem: Why not everything could be read; nothing is applied then.
        is_whole: Whether these are all the flows, so that a name that is not among them is unknown.
    """

    revision: Revision
    files: tuple[ScannedFile, ...]
    defaults: tuple[FolderDefaults, ...] = ()
    problem: SourceProblem | None = None
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A file as last read; settled when its time stamp can no longer hide another write.

    Attributes:
        above: Fingerprint of the defaults above it.
    """

    stat: FileStat
    file: ScannedFile
    is_settled: bool
    above: str

    def still_holds(self, stat: FileStat, above: str) -> bool:
        """Whether nothing changed; what could not be read is tried again."""
        is_read = self.is_settled and bool(self.file.content)
        return is_read and (self.stat, self.above) == (stat, above)


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownDefaults:
    """A `_defaults.yaml` as last read."""

    stat: FileStat
    found: FolderDefaults
    is_settled: bool

    def still_holds(self, stat: FileStat) -> bool:
        """Whether nothing changed, as for a file."""
        return self.is_settled and bool(self.found.content) and self.stat == stat


class Scanner:
    """Reads the source; keeps what it compiled between passes. Not for two threads at once."""

    def __init__(
        self, files: Files, compiler: Reader, revisions: RevisionReader, clock: Clock
    ) -> None:
        self._files = files
        self._compiler = compiler
        self._revisions = revisions
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._known_defaults: dict[str, _KnownDefaults] = {}

    def scan(self, root: Path) -> Snapshot:
        """Returns the source as it is now.

        Raises:
            FileNotFoundError: There is no root.
            NotADirectoryError: The root is no folder.
            OSError: The root or its ignore file cannot be read.
            UnstableSourceError: The root moved or a file changed under the reading.
        """
        resolved = self._resolve(root)
        revision = self._revisions.read(resolved)
        walk = self._files.walk(resolved, depth=DEPTH_LIMIT, most=FILES_LIMIT)
        ignored = self._ignored(resolved)
        settled_ns = int(self._clock.now().timestamp() * 1e9) - _RACY_NS
        known_defaults = {
            entry.path: _KnownDefaults(
                stat=entry.stat,
                found=self._defaults(resolved, entry),
                is_settled=entry.stat.mtime_ns < settled_ns,
            )
            for entry in walk.entries
            if is_defaults(entry, ignored)
        }
        defaults = tuple(each.found for each in known_defaults.values())
        above = LayersOf(defaults)
        known = {
            entry.path: _Known(
                stat=entry.stat,
                file=self._file(resolved, entry, above(entry.path)),
                is_settled=entry.stat.mtime_ns < settled_ns,
                above=above(entry.path).fingerprint,
            )
            for entry in walk.entries
            if is_considered(entry, ignored)
        }
        if walk.changed or self._resolve(root) != resolved:
            raise UnstableSourceError("the source changed while it was read")
        if self._revisions.read(resolved) != revision:
            raise UnstableSourceError("the revision changed while the source was read")
        self._known, self._known_defaults = known, known_defaults
        scanned = tuple(known_file.file for known_file in known.values())
        return Snapshot(
            revision=revision or folder_revision(scanned),
            files=scanned,
            defaults=defaults,
            problem=_problem(walk),
        )

    def _resolve(self, root: Path) -> Path:
        """Returns the folder that the root is now, by the shortest walk: only it knows links."""
        return self._files.walk(root, depth=1, most=1).root

    def _file(self, root: Path, entry: WalkEntry, layers: Layers) -> ScannedFile:
        before = self._known.get(entry.path)
        is_same = before is not None and before.still_holds(entry.stat, layers.fingerprint)
        if before is not None and is_same and self._is_current(before.file):
            return before.file
        refused = _refused(entry)
        if refused is not None:
            return _unread(refused, layers)
        return self.read_file(
            root / entry.path, entry.path, before.file if before else None, layers
        )

    def _defaults(self, root: Path, entry: WalkEntry) -> FolderDefaults:
        before = self._known_defaults.get(entry.path)
        if before is not None and before.still_holds(entry.stat):
            return before.found
        refused = _refused(entry)
        if refused is not None:
            return FolderDefaults(file=entry.path, findings=(refused,))
        return self.read_defaults(root / entry.path, entry.path)

    def read_file(
        self,
        path: Path,
        name: str,
        before: ScannedFile | None = None,
        layers: Layers = NO_LAYERS,
    ) -> ScannedFile:
        """Reads and compiles one file under the given name; `before` spares the same content.

        Raises:
            UnstableSourceError: It changed or vanished while it was read.
        """
        data = self._bytes(path, name)
        if isinstance(data, Finding):
            return _unread(data, layers)
        is_same = before is not None and before.content == _content(data, layers)
        if before is not None and is_same and self._is_current(before):
            return before
        return self.compile(data, name, layers)

    def read_defaults(self, path: Path, name: str) -> FolderDefaults:
        """Reads one `_defaults.yaml` under the given name.

        Raises:
            UnstableSourceError: It changed or vanished while it was read.
        """
        data = self._bytes(path, name)
        if isinstance(data, Finding):
            return FolderDefaults(file=name, findings=(data,))
        return self._compiler.read_defaults(data, file=name)

    def _bytes(self, path: Path, name: str) -> bytes | Finding:
        """Returns the content of a file, or why there is none."""
        try:
            return self._files.read(path, limit=FILE_LIMIT)
        except (ChangedWhileReadError, FileNotFoundError) as error:
            raise UnstableSourceError(f"{name} changed while it was read") from error
        except FileTooLargeError:
            return _fault(name, codes.TOO_LARGE, f"larger than {FILE_LIMIT // 1024} KiB")
        except NotRegularError:
            return _fault(name, codes.NOT_READABLE, "not a regular file")
        except OSError as error:
            return _fault(name, codes.NOT_READABLE, f"cannot be read: {error.strerror}")

    def _is_current(self, file: ScannedFile) -> bool:
        """Whether the same content would still give the same findings: some name dates."""
        return self._compiler.is_current(file.candidate)

    def compile(self, data: bytes, name: str, layers: Layers = NO_LAYERS) -> ScannedFile:
        """Compiles bytes that were read elsewhere, such as standard input."""
        candidate = self._compiler.read(data, file=name, account=DEFAULT_ACCOUNT, layers=layers)
        return ScannedFile(content=_content(data, layers), candidate=candidate)

    def _ignored(self, root: Path) -> tuple[str, ...]:
        """Returns the patterns of the ignore file.

        Raises:
            UnstableSourceError: It changed while it was read.
            OSError: It cannot be read: nothing may be taken for a flow then.
        """
        try:
            data = self._files.read(root / IGNORE_FILE, limit=FILE_LIMIT)
        except FileNotFoundError:
            return ()
        except ChangedWhileReadError as error:
            raise UnstableSourceError(f"{IGNORE_FILE} changed while it was read") from error
        return patterns_of(data.decode(errors="replace"))


def folder_revision(files: Iterable[ScannedFile]) -> Revision:
    """Returns the revision of a folder without git: a hash over all paths and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.candidate.file}\0{file.content}\0".encode(errors="replace"))
    return Revision(f"sha256:{digest.hexdigest()}")


def _content(data: bytes, layers: Layers) -> str:
    """Returns a hash of everything that decides what a file compiles to."""
    return hashlib.sha256(data + layers.fingerprint.encode()).hexdigest()


def _refused(entry: WalkEntry) -> Finding | None:
    """Returns why a name is not to be read, or None."""
    if entry.escapes:
        return _fault(entry.path, codes.SYMLINK_OUTSIDE, "a link that leaves the flows")
    if entry.stat.kind is FileKind.LINK:
        return _fault(entry.path, codes.NOT_READABLE, "a link that leads nowhere")
    return None


def _fault(path: str, code: codes.Code, message: str) -> Finding:
    return Finding(file=path, code=code.code, message=message)


def _unread(finding: Finding, layers: Layers) -> ScannedFile:
    """Returns a file without content; its time stamp says nothing, so it is looked at again."""
    findings = (*layers.broken, finding)
    return ScannedFile(content="", candidate=Candidate(file=finding.file, findings=findings))


def _problem(walk: Walk) -> SourceProblem | None:
    if walk.truncated:
        text = f"more than {FILES_LIMIT} names or deeper than {DEPTH_LIMIT} folders"
        return SourceProblem(reason=ConditionReason.SOURCE_TOO_LARGE, message=text)
    if walk.unreadable:
        text = f"the folder {walk.unreadable[0]!r} cannot be read"
        return SourceProblem(reason=ConditionReason.SOURCE_UNREADABLE, message=text)
    return None

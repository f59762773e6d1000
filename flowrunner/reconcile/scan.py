"""One reading of the source: every file considered, compiled, under one revision.

Runs in a thread. Files whose stat did not change are not read again, contents that did not
change are not parsed again. What the source is (git or not) is `flowrunner.reconcile.revision`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from flowrunner.definitions import codes
from flowrunner.definitions.compiler import Candidate, Compiler
from flowrunner.model.finding import Finding
from flowrunner.model.ids import DEFAULT_ACCOUNT, Revision
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
IGNORE_FILE = ".flowrunnerignore"
_RACY_NS = 2_000_000_000
"""A file written this shortly before it was read may be written again under the same stat."""
_LEFTOVERS = ("*~", "*.swp", "*.swx", "*.swo", "*.tmp", "*.bak", "*.orig", "*.rej", "#*#")


class UnstableSourceError(Exception):
    """The source changed while it was read; the pass must be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFile:
    """A file and what it compiled to; `content` is the SHA-256 of its bytes, empty if unread."""

    content: str
    candidate: Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The source at one revision.

    Attributes:
        problem: Why not everything could be read (too many files, a folder without access);
            nothing is applied then.
    """

    revision: Revision
    files: tuple[ScannedFile, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A file as last read; settled when its time stamp can no longer hide another write."""

    stat: FileStat
    file: ScannedFile
    is_settled: bool

    @property
    def may_be_reused(self) -> bool:
        """Whether an equal stat means equal content; what could not be read is tried again."""
        return self.is_settled and bool(self.file.content)


class Scanner:
    """Reads the source; keeps what it compiled between passes. Not for two threads at once."""

    def __init__(
        self, files: Files, compiler: Compiler, revisions: RevisionReader, clock: Clock
    ) -> None:
        self._files = files
        self._compiler = compiler
        self._revisions = revisions
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def scan(self, root: Path) -> Snapshot:
        """Returns the source as it is now.

        Raises:
            FileNotFoundError: There is no root.
            UnstableSourceError: The root moved or a file changed under the reading.
        """
        resolved = root.resolve(strict=True)
        revision = self._revisions.read(resolved)
        walk = self._files.walk(resolved, depth=DEPTH_LIMIT, most=FILES_LIMIT)
        ignored = self._ignored(resolved)
        settled_ns = int(self._clock.now().timestamp() * 1e9) - _RACY_NS
        known = {
            entry.path: _Known(
                stat=entry.stat,
                file=self._file(resolved, entry),
                is_settled=entry.stat.mtime_ns < settled_ns,
            )
            for entry in walk.entries
            if is_considered(entry, ignored)
        }
        if walk.changed or root.resolve() != resolved:
            raise UnstableSourceError("the source changed while it was read")
        if self._revisions.read(resolved) != revision:
            raise UnstableSourceError("the revision changed while the source was read")
        self._known = known
        scanned = tuple(known_file.file for known_file in known.values())
        return Snapshot(
            revision=revision or folder_revision(scanned), files=scanned, problem=_problem(walk)
        )

    def _file(self, root: Path, entry: WalkEntry) -> ScannedFile:
        before = self._known.get(entry.path)
        if before is not None and before.stat == entry.stat and before.may_be_reused:
            return before.file
        if entry.escapes:
            return _unread(entry.path, codes.SYMLINK_OUTSIDE, "a link that leaves the flows")
        return self.read_file(root / entry.path, entry.path, before.file if before else None)

    def read_file(self, path: Path, name: str, before: ScannedFile | None = None) -> ScannedFile:
        """Reads and compiles one file under the given name; `before` spares the same content.

        Raises:
            UnstableSourceError: It changed or vanished while it was read.
        """
        try:
            data = self._files.read(path, limit=FILE_LIMIT)
        except (ChangedWhileReadError, FileNotFoundError) as error:
            raise UnstableSourceError(f"{name} changed while it was read") from error
        except FileTooLargeError:
            return _unread(name, codes.TOO_LARGE, f"larger than {FILE_LIMIT // 1024} KiB")
        except NotRegularError:
            return _unread(name, codes.NOT_READABLE, "not a regular file")
        except OSError as error:
            return _unread(name, codes.NOT_READABLE, f"cannot be read: {error.strerror}")
        content = hashlib.sha256(data).hexdigest()
        if before is not None and before.content == content:
            return before
        return self.compile(data, name)

    def compile(self, data: bytes, name: str) -> ScannedFile:
        """Compiles bytes that were read elsewhere, such as standard input."""
        candidate = self._compiler.read(data, file=name, account=DEFAULT_ACCOUNT)
        return ScannedFile(content=hashlib.sha256(data).hexdigest(), candidate=candidate)

    def _ignored(self, root: Path) -> tuple[str, ...]:
        try:
            text = self._files.read(root / IGNORE_FILE, limit=FILE_LIMIT).decode(errors="replace")
        except OSError:
            return ()
        lines = (line.strip() for line in text.splitlines())
        return tuple(line for line in lines if line and not line.startswith("#"))


def is_considered(entry: WalkEntry, ignored: tuple[str, ...] = ()) -> bool:
    """Whether a name below the root is meant as a flow file (flow format, section 1)."""
    parts = entry.path.split("/")
    name = parts[-1]
    if entry.stat.kind is FileKind.FOLDER or not name.endswith((".yaml", ".yml")):
        return False
    if any(part.startswith((".", "_")) for part in parts):
        return False
    if name.endswith((".test.yaml", ".test.yml")) or name == "4913":
        return False
    if any(fnmatchcase(name, pattern) for pattern in _LEFTOVERS):
        return False
    return not any(_matches(entry.path, pattern) for pattern in ignored)


def _matches(path: str, pattern: str) -> bool:
    """Whether a line of `.flowrunnerignore` names a path, one of its folders, or its file."""
    plain = pattern.strip("/")
    parts = path.split("/")
    heads = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    if any(fnmatchcase(head, plain) for head in heads):
        return True
    return "/" not in plain and any(fnmatchcase(part, plain) for part in parts)


def folder_revision(files: Iterable[ScannedFile]) -> Revision:
    """Returns the revision of a folder without git: a hash over all paths and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.candidate.file}\0{file.content}\0".encode(errors="replace"))
    return Revision(f"sha256:{digest.hexdigest()}")


def _unread(path: str, code: codes.Code, message: str) -> ScannedFile:
    """Returns a file without content; its time stamp says nothing, so it is looked at again."""
    finding = Finding(file=path, code=code.code, message=message)
    return ScannedFile(content="", candidate=Candidate(file=path, findings=(finding,)))


def _problem(walk: Walk) -> str:
    if walk.truncated:
        return f"more than {FILES_LIMIT} names or deeper than {DEPTH_LIMIT} folders"
    if walk.unreadable:
        return f"the folder {walk.unreadable[0]!r} cannot be read"
    return ""

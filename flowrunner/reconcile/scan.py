"""One reading of the source: every file considered, compiled, under one revision.

Runs in a thread. Files whose facts did not change are not read again, contents that did not
change are not parsed again, unless a `_defaults.yaml` above them did. What is read, a folder or a
commit, is `flowrunner.reconcile.tree`; which names count is `flowrunner.reconcile.names`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from operator import is_
from pathlib import Path
from typing import TypeAlias

from flowrunner.definitions.ahead import NOT_AHEAD, Ahead
from flowrunner.definitions.ahead_wire import Ask
from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Reader
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.seen import NO_RECALL, Recalls, Seen
from flowrunner.model.accounts import NO_ACCOUNTS
from flowrunner.model.conditions import ConditionReason
from flowrunner.model.finding import Finding
from flowrunner.model.ids import DEFAULT_ACCOUNT, Revision
from flowrunner.reconcile.file_faults import FILE_LIMIT, bytes_of, homeless, refused
from flowrunner.reconcile.folders import LayersOf
from flowrunner.reconcile.names import IGNORE_FILE, is_considered, is_defaults, patterns_of
from flowrunner.reconcile.outward_links import OutwardLinks
from flowrunner.reconcile.reading import (
    Known,
    KnownDefaults,
    Reading,
    ScannedFile,
    folder_revision,
    holds,
)
from flowrunner.reconcile.recalling import recalled, seen_in
from flowrunner.reconcile.tree import (
    DEPTH_LIMIT,
    FILES_LIMIT,
    LookAgainError,
    Tree,
    Trees,
    UnstableSourceError,
    UnusableSourceError,
)
from flowrunner.system.clock import Clock
from flowrunner.system.files import ChangedWhileReadError, Files, Walk, WalkEntry

__all__ = [
    "FILE_LIMIT",
    "LookAgainError",
    "ScannedFile",
    "Scanner",
    "Snapshot",
    "SourceProblem",
    "UnstableSourceError",
    "UnusableSourceError",
    "folder_revision",
]

AccountOf: TypeAlias = Callable[[str], str | None]
"""The account of a path; None where the settings map no folder above it."""

_RACY_NS = 2_000_000_000
"""A file written this shortly before it was read may be written again under the same stat."""


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


class Scanner:
    """Reads the source; keeps what it compiled between passes. Not for two threads at once."""

    def __init__(
        self,
        files: Files,
        compiler: Reader,
        trees: Trees,
        clock: Clock,
        account_of: AccountOf = NO_ACCOUNTS.account_of,
        recalls: Recalls = NO_RECALL,
        ahead: Ahead = NOT_AHEAD,
    ) -> None:
        self._files = files
        self._compiler = compiler
        self._account_of = account_of
        self._recalls = recalls
        self._ahead = ahead
        self._trees = trees
        self._links = OutwardLinks()
        self._clock = clock
        self._last = Reading(root=Path())
        self._currents: dict[date, bool] = {}

    def ignore_lock(self, root: Path) -> None:
        """Takes the lock of the source, if there is one, for one that was left behind."""
        with suppress(OSError):
            self._trees.ignore_lock(self._resolve(root))

    def seen(self) -> dict[str, Seen]:
        """Returns what a later life may recall of the last reading; from any thread."""
        return seen_in(self._last.files)

    def scan(self, root: Path) -> Snapshot:
        """Returns the source as it is now.

        Raises:
            FileNotFoundError: There is no root.
            NotADirectoryError: The root is no folder.
            OSError: The root or its ignore file cannot be read.
            LookAgainError: It is too early to say what the source is.
            UnstableSourceError: The root moved or a file changed under the reading.
            UnusableSourceError: The source cannot be used as it is.
        """
        self._currents.clear()
        resolved = self._resolve(root)
        tree = self._trees.open(resolved)
        reading = self._read(resolved, tree)
        tree.check()
        if self._resolve(root) != resolved:
            raise UnstableSourceError("the source changed while it was read: its root moved")
        if reading is not self._last:
            self._links.tell(reading.entries, reading.ignored)
        self._last = reading
        return Snapshot(
            revision=tree.revision or reading.folder_revision,
            files=reading.scanned,
            defaults=tuple(each.found for each in reading.defaults.values()),
            problem=_problem(tree.walk),
        )

    def _resolve(self, root: Path) -> Path:
        """Returns the folder that the root is now, by the shortest walk: only it knows links."""
        return self._files.walk(root, depth=1, most=1).root

    def _read(self, root: Path, tree: Tree) -> Reading:
        """Reads what is new; returns the last reading if nothing is."""
        entries, ignored = tree.walk.entries, self._ignored(tree)
        last = self._last
        if (last.root, last.ignored) != (root, ignored):
            # Another root holds other files, many of them with the content of those that are known.
            unsure = {path: replace(it, is_settled=False) for path, it in last.files.items()}
            last = Reading(root=root, ignored=ignored, files=unsure)
        if last.is_settled and last.entries == entries and self._are_current(last.scanned):
            return last
        settled_ns = int(self._clock.now().timestamp() * 1e9) - _RACY_NS
        defaults = {
            entry.path: KnownDefaults(
                stat=entry.stat,
                found=self._defaults(tree, entry, last.defaults.get(entry.path)),
                is_settled=entry.stat.mtime_ns < settled_ns,
            )
            for entry in entries
            if is_defaults(entry, ignored)
        }
        above = LayersOf(each.found for each in defaults.values())
        return self._joined(tree, last, defaults, above, settled_ns)

    def _joined(
        self,
        tree: Tree,
        last: Reading,
        defaults: Mapping[str, KnownDefaults],
        above: LayersOf,
        settled_ns: int,
    ) -> Reading:
        """Reads the flow files that are new, and joins them with those that are known."""
        entries, ignored = tree.walk.entries, last.ignored
        found, before = ([it.found for it in each.values()] for each in (defaults, last.defaults))
        is_same_above = found == before
        holding = {
            path: known
            for entry in entries
            if (known := last.files.get(path := entry.path)) is not None
            and known.stat == entry.stat
            and known.is_settled
            and known.file.content
            and (is_same_above or known.above == above(path).fingerprint)
            and self._is_current(known.file)
        }
        flows = [e for e in entries if e.path in holding or is_considered(e, ignored)]
        news = [entry for entry in flows if entry.path not in holding]
        readable = (entry for entry in news if refused(entry) is None)
        recall = recalled(self._recalls, readable, above, self._account_of, settled_ns)
        holding.update((path, it) for path, it in recall if self._is_current(it.file))
        news = [entry for entry in news if entry.path not in holding]
        tree.expect([entry.path for entry in news])
        read = self._news(tree, news, last.files, above)
        files = {
            entry.path: holding.get(entry.path)
            or Known(
                stat=entry.stat,
                file=next(read),
                is_settled=entry.stat.mtime_ns < settled_ns,
                above=above(entry.path).fingerprint,
            )
            for entry in flows
        }
        scanned = tuple(known.file for known in files.values())
        if len(scanned) == len(last.scanned) and all(map(is_, scanned, last.scanned)):
            scanned = last.scanned  # the same object: whoever compares need not look inside
        is_new = scanned is not last.scanned or not last.folder_revision
        return replace(
            last,
            entries=entries,
            files=files,
            defaults=defaults,
            scanned=scanned,
            is_settled=all(map(holds, files.values())) and all(map(holds, defaults.values())),
            folder_revision=folder_revision(scanned) if is_new else last.folder_revision,
        )

    def _are_current(self, files: Iterable[ScannedFile]) -> bool:
        return all(map(self._is_current, files))

    def _news(
        self, tree: Tree, entries: Sequence[WalkEntry], last: Mapping[str, Known], above: LayersOf
    ) -> Iterator[ScannedFile]:
        """Yields each file, read and compiled; many of them are compiled ahead."""
        texts = (self._text(tree, entry, last.get(entry.path), above) for entry in entries)
        for text in self._ahead.through(texts, _ask, len(entries)):
            if isinstance(text, ScannedFile):
                yield text
            else:
                yield self.compile(text.data, text.file, text.layers)

    def _text(
        self, tree: Tree, entry: WalkEntry, before: Known | None, above: LayersOf
    ) -> Ask | ScannedFile:
        """Returns what is to be compiled, or all there is to say of a file."""
        layers, reason = above(entry.path), refused(entry)
        data = bytes_of(entry.path, tree.read) if reason is None else reason
        if isinstance(data, Finding):
            return self._unread(data, layers)
        if before is not None and self._is_same(before.file, data, layers):
            return before.file
        account = self._account_of(entry.path) or DEFAULT_ACCOUNT
        return Ask(data, entry.path, account, layers)

    def _defaults(
        self, tree: Tree, entry: WalkEntry, before: KnownDefaults | None
    ) -> FolderDefaults:
        if before is not None and before.still_holds(entry.stat):
            return before.found
        reason = refused(entry)
        if reason is not None:
            return FolderDefaults(file=entry.path, findings=(reason,))
        return self._compiled_defaults(bytes_of(entry.path, tree.read), entry.path)

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
        data = bytes_of(name, lambda _, limit: self._files.read(path, limit=limit))
        return self._compiled(data, name, before, layers)

    def _compiled(
        self, data: bytes | Finding, name: str, before: ScannedFile | None, layers: Layers
    ) -> ScannedFile:
        if isinstance(data, Finding):
            return self._unread(data, layers)
        if before is not None and self._is_same(before, data, layers):
            return before
        return self.compile(data, name, layers)

    def _is_same(self, before: ScannedFile, data: bytes, layers: Layers) -> bool:
        return before.content == _content(data, layers) and self._is_current(before)

    def read_defaults(self, path: Path, name: str) -> FolderDefaults:
        """Reads one `_defaults.yaml` under the given name.

        Raises:
            UnstableSourceError: It changed or vanished while it was read.
        """
        data = bytes_of(name, lambda _, limit: self._files.read(path, limit=limit))
        return self._compiled_defaults(data, name)

    def _compiled_defaults(self, data: bytes | Finding, name: str) -> FolderDefaults:
        if isinstance(data, Finding):
            return FolderDefaults(file=name, findings=(data,))
        return self._compiler.read_defaults(data, file=name)

    def _is_current(self, file: ScannedFile) -> bool:
        """Whether the same content would still give the same findings: some name dates.

        Asked once in a pass for each month: half of the flows may have one.
        """
        as_of = file.candidate.as_of
        if as_of is None:
            return True
        found = self._currents.get(as_of)
        if found is None:
            found = self._currents[as_of] = self._compiler.is_current(file.candidate)
        return found

    def compile(self, data: bytes, name: str, layers: Layers = NO_LAYERS) -> ScannedFile:
        """Compiles bytes that were read elsewhere, such as standard input."""
        account = self._account_of(name)
        candidate = self._compiler.read(
            data, file=name, account=account or DEFAULT_ACCOUNT, layers=layers
        )
        if account is None and not candidate.is_foreign:
            candidate = Candidate(file=name, findings=(homeless(name),))
        return ScannedFile(content=_content(data, layers), candidate=candidate, account=account)

    def _unread(self, finding: Finding, layers: Layers) -> ScannedFile:
        """Returns a file without content; its time stamp says nothing: it is looked at again."""
        candidate = Candidate(file=finding.file, findings=(*layers.broken, finding))
        account = self._account_of(finding.file)
        return ScannedFile(content="", candidate=candidate, account=account)

    def _ignored(self, tree: Tree) -> tuple[str, ...]:
        """Returns the patterns of the ignore file.

        Raises:
            UnstableSourceError: It changed while it was read.
            OSError: It cannot be read: nothing may be taken for a flow then.
        """
        try:
            data = tree.read(IGNORE_FILE, limit=FILE_LIMIT)
        except FileNotFoundError:
            return ()
        except ChangedWhileReadError as error:
            raise UnstableSourceError(f"{IGNORE_FILE} changed while it was read") from error
        return patterns_of(data.decode(errors="replace"))


def _ask(text: Ask | ScannedFile) -> Ask | None:
    return text if isinstance(text, Ask) else None


def _content(data: bytes, layers: Layers) -> str:
    """Returns a hash of everything that decides what a file compiles to."""
    return hashlib.sha256(data + layers.fingerprint.encode()).hexdigest()


def _problem(walk: Walk) -> SourceProblem | None:
    if walk.truncated:
        text = f"more than {FILES_LIMIT} names or deeper than {DEPTH_LIMIT} folders"
        return SourceProblem(reason=ConditionReason.SOURCE_TOO_LARGE, message=text)
    if walk.unreadable:
        text = f"the folder {walk.unreadable[0]!r} cannot be read"
        return SourceProblem(reason=ConditionReason.SOURCE_UNREADABLE, message=text)
    return None

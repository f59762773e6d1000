"""One reading of the source: every file considered, compiled, under one revision.

Runs in a thread. Files whose facts did not change are not read again, contents that did not
change are not parsed again, unless a `_defaults.yaml` above them did. What is read, a folder or a
commit, is `flowrunner.reconcile.tree`; which names count is `flowrunner.reconcile.names`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from operator import is_
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.definitions.ahead import NOT_AHEAD, Ahead
from flowrunner.definitions.compiler import NO_LAYERS, Reader
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.seen import NO_RECALL, Recalls, Seen
from flowrunner.model.accounts import NO_ACCOUNTS
from flowrunner.model.conditions import ConditionReason
from flowrunner.model.finding import Finding
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.file_faults import FILE_LIMIT, bytes_of, refused
from flowrunner.reconcile.file_reader import AccountOf, FileReader
from flowrunner.reconcile.folders import LayersOf
from flowrunner.reconcile.glance import Glance, glanced
from flowrunner.reconcile.names import IGNORE_FILE, is_considered, is_defaults, patterns_of
from flowrunner.reconcile.outward_links import OutwardLinks
from flowrunner.reconcile.reading import (
    Known,
    KnownDefaults,
    Reading,
    ScannedFile,
    dates_of,
    holds,
    sums_of,
)
from flowrunner.reconcile.recalling import recalled, seen_in
from flowrunner.reconcile.tree import (
    DEPTH_LIMIT,
    FILES_LIMIT,
    Look,
    LookAgainError,
    Tree,
    Trees,
    UnstableSourceError,
    UnusableSourceError,
)
from flowrunner.registry.entry import NO_REVISION
from flowrunner.system.clock import Clock
from flowrunner.system.files import (
    ChangedWhileReadError,
    FileKind,
    Files,
    Walk,
    WalkEntry,
)

__all__ = [
    "FILE_LIMIT",
    "AccountOf",
    "LookAgainError",
    "ScannedFile",
    "Scanner",
    "Snapshot",
    "SourceProblem",
    "UnstableSourceError",
    "UnusableSourceError",
]

_RACY_NS = 2_000_000_000
"""A file written this shortly before it was read may be written again under the same stat."""

_LONGEST_SHOWN = 100


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
        glance: What is new, if nothing else was looked at; None if everything was.
        recalled: Content and findings of the flows that have some, if it has no files, being known
            to say what is in force already; else None.
    """

    revision: Revision
    files: tuple[ScannedFile, ...]
    defaults: tuple[FolderDefaults, ...] = ()
    problem: SourceProblem | None = None
    is_whole: bool = True
    glance: Glance | None = None
    recalled: Mapping[FlowKey, tuple[str, tuple[Finding, ...]]] | None = None


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
        self._reader = FileReader(compiler, account_of, ahead)
        self._account_of = account_of
        self._recalls = recalls
        self._trees = trees
        self._links = OutwardLinks()
        self._clock = clock
        self._last = Reading(root=Path())
        self._revision = NO_REVISION
        """Of the tree that was read last."""

    def ignore_lock(self, root: Path) -> None:
        """Takes the lock of the source, if there is one, for one that was left behind."""
        with suppress(OSError):
            self._trees.ignore_lock(self._resolve(root))

    def seen(self) -> dict[str, Seen]:
        """Returns what a later life may recall of the last reading; from any thread."""
        return seen_in(self._last.files)

    def look(self, root: Path) -> Look | None:
        """Returns the names of the source; None where they do not say all of what it is.

        Raises as `scan` does.
        """
        resolved = self._resolve(root)
        tree = self._trees.open(resolved)
        look = Look(resolved, tree.revision, self._ignored(tree), tree.walk.entries)
        tree.check()
        return look if _is_whole(tree.walk) and self._resolve(root) == resolved else None

    def looked(self, snapshot: Snapshot) -> Look | None:
        """Returns the names of a snapshot; None where equal ones may say something else.

        So it is when a later reading, of which nobody knows yet, has found something else.
        """
        self._reader.begin()
        last, revision = self._last, self._revision
        is_last = snapshot.files is last.scanned and snapshot.defaults is last.found
        is_last = is_last and snapshot.revision == (revision or last.folder_revision)
        is_sure = last.is_settled and self._reader.are_current(last.dates.values())
        if not (is_last and is_sure) or any(entry.is_link for entry in last.entries):
            return None
        return Look(last.root, revision, last.ignored, last.entries)

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
        self._reader.begin()
        resolved = self._resolve(root)
        tree = self._trees.open(resolved)
        reading = self._read(resolved, tree)
        tree.check()
        if self._resolve(root) != resolved:
            raise UnstableSourceError("the source changed while it was read: its root moved")
        if reading is not self._last:
            self._links.tell(reading.entries, reading.ignored)
        self._last, self._revision = reading, tree.revision
        return Snapshot(
            revision=tree.revision or reading.folder_revision,
            files=reading.scanned,
            defaults=reading.found,
            problem=_problem(tree.walk),
        )

    def glance(self, root: Path, paths: Collection[str]) -> Snapshot | None:
        """Returns the source as it is, if nothing but some names has changed since the last scan.

        Looks at those names alone. None, or an error as `scan` raises them, says that only a
        `scan` can tell what the source is now.
        """
        self._reader.begin()
        resolved, last = self._resolve(root), self._last
        names = self._trees.names(resolved) if last.is_plain and last.root == resolved else None
        if (
            names is None
            or not last.is_sure_above
            or not self._reader.are_current(last.dates.values())
        ):
            return None
        found = glanced(last, names, paths, self._reader, self._settled_ns())
        if found is None or self._resolve(root) != resolved:
            return None
        self._last, glance = found
        return Snapshot(
            revision=self._last.folder_revision,
            files=self._last.scanned,
            defaults=self._last.found,
            glance=glance,
        )

    def _settled_ns(self) -> int:
        return int(self._clock.now().timestamp() * 1e9) - _RACY_NS

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
        is_as_before = last.is_settled and last.entries == entries
        if is_as_before and self._reader.are_current(last.dates.values()):
            return last
        settled_ns = self._settled_ns()
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
        is_same_above, is_current = found == before, self._reader.is_current
        holding = {
            path: known
            for entry in entries
            if (known := last.files.get(path := entry.path)) is not None
            and known.stat == entry.stat
            and known.is_settled
            and known.file.content
            and (is_same_above or known.above == above(path).fingerprint)
            and is_current(known.file.candidate)
        }
        flows = [e for e in entries if e.path in holding or is_considered(e, ignored)]
        news = [entry for entry in flows if entry.path not in holding]
        readable = (entry for entry in news if refused(entry) is None)
        recall = recalled(self._recalls, readable, above, self._account_of, settled_ns)
        holding.update((path, it) for path, it in recall if is_current(it.file.candidate))
        news = [entry for entry in news if entry.path not in holding]
        paths = [entry.path for entry in news]
        tree.expect(paths)
        stream = self._reader.files(news, tree.read, last.files, above)
        read = dict(zip(paths, stream, strict=True))  # to its end, with which all of it ends
        files = {
            entry.path: holding.get(entry.path)
            or Known(
                stat=entry.stat,
                file=read[entry.path],
                is_settled=entry.stat.mtime_ns < settled_ns,
                above=above(entry.path).fingerprint,
            )
            for entry in flows
        }
        scanned = tuple(known.file for known in files.values())
        if len(scanned) == len(last.scanned) and all(map(is_, scanned, last.scanned)):
            scanned = last.scanned  # the same object: whoever compares need not look inside
        is_new = scanned is not last.scanned
        return replace(
            last,
            entries=entries,
            files=files,
            defaults=defaults,
            scanned=scanned,
            found=last.found if is_same_above else tuple(found),
            above=above,
            unsure=frozenset(path for path, known in files.items() if not holds(known)),
            is_sure_above=all(map(holds, defaults.values())),
            dates=dates_of(scanned) if is_new else last.dates,
            sums=sums_of(scanned) if is_new else last.sums,
            is_plain=tree.revision == NO_REVISION and _is_whole(tree.walk),
        )

    def _defaults(
        self, tree: Tree, entry: WalkEntry, before: KnownDefaults | None
    ) -> FolderDefaults:
        if before is not None and before.still_holds(entry.stat):
            return before.found
        return self._reader.defaults(entry, tree.read)

    def read_file(self, path: Path, name: str, layers: Layers = NO_LAYERS) -> ScannedFile:
        """Reads and compiles one file under the given name.

        Raises:
            UnstableSourceError: It changed or vanished while it was read.
        """
        data = bytes_of(name, lambda _, limit: self._files.read(path, limit=limit))
        return self._reader.compiled(data, name, layers)

    def read_defaults(self, path: Path, name: str) -> FolderDefaults:
        """Reads one `_defaults.yaml` under the given name.

        Raises:
            UnstableSourceError: It changed or vanished while it was read.
        """
        data = bytes_of(name, lambda _, limit: self._files.read(path, limit=limit))
        return self._reader.compiled_defaults(data, name)

    def compile(self, data: bytes, name: str, layers: Layers = NO_LAYERS) -> ScannedFile:
        """Compiles bytes that were read elsewhere, such as standard input."""
        return self._reader.compile(data, name, layers)

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


def _is_whole(walk: Walk) -> bool:
    """Whether each name was seen, and stands for nothing that has another name."""
    is_whole = not (walk.truncated or walk.unreadable or walk.changed)
    return is_whole and not any(entry.is_link for entry in walk.entries)


def _problem(walk: Walk) -> SourceProblem | None:
    if walk.truncated:
        text = _too_large(walk)
        return SourceProblem(reason=ConditionReason.SOURCE_TOO_LARGE, message=text)
    if walk.unreadable:
        text = f"the folder {walk.unreadable[0]!r} cannot be read"
        return SourceProblem(reason=ConditionReason.SOURCE_UNREADABLE, message=text)
    return None


def _too_large(walk: Walk) -> str:
    """Returns which bound a tree is beyond, and where one would look for what is no flow."""
    if len(walk.entries) >= FILES_LIMIT:
        tops = Counter(entry.path.partition("/")[0] for entry in walk.entries)
        top, count = tops.most_common(1)[0]
        return f"more than {FILES_LIMIT} names, {count} of them from {top[:_LONGEST_SHOWN]!r} down"
    folders = (each.path for each in walk.entries if each.stat.kind is FileKind.FOLDER)
    deep = next((path for path in folders if path.count("/") >= DEPTH_LIMIT - 1), None)
    text = f"more than {FILES_LIMIT} names or deeper than {DEPTH_LIMIT} folders"
    return (
        text if deep is None else f"deeper than {DEPTH_LIMIT} folders, at {deep[:_LONGEST_SHOWN]!r}"
    )

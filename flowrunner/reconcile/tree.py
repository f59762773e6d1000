"""What one pass reads: the names below the root, and their bytes, at one state of the source.

The seam between the scan and where flows come from. A plain folder is here; a checkout, read from
its HEAD or from its worktree, is `flowrunner.reconcile.git_trees`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import Revision
from flowrunner.registry.entry import NO_REVISION
from flowrunner.system.files import FileKind, Files, Walk, WalkEntry

DEPTH_LIMIT = 16
FILES_LIMIT = 50_000


class Look(NamedTuple):
    """The source by its names and facts alone.

    Attributes:
        revision: Of a commit; empty for a folder, of which only the content can tell.
        ignored: The patterns of the ignore file.
        entries: Every name; equal facts mean equal content.
    """

    root: Path
    revision: Revision
    ignored: tuple[str, ...]
    entries: tuple[WalkEntry, ...]


class UnstableSourceError(Exception):
    """The source changed while it was read; the pass must be repeated."""


class LookAgainError(Exception):
    """The source cannot be judged by one look; open it again after so many seconds."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class UnusableSourceError(Exception):
    """The source cannot be used as it is, and the reason is known: nothing may change."""

    def __init__(self, reason: ConditionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Tree(Protocol):
    """The source at one state. Its methods block.

    Attributes:
        revision: What the state is called; empty when nothing but the content can tell.
        walk: Every name, relative to the root. Equal facts of a name mean equal content.
    """

    @property
    def revision(self) -> Revision: ...  # noqa: D102 - above

    @property
    def walk(self) -> Walk: ...  # noqa: D102 - above

    def expect(self, paths: Sequence[str]) -> None:
        """Learns which names will be read, in this order, so that it can fetch many at once."""

    def read(self, path: str, *, limit: int) -> bytes:
        """Returns the content of a name.

        Raises:
            UnstableSourceError: This state is gone.
            OSError: As `Files.read`.
        """

    def check(self) -> None:
        """Raises `UnstableSourceError` if what was read may belong to more than one state."""


class Names(Protocol):
    """Names of the source, each looked at alone. Its methods block.

    Only for a source in which what a name stands for hangs on no other name.
    """

    def look(self, path: str) -> WalkEntry | None:
        """Returns what a name relative to the root stands for, a link for itself; None if missing.

        Raises:
            UnstableSourceError: A folder above it is none any more.
            OSError: As `Files.stat`.
        """

    def read(self, path: str, *, limit: int) -> bytes:
        """Returns the content of a name; raises as `Files.read`."""


class Trees(Protocol):
    """Opens the source. Blocks; not for two threads at once, but for `ignore_lock`."""

    def open(self, root: Path) -> Tree:
        """Returns the state that a pass is to read; `root` is a folder and no link.

        Raises:
            LookAgainError: It is too early to say.
            UnstableSourceError: It changed meanwhile.
            UnusableSourceError: There is no state that could be read.
            OSError: The root cannot be read.
        """

    def names(self, root: Path) -> Names | None:
        """Returns the names of the source, or None: it says something only as a whole.

        So says one whose files belong together, as those of a commit do; `root` is as for `open`.

        Raises:
            OSError: The root cannot be looked at.
        """

    def ignore_lock(self, root: Path) -> None:
        """Takes a lock that is there now for one that was left behind; from any thread."""


class FolderTree:
    """A folder as it is: no file is read half, and nothing more is promised."""

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = root
        self._walk = files.walk(root, depth=DEPTH_LIMIT, most=FILES_LIMIT)

    @property
    def revision(self) -> Revision:
        """None: the content must tell."""
        return NO_REVISION

    @property
    def walk(self) -> Walk:
        """The names, as found at the beginning."""
        return self._walk

    def expect(self, paths: Sequence[str]) -> None:
        """Does nothing: a file costs the same alone."""

    def read(self, path: str, *, limit: int) -> bytes:
        """Reads a file."""
        return self._files.read(self._root / path, limit=limit)

    def check(self) -> None:
        """Looks whether a name vanished in the walk, and whether links lead where they did.

        One swapped link may stand for many files: kubelet mounts a volume so that all its files
        lead through `..data`.
        """
        if self._walk.changed:
            raise UnstableSourceError("the source changed while it was read")
        links = [entry for entry in self._walk.entries if entry.is_link]
        if not links:
            return
        after = self._files.walk(self._root, depth=DEPTH_LIMIT, most=FILES_LIMIT)
        if links != [entry for entry in after.entries if entry.is_link]:
            raise UnstableSourceError("a link moved while the source was read")


class FolderNames:
    """The names of a plain folder: as many looks as a path has parts, however many names it has."""

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = root
        self._folders: set[str] = set()

    def look(self, path: str) -> WalkEntry | None:
        """Looks at the folders above a name, so that it leads through no link, and at the name."""
        at = path.find("/")
        while at >= 0:
            self._check_folder(path[:at])
            at = path.find("/", at + 1)
        facts = self._files.stat(self._root / path)
        return None if facts is None else WalkEntry(path, facts)

    def _check_folder(self, folder: str) -> None:
        if folder in self._folders:
            return
        facts = self._files.stat(self._root / folder)
        if facts is None or facts.kind is not FileKind.FOLDER:
            raise UnstableSourceError(f"{folder} is no folder any more")
        self._folders.add(folder)

    def read(self, path: str, *, limit: int) -> bytes:
        """Reads a file."""
        return self._files.read(self._root / path, limit=limit)


class FolderTrees:
    """Takes every root for a plain folder: for checks outside a daemon, which need no git."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def open(self, root: Path) -> Tree:
        """Returns the folder."""
        return FolderTree(self._files, root)

    def names(self, root: Path) -> Names:
        """Returns the names in the folder."""
        return FolderNames(self._files, root)

    def ignore_lock(self, root: Path) -> None:
        """Does nothing: a plain folder has no lock."""

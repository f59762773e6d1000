"""The worktree of a checkout as a tree: with what is not committed, and only while git rests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from flowrunner.model.ids import Revision
from flowrunner.reconcile.tree import Tree, UnstableSourceError
from flowrunner.system.files import Walk
from flowrunner.system.tools import ToolFailedError


class WorktreeTree:
    """A folder of which git tells the revision.

    Args:
        folder: The folder as it is.
        revision: What git said before it was walked.
        left_out: Paths that do not belong to the repository; everything below them neither.
        is_current: Asks git again: whether HEAD and changes are as before and no lock is held.
    """

    def __init__(
        self,
        folder: Tree,
        revision: Revision,
        left_out: Sequence[str],
        is_current: Callable[[], bool],
    ) -> None:
        self._folder = folder
        self._revision = revision
        self._is_current = is_current
        self._walk = _without(folder.walk, left_out)

    @property
    def revision(self) -> Revision:
        """The commit, with `-dirty` when git lists changes."""
        return self._revision

    @property
    def walk(self) -> Walk:
        """The names that belong to it."""
        return self._walk

    def expect(self, paths: Sequence[str]) -> None:
        """Hands on."""
        self._folder.expect(paths)

    def read(self, path: str, *, limit: int) -> bytes:
        """Reads a file."""
        return self._folder.read(path, limit=limit)

    def check(self) -> None:
        """Looks at the folder, then asks git again."""
        self._folder.check()
        try:
            is_current = self._is_current()
        except ToolFailedError as error:
            raise UnstableSourceError(error.message) from error
        if not is_current:
            raise UnstableSourceError("the revision changed while the source was read")


def _without(walk: Walk, left_out: Sequence[str]) -> Walk:
    if not left_out:
        return walk
    names = frozenset(path.removesuffix("/") for path in left_out)
    entries = tuple(entry for entry in walk.entries if not _is_below(entry.path, names))
    return replace(walk, entries=entries)


def _is_below(path: str, names: frozenset[str]) -> bool:
    """Whether a path, or a folder above it, is one of these names."""
    if path in names:
        return True
    at = path.find("/")
    while at >= 0:
        if path[:at] in names:
            return True
        at = path.find("/", at + 1)
    return False

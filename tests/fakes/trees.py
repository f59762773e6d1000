"""A folder with a revision that the test says: what a pass reads, without git."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from flowrunner.model.ids import Revision
from flowrunner.reconcile.tree import FolderTree
from flowrunner.reconcile.worktree import WorktreeTree
from flowrunner.system.files import Files


class SaysRevision(Protocol):
    """Tells the revision of a folder."""

    def read(self, root: Path) -> Revision:
        """Returns it, or an empty one."""


class FakeTrees:
    """Opens folders under the revision that `revisions` says, before the reading and after it.

    Attributes:
        errors: What the next openings raise, one each.
        ignored_locks: For which roots a lock was to be ignored.
    """

    def __init__(self, files: Files, revisions: SaysRevision) -> None:
        self._files = files
        self._revisions = revisions
        self.errors: list[Exception] = []
        self.ignored_locks: list[Path] = []

    def open(self, root: Path) -> WorktreeTree:
        if self.errors:
            raise self.errors.pop(0)
        revision = self._revisions.read(root)
        folder = FolderTree(self._files, root)
        return WorktreeTree(folder, revision, (), lambda: self._revisions.read(root) == revision)

    def names(self, root: Path) -> None:
        """Has a revision, and so is read as a whole."""

    def ignore_lock(self, root: Path) -> None:
        self.ignored_locks.append(root)

"""A checked out revision as a tree: its folder is read, its name is the revision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import Revision
from flowrunner.reconcile.tree import FolderTree, Tree, UnusableSourceError
from flowrunner.reconcile.upstream.checkouts import revision_of_folder
from flowrunner.system.files import Files, Walk


class CheckoutTree:
    """One revision; its files do not change."""

    def __init__(self, folder: Tree, revision: Revision) -> None:
        self._folder = folder
        self._revision = revision

    @property
    def revision(self) -> Revision:
        """The commit."""
        return self._revision

    @property
    def walk(self) -> Walk:
        """The names in its folder."""
        return self._folder.walk

    def expect(self, paths: Sequence[str]) -> None:
        """Hands on."""
        self._folder.expect(paths)

    def read(self, path: str, *, limit: int) -> bytes:
        """Reads a file."""
        return self._folder.read(path, limit=limit)

    def check(self) -> None:
        """Looks at the folder."""
        self._folder.check()


class CheckoutTrees:
    """Opens the revision that a resolved root lies in."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def open(self, root: Path) -> Tree:
        """Returns the revision; raises as `Trees.open`."""
        folders = (root, *root.parents)
        revision = next((found for f in folders if (found := revision_of_folder(f))), None)
        if revision is None:
            text = f"{root} is no revision that was checked out here"
            raise UnusableSourceError(ConditionReason.SOURCE_UNREADABLE, text)
        return CheckoutTree(FolderTree(self._files, root), revision)

    def names(self, root: Path) -> None:
        """Returns None: a revision does not change."""

    def ignore_lock(self, root: Path) -> None:
        """Does nothing: a revision has no lock."""

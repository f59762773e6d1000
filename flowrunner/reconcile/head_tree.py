"""A commit as a tree: its blobs are read, so nothing that happens in the worktree can be seen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Revision
from flowrunner.reconcile.git_commands import BlobMissingError, Checkout, GitCommands
from flowrunner.reconcile.head_listing import listing_of
from flowrunner.reconcile.tree import UnstableSourceError
from flowrunner.system.files import FileTooLargeError, Walk
from flowrunner.system.tools import ToolFailedError, ToolTalksTooMuchError

_LINK_LIMIT = 4096
"""As long as a path may be (PATH_MAX); a link with a longer text leads nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadNames:
    """The names of a commit; the same for every pass that reads it.

    Attributes:
        contents: Object id by path.
    """

    root: Path
    commit: str
    walk: Walk
    contents: Mapping[str, str]
    submodules: tuple[str, ...]


def read_names(git: GitCommands, checkout: Checkout, commit: str) -> HeadNames:
    """Lists a commit below the root.

    Raises:
        ToolFailedError: Git failed.
        UnstableSourceError: The commit is going.
    """
    root = checkout.root
    try:
        listing = listing_of(git.names(checkout, commit))
    except ToolTalksTooMuchError:
        walk = Walk(root=root, entries=(), truncated=True)
        return HeadNames(root=root, commit=commit, walk=walk, contents={}, submodules=())
    texts: dict[str, str] = {}
    waiting = list(dict.fromkeys(listing.links.values()))
    said: dict[str, bytes | None] = {}
    try:
        while waiting:
            said.update(git.blobs(checkout, waiting, limit=_LINK_LIMIT))
            waiting = [name for name in waiting if name not in said]
    except BlobMissingError as error:
        raise UnstableSourceError(f"{commit[:12]} is going: {error}") from error
    for path, name in listing.links.items():
        texts[path] = os.fsdecode((said[name] or b"")[:_LINK_LIMIT])
    targets = listing.targets(texts, root)
    return HeadNames(
        root=root,
        commit=commit,
        walk=listing.walk(root, targets),
        contents=listing.contents(targets),
        submodules=tuple(listing.submodules),
    )


class HeadTree:
    """One commit below the root."""

    def __init__(self, git: GitCommands, checkout: Checkout, names: HeadNames) -> None:
        self._git = git
        self._checkout = checkout
        self._names = names
        self._expected: list[str] = []
        self._read: dict[str, bytes | None] = {}

    @property
    def revision(self) -> Revision:
        """The commit."""
        return Revision(self._names.commit)

    @property
    def walk(self) -> Walk:
        """The names in the commit."""
        return self._names.walk

    def expect(self, paths: Sequence[str]) -> None:
        """Notes which blobs to ask for together."""
        contents = self._names.contents
        self._expected = [contents[path] for path in paths if path in contents]

    def read(self, path: str, *, limit: int) -> bytes:
        """Returns a blob, from those that were asked for last or together with the next ones."""
        name = self._names.contents.get(path)
        if name is None:
            raise FileNotFoundError(f"{path} is not in the commit")
        if name not in self._read:
            self._fetch(name, limit)
        data = self._read[name]
        if data is None or len(data) > limit:
            raise FileTooLargeError(f"{path} has more than {limit} bytes")
        return data

    def _fetch(self, name: str, limit: int) -> None:
        names = [name]
        if name in self._expected:
            names = self._expected = self._expected[self._expected.index(name) :]
        try:
            self._read = self._git.blobs(self._checkout, names, limit=limit)
        except (BlobMissingError, ToolFailedError) as error:
            raise UnstableSourceError(f"{self.revision[:12]} cannot be read: {error}") from error

    def check(self) -> None:
        """Does nothing: a commit does not change."""

"""Revisions as folders: one for each commit, read-only, and a link to the one in place.

A folder is complete before its name is there, and holds the bytes of the commit and nothing of
git's. So it can be read while the repository beside it is broken, or away. Links are made by us
after all files, and only those that stay within the commit; in the place of any other stands a
link that leads nowhere, which the scan refuses by name.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import Revision
from flowrunner.reconcile.upstream.git_client import GitClient
from flowrunner.reconcile.upstream.repository import is_commit
from flowrunner.reconcile.upstream.values import RefusedRevisionError
from flowrunner.system.files import FileKind, Files
from flowrunner.system.tools import ToolTalksTooMuchError

MOST_FILES = 50_000
"""Names in a commit; as many as a pass reads."""

MOST_BYTES = 1024**3
"""Bytes of all files of a commit."""

CURRENT = "current"
_LOG = logging.getLogger(__name__)
_PREFIX = "rev-"
_UNFINISHED = ".unfinished"
_INDEX = "index.unfinished"
_NOWHERE = "/dev/null/outside-of-the-commit"
_LINK_LIMIT = 4096
_LINK, _SUBMODULE = b"120000", b"160000"


def revision_of_folder(folder: Path) -> Revision | None:
    """Returns the revision that a folder is by its name; None if it is none."""
    name = folder.name.removeprefix(_PREFIX)
    return Revision(name) if name != folder.name and is_commit(name) else None


class Checkouts:
    """The folders `rev-<commit>` and the link `current` below one folder. Every method blocks."""

    def __init__(self, files: Files, folder: Path, subfolder: str | None) -> None:
        self._files = files
        self._folder = folder
        self._subfolder = subfolder

    def folder_of(self, revision: Revision) -> Path:
        """Returns where a revision is checked out, if it is."""
        return self._folder / f"{_PREFIX}{revision}"

    def has(self, revision: Revision) -> bool:
        """Whether a revision is checked out."""
        facts = self._files.stat(self.folder_of(revision))
        return facts is not None and facts.kind is FileKind.FOLDER

    def revisions(self) -> list[Revision]:
        """Returns the revisions that are checked out."""
        names = (name.removeprefix(_PREFIX) for name in self._files.names(self._folder))
        return [Revision(name) for name in names if is_commit(name)]

    def current(self) -> Revision | None:
        """Returns the revision in place, if there is one that is whole."""
        try:
            target = str((self._folder / CURRENT).readlink())
        except OSError:
            return None
        revision = Revision(target.removeprefix(_PREFIX))
        return revision if is_commit(revision) and self.has(revision) else None

    def sweep(self) -> None:
        """Removes what an earlier life has not finished."""
        for name in self._files.names(self._folder):
            if name.endswith(_UNFINISHED) or name.startswith(_INDEX):
                self._remove(self._folder / name)

    def add(self, git: GitClient, revision: Revision) -> None:
        """Checks a revision out, unless it is.

        Raises:
            RefusedRevisionError: It is too large, or lacks the folder of the flows.
            ToolFailedError: Git failed.
            OSError: The state cannot be written.
        """
        if self.has(revision):
            return
        links = self._judge(git, revision)
        self.sweep()
        target = self._folder / f"{_PREFIX}{revision}{_UNFINISHED}"
        self._files.make_folder(target, 0o755)
        index = {"GIT_INDEX_FILE": str(self._folder / _INDEX)}
        git.git("read-tree", revision, env=index)
        options = (f"--work-tree={target}",)
        git.git("checkout-index", "--all", "--force", "--quiet", options=options, env=index)
        self._files.remove(self._folder / _INDEX)
        refused = _make_links(target, links)
        if refused:
            names = ", ".join(refused[:5])
            _LOG.warning("source.links_refused: %d lead out of the commit: %s", len(refused), names)
        _set_modes(target, writable=False)
        self._files.sync(self._folder)
        target.rename(self.folder_of(revision))

    def put(self, revision: Revision) -> None:
        """Puts a revision in place, in one moment and for good."""
        link = self._folder / f"{CURRENT}{_UNFINISHED}"
        self._files.remove(link)
        link.symlink_to(f"{_PREFIX}{revision}")
        link.replace(self._folder / CURRENT)
        self._files.sync(self._folder)

    def remove_all_but(self, kept: Iterable[Revision]) -> None:
        """Removes the other revisions; the one in place stays in any case."""
        spared = {*kept, self.current()}
        for revision in self.revisions():
            if revision not in spared:
                folder = self.folder_of(revision)
                leaving = folder.with_name(folder.name + _UNFINISHED)
                folder.rename(leaving)
                self._remove(leaving)

    def _judge(self, git: GitClient, revision: Revision) -> list[str]:
        """Returns the links of a commit that may be checked out."""
        try:
            printed = git.git("ls-tree", "-r", "-z", "-l", "--full-tree", revision)
        except ToolTalksTooMuchError as error:
            raise _too_large(revision) from error
        links: list[str] = []
        submodules = size = count = 0
        inside = f"{self._subfolder.strip('/')}/".encode() if self._subfolder else b""
        has_folder = not inside
        for line in printed.split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            mode, _, _, length = facts.split()
            count += 1
            size += 0 if length == b"-" else int(length)
            submodules += mode == _SUBMODULE
            has_folder = has_folder or path.startswith(inside)
            if mode == _LINK:
                links.append(os.fsdecode(path))
        if count > MOST_FILES or size > MOST_BYTES:
            raise _too_large(revision)
        if not has_folder:
            text = f"the commit {revision[:12]} has no folder {self._subfolder!r}"
            raise RefusedRevisionError(ConditionReason.FOLDER_MISSING, text)
        if submodules:
            _LOG.warning("source.submodules: %d are left empty", submodules)
        return links

    def _remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            _set_modes(path, writable=True)
        self._files.remove_tree(path)


def _too_large(revision: Revision) -> RefusedRevisionError:
    text = (
        f"the commit {revision[:12]} has more than {MOST_FILES} files "
        f"or {MOST_BYTES // 1024**3} GiB"
    )
    return RefusedRevisionError(ConditionReason.SOURCE_TOO_LARGE, text)


def _make_links(top: Path, links: Iterable[str]) -> list[str]:
    """Makes links of the files that git wrote in their place; returns those that lead out."""
    made, refused = [], []
    for path in links:
        place = top / path
        with place.open("rb") as stream:
            text = os.fsdecode(stream.read(_LINK_LIMIT))
        place.unlink()
        if _stays_within(path, text):
            place.symlink_to(text)
            made.append(path)
        else:
            place.symlink_to(_NOWHERE)
            refused.append(path)
    root = os.path.realpath(top)
    for path in made:  # a link may lead out over another one
        if not os.path.realpath(top / path).startswith(root + "/"):
            (top / path).unlink()
            (top / path).symlink_to(_NOWHERE)
            refused.append(path)
    return refused


def _stays_within(path: str, text: str) -> bool:
    if not text or "\0" in text or text.startswith("/"):
        return False
    target = os.path.normpath(f"{path.rpartition('/')[0] or '.'}/{text}")
    return target != ".." and not target.startswith("../")


def _set_modes(top: Path, *, writable: bool) -> None:
    """Makes everything below a folder readable by all who come as far, and writable or not."""
    own = 0o200 if writable else 0
    for folder, _, names in os.walk(top):
        os.chmod(folder, 0o555 | own)  # noqa: PTH101, S103 - 50,000 paths below 0700
        for name in names:
            path = f"{folder}/{name}"
            facts = os.lstat(path)
            if not os.path.islink(path):  # noqa: PTH114
                os.chmod(path, 0o444 | own | (0o111 if facts.st_mode & 0o100 else 0))  # noqa: PTH101

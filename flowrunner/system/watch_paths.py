"""Which folders to watch for a root, and which changes matter: rules about paths and links.

The watcher carries them out. They leave out what the scan would not look at, so that the state
of the daemon, git's objects and the work of editors under the root wake nobody.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ANY_NAME = ""
"""Stands in a hint for everything below the root, and the root itself."""

_IGNORE_FILE = ".flowrunnerignore"
_GIT_FOLDERS = frozenset({".git", ".git/refs", ".git/refs/heads"})
_GIT_FILES = frozenset({".git/HEAD", ".git/packed-refs", ".git/index", ".git/index.lock"})
_GIT_BRANCHES = ".git/refs/heads/"
_GIT_FILE_START = "gitdir: "
_MOUNTED_DATA = "..data"
"""The link through which kubelet's mounted volumes lead, and which it swaps.
Source: Kubernetes, `pkg/volume/util/atomic_writer.go`."""
_MOST_LINKS = 40
"""As many as the kernel follows in one path (path_resolution(7))."""


def is_watched(folder: str) -> bool:
    """Whether a folder, relative to the root, is worth a watch: not hidden, or git's branches."""
    if folder in _GIT_FOLDERS or folder.startswith(_GIT_BRANCHES):
        return True
    return not _is_hidden(folder)


def hint_of(path: str) -> str | None:
    """Returns what a hint names when this path, relative to the root, has changed.

    That is the path itself where it says something for itself alone. It is `ANY_NAME` where it
    says something of others: a moved branch or HEAD is the revision, even if no file changes; the
    index and its lock tell when git ends its work; patterns and mounted volumes decide about other
    names. None: no scan looks at it.
    """
    if path in _GIT_FILES or path.rpartition("/")[2] == _MOUNTED_DATA or path == _IGNORE_FILE:
        return ANY_NAME
    if path.startswith(_GIT_BRANCHES):
        return None if path.endswith(".lock") else ANY_NAME
    return None if _is_hidden(path) else path


def find_doors(root: Path) -> Mapping[Path, frozenset[str]]:
    """Finds the names whose replacement would make `root` another folder.

    They are the root, its resolved path and each link on the way (git-sync swaps a link above
    the root). Returns folder → names in it; a folder may not exist.
    """
    doors: defaultdict[Path, set[str]] = defaultdict(set)
    for path in (root.absolute(), resolve(root), *_links_on_the_way(root.absolute())):
        doors[resolve(path.parent)].add(path.name)
    return {folder: frozenset(names) for folder, names in doors.items()}


def find_git_files(root: Path) -> Mapping[Path, frozenset[str]]:
    """Finds the files outside `root` by which git tells that its checkout has moved.

    A root within a checkout has its `.git` above it, and that of a linked worktree or a submodule
    lies elsewhere: `is_hint` sees neither. The log of HEAD grows with every commit, pull and
    reset, whatever the branch is called (but not where `core.logAllRefUpdates` is off). Returns
    folder → names in it; a folder may not exist. Source: gitrepository-layout(5).
    """
    real = resolve(root)
    folders = (real, *real.parents)
    holder = next((folder for folder in folders if os.path.lexists(folder / ".git")), None)
    git = None if holder is None else _git_folder(holder / ".git")
    if git is None or git.is_relative_to(real):
        return {}
    return {
        git: frozenset({"HEAD", "index", "index.lock"}),
        git / "logs": frozenset({"HEAD"}),
        git / "reftable": frozenset({"tables.list"}),
    }


def _git_folder(path: Path) -> Path | None:
    """Follows a `.git` that is a file and names the folder: ``gitdir: PATH``."""
    if not path.is_file():
        return resolve(path)
    try:
        start, _, target = path.read_text(encoding="utf-8").partition(_GIT_FILE_START)
    except (OSError, UnicodeDecodeError):
        return None
    return None if start or not target else resolve(path.parent / target.rstrip("\n"))


def _links_on_the_way(path: Path) -> set[Path]:
    """Finds the links that the kernel follows to open `path`, those in their targets too."""
    links: set[Path] = set()
    waiting = [path]
    while waiting and len(links) < _MOST_LINKS:
        path = waiting.pop()
        for link in (path, *path.parents):
            if link not in links and link.is_symlink():
                links.add(link)
                waiting.append(resolve(link.parent) / link.readlink())
    return links


def resolve(path: Path) -> Path:
    """Follows all links as far as they lead; never fails, not even on a loop of links."""
    return Path(os.path.realpath(path))


def _is_hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path

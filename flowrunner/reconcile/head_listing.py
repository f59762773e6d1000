"""The names of a commit below the root, as a walk would report them. Pure.

A blob's object id stands where a walk has device, inode and time: it names the content, so that a
file whose id did not change need not be read again.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.reconcile.tree import DEPTH_LIMIT, FILES_LIMIT
from flowrunner.system.files import FileKind, FileStat, Walk, WalkEntry

_FILE_MODES = frozenset({"100644", "100755", "100664"})
_LINK_MODE = "120000"
_MOST_LINKS = 40
"""As many as the kernel follows in one path (path_resolution(7))."""


@dataclass(slots=True)
class HeadListing:
    """What a commit has below the root.

    Attributes:
        files: Object id by path, hidden names too.
        links: Object id of the text of each link.
        submodules: Paths of repositories in the repository: their files are not in it.
        truncated: There are too many names, or too deep ones.
    """

    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    submodules: list[str] = field(default_factory=list)
    truncated: bool = False

    def targets(self, texts: Mapping[str, str], root: Path) -> dict[str, str | None]:
        """Returns where each link leads: a file or a folder of the commit.

        It is empty for a link out of the root, None for one that leads nowhere.

        Args:
            texts: What each link says, by its path.
            root: Where the commit is checked out: a link may name it.
        """
        known = self.files.keys() | {f for path in self.files for f in _parts(path)}
        return {path: _target(path, texts, known, f"{root}/") for path in self.links}

    def contents(self, targets: Mapping[str, str | None]) -> dict[str, str]:
        """Returns the object id of everything that can be read, by each of its paths.

        A link to a folder adds names only where that folder is hidden, as in a walk.
        """
        found = dict(self.files)
        for link, target in sorted(targets.items()):
            if target in self.files:
                found[link] = self.files[target]
            elif target and _is_hidden(target):
                start = f"{target}/"
                for path, name in self.files.items():
                    if path.startswith(start) and not _is_hidden(path[len(start) :]):
                        found.setdefault(f"{link}/{path[len(start) :]}", name)
        return found

    def walk(self, root: Path, targets: Mapping[str, str | None]) -> Walk:
        """Returns the names that do not begin with a dot, sorted."""
        contents = self.contents(targets)
        shown = [
            WalkEntry(path=path, stat=_stat(name), is_link=path in self.links)
            for path, name in contents.items()
            if not _is_hidden(path)
        ]
        for path, name in self.links.items():
            target = targets.get(path)
            if not target and not _is_hidden(path):
                facts = _stat(name, FileKind.LINK)
                shown.append(WalkEntry(path, facts, is_link=True, escapes=target == ""))
        shown.sort(key=lambda entry: entry.path)
        is_cut = self.truncated or len(shown) > FILES_LIMIT
        return Walk(root=root, entries=tuple(shown[:FILES_LIMIT]), truncated=is_cut)


def listing_of(names: Iterable[tuple[str, str, str]]) -> HeadListing:
    """Sorts out what git lists: mode, object id and path of each name."""
    found = HeadListing()
    for count, (mode, name, path) in enumerate(names):
        if count == FILES_LIMIT or path.count("/") >= DEPTH_LIMIT:
            return replace(found, truncated=True)
        if mode in _FILE_MODES:
            found.files[path] = name
        elif mode == _LINK_MODE:
            found.links[path] = name
        else:
            found.submodules.append(path)
    return found


def _stat(name: str, kind: FileKind = FileKind.FILE) -> FileStat:
    return FileStat(kind=kind, size=0, mtime_ns=0, inode=int(name, 16), device=0)


def _target(path: str, texts: Mapping[str, str], known: AbstractSet[str], root: str) -> str | None:
    """Follows a link, and links on its way, through the names of the commit alone."""
    for _ in range(_MOST_LINKS):
        link = next((part for part in (*_parts(path), path) if part in texts), None)
        if link is None:
            return path if path in known else None
        text = texts[link]
        if text.startswith(root):
            path = text.removeprefix(root) + path[len(link) :]
        elif text.startswith("/"):
            return ""
        else:
            path = posixpath.join(posixpath.dirname(link), text) + path[len(link) :]
        path = posixpath.normpath(path)
        if path == ".." or path.startswith("../"):
            return ""
    return None


def _parts(path: str) -> Iterator[str]:
    """Yields the folders above a path, the outermost first."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _is_hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path

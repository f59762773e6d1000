"""The tree of names behind `FakeFiles`: folders, files, links, pipes, and where paths lead."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from flowrunner.system.files import FileKind, FileStat

_DEVICE = 1
_TICK_NS = 1_000_000
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One thing that has a name."""

    kind: FileKind
    mode: int
    inode: int
    data: bytes = b""
    target: str = ""

    def stat(self) -> FileStat:
        """Its facts; each node made later has a later time."""
        return FileStat(
            kind=self.kind,
            size=len(self.data),
            mtime_ns=self.inode * _TICK_NS,
            inode=self.inode,
            device=_DEVICE,
        )


class FileTree:
    """Absolute paths without links in them → nodes."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._made = 0
        self.put("/", FileKind.FOLDER, mode=0o755)

    def resolve(self, path: Path | str, *, last: bool = True) -> str:
        """Follows links as realpath(3) does, the last part only if `last`."""
        waiting = list(reversed(Path(path).parts[1:]))
        where, links = "/", 0
        while waiting:
            part = waiting.pop()
            here = str(Path(where).parent if part == ".." else Path(where, part))
            node = self.nodes.get(here)
            if node is None or node.kind is not FileKind.LINK or not (waiting or last):
                where = here
                continue
            links += 1
            if links > _MOST_LINKS:
                raise _error(OSError, errno.ELOOP, path)
            target = Path(node.target)
            where = "/" if target.is_absolute() else where
            waiting.extend(reversed([each for each in target.parts if each != "/"]))
        return where

    def need(self, where: str) -> Node:
        """Returns the node of a resolved path; raises FileNotFoundError."""
        if where not in self.nodes:
            raise _error(FileNotFoundError, errno.ENOENT, where)
        return self.nodes[where]

    def names(self, where: str) -> list[str]:
        """Returns the sorted names in a resolved folder."""
        if self.need(where).kind is not FileKind.FOLDER:
            raise _error(NotADirectoryError, errno.ENOTDIR, where)
        return sorted(Path(name).name for name in self.below(where) if parent_of(name) == where)

    def below(self, where: str) -> list[str]:
        """Returns all resolved paths below a folder."""
        prefix = where.rstrip("/") + "/"
        return [name for name in self.nodes if name.startswith(prefix) and name != "/"]

    def put(
        self, where: str, kind: FileKind, *, mode: int, data: bytes = b"", target: str = ""
    ) -> None:
        """Places a new node, in the place of another or not."""
        self._made += 1
        self.nodes[where] = Node(kind=kind, mode=mode, inode=self._made, data=data, target=target)

    def make_parents(self, where: str) -> None:
        """Makes what is missing above a resolved path, with 0700."""
        for parent in map(str, reversed(Path(where).parents)):
            if parent not in self.nodes:
                self.put(parent, FileKind.FOLDER, mode=0o700)
            elif self.nodes[parent].kind is not FileKind.FOLDER:
                raise _error(NotADirectoryError, errno.ENOTDIR, where)

    def make_folder(self, path: Path, mode: int) -> None:
        """Makes a folder unless there is one."""
        where = self.resolve(path)
        self.make_parents(where)
        if where not in self.nodes:
            self.put(where, FileKind.FOLDER, mode=mode)
        elif self.nodes[where].kind is not FileKind.FOLDER:
            raise _error(FileExistsError, errno.EEXIST, where)

    def place_file(self, path: Path, data: bytes, mode: int) -> str:
        """Places a file in the place of a file, a link or nothing; returns where it is."""
        where = self.resolve(path, last=False)
        self.refuse_folder(where)
        self.make_parents(where)
        self.put(where, FileKind.FILE, mode=mode, data=data)
        return where

    def refuse_folder(self, where: str) -> None:
        """Raises IsADirectoryError if a folder is there."""
        node = self.nodes.get(where)
        if node is not None and node.kind is FileKind.FOLDER:
            raise _error(IsADirectoryError, errno.EISDIR, where)

    def refuse_known(self, where: str) -> None:
        """Raises FileExistsError if anything is there."""
        if where in self.nodes:
            raise _error(FileExistsError, errno.EEXIST, where)


def parent_of(where: str) -> str:
    """Returns the folder that holds a resolved path."""
    return str(Path(where).parent)


def _error(kind: type[OSError], number: int, path: Path | str) -> OSError:
    return kind(number, os.strerror(number), str(path))

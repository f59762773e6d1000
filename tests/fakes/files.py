"""Files in memory, with faults by order and crashes that forget what was not synced.

The contract suite (`tests/contract/test_files.py`) holds it to the behaviour of the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from flowrunner.system.files import (
    FileKind,
    FileStat,
    FileTooLargeError,
    NotRegularError,
    Walk,
    WalkEntry,
)
from tests.fakes.file_tree import FileTree


class _Fault(NamedTuple):
    operation: str
    path_suffix: str
    error: OSError


class FakeFiles:
    """One file system in memory; all paths are absolute.

    A crash is the strictest one that POSIX allows: whatever was not synced is undone, removals
    too. What a test places with `write`, `link` and `pipe` is durable.

    Attributes:
        calls: Every operation with its path, in order.
        free: What `free_bytes` answers.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, Path]] = []
        self.free = 1 << 40
        self._faults: list[_Fault] = []
        self._tree = FileTree()
        self._durable = dict(self._tree.nodes)

    def read(self, path: Path, *, limit: int) -> bytes:
        self._begin("read", path)
        node = self._tree.need(self._tree.resolve(path))
        if node.kind is not FileKind.FILE:
            raise NotRegularError(f"{path} is not a regular file")
        if len(node.data) > limit:
            raise FileTooLargeError(f"{path} has more than {limit} bytes")
        return node.data

    def replace(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        self._begin("replace", path)
        self._tree.place_file(path, data, mode)

    def replace_each(self, above: Path, name: str, contents: Mapping[str, bytes]) -> None:
        for folder, data in contents.items():
            self.replace(above / folder / name, data)

    def folders_ahead(self, above: Path, names: Sequence[str]) -> AbstractContextManager[None]:
        self._begin("folders_ahead", above)
        return nullcontext()

    def write_new(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        self._begin("write_new", path)
        self._tree.refuse_known(self._tree.resolve(path, last=False))
        self._tree.need(self._tree.resolve(path.parent))
        self._tree.place_file(path, data, mode)

    def replace_durably(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        self._begin("replace_durably", path)
        self._keep(self._tree.place_file(path, data, mode))

    def sync(self, path: Path) -> None:
        self._begin("sync", path)
        self._tree.need(self._tree.resolve(path))
        self._durable = dict(self._tree.nodes)

    def make_folder(self, path: Path, mode: int = 0o700) -> None:
        self._begin("make_folder", path)
        self._tree.make_folder(path, mode)

    def remove(self, path: Path) -> None:
        self._begin("remove", path)
        where = self._tree.resolve(path, last=False)
        self._tree.refuse_folder(where)
        self._tree.nodes.pop(where, None)

    def remove_tree(self, path: Path) -> None:
        self._begin("remove_tree", path)
        where = self._tree.resolve(path, last=False)
        for name in [where, *self._tree.below(where)]:
            self._tree.nodes.pop(name, None)

    def names(self, path: Path) -> list[str]:
        self._begin("names", path)
        return self._tree.names(self._tree.resolve(path))

    def stat(self, path: Path) -> FileStat | None:
        self._begin("stat", path)
        node = self._tree.nodes.get(self._tree.resolve(path, last=False))
        return node.stat() if node else None

    def stats(self, folder: Path, names: Sequence[str]) -> list[FileStat | None]:
        return [self.stat(folder / name) for name in names]

    def walk(self, root: Path, *, depth: int, most: int) -> Walk:
        self._begin("walk", root)
        where = self._tree.resolve(root)
        return _FakeWalk(files=self, tree=self._tree, root=where, depth=depth, most=most).walk()

    def free_bytes(self, path: Path) -> int:
        self._begin("free_bytes", path)
        return self.free

    def fail(self, operation: str, path_suffix: str, error: OSError) -> None:
        """Makes an operation fail, before any effect, on paths that end so, until `mend`.

        The operation ``list`` stands for a folder that cannot be read in a `walk`.
        """
        self._faults.append(_Fault(operation, path_suffix, error))

    def mend(self) -> None:
        """Ends all faults."""
        self._faults.clear()

    def crash(self) -> None:
        """Loses what was not synced; faults stay."""
        self._tree.nodes = dict(self._durable)

    def write(self, path: Path, data: bytes) -> None:
        """Places a file with its parents, as another program would."""
        self._keep(self._tree.place_file(path, data, 0o644))

    def link(self, path: Path, target: Path | str) -> None:
        """Places a symbolic link, or turns an existing one."""
        self._place(path, FileKind.LINK, target=str(target))

    def pipe(self, path: Path) -> None:
        """Places a FIFO."""
        self._place(path, FileKind.OTHER)

    def mode(self, path: Path) -> int:
        """Returns the permission bits of a file or folder."""
        return self._tree.need(self._tree.resolve(path)).mode

    def check(self, operation: str, path: str) -> None:
        """Raises the fault that a test ordered, if there is one."""
        for fault in self._faults:
            if fault.operation == operation and path.endswith(fault.path_suffix):
                raise fault.error

    def _begin(self, operation: str, path: Path) -> None:
        self.calls.append((operation, path))
        self.check(operation, str(path))

    def _place(self, path: Path, kind: FileKind, *, target: str = "") -> None:
        where = self._tree.resolve(path, last=False)
        self._tree.make_parents(where)
        self._tree.put(where, kind, mode=0o644, target=target)
        self._keep(where)

    def _keep(self, where: str) -> None:
        for name in (where, *map(str, Path(where).parents)):
            self._durable[name] = self._tree.nodes[name]


@dataclass(slots=True, kw_only=True)
class _FakeWalk:
    """One walk, written anew from the rules of `Files.walk`."""

    files: FakeFiles
    tree: FileTree
    root: str
    depth: int
    most: int
    entries: list[WalkEntry] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)
    links: list[tuple[str, str]] = field(default_factory=list)
    truncated: bool = False

    def walk(self) -> Walk:
        self._read([(self.root, "")])
        while self.links:
            batch, self.links = sorted(self.links), []
            for path, where in batch:
                self._read([(where, path)])
        return Walk(
            root=Path(self.root),
            entries=tuple(sorted(self.entries, key=lambda entry: entry.path)),
            truncated=self.truncated,
            unreadable=tuple(sorted(self.unreadable)),
        )

    def _read(self, waiting: list[tuple[str, str]]) -> None:
        for where, path in waiting:
            for name in self._list(where, path):
                below = f"{path}/{name}" if path else name
                if len(self.entries) == self.most:
                    self.truncated = True
                    return
                if self._report(f"{where.rstrip('/')}/{name}", below):
                    waiting.append((f"{where.rstrip('/')}/{name}", below))

    def _list(self, where: str, path: str) -> list[str]:
        if where in self.listed:
            return []
        if path and path.count("/") + 2 > self.depth:
            self.truncated = True
            return []
        try:
            self.files.check("list", where)
        except OSError:
            self.unreadable.append(path)
            return []
        self.listed.add(where)
        return [name for name in self.tree.names(where) if not name.startswith(".")]

    def _report(self, where: str, path: str) -> bool:
        """Reports a name; returns whether it is a folder, to be read next."""
        node = self.tree.need(where)
        if node.kind is not FileKind.LINK:
            self.entries.append(WalkEntry(path=path, stat=node.stat()))
            return node.kind is FileKind.FOLDER
        try:
            target = self.tree.resolve(where)
        except OSError:  # a loop of links
            target = where
        escapes = not f"{target}/".startswith(f"{self.root.rstrip('/')}/")
        found = self.tree.nodes.get(target, node)
        self.entries.append(WalkEntry(path=path, stat=found.stat(), is_link=True, escapes=escapes))
        if found.kind is FileKind.FOLDER and not escapes:
            self.links.append((path, target))
        return False

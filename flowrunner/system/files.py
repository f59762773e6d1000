"""Files as a seam: everything kept or read on disk goes through `Files`.

Failures stay `OSError`: their meaning (the state is full, a flow cannot be read) belongs to
the caller. All methods block; callers run them in threads. Log output of executions and the
database have doors of their own.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter
from pathlib import Path
from typing import Protocol

from flowrunner.system.durable import (
    TEMPORARY_PREFIX,
    keeps_owner_bits,
    make_folders,
    replace_content,
    replace_contents,
    sync_file_system,
    write_new_content,
)
from flowrunner.system.folders_ahead import FoldersAhead
from flowrunner.system.removal import remove_tree
from flowrunner.system.walk import (
    FileKind,
    FileStat,
    Walk,
    WalkEntry,
    make_file_stat,
    walk_tree,
)

__all__ = [
    "ChangedWhileReadError",
    "FileKind",
    "FileStat",
    "FileTooLargeError",
    "Files",
    "LocalFiles",
    "NotRegularError",
    "Walk",
    "WalkEntry",
]

_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LEAST_CHUNK_BYTES = 4096
_FACTS = attrgetter("st_size", "st_mtime_ns", "st_ino", "st_dev", "st_ctime_ns")
"""By which it is noticed that a file changed under the reader; its kind is that of the inode."""


class FileTooLargeError(OSError):
    """A file is larger than the reader allows."""


class NotRegularError(OSError):
    """A name does not stand for a regular file: a folder, a pipe, a socket, a device."""


class ChangedWhileReadError(OSError):
    """A file was written, replaced or removed between the first and the last byte read."""


class Files(Protocol):
    """What the project does with files; every method blocks and raises `OSError`."""

    def read(self, path: Path, *, limit: int) -> bytes:
        """Returns the whole content; follows links, never waits for a pipe's writer.

        Raises:
            FileTooLargeError: It has more than `limit` bytes.
            NotRegularError: It is not a regular file.
            ChangedWhileReadError: It changed meanwhile; reading again may succeed.
        """

    def replace(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Swaps the content of a file in one moment; missing parents are made with 0700.

        On failure the old file is whole and nothing is left beside it. Not durable: `sync`
        makes many of these last together.
        """

    def replace_each(self, above: Path, name: str, contents: Mapping[str, bytes]) -> None:
        """Does what `replace` does for the file `name` of many folders below one, by their names.

        After a failure some are swapped and the others as they were; each is whole.
        """

    def folders_ahead(self, above: Path, names: Sequence[str]) -> AbstractContextManager[None]:
        """Makes folders that `replace_each` is going to need, as far as it gets while entered.

        It changes what that call takes, and nothing that it promises.
        """

    def write_new(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Makes a file in a folder that exists; cheaper than `replace`, and no less durable.

        A failure may leave a part of the content.

        Raises:
            FileExistsError: There is something of this name.
        """

    def replace_durably(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Does what `replace` does, and returns when file and folders are on disk.

        When only the last sync fails the new content stands, but may not outlast a crash.
        """

    def sync(self, path: Path) -> None:
        """Makes everything written to the file system of `path` last; `path` must exist."""

    def make_folder(self, path: Path, mode: int = 0o700) -> None:
        """Makes a folder of exactly this mode, its parents with 0700; an existing one stays."""

    def remove(self, path: Path) -> None:
        """Removes a file or a link; nothing happens if there is none."""

    def remove_tree(self, path: Path) -> None:
        """Removes a folder with all in it, or a file; links are removed, never followed."""

    def names(self, path: Path) -> list[str]:
        """Returns the sorted names in a folder, without unfinished content of `replace`."""

    def stat(self, path: Path) -> FileStat | None:
        """Returns the facts of a name, of the link itself if it is one; None if missing."""

    def stats(self, folder: Path, names: Sequence[str]) -> list[FileStat | None]:
        """Returns what `stat` does of names below a folder, which may have several parts.

        One that cannot be looked at counts as missing.
        """

    def walk(self, root: Path, *, depth: int, most: int) -> Walk:
        """Looks at everything below a folder, without opening files.

        Names that begin with a dot are not looked at, except as targets of links. Links are
        reported by their target. A link to a folder inside the root is followed if that
        folder is not listed otherwise: by its own path first, then by the first link.

        Args:
            root: May be a link; it is resolved once.
            depth: Names of at most this many parts are reported; at least 1.
            most: At most this many names are reported; the same ones again for the same
                tree, unless one folder alone holds more.

        Raises:
            FileNotFoundError: There is no such root.
            NotADirectoryError: The root is not a folder.
        """

    def free_bytes(self, path: Path) -> int:
        """Returns the room left for an ordinary user on the file system of `path`."""


class LocalFiles:
    """The files of the host.

    The umask is looked at once: the daemon sets none, so that it stays what it was at the start.
    """

    def __init__(self) -> None:
        self._keeps_owner_bits = keeps_owner_bits()

    def read(self, path: Path, *, limit: int) -> bytes:
        """Reads a regular file whose size, time and inode hold still meanwhile."""
        fd = _open_to_read(path)
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise NotRegularError(f"{path} is not a regular file")
            data = _read_up_to(limit, fd, path, before.st_size)
        finally:
            os.close(fd)
        try:
            after = path.stat()
        except FileNotFoundError as error:
            raise ChangedWhileReadError(f"{path} vanished while it was read") from error
        if _FACTS(after) != _FACTS(before):
            raise ChangedWhileReadError(f"{path} changed while it was read")
        return data

    def replace(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Writes beside the file and renames."""
        replace_content(path, data, mode=mode, durable=False)

    def replace_each(self, above: Path, name: str, contents: Mapping[str, bytes]) -> None:
        """Writes beside each file and renames."""
        replace_contents(above, name, contents, keeps_owner_bits=self._keeps_owner_bits)

    def folders_ahead(self, above: Path, names: Sequence[str]) -> AbstractContextManager[None]:
        """Makes them in another thread."""
        return FoldersAhead(above, names, keeps_owner_bits=self._keeps_owner_bits)

    def write_new(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Writes straight into a new file."""
        write_new_content(path, data, mode=mode, keeps_owner_bits=self._keeps_owner_bits)

    def replace_durably(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Writes beside the file, syncs, renames, syncs the folder."""
        replace_content(path, data, mode=mode, durable=True)

    def sync(self, path: Path) -> None:
        """Syncs the file system at once."""
        sync_file_system(path)

    def make_folder(self, path: Path, mode: int = 0o700) -> None:
        """Makes a folder and its parents."""
        make_folders(path, mode, keeps_owner_bits=self._keeps_owner_bits)

    def remove(self, path: Path) -> None:
        """Unlinks a name."""
        path.unlink(missing_ok=True)

    def remove_tree(self, path: Path) -> None:
        """Removes without following links, also when others remove at the same time."""
        remove_tree(path)

    def names(self, path: Path) -> list[str]:
        """Lists a folder."""
        with os.scandir(path) as found:
            names = [entry.name for entry in found]
        return sorted(name for name in names if not name.startswith(TEMPORARY_PREFIX))

    def stat(self, path: Path) -> FileStat | None:
        """Looks at a name."""
        try:
            return make_file_stat(os.lstat(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def stats(self, folder: Path, names: Sequence[str]) -> list[FileStat | None]:
        """Looks at names from their folder: the kernel finds them twice as fast as whole paths."""
        if not names:
            return []
        fd = os.open(folder, _FOLDER_FLAGS)
        try:
            return [_stat_below(fd, name) for name in names]
        finally:
            os.close(fd)

    def walk(self, root: Path, *, depth: int, most: int) -> Walk:
        """Scans the tree; about 5 µs a name."""
        return walk_tree(root, depth=depth, most=most)

    def free_bytes(self, path: Path) -> int:
        """Asks statvfs(3)."""
        facts = os.statvfs(path)
        return facts.f_bavail * facts.f_frsize


def _stat_below(fd: int, name: str) -> FileStat | None:
    try:
        return make_file_stat(os.stat(name, dir_fd=fd, follow_symlinks=False))
    except OSError:
        return None


def _open_to_read(path: Path) -> int:
    """Opens without waiting for a pipe's writer; a socket cannot be opened at all."""
    try:
        return os.open(path, _READ_FLAGS)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NotRegularError(f"{path} is not a regular file") from error
        raise


def _read_up_to(limit: int, fd: int, path: Path, size: int) -> bytes:
    """Reads to the end, whatever the size said: a file may grow meanwhile.

    As many bytes as it said, and no more where more were asked for, are all of them.
    """
    chunks: list[bytes] = []
    room = limit + 1
    while size <= limit and room > 0:
        chunk = os.read(fd, min(room, max(size + 1, _LEAST_CHUNK_BYTES)))
        if not chunk or (len(chunk) == size and not chunks):
            return b"".join([*chunks, chunk])
        chunks.append(chunk)
        room -= len(chunk)
    raise FileTooLargeError(f"{path} has more than {limit} bytes")

"""A folder of this user's own: what lies in it can be trusted, or else it is left alone.

For what may be lost at any time, such as a cache. Nothing here raises for the state of the disk:
a folder that another user owns or may write to, a full disk, a missing right all mean that nothing
is found or kept.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from flowrunner.system.durable import make_folders, replace_content

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def user_cache_folder(environment: Mapping[str, str]) -> Path | None:
    """Returns where this user's caches lie; None when no folder is known for them.

    Source: XDG Base Directory Specification, `$XDG_CACHE_HOME`, which must be absolute.
    """
    for name, below in (("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
        folder = environment.get(name, "")
        if folder.startswith("/"):
            return Path(folder, below, "flowrunner")
    return None


class PrivateFolder:
    """Files of one folder, which is made with 0700 when something is first kept."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, *, limit: int) -> bytes | None:
        """Returns the content of a file; None if there is none that can be trusted.

        Args:
            name: A plain name.
            limit: Bytes; a longer file counts as missing.
        """
        try:
            data = self._read(name, limit + 1) if self._is_ours() else None
        except OSError:
            return None
        return data if data is not None and len(data) <= limit else None

    def replace(self, name: str, data: bytes) -> bool:
        """Swaps the content of a file in one moment; returns whether it is kept now."""
        try:
            make_folders(self._path, 0o700)
            if not self._is_ours():
                return False
            replace_content(self._path / name, data, mode=0o600, durable=False)
        except OSError:
            return False
        return True

    def keep_newest(self, count: int, beginning: str = "") -> None:
        """Removes all files whose name begins so, but those written last."""
        try:
            if not self._is_ours():
                return
            with os.scandir(self._path) as found:
                names = [
                    (facts.st_mtime_ns, entry.name)
                    for entry in found
                    if entry.name.startswith(beginning)
                    and stat.S_ISREG((facts := entry.stat(follow_symlinks=False)).st_mode)
                ]
            for _, name in sorted(names, reverse=True)[count:]:
                (self._path / name).unlink(missing_ok=True)
        except OSError:
            return

    def _read(self, name: str, most: int) -> bytes | None:
        fd = os.open(self._path / name, _FLAGS)
        try:
            if not _is_private(os.fstat(fd), stat.S_ISREG):
                return None
            with open(fd, "rb", closefd=False) as file:
                return file.read(most)
        finally:
            os.close(fd)

    def _is_ours(self) -> bool:
        return _is_private(os.lstat(self._path), stat.S_ISDIR)


def _is_private(facts: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    is_own = facts.st_uid == os.geteuid() and not facts.st_mode & _OTHERS_WRITE
    return is_own and is_kind(facts.st_mode)

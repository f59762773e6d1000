"""Removing a folder with all in it, links not followed.

The folders of executions hold a script and some empty folders: those are gone after one look,
where `shutil.rmtree`, which may have to go down into anything, asks the system five times as much.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

_LOOK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: Path) -> None:
    """Removes a folder, or a file or link, or nothing, also when others remove at the same time.

    Raises:
        OSError: Something stays.
    """
    try:
        fd = os.open(path, _LOOK)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):  # no folder, or a link to one
            path.unlink(missing_ok=True)
            return
        raise
    try:
        is_empty = _emptied(fd)
    finally:
        os.close(fd)
    if not is_empty or not _is_gone(path):
        _remove_all(path)


def _emptied(fd: int) -> bool:
    """Removes what lies in a folder, and returns False at the first thing that has more in it."""
    with os.scandir(fd) as found:
        for entry in found:
            try:
                if entry.is_dir(follow_symlinks=False):
                    os.rmdir(entry.name, dir_fd=fd)
                else:
                    os.unlink(entry.name, dir_fd=fd)
            except OSError:
                return False
    return True


def _is_gone(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError:
        return False
    return True


def _remove_all(path: Path) -> None:
    import shutil  # late: it loads compression libraries, and start-up time is a budget

    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise

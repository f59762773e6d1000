"""Whether the system would run a program, asked before a shell is started that becomes it.

Without the shell the system itself says so when the program is loaded. Behind it a missing program
would be an exit code of the shell, and a file without a first line for an interpreter would run as
a script of the shell.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

_SHEBANG = b"#!"
_HEAD_BYTES = 256
"""How much of the first line counts. Source: execve(2), "Interpreter scripts"."""


def check_program(name: str, environment: Mapping[str, str], folder: Path) -> None:
    """Returns if a program can be loaded; reads its first bytes.

    Args:
        name: Looked for in the `PATH` of the environment when it has no slash.
        environment: The whole environment it will have.
        folder: Where it will start; other than absolute paths are relative to it.

    Raises:
        OSError: As execve(2) would, with `filename` set to the name.
    """
    if "/" in name:
        _check(folder / name, name)
        return
    refused: OSError | None = None
    for place in environment.get("PATH", os.defpath).split(os.pathsep):
        try:
            _check(folder / place / name, name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:  # another place may have one that runs. Source: execvp(3)
            refused = refused or error
        else:
            return
    raise refused or _error(errno.ENOENT, name)


def _check(path: Path, name: str) -> None:
    try:
        is_file = path.is_file()
    except PermissionError as error:
        raise _error(errno.EACCES, name) from error
    if not is_file:
        raise _error(errno.EACCES if path.is_dir() else errno.ENOENT, name)
    if not os.access(path, os.X_OK):
        raise _error(errno.EACCES, name)
    _check_head(path, name)


def _check_head(path: Path, name: str) -> None:
    try:
        # A pipe may have come into its place meanwhile: nobody is waited for.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:  # it may be run, not read: the system knows better
        return
    try:
        head = os.read(fd, _HEAD_BYTES)
    finally:
        os.close(fd)
    if not head.startswith(_SHEBANG):
        if b"\0" not in head:  # text, or nothing at all
            raise _error(errno.ENOEXEC, name)
        return
    words = head[len(_SHEBANG) :].split(b"\n", 1)[0].split()
    if not words:
        raise _error(errno.ENOEXEC, name)
    if not os.access(os.fsdecode(words[0]), os.F_OK):
        raise _error(errno.ENOENT, name)


def _error(number: int, name: str) -> OSError:
    return OSError(number, os.strerror(number), name)

"""The bytes of a file, or what is wrong with it before anybody looks into it."""

from __future__ import annotations

from typing import Protocol

from flowrunner.definitions import codes
from flowrunner.model.finding import Finding
from flowrunner.reconcile.tree import UnstableSourceError
from flowrunner.system.files import (
    ChangedWhileReadError,
    FileKind,
    FileTooLargeError,
    NotRegularError,
    WalkEntry,
)

FILE_LIMIT = 1024 * 1024
"""Bytes of a file that is read."""


class Reads(Protocol):
    """Reads a name; raises as `Tree.read`."""

    def __call__(self, path: str, *, limit: int) -> bytes: ...  # noqa: D102 - above


def bytes_of(name: str, read: Reads) -> bytes | Finding:
    """Returns the content of a file, or why there is none.

    Raises:
        UnstableSourceError: It changed or vanished while it was read.
    """
    try:
        return read(name, limit=FILE_LIMIT)
    except (ChangedWhileReadError, FileNotFoundError) as error:
        raise UnstableSourceError(f"{name} changed while it was read") from error
    except FileTooLargeError:
        return fault(name, codes.TOO_LARGE, f"larger than {FILE_LIMIT // 1024} KiB")
    except NotRegularError:
        return fault(name, codes.NOT_READABLE, "not a regular file")
    except OSError as error:
        return fault(name, codes.NOT_READABLE, f"cannot be read: {error.strerror}")


def refused(entry: WalkEntry) -> Finding | None:
    """Returns why a name is not to be read, or None."""
    if entry.escapes:
        return fault(entry.path, codes.SYMLINK_OUTSIDE, "a link that leaves the flows")
    if entry.stat.kind is FileKind.LINK:
        return fault(entry.path, codes.NOT_READABLE, "a link that leads nowhere")
    return None


def fault(path: str, code: codes.Code, message: str) -> Finding:
    """Returns a finding about a file as a whole."""
    return Finding(file=path, code=code.code, message=message)


def homeless(path: str) -> Finding:
    """Returns why a file is no flow that lies where no account has its folder."""
    folder, slash, _ = path.partition("/")
    where = f"no account has the folder {folder!r}" if slash else "it lies in no folder"
    return Finding(
        file=path,
        line=1,
        column=1,
        code=codes.NO_ACCOUNT.code,
        message=f"the flow of this file belongs to no account: {where}",
        hint="move it into the folder of an account, or map this one in `accounts` of the settings",
    )

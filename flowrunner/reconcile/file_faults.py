"""What is wrong with a file before anybody looks into it."""

from __future__ import annotations

from flowrunner.definitions import codes
from flowrunner.model.finding import Finding
from flowrunner.system.files import FileKind, WalkEntry


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

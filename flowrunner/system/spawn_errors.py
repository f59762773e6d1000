"""Why a process was not started, in words; names and values, which may be data, go into details."""

from __future__ import annotations

import errno
from pathlib import Path

from flowrunner.errors import ExecutionError
from flowrunner.system.family import SHELL

_LONGEST_DETAIL = 255
_MUST_EXIST = "it must be a folder that exists and may be entered before the program starts"
_TOO_LARGE = (
    "its arguments and environment are larger than the system takes (128 KiB each, 2 MiB in all as "
    "a rule); pass large data in a file, such as one below $WORK_DIR or a webhook's "
    "$FLOW_PAYLOAD_FILE"
)
"""Source: execve(2), "Limits on size of arguments and environment": E2BIG."""


def spawn_error(
    program: str | None, folder: Path | None, error: OSError | ValueError
) -> ExecutionError:
    """Returns why nothing was started.

    Args:
        program: The first word of the command; None where it was not known yet.
        folder: Where it was to start.
        error: What the system, or Python, said.
    """
    told = {"error": str(error)[:_LONGEST_DETAIL]}
    reason = getattr(error, "strerror", None) or type(error).__name__
    if program is None:
        text = f"the attempt cannot be prepared: {reason}"
        return ExecutionError(text, code="spawn_failed", details=told)
    if isinstance(error, ValueError):  # a NUL byte in an argument or a value, '=' in a name
        text = "the command cannot be passed to the system"
        return ExecutionError(text, code="spawn_failed", details=told, final=True)
    details = {"program": program[:_LONGEST_DETAIL], "cwd": str(folder)[:_LONGEST_DETAIL]}
    # Popen names the folder when changing to it failed, and else the program: the shell where one
    # was to become it.
    if error.filename in (program, *SHELL):
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            text = "command not found, or the interpreter that its first line names"
            return ExecutionError(text, code="command_not_found", details=details, final=True)
        if isinstance(error, PermissionError) or error.errno == errno.ENOEXEC:
            text = f"not executable: {reason}"
            return ExecutionError(text, code="not_executable", details=details, final=True)
        if error.errno == errno.E2BIG:
            text = f"cannot start: {_TOO_LARGE}"
            return ExecutionError(text, code="spawn_failed", details=details, final=True)
    text = f"cannot start: {reason}"
    if error.filename == folder:
        text = f"cannot start in its working_dir: {reason}; {_MUST_EXIST}"
    return ExecutionError(text, code="spawn_failed", details=details | told)

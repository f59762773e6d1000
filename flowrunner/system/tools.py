"""Short commands of the system (git), run to their end in the calling thread."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol

from flowrunner.errors import FlowError

_OUTPUT_SHOWN = 300


class ToolFailedError(FlowError):
    """A tool is missing, failed or took too long."""

    default_code = "tool.failed"


class ToolRunner(Protocol):
    """Runs a tool and returns its standard output; blocks."""

    def __call__(self, argv: Sequence[str], *, timeout_s: float) -> str:
        """Raises `ToolFailedError` for a missing tool, another exit code than 0, a time-out."""


def run_tool(argv: Sequence[str], *, timeout_s: float) -> str:
    """Runs a tool with a bare environment and no input, in a session of its own.

    Whatever the tool started (git's filters, say) ends with it when it takes too long: its
    process group is killed. A process that has left the group is not reached.

    Raises:
        ToolFailedError: It is missing, failed, or took longer than `timeout_s` seconds.
    """
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }
    try:
        code, output, errors = _run(argv, env, timeout_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailedError(f"{argv[0]}: {error}") from error
    if code != 0:
        text = errors.decode(errors="replace").strip()[:_OUTPUT_SHOWN]
        raise ToolFailedError(f"{argv[0]} exited with {code}: {text}")
    return output.decode(errors="replace")


def _run(argv: Sequence[str], env: Mapping[str, str], timeout_s: float) -> tuple[int, bytes, bytes]:
    """Returns the exit code, standard output and standard error."""
    with subprocess.Popen(
        list(argv),
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as tool:
        try:
            output, errors = tool.communicate(timeout=timeout_s)
        except BaseException:
            # Not reaped yet, even if it has ended and only its pipes are held open: so the
            # number of its group cannot have been given to anyone else.
            if tool.returncode is None:
                os.killpg(tool.pid, signal.SIGKILL)
            raise
    return tool.returncode, output, errors

"""Short commands of the system (git), run to their end in the calling thread."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
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
    """Runs a tool with a bare environment and no input.

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
        done = subprocess.run(
            list(argv),
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailedError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace").strip()[:_OUTPUT_SHOWN]
        raise ToolFailedError(f"{argv[0]} exited with {done.returncode}: {text}")
    return done.stdout.decode(errors="replace")

"""Row 13: how long the shortest commands take, against a bare interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("flowrunner"))


def command_s(*arguments: str) -> float:
    """Returns the seconds of one `flowrunner` command that must succeed."""
    return _took([COMMAND, *arguments])


def interpreter_s() -> float:
    """Returns the seconds of an interpreter that does nothing."""
    return _took([sys.executable, "-c", "pass"])


def _took(argv: list[str]) -> float:
    # An installed command has its bytecode; a shell that forbids writing it would hide that.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=env)
    return time.perf_counter() - began

"""How the process of a shell-like node is started, beside its command and its environment.

Pure values out of the flow format; `flowrunner.nodes.prologue` makes words for the system of them.
"""

from __future__ import annotations

from typing import TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.model.expressions import Template
from flowrunner.model.ids import Json

SCRIPT = "{0}"
"""Stands in the words of `shell` for the path of the script."""

SHELLS = {
    "sh": ("/bin/sh", "-e", SCRIPT),
    "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail", SCRIPT),
}
"""The words of `shell` that need no list."""

USER_NAME = "^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"
"""Source: useradd(8), with capitals, as directories in the network have them; never a number."""

Shell: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What each process of an attempt may use; None: what the daemon itself may.

    Attributes:
        memory: Bytes of address space. Source: setrlimit(2), RLIMIT_AS.
        cpu_time_s: Whole seconds of processor time. RLIMIT_CPU.
        files: Open files, the three standard ones included. RLIMIT_NOFILE.
        processes: Processes and threads of the user, all of them counted. RLIMIT_NPROC.
    """

    memory: int | None = None
    cpu_time_s: int | None = None
    files: int | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """What a node says about its process.

    Attributes:
        shell: What runs a script, with `SCRIPT` in the place of its path.
        working_dir: Absolute, or relative to `$WORK_DIR`; None means that folder itself.
        umask: Octal digits; None: that of the daemon.
        nice: 0 to 19, added to that of the daemon.
        stdin: A text or a template; None: nothing can be read.
        user: Whose rights it has; None: the daemon's.
    """

    shell: Shell = SHELLS["sh"]
    working_dir: str | None = None
    umask: str | None = None
    nice: int = 0
    stdin: Template | Json = None
    user: str | None = None
    limits: Limits = Limits()


PLAIN_PROCESS = ProcessSpec()
"""A node that says nothing."""

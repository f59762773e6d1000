"""The mark of an attempt: the variables by which its processes are known.

Every process of an attempt carries them in the environment it was started with, unless it has
been given another. The id of an execution is unique in the world, and `WORK_DIR` lies below the
state directory that a daemon has locked: so two daemons of a host, or of containers that see each
other's processes, cannot take each other's attempts for their own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flowrunner.dataclass import dataclass

PROC = Path("/proc")
MARKS = ("EXECUTION_ID", "NODE_ID", "ATTEMPT")
"""Variables that every attempt has, whose names a flow cannot set itself. Source: FLOW_FORMAT,
section 4."""

_NAMES = (*MARKS, "WORK_DIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Which attempt of which daemon."""

    execution: str
    node: str
    attempt: str
    work: str

    @property
    def text(self) -> str:
        """The attempt in one word, for names and logs."""
        return f"{self.execution}.{self.node}.{self.attempt}"


def mark_in(environment: Mapping[str, str]) -> Mark | None:
    """Returns the mark that an environment carries; None if it is not whole."""
    values = [environment.get(name) for name in _NAMES]
    if None in values:
        return None
    execution, node, attempt, work = (value or "" for value in values)
    return Mark(execution=execution, node=node, attempt=attempt, work=work)


def mark_of(pid: int, proc: Path = PROC) -> Mark | None:
    """Returns the mark of a process; None without a whole one, or if we may not read it."""
    try:
        data = (proc / str(pid) / "environ").read_bytes()
    except OSError:  # it has ended, or belongs to another user
        return None
    pairs = (entry.partition("=") for entry in os.fsdecode(data).split("\0"))
    return mark_in({name: value for name, _, value in pairs if name in _NAMES})

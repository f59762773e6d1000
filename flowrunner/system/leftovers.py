"""What a killed daemon left running: found by its mark, and killed before anything is armed.

Descent tells nothing then: the orphans of a killed daemon are children of init. Who has shed the
mark as well and whose parent has ended is not found here; the cgroup of a unit holds it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Collection, Sequence
from pathlib import Path

from flowrunner.system.marks import PROC, mark_of
from flowrunner.system.process_table import (
    ProcessFacts,
    Table,
    read_table,
    send,
    wait_for_end,
)

_LOG = logging.getLogger(__name__)
_PATIENCE_S = 5.0


class MarkedLeftovers:
    """Ends processes of attempts that nobody carries any more.

    Args:
        work: The folder of the state directory in which every `WORK_DIR` lies.
        own_pid: The daemon's process: it, its ancestors and what descends from it are spared.
    """

    def __init__(self, work: Path, own_pid: int) -> None:
        self._own_pid = own_pid
        self._work = os.path.realpath(work), str(work)

    async def kill(self, executions: Collection[str]) -> int:
        """Kills what is left of executions and waits until it is gone, 5 seconds at most.

        What cannot be killed is logged.

        Args:
            executions: Their ids. Others are not touched: another daemon, in a container say, may
                have a state directory of the same name.

        Returns:
            How many processes were found.
        """
        wanted, killed = frozenset(executions), set[int]()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while members := await asyncio.to_thread(self._look, wanted):
                    killed.update(facts.pid for facts in members)
                    for facts in members:
                        send(facts, signal.SIGKILL)
                    for facts in members:
                        await wait_for_end(facts)
        except (TimeoutError, OSError) as error:
            _LOG.warning("process.survivors of an earlier daemon: %r", error)
        return len(killed)

    def _look(self, wanted: frozenset[str]) -> Sequence[ProcessFacts]:
        """Returns the marked and their descendants; never us, our ancestors or our children."""
        table, own = read_table(), self._own_pid
        spared = _line_of(own, table)
        lines = {pid: _line_of(pid, table) for pid in table.keys() - spared}
        lines = {pid: line for pid, line in lines.items() if own not in line}
        marked = {pid for pid in lines if self._is_left(pid, wanted)}
        return [table[pid] for pid, line in lines.items() if table[pid].is_alive and marked & line]

    def _is_left(self, pid: int, wanted: frozenset[str]) -> bool:
        mark = mark_of(pid, PROC)
        if mark is None or mark.execution not in wanted:
            return False
        return any(mark.work.startswith(f"{work}/{mark.execution}/") for work in self._work)


def _line_of(pid: int, table: Table) -> set[int]:
    """Returns a process and its ancestors."""
    line: set[int] = set()
    current = table.get(pid)
    while current is not None and current.pid not in line:
        line.add(current.pid)
        current = table.get(current.parent)
    return line

"""The processes of the host at one moment, read from /proc, and signals to exactly them.

A number may be given to a stranger as soon as its process is reaped. So a process is known by its
number and the time of its start, and both are looked at again when a pidfd holds the number.
Who belongs to whom is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.system.marks import PROC

_ENDED = frozenset("ZXx")
"""States of a process that runs no more, reaped or not. Source: proc(5), /proc/pid/stat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """What the kernel shows of a process.

    Attributes:
        threads: 1 for one that has ended and is not reaped.
        start: When it began, in clock ticks since the boot.
    """

    pid: int
    state: str
    parent: int
    group: int
    session: int
    threads: int
    start: int

    @property
    def is_alive(self) -> bool:
        """Whether it still runs, or may run on, be it without its first thread."""
        return self.state not in _ENDED or self.threads > 1


Table = Mapping[int, ProcessFacts]


def read_table(
    proc: Path = PROC, read: Callable[[int, Path], ProcessFacts | None] | None = None
) -> Table:
    """Returns every process that we may see; blocks for about 20 µs a process.

    Args:
        proc: Where the kernel shows its processes.
        read: Reads one of them; `read_facts` by default.

    Raises:
        OSError: They cannot be told: this process has run out of descriptors.
    """
    read = read or read_facts
    numbers = [int(name) for name in os.listdir(proc) if name.isdigit()]  # noqa: PTH208 - hot path
    found = (read(pid, proc) for pid in numbers)
    table = {facts.pid: facts for facts in found if facts is not None}
    # A parent may have ended between its turn and its child's, whose parent is another by now.
    # One that is hidden from us stays unknown.
    for facts in [facts for facts in table.values() if facts.parent not in table]:
        again = read(facts.pid, proc)
        if again is not None and again.start == facts.start:
            table[facts.pid] = again
    return table


def read_facts(pid: int, proc: Path = PROC) -> ProcessFacts | None:
    """Returns the facts of one process; None if there is none, or it is hidden."""
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - hot path
            line = file.read(4096).decode("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name, in parentheses, may hold anything, also a parenthesis.
    fields = line.rpartition(")")[2].split()
    return ProcessFacts(
        pid=pid,
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        threads=int(fields[17]),
        start=int(fields[19]),
    )


def newest_number(proc: Path = PROC) -> bytes:
    """Returns the number of the newest process; nothing where the kernel's view is cut down."""
    try:
        with open(f"{proc}/loadavg", "rb", buffering=0) as file:  # noqa: PTH123 - hot path
            return file.read(256).split()[-1]
    except FileNotFoundError:  # ProcSubset=pid
        return b""


def send(facts: ProcessFacts, number: int) -> None:
    """Signals a process, and nobody who may have its number by now.

    One of another user is out of reach.

    Raises:
        OSError: This process has run out of descriptors.
    """
    pidfd = _open(facts)
    if pidfd is None:
        return
    try:
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)


async def wait_for_end(facts: ProcessFacts) -> None:
    """Returns once a process has ended. Safe to cancel.

    Raises:
        OSError: This process has run out of descriptors.
    """
    pidfd = _open(facts)
    if pidfd is None:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(pidfd, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _open(facts: ProcessFacts) -> int | None:
    """Returns a pidfd of exactly this process; None when it is gone."""
    try:
        pidfd = os.pidfd_open(facts.pid)
    except ProcessLookupError:
        return None
    now = read_facts(facts.pid)
    if now is not None and now.start == facts.start and now.is_alive:
        return pidfd
    os.close(pidfd)
    return None

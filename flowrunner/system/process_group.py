"""Who is still in a process group: read from /proc, waited for by pidfd.

The kernel has no call that waits for a group of processes that are not our children. So its
members are looked up, each is waited for without polling (pidfd_open(2) takes any process), and
then they are looked up again, until there is nobody: what a member started meanwhile is in the
group too. Signals, and the leader's own end, are left to `flowrunner.system.process`.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_ENDED = frozenset("ZXx")
"""States of a process that runs no more, reaped or not. Source: proc(5), /proc/pid/stat."""

_LOOKS = 10
"""As many looks at one group at most, one after the other."""


def members_of(group: int, proc: Path = _PROC) -> list[int]:
    """Returns the live processes of a group; blocks for about 20 µs a process of the host.

    Args:
        group: The number of the group.
        proc: Where the kernel shows its processes. Those of other users may be hidden from us;
            they are out of reach for our signals too.
    """
    numbers = [int(name) for name in os.listdir(proc) if name.isdigit()]  # noqa: PTH208 - hot path
    return [pid for pid in numbers if _is_member(pid, group, proc)]


async def wait_until_empty(group: int) -> None:
    """Returns once no process of a group is alive. Safe to cancel.

    Raises:
        OSError: The members cannot be told: the process has run out of descriptors.
    """
    while members := await asyncio.to_thread(_look, group):
        for pid in members:
            await _wait_for_member(pid, group)


async def wait_for_killed(group: int, timeout_s: float) -> None:
    """Waits for what was killed in a group whose leader is reaped, `timeout_s` seconds at most.

    Usually nobody is left, which one system call tells: the number stays the group's for as long
    as it has members. It can be given anew in that moment; then a stranger costs the time limit.
    """
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # the latter: a user whom no kill reached
        return
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(timeout_s):
            await wait_until_empty(group)


def _look(group: int) -> list[int]:
    """Returns the live members, and nobody only if nobody was started while we looked.

    A member that starts another and ends before its turn comes would hide both of them. On a
    host that starts processes all the time the last look counts.
    """
    members: list[int] = []
    for _ in range(_LOOKS):
        newest = _newest()
        members = members_of(group)
        if members or _newest() == newest:
            break
    return members


def _newest() -> bytes:
    """Returns the number of the newest process; nothing where the kernel's view is cut down."""
    try:
        with open(f"{_PROC}/loadavg", "rb", buffering=0) as file:  # noqa: PTH123 - hot path
            return file.read(256).split()[-1]
    except FileNotFoundError:  # ProcSubset=pid
        return b""


async def _wait_for_member(pid: int, group: int) -> None:
    """Returns once a process is no live member any more: by its end, or because it has left."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(pidfd, ended.set)
        # Looked at again now that the number is held: it may have been given to a stranger.
        if _is_member(pid, group, _PROC):
            await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _is_member(pid: int, group: int, proc: Path) -> bool:
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - hot path
            line = file.read(4096).decode("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    # The name, in parentheses, may hold anything, also a parenthesis.
    state, _parent, its_group = line.rpartition(")")[2].split()[:3]
    return state not in _ENDED and int(its_group) == group

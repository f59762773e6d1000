"""Families in cgroups: each attempt in one of its own, which nobody leaves by accident.

Used where the service manager has delegated its cgroup to us (`Delegate=` of systemd). Below it
the daemon moves to a leaf of its own (`DelegateSubgroup=` is newer than systemd 252), and each
attempt gets a leaf that it enters before its command is loaded. Source: systemd.io,
"Control Group APIs and Delegation".

What descends from us is reaped as without cgroups. Limits of memory or processor are not set here.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from flowrunner.system.cgroup import PROCS, Cgroup
from flowrunner.system.descent import signal_group
from flowrunner.system.family import SHELL
from flowrunner.system.marks import PROC, mark_in
from flowrunner.system.subreaper import Orphans

_LOG = logging.getLogger(__name__)
_LEAF, _ATTEMPT, _CONTROL = "daemon", "attempt-", ".control"
_LONGEST_NAME = 255
_DELEGATED = ("user.delegate", "trusted.delegate")
"""Set to 1 by systemd. Source: systemd.io, "Control Group APIs and Delegation"."""

_ENTER = 'echo 0 >"$1" || exit 125; shift; {unset}exec "$@"'
_SET_BY_SHELLS = ("OLDPWD", "PWD", "SHLVL", "_")
"""Variables that a shell adds to the environment of what it starts."""

_LEFTOVER_S = 5.0


class CgroupFamilies:
    """Holds each family in a cgroup of its own below a delegated one.

    Args:
        base: The folder of the delegated cgroup; see `find_delegated`.
    """

    kind = "cgroup"

    def __init__(self, base: Path) -> None:
        self._base = base
        self._leaders: set[int] = set()
        self._orphans = Orphans(self._leaders.__contains__)
        self._numbers = itertools.count(1)
        self._survivors: list[Cgroup] = []

    def occupy(self) -> None:
        """Moves this process to its leaf, and ends what an earlier daemon left; blocks.

        Raises:
            OSError: The system refuses.
        """
        leaf = self._base / _LEAF
        leaf.mkdir(exist_ok=True)
        (leaf / PROCS).write_text("0")
        for cgroup in attempts_below(self._base):
            _end(cgroup)

    def enclose(self, environment: Mapping[str, str]) -> _CgroupEnclosure:
        """As `Families.enclose` says."""
        mark = mark_in(environment)
        name = f"{_ATTEMPT}{next(self._numbers)}.{mark.text if mark else ''}"
        path = self._base / name[:_LONGEST_NAME].rstrip(".")
        path.mkdir()
        added = [variable for variable in _SET_BY_SHELLS if variable not in environment]
        return _CgroupEnclosure(self, Cgroup(path), added)

    async def tidy(self) -> None:
        """As `Families.tidy` says: groups whose families are over are killed once more."""
        self._orphans.reap()
        if self._survivors:
            survivors, self._survivors = self._survivors, []
            self._survivors += [cgroup for cgroup in survivors if not await _end_soon(cgroup)]

    def add(self, leader: int) -> None:
        """Begins a family."""
        self._leaders.add(leader)

    def remove(self, leader: int) -> None:
        """Ends a family, and buries what it has left dead."""
        self._leaders.remove(leader)
        self._orphans.reap()

    def survives(self, cgroup: Cgroup) -> None:
        """Keeps a group in mind in which somebody has outlived SIGKILL."""
        self._survivors.append(cgroup)


class _CgroupEnclosure:
    """Meets `Enclosure`."""

    def __init__(self, families: CgroupFamilies, cgroup: Cgroup, added: Sequence[str]) -> None:
        self._families = families
        self._cgroup = cgroup
        unset = f"unset {' '.join(added)}; " if added else ""
        text = _ENTER.format(unset=unset)
        self.prologue = (*SHELL, text, "sh", str(cgroup.path / PROCS))

    def found(self, leader: int) -> _CgroupFamily:
        self._families.add(leader)
        return _CgroupFamily(self._families, self._cgroup, leader)

    def abandon(self) -> None:
        with suppress(OSError):
            _end(self._cgroup)


class _CgroupFamily:
    """Meets `Family`. The leader may not have entered yet: its group is signalled too."""

    def __init__(self, families: CgroupFamilies, cgroup: Cgroup, leader: int) -> None:
        self._families = families
        self._cgroup = cgroup
        self._leader = leader

    async def signal(self, *numbers: int) -> None:
        with suppress(OSError):
            await asyncio.to_thread(self._signal, numbers)

    async def until_empty(self) -> None:
        await self._cgroup.until_empty()

    def end(self) -> bool:
        signal_group(self._leader, signal.SIGKILL)
        return False  # the rest is work on a file system

    async def kill(self, timeout_s: float) -> bool:
        self.end()
        try:
            if await asyncio.to_thread(self._cgroup.remove):
                return True
            await asyncio.to_thread(self._cgroup.kill)
            async with asyncio.timeout(timeout_s):
                await self._cgroup.until_empty()
            await asyncio.to_thread(self._cgroup.remove)
        except (TimeoutError, OSError) as error:
            _LOG.warning("process.survivors cgroup=%s: %r", self._cgroup.path.name, error)
            self._families.survives(self._cgroup)
            return False
        return True

    def close(self) -> None:
        self._families.remove(self._leader)

    def _signal(self, numbers: Sequence[int]) -> None:
        members = {facts.pid for facts in self._cgroup.members()}
        if self._leader not in members:
            for number in numbers:
                signal_group(self._leader, number)
        self._cgroup.send(*numbers)


def find_delegated(proc: Path = PROC) -> Path | None:
    """Returns the folder of a cgroup that is delegated to this process; None if none is.

    In doubt none: a group that somebody else manages, or in which another process has made
    itself at home, is not touched.
    """
    own = own_cgroup(proc)
    if own is None:
        return None
    base = own.parent if own.name == _LEAF and not _is_delegated(own) else own
    if not _is_delegated(base) or not os.access(base / PROCS, os.W_OK):
        return None
    pids = (facts.pid for facts in Cgroup(base / _LEAF).members())
    return base if all(pid == os.getpid() for pid in pids) else None


def own_cgroup(proc: Path = PROC) -> Path | None:
    """Returns the folder of this process' cgroup of version 2; None without one."""
    mount, path = _mount_of_cgroups(proc), cgroup_path(proc / "self")
    return None if mount is None or path is None else mount / path.lstrip("/")


def cgroup_path(process: Path) -> str | None:
    """Returns the path of a process' cgroup of version 2, as the kernel tells it.

    Args:
        process: Its folder in /proc.
    """
    try:
        lines = (process / "cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)


def attempt_prefix(proc: Path = PROC) -> str | None:
    """Returns how the paths of attempts' groups begin, for the daemon in its leaf; else None."""
    path = cgroup_path(proc / "self")
    if path is None or not path.endswith(f"/{_LEAF}"):
        return None
    return path.removesuffix(_LEAF) + _ATTEMPT


def manager_group(proc: Path = PROC) -> Path | None:
    """Returns where systemd puts what it starts for `ExecReload=`, for the daemon in its leaf.

    Source: systemd.exec(5) and systemd's `exec_child()`: control processes of a delegated unit.
    """
    own = own_cgroup(proc)
    return None if own is None or own.name != _LEAF else own.parent / _CONTROL


def attempts_below(base: Path) -> Iterator[Cgroup]:
    """Yields the groups of attempts, also of those that an earlier daemon left."""
    for folder in sorted(base.glob(f"{_ATTEMPT}*")):
        yield Cgroup(folder)


def _mount_of_cgroups(proc: Path) -> Path | None:
    """Source: proc(5), /proc/pid/mountinfo: root, mount point, …, `-`, type."""
    for line in (proc / "self/mountinfo").read_text(errors="replace").splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2" and fields[3] == "/":
            return Path(fields[4])
    return None


def _is_delegated(folder: Path) -> bool:
    for name in _DELEGATED:
        with suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


async def _end_soon(cgroup: Cgroup) -> bool:
    """Kills a group once more, and says whether it is gone."""
    try:
        if not await asyncio.to_thread(cgroup.remove):
            await asyncio.to_thread(cgroup.kill)
            return False
    except OSError:
        return False
    return True


def _end(cgroup: Cgroup) -> None:
    """Kills and removes a group; blocks, for `_LEFTOVER_S` at most."""
    if cgroup.remove():
        return
    cgroup.kill()
    if not cgroup.wait_empty(_LEFTOVER_S) or not cgroup.remove():
        _LOG.warning("process.survivors cgroup=%s", cgroup.path.name)

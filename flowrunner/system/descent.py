"""Families without a cgroup: known by group, session, descent and mark.

We are the child subreaper of all that we start. So everything an attempt has left running is
below us, and the topmost of each such line is a child of ours: an attempt's leader, or an orphan.
An orphan is its attempt's by session or process group, else by the mark in its environment. One
that has shed all three is of some attempt that began before it: it is taken as part of the last
one of these that has not ended, or of all when they end together.

What a process of an attempt does to hide below another attempt of the same user is not seen
through. Only a cgroup holds whoever does not want to be held.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from flowrunner.dataclass import dataclass
from flowrunner.system.marks import Mark, mark_in, mark_of
from flowrunner.system.process_table import (
    ProcessFacts,
    Table,
    newest_number,
    read_table,
    send,
    wait_for_end,
)
from flowrunner.system.subreaper import Orphans

_LOG = logging.getLogger(__name__)
_LOOKS = 10
"""As many looks for one answer at most."""

UNOWNED, _UNKNOWN, OF_ENDING = 0, -1, -2
"""In the place of a leader: no attempt can own it any more; more than one may, or it is no
attempt's; more than one may, and all of them are being ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Who is whose at one moment.

    Attributes:
        members: By leader: the live processes of its family, the leader's own too. Those that no
            attempt can own any more stand under `UNOWNED`.
        orphans: The leader of each orphan that could be told.
        is_steady: Whether no process was started meanwhile. A member that starts another and ends
            before its turn comes would hide both of them.
    """

    members: Mapping[int, Sequence[ProcessFacts]]
    orphans: Mapping[int, int]
    is_steady: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """An attempt that is being started: its processes may run, its leader is not known yet.

    Attributes:
        start: No process of it began before, in clock ticks since the boot.
    """

    mark: Mark | None
    start: int


class DescentFamilies:
    """Holds families together by what the kernel tells of their processes."""

    kind = "descent"

    def __init__(self) -> None:
        self._leaders: dict[int, Mark | None] = {}
        self._ending: set[int] = set()
        self._newcomers: dict[_Descent, Newcomer] = {}
        self._orphans = Orphans(self._leaders.__contains__)
        self._known: dict[int, int] = {}
        self._current: asyncio.Task[Owners] | None = None
        self._next: asyncio.Task[Owners] | None = None

    def enclose(self, environment: Mapping[str, str]) -> _Descent:
        """As `Families.enclose` says; needs nothing of the system."""
        enclosure = _Descent(self, mark_in(environment))
        self._newcomers[enclosure] = Newcomer(mark=enclosure.mark, start=_now())
        return enclosure

    def reap(self) -> bool:
        """Buries the orphans that have ended; returns whether others live on."""
        buried, is_any_left = self._orphans.reap()
        for pid in buried:
            self._known.pop(pid, None)
        return is_any_left

    async def tidy(self) -> None:
        """As `Families.tidy` says."""
        if not self.may_be_left(UNOWNED):
            return
        with suppress(OSError):
            for facts in (await self._look_anew()).members.get(UNOWNED, ()):
                send(facts, signal.SIGKILL)

    def add(self, enclosure: _Descent, leader: int) -> None:
        """Begins a family."""
        self._leaders[leader] = enclosure.mark
        self.forget(enclosure)

    def forget(self, enclosure: _Descent) -> None:
        """Ends the start of an attempt."""
        self._newcomers.pop(enclosure, None)

    def remove(self, leader: int) -> None:
        """Ends a family."""
        del self._leaders[leader]
        self._ending.discard(leader)

    def begin_end(self, leader: int) -> None:
        """Says that whoever is left of a family is being killed."""
        self._ending.add(leader)

    def may_be_left(self, leader: int) -> bool:
        """Whether anybody may live on of a family whose leader has ended."""
        if not self.reap():
            return False
        try:
            orphans = self._orphans.pids()
        except OSError:
            return True
        # An orphan keeps its number until we bury it, so what was found out of it stays true.
        others = self._leaders.keys() - {leader}
        return not orphans or any(self._known.get(pid) not in others for pid in orphans)

    async def members(self, leader: int) -> Sequence[ProcessFacts]:
        """Returns who is alive of a family; nobody only if nobody can have been overlooked.

        On a host that starts processes all the time the last of some looks counts.

        Raises:
            OSError: It cannot be told for want of descriptors.
        """
        for _ in range(_LOOKS):
            owners = await self._look_anew()
            found = (*owners.members.get(leader, ()), *self._of_ending(leader, owners))
            if found:
                return found
            if owners.is_steady:
                break
        return ()

    def _of_ending(self, leader: int, owners: Owners) -> Sequence[ProcessFacts]:
        return owners.members.get(OF_ENDING, ()) if leader in self._ending else ()

    async def _look_anew(self) -> Owners:
        """Returns what a look that begins after this call finds; those who ask at a time share it.

        A look costs some milliseconds of the processor, and many attempts may end together.
        """
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._look_after(self._current), name="look")
        return await asyncio.shield(self._next)

    async def _look_after(self, current: asyncio.Task[Owners] | None) -> Owners:
        if current is not None:
            await asyncio.wait([current])
        self._current, self._next = self._next, None
        owners = await asyncio.to_thread(self._look)
        orphans = self._orphans.pids()  # some may be buried by now, and their numbers free
        self._known = {pid: owner for pid, owner in owners.orphans.items() if pid in orphans}
        return owners

    def _look(self) -> Owners:
        newest, table = newest_number(), read_table()
        # All that follows is asked for after the table: who is a child of ours there is an orphan
        # by now, and its attempt known. A newcomer becomes a leader before it leaves.
        orphans, newcomers = self._orphans.pids(), tuple(self._newcomers.values())
        judge = Judge(table, orphans, dict(self._leaders), newcomers, frozenset(self._ending))
        owners = tell_owners(table, os.getpid(), judge)
        return replace(owners, is_steady=newest_number() == newest)


class Judge:
    """Says whose a child of ours is.

    Args:
        table: The processes of the host.
        orphans: Children of ours that are orphans for sure.
        leaders: Leaders of families that are not over, with their marks.
        newcomers: Attempts that are being started.
        ending: Leaders of families that are being killed.
        mark_of: Reads the mark of a process.
    """

    def __init__(
        self,
        table: Table,
        orphans: frozenset[int],
        leaders: Mapping[int, Mark | None],
        newcomers: Sequence[Newcomer],
        ending: frozenset[int] = frozenset(),
        *,
        mark_of: Callable[[int], Mark | None] = mark_of,
    ) -> None:
        self.orphans = orphans
        self._leaders = leaders
        self._ending = ending
        self._by_mark = {newcomer.mark: _UNKNOWN for newcomer in newcomers}
        self._by_mark |= {mark: pid for pid, mark in leaders.items()}
        self._mark_of = mark_of
        self._starts = [(table[pid].start, pid) for pid in leaders if pid in table]
        self._starts += [(newcomer.start, _UNKNOWN) for newcomer in newcomers]

    def owner_of(self, root: ProcessFacts) -> int:
        """Returns the leader of the family that a child of ours is of, or a word in its place."""
        for number in (root.pid, root.session, root.group):
            if number in self._leaders:
                return number
        mark = self._mark_of(root.pid)
        if mark is not None and mark in self._by_mark:
            return self._by_mark[mark]
        if root.pid not in self.orphans:
            return _UNKNOWN
        candidates = [pid for start, pid in self._starts if start <= root.start]
        if len(candidates) > 1:
            return OF_ENDING if self._ending.issuperset(candidates) else _UNKNOWN
        return candidates[0] if candidates else UNOWNED


def tell_owners(table: Table, own: int, judge: Judge) -> Owners:
    """Returns who is whose among the processes of the host; `own` is our number."""
    by_root = {facts.pid: judge.owner_of(facts) for facts in table.values() if facts.parent == own}
    members: dict[int, list[ProcessFacts]] = {}
    for facts in table.values():
        owner = by_root.get(_root_of(facts, table, own), _UNKNOWN)
        if owner != _UNKNOWN and facts.is_alive:
            members.setdefault(owner, []).append(facts)
    told = {pid: owner for pid, owner in by_root.items() if pid in judge.orphans and owner > 0}
    return Owners(members=members, orphans=told)


def _root_of(facts: ProcessFacts, table: Table, own: int) -> int:
    """Returns the ancestor that is a child of ours; `_UNKNOWN` for who does not descend from us."""
    seen: set[int] = set()
    current: ProcessFacts | None = facts
    while current is not None and current.pid not in seen:
        if current.parent == own:
            return current.pid
        seen.add(current.pid)
        current = table.get(current.parent)
    return _UNKNOWN


class _Descent:
    """Meets `Enclosure`: nothing is enclosed."""

    prologue: Sequence[str] = ()

    def __init__(self, families: DescentFamilies, mark: Mark | None) -> None:
        self._families = families
        self.mark = mark

    def found(self, leader: int) -> _DescentFamily:
        self._families.add(self, leader)
        return _DescentFamily(self._families, leader)

    def abandon(self) -> None:
        """Whoever spawned has killed the group; who has left it is found by `tidy`."""
        self._families.forget(self)


class _DescentFamily:
    """Meets `Family`."""

    def __init__(self, families: DescentFamilies, leader: int) -> None:
        self._families = families
        self._leader = leader

    async def signal(self, *numbers: int) -> None:
        for number in numbers:
            signal_group(self._leader, number)
        with suppress(OSError):
            for facts in await self._families.members(self._leader):
                if facts.group != self._leader:
                    for number in numbers:
                        send(facts, number)

    async def until_empty(self) -> None:
        while members := await self._families.members(self._leader):
            for facts in members:
                await wait_for_end(facts)
            self._families.reap()

    def end(self) -> bool:
        self._families.begin_end(self._leader)
        signal_group(self._leader, signal.SIGKILL)
        return not self._families.may_be_left(self._leader)

    async def kill(self, timeout_s: float) -> bool:
        if self.end():
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._kill_all()
        except (TimeoutError, OSError) as error:
            _LOG.warning("process.survivors leader=%d: %r", self._leader, error)
            return False
        return True

    def close(self) -> None:
        self._families.remove(self._leader)

    async def _kill_all(self) -> None:
        """Kills in rounds: who was started during one is found by the next."""
        while members := await self._families.members(self._leader):
            for facts in members:
                send(facts, signal.SIGKILL)
            for facts in members:
                await wait_for_end(facts)
        self._families.reap()


def _now() -> int:
    """Returns the clock ticks since the boot, as /proc/pid/stat counts them; rounded down."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def signal_group(leader: int, number: int) -> None:
    """Signals the process group of a leader that is not reaped.

    Until then its number cannot be given to another group. Nothing happens when everybody left
    has become another user (a setuid program).
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)

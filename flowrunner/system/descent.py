"""Families without a cgroup: known by group, session, descent and mark.

We are the child subreaper of all that we start. So everything an attempt has left running is
below us, and the topmost of each such line is a child of ours: an attempt's leader, or an orphan.
An orphan is its attempt's by session or process group, else by the mark in its environment. One
that has shed all three is of some attempt that began before it: it is taken as part of the last
one of these to end.

What a process of an attempt does to hide below another attempt of the same user is not seen
through. Only a cgroup holds whoever does not want to be held.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

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
"""As many looks at one table at most, one after the other."""

_NOBODY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Who is whose at one moment.

    Attributes:
        members: By leader: the live processes of its family, the leader's own too.
        orphans: The leader of each orphan that could be told.
    """

    members: Mapping[int, Sequence[ProcessFacts]]
    orphans: Mapping[int, int]


class DescentFamilies:
    """Holds families together by what the kernel tells of their processes."""

    kind = "descent"

    def __init__(self) -> None:
        self._leaders: dict[int, Mark | None] = {}
        self._orphans = Orphans(self._leaders.__contains__)
        self._known: dict[int, int] = {}

    def enclose(self, environment: Mapping[str, str]) -> _Descent:
        """As `Families.enclose` says; needs nothing of the system."""
        return _Descent(self, mark_in(environment))

    def reap(self) -> None:
        """As `Families.reap` says."""
        for pid in self._orphans.reap():
            self._known.pop(pid, None)

    def add(self, leader: int, mark: Mark | None) -> None:
        """Begins a family."""
        self._leaders[leader] = mark

    def remove(self, leader: int) -> None:
        """Ends a family."""
        del self._leaders[leader]

    def may_be_left(self, leader: int) -> bool:
        """Whether anybody may live on of a family whose leader has ended."""
        self.reap()
        if not self._orphans.any():
            return False
        try:
            orphans = self._orphans.pids()
        except OSError:
            return True
        # An orphan keeps its number until we bury it, so what was found out of it stays true.
        others = self._leaders.keys() - {leader}
        return not orphans or any(self._known.get(pid) not in others for pid in orphans)

    async def members(self, leader: int) -> Sequence[ProcessFacts]:
        """Returns who is alive of a family.

        Raises:
            OSError: It cannot be told for want of descriptors.
        """
        owners = await asyncio.to_thread(self._look, dict(self._leaders), leader)
        self._known.update(owners.orphans)
        return owners.members.get(leader, ())

    def _look(self, leaders: Mapping[int, Mark | None], asking: int) -> Owners:
        """Returns who is whose; says nobody only if nobody was started while we looked.

        A member that starts another and ends before its turn comes would hide both of them. On a
        host that starts processes all the time the last look counts.
        """
        looks = 1
        while True:
            newest, table = newest_number(), read_table()
            # Asked for after the table: who is a child of ours there is an orphan by now.
            orphans = self._orphans.pids()
            owners = tell_owners(table, os.getpid(), orphans, leaders, asking=asking)
            if owners.members.get(asking) or newest_number() == newest or looks == _LOOKS:
                return owners
            looks += 1


def tell_owners(
    table: Table,
    own: int,
    orphans: frozenset[int],
    leaders: Mapping[int, Mark | None],
    *,
    asking: int,
    mark_of: Callable[[int], Mark | None] = mark_of,
) -> Owners:
    """Returns who is whose.

    Args:
        table: The processes of the host.
        own: Our own number.
        orphans: Children of ours that are orphans for sure.
        leaders: Leaders of families that are not over, with their marks.
        asking: The leader whose family is over; what nobody else can own is its.
        mark_of: Reads the mark of a process.
    """
    judge = _Judge(table, orphans, leaders, asking, mark_of)
    by_root = {facts.pid: judge.owner_of(facts) for facts in table.values() if facts.parent == own}
    members: dict[int, list[ProcessFacts]] = {}
    for facts in table.values():
        owner = by_root.get(_root_of(facts, table, own), _NOBODY)
        if owner != _NOBODY and facts.is_alive:
            members.setdefault(owner, []).append(facts)
    told = {pid: owner for pid, owner in by_root.items() if pid in orphans and owner != _NOBODY}
    return Owners(members=members, orphans=told)


class _Judge:
    """Says whose a child of ours is."""

    def __init__(
        self,
        table: Table,
        orphans: frozenset[int],
        leaders: Mapping[int, Mark | None],
        asking: int,
        mark_of: Callable[[int], Mark | None],
    ) -> None:
        self._table = table
        self._orphans = orphans
        self._leaders = leaders
        self._by_mark = {mark: pid for pid, mark in leaders.items() if mark is not None}
        self._asking = asking
        self._mark_of = mark_of

    def owner_of(self, root: ProcessFacts) -> int:
        """Returns the leader of the family that a child of ours is of, or `_NOBODY`."""
        for number in (root.pid, root.session, root.group):
            if number in self._leaders:
                return number
        mark = self._mark_of(root.pid)
        if mark in self._by_mark:
            return self._by_mark[mark]
        is_heir = root.pid in self._orphans and not self._others_before(root)
        return self._asking if is_heir else _NOBODY

    def _others_before(self, root: ProcessFacts) -> bool:
        """Whether another family may own it: one whose leader is not younger."""
        others = (self._table.get(pid) for pid in self._leaders if pid != self._asking)
        return any(leader is not None and leader.start <= root.start for leader in others)


def _root_of(facts: ProcessFacts, table: Table, own: int) -> int:
    """Returns the ancestor that is a child of ours; `_NOBODY` for who does not descend from us."""
    seen: set[int] = set()
    current: ProcessFacts | None = facts
    while current is not None and current.pid not in seen:
        if current.parent == own:
            return current.pid
        seen.add(current.pid)
        current = table.get(current.parent)
    return _NOBODY


class _Descent:
    """Meets `Enclosure`: nothing is enclosed."""

    prologue: Sequence[str] = ()

    def __init__(self, families: DescentFamilies, mark: Mark | None) -> None:
        self._families = families
        self._mark = mark

    def found(self, leader: int) -> _DescentFamily:
        self._families.add(leader, self._mark)
        return _DescentFamily(self._families, leader)

    def abandon(self) -> None:
        """Whoever spawned has killed the group, within moments of its start."""


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

    async def kill(self, timeout_s: float) -> bool:
        signal_group(self._leader, signal.SIGKILL)
        if not self._families.may_be_left(self._leader):
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


def signal_group(leader: int, number: int) -> None:
    """Signals the process group of a leader that is not reaped.

    Until then its number cannot be given to another group. Nothing happens when everybody left
    has become another user (a setuid program).
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)

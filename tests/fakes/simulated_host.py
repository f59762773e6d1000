"""A host on paper: its processes outlive the daemon that started them.

A process group is a leader and one child. When each of them ends is known from the start, in
the time that all lives share; a signal brings it forward.
"""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from flowrunner.errors import ExecutionError
from flowrunner.system.output import OutputSink
from flowrunner.system.process import DRAIN_S, ExitStatus, SpawnRequest
from tests.fakes.simulated_loop import current_life

KILLED = ExitStatus(signal="SIGKILL")
TERMINATED = ExitStatus(signal="SIGTERM")


@dataclass(slots=True, kw_only=True)
class Group:
    """One process group of the host.

    Attributes:
        env: The environment of its leader.
        life: Which life of the daemon started it.
        leader_until: When the leader ends; infinite: when a signal ends it.
        child_until: The same for the child.
        on_term_s: How long both take to end on SIGTERM; None: they ignore it.
    """

    env: Mapping[str, str]
    life: int
    leader_until: float
    child_until: float
    status: ExitStatus
    on_term_s: float | None = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def lives(self, now: float) -> bool:
        """Whether anybody of the group is there."""
        return max(self.leader_until, self.child_until) > now

    def end(self, at: float, status: ExitStatus, *, child_too: bool = True) -> None:
        """Brings the end forward to an instant, if it is later."""
        if at < self.leader_until:
            self.leader_until, self.status = at, status
        if child_too:
            self.child_until = min(self.child_until, at)
        self.changed.set()


Plan = Callable[[SpawnRequest, float], Group]
"""Says what becomes of a request at an instant; told before the process exists."""


class SimulatedHost:
    """All processes, of all lives.

    Attributes:
        spares_children: Plants a bug: signals reach the leaders alone.
    """

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.spares_children = False

    def living(self, lives: Collection[int], now: float) -> list[Group]:
        """Returns the groups that these lives started and that still live."""
        return [each for each in self.groups if each.life in lives and each.lives(now)]

    def lose_power(self, now: float) -> None:
        """Ends everything."""
        for group in self.groups:
            group.end(now, KILLED)


class SimulatedLeftovers:
    """Meets `flowrunner.engine.runtime.Leftovers`."""

    def __init__(self, host: SimulatedHost, life: int) -> None:
        self._host = host
        self._life = life

    async def kill(self, executions: Collection[str]) -> int:
        now = current_life().time()
        found = [
            group
            for group in self._host.living(range(self._life), now)
            if group.env["EXECUTION_ID"] in executions
        ]
        for group in found:
            group.end(now, KILLED)
        return len(found)


class SimulatedProcess:
    """Meets `flowrunner.system.process.Process`."""

    def __init__(self, pid: int, group: Group, host: SimulatedHost, output: OutputSink) -> None:
        self.pid = pid
        self._group = group
        self._host = host
        self._output = output
        self._loop = current_life()
        self._is_closed = False
        self._pipes_open = True

    async def wait(self) -> ExitStatus:
        while (left_s := self._group.leader_until - self._loop.time()) > 0:
            await self._until_changed(left_s)
        return self._group.status

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        await self.wait()
        self._end_pipes()

    async def vacate(self, timeout_s: float) -> bool:
        deadline = self._loop.time() + timeout_s
        while self._group.lives(now := self._loop.time()):
            if now >= deadline:
                return False
            ends = max(self._group.leader_until, self._group.child_until)
            await self._until_changed(min(ends, deadline) - now)
        return True

    async def signal_all(self, *numbers: int) -> None:
        if not self._is_closed and not self._loop.is_dead:
            for number in numbers:
                self._signal(number)

    async def close(self) -> None:
        await self.signal_all(signal.SIGKILL)
        self._is_closed = True
        self._end_pipes()

    def _signal(self, number: int) -> None:
        now, child_too = self._loop.time(), not self._host.spares_children
        if number == signal.SIGKILL:
            self._group.end(now, KILLED, child_too=child_too)
        elif number == signal.SIGTERM and self._group.on_term_s is not None:
            self._group.end(now + self._group.on_term_s, TERMINATED, child_too=child_too)

    async def _until_changed(self, timeout_s: float) -> None:
        """Waits for the time or for a signal, whichever comes first."""
        self._group.changed.clear()
        if math.isinf(timeout_s):
            await self._group.changed.wait()
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._group.changed.wait()
        except TimeoutError:
            return

    def _end_pipes(self) -> None:
        if self._pipes_open:
            self._pipes_open = False
            self._output.end("stdout")
            self._output.end("stderr")


class SimulatedSpawner:
    """Meets `flowrunner.system.process.Spawner` for one life of the daemon."""

    def __init__(self, host: SimulatedHost, plan: Plan) -> None:
        self._host = host
        self._plan = plan

    async def spawn(
        self, prepare: Callable[[], SpawnRequest], output: OutputSink
    ) -> SimulatedProcess:
        loop = current_life()
        try:
            request = await loop.run_in_executor(None, prepare)
        except OSError as error:
            text = f"the attempt cannot be prepared: {error.strerror}"
            raise ExecutionError(text, code="spawn_failed") from error
        if loop.is_dead:
            raise asyncio.CancelledError
        group = self._plan(request, loop.time())
        self._host.groups.append(group)
        return SimulatedProcess(1000 + len(self._host.groups), group, self._host, output)

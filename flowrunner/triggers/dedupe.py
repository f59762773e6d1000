"""Duplicates: is this delivery one that was accepted before?

A delivery's identity becomes the unique `start_key` of its execution, so that two copies at the
same moment start it once, also across a restart. Where the sender signs neither an id nor a
time, a changed id would let a recorded body pass again: such bodies are remembered for five
minutes, in memory (what a restart knows of them: `flowrunner.triggers.recalling`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple, Self, TypeAlias

from flowrunner.model.execution import FormerKey
from flowrunner.model.ids import ExecutionId
from flowrunner.storage.protocols import ExecutionStore
from flowrunner.system.clock import Clock

SAME_BODY_S = 300.0
"""How long the same signed body is a duplicate where neither id nor time is signed."""
_BODIES_LIMIT = 100_000

_Lines: TypeAlias = dict[str, deque[asyncio.Future[None]]]
"""Who waits for each name that somebody has the turn at, in their order."""


class Keys(NamedTuple):
    """The unique key of a delivery, and the one it would have had in the length before."""

    start_key: str
    former: FormerKey


class Duplicates:
    """Finds earlier deliveries, and names new ones.

    A key holds the number of its window's length since the epoch, so that the same identity
    may come again after its window; the key of the length before is asked for too. Two copies
    at the end of a length would so get two keys: they must take their `turn`.
    """

    def __init__(self, executions: ExecutionStore, clock: Clock) -> None:
        self._executions = executions
        self._clock = clock
        self._bodies: OrderedDict[str, tuple[float, ExecutionId]] = OrderedDict()
        self._turns: _Lines = {}

    def turn(self, hook: str, *identities: str) -> Turn:
        """Lets the copies of one delivery pass one after the other.

        `identities` is what copies share, in an order that is the same for every delivery; an
        empty one is shared with nobody.
        """
        shared = dict.fromkeys(filter(None, identities))
        return Turn(self._turns, [_name(hook, identity) for identity in shared])

    def keys(self, hook: str, identity: str, window_s: float) -> Keys:
        """Returns the keys of a delivery that comes now."""
        now = self._clock.now()
        key, number = _key(hook, identity), int(now.timestamp() // window_s)
        former = FormerKey(f"{key}{number - 1}", now - _length(window_s))
        return Keys(f"{key}{number}", former)

    async def find(self, keys: Keys) -> ExecutionId | None:
        """Returns the execution that one of them stands for within the window, or None."""
        former, since = keys.former
        return await self._executions.find(keys.start_key, former, since=since)

    def remember_body(
        self, hook: str, identity: str, execution_id: ExecutionId, window_s: float = SAME_BODY_S
    ) -> None:
        """Keeps the `body_identity` of what was signed in mind for so many seconds."""
        name = _name(hook, identity)
        self._bodies[name] = (self._clock.monotonic() + window_s, execution_id)
        self._bodies.move_to_end(name)
        if len(self._bodies) > _BODIES_LIMIT:
            self._bodies.popitem(last=False)

    def find_body(self, hook: str, identity: str) -> ExecutionId | None:
        """Returns the execution of the same signed bytes, while they are kept in mind, or None."""
        now = self._clock.monotonic()
        while self._bodies and next(iter(self._bodies.values()))[0] < now:
            self._bodies.popitem(last=False)
        until, found = self._bodies.get(_name(hook, identity), (now, None))
        return found if until >= now else None

    @staticmethod
    def body_identity(body: bytes) -> str:
        """Returns an identity for a delivery that has none but its body."""
        return f"body:{hashlib.sha256(body).hexdigest()}"


class Turn:
    """Has the turn at some names for the length of a block, taken in their order.

    Mostly nobody else is there: then it is a word in a dictionary, where a lock for each name would
    be made and thrown away, and nothing to wait for. Where it `is_behind`, the block begins with
    `come`.
    """

    def __init__(self, lines: _Lines, names: Sequence[str]) -> None:
        self._lines = lines
        self._names = names
        self._taken: list[str] = []

    def __enter__(self) -> Self:
        """Takes them up to the first that somebody has."""
        for name in self._names:
            if name in self._lines:
                break
            self._lines[name] = deque()
            self._taken.append(name)
        return self

    def __exit__(self, *_: object) -> None:
        """Gives back those that it has."""
        while self._taken:
            self._hand_over(self._taken.pop())

    @property
    def is_behind(self) -> bool:
        """Whether others have the turn at one of them."""
        return len(self._taken) < len(self._names)

    async def come(self) -> None:
        """Returns when it has the turn at all of them."""
        for name in self._names[len(self._taken) :]:
            if name in self._lines:
                await self._wait(name)
            else:
                self._lines[name] = deque()
            self._taken.append(name)

    async def _wait(self, name: str) -> None:
        """Returns when the turn at a name is handed over."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines[name].append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():  # it was handed over in this very turn of the loop
                self._taken.append(name)
            raise

    def _hand_over(self, name: str) -> None:
        """Gives a name to the first who still waits for it."""
        line = self._lines[name]
        while line:
            waiter = line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        del self._lines[name]


@lru_cache
def _length(window_s: float) -> timedelta:
    return timedelta(seconds=window_s)


def _key(hook: str, identity: str) -> str:
    """Returns the unique key of a delivery, but for the number of the window's length."""
    name = hashlib.sha256(identity.encode(errors="replace") + b"\0").hexdigest()
    return f"delivery:{hook}:{name}:"


def _name(hook: str, identity: str) -> str:
    return f"{hook}\0{identity}"

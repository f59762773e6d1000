"""Identifiers as a seam: execution ids that sort by creation, and replaceable randomness.

Source: RFC 9562, section 5.7 (UUID version 7) and 6.2 (monotonicity, method 1).
"""

from __future__ import annotations

import os
from typing import Protocol

from flowrunner.model.ids import ExecutionId
from flowrunner.system.clock import Clock

_BLOCK = 4096
_COUNTER_LIMIT = 1 << 12
_SEED_MASK = 0x7FF  # the highest bit of a fresh counter stays 0, which leaves room to count
_TAIL_MASK = (1 << 62) - 1


class RandomSource(Protocol):
    """Randomness, such as `random.SystemRandom` or in tests a seeded `random.Random`."""

    def randbytes(self, n: int, /) -> bytes:
        """Returns `n` random bytes."""


class BlockRandom:
    """The system's randomness, taken in blocks: a call for each few bytes costs more than they do.

    Each byte is given out once. Not for a process that forks: both would give out the same.
    """

    def __init__(self, block: int = _BLOCK) -> None:
        self._size = block
        self._block = b""
        self._used = 0

    def randbytes(self, n: int, /) -> bytes:
        """Returns `n` random bytes."""
        if self._used + n > len(self._block):
            self._block, self._used = os.urandom(max(n, self._size)), 0
        begin, self._used = self._used, self._used + n
        return self._block[begin : self._used]


class IdSource(Protocol):
    """Makes identifiers; owned by one thread."""

    def execution_id(self) -> ExecutionId:
        """Returns a new id that sorts after every earlier one of this source."""


class Uuid7Ids:
    """UUIDv7 with a counter in `rand_a`.

    Ids keep rising within one millisecond and when the wall clock goes back: then the last
    time seen stays in use. A counter that is full borrows the next millisecond.
    """

    def __init__(self, clock: Clock, random: RandomSource) -> None:
        self._clock = clock
        self._random = random
        self._milliseconds = -1
        self._counter = 0

    def execution_id(self) -> ExecutionId:
        """Returns a new UUIDv7 in canonical text form."""
        noise = int.from_bytes(self._random.randbytes(10), "big")
        self._step(noise >> 64)
        time, tail = f"{self._milliseconds:012x}", f"{0b10 << 62 | noise & _TAIL_MASK:016x}"
        return ExecutionId(f"{time[:8]}-{time[8:]}-7{self._counter:03x}-{tail[:4]}-{tail[4:]}")

    def _step(self, noise: int) -> None:
        now = int(self._clock.now().timestamp() * 1000)
        if now > self._milliseconds:
            self._milliseconds = now
            self._counter = noise & _SEED_MASK
            return
        self._counter += 1
        if self._counter == _COUNTER_LIMIT:
            self._milliseconds += 1
            self._counter = noise & _SEED_MASK

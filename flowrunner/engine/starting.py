"""Starts nodes a few in each turn of the loop: 10,000 may be ready at once, and others wait too."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from flowrunner.model.flow import NodeSpec

MOST_A_TURN = 50
"""Nodes that are started in one turn; to start and to try one takes a tenth of a millisecond."""


class Starting:
    """The nodes that are ready and not started yet, in their order.

    Args:
        start: Starts some nodes.
        fault: Told of what `start` raises in a later turn.
        done: Called in a later turn, when no node is left.

    Attributes:
        is_under_way: Whether `done` is still to be called.
    """

    def __init__(
        self,
        start: Callable[[Iterable[NodeSpec]], None],
        fault: Callable[[BaseException], None],
        done: Callable[[], None],
    ) -> None:
        self._start = start
        self._fault = fault
        self._done = done
        self._ready: deque[NodeSpec] = deque()
        self.is_under_way = False

    def add(self, ready: Iterable[NodeSpec]) -> None:
        """Starts nodes: at once, as far as it is their turn."""
        self._ready.extend(ready)
        if not self.is_under_way:
            self._start_some()

    def clear(self) -> None:
        """Leaves the nodes that are not started yet."""
        self._ready.clear()

    def _start_some(self) -> None:
        self._start([self._ready.popleft() for _ in range(min(len(self._ready), MOST_A_TURN))])
        self.is_under_way = bool(self._ready)
        if self.is_under_way:
            asyncio.get_running_loop().call_soon(self._start_more)

    def _start_more(self) -> None:
        try:
            self._start_some()
        except Exception as error:  # noqa: BLE001 - the run, which waits, shall hear of it
            self._ready.clear()
            self.is_under_way = False
            self._fault(error)
        if not self.is_under_way:
            self._done()

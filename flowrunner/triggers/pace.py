"""How fast slots that are due together start: about as fast as their nodes find a place.

To accept a thousand executions at once keeps loop and journal from the first of them, which could
be at work meanwhile. So starts wait while as many nodes wait for a place of the host as it has:
but some go on all the same, for what they start may need no place.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

MOST_UNDER_WAY = 20
"""Starts that are being accepted at a time: about as many as a commit of the journal takes."""

MOST_IN_CROWD, PATIENCE_S = 10, 0.04
"""Starts in so many seconds while the line is long."""

_LOOK_S = 0.002
"""Until the next look at the line of those who wait, which tells nobody that it is short."""


class Pace:
    """Lets starts begin, in their order: an async context for each of them.

    Args:
        is_crowded: Whether those who wait for a place keep all places busy for a while.
    """

    def __init__(self, is_crowded: Callable[[], bool]) -> None:
        self._is_crowded = is_crowded
        self._line: deque[asyncio.Future[None]] = deque()
        self._under_way = 0
        self._in_crowd = 0
        self._since = -math.inf
        self._look: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        if not self._line and self._may_begin():
            self._under_way += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        self._look_soon()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn came in the same moment
                self._end()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._under_way -= 1
        self._serve()

    def _serve(self) -> None:
        """Lets begin whose turn it is."""
        while self._line and (self._line[0].done() or self._may_begin()):
            turn = self._line.popleft()
            if not turn.done():  # else it was cancelled
                self._under_way += 1
                turn.set_result(None)

    def _may_begin(self) -> bool:
        """Whether one more may; called for one that then does."""
        if self._under_way >= MOST_UNDER_WAY:
            return False
        if not self._is_crowded():
            return True
        now = asyncio.get_running_loop().time()
        if now - self._since >= PATIENCE_S:
            self._since, self._in_crowd = now, 0
        self._in_crowd += 1
        return self._in_crowd <= MOST_IN_CROWD

    def _look_soon(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        self._serve()
        if self._line:
            self._look_soon()

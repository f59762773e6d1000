"""A loop of virtual time that can die at any turn, and with it everything that ran in it.

Several loops, one after the other, share one time: each is one life of a daemon. What a life
hands to threads comes back after a while that its random source decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

from tests.fakes.virtual_time import VirtualLoop

T = TypeVar("T")

MOST_TURNS = 1_000_000
"""Turns of one life: more are no progress."""
_ROUNDS = 50
_TURNS = 10
_SLOWEST_THREAD_S = 0.02


class Crash(SystemExit):
    """The process of the daemon is gone, at this very instant.

    A `SystemExit`, because asyncio lets nothing else through a callback or a task.
    """


class SimulatedLoop(VirtualLoop):
    """The loop of one life.

    Args:
        random: Decides how long threads take.
        now: The time at which the life begins, in seconds.

    Attributes:
        is_dead: Set at the end: nothing that is asked of the outside happens any more.
        ended_at: When the life ended.
        at_death: Called at the end, for those who would wait on whatever is cancelled.
    """

    def __init__(self, random: Random, now: float) -> None:
        super().__init__()
        self._virtual.now = now
        self._random = random
        self._until_crash: int | None = None
        self._turns = 0
        self.is_dead = False
        self.ended_at = now
        self.at_death: list[Callable[[], None]] = []
        # asyncio holds tasks weakly: the collector would end those of a dead life at its own time.
        self._tasks: set[asyncio.Task[Any]] = set()

    def create_task(self, coro: Any, **facts: Any) -> asyncio.Task[Any]:
        """Returns a task that lives until it is done."""
        task = super().create_task(coro, **facts)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def crash_after(self, turns: int) -> None:
        """Ends the life before the turn after so many more."""
        self._until_crash = turns

    def delay(self, longest_s: float) -> float:
        """Returns how long something takes: often next to nothing."""
        if self.is_dead:
            return 0.0
        return self._random.choice((0.0, 0.0, self._random.uniform(0.0, longest_s)))

    def run_in_executor(  # type: ignore[override]  # typeshed wants a TypeVarTuple here
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        self.call_later(self.delay(_SLOWEST_THREAD_S), self._carry, future, func, args)
        return future

    def run_life(self, life: Coroutine[Any, Any, T]) -> T:
        """Runs a life to its end and closes the loop; raises `Crash` if it ended before."""
        asyncio.set_event_loop(self)
        main = self.create_task(life)
        try:
            ended: T = self.run_until_complete(main)
            return ended
        finally:
            self.ended_at, self.is_dead = self.time(), True
            self._until_crash, self._turns = None, 0
            for end in self.at_death:
                end()
            try:
                self._empty()
            finally:
                asyncio.set_event_loop(None)
                self.close()

    def _run_once(self) -> None:
        """Runs one turn of the loop; counts it before."""
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise RuntimeError("the life turns without an end")
        if self._until_crash is not None:
            self._until_crash -= 1
            if self._until_crash < 0:
                raise Crash
        super()._run_once()  # type: ignore[misc]  # the one place where every turn passes

    def _carry(
        self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        if self.is_dead:
            future.cancel()
            return
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - a thread hands every error to who waits for it
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def _empty(self) -> None:
        """Takes apart what a dead life was doing, so that nobody hears of it."""
        self.set_exception_handler(lambda *_: None)
        while not self._has_come_to_rest():
            pass
        for _ in range(_ROUNDS):
            for _ in range(_TURNS):  # what begins anew when it is cancelled needs some to end
                self._has_come_to_rest()
            left = asyncio.all_tasks(self)
            if not left:
                return
            for task in left:
                task.cancel()
            with suppress(SystemExit):  # the end of the life, heard by who waited for its task
                self.run_until_complete(asyncio.wait(left, timeout=1.0))
        raise RuntimeError(f"a dead life does not end: {asyncio.all_tasks(self)}")

    def _has_come_to_rest(self) -> bool:
        """Runs what is ready and every stop among it, which would end a later run too early."""
        self.call_soon(self.stop)
        try:
            self.run_forever()
        except SystemExit:  # the end of the life, heard by who waited for its task
            return False
        return True


def is_in_dead_life() -> bool:
    """Whether the caller is a remainder of a life that has ended."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    return isinstance(loop, SimulatedLoop) and loop.is_dead


def current_life() -> SimulatedLoop:
    """Returns the loop of the life that asks."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop

"""Work in threads: its result arrives, or goes to who cares for what nobody wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from flowrunner.system.threads import Threads


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(2, "test")
    yield made
    made.close()


def test_result_arrives_from_another_thread(threads: Threads) -> None:
    """The work runs outside the loop's thread, and who waits gets what it returned."""

    async def main() -> threading.Thread:
        return await threads.run(threading.current_thread)

    assert asyncio.run(main()) is not threading.current_thread()


def test_error_arrives(threads: Threads) -> None:
    """Who waits gets what the work raised."""

    async def main() -> int:
        return await threads.run(lambda: int("x"))

    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(main())


def test_no_more_threads_than_allowed(threads: Threads) -> None:
    """Two pieces of work run at once where two may; the third waits for a thread."""
    together, third = threading.Barrier(3), threading.Event()

    async def main() -> None:
        first = [threads.run(together.wait) for _ in range(2)]
        last = threads.run(third.set)
        assert not third.is_set()
        together.wait()
        await asyncio.gather(*first, last)

    asyncio.run(main())
    assert third.is_set()


def test_quick_work_in_turn_needs_one_thread(threads: Threads) -> None:
    """A second thread is started for work that would wait, and not before."""

    async def main() -> set[threading.Thread]:
        return {await threads.run(threading.current_thread) for _ in range(5)}

    assert len(asyncio.run(main())) == 1


def test_cancelled_before_its_turn_never_begins() -> None:
    """Work whose future is cancelled while it waits for a thread is not done."""
    threads, gate, done = Threads(1, "test"), threading.Event(), list[str]()

    async def main() -> None:
        first = threads.run(gate.wait)
        second = threads.run(lambda: done.append("second"))
        second.cancel()
        gate.set()
        await first

    asyncio.run(main())
    threads.close()
    assert done == []


def test_result_that_nobody_wants_is_given_up(threads: Threads) -> None:
    """What work has made whose future was cancelled meanwhile goes to `unclaimed`, once."""
    begun, gate, given_up = threading.Event(), threading.Event(), list[str]()

    def work() -> str:
        begun.set()
        gate.wait()
        return "made"

    async def main() -> None:
        future = threads.make(work, str.upper, given_up.append)
        begun.wait()
        future.cancel()
        gate.set()
        while not given_up:
            await threads.run(lambda: None)

    asyncio.run(main())
    assert given_up == ["made"]


def test_result_after_the_end_of_the_loop_is_given_up() -> None:
    """Also when the loop has ended by then."""
    threads, gate, given_up = Threads(1, "test"), threading.Event(), list[str]()

    def work() -> str:
        gate.wait()
        return "made"

    async def main() -> None:
        threads.make(work, str.upper, given_up.append)

    asyncio.run(main())
    gate.set()
    threads.close()
    assert given_up == ["made"]


def test_fault_in_the_loop_arrives(threads: Threads) -> None:
    """Who waits hears of it when the result cannot be received."""

    def receive(_: int) -> int:
        raise OSError("no more of these")

    async def main() -> int:
        return await threads.make(lambda: 1, receive, lambda _: None)

    with pytest.raises(OSError, match="no more"):
        asyncio.run(main())


def test_dismissed_threads_are_not_waited_for() -> None:
    """Each ends when what it does is done, however long that takes; what was queued is done."""
    threads, gate, done = Threads(1, "test"), threading.Event(), threading.Event()

    async def main() -> None:
        blocked = threads.run(gate.wait)
        queued = threads.run(done.set)
        threads.dismiss()
        assert not blocked.done()
        gate.set()
        await asyncio.gather(blocked, queued)

    asyncio.run(main())
    assert done.is_set()

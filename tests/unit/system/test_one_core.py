"""Threads share one core while a burst lasts, and only they, and only then."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable

from flowrunner.system.one_core import LOOK_S, LinuxAffinity, OneCore
from tests.fakes.virtual_time import run_virtual

ALL = frozenset({0, 1, 2, 3})
HERE = 2


class FakeAffinity:
    """Meets `Affinity`: remembers on which cores each thread may run."""

    def __init__(self, cores: frozenset[int] = ALL, here: int | None = HERE) -> None:
        self._cores, self._here = cores, here
        self.bound: dict[int, frozenset[int]] = {}
        self.calls = 0
        self.refuses = False
        self.before: Callable[[], None] = lambda: None

    def here(self) -> int | None:
        return self._here

    def allowed(self) -> frozenset[int]:
        return self.of(threading.get_native_id())

    def allow(self, cores: frozenset[int], thread: int = 0) -> None:
        self.calls += 1
        self.before()
        if self.refuses:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        self.bound[thread or threading.get_native_id()] = cores

    def of(self, thread: int) -> frozenset[int]:
        return self.bound.get(thread, self._cores)

    @property
    def own(self) -> frozenset[int]:
        return self.allowed()


class Worker:
    """A thread that does what it is told, and says where it may run afterwards."""

    def __init__(self, affinity: FakeAffinity) -> None:
        self._affinity = affinity
        self._asked, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._work: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def does(self, work: Callable[[], None]) -> frozenset[int]:
        self._work = work
        self._asked.release()
        self._done.acquire()
        assert self._thread.native_id is not None
        return self._affinity.of(self._thread.native_id)

    def _serve(self) -> None:
        while True:
            self._asked.acquire()
            self._work()
            self._done.release()


def test_a_burst_binds_the_loop_and_who_joins() -> None:
    """The loop may run on the core it was on, and a thread that joins there, too."""
    affinity = FakeAffinity()
    cores, worker = OneCore(affinity), Worker(affinity)

    async def main() -> None:
        cores.gather()
        assert affinity.own == {HERE}
        assert worker.does(cores.join) == {HERE}

    run_virtual(main())


def test_nobody_is_bound_between_bursts() -> None:
    """Without a burst joining asks nothing of the system."""
    affinity = FakeAffinity()
    cores, worker = OneCore(affinity), Worker(affinity)
    assert worker.does(cores.join) == ALL
    assert affinity.calls == 0


def test_a_burst_ends_for_all_when_nobody_calls_it_one_again() -> None:
    """Two looks after the last call every thread may run anywhere, joined again or not."""
    affinity = FakeAffinity()
    cores, worker = OneCore(affinity), Worker(affinity)

    async def main() -> None:
        cores.gather()
        worker.does(cores.join)
        await asyncio.sleep(2.5 * LOOK_S)
        assert affinity.own == ALL
        assert worker.does(lambda: None) == ALL

    run_virtual(main())


def test_a_burst_lasts_as_long_as_it_is_called_one() -> None:
    """Calls closer together than two looks keep the threads where they are."""
    affinity = FakeAffinity()
    cores = OneCore(affinity)

    async def main() -> None:
        for _ in range(20):
            cores.gather()
            await asyncio.sleep(0.9 * LOOK_S)
            assert affinity.own == {HERE}

    run_virtual(main())


def test_what_is_started_may_run_anywhere() -> None:
    """While a thread starts something it is not bound, and afterwards it is again."""
    affinity = FakeAffinity()
    cores, worker = OneCore(affinity), Worker(affinity)
    seen: list[frozenset[int]] = []

    def start() -> None:
        cores.join()
        with cores.spread():
            seen.append(affinity.own)

    async def main() -> None:
        cores.gather()
        assert worker.does(start) == {HERE}

    run_virtual(main())
    assert seen == [ALL]


def test_a_burst_that_ends_while_something_is_started_binds_nobody() -> None:
    """A thread that comes back from a start behind the burst stays free."""
    affinity = FakeAffinity()
    cores, worker = OneCore(affinity), Worker(affinity)

    def start() -> None:
        cores.join()
        with cores.spread():
            cores.scatter()

    async def main() -> None:
        cores.gather()
        assert worker.does(start) == ALL

    run_virtual(main())


def test_a_thread_that_joins_while_the_burst_ends_starts_nothing_bound() -> None:
    """It is bound behind the burst, when everybody was freed; what it starts is not."""
    affinity = FakeAffinity()
    cores, worker = OneCore(affinity), Worker(affinity)
    seen: list[frozenset[int]] = []

    def end() -> None:
        affinity.before = lambda: None
        cores.scatter()

    def start() -> None:
        affinity.before = end
        cores.join()
        seen.append(affinity.own)
        with cores.spread():
            seen.append(affinity.own)

    async def main() -> None:
        cores.gather()
        assert worker.does(start) == ALL

    run_virtual(main())
    assert seen == [{HERE}, ALL]


def test_a_thread_of_the_executor_is_free_in_a_burst() -> None:
    """A thread that the bound loop makes for short work may start a process, and is not bound."""
    before = os.sched_getaffinity(0)
    cores = OneCore()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(cores.executor())
        cores.gather()
        assert len(os.sched_getaffinity(0)) == 1
        assert await asyncio.to_thread(os.sched_getaffinity, 0) == before
        cores.scatter()

    asyncio.run(main())
    assert os.sched_getaffinity(0) == before


def test_a_thread_that_begins_in_a_burst_is_free_behind_it() -> None:
    """Any other thread has what the loop had, and the end of the burst frees it."""
    before, seen = os.sched_getaffinity(0), list[set[int]]()
    cores, is_over = OneCore(), threading.Event()

    def work() -> None:
        is_over.wait()
        seen.append(os.sched_getaffinity(0))

    async def main() -> None:
        cores.gather()
        thread = threading.Thread(target=work)
        thread.start()
        cores.scatter()
        is_over.set()
        thread.join()

    asyncio.run(main())
    assert seen == [before]


def test_a_thread_that_joins_first_behind_its_burst_is_freed() -> None:
    """A thread made at the very end of a burst has inherited, and its first work frees it."""
    affinity = FakeAffinity()
    cores, worker = OneCore(affinity), Worker(affinity)

    async def main() -> None:
        cores.gather()
        cores.scatter()
        worker.does(lambda: affinity.allow(frozenset({HERE})))
        assert worker.does(cores.join) == ALL

    run_virtual(main())


def test_the_next_burst_takes_the_core_of_its_own_time() -> None:
    """Who joined an earlier burst is bound anew, where the loop is now and as it may run now."""
    affinity = FakeAffinity()
    cores, worker = OneCore(affinity), Worker(affinity)

    async def main() -> None:
        cores.gather()
        worker.does(cores.join)
        cores.scatter()
        affinity.bound[threading.get_native_id()] = frozenset({0, 1})  # the operator's taskset
        affinity._here = 1
        cores.gather()
        assert worker.does(cores.join) == {1}
        cores.scatter()
        assert affinity.own == {0, 1}

    run_virtual(main())


def test_one_core_is_not_asked_for() -> None:
    """A daemon that has one core alone, or cannot tell on which it runs, is left as it is."""
    for affinity in (FakeAffinity(frozenset({HERE})), FakeAffinity(here=None)):
        cores = OneCore(affinity)

        async def main(cores: OneCore = cores) -> None:
            cores.gather()

        run_virtual(main())
        assert affinity.calls == 0


def test_what_the_system_refuses_is_not_asked_again() -> None:
    """A filter of system calls costs one question, and work goes on unbound."""
    affinity = FakeAffinity()
    affinity.refuses = True
    cores = OneCore(affinity)

    async def main() -> None:
        cores.gather()
        cores.gather()
        with cores.spread():
            pass

    run_virtual(main())
    assert affinity.calls == 1


def test_refused_in_the_midst_of_a_burst_it_ends() -> None:
    """When cores are taken from the daemon meanwhile, the next look frees whom it can."""
    affinity = FakeAffinity()
    cores, worker = OneCore(affinity), Worker(affinity)

    async def main() -> None:
        cores.gather()
        affinity.refuses = True
        worker.does(cores.join)
        affinity.refuses = False
        await asyncio.sleep(1.5 * LOOK_S)
        assert affinity.own == ALL
        cores.gather()
        assert affinity.own == ALL

    run_virtual(main())


def test_linux_binds_and_frees_a_thread() -> None:
    """The system keeps a thread on the core that it was told, and tells which that is."""
    affinity, told = LinuxAffinity(), list[object]()

    def work() -> None:
        before = affinity.allowed()
        core = min(before)
        affinity.allow(frozenset({core}))
        told.extend((affinity.allowed(), affinity.here()))
        affinity.allow(before)
        told.extend((affinity.allowed() == before, core))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    allowed, here, is_as_before, core = told
    assert (allowed, here, is_as_before) == ({core}, core, True)

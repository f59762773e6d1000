"""The writer thread: natural group commit, order, bounds, and a close that loses nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from flowrunner.errors import StorageError
from flowrunner.storage.local import writer as module
from flowrunner.storage.local.database import open_writer
from flowrunner.storage.local.writer import Writer
from tests.unit.storage.databases import MIGRATIONS, put, words


class Desk:
    """A writer over a database of words, whose commits are counted and which can be held."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self.path = path
        self.writer = writer
        self.statements: list[str] = []
        self._go_on = threading.Event()

    def start(self) -> None:
        self.writer.start(self._open(), self._open)

    def _open(self) -> sqlite3.Connection:
        connection = open_writer(self.path, migrations=MIGRATIONS)
        connection.set_trace_callback(self.statements.append)
        return connection

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")

    async def hold(
        self, then: Callable[[sqlite3.Connection], None] = lambda _: None
    ) -> asyncio.Future[None]:
        """Keeps the writer busy until `go_on` with one operation, which ends as `then` does."""
        begun = threading.Event()

        def wait(connection: sqlite3.Connection) -> None:
            begun.set()
            self._go_on.wait()
            then(connection)

        future = self.writer.submit(wait)
        await asyncio.to_thread(begun.wait)
        return future

    def go_on(self) -> None:
        self._go_on.set()


def lost(_: sqlite3.Connection) -> None:
    """Fails as a write does for which there is no room."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


Use = Callable[[Callable[[Desk], Awaitable[None]], Writer], None]


@pytest.fixture
def use(tmp_path: Path) -> Use:
    """Runs a body with a started writer, and closes it."""

    def run(body: Callable[[Desk], Awaitable[None]], writer: Writer) -> None:
        async def main() -> None:
            desk = Desk(tmp_path / "words.db", writer)
            desk.start()
            try:
                await body(desk)
            finally:
                desk.go_on()
                await desk.writer.close()

        asyncio.run(main())

    return run


def test_write_shares_a_commit_with_those_of_the_next_turn(use: Use) -> None:
    """The end of a node and the begin of the next, a turn later, cost one commit."""

    async def body(desk: Desk) -> None:
        first = desk.writer.submit(put("end"))

        async def next_node() -> None:
            await desk.writer.submit(put("begin"))

        await asyncio.create_task(next_node())
        assert first.done()
        assert desk.commits == 1

    use(body, Writer())


def test_writes_that_wait_together_share_one_commit(use: Use) -> None:
    """While one write is on its way to the disk, all others gather for the next commit."""

    async def body(desk: Desk) -> None:
        held = await desk.hold()
        before = desk.commits
        waiting = [desk.writer.submit(put(str(number))) for number in range(50)]
        desk.go_on()
        await held
        assert await asyncio.gather(*waiting) == [str(number) for number in range(50)]
        assert desk.commits == before + 2
        assert words(desk.path) == [str(number) for number in range(50)]

    use(body, Writer())


def test_thread_at_work_takes_what_has_come_meanwhile_without_being_woken(use: Use) -> None:
    """While the loop is busy, the thread goes on with all that was submitted before."""
    written = threading.Semaphore(0)

    def write(connection: sqlite3.Connection, word: str) -> None:
        put(word)(connection)
        written.release()

    async def body(desk: Desk) -> None:
        held = await desk.hold()
        some = [desk.writer.submit(partial(write, word=word)) for word in ("a", "b", "c")]
        desk.go_on()
        # The loop has had no turn since: whoever waits for one here waits in vain.
        assert all(written.acquire(timeout=10) for _ in some)
        await asyncio.gather(held, *some)
        assert words(desk.path) == ["a", "b", "c"]

    use(body, Writer())


def test_conflict_in_a_shared_commit_fails_its_own_caller(use: Use) -> None:
    """The others of the batch get their results."""

    async def body(desk: Desk) -> None:
        await desk.hold()
        waiting = [desk.writer.submit(put(word)) for word in ("a", "a", "b")]
        desk.go_on()
        first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
        assert (first, third) == ("a", "b")
        assert isinstance(second, StorageError)
        assert second.code == "storage.conflict"

    use(body, Writer())


def test_commit_is_bounded(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """More writes than fit into one commit take several, in order."""
    monkeypatch.setattr(module, "MOST_IN_BATCH", 20)

    async def body(desk: Desk) -> None:
        held = await desk.hold()
        before = desk.commits
        waiting = [desk.writer.submit(put(str(number))) for number in range(50)]
        desk.go_on()
        await asyncio.gather(held, *waiting)
        assert desk.commits == before + 1 + 3
        assert words(desk.path) == [str(number) for number in range(50)]

    use(body, Writer())


def test_write_is_refused_when_too_many_wait(use: Use) -> None:
    """The queue has an end; there is room again as soon as the disk has caught up."""

    async def body(desk: Desk) -> None:
        held = await desk.hold()
        waiting = desk.writer.submit(put("a"))
        with pytest.raises(StorageError, match="2 writes wait"):
            await desk.writer.submit(put("b"))
        desk.go_on()
        await asyncio.gather(held, waiting)
        assert await desk.writer.submit(put("c")) == "c"
        assert words(desk.path) == ["a", "c"]

    use(body, Writer(most_waiting=2))


def test_close_writes_what_waits(use: Use) -> None:
    """Writes that were submitted before the close are durable after it, and their futures done."""

    async def body(desk: Desk) -> None:
        await desk.hold()
        waiting = [desk.writer.submit(put(word)) for word in ("a", "b")]
        closing = asyncio.ensure_future(desk.writer.close())
        desk.go_on()
        await closing
        assert [future.result() for future in waiting] == ["a", "b"]
        assert words(desk.path) == ["a", "b"]

    use(body, Writer())


def test_closed_writer_refuses(use: Use) -> None:
    """After the close a write fails, and closing again does nothing."""

    async def body(desk: Desk) -> None:
        await desk.writer.close()
        await desk.writer.close()
        with pytest.raises(StorageError, match="not open"):
            await desk.writer.submit(put("a"))

    use(body, Writer())


def test_write_behind_a_failure_that_nobody_has_heard_of_fails_too(use: Use) -> None:
    """No write is kept whose caller could not know that one before it was lost; each is told."""

    async def body(desk: Desk) -> None:
        async def answer(word: str) -> str:
            with pytest.raises(StorageError) as caught:
                await failing
            assert caught.value.code == "storage.full"
            return await desk.writer.submit(put(word))

        failing = await desk.hold(lost)
        informed = asyncio.create_task(answer("informed"))
        unaware = [desk.writer.submit(put(word)) for word in ("unaware", "neither")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # both are with the thread now, in pieces of their own
        desk.go_on()
        refusals = await asyncio.gather(*unaware, return_exceptions=True)
        assert [getattr(each, "code", "") for each in refusals] == ["storage.full"] * 2
        assert refusals[0] is not refusals[1]  # or their tracebacks would add up
        assert await informed == "informed"
        assert words(desk.path) == ["informed"]

    use(body, Writer())


def test_cancelled_caller_does_not_disturb_the_others(use: Use) -> None:
    """The write of a cancelled caller is kept, and those beside it get their results."""

    async def body(desk: Desk) -> None:
        await desk.hold()
        cancelled, other = desk.writer.submit(put("a")), desk.writer.submit(put("b"))
        cancelled.cancel()
        desk.go_on()
        assert await other == "b"
        assert words(desk.path) == ["a", "b"]

    use(body, Writer())


def _note(order: list[int], number: int, _: asyncio.Future[str]) -> None:
    order.append(number)


def test_many_that_end_together_are_told_in_turns(use: Use) -> None:
    """A thousand writes of one commit do not set a thousand tasks going in one turn of the loop."""

    async def body(desk: Desk) -> None:
        held = await desk.hold()
        futures = [desk.writer.submit(put(f"{number:04}")) for number in range(1_000)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        desk.go_on()
        await held
        most, order = 0, list[int]()
        for number, future in enumerate(futures):
            future.add_done_callback(partial(_note, order, number))
        while not futures[-1].done():
            before = len(order)
            await asyncio.sleep(0)
            most = max(most, len(order) - before)
        await asyncio.gather(*futures)
        assert order == list(range(1_000))
        assert most <= 2 * module._MOST_A_TURN

    use(body, Writer())


def test_failure_of_many_is_told_in_one_turn(use: Use) -> None:
    """Nobody who has lost a write goes on without knowing: what it asks for then would be kept."""

    async def body(desk: Desk) -> None:
        held = await desk.hold()
        futures = [desk.writer.submit(lost) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        desk.go_on()
        await held
        with pytest.raises(StorageError):
            await futures[0]
        assert all(future.done() for future in futures)
        await asyncio.gather(*futures, return_exceptions=True)

    use(body, Writer())


def test_those_who_could_not_know_of_a_failure_hear_of_it_in_one_turn(use: Use) -> None:
    """Writes that it takes down are told of together, too, however many they are."""

    async def body(desk: Desk) -> None:
        failing = await desk.hold(lost)
        unaware = [desk.writer.submit(put(f"{number}")) for number in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # all are with the thread now, in pieces of their own
        desk.go_on()
        with pytest.raises(StorageError):
            await failing
        with pytest.raises(StorageError):
            await unaware[0]
        assert all(future.done() for future in unaware)
        await asyncio.gather(*unaware, return_exceptions=True)
        assert words(desk.path) == []

    use(body, Writer())

"""Promises of `flowrunner.system.folder_watch`: what comes into a folder is told, by inotify."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyFD

from flowrunner.system.folder_watch import Folder, Followed, InotifyFolders

PATIENCE_S = 20


class Ears:
    """A watch with the hints that it has given, by key."""

    def __init__(self, most: int, make_reader: Callable[[], InotifyFD]) -> None:
        self.watch: InotifyFolders[str] = InotifyFolders(
            asyncio.get_running_loop(), most=most, make_reader=make_reader
        )
        self.hints: list[str] = []
        self._told = asyncio.Event()
        self.watch.listen(self._hear)

    def _hear(self, key: str) -> None:
        self.hints.append(key)
        self._told.set()

    async def wait(self) -> set[str]:
        """Waits for a hint and returns all there were since the last call."""
        async with asyncio.timeout(PATIENCE_S):
            await self._told.wait()
        self._told.clear()
        told, self.hints = set(self.hints), []
        return told


@asynccontextmanager
async def ears(
    most: int = 100, make_reader: Callable[[], InotifyFD] = InotifyFD
) -> AsyncIterator[Ears]:
    """Listens until the end of the block."""
    listening = Ears(most, make_reader)
    try:
        yield listening
    finally:
        listening.watch.close()


def folder(path: Path) -> Folder:
    facts = path.stat()
    return Folder(str(path), facts.st_dev, facts.st_ino)


def no_room() -> InotifyFD:
    raise OSError(errno.EMFILE, "inotify instance limit reached")


def read_all(path: Path) -> None:
    assert {each.name for each in path.iterdir()} == {"1.csv", "other"}
    assert (path / "1.csv").read_bytes() == b"x"


def readers() -> int:
    return sum(1 for thread in threading.enumerate() if type(thread).__name__ == "InotifyFD")


def written(path: Path) -> None:
    path.write_bytes(b"x")


def moved(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_bytes(b"x")
    outside.rename(path)


def linked(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_bytes(b"x")
    path.hardlink_to(outside)


def made(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("come", [written, moved, linked, made])
def test_what_comes_into_a_folder_is_told_by_its_key(
    come: Callable[[Path], None], tmp_path: Path
) -> None:
    """A file that is written, moved or linked there, and a folder; nothing of another folder."""
    inbox, other = tmp_path / "in", tmp_path / "other"
    inbox.mkdir()
    other.mkdir()

    async def scenario() -> None:
        async with ears() as listening:
            assert listening.watch.follow("a", [folder(inbox)]) == Followed(is_new=True)
            assert listening.watch.follow("b", [folder(other)]) == Followed(is_new=True)
            come(inbox / "1.csv")
            assert await listening.wait() == {"a"}
            assert listening.watch.follow("a", [folder(inbox)]) == Followed()

    asyncio.run(scenario())


def test_reading_is_not_told(tmp_path: Path) -> None:
    """Whoever looks at the folder, or reads what lies there, is no reason to look again."""
    (tmp_path / "1.csv").write_bytes(b"x")
    other = tmp_path / "other"
    other.mkdir()

    async def scenario() -> None:
        async with ears() as listening:
            listening.watch.follow("a", [folder(tmp_path)])
            listening.watch.follow("other", [folder(other)])
            read_all(tmp_path)
            written(other / "1.csv")  # told after what was before it
            assert await listening.wait() == {"other"}

    asyncio.run(scenario())


def test_folder_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    """One that went is told of; the one in its place is watched once it has been looked at."""
    inbox = tmp_path / "in"
    inbox.mkdir()

    async def scenario() -> None:
        async with ears() as listening:
            listening.watch.follow("a", [folder(inbox)])
            inbox.rename(tmp_path / "away")
            assert await listening.wait() == {"a"}
            inbox.mkdir()
            assert listening.watch.follow("a", [folder(inbox)]) == Followed(is_new=True)
            written(inbox / "1.csv")
            assert await listening.wait() == {"a"}
            (inbox / "1.csv").unlink()
            inbox.rmdir()
            assert await listening.wait() == {"a"}

    asyncio.run(scenario())


def test_folder_that_was_moved_within_is_watched_on(tmp_path: Path) -> None:
    """To inotify it is the same one, to whoever looks it has another path."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()

    async def scenario() -> None:
        async with ears() as listening:
            top = folder(tmp_path)
            listening.watch.follow("a", [top, folder(first)])
            first.rename(second)
            await listening.wait()
            assert listening.watch.follow("a", [top, folder(second)]) == Followed(is_new=True)
            written(second / "1.csv")
            assert await listening.wait() == {"a"}

    asyncio.run(scenario())


def test_folder_that_has_vanished_is_no_failure(tmp_path: Path) -> None:
    """It went between the look and the wish: the next look will say so."""
    gone = tmp_path / "gone"
    gone.mkdir()
    there = folder(gone)
    gone.rmdir()

    async def scenario() -> None:
        async with ears() as listening:
            assert listening.watch.follow("a", [there]) == Followed()

    asyncio.run(scenario())


def test_more_folders_than_there_is_room_for_are_a_failure(tmp_path: Path) -> None:
    """Those that are watched stay so, and room that becomes free is taken."""
    folders = [tmp_path / name for name in "abc"]
    for path in folders:
        path.mkdir()
    first, *others = map(folder, folders)

    async def scenario() -> None:
        async with ears(most=2) as listening:
            listening.watch.follow("first", [first])
            found = listening.watch.follow("others", others)
            assert found == Followed(True, "there are more than 2 folders to watch")
            assert listening.watch.follow("others", others).failure == found.failure
            listening.watch.forget(["first"])
            assert listening.watch.follow("others", others) == Followed(is_new=True)
            written(folders[2] / "1.csv")
            assert await listening.wait() == {"others"}

    asyncio.run(scenario())


def test_no_instance_of_inotify_is_a_failure(tmp_path: Path) -> None:
    """The limit of the user is named; when there is room again the next wish is met."""
    makers: list[Callable[[], InotifyFD]] = [no_room, InotifyFD]

    async def scenario() -> None:

        def make_reader() -> InotifyFD:
            return makers.pop(0)()

        async with ears(make_reader=make_reader) as listening:
            found = listening.watch.follow("a", [folder(tmp_path)])
            assert "fs.inotify.max_user_instances" in found.failure
            assert listening.watch.follow("a", [folder(tmp_path)]) == Followed(is_new=True)

    asyncio.run(scenario())


def test_there_is_a_thread_while_there_are_folders(tmp_path: Path) -> None:
    """Who follows nothing pays nothing; a thread that died is replaced, with all its folders."""

    async def scenario() -> None:
        before = readers()
        async with ears() as listening:
            assert readers() == before
            listening.watch.follow("a", [folder(tmp_path)])
            listening.watch.follow("b", [folder(tmp_path)])
            assert readers() == before + 1
            dead = listening.watch._reader
            assert dead is not None
            dead.stop()
            dead.join()
            assert listening.watch.follow("a", [folder(tmp_path)]).is_new
            assert listening.watch.follow("b", [folder(tmp_path)]).is_new
            written(tmp_path / "1.csv")
            assert await listening.wait() >= {"a"}
            listening.watch.forget(["a", "b"])
            assert readers() == before
            listening.watch.follow("a", [folder(tmp_path)])
        assert readers() == before
        assert listening.watch.follow("a", [folder(tmp_path)]) == Followed()

    asyncio.run(scenario())

"""The watcher over real inotify: every change is a hint, and its own faults show."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from flowrunner.system.watch_hints import _MOST_NAMES, Changed, Hints
from flowrunner.system.watcher import WatchdogWatcher, Watcher, _Reader
from tests.fakes.watcher import FakeWatcher
from tests.profile import IS_LONG

PATIENCE_S = 20


class Watched:
    """A started watcher, and the hints it gives."""

    def __init__(self, watcher: WatchdogWatcher) -> None:
        self.watcher = watcher
        self.hinted = asyncio.Event()
        self.names: set[str] = set()
        self.is_all = False

    def hint(self, changed: Changed) -> None:
        self.names |= changed or set()
        self.is_all = self.is_all or changed is None
        self.hinted.set()

    async def after(self, change: Callable[[], object]) -> None:
        """Waits for a hint that follows a change; fails the test if none comes."""
        self.hinted.clear()
        change()
        await self.next()

    async def next(self) -> None:
        """Waits for a hint that was not waited for yet."""
        await asyncio.wait_for(self.hinted.wait(), PATIENCE_S)
        self.hinted.clear()


@asynccontextmanager
async def watching(root: Path) -> AsyncIterator[Watched]:
    watcher = WatchdogWatcher(asyncio.get_running_loop())
    watched = Watched(watcher)
    await asyncio.to_thread(watcher.start, root, watched.hint)
    try:
        yield watched
    finally:
        await asyncio.to_thread(watcher.stop)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    (folder / "team").mkdir(parents=True)
    (folder / "a.yaml").write_text("old")
    return folder


def write(root: Path) -> None:
    (root / "a.yaml").write_text("new")


def write_below(root: Path) -> None:
    (root / "team" / "b.yaml").write_text("new")


def rename(root: Path) -> None:
    (root / "a.yaml").rename(root / "team" / "a.yaml")


def move_in(root: Path) -> None:
    (root.parent / "b.yaml").write_text("new")
    (root.parent / "b.yaml").rename(root / "b.yaml")


def move_out(root: Path) -> None:
    (root / "a.yaml").rename(root.parent / "a.yaml")


def delete(root: Path) -> None:
    (root / "a.yaml").unlink()


def link(root: Path) -> None:
    (root / "b.yaml").symlink_to("a.yaml")


def remove_folder(root: Path) -> None:
    (root / "team").rmdir()


def remove_root(root: Path) -> None:
    shutil.rmtree(root)


@pytest.mark.parametrize(
    "change",
    [write, write_below, rename, move_in, move_out, delete, link, remove_folder, remove_root],
)
def test_every_change_below_the_root_is_a_hint(change: Callable[[Path], None], root: Path) -> None:
    """Whichever way a file comes, changes or goes, a scan is asked for."""

    async def scenario() -> None:
        async with watching(root) as watched:
            assert watched.watcher.is_alive()
            await watched.after(lambda: change(root))

    asyncio.run(scenario())


def replace(root: Path) -> None:
    (root / ".a.tmp").write_text("new")
    (root / ".a.tmp").replace(root / "a.yaml")


def ignore(root: Path) -> None:
    (root / ".flowrunnerignore").write_text("team/")


def rename_folder(root: Path) -> None:
    (root / "team").rename(root / "crew")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        pytest.param(write, {"a.yaml"}, id="write"),
        pytest.param(write_below, {"team/b.yaml"}, id="below"),
        pytest.param(replace, {"a.yaml"}, id="replace"),
        pytest.param(rename, {"a.yaml", "team/a.yaml"}, id="rename"),
        pytest.param(move_out, {"a.yaml"}, id="out"),
        pytest.param(move_in, {"b.yaml"}, id="in"),
        pytest.param(delete, {"a.yaml"}, id="delete"),
        pytest.param(link, {"b.yaml"}, id="link"),
    ],
)
def test_a_hint_names_the_files(
    change: Callable[[Path], None], names: set[str], root: Path
) -> None:
    """Whoever is told looks at those alone; both names of a file that was renamed are told."""

    async def scenario() -> None:
        async with watching(root) as watched:
            await watched.after(lambda: change(root))
            while not names <= watched.names:
                await watched.next()
            assert (watched.names, watched.is_all) == (names, False)

    asyncio.run(scenario())


@pytest.mark.parametrize("change", [ignore, remove_folder, rename_folder, remove_root])
def test_what_concerns_many_files_is_a_hint_of_all(
    change: Callable[[Path], None], root: Path
) -> None:
    """A folder and a list of patterns say something of files that nothing has happened to."""

    async def scenario() -> None:
        async with watching(root) as watched:
            await watched.after(lambda: change(root))
            while not watched.is_all:
                await watched.next()

    asyncio.run(scenario())


def test_a_new_folder_is_watched_too(root: Path) -> None:
    """Files that come into a folder made after the start are hints."""

    async def scenario() -> None:
        async with watching(root) as watched:
            await watched.after(lambda: (root / "new" / "deep").mkdir(parents=True))
            await watched.after(lambda: (root / "new" / "deep" / "c.yaml").write_text("x"))

    asyncio.run(scenario())


def test_a_commit_is_a_hint(root: Path) -> None:
    """A branch that moves changes the revision, though no file of a flow changes."""
    heads = root / ".git" / "refs" / "heads"
    heads.mkdir(parents=True)

    def commit() -> None:
        (heads / "main.lock").write_text("0123")
        (heads / "main.lock").rename(heads / "main")

    async def scenario() -> None:
        async with watching(root) as watched:
            await watched.after(commit)

    asyncio.run(scenario())


def test_a_commit_above_the_root_is_a_hint(root: Path) -> None:
    """So is a commit of the checkout that holds the root and changes nothing below it."""
    git = root.parent / ".git"
    (git / "logs").mkdir(parents=True)
    (git / "logs" / "HEAD").touch()

    def commit() -> None:
        with (git / "logs" / "HEAD").open("a") as log:
            log.write("0123 4567 commit: elsewhere\n")

    def checkout() -> None:
        (git / "HEAD.lock").write_text("ref: refs/heads/other")
        (git / "HEAD.lock").rename(git / "HEAD")

    async def scenario() -> None:
        async with watching(root) as watched:
            await watched.after(commit)
            await watched.after(checkout)

    asyncio.run(scenario())


def test_hidden_folders_take_no_watches(root: Path) -> None:
    """The kernel's list of watches holds the root and its folders, not git's objects."""
    objects = root / ".git" / "objects" / "ab"
    objects.mkdir(parents=True)

    async def scenario() -> set[int]:
        async with watching(root):
            return watched_inodes()

    inodes = asyncio.run(scenario())
    assert {root.stat().st_ino, (root / "team").stat().st_ino} <= inodes
    assert not {objects.stat().st_ino, objects.parent.stat().st_ino} & inodes


def watched_inodes() -> set[int]:
    """Asks the kernel which inodes this process watches (proc(5), fdinfo)."""
    found = set()
    for info in Path("/proc/self/fdinfo").iterdir():
        try:
            lines = info.read_text().splitlines()
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        for line in lines:
            if line.startswith("inotify wd:"):
                found.add(int(line.split("ino:")[1].split()[0], 16))
    return found


def test_a_link_swapped_above_the_root_is_a_hint_and_rearms(root: Path) -> None:
    """After the swap that git-sync makes, edits in the new tree are hints again."""
    base = root.parent
    (base / "rev-2" / "flows").mkdir(parents=True)
    (base / "rev-1").mkdir()
    root.rename(base / "rev-1" / "flows")
    (base / "current").symlink_to("rev-1")

    def swap() -> None:
        (base / "next").symlink_to("rev-2")
        (base / "next").rename(base / "current")

    async def scenario() -> None:
        async with watching(base / "current" / "flows") as watched:
            assert not await asyncio.to_thread(watched.watcher.rearm)
            await watched.after(swap)
            assert await asyncio.to_thread(watched.watcher.rearm)
            await watched.after(lambda: write(base / "rev-2" / "flows"))

    asyncio.run(scenario())


def test_a_root_made_anew_is_a_hint_and_rearms(root: Path) -> None:
    """A root renamed away and made again is another folder, and is watched as such."""

    async def scenario() -> None:
        async with watching(root) as watched:
            await watched.after(lambda: root.rename(root.parent / "old"))
            await watched.after(root.mkdir)
            assert await asyncio.to_thread(watched.watcher.rearm)
            assert watched.watcher.is_alive()
            await watched.after(lambda: write(root))

    asyncio.run(scenario())


def test_a_missing_root_is_not_alive_until_it_is_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The start does not fail, warns once, and the root's arrival is a hint."""
    root = tmp_path / "flows"

    async def scenario() -> None:
        async with watching(root) as watched:
            assert not watched.watcher.is_alive()
            assert await asyncio.to_thread(watched.watcher.rearm)
            await watched.after(root.mkdir)
            assert await asyncio.to_thread(watched.watcher.rearm)
            assert watched.watcher.is_alive()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert len(caplog.records) == 1


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Lets the kernel refuse every new descriptor of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_start_without_descriptors_warns_and_recovers(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Too many inotify instances take the hints away, not the daemon."""

    async def scenario() -> None:
        watcher = WatchdogWatcher(asyncio.get_running_loop())
        with no_more_descriptors():
            watcher.start(root, lambda _: None)
        assert not watcher.is_alive()
        assert watcher.rearm()
        assert watcher.is_alive()
        watcher.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert len(caplog.records) == 1


def test_a_folder_without_room_for_its_watch_shows(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What watchdog passes over in silence, a full table of watches, is told."""
    add_callback = InotifyFD.add_callback

    def refuse(
        self: InotifyFD, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        if path.endswith(b"/team"):
            raise OSError(errno.ENOSPC, "inotify watch limit reached")
        return add_callback(self, path, mask, callback, id_)

    monkeypatch.setattr(InotifyFD, "add_callback", refuse)

    async def scenario() -> None:
        async with watching(root) as watched:
            assert not watched.watcher.is_alive()
            await watched.after(lambda: write(root))

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert [record.message for record in caplog.records] == ["watch_failed"]
    assert "max_user_watches" in vars(caplog.records[0])["error"]


def test_a_missing_root_is_told_as_missing(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who forgot to make the folder is not sent to look for permissions."""

    async def scenario() -> None:
        async with watching(root / "gone"):
            pass

    asyncio.run(scenario())
    assert "no such folder" in vars(caplog.records[0])["error"]


def test_a_dead_thread_shows_and_rearm_heals(root: Path) -> None:
    """Fault inside watchdog: the reader's thread is gone, the others live on unaware."""

    async def scenario() -> None:
        async with watching(root) as watched:
            assert watched.watcher._observer is not None
            reader = watched.watcher._observer._reader
            reader.stop()
            reader.join()
            assert not watched.watcher.is_alive()
            assert await asyncio.to_thread(watched.watcher.rearm)
            assert watched.watcher.is_alive()
            await watched.after(lambda: write(root))

    asyncio.run(scenario())


def test_an_overflow_of_the_queue_is_a_hint(root: Path) -> None:
    """Events that the kernel dropped are answered by a scan."""
    hints: list[str] = []
    reader = _Reader(str(root), lambda: hints.append("hint"))
    overflow = InotifyEvent(WatchDescriptor(-1), InotifyConstants.IN_Q_OVERFLOW, 0, b"")
    reader.handle_event(overflow)
    reader._is_reading = False  # its thread never ran, so that nobody else closes the descriptors
    reader.close()
    assert hints == ["hint"]


def test_an_overflow_is_counted_and_answered(root: Path) -> None:
    """The count is for the metric, the hint for the scan; the watcher lives on."""

    async def scenario() -> None:
        async with watching(root) as watched:
            assert watched.watcher._observer is not None
            reader = watched.watcher._observer._reader
            overflow = InotifyEvent(WatchDescriptor(-1), InotifyConstants.IN_Q_OVERFLOW, 0, b"")
            await watched.after(lambda: reader.handle_event(overflow))
            assert watched.watcher.overflows == 1
            assert watched.watcher.is_alive()
            await watched.after(lambda: write(root))

    asyncio.run(scenario())


def test_a_volume_of_kubernetes_that_is_swapped_is_a_hint(tmp_path: Path) -> None:
    """All files lead through `..data`, the only name that changes."""
    root = tmp_path / "volume"
    for version in ("..1", "..2"):
        (root / version).mkdir(parents=True)
        (root / version / "a.yaml").write_text(version)
    (root / "..data").symlink_to("..1")
    (root / "a.yaml").symlink_to("..data/a.yaml")

    def swap() -> None:
        (root / "..data_tmp").symlink_to("..2")
        (root / "..data_tmp").rename(root / "..data")

    async def scenario() -> None:
        async with watching(root) as watched:
            await watched.after(swap)

    asyncio.run(scenario())


def test_a_network_file_system_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes made here are heard of, those of others are not: hints cannot be relied on."""
    monkeypatch.setattr("flowrunner.system.watcher.network_file_system", lambda _: "nfs4")

    async def scenario() -> None:
        async with watching(root) as watched:
            status = watched.watcher.status()
            assert (status.is_alive, status.is_network) == (False, True)
            assert "nfs4" in status.message
            assert not await asyncio.to_thread(watched.watcher.rearm)
            await watched.after(lambda: write(root))

    asyncio.run(scenario())


FILES, FOLDERS = (20_000, 400) if IS_LONG else (600, 30)


def test_the_last_edit_in_a_large_checkout_is_not_lost(tmp_path: Path) -> None:
    """After thousands of files came at once, one edit is still a hint, and all is watched."""
    root = tmp_path / "flows"
    (root / ".git" / "objects").mkdir(parents=True)

    def check_out() -> None:
        for number in range(FILES):
            path = root / f"team-{number % FOLDERS}" / f"{number}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text("old")
            if number % 10 == 0:
                (root / ".git" / "objects" / str(number)).touch()

    async def scenario() -> None:
        async with watching(root) as watched:
            await watched.after(check_out)
            await quiet(watched)
            for number in range(0, FOLDERS, FOLDERS // 2):
                path = root / f"team-{number}" / f"{number}.yaml"
                await watched.after(partial(path.write_text, "new"))
                await quiet(watched)
            assert watched.watcher.is_alive()

    asyncio.run(scenario())


async def quiet(watched: Watched) -> None:
    """Waits until no hint of earlier changes is on its way any more."""
    while True:
        watched.hinted.clear()
        try:
            await asyncio.wait_for(watched.hinted.wait(), 0.3)
        except TimeoutError:
            return


def test_stop_ends_all_threads_and_hints(root: Path) -> None:
    """After a stop nothing is left that could call into a closed loop."""
    before = threading.active_count()

    async def scenario() -> None:
        async with watching(root) as watched:
            watched.watcher._hints.give()
            watched.watcher.stop()
            watched.watcher._hints.give()
            await asyncio.to_thread(lambda: None)
            assert not watched.hinted.is_set()
            assert not watched.watcher.is_alive()

    asyncio.run(scenario())
    assert threading.active_count() == before


def test_a_hint_for_a_closed_loop_is_dropped() -> None:
    """An event that comes while the daemon ends does not kill the thread that brings it."""
    loop = asyncio.new_event_loop()
    hints = Hints(loop, lambda _: None)
    loop.close()
    hints.give()
    hints.give()


def test_hints_that_come_together_reach_the_loop_as_one() -> None:
    """A checkout of thousands of files does not fill the loop with calls."""
    hints: list[str] = []

    async def scenario() -> None:
        carrier = Hints(asyncio.get_running_loop(), lambda _: hints.append("hint"))
        for _ in range(1_000):
            carrier.give()
        await settle()
        carrier.give()
        await settle()

    async def settle() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert hints == ["hint", "hint"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(["a", "b", "a"], {"a", "b"}, id="names"),
        pytest.param(["a", "", "b"], None, id="anything-among-them"),
        pytest.param([str(at) for at in range(_MOST_NAMES)], "all", id="as-many-as-it-holds"),
        pytest.param([str(at) for at in range(_MOST_NAMES + 1)], None, id="too-many"),
    ],
)
def test_hints_that_come_together_name_everything(
    given: list[str], expected: set[str] | str | None
) -> None:
    """No name gets lost: where there are too many, anything may have changed."""
    told: list[Changed] = []

    async def scenario() -> None:
        carrier = Hints(asyncio.get_running_loop(), told.append)
        for name in given:
            carrier.give(name)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(scenario())
    wanted = set(given) if expected == "all" else expected
    assert [None if names is None else set(names) for names in told] == [wanted]


def test_the_fake_behaves_as_a_watcher_does() -> None:
    """Tests of others poke it, break it and let it heal."""
    hints: list[str] = []
    fake = FakeWatcher()
    watcher: Watcher = fake
    assert not watcher.is_alive()
    watcher.start(Path("/flows"), lambda _: hints.append("hint"))
    fake.poke()
    assert not watcher.rearm()
    fake.alive = False
    assert watcher.rearm()
    assert watcher.is_alive()
    watcher.stop()
    fake.poke()
    assert hints == ["hint"]

"""The watcher: a hint that something below the flows root changed, nothing more.

The only door to `watchdog`. The scan is the truth and runs on a timer too; every fault of a
watcher (lost events, a full queue, a dead thread, a root made anew) costs latency alone. What
watchdog cannot do is done here: it neither tells of an overflow nor notices a new root, and it
would watch all of `.git`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeAlias

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from flowrunner.dataclass import dataclass
from flowrunner.system.mounts import network_file_system
from flowrunner.system.watch_hints import Changed, Hints
from flowrunner.system.watch_paths import (
    ANY_NAME,
    find_doors,
    find_git_files,
    hint_of,
    is_watched,
    resolve,
)

__all__ = ["Changed", "NoWatcher", "WatchStatus", "WatchdogWatcher", "Watcher"]

_log = logging.getLogger(__name__)

_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,  # written; `modified` would come for every write before it
    FileCreatedEvent,  # also a link, and a file renamed to here from a folder not watched
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchStatus:
    """Whether changes are heard of.

    Attributes:
        is_network: The root is on a file system that does not tell of what others change.
        message: Why hints cannot be relied on; empty if they can.
    """

    is_alive: bool
    is_network: bool = False
    message: str = ""


class Watcher(Protocol):
    """Gives a hint, soon after, that a scan of the root may see something new, and where.

    What a hint names is all that has changed since the one before, as far as a watcher can tell:
    it cannot tell of what happened to an inode by another name, nor while it was not alive.

    `start`, `rearm` and `stop` block (they walk the tree or wait for threads): call them in a
    thread, one at a time.
    """

    def start(self, root: Path, hint: Callable[[Changed], None]) -> None:
        """Begins to watch; `hint` runs in the event loop. Never fails: see `is_alive`."""

    def rearm(self) -> bool:
        """Watches afresh if the root is another folder now, or the watcher is not alive.

        Call it before each timed scan, so that nothing falls between the two.

        Returns:
            Whether it watches afresh.
        """

    def stop(self) -> None:
        """Ends watching; no hint follows."""

    def is_alive(self) -> bool:
        """Whether hints can be relied on; False if any part of the tree is not watched."""

    def status(self) -> WatchStatus:
        """Returns whether hints can be relied on, and why not."""

    @property
    def overflows(self) -> int:
        """How often the kernel dropped events; each was answered by a hint."""


class NoWatcher:
    """For a root that nobody changes in place: there is nothing to hear of."""

    @property
    def overflows(self) -> int:
        """None: nothing is watched."""
        return 0

    def start(self, root: Path, hint: Callable[[Changed], None]) -> None:
        """Does nothing."""

    def rearm(self) -> bool:
        """Does nothing."""
        return False

    def stop(self) -> None:
        """Does nothing."""

    def is_alive(self) -> bool:
        """Nothing is missed."""
        return True

    def status(self) -> WatchStatus:
        """Nothing is missed."""
        return WatchStatus(is_alive=True)


class WatchdogWatcher:
    """Watches through inotify.

    Watched are the resolved root with the folders below it, except hidden ones, the folders
    whose links or names lead to the root, and the HEAD of its checkout. Hints that come together
    reach the loop as one.

    Args:
        loop: Where hints run.
        stop_timeout: How long, in seconds, `stop` waits for the threads of watchdog.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, stop_timeout: float = 5.0) -> None:
        self._loop = loop
        self._stop_timeout = stop_timeout
        self._root = Path()
        self._hints = Hints(loop, lambda _: None)
        self._observer: _Observer | None = None
        self._identity: _Identity | None = None
        self._last_failure = ""
        self._network = ""
        self._overflows = 0

    def start(self, root: Path, hint: Callable[[Changed], None]) -> None:
        """Begins to watch `root`, a folder or a link to one; it may still be missing."""
        self._root = root
        self._hints = Hints(self._loop, hint)
        self._arm()

    def rearm(self) -> bool:
        """Compares path, device and inode of the root with those it watches."""
        observer = self._observer
        is_whole = observer is not None and observer.is_whole()
        if is_whole and _identify(resolve(self._root)) == self._identity:
            return False
        self._disarm()
        self._arm()
        return True

    def stop(self) -> None:
        """Ends the threads of watchdog, or leaves them behind after the time limit."""
        self._hints.close()
        self._disarm()

    def is_alive(self) -> bool:
        """Asks all threads of watchdog, and whether all watches could be had."""
        return self.status().is_alive

    def status(self) -> WatchStatus:
        """Asks all threads of watchdog, whether all watches could be had, and what is watched."""
        observer = self._observer  # once: another thread may re-arm meanwhile
        if observer is None or not observer.is_whole():
            message = self._last_failure or "a thread of the watcher has ended"
            return WatchStatus(is_alive=False, message=message)
        if self._network:
            text = f"{self._root} is on {self._network}, which does not tell of changes elsewhere"
            return WatchStatus(is_alive=False, is_network=True, message=text)
        return WatchStatus(is_alive=True)

    @property
    def overflows(self) -> int:
        """How often the kernel's queue was full."""
        return self._overflows

    def _arm(self) -> None:
        real = resolve(self._root)
        self._identity = _identify(real)
        self._network = network_file_system(real)
        try:
            self._observer = _Observer(str(real), self._hints.give, self._note_overflow)
            self._observer.start()
            self._observer.watch_doors(self._root)
            self._observer.watch_root()
        except (OSError, RuntimeError) as error:  # RuntimeError: no more threads
            self._report(str(error))
        else:
            self._report_room(self._observer)

    def _note_overflow(self) -> None:
        """Counts, in the thread of the reader, and asks for a scan: anything may have changed."""
        self._overflows += 1
        _log.warning("watch_overflow", extra={"root": str(self._root)})
        self._hints.give()

    def _report_room(self, observer: _Observer) -> None:
        if observer.is_complete():
            self._last_failure = ""
        else:
            self._report("no room for more watches, see fs.inotify.max_user_watches")

    def _report(self, failure: str) -> None:
        """Logs once, not with every attempt to recover, that only timed scans find changes."""
        if failure != self._last_failure:
            _log.warning("watch_failed", extra={"root": str(self._root), "error": failure})
        self._last_failure = failure

    def _disarm(self) -> None:
        """Stops in a thread of its own, because watchdog joins its threads without a limit."""
        observer, self._observer = self._observer, None
        if observer is None:
            return
        ending = threading.Thread(target=observer.end, name="watcher-end", daemon=True)
        ending.start()
        ending.join(self._stop_timeout)
        if ending.is_alive():
            _log.warning("watch_threads_left", extra={"root": str(self._root)})


_Identity: TypeAlias = tuple[Path, int, int]


def _identify(real: Path) -> _Identity | None:
    try:
        facts = real.stat()
    except OSError:
        return None
    return (real, facts.st_dev, facts.st_ino)


class _Handler(FileSystemEventHandler):
    """Judges events by their paths; an exception here would end watchdog's thread.

    Args:
        name_of: Returns what a hint says of a path; None if it does not matter.
    """

    def __init__(self, name_of: Callable[[str], str | None], hint: Callable[[str], None]) -> None:
        self._name_of = name_of
        self._hint = hint

    def dispatch(self, event: FileSystemEvent) -> None:
        """Gives a hint for the source and the destination, if they matter."""
        for path in (event.src_path, event.dest_path):
            name = self._name_of(os.fsdecode(path)) if path else None
            if name is not None:
                self._hint(ANY_NAME if event.is_directory else name)


class _Reader(InotifyFD):
    """Reads the kernel's queue; chooses what is watched, and tells of an overflow.

    Attributes:
        complete: False once a watch was refused for lack of room.
    """

    def __init__(self, root: str, overflowed: Callable[[], None]) -> None:
        super().__init__()
        self._prefix = os.fsencode(root).rstrip(b"/") + b"/"
        self._overflowed = overflowed
        self.complete = True

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        """Adds a watch, or refuses by `OSError`, which watchdog skips below the root."""
        if path.startswith(self._prefix):
            relative = os.fsdecode(path[len(self._prefix) :])
            if not is_watched(relative):
                raise FileNotFoundError(errno.ENOENT, "is hidden, hence not watched", path)
        if not os.access(path, os.R_OK):  # watchdog takes EACCES for a success
            if not os.path.exists(path):  # noqa: PTH110 - bytes, which no Path takes
                raise FileNotFoundError(errno.ENOENT, "no such folder", path)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                self.complete = False
            raise

    def handle_event(self, event: InotifyEvent) -> None:
        """Lets watchdog rebuild its watches after an overflow, then tells of it."""
        super().handle_event(event)
        if event.is_queue_overflow:
            self._overflowed()


class _Observer(BaseObserver):
    """An observer over its own `_Reader`, which the one of watchdog cannot be given."""

    def __init__(
        self, root: str, hint: Callable[[str], None], overflowed: Callable[[], None]
    ) -> None:
        self._root = root
        self._hint = hint
        self._watches_root = False
        self._reader = _Reader(root, overflowed)
        self._reader.start()
        super().__init__(InotifyEmitter, inotify_fd=self._reader)

    def watch_root(self) -> None:
        """Watches the tree; raises `OSError` if the root itself cannot be watched."""
        prefix = self._root.rstrip("/") + "/"

        def name_of(path: str) -> str | None:
            return ANY_NAME if path == self._root else hint_of(path.removeprefix(prefix))

        # One inode may have two names in one walk, of which watchdog warns each time.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        handler = _Handler(name_of, self._hint)
        self.schedule(handler, self._root, recursive=True, event_filter=_EVENTS)
        self._watches_root = True

    def watch_doors(self, root: Path) -> None:
        """Watches the names that lead to the root, and git's outside it, as far as they exist."""
        for folder, names in (*find_doors(root).items(), *find_git_files(root).items()):
            doors = {str(folder / name): ANY_NAME for name in names}
            handler = _Handler(doors.get, self._hint)
            with suppress(OSError):
                self.schedule(handler, str(folder), recursive=False, event_filter=_EVENTS)

    def is_complete(self) -> bool:
        """Whether everything that should be watched is."""
        return self._watches_root and self._reader.complete

    def is_whole(self) -> bool:
        """Whether it is complete and all threads live."""
        threads = [self, self._reader, *self.emitters]
        return self.is_complete() and all(thread.is_alive() for thread in threads)

    def on_thread_stop(self) -> None:
        """Ends the reader after the emitters that use it."""
        super().on_thread_stop()
        self._reader.stop()
        self._reader.join()

    def end(self) -> None:
        """Stops and joins; known races of watchdog at its end are of no account."""
        with suppress(OSError, KeyError, RuntimeError):
            self.stop()
            self.join()

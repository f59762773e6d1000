"""Folders that are looked at anyway, and that tell meanwhile when something comes into them.

A hint and nothing more: whoever is told looks, and goes on looking from time to time, since
hints may be lost. One thread reads the kernel's queue for all folders; it is there while there
is any. Which folders there are is for the caller, who has just looked at them.

Beside `flowrunner.system.watcher` the only door to `watchdog`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import suppress
from dataclasses import field
from itertools import count
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from flowrunner.dataclass import dataclass
from flowrunner.system.mounts import network_file_system

MOST_FOLDERS = 4_096
"""Folders that are watched at once: half of the room that old kernels have for a user.
Source: inotify(7), `max_user_watches`."""

_MASK = Mask(
    InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
_NO_ROOM = frozenset({errno.ENOSPC, errno.ENOMEM})
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})

K = TypeVar("K", bound=Hashable)
"""By which a caller knows what it follows."""


class Folder(NamedTuple):
    """A folder by its resolved path, and which one of that name it is."""

    path: str
    device: int
    inode: int


class Followed(NamedTuple):
    """What became of a wish to hear of folders.

    Attributes:
        is_new: Whether one of them is heard of only from now on: what came into it since the
            caller has looked is not told.
        failure: Why hints cannot be relied on; empty if they can.
    """

    is_new: bool = False
    failure: str = ""


class FolderWatch(Protocol[K]):
    """Tells of folders; `follow` and `close` block: call them in threads, several at a time."""

    def listen(self, hint: Callable[[K], None]) -> None:
        """Calls `hint` in the event loop with the key of what has changed."""

    def follow(self, key: K, folders: Sequence[Folder]) -> Followed:
        """Hears of these folders and of no others under a key; the first is above the others."""

    def forget(self, keys: Collection[K]) -> None:
        """Follows nothing under these keys any more."""

    def close(self) -> None:
        """Ends it; no hint follows."""


@dataclass(slots=True, eq=False)
class _Following(Generic[K]):
    """What is followed under a key, and the ear that the reader has for it."""

    key: K
    number: CallbackId
    changed: Callable[[K], None]
    vanished: Callable[[_Following[K], WatchDescriptor], None]
    watches: dict[Folder, WatchDescriptor] = field(default_factory=dict)
    network: str = ""

    def on_event(self, event: InotifyEvent) -> None:  # noqa: ARG002 - whoever looks sees it
        """Tells that something came, or that the folder itself went."""
        self.changed(self.key)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Learns that the kernel has dropped a watch, whose folder is gone."""
        self.vanished(self, wd)

    def on_queue_overflow(self) -> None:
        """Tells, since anything may have come."""
        self.changed(self.key)


class InotifyFolders(Generic[K]):
    """Meets `FolderWatch` by inotify.

    Args:
        loop: Where hints run.
        most: How many folders are watched at once.
        make_reader: Makes what reads the kernel's queue.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        most: int = MOST_FOLDERS,
        make_reader: Callable[[], InotifyFD] = InotifyFD,
    ) -> None:
        self._loop = loop
        self._most = most
        self._make_reader = make_reader
        self._hint: Callable[[K], None] = lambda _: None
        self._lock = threading.Lock()
        self._told: set[K] = set()
        self._following: dict[K, _Following[K]] = {}
        self._numbers = count(1)
        self._reader: InotifyFD | None = None
        self._is_closed = False

    def listen(self, hint: Callable[[K], None]) -> None:
        """Calls `hint` in the event loop; see `FolderWatch`."""
        self._hint = hint

    def follow(self, key: K, folders: Sequence[Folder]) -> Followed:
        """Hears of these folders under a key; see `FolderWatch`."""
        with self._lock:
            if self._is_closed:
                return Followed()
            try:
                reader = self._living_reader()
            except OSError as error:
                limit = "see fs.inotify.max_user_instances"
                return Followed(failure=f"{os.strerror(error.errno or 0)}, {limit}")
            following = self._following.get(key)
            if following is None:
                number = CallbackId(next(self._numbers))
                following = _Following(key, number, self._give, self._drop)
                self._following[key] = following
            return self._renew(reader, following, folders)

    def forget(self, keys: Collection[K]) -> None:
        """Follows nothing under these keys any more."""
        with self._lock:
            for key in keys:
                following = self._following.pop(key, None)
                if following is not None and self._reader is not None:
                    self._leave(self._reader, following, list(following.watches))
            idle = self._take_reader() if not self._following else None
        _end(idle)

    def close(self) -> None:
        """Ends the thread."""
        with self._lock:
            self._is_closed = True
            self._following.clear()
            reader = self._take_reader()
        _end(reader)

    def _living_reader(self) -> InotifyFD:
        """Returns the reader; a new one, which watches nothing yet, if there is none alive."""
        if self._reader is None or not self._reader.is_alive():
            self._reader = None
            reader = self._make_reader()
            reader.start()
            for following in self._following.values():
                following.watches.clear()
            self._reader = reader
        return self._reader

    def _take_reader(self) -> InotifyFD | None:
        reader, self._reader = self._reader, None
        return reader

    def _renew(
        self, reader: InotifyFD, following: _Following[K], folders: Sequence[Folder]
    ) -> Followed:
        wanted = dict.fromkeys(folders)
        coming = [folder for folder in wanted if folder not in following.watches]
        going = [folder for folder in following.watches if folder not in wanted]
        if folders and folders[0] in coming:
            following.network = network_file_system(Path(folders[0].path))
        self._leave(reader, following, going)
        room = self._most - sum(len(each.watches) for each in self._following.values())
        before, failure = len(following.watches), ""
        for folder in coming[:room]:
            failure = self._watch(reader, following, folder)
            if failure:
                break
        if len(coming) > room and not failure:
            failure = f"there are more than {self._most} folders to watch"
        is_new = len(following.watches) > before
        if not failure and following.network:
            failure = f"{folders[0].path} is on {following.network}"
            failure += ", which does not tell of changes elsewhere"
        return Followed(is_new, failure)

    @staticmethod
    def _watch(reader: InotifyFD, following: _Following[K], folder: Folder) -> str:
        """Watches a folder and returns why it cannot be; one that has gone meanwhile is none."""
        path = folder.path
        if not os.access(path, os.R_OK):  # watchdog takes EACCES for a success
            return f"{path} cannot be read" if os.path.lexists(path) else ""
        try:
            wd = reader.add_callback(os.fsencode(path), _MASK, following, following.number)
        except OSError as error:
            if error.errno in _GONE:
                return ""
            if error.errno in _NO_ROOM:
                return "no room for more watches, see fs.inotify.max_user_watches"
            return f"{path} cannot be watched: {error.strerror}"
        following.watches[folder] = wd
        return ""

    @staticmethod
    def _leave(reader: InotifyFD, following: _Following[K], folders: Collection[Folder]) -> None:
        """Watches folders no more; before others are: one that was moved is the same to inotify."""
        going = [following.watches.pop(folder) for folder in folders]
        reader.remove_callbacks([(wd, following.number) for wd in going])

    def _drop(self, following: _Following[K], wd: WatchDescriptor) -> None:
        """Forgets what the kernel has dropped; in the reader's thread."""
        with self._lock:
            gone = [folder for folder, known in following.watches.items() if known == wd]
            for folder in gone:
                del following.watches[folder]

    def _give(self, key: K) -> None:
        """Carries a hint into the loop, many as one; in the reader's thread, never raises."""
        with self._lock:
            is_first = not self._told
            self._told.add(key)
        if is_first:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            told, self._told = self._told, set()
            if self._is_closed:
                return
        for key in told:
            self._hint(key)


def _end(reader: InotifyFD | None) -> None:
    """Ends a reader; not under the lock, for which its callbacks may wait."""
    if reader is not None:
        with suppress(OSError, RuntimeError):
            reader.stop()
            reader.join()

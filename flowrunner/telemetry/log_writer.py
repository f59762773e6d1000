"""Appends to the log files of attempts from one thread, so that a slow disk never holds the loop.

Log files are not synced: what a crash of the host takes from them is no accepted work. What the
lines look like is the business of `flowrunner.telemetry.attempt_log`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TypeAlias

from flowrunner.dataclass import dataclass

PENDING_LIMIT = 8 * 1024 * 1024
"""Bytes waiting for the disk above which the sources of output are asked to pause."""

_FILE_MODE = 0o640
_FOLDER_MODE = 0o750
_Item: TypeAlias = tuple[Path, bytes | Future[None]]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _File:
    """An open log file. `torn`: a write may have ended in the middle of a line."""

    fd: int | None = None
    torn: bool = False
    reported: bool = False


class LogWriter:
    """Writes log files in the background, in the order of the calls.

    What waits is written together, one write per file. A write that fails is counted and logged
    once per file, its lines are lost, and the next write tries again: a full disk ends no
    execution.

    Args:
        pending_limit: Bytes waiting above which `is_congested` is true.
    """

    def __init__(self, *, pending_limit: int = PENDING_LIMIT) -> None:
        self._pending_limit = pending_limit
        self._pending = 0
        self._errors = 0
        self._taken = 0
        self._closing = False
        self._queue: list[_Item] = []
        self._changed = threading.Condition()
        self._files: dict[Path, _File] = {}  # the thread's own
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def is_congested(self) -> bool:
        """Whether more is waiting than is good for the memory."""
        return self._pending > self._pending_limit

    @property
    def taken(self) -> int:
        """Bytes that were queued since the start."""
        return self._taken

    @property
    def errors(self) -> int:
        """How many writes have failed since the start."""
        return self._errors

    def append(self, path: Path, data: bytes) -> None:
        """Queues `data`, whole lines, for the file; never blocks. After `close` it is lost.

        The file (0640) and its folders (0750) are made by the first write.
        """
        with self._changed:
            if self._closing:
                self._errors += 1
                return
            self._pending += len(data)
            self._taken += len(data)
            self._queue.append((path, data))
            self._changed.notify()

    async def finish(self, path: Path) -> None:
        """Returns once everything appended so far is written and the file is closed.

        Safe to cancel; the file is closed all the same.
        """
        finished: Future[None] = Future()
        finished.set_running_or_notify_cancel()  # the thread's result is not to be cancelled
        with self._changed:
            if self._closing:
                return
            self._queue.append((path, finished))
            self._changed.notify()
        await asyncio.wrap_future(finished)

    def close(self, timeout_s: float = 2.0) -> None:
        """Writes what is waiting and ends the thread; blocks for `timeout_s` at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while batch := self._take():
            self._carry_out(batch)
        for path in tuple(self._files):
            self._close_file(path)

    def _take(self) -> list[_Item]:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            batch, self._queue = self._queue, []
        return batch

    def _carry_out(self, batch: list[_Item]) -> None:
        waiting: dict[Path, list[bytes]] = {}
        written = 0
        for path, item in batch:
            if isinstance(item, bytes):
                waiting.setdefault(path, []).append(item)
                written += len(item)
            else:
                self._write(path, waiting.pop(path, []))
                self._close_file(path)
                item.set_result(None)
        for path, chunks in waiting.items():
            self._write(path, chunks)
        with self._changed:
            self._pending -= written

    def _write(self, path: Path, chunks: list[bytes]) -> None:
        if not chunks:
            return
        file = self._files.setdefault(path, _File())
        try:
            if file.fd is None:
                file.fd = _open(path)
            data = b"".join((b"\n", *chunks) if file.torn else chunks)
            file.torn = True
            _write_all(file.fd, data)
            file.torn = False
        except Exception as error:  # noqa: BLE001 - the writer loop must survive, or all output stops
            self._errors += 1
            if not file.reported:
                file.reported = True
                _log.error(
                    "attempt_log_not_written", extra={"path": str(path), "error": str(error)}
                )

    def _close_file(self, path: Path) -> None:
        file = self._files.pop(path, None)
        if file is not None and file.fd is not None:
            os.close(file.fd)


def _open(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    try:
        return os.open(path, flags, _FILE_MODE)
    except FileNotFoundError:
        _make_folder(path.parent)
        return os.open(path, flags, _FILE_MODE)


def _make_folder(folder: Path) -> None:
    # Path.mkdir(parents=True) would give the mode to the last folder alone.
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]

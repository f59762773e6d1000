"""One page of the logs of an execution: bounded in size, with a cursor that stays short.

It does not matter how many attempts there are and what they printed. Reading blocks: the caller
brings a thread. What stands in a log file is the business of `flowrunner.telemetry.attempt_log`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

from flowrunner.dataclass import dataclass
from flowrunner.service.read_items import ReadItems
from flowrunner.service.views import LogChunk, LogCursor, LogEntry, LogPage
from flowrunner.telemetry.attempt_log import LogLine, read_log

ATTEMPT_LINES = 1_000
"""Lines of one attempt in one page, so that a chatty one does not hide the others."""

PAGE_LINES = 5_000
"""Lines of one page."""

PAGE_BYTES = 2 * 1024**2
"""Bytes of log files at which a page ends, within a line of the last file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAttempt:
    """An attempt that may have a log.

    Attributes:
        item: The index of its item; None without `foreach`.
        position: Of its node in the definition; None when the definition does not have it.
        has_ended: Whether its log cannot grow any more.
        is_last: Whether no other attempt of its item follows.
    """

    node: str
    item: int | None = None
    number: int
    position: int | None
    has_ended: bool
    is_last: bool = False
    path: Path


def read_page(
    attempts: Sequence[LoggedAttempt], cursor: LogCursor, *, execution_ended: bool
) -> LogPage:
    """Returns what was logged since the cursor, attempt by attempt, as far as a page reaches.

    Raises:
        StorageError: ``storage.unavailable``, a log cannot be read.
    """
    page = _Page(cursor)
    is_whole = True
    for attempt in attempts:
        if page.is_done(attempt):
            continue
        is_whole = page.add(attempt) and is_whole
        if page.is_full:
            is_whole = False
            break
    return LogPage(
        chunks=tuple(page.chunks), cursor=page.cursor(), is_complete=execution_ended and is_whole
    )


@dataclass(slots=True)
class _Page:
    """A page in the making."""

    begin: LogCursor
    chunks: list[LogChunk] = field(default_factory=list)
    lines: int = 0
    size: int = 0
    done: list[int] = field(init=False)
    offsets: dict[str, int] = field(init=False)
    items: ReadItems = field(init=False)

    def __post_init__(self) -> None:
        self.done, self.offsets = list(self.begin.done), dict(self.begin.offsets)
        self.items = ReadItems(self.begin)

    @property
    def is_full(self) -> bool:
        """Whether nothing more fits."""
        return self.lines >= PAGE_LINES or self.size >= PAGE_BYTES

    def is_done(self, attempt: LoggedAttempt) -> bool:
        """Whether the whole log of an attempt was read, by this page or one before."""
        if attempt.item is not None and attempt.position is not None:
            return self.items.is_done(
                attempt.position, attempt.item, attempt.number, is_last=attempt.is_last
            )
        return attempt.number <= self._done_of(attempt.position)

    def add(self, attempt: LoggedAttempt) -> bool:
        """Reads what fits of a log, and returns whether there is nothing more of it by now."""
        lines, at_end = self._read(attempt)
        if lines:
            entries = tuple(
                LogEntry(at=line.at, stream=line.stream, text=line.text, is_partial=line.partial)
                for line in lines
            )
            self.chunks.append(
                LogChunk(
                    node=attempt.node, item=attempt.item, attempt=attempt.number, lines=entries
                )
            )
        if at_end and attempt.has_ended:
            self._note_done(attempt)
        return at_end

    def cursor(self) -> LogCursor:
        """Returns where the next page begins."""
        return LogCursor(
            done=tuple(self.done),
            offsets=self.offsets,
            items=self.items.ranges,
            tries=self.items.tries,
        )

    def _read(self, attempt: LoggedAttempt) -> tuple[list[LogLine], bool]:
        name, found = attempt.path.name, list[LogLine]()
        while len(found) < ATTEMPT_LINES and not self.is_full:
            offset = self.offsets.get(name, 0)
            room = min(ATTEMPT_LINES - len(found), PAGE_LINES - self.lines)
            lines, end = read_log(
                attempt.path, offset=offset, limit=room, most_bytes=PAGE_BYTES - self.size
            )
            if end == offset:
                return found, True
            found += lines
            self.offsets[name] = end
            self.lines += len(lines)
            self.size += end - offset
        return found, False

    def _done_of(self, position: int | None) -> int:
        return self.done[position] if position is not None and position < len(self.done) else 0

    def _note_done(self, attempt: LoggedAttempt) -> None:
        """Counts an attempt as read when those before it are: attempts come in turn."""
        position = attempt.position
        if position is None:
            return
        if attempt.item is not None:
            if self.items.note(position, attempt.item, attempt.number, is_last=attempt.is_last):
                self.offsets.pop(attempt.path.name, None)
            return
        if self._done_of(position) != attempt.number - 1:
            return
        self.done += [0] * (position + 1 - len(self.done))
        self.done[position] = attempt.number
        self.offsets.pop(attempt.path.name, None)

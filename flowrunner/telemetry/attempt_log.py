"""The log of one attempt: masked, stamped lines on their way in, and the way out again.

The format is that of Kubernetes' container logs, which every log shipper reads:
`2026-03-30T02:30:00.123456+00:00 stdout F a line`, with `P` for the parts of a line that is too
long. Source: the CRI logging format, kubernetes/design-proposals, kubelet-cri-logging.md.

Pipes, secrets and the clock come in behind Protocols; `flowrunner.telemetry.log_writer` writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError

Stream: TypeAlias = Literal["stdout", "stderr"]

LOG_LIMIT = 20 * 1024 * 1024
"""Bytes of one attempt's log file, time stamps included (FLOW_FORMAT 2, `retention`)."""

LONGEST_LINE = 16 * 1024
"""Bytes of one line; a longer one is cut into parts. Source: containerd's default."""

_LONGEST_STAMPED = LONGEST_LINE + 64
# Source: RFC 3629, the bytes of a character after its first one.
_CONTINUATION = 0x80
_MOST_CONTINUATIONS = 3
_STAMPED = re.compile(rb"(\S+) (stdout|stderr) ([FP]) (.*)\n", re.DOTALL)


class Clock(Protocol):
    """Stamps the lines."""

    def now(self) -> datetime:
        """Returns the wall time, aware, in UTC."""


class Masker(Protocol):
    """Hides the secrets of one stream, however it is cut."""

    def feed(self, data: bytes) -> bytes:
        """Returns what can be told by now."""

    def flush(self) -> bytes:
        """Returns the rest."""


class Writer(Protocol):
    """Appends to files in the background, as `LogWriter` does."""

    @property
    def is_congested(self) -> bool:
        """Whether too much is waiting."""

    def append(self, path: Path, data: bytes) -> None:
        """Queues whole lines; never blocks, never raises."""

    async def finish(self, path: Path) -> None:
        """Returns once everything is written and the file is closed."""


class AttemptLog:
    """Takes the output of one attempt; lives in the event loop, never blocks, never raises.

    A line is stamped when its end arrives. Bytes that are not UTF-8 are kept. An attempt that
    prints nothing has no file.

    Args:
        folder: Of the execution.
        name: Of the file, of this attempt alone.
        clock: Stamps the lines.
        masker: Makes a masker for each stream.
        writer: Shared by all attempts.
        limit_bytes: Size at which one last line says so and the rest is dropped.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        clock: Clock,
        masker: Callable[[], Masker],
        writer: Writer,
        limit_bytes: int = LOG_LIMIT,
    ) -> None:
        self._folder = folder
        self._name = name
        self._clock = clock
        self._masker = masker
        self._writer = writer
        self._limit = limit_bytes
        self._streams: dict[Stream, _Lines] = {}
        self._written = 0
        self._full = False

    @cached_property
    def _path(self) -> Path:
        """Joined with the first line: most attempts have none."""
        return self._folder / self._name

    @property
    def is_congested(self) -> bool:
        """Whether the disk lags behind: whoever feeds should pause."""
        return self._writer.is_congested

    def feed(self, stream: Stream, data: bytes) -> None:
        """Takes a chunk, cut anywhere."""
        if self._full:
            return
        if stream not in self._streams:
            self._streams[stream] = _Lines(self._masker())
        self._write(self._streams[stream].feed(data, self._head(stream)))

    def end(self, stream: Stream) -> None:
        """Writes what is left of the stream as its last line."""
        lines = self._streams.pop(stream, None)
        if lines is not None and not self._full:
            self._write(lines.end(self._head(stream)))

    def note(self, text: str) -> None:
        """Writes a message of the node itself as whole lines, masked like its output."""
        lines, head = _Lines(self._masker()), self._head("stdout")
        data = text.encode("utf-8", errors="surrogateescape")
        self._write(lines.feed(data, head) + lines.end(head))

    async def close(self) -> None:
        """Ends both streams and returns once the file is complete. Idempotent, safe to cancel."""
        for stream in tuple(self._streams):
            self.end(stream)
        if self._written:
            await self._writer.finish(self._path)

    def _head(self, stream: Stream) -> bytes:
        return f"{self._clock.now().isoformat(timespec='microseconds')} {stream} ".encode()

    def _write(self, block: bytes) -> None:
        """Appends stamped lines as far as they fit."""
        if not block or self._full:
            return
        room = self._limit - self._written
        if len(block) > room:
            self._full = True
            fits = block[: block.rfind(b"\n", 0, room) + 1]
            marker = f"F [log limit of {self._limit} bytes reached, output dropped]\n"
            block = fits + self._head("stderr") + marker.encode()
        self._written += len(block)
        self._writer.append(self._path, block)


class _Lines:
    """One stream on its way to lines: masked, cut, stamped."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._tail = b""

    def feed(self, data: bytes, head: bytes) -> bytes:
        """Returns the lines that are whole by now; `head` is time and stream."""
        block, line_end, self._tail = (self._tail + self._masker.feed(data)).rpartition(b"\n")
        stamped = _stamp(block, head) if line_end else b""
        if len(self._tail) > LONGEST_LINE:
            *parts, self._tail = _cut(self._tail)
            stamped += b"".join(b"%bP %b\n" % (head, part) for part in parts)
        return stamped

    def end(self, head: bytes) -> bytes:
        """Returns what is left, as lines."""
        rest = self._tail + self._masker.flush()
        return _stamp(rest.removesuffix(b"\n"), head) if rest else b""


def _stamp(block: bytes, head: bytes) -> bytes:
    """Stamps the lines of a block that lacks its last line end."""
    full = head + b"F "
    if len(block) > LONGEST_LINE:
        lines = block.split(b"\n")
        if max(map(len, lines)) > LONGEST_LINE:
            return b"".join(_stamp_line(line, head) for line in lines)
    return full + block.replace(b"\n", b"\n" + full) + b"\n"


def _stamp_line(line: bytes, head: bytes) -> bytes:
    *parts, last = _cut(line)
    return b"".join(b"%bP %b\n" % (head, part) for part in parts) + b"%bF %b\n" % (head, last)


def _cut(line: bytes) -> Iterator[bytes]:
    """Cuts a line into parts of at most `LONGEST_LINE` bytes, never inside a character."""
    start = 0
    while len(line) - start > LONGEST_LINE:
        end = start + LONGEST_LINE
        for _ in range(_MOST_CONTINUATIONS):
            if line[end] & 0xC0 == _CONTINUATION:
                end -= 1
        yield line[start:end]
        start = end
    yield line[start:]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of an attempt's log.

    Attributes:
        text: Without its line end; bytes that are not UTF-8 are replaced.
        partial: Whether the next line of the same stream continues this one.
    """

    at: datetime
    stream: Stream
    text: str
    partial: bool


def read_log(
    path: Path, *, offset: int = 0, limit: int = 1000, most_bytes: int = LOG_LIMIT
) -> tuple[list[LogLine], int]:
    """Reads whole lines, and returns them with the offset at which the next ones begin.

    A line that is being written is left for the next call, so a live tail never shows half a
    line. Pieces that are no log lines (a write cut by a full disk) are passed over. Blocks.

    Args:
        path: A file that does not exist is a log without lines.
        offset: Bytes; 0 or what an earlier call returned.
        limit: Lines at most. The returned offset equals `offset` when there is nothing more.
        most_bytes: Bytes of the file after which no further line is begun; above 0.

    Raises:
        StorageError: ``storage.unavailable``, the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return _read_lines(file, offset, limit, offset + most_bytes)
    except FileNotFoundError:
        return [], offset
    except OSError as error:
        raise StorageError(f"the log cannot be read: {error}") from error


def _read_lines(file: BinaryIO, offset: int, limit: int, end: int) -> tuple[list[LogLine], int]:
    lines: list[LogLine] = []
    for _ in range(limit):
        if offset >= end:
            break
        raw = file.readline(_LONGEST_STAMPED)
        if not raw.endswith(b"\n") and len(raw) < _LONGEST_STAMPED:
            break
        offset += len(raw)
        line = _parse(raw)
        if line is not None:
            lines.append(line)
    return lines, offset


def _parse(raw: bytes) -> LogLine | None:
    match = _STAMPED.fullmatch(raw)
    if match is None:
        return None
    try:
        at = datetime.fromisoformat(match[1].decode("ascii"))
    except ValueError:
        return None
    return LogLine(
        at=at,
        stream="stdout" if match[2] == b"stdout" else "stderr",
        text=match[4].decode("utf-8", errors="replace"),
        partial=match[3] == b"P",
    )

"""The daemon's own log: from any thread through a bounded queue to one stream.

Writing to a log blocks when a terminal, a pipe or journald stalls, and the event loop must not
wait for that. So a thread writes; what does not fit in the queue is dropped and counted, never
written by the caller. How a line looks is left to `flowrunner.telemetry.log_format`, what an
attempt prints to `flowrunner.telemetry.attempt_log`.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Mapping
from typing import Final, Protocol, TextIO

from flowrunner.config.settings import LogFormat, LogLevel
from flowrunner.telemetry.log_format import JsonFormatter, TextFormatter

PENDING_LIMIT: Final = 8 * 1024 * 1024
"""Characters waiting for the stream above which records are dropped: some 50,000 lines."""

REST_S: Final = 0.01
"""From one write to the next at least: to wake the thread for each line of many takes the time of
the event loop. A line that comes alone is written at once."""

STOP_TIMEOUT_S: Final = 2.0
"""How long the end of the daemon waits for its log."""

_LEVELS: dict[LogLevel, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_OURS = "flowrunner"
_UNREAD: Final = ("logThreads", "logProcesses", "logMultiprocessing")
"""Switches of `logging` for facts that stand in no line of ours and that each record looks up."""


def configure_logging(
    level: LogLevel,
    format: LogFormat,  # noqa: A002 - the setting's name
    stream: TextIO,
) -> LogControl:
    """Sends all records of this process to `stream`, until `LogControl.stop`.

    Ours are written from `level` on, those of libraries from WARNING on at the earliest: they
    report each of their movements as INFO. Handlers that others added stay.

    Args:
        level: Least severe level of our own records.
        format: `text` for people or `json` for collectors.
        stream: Stays the caller's to close. Of one with a file descriptor a copy of that is
            written to: a thread that holds the buffer of a stalled stream at the exit of the
            interpreter makes it abort.
    """
    formatter = JsonFormatter() if format == "json" else TextFormatter()
    handler = _LineHandler(_LineWriter(stream, formatter), formatter)
    root, ours = logging.getLogger(), logging.getLogger(_OURS)
    before = {root: root.level, ours: ours.level}
    switches = {name: getattr(logging, name) for name in _UNREAD}
    _throw(dict.fromkeys(_UNREAD, False))
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    ours.setLevel(_LEVELS[level])
    root.addHandler(handler)
    return LogControl(handler, before, switches)


class LogControl:
    """Holds the log; made by `configure_logging`.

    Args:
        levels: What the loggers get back at the end.
        switches: What the switches of `logging` get back.
    """

    def __init__(
        self,
        handler: _LineHandler,
        levels: Mapping[logging.Logger, int],
        switches: Mapping[str, bool],
    ) -> None:
        self._handler = handler
        self._levels = levels
        self._switches = switches

    def set_level(self, level: LogLevel) -> None:
        """Writes our own records from another level on, and those of libraries as before."""
        logging.getLogger().setLevel(max(_LEVELS[level], logging.WARNING))
        logging.getLogger(_OURS).setLevel(_LEVELS[level])

    @property
    def dropped(self) -> int:
        """How many records were lost: the queue was full, or the stream refused them."""
        return self._handler.writer.dropped

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Writes what is waiting and lets go of the loggers; blocks for `timeout_s` at most."""
        logging.getLogger().removeHandler(self._handler)
        for logger, level in self._levels.items():
            logger.setLevel(level)
        _throw(self._switches)
        self._handler.writer.close(timeout_s)
        self._handler.close()


def _throw(switches: Mapping[str, bool]) -> None:
    for name, value in switches.items():
        setattr(logging, name, value)


class _LineHandler(logging.Handler):
    """Makes the line in the caller's thread, where what it tells of is still as it was."""

    def __init__(self, writer: _LineWriter, formatter: logging.Formatter) -> None:
        super().__init__()
        self.writer = writer
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Queues the record; never blocks, never raises."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a fault in logging must not become one in the caller
            line = self.format(_unreadable(record, error))
        self.writer.append(line + "\n")


def _unreadable(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """Returns what can be said of a record whose message or values cannot be made."""
    facts = {"place": f"{record.pathname}:{record.lineno}", "error": type(error).__name__}
    return _own_record("logging.unreadable", facts)


def _own_record(event: str, facts: Mapping[str, str | int]) -> logging.LogRecord:
    logger = logging.getLogger(__name__)
    return logger.makeRecord(__name__, logging.WARNING, "", 0, event, (), None, extra=facts)


class _LineWriter:
    """Writes lines in the order of the calls, what waits together at once."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        self._sink = _sink_of(stream)
        self._formatter = formatter
        self._lines: list[str] = []
        self._pending = 0
        self._dropped = 0
        self._reported = 0
        self._closing = False
        self._is_awaited = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were lost."""
        return self._dropped

    def append(self, line: str) -> None:
        """Queues a line, or drops it when too much waits."""
        with self._changed:
            if self._closing or self._pending + len(line) > PENDING_LIMIT:
                self._dropped += 1
                return
            self._pending += len(line)
            self._lines.append(line)
            if self._is_awaited:  # else the thread has been woken already, or rests
                self._is_awaited = False
                self._changed.notify()

    def close(self, timeout_s: float) -> None:
        """Writes what is waiting; a stream that stalls for longer is left to the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            lines, notice = self._take()
            if not lines and not notice:
                break
            self._write(lines, notice)
            if not self._closing:
                select.select((), (), (), REST_S)
        self._sink.close()

    def _take(self) -> tuple[list[str], str]:
        with self._changed:
            while not (self._lines or self._closing):
                self._is_awaited = True
                self._changed.wait()
            lines, self._lines = self._lines, []
            lost, self._reported = self._dropped - self._reported, self._dropped
        if not lost:
            return lines, ""
        return lines, self._formatter.format(
            _own_record("logging.dropped", {"records": lost})
        ) + "\n"

    def _write(self, lines: list[str], notice: str) -> None:
        text = "".join(lines)
        lost = 0
        try:
            self._sink.write(text + notice)
        except (OSError, ValueError):  # a full disk, a closed pipe or stream
            lost = len(lines)
        with self._changed:
            self._dropped += lost
            self._pending -= len(text)


class _Sink(Protocol):
    """Where text goes; may block, may raise `OSError` or `ValueError`."""

    def write(self, text: str) -> None: ...

    def close(self) -> None: ...


class _Descriptor:
    """A file descriptor of our own, so that the stream may be closed without harm."""

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)

    def write(self, text: str) -> None:
        rest = memoryview(text.encode("utf-8"))
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def close(self) -> None:
        os.close(self._fd)


class _Memory:
    """A stream without a file descriptor; it stays open."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def close(self) -> None:
        """Leaves the stream to its owner."""


def _sink_of(stream: TextIO) -> _Sink:
    try:
        fd = stream.fileno()
    except (OSError, ValueError):  # a stream in memory
        return _Memory(stream)
    stream.flush()  # what was written before stands before
    return _Descriptor(fd)

"""How a record of the daemon's log looks: one line, event first, facts as keys.

Text is for people, JSON for collectors. Whatever a stranger put into a value, a record stays one
line: values are cut, control characters are escaped. Where lines go is left to
`flowrunner.telemetry.logs`.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

VALUE_LIMIT: Final = 2_000
"""Most characters of a message and of each value; the rest is cut, which an ellipsis shows."""

TRACEBACK_LIMIT: Final = 8_000
"""Most characters of a traceback; its end is kept, for there stands what happened."""

_OURS = "flowrunner"
_ELLIPSIS = "…"
_BARE = re.compile(r"[!#-<>-\[\]-~]+")  # printable ASCII without blank, quote, equals, backslash
_OWN = frozenset(vars(logging.makeLogRecord({})))
_STANDARD = _OWN | {"message", "asctime", "taskName"}
_JSON_KEYS = frozenset({"time", "level", "event", "logger", "text", "exception", "stack"})


class TextFormatter(logging.Formatter):
    """Writes ``2026-03-30T02:30:00Z INFO engine.recovered key=value … text``.

    Keys stand before the text, so that a text from outside cannot pass for keys. A value is
    quoted as in JSON unless it is plain.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as one line, without a line end."""
        event, text = _event(record)
        words = [self._time_of(record), record.levelname, _escape(event)]
        words += [f"{_escape(key)}={_quoted(_cut(str(value)))}" for key, value in _facts(record)]
        if text:
            words.append(_escape(text))
        if record.exc_info or record.stack_info:
            words += [f"{key}={_quoted(trace)}" for key, trace in _traces(self, record)]
        return " ".join(words)

    def _time_of(self, record: logging.LogRecord) -> str:
        """Returns the time of a record; records of one second share its text."""
        second = int(record.created)
        known, text = self._second  # one value, so that threads see both parts of it or neither
        if known != second:
            text = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
            self._second = second, text
        return text


class JsonFormatter(logging.Formatter):
    """Writes an object with `time level event logger`, the facts, `text` and `exception`.

    A fact with one of these names gets an underscore at its end. Only ASCII is written.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as one line, without a line end."""
        event, text = _event(record)
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, str | float | bool | None] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": event,
            "logger": record.name,
        }
        for key, value in _facts(record):
            line[f"{key}_" if key in _JSON_KEYS else key] = _json_value(value)
        if text:
            line["text"] = text
        line.update(_traces(self, record))
        return json.dumps(line)


def _event(record: logging.LogRecord) -> tuple[str, str]:
    """Returns the event and the rest of the message.

    Our messages begin with the event. Those of libraries do not: the logger's name stands in.
    """
    message = _cut(record.getMessage())
    if not _is_ours(record):
        return record.name, message
    event, _, text = message.partition(" ")
    return event, text.rstrip()  # a fact that is not there leaves its blank


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name == _OURS or record.name.startswith(f"{_OURS}.")


def _facts(record: logging.LogRecord) -> Sequence[tuple[str, object]]:
    """Returns what `extra` or a `LoggerAdapter` added; what libraries add is their own affair."""
    known = vars(record)
    if len(known) == len(_OWN) or not _is_ours(record):  # a record has all that are its own
        return ()
    return [(key, value) for key, value in known.items() if key not in _STANDARD]


def _traces(formatter: logging.Formatter, record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    if record.exc_info and record.exc_info[0] is not None:
        yield "exception", _tail(formatter.formatException(record.exc_info))
    if record.stack_info:
        yield "stack", _tail(record.stack_info)


def _json_value(value: object) -> str | float | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_LIMIT else text[:VALUE_LIMIT] + _ELLIPSIS


def _tail(text: str) -> str:
    return text if len(text) <= TRACEBACK_LIMIT else _ELLIPSIS + text[-TRACEBACK_LIMIT:]


def _quoted(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    return _escape(json.dumps(value, ensure_ascii=False))


def _escape(text: str) -> str:
    """Returns text that neither ends a line nor moves a terminal's cursor.

    That is everything Unicode calls not printable: controls, line separators, marks that turn
    the direction of writing, lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )

"""The promises of the daemon's log: one line a record, nothing forged, and nobody waits for it."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.config.settings import LogFormat, LogLevel
from flowrunner.telemetry.log_format import (
    TRACEBACK_LIMIT,
    VALUE_LIMIT,
    JsonFormatter,
    TextFormatter,
)
from flowrunner.telemetry.logs import PENDING_LIMIT, configure_logging

CREATED = 1774837800.25  # 2026-03-30T02:30:00.250Z
OURS = "flowrunner.engine.engine"


def make_log_record(
    message: str, *args: object, name: str = OURS, exc_info: Any = None, **facts: object
) -> logging.LogRecord:
    record = logging.LogRecord(name, logging.INFO, "engine.py", 7, message, args, exc_info)
    record.created = CREATED
    vars(record).update(facts)
    return record


def text_of(message: str, *args: object, **facts: Any) -> str:
    return TextFormatter().format(make_log_record(message, *args, **facts))


def json_of(message: str, *args: object, **facts: Any) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(
        JsonFormatter().format(make_log_record(message, *args, **facts))
    )
    return line


def failure(message: str) -> Any:
    """What `exc_info` is inside an except block."""
    try:
        raise RuntimeError(message)
    except RuntimeError:
        return sys.exc_info()


def test_line_does_not_end_with_a_blank() -> None:
    """A text that is empty this time leaves nothing behind."""
    assert text_of("reconcile.applied added=%d %s", 3, "").endswith(" reconcile.applied added=3")


class Hostile:
    """A value that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class Log:
    """A configured log over a stream in memory."""

    def __init__(self, level: LogLevel = "info", log_format: LogFormat = "text") -> None:
        self.stream = io.StringIO()
        self.control = configure_logging(level, log_format, self.stream)

    def lines(self) -> list[str]:
        """Ends the log and returns what it wrote."""
        self.control.stop()
        return self.stream.getvalue().splitlines()


class StalledLog:
    """A log over a pipe that nobody reads until `lines`."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self._output = os.fdopen(reader, "rb")
        self._stream = os.fdopen(writer, "w")
        self._read: list[bytes] = []
        self.control = configure_logging("info", "text", self._stream)

    def flood(self) -> int:
        """Logs until something was dropped, and returns how many records that took."""
        facts = {f"fact{number}": "x" * VALUE_LIMIT for number in range(8)}
        for number in range(2 * PENDING_LIMIT // (8 * VALUE_LIMIT)):
            logging.getLogger(OURS).info("event.%d", number, extra=facts)
            if self.control.dropped:
                return number + 1
        raise AssertionError("nothing was dropped")

    def lines(self) -> list[str]:
        """Lets the stream flow again, ends the log and returns what it wrote."""
        pump = threading.Thread(target=lambda: self._read.extend(self._output))
        pump.start()
        self.control.stop(60)
        self._stream.close()
        pump.join()
        self._output.close()
        return [line.decode() for line in self._read]


@pytest.fixture
def stalled() -> Iterator[StalledLog]:
    log = StalledLog()
    yield log
    if not log._stream.closed:
        log.lines()


def test_level_can_change() -> None:
    """From a change on records of another level are written, and those of libraries as before."""
    log = Log("warning")
    ours, library = logging.getLogger(OURS), logging.getLogger("a.library")
    for level in ("debug", "info"):
        ours.debug("before %s", level)
        log.control.set_level("debug" if level == "debug" else "info")
        ours.debug("after %s", level)
        library.info("noise %s", level)

    assert [line.split()[2:] for line in log.lines()] == [
        ["after", "debug"],
        ["before", "info"],
    ]


class TestText:
    """Lines for people."""

    def test_a_line_is_time_level_event_and_facts(self) -> None:
        """The line has the documented form."""
        line = text_of("engine.recovered", flow="default/backup", queued=3)
        assert line == "2026-03-30T02:30:00Z INFO engine.recovered flow=default/backup queued=3"

    def test_facts_stand_before_the_text(self) -> None:
        """What comes from outside cannot pass for a fact: real ones come first."""
        line = text_of("node.message %s", "flow=default/other all well", flow="default/backup")
        assert line.endswith("node.message flow=default/backup flow=default/other all well")

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("plain/value-1.0", "plain/value-1.0"),
            (7, "7"),
            (None, "None"),
            ("", '""'),
            ("two words", '"two words"'),
            ("a=b", '"a=b"'),
            ('say "hi"', r'"say \"hi\""'),
            ("C:\\temp", r'"C:\\temp"'),
            ("one\ntwo\r\x1b[31m", r'"one\ntwo\r\u001b[31m"'),
            ("über", '"über"'),
            ("a\x7f\x85\u2028\u202eb", r'"a\x7f\x85\u2028\u202eb"'),
            ("\udcff", r'"\udcff"'),
        ],
        ids=[
            "plain",
            "number",
            "none",
            "empty",
            "blank",
            "equals",
            "quote",
            "backslash",
            "line_ends_and_colours",
            "letters",
            "odd_separators",
            "undecodable",
        ],
    )
    def test_a_value_is_quoted_when_it_is_not_plain(self, value: object, written: str) -> None:
        """A value is told apart from its neighbours, whatever it holds."""
        assert text_of("event", value=value).endswith(f" event value={written}")

    def test_control_characters_of_a_message_are_escaped(self) -> None:
        """A line end in a message does not begin a line that looks like ours."""
        line = text_of("node.message %s", "x\n2026-03-30T02:30:00Z ERROR forged")
        assert line.endswith(r"node.message x\n2026-03-30T02:30:00Z ERROR forged")

    def test_an_exception_is_part_of_the_line(self) -> None:
        """The traceback is there, escaped, after everything else."""
        line = text_of("execution.crashed id=1", exc_info=failure("no disk"), node="dump")
        assert " execution.crashed node=dump id=1 exception=" in line
        assert line.endswith(r'\nRuntimeError: no disk"')
        assert r'"Traceback (most recent call last):\n' in line

    def test_a_stack_is_part_of_the_line(self) -> None:
        """A stack that was asked for is there."""
        assert text_of("event", stack_info="Stack:\n here").endswith(r'stack="Stack:\n here"')

    @given(st.text(max_size=300), st.text(max_size=300))
    def test_a_record_is_one_line_whatever_it_holds(self, message: str, value: str) -> None:
        """No text from outside ends a line or holds anything a terminal would obey."""
        assert text_of("event %s", message, value=value).isprintable()


class TestJson:
    """Lines for collectors."""

    def test_a_line_is_an_object_with_facts_as_keys(self) -> None:
        """Facts keep their JSON types; what is no JSON value is written as it prints."""
        line = json_of(
            "node.message all well",
            flow="default/backup",
            count=3,
            ratio=0.5,
            ok=True,
            none=None,
            odd=float("nan"),
            path={"a": 1},
        )
        assert line == {
            "time": "2026-03-30T02:30:00.250Z",
            "level": "info",
            "event": "node.message",
            "logger": OURS,
            "flow": "default/backup",
            "count": 3,
            "ratio": 0.5,
            "ok": True,
            "none": None,
            "odd": "nan",
            "path": "{'a': 1}",
            "text": "all well",
        }

    def test_a_fact_does_not_replace_what_the_line_is_about(self) -> None:
        """A fact named like one of the fixed keys stands beside it."""
        line = json_of("real", event="forged", level="error")
        assert (line["event"], line["event_"]) == ("real", "forged")
        assert (line["level"], line["level_"]) == ("info", "error")

    def test_an_exception_is_a_key(self) -> None:
        """The traceback keeps its lines inside the value."""
        line = json_of("execution.crashed", exc_info=failure("no disk"))
        assert line["exception"].splitlines()[-1] == "RuntimeError: no disk"

    @given(st.text(max_size=300), st.text(max_size=300))
    def test_a_record_is_one_line_and_keeps_its_values(self, message: str, value: str) -> None:
        """Whatever a value holds, the line is printable and says it again when read."""
        line = JsonFormatter().format(make_log_record("event %s", message, value=value))
        assert line.isprintable()
        assert json.loads(line)["value"] == value


class TestBothFormats:
    """What holds for either."""

    def test_long_values_are_cut(self) -> None:
        """A message and each value has a bound, and shows that it was cut."""
        line = json_of("event %s", "m" * 9_000, value="v" * 9_000, list=["x"] * 9_000)
        assert line["value"] == "v" * VALUE_LIMIT + "…"
        assert len(line["list"]) == VALUE_LIMIT + 1
        assert len("event " + line["text"]) == VALUE_LIMIT + 1
        assert len(text_of("event %s", "m" * 9_000, value="v" * 9_000)) < 3 * VALUE_LIMIT

    def test_a_long_traceback_keeps_its_end(self) -> None:
        """What happened stands at the end of a traceback, so its beginning is cut."""
        line = json_of("event", exc_info=failure("x" * 20_000 + " at last"))
        assert line["exception"].startswith("…")
        assert line["exception"].endswith("x at last")
        assert len(line["exception"]) == TRACEBACK_LIMIT + 1

    def test_a_library_is_the_event_of_its_records(self) -> None:
        """Libraries begin their messages with any word and add what they like."""
        line = json_of("Adding job", name="apscheduler.scheduler", color_message="red")
        assert line["event"] == "apscheduler.scheduler"
        assert line["text"] == "Adding job"
        assert "color_message" not in line

    def test_a_name_that_only_begins_like_ours_is_a_library(self) -> None:
        """`flowrunner_plugin` is not `flowrunner`."""
        assert json_of("Hello you", name="flowrunner_plugin")["event"] == "flowrunner_plugin"


class Writes(io.StringIO):
    """A stream that knows what it was given in one piece."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.first = threading.Event()

    def write(self, text: str, /) -> int:
        self.texts.append(text)
        self.first.set()
        return len(text)


class TestConfigured:
    """The way from a logger to the stream."""

    @pytest.mark.parametrize(
        ("log_format", "beginning"), [("text", "20"), ("json", "{")], ids=["text", "json"]
    )
    def test_records_reach_the_stream(self, log_format: LogFormat, beginning: str) -> None:
        """Each record is a line in the chosen format, in the order of the calls."""
        log = Log(log_format=log_format)
        for number in range(100):
            logging.getLogger(OURS).info("event.%d", number)
        lines = log.lines()
        assert all(line.startswith(beginning) for line in lines)
        assert [f"event.{number}" in line for number, line in enumerate(lines)] == [True] * 100

    def test_the_facts_of_an_adapter_appear_as_keys(self) -> None:
        """Flow, execution and node of a node's logger are facts of its lines."""
        log = Log()
        facts = {"flow": "default/backup", "execution": "01", "node": "dump"}
        logging.LoggerAdapter(logging.getLogger(OURS), facts).info("node.message hi")
        (line,) = log.lines()
        assert line.endswith("node.message flow=default/backup execution=01 node=dump hi")

    @pytest.mark.parametrize(
        ("level", "ours", "theirs"),
        [
            ("debug", ["DEBUG", "INFO", "WARNING", "ERROR"], ["WARNING", "ERROR"]),
            ("info", ["INFO", "WARNING", "ERROR"], ["WARNING", "ERROR"]),
            ("warning", ["WARNING", "ERROR"], ["WARNING", "ERROR"]),
            ("error", ["ERROR"], ["ERROR"]),
        ],
        ids=["debug", "info", "warning", "error"],
    )
    def test_the_level_is_a_floor(
        self, level: LogLevel, ours: list[str], theirs: list[str]
    ) -> None:
        """Ours are written from the level on; libraries never below a warning."""
        log = Log(level)
        for name in (OURS, "apscheduler.scheduler"):
            for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
                logging.getLogger(name).log(number, "event")
        assert [line.split()[1] for line in log.lines()] == ours + theirs

    def test_threads_do_not_tear_each_others_lines(self) -> None:
        """Lines of many threads are whole."""
        log = Log()

        def talk() -> None:
            for _ in range(200):
                logging.getLogger(OURS).info("event end")

        threads = [threading.Thread(target=talk) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = log.lines()
        assert len(lines) == 800
        assert all(line.endswith("Z INFO event end") for line in lines)

    @pytest.mark.parametrize(
        ("message", "args"), [("event %d", ("x",)), ("event %s", (Hostile(),))], ids=["args", "str"]
    )
    def test_a_record_that_cannot_be_made_says_where_it_was(
        self, message: str, args: tuple[object, ...]
    ) -> None:
        """A wrong log call costs its caller nothing and leaves a line that finds it."""
        log = Log()
        ours = logging.getLogger().handlers[-1]  # pytest's own handlers raise
        ours.handle(make_log_record(message, *args))
        (line,) = log.lines()
        assert "WARNING logging.unreadable place=engine.py:7 error=" in line

    def test_stop_leaves_the_loggers_as_they_were(self) -> None:
        """After the end nothing is written and levels and handlers are the former ones."""
        root, ours = logging.getLogger(), logging.getLogger("flowrunner")
        before = (root.level, ours.level, root.handlers[:])
        log = Log("debug")
        assert (root.level, ours.level, root.handlers) != before
        assert log.lines() == []
        logging.getLogger(OURS).warning("event")
        assert (root.level, ours.level, root.handlers) == before
        assert log.stream.getvalue() == ""

    def test_records_look_up_nothing_that_no_line_shows(self) -> None:
        """While the log is ours a record asks for no thread and no process, and then again."""
        stream = io.StringIO()
        control = configure_logging("info", "text", stream)
        bare = make_log_record("event")
        assert (bare.thread, bare.threadName, bare.process, bare.processName) == (None,) * 4
        control.stop()
        assert make_log_record("event").threadName == threading.current_thread().name

    def test_lines_that_come_close_together_are_one_write(self) -> None:
        """The first of many lines is written at once, those behind it together."""
        stream = Writes()
        control = configure_logging("info", "text", stream)
        logging.getLogger(OURS).info("first")
        assert stream.first.wait(10)
        for number in range(1_000):
            logging.getLogger(OURS).info("later.%d", number)
        control.stop()
        assert stream.texts[0].endswith(" first\n")
        assert len("".join(stream.texts).splitlines()) == 1_001
        assert len(stream.texts) < 100

    def test_what_was_printed_before_stands_before(self) -> None:
        """A stream with a buffer and a descriptor keeps its order, in UTF-8 whatever its own."""
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as output, os.fdopen(writer, "w", encoding="ascii") as stream:
            stream.write("READY\n")
            control = configure_logging("info", "text", stream)
            logging.getLogger(OURS).info("event über")
            control.stop()
            stream.close()
            lines = output.read().decode("utf-8").splitlines()
        assert lines[0] == "READY"
        assert lines[1].endswith(" event über")
        assert len(lines) == 2


class TestStalled:
    """A stream that does not take what is written."""

    def test_nobody_waits_for_a_stalled_stream(self, stalled: StalledLog) -> None:
        """Logging goes on without blocking; what exceeds the queue is dropped and counted."""
        assert stalled.flood() > stalled.control.dropped > 0

    def test_stop_gives_a_stalled_stream_up(self, stalled: StalledLog) -> None:
        """The end of the daemon comes although the log cannot be written."""
        stalled.flood()
        stalled.control.stop(0.01)
        assert stalled.control.dropped > 0

    def test_the_log_itself_tells_what_it_lost(self, stalled: StalledLog) -> None:
        """Once the stream flows again everything queued is written, and the number of drops."""
        logged = stalled.flood()
        dropped = stalled.control.dropped
        *written, notice = stalled.lines()
        events = [line.split()[2] for line in written]
        assert events == [f"event.{number}" for number in range(logged - dropped)]
        assert notice.endswith(f" WARNING logging.dropped records={dropped}\n")

    def test_closing_the_stream_early_does_no_harm(self) -> None:
        """The log keeps a descriptor of its own, so it never writes into a stranger's file."""
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as output:
            stream = os.fdopen(writer, "w")
            control = configure_logging("info", "text", stream)
            stream.close()
            logging.getLogger(OURS).info("event")
            control.stop()
            assert output.read().endswith(b" INFO event\n")

    def test_a_closed_stream_loses_lines_and_nothing_else(self) -> None:
        """A pipe whose reader is gone costs the lines, which are counted."""
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as stream:
            control = configure_logging("info", "text", stream)
            logging.getLogger(OURS).info("event")
            control.stop()
        assert control.dropped == 1  # the notice about it is no record

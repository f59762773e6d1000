"""The promises of attempt logs: whole stamped lines, masked, bounded, readable while written."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PosixPath
from typing import Self

import pytest

from flowrunner.errors import StorageError
from flowrunner.secrets.masking import HiddenTexts
from flowrunner.telemetry.attempt_log import (
    LONGEST_LINE,
    AttemptLog,
    LogLine,
    Stream,
    read_log,
)
from flowrunner.telemetry.log_writer import LogWriter
from tests.fakes.log_writer import MemoryLogWriter

NOW = datetime(2026, 3, 30, 2, 30, tzinfo=UTC)
STAMP = "2026-03-30T02:30:00.000000+00:00"
PATH = Path("/logs/build.1.log")


class StillClock:
    def now(self) -> datetime:
        return NOW


class UnjoinedFolder(PosixPath):
    def __truediv__(self, key: object) -> Self:
        raise AssertionError(key)


def make_log(
    writer: MemoryLogWriter, *, secrets: tuple[str, ...] = (), limit_bytes: int = 1_000_000
) -> AttemptLog:
    return AttemptLog(
        PATH.parent,
        PATH.name,
        clock=StillClock(),
        masker=HiddenTexts(secrets).masker,
        writer=writer,
        limit_bytes=limit_bytes,
    )


def written(
    *chunks: tuple[Stream, bytes], secrets: tuple[str, ...] = (), limit_bytes: int = 1_000_000
) -> list[str]:
    """The lines of the file after these chunks, without their time stamps."""
    writer = MemoryLogWriter()
    log = make_log(writer, secrets=secrets, limit_bytes=limit_bytes)
    for stream, data in chunks:
        log.feed(stream, data)
    asyncio.run(log.close())
    lines = writer.files[PATH].decode("utf-8", errors="surrogateescape").splitlines()
    assert all(line.startswith(STAMP + " ") for line in lines)
    return [line.removeprefix(STAMP + " ") for line in lines]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        pytest.param([b"one\ntwo\n"], ["stdout F one", "stdout F two"], id="two-lines"),
        pytest.param([b"o", b"ne\nt", b"wo\n"], ["stdout F one", "stdout F two"], id="in-pieces"),
        pytest.param(
            [b"one\n\n\ntwo\n"], [f"stdout F {x}" for x in ("one", "", "", "two")], id="empty"
        ),
        pytest.param([b"no end"], ["stdout F no end"], id="without-line-end"),
        pytest.param([b"\xff\xfe\n"], ["stdout F \udcff\udcfe"], id="not-utf8"),
    ],
)
def test_output_becomes_stamped_lines(chunks: list[bytes], lines: list[str]) -> None:
    """Every line is stamped once, however the output was cut; no byte is changed."""
    assert written(*(("stdout", chunk) for chunk in chunks)) == lines


def test_line_is_written_when_it_ends_and_not_before() -> None:
    """A live reader sees a line at once, and never half of it."""
    writer = MemoryLogWriter()
    log = make_log(writer)
    log.feed("stdout", b"one\ntw")
    assert writer.files[PATH] == f"{STAMP} stdout F one\n".encode()


def test_streams_do_not_mix() -> None:
    """Half a line on one stream is not completed by the other."""
    lines = written(("stdout", b"out "), ("stderr", b"err\n"), ("stdout", b"put\n"))
    assert lines == ["stderr F err", "stdout F out put"]


@pytest.mark.parametrize("chunk", [1, 1000, 16_384, 65_536], ids=str)
def test_long_line_is_cut_into_parts(chunk: int) -> None:
    """A line over the limit is written in parts that put together are the line."""
    data = b"x" * 40_000 + b"\nshort\n"
    pieces = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    lines = written(*(("stdout", piece) for piece in pieces))
    assert [line[:9] for line in lines] == ["stdout P ", "stdout P ", "stdout F ", "stdout F "]
    assert "".join(line[9:] for line in lines[:3]) == "x" * 40_000
    assert max(map(len, lines)) <= LONGEST_LINE + 9


def test_long_line_is_not_cut_inside_a_character() -> None:
    """Each part of a long line is valid text by itself."""
    lines = written(("stdout", ("a" + "€" * 10_000).encode()))
    assert [line[9:] for line in lines] == ["a" + "€" * 5461, "€" * 4539]


def test_line_of_exactly_the_limit_is_whole() -> None:
    """Only a longer line is cut."""
    assert written(("stdout", b"x" * LONGEST_LINE + b"\n")) == ["stdout F " + "x" * LONGEST_LINE]


def test_secrets_are_masked_across_chunks_on_each_stream() -> None:
    """A secret cut by the pipe is hidden; the streams do not disturb each other's search."""
    lines = written(
        ("stdout", b"key=hun"),
        ("stderr", b"hunter2\n"),
        ("stdout", b"ter2\nhun"),
        secrets=("hunter2",),
    )
    assert lines == ["stderr F ***", "stdout F key=***", "stdout F hun"]


def test_log_ends_with_one_marker_at_its_limit() -> None:
    """Beyond the limit one line says so and the rest is dropped, in whole lines."""
    line = f"{STAMP} stdout F 0123456789\n"
    lines = written(
        ("stdout", b"0123456789\n" * 5), ("stderr", b"more\n"), limit_bytes=len(line) * 2 + 5
    )
    marker = f"stderr F [log limit of {len(line) * 2 + 5} bytes reached, output dropped]"
    assert lines == ["stdout F 0123456789", "stdout F 0123456789", marker]


def test_note_is_masked_and_does_not_join_a_half_line() -> None:
    """A message of the node itself stands on lines of its own."""
    writer = MemoryLogWriter()
    log = make_log(writer, secrets=("hunter2",))
    log.feed("stdout", b"half")
    log.note("password hunter2\nsecond line")
    log.feed("stdout", b" line\n")
    lines = writer.files[PATH].decode().splitlines()
    assert [line.removeprefix(STAMP + " stdout F ") for line in lines] == [
        "password ***",
        "second line",
        "half line",
    ]


def test_silent_attempt_has_no_file() -> None:
    """An attempt that prints nothing costs no file and no wait."""
    writer = MemoryLogWriter()
    log = make_log(writer)
    log.end("stdout")
    asyncio.run(log.close())
    assert (dict(writer.files), writer.finished) == ({}, [])


def test_close_finishes_the_file_after_its_last_line() -> None:
    """What was printed without a line end is written before the file is finished."""
    writer = MemoryLogWriter()
    log = make_log(writer)
    log.feed("stderr", b"last words")
    asyncio.run(log.close())
    assert writer.files[PATH].endswith(b"stderr F last words\n")
    assert writer.finished == [PATH]


def test_congestion_of_the_writer_is_passed_on() -> None:
    """Who feeds the log learns that the disk lags behind."""
    writer = MemoryLogWriter()
    log = make_log(writer)
    assert not log.is_congested
    writer.is_congested = True
    assert log.is_congested


@pytest.fixture
def disk() -> Iterator[LogWriter]:
    made = LogWriter()
    yield made
    made.close()


def test_files_and_folders_have_narrow_modes(disk: LogWriter, tmp_path: Path) -> None:
    """Logs are for their owner and group alone."""
    old = os.umask(0)
    try:
        disk.append(tmp_path / "a" / "b" / "x.log", b"line\n")
        asyncio.run(disk.finish(tmp_path / "a" / "b" / "x.log"))
    finally:
        os.umask(old)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/x.log")]
    assert modes == [0o750, 0o750, 0o640]


def test_finish_returns_when_everything_is_written(disk: LogWriter, tmp_path: Path) -> None:
    """After `finish` the file holds all lines in the order of the calls."""
    path = tmp_path / "x.log"

    async def main() -> bytes:
        for number in range(1000):
            disk.append(path, b"%d\n" % number)
        await disk.finish(path)
        return await asyncio.to_thread(path.read_bytes)

    assert asyncio.run(main()) == b"".join(b"%d\n" % number for number in range(1000))


def test_finished_file_can_be_appended_again(disk: LogWriter, tmp_path: Path) -> None:
    """What comes after `finish` is appended and overwrites nothing."""
    path = tmp_path / "x.log"
    for data in (b"one\n", b"two\n"):
        disk.append(path, data)
        asyncio.run(disk.finish(path))
    assert path.read_bytes() == b"one\ntwo\n"


def test_close_writes_what_waits(tmp_path: Path) -> None:
    """Closing loses nothing that was queued; later lines are counted as lost."""
    writer = LogWriter()
    writer.append(tmp_path / "x.log", b"line\n")
    writer.close()
    writer.append(tmp_path / "x.log", b"too late\n")
    asyncio.run(writer.finish(tmp_path / "x.log"))
    assert (tmp_path / "x.log").read_bytes() == b"line\n"
    assert writer.errors == 1


def test_failing_write_is_counted_and_logged_once(
    disk: LogWriter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that cannot be written raises nothing, and other files are not harmed."""
    (tmp_path / "file").touch()
    bad, good = tmp_path / "file" / "x.log", tmp_path / "good.log"

    async def main() -> None:
        for _ in range(2):
            disk.append(bad, b"lost\n")
            await asyncio.sleep(0)
        disk.append(good, b"kept\n")
        await disk.finish(good)
        disk.append(bad, b"lost\n")
        await disk.finish(bad)

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert disk.errors >= 2
    assert [record.message for record in caplog.records] == ["attempt_log_not_written"]
    assert good.read_bytes() == b"kept\n"


def test_line_after_a_torn_write_begins_anew(disk: LogWriter, tmp_path: Path) -> None:
    """Once writing works again, new lines are not glued to what may be half a line."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR)
    disk.append(fifo, b"one\n")
    assert os.read(reader, 100) == b"one\n"
    os.close(reader)
    disk.append(fifo, b"lost\n")
    while disk.errors == 0:
        os.sched_yield()
    reader = os.open(fifo, os.O_RDWR)
    disk.append(fifo, b"kept\n")
    assert os.read(reader, 100) == b"\nkept\n"
    os.close(reader)


def test_writer_is_congested_until_it_has_caught_up(tmp_path: Path) -> None:
    """Above the limit of waiting bytes the writer says so, and no longer once they are written."""
    writer = LogWriter(pending_limit=10)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer.append(fifo, b"0123456789x")  # opening waits for a reader, as a stalled disk would
    assert writer.is_congested
    with fifo.open("rb") as reader:
        assert reader.read(11) == b"0123456789x"
        asyncio.run(writer.finish(fifo))
    writer.close()
    assert not writer.is_congested


def lines_of(path: Path) -> list[LogLine]:
    return read_log(path)[0]


def test_reading_gives_back_what_was_written(disk: LogWriter, tmp_path: Path) -> None:
    """Writing and reading a log are each other's inverse."""
    log = AttemptLog(
        tmp_path, "x.log", clock=StillClock(), masker=HiddenTexts(()).masker, writer=disk
    )
    log.feed("stdout", b"caf\xc3\xa9 \xff\r\n")
    log.feed("stderr", b"y" * (LONGEST_LINE + 1))
    asyncio.run(log.close())
    assert lines_of(tmp_path / "x.log") == [
        LogLine(at=NOW, stream="stdout", text="café \ufffd\r", partial=False),
        LogLine(at=NOW, stream="stderr", text="y" * LONGEST_LINE, partial=True),
        LogLine(at=NOW, stream="stderr", text="y", partial=False),
    ]


def test_tail_never_sees_half_a_line(tmp_path: Path) -> None:
    """A line that is being written is left for the next reading."""
    path = tmp_path / "x.log"
    whole, half = f"{STAMP} stdout F one\n", f"{STAMP} stdout F tw"
    path.write_text(whole + half)
    lines, offset = read_log(path)
    assert ([line.text for line in lines], offset) == (["one"], len(whole))
    assert read_log(path, offset=offset) == ([], offset)
    path.write_text(whole + half + "o\n")
    assert [line.text for line in read_log(path, offset=offset)[0]] == ["two"]


def test_reading_is_bounded_in_bytes(tmp_path: Path) -> None:
    """No line is begun after so many bytes, and the next reading goes on there."""
    path = tmp_path / "x.log"
    line = f"{STAMP} stdout F x\n"
    path.write_text(line * 5)
    for most_bytes, count in [(1, 1), (len(line), 1), (len(line) + 1, 2), (10_000, 5)]:
        lines, offset = read_log(path, most_bytes=most_bytes)
        assert (len(lines), offset) == (count, count * len(line))


def test_limit_bounds_a_reading_and_the_offset_goes_on(tmp_path: Path) -> None:
    """A long log is read in pages without losing or repeating a line."""
    path = tmp_path / "x.log"
    path.write_text("".join(f"{STAMP} stdout F {number}\n" for number in range(10)))
    texts: list[str] = []
    offset, page = 0, 4
    while True:
        lines, after = read_log(path, offset=offset, limit=page)
        assert len(lines) <= page
        if after == offset:
            break
        offset = after
        texts += [line.text for line in lines]
    assert texts == [str(number) for number in range(10)]


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"\n", id="empty"),
        pytest.param(b"2026-03-30T02:\n", id="torn"),
        pytest.param(b"yesterday stdout F x\n", id="no-time"),
        pytest.param(b"\xff stdout F x\n", id="no-text"),
        pytest.param(b"z" * 100_000 + b"\n", id="huge"),
    ],
)
def test_pieces_that_are_no_lines_are_passed_over(tmp_path: Path, piece: bytes) -> None:
    """A damaged place in a log hides neither what is before nor what is after it."""
    path = tmp_path / "x.log"
    line = f"{STAMP} stderr F fine\n".encode()
    path.write_bytes(line + piece + line)
    lines, offset = read_log(path)
    assert [line.text for line in lines] == ["fine", "fine"]
    assert offset == path.stat().st_size


def test_missing_log_has_no_lines(tmp_path: Path) -> None:
    """The log of a silent attempt reads as empty."""
    assert read_log(tmp_path / "none.log", offset=7) == ([], 7)


def test_unreadable_log_is_a_storage_error(tmp_path: Path) -> None:
    """What the system refuses is translated at this border."""
    with pytest.raises(StorageError) as caught:
        read_log(tmp_path)
    assert caught.value.code == "storage.unavailable"


def test_log_without_a_line_makes_no_path() -> None:
    """Most attempts print nothing; a path costs a tenth of what the engine does for a node."""
    log = AttemptLog(
        UnjoinedFolder("/logs"),
        "x.log",
        clock=StillClock(),
        masker=HiddenTexts(()).masker,
        writer=MemoryLogWriter(),
    )
    asyncio.run(log.close())
    with pytest.raises(AssertionError, match=r"x\.log"):
        log.note("a line")

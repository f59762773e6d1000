"""Logs are read in pages of a bounded size, whatever the execution is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.service import log_pages
from flowrunner.service.log_pages import LoggedAttempt, read_page
from flowrunner.service.views import LogCursor, LogPage
from flowrunner.web.log_cursor import pack_cursor
from flowrunner.web.middleware.head_limit import HEAD_BYTES

STAMP = "2026-03-30T02:30:00.000000+00:00"


def attempt(
    folder: Path, name: str, position: int | None, *lines: str, number: int = 1, ended: bool = True
) -> LoggedAttempt:
    """An attempt with these lines in its log; without any it has no log."""
    path = folder / f"{name}.{number}.log"
    if lines:
        path.write_text("".join(f"{STAMP} stdout F {line}\n" for line in lines))
    return LoggedAttempt(node=name, number=number, position=position, has_ended=ended, path=path)


def texts(page: LogPage) -> list[str]:
    return [f"{chunk.node}.{line.text}" for chunk in page.chunks for line in chunk.lines]


def read_all(attempts: Sequence[LoggedAttempt]) -> tuple[list[str], list[LogPage]]:
    """Reads page after page to the end of an execution that has ended."""
    found, pages, cursor = list[str](), list[LogPage](), LogCursor()
    while not pages or not pages[-1].is_complete:
        pages.append(read_page(attempts, cursor, execution_ended=True))
        cursor = pages[-1].cursor
        found += texts(pages[-1])
    return found, pages


@pytest.mark.heavy
def test_logs_of_many_attempts_come_in_bounded_pages(tmp_path: Path) -> None:
    """10,000 nodes fill several pages; no line is lost or told twice, no cursor is long."""
    attempts = [attempt(tmp_path, f"n{i}", i, "x", "y") for i in range(10_000)]

    found, pages = read_all(attempts)

    assert found == [f"n{i}.{text}" for i in range(10_000) for text in "xy"]
    assert max(len(texts(page)) for page in pages) <= log_pages.PAGE_LINES
    assert max(len(pack_cursor(page.cursor)) for page in pages) < HEAD_BYTES // 8


@pytest.mark.heavy
def test_logs_of_many_items_come_in_bounded_pages(tmp_path: Path) -> None:
    """10,000 items beside one that never ends leave a short cursor, and no line comes twice."""
    slow = replace(attempt(tmp_path, "m.0", 0, "x", ended=False), node="m", item=0)
    ended = [
        replace(attempt(tmp_path, f"m.{i}", 0, "x"), node="m", item=i, is_last=True)
        for i in range(1, 10_000)
    ]
    cursor, count = LogCursor(), 0
    while True:
        page = read_page([slow, *reversed(ended)], cursor, execution_ended=False)
        cursor, count = page.cursor, count + len(texts(page))
        if not page.chunks:
            break

    assert count == 10_000
    assert cursor.items == {"0": (1, 10_000)}
    assert len(pack_cursor(cursor)) < 200


@pytest.mark.heavy
def test_items_at_work_bound_the_cursor(tmp_path: Path) -> None:
    """With 1,000 items at once, each of them tried again, it fits the head of a request."""
    busy = range(0, 10_000, 10)
    attempts = [
        replace(
            attempt(tmp_path, f"m.{i}", 0, "x", number=n, ended=n == 1 or i not in busy),
            node="m",
            item=i,
            is_last=i not in busy,
        )
        for i in range(10_000)
        for n in ((1, 2) if i in busy else (1,))
    ]
    cursor = LogCursor()
    while (page := read_page(attempts, cursor, execution_ended=False)).chunks:
        cursor = page.cursor

    assert len(cursor.tries) == len(cursor.offsets) == 1_000
    assert len(pack_cursor(cursor)) < HEAD_BYTES * 3 // 4


def test_long_lines_end_a_page_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is bounded in bytes too."""
    monkeypatch.setattr(log_pages, "PAGE_BYTES", 1_000)
    attempts = [attempt(tmp_path, name, i, *["x" * 400] * 7) for i, name in enumerate("ab")]

    found, pages = read_all(attempts)

    assert len(found) == 14
    assert max(len(texts(page)) for page in pages) <= 3


def test_chatty_attempt_does_not_hide_the_others(tmp_path: Path) -> None:
    """Each page has room for the lines of several attempts."""
    lines = [str(number) for number in range(3 * log_pages.ATTEMPT_LINES)]
    chatty = attempt(tmp_path, "a", 0, *lines)

    first = read_page([chatty, attempt(tmp_path, "b", 1, "hi")], LogCursor(), execution_ended=True)

    assert [chunk.node for chunk in first.chunks] == ["a", "b"]
    assert len(first.chunks[0].lines) == log_pages.ATTEMPT_LINES
    assert not first.is_complete


def test_running_attempt_is_read_on(tmp_path: Path) -> None:
    """What an attempt prints later comes later, until it has ended and all is read."""
    silent = attempt(tmp_path, "b", 1, ended=False)
    begun = attempt(tmp_path, "a", 0, "one", ended=False)
    first = read_page([begun, silent], LogCursor(), execution_ended=False)
    begun = attempt(tmp_path, "a", 0, "one", "two")
    silent = attempt(tmp_path, "b", 1, "hi")
    second = read_page([begun, silent], first.cursor, execution_ended=True)

    assert (texts(first), first.is_complete) == (["a.one"], False)
    assert (texts(second), second.is_complete) == (["a.two", "b.hi"], True)
    assert second.cursor == LogCursor(done=(1, 1))


def test_attempts_of_a_node_are_all_read(tmp_path: Path) -> None:
    """A retried node is done attempt by attempt; one that nobody declares is read as well."""
    attempts = [
        attempt(tmp_path, "a", 0, "first", number=1),
        attempt(tmp_path, "gone", None, "left"),
        attempt(tmp_path, "a", 0, "second", number=2),
    ]

    found, pages = read_all(attempts)

    assert found == ["a.first", "gone.left", "a.second"]
    assert pages[-1].cursor.done == (2,)
    again = read_page(attempts, pages[-1].cursor, execution_ended=True)
    assert (again.chunks, again.is_complete) == ((), True)

"""Promises of `flowrunner.web.unread`: all are counted, few have a line, the others a number."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from flowrunner.web.connection import ServerLimits
from flowrunner.web.server import HttpServer
from flowrunner.web.sockets import bind_tcp
from flowrunner.web.unread import UNREAD_LINES, Kind, Unread
from tests.fakes.virtual_time import run_virtual
from tests.unit.web.serving import read_whole, talk


@pytest.fixture(autouse=True)
def _hear_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_beyond_some_in_a_minute_one_line_has_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A flood leaves a few lines and one of how many others; the next minute has lines again."""
    counted: Counter[Kind] = Counter()

    async def work() -> None:
        unread = Unread(lambda kind: counted.update((kind,)), most=2, period_s=60)
        for _ in range(5):
            unread.malformed("203.0.113.9", "400")
        unread.too_slow("203.0.113.9")  # of another kind, which this flood hides nothing of
        await asyncio.sleep(61)
        unread.malformed("203.0.113.8", "431")
        unread.close()

    run_virtual(work())
    assert caplog.messages == [
        *["http.malformed peer=203.0.113.9 answer=400"] * 2,
        "http.too_slow peer=203.0.113.9",
        "http.malformed others=3 seconds=60",
        "http.malformed peer=203.0.113.8 answer=431",
    ]
    assert counted == {"malformed": 6, "too_slow": 1}


def test_end_says_what_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """A stop within the minute says the number at once, and leaves no timer."""

    async def work() -> None:
        unread = Unread(lambda _: None, most=1, period_s=60)
        unread.too_slow("unix-uid-0")
        unread.too_slow("unix-uid-0")
        unread.close()
        unread.close()
        await asyncio.sleep(120)

    run_virtual(work())
    assert caplog.messages == [
        "http.too_slow peer=unix-uid-0",
        "http.too_slow others=1 seconds=60",
    ]


def test_server_that_is_flooded_counts_all(caplog: pytest.LogCaptureFixture) -> None:
    """Each of many bad requests is answered and counted, whatever becomes of its line."""
    counted: list[Kind] = []
    number = UNREAD_LINES + 3

    async def work() -> list[bytes]:
        server = HttpServer(
            read_whole,
            [bind_tcp("127.0.0.1", 0)],
            ServerLimits(),
            count_unread=counted.append,
        )
        await server.start()
        try:
            return [await talk(server, b"nonsense\r\n\r\n") for _ in range(number)]
        finally:
            await server.stop()

    answers = asyncio.run(work())
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 400"] * number
    assert counted == ["malformed"] * number
    assert len(caplog.messages) == UNREAD_LINES + 1
    assert caplog.messages[-1] == "http.malformed others=3 seconds=60"

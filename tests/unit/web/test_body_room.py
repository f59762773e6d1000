"""However many send large bodies at once, and however slowly, the daemon keeps a bounded amount."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.web.app import make_public_app
from flowrunner.web.middleware.authentication import LocalHosts
from flowrunner.web.middleware.body_limit import FREE_BYTES, ROOM_BYTES, BodyLimit, BodyRoom
from flowrunner.web.problem import HttpError
from tests.fakes.asgi import Call, answer
from tests.fakes.service import FakeService
from tests.unit.web.apps import MAX_BODY, make_access, make_parts

MIB = 1024**2
MOST = 4 * MIB


async def read_whole(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and answers nothing."""
    await Request(scope, receive).body()


async def drop(message: Message) -> None:
    """Takes an answer."""


class Sender:
    """Sends a body bit by bit."""

    def __init__(self, limit: BodyLimit) -> None:
        self._parts: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "http", "method": "POST", "headers": []}
        self.request = asyncio.create_task(limit(scope, self._parts.get, drop))

    async def send(self, size: int, *, is_last: bool = False) -> None:
        """Sends so many bytes, and waits until they are read."""
        message = {"type": "http.request", "body": bytes(size), "more_body": not is_last}
        self._parts.put_nowait(message)
        while not self._parts.empty():  # noqa: ASYNC110 - the reader tells no event
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def leave(self) -> None:
        self.request.cancel()
        with contextlib.suppress(asyncio.CancelledError, HttpError):
            await self.request


def test_large_bodies_that_do_not_end_have_a_bound_together() -> None:
    """Beyond it large ones are told to come back, small ones pass, and who leaves makes room."""

    async def story() -> None:
        limit = BodyLimit(read_whole, max_bytes=MOST, room=BodyRoom(MOST))
        slow = [Sender(limit) for _ in range(ROOM_BYTES // MOST)]
        for each in slow:
            await each.send(MOST)
        late, small = Sender(limit), Sender(limit)
        await late.send(FREE_BYTES)
        await late.send(MIB)
        assert not late.request.done()  # what the first 64 KiB of the others have left
        await late.send(MIB)
        with pytest.raises(HttpError) as caught:
            await late.request
        assert (caught.value.status, caught.value.code) == (503, "http.busy")
        assert caught.value.headers["retry-after"]
        await small.send(FREE_BYTES, is_last=True)
        await small.request

        await slow.pop().leave()
        again = Sender(limit)
        await again.send(MOST)
        assert not again.request.done()
        for each in (*slow, again):
            await each.leave()

    asyncio.run(story())


def test_body_that_is_whole_takes_no_room() -> None:
    """What is worked on is no longer counted, so that one who waits for an end holds up nobody."""

    async def story() -> None:
        room, gate = BodyRoom(MOST), asyncio.Event()

        async def work(scope: Scope, receive: Receive, send: Send) -> None:
            await read_whole(scope, receive, send)
            await gate.wait()

        sender = Sender(BodyLimit(work, max_bytes=MOST, room=room))
        await sender.send(MIB)
        assert not room.take(ROOM_BYTES)
        await sender.send(MIB, is_last=True)
        assert room.take(ROOM_BYTES)
        gate.set()
        await sender.request
        assert not room.take(1)

    asyncio.run(story())


def test_room_is_for_some_of_the_largest_bodies() -> None:
    """However large a body may be, four of them fit."""
    assert BodyRoom(100 * MIB).take(400 * MIB)


def test_delivery_without_room_is_recorded() -> None:
    """It has a reason of its own, and is not looked at."""
    room, service = BodyRoom(MAX_BODY), FakeService()
    assert room.take(ROOM_BYTES)
    parts = replace(make_parts(service), max_body=MOST, bodies=room)
    app = make_public_app(parts, access=make_access(), hosts=LocalHosts())
    call = Call(
        method="POST", target="/hooks/default/backup/push", chunks=(bytes(2 * FREE_BYTES), b"x")
    )

    got = asyncio.run(answer(app, call))

    assert (got.status, got.json["code"]) == (503, "http.busy")
    assert [(status, reason) for _, status, reason in service.refusals] == [
        (503, DeliveryReason.BUSY)
    ]
    assert service.deliveries == []

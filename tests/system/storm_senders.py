"""Senders of a storm: deliveries go out when they are due, whatever became of those before.

A sender that waits for each answer offers no more than the daemon takes. These send at their rate
over connections that stay open, one delivery behind the other if need be, so that a slow daemon is
stormed as a quick one is.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.system.daemon import RunningDaemon

CONNECTIONS = 32
_TRY_AGAIN = frozenset({429, 503})
"""Answers that say to come back later."""


@dataclass
class Senders:
    """What the senders of all deliveries know, over every life of the daemon.

    Attributes:
        requests: Delivery → what is sent, made before the storm.
        rate: Deliveries that are due in a second.
        waiting: Ids of deliveries that have no answer.
        statuses: Of each delivery, the statuses of its answers.
        executions: Of each delivery, the executions that its answers named.
        cut: Deliveries that were under way when their connection ended.
        put_off: How many answers said to come back later.
        sent: How many were sent, again or for the first time.
        sending_s: The seconds from the first to the last that was due, of all lives.
    """

    requests: Mapping[str, bytes]
    rate: float
    waiting: deque[str] = field(default_factory=deque)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    executions: dict[str, set[str]] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    put_off: int = 0
    sent: int = 0
    sending_s: float = 0.0

    def __post_init__(self) -> None:
        self.waiting.extend(self.requests)

    @property
    def offered(self) -> float:
        """Deliveries that were sent in a second."""
        return self.sent / self.sending_s

    def storm(self, running: RunningDaemon, kill_at: int | None) -> None:
        """Sends what waits until it is answered, or kills the daemon once so many are."""

        def answered(delivery: str, status: int, body: Mapping[str, str]) -> None:
            if status in _TRY_AGAIN:
                self.put_off += 1
                self.waiting.append(delivery)
                return
            self.statuses.setdefault(delivery, []).append(status)
            self.executions.setdefault(delivery, set()).add(body.get("execution_id", "none"))
            if len(self.statuses) == kill_at:
                running.process.kill()

        def lost(deliveries: Sequence[str]) -> None:
            self.cut.update(deliveries)
            self.waiting.extend(deliveries)

        while self.waiting:
            asyncio.run(self._once(running.port, answered, lost))
            if kill_at is not None and len(self.statuses) >= kill_at:
                return

    async def _once(self, port: int, answered: Answered, lost: Lost) -> None:
        """Sends each that waits now, when it is due, and waits for the answers."""
        loop = asyncio.get_running_loop()
        lines = [
            (await loop.create_connection(lambda: _Line(answered, lost), "127.0.0.1", port))[1]
            for _ in range(CONNECTIONS)
        ]
        began = time.monotonic()
        for number in range(len(self.waiting)):
            await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
            line = lines[number % CONNECTIONS]
            if line.ended.is_set():
                break
            delivery = self.waiting.popleft()
            line.send(delivery, self.requests[delivery])
            self.sent += 1
        self.sending_s += time.monotonic() - began
        for line in lines:
            await line.idle.wait()
            line.close()


Answered = Callable[[str, int, Mapping[str, str]], None]
"""Learns of a delivery, the status of its answer, and its document."""

Lost = Callable[[Sequence[str]], None]
"""Learns of deliveries that have no answer when their connection ends."""


class _Line(asyncio.Protocol):
    """One connection, whose answers come in the order of what was sent.

    Attributes:
        idle: Whether nothing is under way.
        ended: Whether nothing can be sent any more.
    """

    def __init__(self, answered: Answered, lost: Lost) -> None:
        self._answered, self._lost = answered, lost
        self._under_way: deque[str] = deque()
        self._came = b""
        self.idle, self.ended = asyncio.Event(), asyncio.Event()
        self.idle.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, delivery: str, request: bytes) -> None:
        self._under_way.append(delivery)
        self.idle.clear()
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._came += data
        while self._under_way and (mark := self._came.find(b"\r\n\r\n")) >= 0:
            head = self._came[:mark].decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            end = mark + 4 + length
            if len(self._came) < end:
                return
            body, self._came = self._came[mark + 4 : end], self._came[end:]
            self._answered(self._under_way.popleft(), int(head.split()[1]), json.loads(body))
        if not self._under_way:
            self.idle.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()
        self._lost(tuple(self._under_way))
        self._under_way.clear()
        self.idle.set()

"""A storm of deliveries, and `kill -9` in the middle: accepted means executed, exactly once."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.profile import IS_LONG
from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.deliveries import GITHUB_AUTH, SECRET_IN_ENVIRONMENT, github_headers, hook
from tests.system.flow_files import NOTHING, write_flow

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_200 if IS_LONG else 120)]

COUNT, KILLS = (10_000, 3) if IS_LONG else (300, 1)
RATE = 1_500
"""Deliveries that are due in a second; what a slow machine does not manage is sent late."""
CONNECTIONS = 32
PATIENCE_S = 600.0 if IS_LONG else 30.0
PAGE = 1_000
ENVIRONMENT = {**OPEN, **SECRET_IN_ENVIRONMENT, "FLOWRUNNER_ENGINE__RETENTION_EXECUTIONS": "100000"}


@dataclass
class Senders:
    """What the senders of all deliveries know, over every life of the daemon.

    Attributes:
        waiting: Ids of deliveries that have no answer.
        statuses: Of each delivery, the statuses of its answers.
        executions: Of each delivery, the executions that its answers named.
        cut: Deliveries that were under way when the daemon died.
    """

    waiting: deque[str]
    statuses: dict[str, list[int]] = field(default_factory=dict)
    executions: dict[str, set[str]] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)

    def storm(self, running: RunningDaemon, kill_at: int | None) -> float:
        """Sends what waits; kills the daemon once so many are answered. Returns the seconds."""
        return asyncio.run(self._storm(running, kill_at))

    async def _storm(self, running: RunningDaemon, kill_at: int | None) -> float:
        began, port, sent = time.monotonic(), running.port, 0

        async def connection() -> None:
            nonlocal sent
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while self.waiting:
                    delivery = self.waiting.popleft()
                    sent += 1
                    await asyncio.sleep(began + sent / RATE - time.monotonic())
                    if not await self._send(reader, writer, delivery):
                        return
                    if kill_at is not None and len(self.statuses) >= kill_at:
                        running.process.kill()
            finally:
                writer.close()

        await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
        return time.monotonic() - began

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delivery: str
    ) -> bool:
        """Sends a delivery and notes its answer; returns False when there was none."""
        try:
            writer.write(request(delivery))
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
        except (ConnectionError, asyncio.IncompleteReadError):
            self.cut.add(delivery)
            self.waiting.append(delivery)
            return False
        self.statuses.setdefault(delivery, []).append(int(head.split()[1]))
        self.executions.setdefault(delivery, set()).add(answer.get("execution_id", "none"))
        return True


def request(delivery: str) -> bytes:
    """Returns a delivery as GitHub would send it; each has a body and an id of its own."""
    body = json.dumps({"delivery": delivery, "pad": "x" * 900}).encode()
    headers = {**github_headers(body, delivery), "Content-Length": str(len(body))}
    lines = ["POST /hooks/default/stormy/webhook HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def all_executions(running: RunningDaemon) -> Iterator[dict[str, Any]]:
    """Yields every execution that the daemon knows of."""
    cursor = ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = running.request(f"/api/v1/executions?flow=stormy&limit={PAGE}{more}").json
        yield from page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return


def ended(running: RunningDaemon) -> list[dict[str, Any]] | None:
    """Returns all executions once each has succeeded."""
    found = list(all_executions(running))
    return found if all(it["state"] == "succeeded" for it in found) else None


def test_each_delivery_of_a_storm_is_one_execution_whatever_kills_the_daemon(
    flows: Path, state: Path
) -> None:
    """Each 202 is an execution, none lacks an answer, and a retry after a kill starts no second."""
    write_flow(
        flows,
        "stormy",
        "inputs: {delivery: {}}\n",
        "concurrency: {limit: 1000, queue_limit: 10000}\n",
        hook(GITHUB_AUTH, "inputs: {delivery: '${{ trigger.body.delivery }}'}"),
        NOTHING,
    )
    ids = [str(uuid4()) for _ in range(COUNT)]
    senders = Senders(deque(ids))
    took = 0.0
    for life in range(KILLS):
        with daemon(flows, state, env=ENVIRONMENT) as running:
            took += senders.storm(running, (life + 1) * COUNT // (KILLS + 1))
            assert running.process.wait(PATIENCE_S) == -signal.SIGKILL
    with daemon(flows, state, env=ENVIRONMENT) as running:
        took += senders.storm(running, None)
        executions = eventually(
            lambda: ended(running), lambda: running.events[-2_000:], patience_s=PATIENCE_S
        )

    assert senders.statuses.keys() == set(ids)
    assert {it["id"]: it["inputs"]["delivery"] for it in executions} == {
        execution: delivery for delivery, found in senders.executions.items() for execution in found
    }
    assert len(executions) == COUNT
    again = {delivery for delivery, found in senders.statuses.items() if found != [202]}
    assert all(senders.statuses[delivery] == [200] for delivery in again)
    assert again <= senders.cut
    sys.stdout.write(
        f"{COUNT} deliveries, {took:.1f} s of sending, {KILLS} kills: {len(senders.cut)} had no "
        f"answer at first, {len(again)} of these had been accepted\n"
    )

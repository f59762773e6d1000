"""A storm of deliveries, and `kill -9` in the middle: accepted means executed, exactly once."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.profile import IS_LONG
from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.deliveries import GITHUB_AUTH, SECRET_IN_ENVIRONMENT, github_headers, hook
from tests.system.flow_files import NOTHING, write_flow
from tests.system.storm_senders import Senders

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_200 if IS_LONG else 120)]

RATE = 1_500
"""Deliveries that are due in a second: they are sent then, however slow the answers are."""
COUNT, KILLS = (20 * RATE, 3) if IS_LONG else (RATE, 1)
PATIENCE_S = 600.0 if IS_LONG else 60.0
PAGE = 1_000
ENVIRONMENT = {**OPEN, **SECRET_IN_ENVIRONMENT, "FLOWRUNNER_ENGINE__RETENTION_EXECUTIONS": "100000"}


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
    senders = Senders({it: request(it) for it in (str(uuid4()) for _ in range(COUNT))}, RATE)
    for life in range(KILLS):
        with daemon(flows, state, env=ENVIRONMENT) as running:
            senders.storm(running, (life + 1) * COUNT // (KILLS + 1))
            assert running.process.wait(PATIENCE_S) == -signal.SIGKILL
    with daemon(flows, state, env=ENVIRONMENT) as running:
        senders.storm(running, None)
        executions = eventually(
            lambda: ended(running), lambda: running.events[-2_000:], patience_s=PATIENCE_S
        )

    assert senders.statuses.keys() == senders.requests.keys()
    assert {it["id"]: it["inputs"]["delivery"] for it in executions} == {
        execution: delivery for delivery, found in senders.executions.items() for execution in found
    }
    assert len(executions) == COUNT
    again = {delivery for delivery, found in senders.statuses.items() if found != [202]}
    assert all(senders.statuses[delivery] == [200] for delivery in again)
    assert again <= senders.cut
    sys.stdout.write(
        f"{COUNT} deliveries, {senders.sent} sent in {senders.sending_s:.1f} s: "
        f"{senders.offered:.0f} a second were offered; {KILLS} kills: {len(senders.cut)} had no "
        f"answer at first, {len(again)} of these had been accepted; {senders.put_off} put off\n"
    )

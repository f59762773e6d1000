"""People and senders in a simulation: what each asks, and what it may see.

Their questions go on while other things happen; each answer is shown to the oracle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from flowrunner.errors import FlowError, RefusedError
from flowrunner.model.delivery import Delivery
from flowrunner.model.ids import ExecutionId
from tests.simulation.flow_files import TOKEN, hook_of, key_of
from tests.simulation.life import Ground, Life


class Clients:
    """All of them.

    Attributes:
        accepted: What became of deliveries, by their number.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.accepted: dict[int, ExecutionId] = {}

    def ask(self, life: Life, asking: Callable[[], Awaitable[None]]) -> None:
        """Lets somebody ask; the answer comes when it comes."""
        task = asyncio.ensure_future(self._answered(asking))
        life.client_tasks.add(task)
        task.add_done_callback(life.client_tasks.discard)

    async def _answered(self, asking: Callable[[], Awaitable[None]]) -> None:
        try:
            await asking()
        except FlowError as error:
            self._ground.trace.event(f"refused: {error.code}")
        except Exception as error:  # noqa: BLE001 - no client may see anything else
            self._ground.oracle.fail(f"a client sees {error!r}")

    async def reconcile(self, life: Life) -> None:
        """Asks for a pass."""
        await life.reconciler.request("command")

    async def start(self, life: Life, name: str) -> None:
        """Starts a flow by hand."""
        started = await life.dispatcher.start_by_hand(key_of(name), {}, as_text=False)
        self._ground.oracle.is_told_accepted(started, "a person")

    async def deliver(self, life: Life, name: str, number: int) -> None:
        """Sends a delivery to the hook of a flow."""
        headers = {
            "authorization": f"Bearer {TOKEN}",
            "content-type": "application/json",
            "x-id": f"delivery-{number}",
        }
        answer = await life.webhooks.deliver(
            Delivery(path=hook_of(name), method="POST", headers=headers, query={}, body=b"{}")
        )
        self._ground.trace.event(f"delivery {number} to {name}: {answer.status} {answer.result}")
        if "execution_id" in answer.body:
            execution_id = ExecutionId(answer.body["execution_id"])
            self._ground.oracle.is_told_accepted(execution_id, f"the sender of {number}")
            if answer.status == 202:
                self._ground.oracle.delivers((name, number), execution_id)
                self.accepted[number] = execution_id

    async def retry(self, life: Life, execution_id: ExecutionId, node: str | None) -> None:
        """Starts an ended execution once more, all of it or from one of its nodes."""
        oracle = self._ground.oracle
        try:
            again = await life.retries.retry(execution_id, from_node=node)
        except RefusedError as error:
            if error.code == "upstream" and node is not None:
                oracle.is_refused(execution_id, node)
            raise
        oracle.is_told_accepted(again, "a person who retries")
        oracle.is_retried(again, execution_id, node)

    async def pause(self, life: Life, name: str, minutes: int | None) -> None:
        """Pauses a flow, for some minutes or until further notice."""
        until = None if minutes is None else self._ground.clock.now() + timedelta(minutes=minutes)
        await life.pauses.pause(key_of(name), reason="simulated", until=until, uid=None)

    async def cancel(self, life: Life, execution_id: ExecutionId, *, force: bool) -> None:
        """Asks an execution to end."""
        nodes = self._ground.oracle.nodes
        nodes.wished.add(execution_id)
        if force:
            nodes.forced.add(execution_id)
        if await life.engine.cancel(execution_id, force=force):
            nodes.is_told_cancelled(execution_id, is_forced=force)

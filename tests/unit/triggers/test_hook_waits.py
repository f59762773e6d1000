"""Promises of `respond: wait`: the answer is the end of the execution, or comes without it."""

from __future__ import annotations

import asyncio

import pytest

from flowrunner.model.ids import Json
from flowrunner.model.states import ExecutionState
from flowrunner.triggers import webhooks
from tests.unit.triggers.test_webhooks import Sender, flow, told


def waiting(wait_s: int = 5, **trigger: Json) -> bytes:
    """A flow whose execution takes so many seconds, and has an output."""
    nodes = [
        {"id": "only", "type": "wait", "params": {"for": f"{wait_s}s"}},
        {"id": "said", "type": "set", "params": {"values": {"n": 7}}},
    ]
    top = {"nodes": nodes, "outputs": {"n": "${{ nodes.said.outputs.n }}"}}
    return flow(top=top, respond="wait", **trigger)


def failing() -> bytes:
    nodes = [{"id": "only", "type": "fail", "params": {"message": "Hunter-22"}}]
    return flow(top={"nodes": nodes}, respond="wait")


def test_success_is_answered_with_the_outputs() -> None:
    """The answer comes with the end, and holds what the flow says of it."""

    async def story(sender: Sender) -> None:
        begin = sender.world.clock.monotonic()
        answer = await sender.send()
        (execution,) = await sender.world.executions()
        assert 5 <= sender.world.clock.monotonic() - begin < 6
        assert (answer.status, answer.result) == (200, "succeeded")
        assert answer.body == {
            "execution_id": execution.id,
            "state": "succeeded",
            "outputs": {"n": 7},
        }

    told(story, waiting())


def test_other_ends_are_a_problem() -> None:
    """A failure is answered 500 with the execution and its state, and no word of what failed."""

    async def story(sender: Sender) -> None:
        answer = await sender.send()
        (execution,) = await sender.world.executions()
        assert (answer.status, answer.result, answer.code) == (500, "failed", "execution.ended")
        assert answer.problem == f"execution {execution.id} ended as failed"

    told(story, failing())


def test_execution_that_takes_longer_is_accepted() -> None:
    """After `wait_timeout` the answer is that of every hook, and the execution goes on."""

    async def story(sender: Sender) -> None:
        begin = sender.world.clock.monotonic()
        answer = await sender.send()
        assert (answer.status, answer.result) == (202, "accepted")
        assert 10 <= sender.world.clock.monotonic() - begin < 11
        await asyncio.sleep(20)
        (execution,) = await sender.world.executions()
        assert execution.state is ExecutionState.SUCCEEDED
        assert answer.body == {"execution_id": execution.id}

    told(story, waiting(15, wait_timeout="10s"))


def test_sender_that_goes_away_leaves_the_execution_alone() -> None:
    """A wait that is given up is forgotten; what it waited for ends as it would."""

    async def story(sender: Sender) -> None:
        task = asyncio.create_task(sender.send())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert sender.world.webhooks._waiting == 0
        assert sender.world.engine.ends._waiters == {}
        await asyncio.sleep(10)
        (execution,) = await sender.world.executions()
        assert execution.state is ExecutionState.SUCCEEDED

    told(story, waiting())


def test_stop_of_the_daemon_ends_the_wait_at_once() -> None:
    """While the daemon waits for what runs, nobody waits for the daemon."""

    async def story(sender: Sender) -> None:
        task = asyncio.create_task(sender.send())
        await asyncio.sleep(1)
        begin = sender.world.clock.monotonic()
        draining = asyncio.create_task(sender.world.engine.drain(60))
        answer = await task
        assert (answer.status, answer.result) == (202, "accepted")
        assert sender.world.clock.monotonic() - begin < 1
        await draining

    told(story, waiting(20))


def test_execution_that_is_queued_is_waited_for() -> None:
    """The time in the queue counts, and a cancelled execution is a problem."""

    async def story(sender: Sender) -> None:
        first = asyncio.create_task(sender.send(b"[1]"))
        await asyncio.sleep(1)
        second = asyncio.create_task(sender.send(b"[2]"))
        third = asyncio.create_task(sender.send(b"[3]"))
        await asyncio.sleep(1)
        last = (await sender.world.executions())[-1]
        await sender.world.engine.cancel(last.id)
        assert (await third).problem == f"execution {last.id} ended as cancelled"
        assert [(await task).status for task in (first, second)] == [200, 200]

    told(story, waiting())


def test_copy_is_answered_at_once() -> None:
    """A second copy hears whose copy it is, and waits for nothing."""

    async def story(sender: Sender) -> None:
        task = asyncio.create_task(sender.send(x_github_delivery="1"))
        await asyncio.sleep(1)
        again = await sender.send(x_github_delivery="1")
        assert (again.status, again.result) == (200, "duplicate")
        assert not task.done()
        assert (await task).body["execution_id"] == again.body["execution_id"]

    told(story, waiting())


def test_so_many_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who would be one too many is answered when accepted; a place is free again afterwards."""
    monkeypatch.setattr(webhooks, "MOST_WAITING", 2)

    async def story(sender: Sender) -> None:
        tasks = [asyncio.create_task(sender.send(b"[%d]" % number)) for number in range(2)]
        await asyncio.sleep(1)
        assert (await sender.send(b"[2]")).status == 202
        assert [(await task).status for task in tasks] == [200, 200]
        assert (await sender.send(b"[3]")).status == 200

    told(story, waiting())

"""What every backend keeps of executions that others have asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.model.execution import Execution, Parent
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState
from flowrunner.storage.factory import BACKENDS, make_storage
from flowrunner.storage.protocols import ExecutionQuery, Storage
from flowrunner.system.files import LocalFiles
from tests.fakes.clock import FakeClock
from tests.fakes.records import make_execution, make_parent

Body = Callable[[Storage], Awaitable[None]]
Use = Callable[[Body], None]

CALLER = make_execution(1, state=ExecutionState.RUNNING)


@pytest.fixture(params=BACKENDS)
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    """Runs a body with each backend."""

    async def main(body: Body) -> None:
        storage = make_storage(
            request.param, folder=tmp_path / "state", files=LocalFiles(), clock=FakeClock()
        )
        await storage.open()
        try:
            await body(storage)
        finally:
            await storage.close()

    return lambda body: asyncio.run(main(body))


def asked_for(execution: Execution, parent: Parent | None = None) -> Execution:
    cause = replace(execution.cause, trigger_id="parent", trigger_type="flow")
    return replace(execution, cause=cause, parent=parent or make_parent(CALLER.id))


async def children(storage: Storage, parent: ExecutionId, limit: int = 100) -> list[str]:
    return [each.id for each in await storage.executions.children(parent, limit=limit)]


def test_children_are_found_by_their_parent(use: Use) -> None:
    """Oldest first, at most so many, each with the attempt that asked for it and without data."""
    parent = make_parent(CALLER.id, "build", index=2, number=3, is_waited=True)
    kept = [asked_for(make_execution(n, payload=b"{}"), parent) for n in (4, 2, 3)]

    async def body(storage: Storage) -> None:
        await storage.executions.create(CALLER)
        for each in kept:
            await storage.executions.create(each)
        await storage.executions.create(make_execution(5))
        first, second = await storage.executions.children(CALLER.id, limit=2)
        assert (first.id, second.id) == (kept[1].id, kept[2].id)
        assert first.parent == parent
        assert (first.inputs, first.cause.payload, first.cause.context) == ({}, None, {})
        assert await children(storage, kept[0].id) == []

    use(body)


def test_parent_stays_when_a_child_changes(use: Use) -> None:
    """An update changes what may change, and what is unfinished says who waits for it."""
    child = asked_for(make_execution(2), make_parent(CALLER.id, is_waited=True))
    running = replace(child, state=ExecutionState.RUNNING, parent=None)

    async def body(storage: Storage) -> None:
        await storage.executions.create(child)
        await storage.executions.update(running)
        assert await storage.executions.get(child.id) == replace(running, parent=child.parent)
        assert await storage.executions.unfinished() == [replace(running, parent=child.parent)]

    use(body)


def test_child_outlives_the_record_of_its_parent(use: Use) -> None:
    """Either may be removed first: a child goes on saying who asked for it."""
    first, second = (asked_for(make_execution(n, state=ExecutionState.SUCCEEDED)) for n in (2, 3))

    async def body(storage: Storage) -> None:
        for each in (replace(CALLER, state=ExecutionState.FAILED), first, second):
            await storage.executions.create(each)
        await storage.executions.prune([CALLER.id, first.id])
        assert await storage.executions.get(CALLER.id) is None
        assert await children(storage, CALLER.id) == [second.id]
        assert (await storage.executions.get(second.id)) == second

    use(body)


def test_lists_say_who_asked(use: Use) -> None:
    """Wherever an execution is read, its parent is there."""
    child = asked_for(make_execution(2, state=ExecutionState.SUCCEEDED))

    async def body(storage: Storage) -> None:
        await storage.executions.create(child)
        await storage.executions.create(make_execution(3))
        other, listed = await storage.executions.list(ExecutionQuery())
        (last,) = (await storage.executions.last_of_each()).values()
        assert (other.parent, listed.parent, last.parent) == (None, child.parent, child.parent)

    use(body)

"""Views of executions: complete, in order, and not dearer than they must be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from flowrunner.engine.engine import Engine
from flowrunner.model.execution import Attempt
from flowrunner.model.states import NodeState
from flowrunner.service import executions
from flowrunner.service.executions import ExecutionReader, node_views
from flowrunner.service.views import Page
from flowrunner.storage.memory import MemoryStorage
from flowrunner.storage.protocols import ExecutionQuery
from tests.fakes.ids import sequential_id
from tests.fakes.records import make_attempt, make_execution, make_node

IDLE = cast(Engine, SimpleNamespace(live_states=lambda _id: None))
EXECUTION = sequential_id(1)


class CountedAttempts(list[Attempt]):
    """Counts how often it is gone through."""

    passes = 0

    def __iter__(self) -> Iterator[Attempt]:
        self.passes += 1
        return super().__iter__()


def test_nodes_are_put_together_in_one_pass() -> None:
    """Each node has its own attempts, and the attempts are not searched node by node."""
    names = [f"n{number}" for number in range(100)]
    attempts = CountedAttempts(make_attempt(EXECUTION, name) for name in names)
    settled = [make_node(EXECUTION, names[0])]

    found = node_views([(name, "shell") for name in names], {}, settled, attempts)

    assert [view.id for view in found] == names
    assert [[each.key.node for each in view.attempts] for view in found] == [[n] for n in names]
    assert (found[0].state, found[1].state) == (settled[0].state, NodeState.PENDING)
    assert attempts.passes == 1


def page_of(query: ExecutionQuery, *, with_inputs: bool, **inputs: Any) -> Page:
    async def main() -> Page:
        storage = MemoryStorage()
        for number in (1, 2, 3):
            execution = replace(make_execution(number), inputs=inputs)
            await storage.executions.create(execution)
        reader = ExecutionReader(storage, IDLE, Path("/logs"))
        return await reader.page(query, with_inputs=with_inputs)

    return asyncio.run(main())


def test_page_has_inputs_where_they_are_asked_for() -> None:
    """A caller who may not see inputs does not make anybody read them."""
    with_them = page_of(ExecutionQuery(), with_inputs=True, day="monday")
    without = page_of(ExecutionQuery(), with_inputs=False, day="monday")

    assert [view.execution.inputs for view in with_them.items] == [{"day": "monday"}] * 3
    assert [view.execution.inputs for view in without.items] == [{}] * 3
    assert with_them.next_cursor is without.next_cursor is None


def test_page_with_large_inputs_ends_early() -> None:
    """A page is bounded by the size of its inputs, and its cursor leads to the rest."""
    large = "x" * executions.PAGE_DATA

    first = page_of(ExecutionQuery(), with_inputs=True, large=large)
    last = page_of(ExecutionQuery(before=sequential_id(2)), with_inputs=True, large=large)

    assert [view.execution.id for view in first.items] == [sequential_id(3)]
    assert first.next_cursor == sequential_id(3)
    assert [view.execution.id for view in last.items] == [sequential_id(1)]

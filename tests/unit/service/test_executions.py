"""Views of executions: complete, in order, and not dearer than they must be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from flowrunner.engine.engine import Engine
from flowrunner.model.digest import digest_of
from flowrunner.model.execution import Attempt, ItemCounts, ItemEnd, NodeStatus
from flowrunner.model.states import AttemptState, ExecutionState, NodeState
from flowrunner.service import executions
from flowrunner.service.declared import DeclaredNode
from flowrunner.service.executions import ExecutionReader
from flowrunner.service.node_views import logged_attempts, node_views
from flowrunner.service.views import Page
from flowrunner.storage.memory import MemoryStorage
from flowrunner.storage.protocols import ExecutionQuery
from tests.fakes.ids import sequential_id
from tests.fakes.records import make_attempt, make_execution, make_node, make_parent

IDLE = cast(Engine, SimpleNamespace(live_states=lambda _id: None, live_items=lambda _id: {}))
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

    declared = [DeclaredNode(name, "shell") for name in names]

    found = node_views(declared, {}, {}, settled, attempts)

    assert [view.id for view in found] == names
    assert [[each.key.node for each in view.attempts] for view in found] == [[n] for n in names]
    assert (found[0].state, found[1].state) == (settled[0].state, NodeState.PENDING)
    assert attempts.passes == 1


ITEMS = [DeclaredNode("map", "shell", has_items=True)]


def item(index: int, *, number: int = 1, state: AttemptState = AttemptState.SUCCEEDED) -> Attempt:
    return make_attempt(EXECUTION, "map", item_index=index, number=number, state=state)


def counts_of(
    attempts: Sequence[Attempt],
    *,
    end: NodeStatus | None = None,
    live: ItemCounts | None = None,
) -> ItemCounts:
    items = {} if live is None else {"map": live}
    (view,) = node_views(ITEMS, {}, items, [] if end is None else [end], attempts)
    return view.items


def test_items_are_counted_by_their_last_attempts() -> None:
    """A node that has ended has as many items as outputs, whatever had begun of them."""
    failed = AttemptState.FAILED
    attempts = [item(0, state=failed), item(0, number=2), item(1, state=failed)]
    end = make_node(EXECUTION, "map", state=NodeState.FAILED, outputs=[{}, None, None])

    assert counts_of(attempts, end=end) == ItemCounts(total=3, succeeded=1, failed=1)


def test_items_of_a_node_at_work_are_those_of_the_engine() -> None:
    """It alone knows how long the list is, and which failure is for good."""
    live = ItemCounts(total=9, succeeded=1)
    assert counts_of([item(0), item(1, state=AttemptState.FAILED)], live=live) == live


def test_node_without_list_has_no_items() -> None:
    """Before it starts, or when it was skipped, nothing is counted."""
    skipped = make_node(EXECUTION, "map", state=NodeState.SKIPPED)
    assert counts_of([]) == counts_of([], end=skipped) == ItemCounts()


def test_logs_of_items_have_names_of_their_own() -> None:
    """What runs without being journaled is no attempt of an item; an item ends with its last."""
    execution = make_execution(state=ExecutionState.RUNNING)
    tried = item(3, state=AttemptState.FAILED)
    ended = replace(item(0), item_end=ItemEnd(outputs={}))
    declared = [*ITEMS, DeclaredNode("one", "shell")]
    live = {"map": NodeState.RUNNING, "one": NodeState.RUNNING}

    found = logged_attempts(execution, declared, live, [], [ended, tried], Path("/logs"))

    shown = {each.path.name: (each.item, each.is_last) for each in found}
    assert shown == {
        "map.0.1.log": (0, True),
        "map.3.1.log": (3, False),
        "one.1.log": (None, False),
    }


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


def test_children_are_read_where_a_node_may_have_some() -> None:
    """Only a flow with nodes of type `flow` asks the store for what they have started."""

    async def main() -> list[tuple[str, ...]]:
        storage = MemoryStorage()
        shown: list[tuple[str, ...]] = []
        for number, kind in ((1, "flow"), (3, "noop")):
            definition = {"nodes": [{"id": "sub", "type": kind}]}
            caller = replace(make_execution(number), digest=digest_of(definition))
            child = replace(make_execution(number + 1), parent=make_parent(caller.id, "sub"))
            await storage.definitions.put(caller.digest, definition)
            await storage.executions.create(caller)
            await storage.executions.create(child)
            view = await ExecutionReader(storage, IDLE, Path("/logs")).view(caller.id)
            shown.append(tuple(each.id for each in view.children))
        return shown

    assert asyncio.run(main()) == [(sequential_id(2),), ()]

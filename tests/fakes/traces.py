"""The trace of an execution in a world of fakes: all of its pages, by node."""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.model.ids import ExecutionId, Json
from flowrunner.model.trace import NodeTrace, TracedExpression
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.traces import TracePage, TraceReader
from tests.fakes.engine import Acts, World, simulate


async def trace_page(
    world: World,
    execution_id: ExecutionId,
    *,
    after: str | None = None,
    limit: int = 1_000,
    registry: FlowRegistry | None = None,
) -> TracePage:
    """Asks a world for one page."""
    reader = TraceReader(world.services, world.engine, registry or FlowRegistry())
    return await reader.page(execution_id, after=after, limit=limit)


async def trace_of(
    world: World, execution_id: ExecutionId, *, limit: int = 1_000
) -> dict[str, NodeTrace]:
    """Returns every node, in the order of the definition, page by page."""
    found: dict[str, NodeTrace] = {}
    after: str | None = None
    while True:
        page = await trace_page(world, execution_id, after=after, limit=limit)
        found.update((node.id, node) for node in page.nodes)
        after = page.next_cursor
        if after is None:
            return found


def traced(
    text: str,
    acts: Acts | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    inputs: Mapping[str, Json] | None = None,
    payload: bytes | None = None,
) -> dict[str, NodeTrace]:
    """Runs one flow to its end and returns its trace."""

    async def story(world: World) -> dict[str, NodeTrace]:
        outcome = await world.run(text, inputs=inputs, payload=payload)
        return await trace_of(world, outcome.execution.id)

    return simulate(story, acts, secrets=secrets)


def told(expression: TracedExpression | None) -> Json:
    """Returns an expression as text → value, with its parts; `-` where there is none."""
    assert expression is not None
    value = expression.value.value if expression.value else (expression.error or "-")
    return [expression.text, value, *map(told, expression.parts)]

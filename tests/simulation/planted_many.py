"""Bugs to plant in items, probes, and retries that keep results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from flowrunner.engine import kept, node_slots
from flowrunner.engine.graph import GraphWalk
from flowrunner.engine.history import FRESH, Standing
from flowrunner.engine.items import ItemsRun
from flowrunner.model.states import Reason
from flowrunner.nodes.builtin import probe
from flowrunner.nodes.builtin.probe import ProbeNode
from flowrunner.nodes.builtin.wait import WaitNode
from flowrunner.nodes.context import ExecutionContext
from tests.simulation.bugs import Bug, exchange


def _repeats_all(_: Any) -> Any:
    def in_order(self: ItemsRun, standings: dict[int, Standing]) -> Iterator[tuple[int, Standing]]:
        for index in range(len(self._is_final)):
            yield index, standings.get(index, FRESH)

    return in_order


def _begins_with_the_last(original: Any) -> Any:
    def in_order(self: ItemsRun, standings: dict[int, Standing]) -> Any:
        return iter([*original(self, standings)][::-1])

    return in_order


def _more_at_once(original: Any) -> Any:
    def init(self: ItemsRun, runtime: Any, writes: Any, node: Any, *rest: Any) -> None:
        spec = replace(node.spec, max_parallel=node.spec.max_parallel + 1)
        original(self, runtime, writes, replace(node, spec=spec), *rest)

    return init


def _goes_on(original: Any) -> Any:
    def cut(self: ItemsRun, reason: Reason) -> None:
        if reason is not Reason.FAIL_FAST:
            original(self, reason)

    return cut


def _tolerates_nothing(original: Any) -> Any:
    def init(self: ItemsRun, runtime: Any, writes: Any, node: Any, *rest: Any) -> None:
        spec = replace(node.spec, continue_on_error=False, fail_fast=True)
        original(self, runtime, writes, replace(node, spec=spec), *rest)

    return init


def _loses_outputs(original: Any) -> Any:
    def taken_over(self: ItemsRun) -> Any:
        found = original(self)
        self._outputs = [None] * len(self._outputs)
        return found

    return taken_over


def _keeps_its_place(original: Any) -> Any:
    async def execute(self: ProbeNode, ctx: ExecutionContext, params: Any) -> Any:
        @asynccontextmanager
        async def no_place() -> Any:
            yield

        async with ctx.place():
            return await original(self, replace(ctx, place=no_place), params)

    return execute


def _waits_anew(original: Any) -> Any:
    async def execute(self: WaitNode, ctx: ExecutionContext, params: Any) -> Any:
        return await original(self, replace(ctx, started_at=ctx.clock.now()), params)

    return execute


def _one_place_more(original: Any) -> Any:
    def init(self: node_slots._Places, most: int) -> None:
        original(self, most + 1)

    return init


def _reaches_nobody(starts: Any, _: Any) -> set[str]:
    return set(starts)


def _takes_nothing_over(_: Any) -> Any:
    def take_over(self: GraphWalk, nodes: Any) -> None:
        """Forgets what is final."""

    return take_over


MANY_BUGS = {
    "repeat items that have ended": Bug(
        plant=exchange(ItemsRun, "_in_order", _repeats_all),
        found_as="which ended the item|ended twice",
        seed=5,
    ),
    "begin with the last item": Bug(
        plant=exchange(ItemsRun, "_in_order", _begins_with_the_last),
        found_as="begins before the item",
    ),
    "try one item more at once": Bug(
        plant=exchange(ItemsRun, "__init__", _more_at_once),
        found_as="begins beside the items|run beside each other",
    ),
    "go on after an item has failed": Bug(
        plant=exchange(ItemsRun, "cut", _goes_on),
        found_as="begins after the item",
        seed=11,
    ),
    "end all items with one that may fail": Bug(
        plant=exchange(ItemsRun, "__init__", _tolerates_nothing),
        found_as="item .* (has run without an attempt|was given up)",
        seed=1,
    ),
    "forget what items gave back": Bug(
        plant=exchange(ItemsRun, "_taken_over", _loses_outputs),
        found_as="has outputs of the items",
        seed=5,
    ),
    "probe without a pause": Bug(
        plant=lambda: patch.object(probe, "parse_duration", lambda _: 0.0),
        found_as="probes again after",
        seed=2,
    ),
    "keep a place between probes": Bug(
        plant=exchange(ProbeNode, "execute", _keeps_its_place),
        found_as="places are held",
        seed=1,
    ),
    "begin a wait anew after a restart": Bug(
        plant=exchange(WaitNode, "execute", _waits_anew),
        found_as="the wait .* took",
        seed=21,
    ),
    "give one place more": Bug(
        plant=exchange(node_slots._Places, "__init__", _one_place_more),
        found_as="processes run in",
        seed=1,
    ),
    "repeat items that had succeeded": Bug(
        plant=lambda: patch.object(kept, "_keeps_items", lambda *_: False),
        found_as="keeps the items",
        seed=36,
    ),
    "keep what depends on what is repeated": Bug(
        plant=lambda: patch.object(kept, "_reached", _reaches_nobody),
        found_as="keeps .*, it must be",
        seed=9,
    ),
    "repeat what was kept": Bug(
        plant=exchange(GraphWalk, "take_over", _takes_nothing_over),
        found_as="was spawned, and its node is final|twice",
        seed=1,
    ),
}

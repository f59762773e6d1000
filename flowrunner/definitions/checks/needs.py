"""The graph that `needs` draws: who comes before whom, and who waits for himself.

By positions in the list of nodes; a name stands for the first node that has it. Linear in nodes
and needs, without recursion, whatever a file may hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from flowrunner.definitions.build import resolved_needs
from flowrunner.model.ids import Json

_MOST_CYCLES = 100
"""Cycles told at a time; each takes as much memory as it has nodes."""

_PASSES = 3
"""How often ancestors are handed down: once is exact unless there are cycles."""


class NeedsGraph:
    """The needs of all nodes, resolved.

    Attributes:
        names: For each node those that it needs, also where there is no node of that name.
    """

    def __init__(self, nodes: list[dict[str, Json]]) -> None:
        self.by_id = {node["id"]: index for index, node in reversed(list(enumerate(nodes)))}
        self.names = resolved_needs(nodes)
        by_id = self.by_id
        self._needs = [[by_id[name] for name in names if name in by_id] for names in self.names]
        self._cycles: list[list[int]] = []

    def comes_before(self, first: int, second: int) -> bool:
        """Whether the node at `second` starts only when the one at `first` is final."""
        return first != second and bool(self._ancestors[second] >> first & 1)

    def cycles(self) -> list[list[int]]:
        """Returns cycles, each from the node that stands first in the file, 100 at most."""
        _ = self.order
        return [_turned(cycle) for cycle in self._cycles]

    @cached_property
    def _ancestors(self) -> list[int]:
        """For each node the set of those before it, as the bits of an integer."""
        found = [0] * len(self._needs)
        order = self.order
        for _ in range(_PASSES if self._cycles else 1):
            for node in order:
                for need in self._needs[node]:
                    found[node] |= found[need] | 1 << need
        return found

    @cached_property
    def order(self) -> list[int]:
        """All nodes, each behind those that it needs; finds the cycles on the way."""
        if all(need < node for node, needs in enumerate(self._needs) for need in needs):
            return list(range(len(self._needs)))  # as people write them
        order: list[int] = []
        is_done = [False] * len(self._needs)
        for start in range(len(self._needs)):
            if not is_done[start]:
                order.extend(self._walk(start, is_done))
        return order

    def _walk(self, start: int, is_done: list[bool]) -> Iterator[int]:
        """Yields the nodes that can be reached and are not done, needs first; they are then."""
        path = {start: iter(self._needs[start])}  # in order of insertion, a stack
        while path:
            node = next(reversed(path))
            need = next((n for n in path[node] if not is_done[n]), None)
            if need is None:
                del path[node]
                is_done[node] = True
                yield node
            elif need not in path:
                path[need] = iter(self._needs[need])
            elif len(self._cycles) < _MOST_CYCLES:
                names = list(path)
                self._cycles.append(names[names.index(need) :])


def _turned(cycle: list[int]) -> list[int]:
    turn = cycle.index(min(cycle))
    return cycle[turn:] + cycle[:turn]

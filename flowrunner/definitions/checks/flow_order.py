"""Who comes before whom in a whole flow, whose nodes of `finally` wait for all others."""

from __future__ import annotations

from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path


class FlowOrder:
    """Who comes before whom in a flow: by the paths of nodes, over `nodes` and `finally`."""

    def __init__(self, subject: Subject) -> None:
        self._graphs = subject.graphs
        placed = subject.all_nodes
        self.paths: dict[str, Path] = {raw["id"]: path for path, raw in reversed(placed)}
        self.raws = dict(placed)

    def comes_before(self, first: Path, second: Path) -> bool:
        """Whether the node at `second` starts only when the one at `first` is final."""
        if first[0] != second[0]:
            return first[0] == "nodes"
        return self._graphs[str(first[0])].comes_before(int(first[1]), int(second[1]))

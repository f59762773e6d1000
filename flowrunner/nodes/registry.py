"""The registry of node types: a factory per type, each node built once, on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowrunner.errors import FlowError
from flowrunner.nodes.base import Node

NodeFactory = Callable[[], Node]


class NodeRegistry:
    """Node types by name. Registration is refused twice for one type, never overwritten."""

    def __init__(self) -> None:
        self._factories: dict[str, NodeFactory] = {}
        self._nodes: dict[str, Node] = {}

    def register(self, node_type: str, factory: NodeFactory) -> None:
        """Adds a type.

        Raises:
            FlowError: ``node.duplicate`` when the type is taken.
        """
        if node_type in self._factories:
            raise FlowError(f"node type {node_type!r} is registered twice", code="node.duplicate")
        self._factories[node_type] = factory

    @property
    def types(self) -> tuple[str, ...]:
        """All types, sorted."""
        return tuple(sorted(self._factories))

    def get(self, node_type: str) -> Node | None:
        """Returns the node of a type, or None when the type is unknown."""
        if node_type not in self._nodes:
            factory = self._factories.get(node_type)
            if factory is None:
                return None
            self._nodes[node_type] = factory()
        return self._nodes[node_type]

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Returns the schema of `params` for every type, as the flow schema merges them."""
        return {node_type: self.require(node_type).schema for node_type in self.types}

    def require(self, node_type: str) -> Node:
        """Returns the node of a type.

        Raises:
            FlowError: ``node.unknown`` when there is none.
        """
        node = self.get(node_type)
        if node is None:
            raise FlowError(f"there is no node type {node_type!r}", code="node.unknown")
        return node

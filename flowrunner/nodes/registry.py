"""The registry of node types: a factory per type, each node built once, on first use.

A type may have forms: params with a certain key are carried out by a node of their own, whose
facts (whether it starts a process, what a restart does to it) are those of the form. So a `wait`
with a `probe` is like a script, and any other `wait` is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flowrunner.errors import FlowError
from flowrunner.model.ids import Json
from flowrunner.nodes.base import Node

NodeFactory = Callable[[], Node]

_NO_PARAMS: Mapping[str, Json] = MappingProxyType({})


class NodeRegistry:
    """Node types by name. Registration is refused twice for one type, never overwritten."""

    def __init__(self) -> None:
        self._factories: dict[str, NodeFactory] = {}
        self._nodes: dict[str, Node] = {}
        self._forms: dict[str, tuple[str, str]] = {}

    def register(self, node_type: str, factory: NodeFactory) -> None:
        """Adds a type.

        Raises:
            FlowError: ``node.duplicate`` when the type is taken.
        """
        if node_type in self._factories:
            raise FlowError(f"node type {node_type!r} is registered twice", code="node.duplicate")
        self._factories[node_type] = factory

    def register_form(self, node_type: str, key: str, factory: NodeFactory) -> None:
        """Adds the form that a type takes when its params have a key; one form for each type.

        Raises:
            FlowError: ``node.duplicate`` when the type has one.
        """
        name = f"{node_type} {key}"  # no type has a space in it
        if node_type in self._forms:
            raise FlowError(f"node type {node_type!r} has two forms", code="node.duplicate")
        self._forms[node_type] = (key, name)
        self._factories[name] = factory

    @property
    def types(self) -> tuple[str, ...]:
        """All types, sorted."""
        forms = {name for _, name in self._forms.values()}
        return tuple(sorted(self._factories.keys() - forms))

    def get(self, node_type: str, params: Mapping[str, Json] = _NO_PARAMS) -> Node | None:
        """Returns the node of a type, in the form of its params; None when it is unknown."""
        if node_type in self._forms:
            key, name = self._forms[node_type]
            if key in params:
                node_type = name
        if node_type not in self._nodes:
            factory = self._factories.get(node_type)
            if factory is None:
                return None
            self._nodes[node_type] = factory()
        return self._nodes[node_type]

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Returns the schema of `params` for every type, as the flow schema merges them."""
        return {node_type: self.require(node_type).schema for node_type in self.types}

    def require(self, node_type: str, params: Mapping[str, Json] = _NO_PARAMS) -> Node:
        """Returns the node of a type, in the form of its params.

        Raises:
            FlowError: ``node.unknown`` when there is none.
        """
        node = self.get(node_type, params)
        if node is None:
            raise FlowError(f"there is no node type {node_type!r}", code="node.unknown")
        return node

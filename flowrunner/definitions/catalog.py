"""What the compiler must know of node types, without knowing the node package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json


class ParamIssue(Protocol):
    """What a node type has against literal params."""

    @property
    def path(self) -> tuple[str | int, ...]:
        """Where, below `params`."""

    @property
    def message(self) -> str:
        """What."""

    @property
    def hint(self) -> str:
        """What to do."""


class NodeFacts(Protocol):
    """The static side of a node type."""

    def __hash__(self) -> int:
        """Tells it from others: what follows from its schema is worked out once."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of `params`, with the marks that the schema of flows explains."""

    @property
    def is_shell_like(self) -> bool:
        """Whether it takes `env`, `outputs` and `kill_after`."""

    @property
    def acts_outside(self) -> bool:
        """Whether `timeout` and `retry` of `defaults` reach it."""

    @property
    def on_interrupt(self) -> OnInterrupt:
        """What becomes of an attempt that the daemon's end cut short, if the node says nothing."""

    @property
    def output_names(self) -> frozenset[str] | None:
        """Fixed outputs; None when params or declarations decide."""

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamIssue]:
        """Returns what the schema cannot say about literal params."""


class NodeCatalog(Protocol):
    """Every node type on this host."""

    @property
    def types(self) -> tuple[str, ...]:
        """All types, sorted."""

    def get(self, node_type: str, params: Mapping[str, Json] = ...) -> NodeFacts | None:
        """Returns a type's facts, in the form that params give it; None when it is unknown."""

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Returns the schema of `params` for every type."""

"""Which other flows of its account a flow names, and which group it holds while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A node that starts a flow of a literal name.

    Attributes:
        path: Of its params in the definition.
        inputs: What it gives, as written.
        literals: The names of those in which no expression stands.
    """

    flow: str
    path: tuple[str | int, ...]
    inputs: Mapping[str, Json] = field(default_factory=dict)
    literals: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowReferences:
    """The names, as written; whether there are such flows is another matter.

    Attributes:
        waits_for: Flows that its nodes start and wait for.
        starts: Flows that its nodes start without waiting.
        follows: Flows whose end starts it.
        group: A literal concurrency group; None where the group is the flow's own, depends on
            data, or holds nobody up.
        calls: The nodes behind `waits_for` and `starts`.
        reads: Which outputs its expressions read of flows that it waits for, as `flow.output`.
    """

    waits_for: frozenset[str] = frozenset()
    starts: frozenset[str] = frozenset()
    follows: frozenset[str] = frozenset()
    group: str | None = None
    calls: tuple[Call, ...] = ()
    reads: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """Every flow that is named."""
        return self.waits_for | self.starts | self.follows


NO_REFERENCES = FlowReferences()
"""Of a flow that stands alone."""

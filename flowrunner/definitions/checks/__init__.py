"""What the schema cannot say: each module yields findings about one aspect of a definition.

All of them expect data that fits the schema and a document that tells positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

from flowrunner.definitions.checks.clock_changes import check_clock_changes, depends_on_date
from flowrunner.definitions.checks.expressions import check_expressions
from flowrunner.definitions.checks.graph import check_graph
from flowrunner.definitions.checks.inputs import check_inputs
from flowrunner.definitions.checks.limits import check_limits
from flowrunner.definitions.checks.lookalikes import check_lookalikes
from flowrunner.definitions.checks.nodes import check_nodes
from flowrunner.definitions.checks.processes import check_processes
from flowrunner.definitions.checks.quantities import check_quantities
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.checks.switches import check_switches
from flowrunner.definitions.checks.triggers import check_triggers
from flowrunner.definitions.checks.unreachable import check_unreachable
from flowrunner.definitions.checks.values import check_values
from flowrunner.model.finding import Finding

__all__ = ["OF_DEFAULTS", "OF_FLOWS", "Check", "Subject", "depends_on_date"]


Check: TypeAlias = Callable[[Subject], Iterator[Finding]]
"""Yields findings about one aspect of a definition that fits the schema."""

OF_FLOWS: tuple[Check, ...] = (
    check_graph,
    check_switches,
    check_nodes,
    check_processes,
    check_quantities,
    check_inputs,
    check_limits,
    check_values,
    check_triggers,
    check_clock_changes,
    check_expressions,
    check_unreachable,
    check_lookalikes,
)
"""All that are made of a flow."""

OF_DEFAULTS: tuple[Check, ...] = (
    check_processes,
    check_quantities,
    check_values,
    partial(check_expressions, names=False),
    check_lookalikes,
)
"""Those of a `_defaults.yaml`, whose findings hold for every flow below it."""

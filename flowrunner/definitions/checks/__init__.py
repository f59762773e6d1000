"""What the schema cannot say: each module yields findings about one aspect of a definition.

All of them expect data that fits the schema and a document that tells positions.
"""

from __future__ import annotations

from collections.abc import Iterator

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

__all__ = ["Subject", "check_defaults", "check_definition", "depends_on_date"]


def check_definition(subject: Subject) -> Iterator[Finding]:
    """Yields every finding about a definition that fits the schema."""
    yield from check_graph(subject)
    yield from check_switches(subject)
    yield from check_nodes(subject)
    yield from check_processes(subject)
    yield from check_quantities(subject)
    yield from check_inputs(subject)
    yield from check_limits(subject)
    yield from check_values(subject)
    yield from check_triggers(subject)
    yield from check_clock_changes(subject)
    yield from check_expressions(subject)
    yield from check_unreachable(subject)
    yield from check_lookalikes(subject)


def check_defaults(subject: Subject) -> Iterator[Finding]:
    """Yields findings about a `_defaults.yaml` that hold for every flow below it."""
    yield from check_processes(subject)
    yield from check_quantities(subject)
    yield from check_values(subject)
    yield from check_expressions(subject, names=False)
    yield from check_lookalikes(subject)

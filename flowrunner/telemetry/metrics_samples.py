"""Turns what is known at the moment of a scrape into named samples, free of any library.

Each function gives one or more families: a name, what it means, its labels and its samples. How
they are written on the wire is left to `flowrunner.telemetry.metrics`. All of it runs in the
thread of the scrape, over values that nobody changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import FlowKey
from flowrunner.telemetry.metrics_flows import FINAL_STATES, FlowFacts, FlowState, FlowTotals

_FLOW = ("account", "flow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The samples of one metric.

    Attributes:
        name: As a scrape shows it, without the `_total` and `_info` that the kind adds.
        meaning: One sentence.
        samples: Label values in the order of `labels`, with the value; read once.
    """

    kind: Literal["counter", "gauge", "info"]
    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    samples: Iterable[tuple[Sequence[str], float]]


def fact_families(facts: Collection[FlowFacts]) -> Iterator[Family]:
    """Yields what the registry knows of its flows."""
    states = dict.fromkeys(FlowState, 0)
    for fact in facts:
        states[fact.state] += 1
    yield Family(
        kind="gauge",
        name="flowrunner_flows",
        meaning="Flows by state.",
        labels=("state",),
        samples=[((state.value,), count) for state, count in states.items()],
    )
    # By key, because a sample given twice makes Prometheus refuse the whole scrape.
    listed = {fact.key: fact for fact in facts if fact.key is not None}
    yield Family(
        kind="gauge",
        name="flowrunner_flow_ready",
        meaning="Whether the flow's condition Ready is true.",
        labels=_FLOW,
        samples=((key, int(fact.is_ready)) for key, fact in listed.items()),
    )
    yield Family(
        kind="gauge",
        name="flowrunner_flow_suspended",
        meaning="Whether the flow is kept from starting, by its file or by a pause.",
        labels=_FLOW,
        samples=((key, int(fact.is_held)) for key, fact in listed.items()),
    )
    yield _moments(
        "flowrunner_flow_next_slot_timestamp_seconds",
        "The nearest slot of the flow's schedules.",
        ((key, fact.next_slot_at) for key, fact in listed.items()),
    )


def total_families(totals: Mapping[FlowKey, FlowTotals]) -> Iterator[Family]:
    """Yields what was counted of these flows."""
    yield Family(
        kind="counter",
        name="flowrunner_executions",
        meaning="Executions that ended.",
        labels=(*_FLOW, "state"),
        samples=(
            ((*key, state.value), flow.ended[state])
            for key, flow in totals.items()
            for state in FINAL_STATES
        ),
    )
    yield Family(
        kind="counter",
        name="flowrunner_slots",
        meaning="Slots of schedules, by what became of them.",
        labels=(*_FLOW, "outcome", "reason"),
        samples=(
            ((*key, outcome.value, reason), count)
            for key, flow in totals.items()
            for (outcome, reason), count in flow.slots.items()
        ),
    )
    yield Family(
        kind="gauge",
        name="flowrunner_flow_consecutive_failures",
        meaning="Executions that failed or timed out since the last success.",
        labels=_FLOW,
        samples=((key, flow.consecutive_failures) for key, flow in totals.items()),
    )
    yield _moments(
        "flowrunner_flow_last_execution_timestamp_seconds",
        "When an execution of the flow last ended.",
        ((key, flow.last_ended_at) for key, flow in totals.items()),
    )
    yield _moments(
        "flowrunner_flow_last_success_timestamp_seconds",
        "When an execution of the flow last succeeded.",
        ((key, flow.last_success_at) for key, flow in totals.items()),
    )


def source_family(revision: str) -> Family:
    """Returns the revision of the flows in force, the only one there is."""
    return Family(
        kind="info",
        name="flowrunner_source",
        meaning="The revision of the flows in force.",
        labels=("revision",),
        samples=[((revision,), 1)],
    )


def watcher_family(*, is_up: bool) -> Family:
    """Returns whether the watcher works."""
    return Family(
        kind="gauge",
        name="flowrunner_watcher_up",
        meaning="Whether changes of files are heard of before the next resync.",
        samples=[((), int(is_up))],
    )


def unheard_family(count: int) -> Family:
    """Returns of how many file triggers nothing tells."""
    return Family(
        kind="gauge",
        name="flowrunner_file_triggers_unwatched",
        meaning="Triggers of type file whose new files are found by looking alone.",
        samples=[((), count)],
    )


def overflows_family(count: int) -> Family:
    """Returns how often events of files were lost."""
    return Family(
        kind="counter",
        name="flowrunner_watch_overflows",
        meaning="Times that the kernel dropped events of files; the source was read instead.",
        samples=[((), count)],
    )


def free_bytes_family(free_bytes: int) -> Family:
    """Returns the free space of the state directory."""
    return Family(
        kind="gauge",
        name="flowrunner_state_disk_free_bytes",
        meaning="Space left for the state directory.",
        samples=[((), free_bytes)],
    )


def store_family(*, is_healthy: bool) -> Family:
    """Returns whether the store keeps what is written."""
    return Family(
        kind="gauge",
        name="flowrunner_store_healthy",
        meaning="Whether the state keeps what is written and has room above storage.min_free.",
        samples=[((), int(is_healthy))],
    )


def _moments(name: str, meaning: str, moments: Iterable[tuple[FlowKey, datetime | None]]) -> Family:
    """Returns a gauge in which a moment that never was has no sample."""
    return Family(
        kind="gauge",
        name=name,
        meaning=meaning,
        labels=_FLOW,
        samples=((key, at.timestamp()) for key, at in moments if at is not None),
    )

"""What is counted of triggers that start nothing, of deliveries, and of promises of `sla`.

Free of any library.
Series come with what they count, and leave with their flow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.model.ids import FlowKey
from flowrunner.model.sla import Breach, SlaKind
from flowrunner.telemetry.metrics_samples import Family


class _Skip(NamedTuple):
    flow: FlowKey
    kind: str
    reason: str


class TriggerMetrics:
    """Counts in the event loop; its families are read at each scrape, in another thread."""

    def __init__(self) -> None:
        self._skips: Counter[_Skip] = Counter()
        self._breaches: Counter[tuple[FlowKey, SlaKind]] = Counter()
        self._deliveries: Counter[DeliveryReason] = Counter()

    def start_skipped(self, flow: FlowKey, kind: str, reason: str) -> None:
        """Counts something that a trigger waited for and that started nothing."""
        self._skips[_Skip(flow, kind, reason)] += 1

    def delivery_answered(self, reason: DeliveryReason) -> None:
        """Counts a delivery, whoever sent it."""
        self._deliveries[reason] += 1

    def promises_made(self, flow: FlowKey, kinds: Collection[SlaKind]) -> None:
        """Begins to count at 0, so that the first breach is a rise."""
        for kind in kinds:
            self._breaches[(flow, kind)] += 0

    def promise_broken(self, breach: Breach) -> None:
        """Counts promises of `sla` that were not kept."""
        self._breaches[(breach.flow, breach.kind)] += breach.count

    def flows_changed(
        self,
        entries: Mapping[FlowKey, object],  # noqa: ARG002 - those that left say it
        removed: frozenset[FlowKey],
    ) -> None:
        """Drops what was counted of flows that have left."""
        for gone in [each for each in self._skips if each.flow in removed] if removed else ():
            del self._skips[gone]
        for key in [each for each in self._breaches if each[0] in removed] if removed else ():
            del self._breaches[key]

    def families(self) -> Iterator[Family]:
        """Yields what was counted."""
        yield Family(
            kind="counter",
            name="flowrunner_starts_skipped",
            meaning="Starts that triggers of type start, flow or file asked for in vain.",
            labels=("account", "flow", "type", "reason"),
            samples=[
                ((*each.flow, each.kind, each.reason), count)
                for each, count in sorted(self._skips.copy().items())
            ],
        )
        yield Family(
            kind="counter",
            name="flowrunner_deliveries",
            meaning="Deliveries of webhooks, by what became of them and why.",
            labels=("outcome", "reason"),
            samples=[
                ((str(reason.outcome), str(reason)), count)
                for reason, count in sorted(self._deliveries.copy().items())
            ],
        )
        yield Family(
            kind="counter",
            name="flowrunner_sla_breaches",
            meaning="Promises of flows that were not kept: sla.",
            labels=("account", "flow", "kind"),
            samples=[
                ((*flow, str(kind)), count)
                for (flow, kind), count in sorted(self._breaches.copy().items())
            ],
        )

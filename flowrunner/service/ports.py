"""What the service asks of its neighbours: the part of each that a command reaches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.model.ids import ExecutionId, FlowKey, Json, Revision
from flowrunner.registry.entry import PassResult


class Reconciles(Protocol):
    """The part of the reconciler that a command reaches."""

    async def request(self, trigger: str) -> PassResult:
        """Runs a pass that begins after this call and returns how it ended."""

    def ask(self, trigger: str) -> None:
        """Asks for a pass that begins after this call."""

    async def allow_prune(self, revision: Revision) -> PassResult:
        """Runs a pass that lets leave what is held of a revision."""

    async def ignore_lock(self) -> None:
        """Takes git's lock that is there now for one that was left behind."""


class StartsByHand(Protocol):
    """The part of the dispatcher that a command reaches."""

    async def start_by_hand(
        self, key: FlowKey, inputs: Mapping[str, Json], *, as_text: bool, force: bool = False
    ) -> ExecutionId:
        """Starts a flow; see `flowrunner.triggers.dispatcher`."""


class StartsAgain(Protocol):
    """The part of the retries that a command reaches; see `flowrunner.triggers.retries`."""

    async def retry(
        self, execution_id: ExecutionId, *, force: bool = False, from_node: str | None = None
    ) -> ExecutionId:
        """Starts an ended execution once more, whole or from a node."""


class PausesFlows(Protocol):
    """The part of the pauses that a command reaches; see `flowrunner.triggers.pauses`."""

    async def pause(
        self, key: FlowKey, *, reason: str, until: datetime | None, uid: int | None
    ) -> None:
        """Pauses a flow."""

    async def resume(self, key: FlowKey) -> None:
        """Ends the pause of a flow."""


class TakesDeliveries(Protocol):
    """The part of the webhooks that HTTP reaches."""

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        """Answers a delivery; see `flowrunner.triggers.webhooks`."""

    def turned_away(
        self, delivery: Delivery, status: int, reason: DeliveryReason, detail: str
    ) -> None:
        """Takes note of a delivery that was refused before it was looked at."""


class KnowsSlots(Protocol):
    """Tells when a schedule is due next."""

    def next_slot(self, key: FlowKey, trigger_id: str) -> datetime | None:
        """Returns the next slot of an armed schedule, or None."""

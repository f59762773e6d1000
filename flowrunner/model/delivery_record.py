"""What is kept of a delivery: who sent what where, the answer, and why. Values only.

Neither headers nor bodies are kept, and nothing of a proof. Deliveries that anybody can send as
often as he likes, and whose copies tell nothing new, are one row with a count (`run_of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import ExecutionId, FlowKey, Revision

MOST_PROVEN = 1_000
"""Deliveries of a flow that are kept by number, of those that proved where they come from."""

MOST_UNPROVEN = 200
"""Rows of the others: so many of each flow, and as many of paths that are no hook."""

LONGEST_PATH, LONGEST_NAME, LONGEST_DETAIL = 200, 100, 300
"""Characters that are kept: of a path, of an event or an id, of what stood in the way."""

NO_HOOK = FlowKey("", "")
"""Whose a delivery is that went to no hook."""

OF_SOURCE = FlowKey("", "_source")
"""Whose a call is that goes to the hook of the source."""


NO_REVISION = Revision("")
"""Of a delivery to no hook."""


class DeliveryOutcome(StrEnum):
    """What became of a delivery, in one of few words."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    REFUSED = "refused"


class DeliveryReason(StrEnum):
    """Why a delivery was answered as it was. These words stay; others may join."""

    ACCEPTED = "accepted"
    SYNC = "sync"
    DUPLICATE = "duplicate"
    IF_FALSE = "if"
    TRIAL = "trial"
    CONCURRENCY = "concurrency"
    NO_HOOK = "no_hook"
    METHOD = "method"
    SECRET_MISSING = "secret_missing"  # noqa: S105 - the name of a reason
    SIGNATURE = "signature"
    TIME = "time"
    OFF_HOST = "off_host"
    SOURCE_RATE = "source_rate"
    TOO_LARGE = "too_large"
    BUSY = "busy"
    INCOMPLETE = "incomplete"
    NOT_READY = "not_ready"
    OTHER_HOST = "other_host"
    SUSPENDED = "suspended"
    PAUSED = "paused"
    OBSERVE = "observe"
    DRAINING = "draining"
    DISK = "disk"
    STORAGE = "storage"
    DEADLOCK = "deadlock"
    RATE = "rate"
    QUEUE_FULL = "queue_full"
    CONTENT_TYPE = "content_type"
    BODY = "body"
    SCHEMA = "schema"
    INPUTS = "inputs"
    EXPRESSION = "expression"

    @property
    def outcome(self) -> DeliveryOutcome:
        """What it comes to."""
        return _OUTCOMES.get(self, DeliveryOutcome.REFUSED)


_OUTCOMES: Mapping[DeliveryReason, DeliveryOutcome] = MappingProxyType(
    {
        DeliveryReason.ACCEPTED: DeliveryOutcome.ACCEPTED,
        DeliveryReason.SYNC: DeliveryOutcome.ACCEPTED,
        DeliveryReason.DUPLICATE: DeliveryOutcome.DUPLICATE,
        DeliveryReason.IF_FALSE: DeliveryOutcome.IGNORED,
        DeliveryReason.TRIAL: DeliveryOutcome.IGNORED,
        DeliveryReason.CONCURRENCY: DeliveryOutcome.IGNORED,
    }
)

_ALONE = frozenset(
    {
        DeliveryReason.ACCEPTED,
        DeliveryReason.IF_FALSE,
        DeliveryReason.TRIAL,
        DeliveryReason.CONCURRENCY,
        DeliveryReason.TOO_LARGE,
        DeliveryReason.CONTENT_TYPE,
        DeliveryReason.BODY,
        DeliveryReason.SCHEMA,
        DeliveryReason.INPUTS,
        DeliveryReason.EXPRESSION,
    }
)
"""Reasons that have a row for each delivery that proved where it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A delivery, or several alike of one hour.

    Attributes:
        id: A UUIDv7: of several alike that of the first.
        at: When it came; of several alike the last one, as all that follows.
        first_at: When the first of several came.
        repeats: How many there were, at least 1.
        path: Below `/hooks/`.
        source: The address of the sender; empty for one that is not known.
        network: Those who are taken for the same sender: of IPv6 its /64. Not kept.
        flow: Whose hook it is; `NO_HOOK` for none.
        trigger: The trigger's id; empty for none.
        event: What the provider calls the kind of what happened; empty where it says none.
        delivery_id: The provider's id of the delivery; empty where it has none.
        is_proven: Whether it proved where it comes from.
        status: The HTTP status of the answer.
        detail: What stood in the way, in words, without data of the delivery but for what the
            answer says too.
        execution: The one that it started, or that an earlier copy of it has started.
        revision: Of the definition that was in force.
        request_id: By which the daemon's log has it.
        run: Those with the same text are one row; empty: it has a row of its own.
    """

    id: str
    at: datetime
    first_at: datetime
    repeats: int = 1
    path: str
    source: str = ""
    network: str = ""
    flow: FlowKey = NO_HOOK
    trigger: str = ""
    event: str = ""
    delivery_id: str = ""
    is_proven: bool = False
    status: int
    reason: DeliveryReason
    detail: str = ""
    execution: ExecutionId | None = None
    revision: Revision = NO_REVISION
    request_id: str = ""
    run: str = ""

    def answered(
        self,
        status: int,
        reason: DeliveryReason,
        *,
        detail: str = "",
        execution: ExecutionId | None = None,
    ) -> DeliveryRecord:
        """Returns it with its answer, and with its run where it has one."""
        told = replace(
            self,
            status=status,
            reason=reason,
            detail=storable(detail, LONGEST_DETAIL),
            execution=execution,
        )
        return replace(told, run=run_of(told))

    def joined(self, later: DeliveryRecord) -> DeliveryRecord:
        """Returns the row that this one and a later one of the same run come to."""
        return replace(
            later,
            id=self.id,
            at=max(self.at, later.at),
            first_at=min(self.first_at, later.first_at),
            repeats=self.repeats + later.repeats,
        )


class DeliveryPlace(NamedTuple):
    """A place in a list of deliveries, which goes from the newest back; also its cursor."""

    at: datetime
    id: str


def storable(text: str, most: int) -> str:
    """Returns a text of a stranger as it may be kept: cut, and without half characters.

    JSON can write half of a surrogate pair, which no encoding can. Source: RFC 8259, section 8.2.
    """
    cut = text[:most]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()


def run_of(record: DeliveryRecord) -> str:
    """Returns what those share that are one row: an hour, the sender's neighbourhood, the answer.

    Empty for what has a row of its own. Of IPv4 the neighbourhood is a /24.
    """
    if record.is_proven and record.reason in _ALONE:
        return ""
    return _run(record)


def as_duplicate(record: DeliveryRecord, known: ExecutionId) -> DeliveryRecord:
    """Returns the record of a delivery that another one turned out to be a copy of."""
    return record.answered(200, DeliveryReason.DUPLICATE, execution=known)


def crowd_of(record: DeliveryRecord) -> DeliveryRecord:
    """Returns what stands for a delivery when too many others come at once.

    They share a row, whoever sent them; of those to no hook also whatever their path.
    """
    crowd = replace(
        record,
        path="" if record.flow == NO_HOOK else record.path,
        network="",
        source="",
        event="",
        delivery_id="",
        request_id="",
        execution=None,
    )
    return replace(crowd, run=_run(crowd))


def _run(record: DeliveryRecord) -> str:
    parts = (
        f"{record.at:%Y%m%d%H}",
        *record.flow,
        record.trigger,
        str(int(record.is_proven)),
        str(record.status),
        record.reason.value,
        record.execution or "",
        _neighbourhood(record.network),
        record.path,
    )
    return "|".join(parts)


def _neighbourhood(network: str) -> str:
    is_ipv4 = network.count(".") == 3  # noqa: PLR2004 - its four numbers
    return network.rpartition(".")[0] if is_ipv4 else network

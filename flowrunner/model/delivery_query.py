"""Which deliveries are asked for."""

from __future__ import annotations

from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.model.delivery_record import DeliveryPlace, DeliveryReason


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuery:
    """A page of deliveries, newest first (by `at`, then by id).

    Attributes:
        accounts: Only hooks of these accounts; None: all deliveries, also those to no hook.
        only_hooks: None of those that went to no hook of a flow.
        path: Only those to this path.
        reasons: Only with one of these; empty: any.
        since: Only those at this moment or later.
        until: Only those before this moment.
        before: Only those behind this place: the cursor of the next page.
        limit: At most this many, 1 to 1,001.
    """

    accounts: frozenset[str] | None = None
    only_hooks: bool = False
    flow: str | None = None
    trigger: str | None = None
    path: str | None = None
    reasons: tuple[DeliveryReason, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    before: DeliveryPlace | None = None
    limit: int = 100

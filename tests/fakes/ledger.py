"""A slot ledger that shows what a test puts in and notes what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flowrunner.errors import NotFoundError
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.ids import Digest, FlowKey, Revision
from flowrunner.model.states import SlotOutcome
from flowrunner.service.delivery_desk import DeliveryPage
from flowrunner.service.slot_views import DueView, SlotPage, SlotPlace, SlotView, WhyView
from tests.fakes.records import BACKUP, NOON, minutes

SLOT = SlotView(
    place=SlotPlace(NOON, "nightly", "f1"),
    outcome=SlotOutcome.SKIPPED,
    reason="if",
    decided_at=minutes(1),
    digest=Digest("sha256:00"),
    revision=Revision("4b825dc"),
    evidence={"if": "only for some eyes"},
    first_at=NOON,
)
DUE = DueView(flow=BACKUP, trigger="nightly", slot_at=minutes(5))


@dataclass
class FakeLedger:
    """Meets `ReadsSlots`."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    pages: list[SlotPage] = field(default_factory=lambda: [SlotPage(items=(SLOT,))])
    due: list[DueView] = field(default_factory=lambda: [DUE])

    async def slots(
        self,
        key: FlowKey,
        *,
        after: datetime,
        until: datetime,
        place: SlotPlace | None = None,
        limit: int = 100,
    ) -> SlotPage:
        asked = {"key": key, "after": after, "until": until, "place": place, "limit": limit}
        self.asked.append(asked)
        if key != BACKUP:
            raise NotFoundError(f"there is no flow {key}")
        return self.pages.pop(0)

    async def schedule(
        self,
        *,
        sees: Callable[[str], bool],
        account: str | None,
        flow: str | None,
        after: DueView | None,
        limit: int,
    ) -> list[DueView]:
        self.asked.append({"account": account, "flow": flow, "after": after, "limit": limit})
        return [each for each in self.due if sees(each.flow.account)][:limit]

    async def why(self, key: FlowKey, at: datetime | None) -> WhyView:
        self.asked.append({"key": key, "at": at})
        return WhyView(
            flow=key, at=at or NOON, sentence="so it was.", slots=(SLOT,), last=SLOT, next=DUE
        )


@dataclass
class FakeDeliveries:
    """Meets `ReadsDeliveries`."""

    asked: list[DeliveryQuery] = field(default_factory=list)
    pages: list[DeliveryPage] = field(default_factory=list)

    async def page(self, query: DeliveryQuery) -> DeliveryPage:
        self.asked.append(query)
        return self.pages.pop(0) if self.pages else DeliveryPage(items=())


@dataclass
class FakeBackfills:
    """Meets `CarriesBackfills`."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    async def begin(
        self,
        key: FlowKey,
        *,
        trigger: str | None,
        first: datetime,
        until: datetime,
        parallel: int = 1,
        force: bool = False,
    ) -> tuple[str, int]:
        asked = {"key": key, "trigger": trigger, "first": first, "until": until}
        self.asked.append({**asked, "parallel": parallel, "force": force})
        return "b1", 7

    async def cancel(self, key: FlowKey) -> int:
        self.asked.append({"cancel": key})
        return 2


@dataclass
class FakePauses:
    """Meets `PausesSchedules`."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def pause_schedules(
        self, *, reason: str, until: datetime | None, uid: int | None
    ) -> None:
        self.asked.append((reason, until, uid))

    async def resume_schedules(self) -> None:
        self.asked.append(())

"""Why a flow did, or did not, start at a moment: one sentence, with the evidence.

It only reads: the ledger for what was decided, the records of deliveries for what came, the
schedules in force for what is to come, the registry for what holds the flow.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

from flowrunner.errors import RefusedError
from flowrunner.model.flow import FlowSpec, ScheduleTrigger
from flowrunner.model.ids import FlowKey
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.delivery_desk import DeliveryDesk
from flowrunner.service.slot_ledger import SlotReader
from flowrunner.service.slot_sentences import moment_text, sentence_of
from flowrunner.service.slot_views import DueView, SlotView, WhyView
from flowrunner.system.clock import Clock

_MOMENT = timedelta(microseconds=1)


class JudgesStarts(Protocol):
    """The part of the dispatcher that says whether a flow may start."""

    def startable(self, entry: FlowEntry, *, is_forced: bool = False) -> FlowSpec:
        """Returns the version that would start; raises `RefusedError` with the reason."""


class Why:
    """Answers for one flow and one moment."""

    def __init__(
        self,
        registry: FlowRegistry,
        reader: SlotReader,
        deliveries: DeliveryDesk,
        starts: JudgesStarts,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._deliveries = deliveries
        self._reader = reader
        self._starts = starts
        self._clock = clock

    async def ask(self, key: FlowKey, at: datetime | None) -> WhyView:
        """Returns the answer.

        Args:
            key: The flow.
            at: The moment; None: the newest slot, and the last delivery to each hook.

        Raises:
            NotFoundError: There is no such flow.
            StorageError: The ledger cannot be read.
        """
        entry, now = self._registry.require(key), self._clock.now()
        hooks = entry.spec.webhooks if entry.spec else ()
        came, told = await self._deliveries.told(key, hooks, at)
        if at is None:
            last = await self._reader.newest(key, now)
            at = now if last is None else last.place.slot_at
        page = await self._reader.page(key, after=at - _MOMENT, until=at)
        last = await self._reader.newest(key, at - _MOMENT)
        due = tuple(_due_at(entry.spec, at))
        following = _next_after(entry, at)
        parts = [
            *(f"{moment_text(at)} of {key}: {sentence_of(view)}" for view in page.items),
            *(self._undecided(entry, trigger, at, now) for trigger in _left(due, page.items)),
        ]
        has_slots = last is not None or not hooks or bool(entry.spec and entry.spec.schedules)
        if not parts and has_slots:
            parts.append(f"{moment_text(at)} is no slot of {key}")
            if last is not None:
                before = moment_text(last.place.slot_at)
                parts.append(f"the last one before it, {before}, {sentence_of(last)}")
        parts.extend(told)
        parts.extend(self._outlook(entry, following, now))
        return WhyView(
            flow=key,
            at=at,
            sentence="; ".join(parts) + ".",
            deliveries=came,
            slots=page.items,
            last=last,
            next=following,
        )

    def _undecided(
        self, entry: FlowEntry, trigger: ScheduleTrigger, at: datetime, now: datetime
    ) -> str:
        """Says what is known of a slot of which nothing is recorded."""
        name = f"{moment_text(at)} of {entry.key} ({trigger.id})"
        if at > now:
            return f"{name} is still to come"
        return (
            f"{name} has no record: this schedule came into force later, it waits to be caught up,"
            " or its record is no longer kept"
        )

    def _outlook(self, entry: FlowEntry, following: DueView | None, now: datetime) -> Iterator[str]:
        if entry.spec is None:
            yield "the flow has no valid definition yet, so nothing starts"
            return
        if not entry.spec.schedules and not entry.spec.webhooks:
            yield "it has no schedule"
            return
        refusal = "a delivery would start nothing now"
        if entry.spec.schedules:
            refusal = "but now it would not start"
            yield _following_text(following, now)
        try:
            self._starts.startable(entry)
        except RefusedError as error:
            yield f"{refusal} ({error.code}): {error.message}"


def _following_text(following: DueView | None, now: datetime) -> str:
    if following is None:
        return "no slot comes after it"
    word = "the next slot" if following.slot_at > now else "the slot after it"
    return f"{word} is {moment_text(following.slot_at)} ({following.trigger})"


def _due_at(spec: FlowSpec | None, at: datetime) -> Iterator[ScheduleTrigger]:
    """Yields the schedules in force that are due at a moment."""
    for trigger in spec.schedules if spec else ():
        if trigger.schedule.next_after(at - _MOMENT) == at:
            yield trigger


def _left(
    due: tuple[ScheduleTrigger, ...], known: tuple[SlotView, ...]
) -> Iterator[ScheduleTrigger]:
    """Yields the schedules of whose slot nothing is recorded."""
    recorded = {view.place[1:] for view in known}
    for trigger in due:
        if (trigger.id, trigger.schedule.fingerprint) not in recorded:
            yield trigger


def _next_after(entry: FlowEntry, at: datetime) -> DueView | None:
    found = [
        DueView(flow=entry.key, trigger=trigger.id, slot_at=slot)
        for trigger in (entry.spec.schedules if entry.spec else ())
        if (slot := trigger.schedule.next_after(at)) is not None
    ]
    return min(found, key=lambda due: due.slot_at, default=None)

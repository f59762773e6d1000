"""The history of flows: what passes, pauses and broken promises left, told once and kept.

Events are the difference between what was told of a flow and what is in force now, and both are
kept in one write. So a crash loses none for good: the next life finds the difference again. Before
a life has read the source it knows too little to tell anything but what is held.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError
from flowrunner.model.conditions import Condition, ConditionType, Status
from flowrunner.model.flow_events import (
    DEFINITION,
    SLA,
    DefinitionEvent,
    FlowEvent,
    FlowState,
    SlaEvent,
)
from flowrunner.model.ids import Digest, FlowKey, Revision
from flowrunner.model.mark import MarkChange, MarkKey
from flowrunner.model.sla import Breach, SlaKind
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry, PruneHold
from flowrunner.storage.event_store import EventStore
from flowrunner.system.clock import Clock

_LOG = logging.getLogger(__name__)
_MOST_WAITING = 20_000
"""Events that wait for a store that does not take them; then the oldest are given up."""

_Flows = Mapping[FlowKey, FlowEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSeen:
    """What a pass ended with.

    Attributes:
        revision: What the source was.
        hold: What waits for an approval.
        is_read: Whether the source was read; if not, only what is held is new.
    """

    revision: Revision
    hold: PruneHold | None = None
    is_read: bool = True


class KeepsHistory(Protocol):
    """Told what is in force after each pass, and of pauses in between."""

    async def load(self) -> None:
        """Reads what earlier lives have told; called before any flow is in force.

        Raises:
            StorageError: It cannot be read.
        """

    def recorded(self, key: FlowKey) -> tuple[Condition, ...]:
        """Returns the conditions of a flow as they were told last; empty if they never were."""

    async def passed(self, entries: _Flows, seen: PassSeen) -> None:
        """Learns what is in force after a pass; never fails."""

    def renewed(self, entry: FlowEntry, revision: Revision) -> None:
        """Learns of new conditions of one flow between two passes."""

    def promise_broken(self, breach: Breach) -> None:
        """Learns of a promise that was not kept."""

    async def settle(self) -> None:
        """Waits for what is being written; at stop."""


class TellsTransitions(Protocol):
    """Decides who is told that a flow is ready, or not any more."""

    def left_by_event(self, event: FlowEvent) -> Mapping[MarkKey, str]:
        """Returns the marks to be written with an event; called once for each."""

    def event_told(self, marks: Mapping[MarkKey, str]) -> None:
        """Learns that they are on disk."""


class NoHistory:
    """Keeps nothing."""

    async def load(self) -> None:
        """Has nothing to read."""

    def recorded(self, key: FlowKey) -> tuple[Condition, ...]:  # noqa: ARG002 - of none
        """Knows nothing."""
        return ()

    async def passed(self, entries: _Flows, seen: PassSeen) -> None:
        """Does nothing."""

    def renewed(self, entry: FlowEntry, revision: Revision) -> None:
        """Does nothing."""

    def promise_broken(self, breach: Breach) -> None:
        """Does nothing."""

    async def settle(self) -> None:
        """Has nothing to wait for."""


NO_HISTORY: KeepsHistory = NoHistory()


class FlowHistory:
    """Meets `KeepsHistory` over a store; one writes at a time, in order."""

    def __init__(
        self, store: EventStore, clock: Clock, teller: TellsTransitions | None = None
    ) -> None:
        self._store = store
        self._teller = teller
        self._marks: dict[MarkKey, str] = {}
        self._clock = clock
        self._told: dict[FlowKey, FlowState] = {}
        self._held: set[FlowKey] = set()
        self._seen: _Flows | None = None
        """What was in force at the last look; None: the source was not read yet in this life."""
        self._revision = Revision("")
        self._broken: deque[tuple[Breach, datetime]] = deque(maxlen=_MOST_WAITING)
        """Promises that were found broken before the first look, and when."""
        self._events: list[FlowEvent] = []
        self._states: dict[FlowKey, None] = {}
        """Those that are new, in the order in which they were told."""
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Reads what earlier lives have told."""
        self._told = await self._store.states()
        self._held = {key for key, state in self._told.items() if state.is_held}

    def recorded(self, key: FlowKey) -> tuple[Condition, ...]:
        """Returns the conditions of a flow as they were told last."""
        state = self._told.get(key)
        return () if state is None or state.is_gone else state.conditions

    async def passed(self, entries: _Flows, seen: PassSeen) -> None:
        """Tells what a pass has changed, in one write."""
        if seen.is_read or self._seen is not None:
            self._look(entries, seen.revision)
        self._look_at_hold(entries, seen)
        await self._flush()

    def renewed(self, entry: FlowEntry, revision: Revision) -> None:
        """Tells what a pause has changed; it is written soon."""
        if self._seen is None:
            return  # the first look at the source finds it
        self._tell(entry.key, entry, revision)
        self._flush_soon()

    def promise_broken(self, breach: Breach) -> None:
        """Tells a promise that was not kept; it is written soon."""
        self._broken.append((breach, self._clock.now()))
        if self._seen is not None:
            self._tell_broken(self._seen)
            self._flush_soon()

    async def settle(self) -> None:
        """Waits for what is being written, and tries once more what could not be; at stop."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._flush()

    def _look(self, entries: _Flows, revision: Revision) -> None:
        if self._seen is None:
            keys = {key for key, entry in entries.items() if not self._is_told(key, entry)}
            keys |= self._told.keys() - entries.keys()
        elif self._seen is entries:
            return
        else:
            keys = {*changed_keys(self._seen, entries)}
        self._seen, self._revision = entries, revision
        for key in sorted(keys):
            self._tell(key, entries.get(key), revision)
        self._tell_broken(entries)

    def _tell_broken(self, entries: _Flows) -> None:
        """Adds the promises that were broken, after what the flows are that made them."""
        while self._broken:
            breach, at = self._broken.popleft()
            entry = entries.get(breach.flow)
            generation = 0 if entry is None else entry.generation
            state = self._told.get(breach.flow) or _GONE
            telling = _Telling(breach.flow, at, self._revision, generation, state.number)
            self._keep(state, [telling.of_promise(breach)])

    def _look_at_hold(self, entries: _Flows, seen: PassSeen) -> None:
        held = frozenset(seen.hold.flows) if seen.hold else frozenset()
        if not seen.is_read and not held:
            return  # nothing is known of what was held
        for key in sorted((held ^ self._held) & entries.keys()):
            reason, text = DefinitionEvent.RETURNED, entries[key].path
            if key in held and seen.hold:
                reason, text = DefinitionEvent.HELD, seen.hold.message
            state = self._told.get(key) or _UNKNOWN
            telling = self._telling(key, seen.revision, entries[key].generation)
            self._keep(replace(state, is_held=key in held), [telling.of_version(reason, text)])

    def _tell(self, key: FlowKey, entry: FlowEntry | None, revision: Revision) -> None:
        """Adds what is new of one flow."""
        old = self._told.get(key)
        if entry is None:
            if old is not None and not old.is_gone:
                telling = self._telling(key, revision, 0)
                self._keep(_GONE, [telling.of_version(DefinitionEvent.DELETED, "")])
            return
        telling = self._telling(key, revision, entry.generation)
        if events := list(_news(old, entry, telling)):
            state = FlowState(
                number=telling.number,
                conditions=entry.conditions,
                digest=entry.digest,
                rejected=_rejected(entry),
                is_held=old is not None and old.is_held,
            )
            self._keep(state, events)

    def _is_told(self, key: FlowKey, entry: FlowEntry) -> bool:
        """Tells at a glance that there is no news, as of most at a restart; else `_news` judges."""
        old = self._told.get(key)
        if old is None or old.conditions is not entry.conditions:
            return False
        is_same = old.digest == entry.digest and not old.is_gone
        return is_same and old.rejected == _rejected(entry)

    def _telling(self, key: FlowKey, revision: Revision, generation: int) -> _Telling:
        told = self._told.get(key) or _UNKNOWN
        return _Telling(key, self._clock.now(), revision, generation, told.number)

    def _keep(self, state: FlowState, events: list[FlowEvent]) -> None:
        """Takes note of the events of a flow, and of what they come to."""
        key, number = events[0].flow, events[-1].number
        self._told[key] = state if state.number == number else replace(state, number=number)
        (self._held.add if state.is_held else self._held.discard)(key)
        self._events += events
        self._states[key] = None
        if self._teller is not None:
            for event in events:
                self._marks.update(self._teller.left_by_event(event))

    def _flush_soon(self) -> None:
        task = asyncio.create_task(self._flush(), name="flow history")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flush(self) -> None:
        """Writes what was told, all or none; what cannot be written waits for the next time."""
        async with self._turn:
            events, self._events = self._events[-_MOST_WAITING:], []
            keys, self._states = self._states, {}
            if not keys:
                return
            marks, self._marks = self._marks, {}
            states = {key: self._told[key] for key in keys}
            try:
                await self._store.record(events, states, marks=MarkChange(put=marks))
            except StorageError as error:
                _LOG.error("history.not_recorded code=%s: %s", error.code, error.message)
                self._events[:0] = events
                self._states = {**keys, **self._states}
                self._marks = {**marks, **self._marks}
                return
            if self._teller is not None:
                self._teller.event_told(marks)


_UNKNOWN, _GONE = FlowState(number=0), FlowState(number=0, is_gone=True)


@dataclass(slots=True)
class _Telling:
    """What the events of one flow and one look have in common; counts them.

    Attributes:
        number: Of the newest event.
    """

    flow: FlowKey
    at: datetime
    revision: Revision
    generation: int
    number: int

    def of_version(self, reason: DefinitionEvent, message: str) -> FlowEvent:
        """Returns the next event: one about a version."""
        return self._next(DEFINITION, reason, message)

    def of_promise(self, breach: Breach) -> FlowEvent:
        """Returns the next event: one about a promise that was not kept."""
        return self._next(SLA, SlaEvent[breach.kind.name], _words_of(breach))

    def _next(self, kind: str, reason: str, message: str) -> FlowEvent:
        self.number += 1
        return FlowEvent(
            flow=self.flow,
            number=self.number,
            at=self.at,
            type=kind,
            reason=reason,
            message=message,
            revision=self.revision,
            generation=self.generation,
        )

    def of_condition(self, condition: Condition) -> FlowEvent:
        """Returns the next event: a condition that changed."""
        self.number += 1
        return FlowEvent(
            flow=self.flow,
            number=self.number,
            at=condition.last_transition_at,
            type=condition.type,
            status=condition.status,
            reason=condition.reason,
            message=condition.message,
            revision=self.revision,
            generation=self.generation,
        )


def _words_of(breach: Breach) -> str:
    """Returns what was promised, and which execution or since when it is broken."""
    promise = f"{breach.kind} is {breach.limit_s:g} s"
    if breach.execution is not None:
        return f"{promise}; execution {breach.execution}"
    if breach.kind is SlaKind.START_WITHIN:
        slots = "a slot was" if breach.count == 1 else f"{breach.count} slots were"
        return f"{promise}; {slots} missed"
    return f"{promise}; no success since {breach.since.isoformat(timespec='seconds')}"


def _news(old: FlowState | None, entry: FlowEntry, telling: _Telling) -> Iterator[FlowEvent]:
    """Yields what was not told of a flow yet: its version first, then its conditions."""
    known = None if old is None or old.is_gone else old
    if entry.spec is not None and entry.digest != (known.digest if known else Digest("")):
        first = DefinitionEvent.CREATED if old is None else DefinitionEvent.RETURNED
        yield telling.of_version(DefinitionEvent.APPLIED if known else first, entry.path)
    rejected = _rejected(entry)
    if rejected and rejected != (known.rejected if known else ""):
        valid = entry.condition(ConditionType.VALID)
        yield telling.of_version(DefinitionEvent.REJECTED, valid.message if valid else "")
    before = {condition.type: condition.status for condition in known.conditions} if known else {}
    for condition in entry.conditions:
        status = before.get(condition.type, _usual(condition))
        if condition.status is not status:
            yield telling.of_condition(condition)


def _usual(condition: Condition) -> Status:
    """Returns the status that nobody is told of when a flow is seen for the first time."""
    return Status.TRUE if condition.type is ConditionType.READY else condition.status


def _rejected(entry: FlowEntry) -> str:
    """Returns the content that is kept out; empty when what the file says is in force."""
    return entry.content if entry.generation > entry.observed_generation else ""

"""One start for one thing that happened: a start of the daemon, an end of a flow, a file.

What happened is remembered by a key that no second execution can have, and by marks that change in
the transaction that accepts the execution. What does not start is told, with its reason; what could
not be decided now, since the disk is full or the daemon stops, is left to whoever asked.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.errors import ExecutionError, RefusedError, ValidationError
from flowrunner.model.event_triggers import EventTrigger
from flowrunner.model.execution import Cause
from flowrunner.model.flow import trigger_type
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import NO_MARKS, MarkChange
from flowrunner.model.states import Reason
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.mark_store import MarkStore
from flowrunner.system.clock import Clock
from flowrunner.triggers.dispatcher import (
    Dispatcher,
    Start,
    trigger_inputs,
    trigger_scope,
    wants_start,
)

_LOG = logging.getLogger(__name__)

LATER = frozenset({Reason.DISK, Reason.DRAINING})
"""Refusals that say nothing about the flow: whoever is refused so asks again."""


class StartObserver(Protocol):
    """Told of what did not start a flow."""

    def start_skipped(self, flow: FlowKey, kind: str, trigger: str, reason: str) -> None:
        """Learns that a trigger of a type, by its id, started nothing, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Something that a trigger waited for.

    Attributes:
        start_key: At most one execution ever has it.
        marks: What changes with the acceptance of the execution, or since there is one already.
    """

    flow: FlowKey
    trigger: EventTrigger
    cause: Cause
    start_key: str
    marks: MarkChange = NO_MARKS


class Occasions:
    """Starts flows for what happened."""

    def __init__(
        self,
        registry: FlowRegistry,
        dispatcher: Dispatcher,
        marks: MarkStore,
        clock: Clock,
        observer: StartObserver,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._marks = marks
        self._clock = clock
        self._observer = observer

    async def start(self, occasion: Occasion, later: Collection[str] = LATER) -> str:
        """Starts the flow and returns an empty text, or why it does not start.

        What did not start is told; its marks have not changed.

        Args:
            occasion: What happened.
            later: Refusals that decide nothing; by default ``disk`` and ``draining``.

        Raises:
            RefusedError: One of these.
            StorageError: Nothing was accepted.
        """
        reason = ""
        try:
            reason = await self._submit(occasion)
        except RefusedError as error:
            if error.code in later:
                raise
            reason = error.code
        except (ExecutionError, ValidationError) as error:
            reason = error.code
            _LOG.warning("triggers.start_failed flow=%s: %s", occasion.flow, error.message)
        if reason:
            self.skip(occasion, reason)
        return reason

    def skip(self, occasion: Occasion, reason: str) -> None:
        """Tells that something starts nothing."""
        trigger = occasion.trigger
        self._observer.start_skipped(occasion.flow, trigger_type(trigger), trigger.id, str(reason))

    async def _submit(self, occasion: Occasion) -> str:
        entry, trigger, cause = self._registry.get(occasion.flow), occasion.trigger, occasion.cause
        if entry is None or entry.spec is None:
            return str(Reason.DELETED)
        spec, moment = self._dispatcher.judged(entry), self._clock.now()
        scope = trigger_scope(spec, cause, moment)
        if not wants_start(trigger, scope):
            return str(Reason.IF_FALSE)
        start = Start(
            cause=cause,
            inputs=trigger_inputs(spec, trigger, scope),
            start_key=occasion.start_key,
            judged_at=moment,
            marks=occasion.marks,
        )
        if not (await self._dispatcher.submit(entry, start)).created:
            await self._marks.change(occasion.marks)
        return ""

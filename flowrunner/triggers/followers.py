"""Triggers of type `flow`: a flow starts when an execution of another one has ended.

Whom an end starts is written with the end itself, one mark for each, and a mark goes in the
transaction that accepts the follower. So a crash between the two loses none and doubles none, and
a start looks at what is open alone, never at the history. An execution that nobody follows leaves
nothing.

Files cannot close a circle of flows, see `flowrunner.reconcile.flow_cycles`. Names that a node
works out can: a chain of starts longer than that of children ends there.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import TypeAlias

from flowrunner.engine.children import MOST_DEPTH
from flowrunner.errors import RefusedError, StorageError
from flowrunner.model.event_triggers import FlowTrigger
from flowrunner.model.execution import CALLING_FLOW, CHAIN_DEPTH, COMPLETED, Cause, Execution
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.mark import MarkChange, MarkKey, MarkKind
from flowrunner.model.states import ExecutionState, Reason
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.mark_store import MarkStore
from flowrunner.triggers.mark_work import AGAIN_S, MarkWork
from flowrunner.triggers.occasions import Occasion, Occasions

_LOG = logging.getLogger(__name__)

_Triggers: TypeAlias = dict[FlowKey, tuple[FlowTrigger, ...]]
"""Those that follow one flow, by the flow that they start."""


class Followers:
    """Starts the followers of executions that end."""

    def __init__(self, *, registry: FlowRegistry, occasions: Occasions, marks: MarkStore) -> None:
        self._registry = registry
        self._occasions = occasions
        self._marks = marks
        self._entries: Mapping[FlowKey, FlowEntry] = {}
        self._by_flow: dict[FlowKey, _Triggers] = {}
        self._left: dict[ExecutionId, Mapping[MarkKey, str]] = {}
        self._work = MarkWork(marks, MarkKind.COMPLETION, self._decide)

    def flows_changed(
        self,
        entries: Mapping[FlowKey, FlowEntry],
        removed: frozenset[FlowKey],  # noqa: ARG002 - the whole new set says it too
    ) -> None:
        """Learns who follows whom."""
        for key in sorted(changed_keys(self._entries, entries)):
            for followed in _followed(self._entries.get(key)):
                known = self._by_flow.get(followed, {})
                known.pop(key, None)
                if not known:
                    self._by_flow.pop(followed, None)
            entry = entries.get(key)
            for followed, triggers in _followed(entry).items():
                if entry is not None and not self._registry.lacking_labels(entry.spec):
                    self._by_flow.setdefault(followed, {})[key] = triggers
        self._entries = entries

    def left_by(self, execution: Execution) -> Mapping[MarkKey, str]:
        """Returns the marks that the end of an execution leaves, to be written with it."""
        followers = self._by_flow.get(execution.flow)
        if followers is None:
            return {}
        value = json.dumps(
            {
                "flow": execution.flow.name,
                "state": str(execution.state),
                "depth": execution.depth + 1,
            }
        )
        left = {
            MarkKey(MarkKind.COMPLETION, key, trigger.id, execution.id): value
            for key, triggers in followers.items()
            for trigger in triggers
            if execution.state in trigger.states
        }
        if left:
            self._left[execution.id] = left
        return left

    def note_ended(self, execution: Execution) -> None:
        """Starts the followers of an execution whose end is on disk."""
        for key, value in self._left.pop(execution.id, {}).items():
            self._work.begin(key, value)

    async def run(self) -> None:
        """Starts followers until it is cancelled, first those that an earlier life left open.

        Called once the flows are in force; what ends before is open by then.
        """
        await self._work.run()

    async def _decide(self, key: MarkKey, value: str) -> None:
        """Starts one follower, or does away with its mark; a stop leaves it to the next start."""
        while True:
            try:
                return await self._try(key, value)
            except RefusedError as error:
                if error.code == Reason.DRAINING:
                    return None
                code = error.code
            except StorageError as error:
                code = error.code
            _LOG.warning("followers.later flow=%s code=%s", key.flow, code)
            await asyncio.sleep(AGAIN_S)

    async def _try(self, key: MarkKey, value: str) -> None:
        done = MarkChange(drop=frozenset({key}))
        occasion = self._occasion(key, json.loads(value), done)
        if occasion is None or await self._occasions.start(occasion):
            await self._marks.change(done)

    def _occasion(
        self, key: MarkKey, ended: Mapping[str, str | int], done: MarkChange
    ) -> Occasion | None:
        """Returns what is to be started; None where nobody waits for it any more."""
        depth, followed = int(ended["depth"]), FlowKey(key.flow.account, str(ended["flow"]))
        entry = self._registry.get(key.flow)
        triggers = _followed(entry).get(followed, ())
        trigger = next((each for each in triggers if each.id == key.trigger), None)
        if trigger is None or ExecutionState(str(ended["state"])) not in trigger.states:
            _LOG.info("followers.gone flow=%s trigger=%s", key.flow, key.trigger)
            return None
        context = {CALLING_FLOW: followed.name, COMPLETED: key.name, CHAIN_DEPTH: depth}
        occasion = Occasion(
            flow=key.flow,
            trigger=trigger,
            cause=Cause(trigger_id=trigger.id, trigger_type="flow", context=context),
            start_key=f"completion:{key.name}:{key.flow}:{trigger.id}",
            marks=done,
        )
        if depth > MOST_DEPTH:
            self._occasions.skip(occasion, "flow_depth")
            return None
        return occasion


def _followed(entry: FlowEntry | None) -> _Triggers:
    """Returns the triggers of a flow by the flow that each follows."""
    found: _Triggers = {}
    if entry is None or entry.spec is None:
        return found
    for trigger in entry.spec.followed:
        followed = FlowKey(entry.key.account, trigger.flow)
        found[followed] = (*found.get(followed, ()), trigger)
    return found

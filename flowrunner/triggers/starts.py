"""Triggers of type `start`: once after a boot of the host, or once in each life of the daemon.

All is decided in one round when the daemon has put its flows in force; a flow that comes later
waits for the next round, as with cron's `@reboot`. That the round of a boot is done is kept, so
that another start of the daemon since the same boot has none. A daemon that dies in its round goes
through it again, and what has started by then is known by its key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from flowrunner.errors import RefusedError, StorageError
from flowrunner.model.event_triggers import OncePer, StartTrigger
from flowrunner.model.execution import Cause
from flowrunner.model.ids import FlowKey
from flowrunner.model.mark import NO_FLOW, MarkChange, MarkKey, MarkKind
from flowrunner.registry.registry import FlowRegistry
from flowrunner.storage.mark_store import MarkStore
from flowrunner.triggers.occasions import Occasion, Occasions

_LOG = logging.getLogger(__name__)

_ROUND = MarkKey(MarkKind.START, NO_FLOW, "", "boot")
"""Holds the boot whose round is done."""

AGAIN_S = 10.0
"""Between two tries while the disk takes nothing."""

_AT_ONCE = 100
"""Starts that are asked for together; a commit takes as long for many as for one."""


class Starts:
    """Starts what is to be started when the daemon does.

    Args:
        registry: The flows in force.
        occasions: Starts them.
        marks: Where the round of a boot is kept.
        boot: Returns what tells this boot of the host from others; blocks, raises `OSError`.
        life: Tells this life of the daemon from others.
    """

    def __init__(
        self,
        *,
        registry: FlowRegistry,
        occasions: Occasions,
        marks: MarkStore,
        boot: Callable[[], str],
        life: str,
    ) -> None:
        self._registry = registry
        self._occasions = occasions
        self._marks = marks
        self._boot = boot
        self._life = life

    async def run(self) -> None:
        """Goes through the round of this start; called once the flows are in force."""
        boot = await self._new_boot()
        due = list(self._due(boot))
        while due:
            left: list[Occasion] = []
            for begin in range(0, len(due), _AT_ONCE):
                some = due[begin : begin + _AT_ONCE]
                decided = await asyncio.gather(*map(self._is_decided, some))
                left += [one for one, is_done in zip(some, decided, strict=True) if not is_done]
            due = left
            if due:
                await asyncio.sleep(AGAIN_S)
        if boot:
            await self._keep(boot)

    async def observe(self) -> None:
        """Tells what this start would have started, for a daemon that starts and keeps nothing."""
        for occasion in list(self._due(await self._new_boot())):
            await self._is_decided(occasion)

    async def _new_boot(self) -> str:
        """Returns this boot if its round is not done, else an empty text."""
        try:
            boot = await asyncio.to_thread(self._boot)
            done = (await self._marks.list(MarkKind.START)).get(_ROUND)
        except (OSError, StorageError) as error:
            _LOG.error("starts.boot_unknown: no flow starts once for this boot: %s", error)
            return ""
        return "" if boot == done else boot

    def _due(self, boot: str) -> Iterator[Occasion]:
        for key, entry in self._registry.entries.items():
            if entry.spec is None or self._registry.lacking_labels(entry.spec):
                continue
            for trigger in entry.spec.starts:
                if trigger.once_per is OncePer.DAEMON:
                    yield _occasion(key, trigger, self._life)
                elif boot:
                    yield _occasion(key, trigger, boot)

    async def _is_decided(self, occasion: Occasion) -> bool:
        try:
            await self._occasions.start(occasion)
        except (RefusedError, StorageError) as error:
            _LOG.warning("starts.later flow=%s code=%s", occasion.flow, error.code)
            return False
        return True

    async def _keep(self, boot: str) -> None:
        """Keeps that the round of a boot is done, as soon as the disk takes it."""
        while True:
            try:
                return await self._marks.change(MarkChange(put={_ROUND: boot}))
            except StorageError as error:
                _LOG.error("starts.not_recorded code=%s: %s", error.code, error.message)
            await asyncio.sleep(AGAIN_S)


def _occasion(flow: FlowKey, trigger: StartTrigger, what: str) -> Occasion:
    return Occasion(
        flow=flow,
        trigger=trigger,
        cause=Cause(trigger_id=trigger.id, trigger_type="start"),
        start_key=f"start:{flow}:{trigger.id}:{trigger.once_per}:{what}",
    )

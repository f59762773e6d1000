"""Facts of the host and small adapters that the composition root hands out."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from flowrunner.config.server_settings import ServerSettings
from flowrunner.engine.engine import Engine
from flowrunner.engine.runtime import ClosableSink, LogFactory
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.states import Reason
from flowrunner.nodes.environment import HostFacts
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.secrets.masking import MaskerCache
from flowrunner.system.clock import Clock
from flowrunner.system.watcher import Watcher
from flowrunner.telemetry.attempt_log import AttemptLog
from flowrunner.telemetry.log_writer import LogWriter
from flowrunner.telemetry.metrics import Metrics
from flowrunner.telemetry.metrics_flows import FlowFacts, FlowState
from flowrunner.triggers.schedules import Schedules

_NODES_PER_CORE = 4


def host_facts(server: ServerSettings) -> HostFacts:
    """Returns who this process is and where it runs, and what the settings say of the host."""
    try:
        account = pwd.getpwuid(os.geteuid())
        user, home = account.pw_name, account.pw_dir
    except KeyError:  # a user without an entry, as in a container
        user, home = str(os.geteuid()), "/"
    return HostFacts(
        name=socket.gethostname(),
        user=user,
        home=home,
        labels=server.labels,
        facts=dict(server.facts),
    )


def running_nodes(setting: int) -> int:
    """Returns how many processes may run at once: the setting, or 4 for each core."""
    return setting or _NODES_PER_CORE * (os.cpu_count() or 1)


def flow_folder(registry: FlowRegistry, root: Path, key: FlowKey) -> Path:
    """Returns `$FLOW_DIR`: the live folder of the flow's file; the root for a flow that left."""
    entry = registry.get(key)
    folder = root.absolute()
    return (folder / entry.path).parent if entry else folder


def log_factory(clock: Clock, writer: LogWriter, most_bytes: int) -> LogFactory:
    """Returns how the engine opens the log of an attempt; `most_bytes` where no flow says it."""
    maskers = MaskerCache()

    def make_log(
        folder: Path, name: str, masked: Iterable[str], own_bytes: int | None
    ) -> ClosableSink:
        values = tuple(masked)
        return AttemptLog(
            folder,
            name,
            clock=clock,
            masker=lambda: maskers.masker(values),
            writer=writer,
            limit_bytes=own_bytes or most_bytes,
        )

    return make_log


class FlowLeaver:
    """What else happens when the set of flows changes: queues, limits, series."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._entries: Mapping[FlowKey, FlowEntry] = {}
        self._tasks: set[asyncio.Task[tuple[ExecutionId, ...]]] = set()

    def flows_changed(
        self, entries: Mapping[FlowKey, FlowEntry], removed: frozenset[FlowKey]
    ) -> None:
        """Ends what waits for a removed flow, and starts what a larger limit allows."""
        changed = changed_keys(self._entries, entries)
        for hook in _hooks(self._entries, changed) - _hooks(entries, changed):
            self._metrics.forget_hook(hook)
        self._entries = entries
        for key in removed:
            self._metrics.forget_flow(key)
            task = asyncio.create_task(self._engine.cancel_queued(key, Reason.DELETED))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._engine.admit_waiting()


def show_state(
    metrics: Metrics,
    registry: FlowRegistry,
    schedules: Schedules,
    watcher: Watcher,
    free_bytes: Callable[[], int],
) -> None:
    """Gives the metrics what they read at each scrape, in the thread of the scrape."""
    metrics.show_flows(lambda: [*_facts(registry, schedules), *_rejected(registry)])
    metrics.show_source(lambda: registry.source.revision)
    metrics.show_watcher(watcher.is_alive)
    metrics.show_overflows(lambda: watcher.overflows)
    metrics.show_free_bytes(free_bytes)


def _hooks(entries: Mapping[FlowKey, FlowEntry], keys: Iterable[FlowKey]) -> set[str]:
    """Returns the hooks of some flows as deliveries are counted by them."""
    specs = ((key, entries[key].spec) for key in keys if key in entries)
    return {f"{key.account}/{it.path}" for key, spec in specs if spec for it in spec.webhooks}


def _facts(registry: FlowRegistry, schedules: Schedules) -> Iterator[FlowFacts]:
    for entry in registry.entries.values():
        is_invalid = any(finding.is_error for finding in entry.findings)
        is_ready = entry.is_ready
        unready = FlowState.READY if is_ready else FlowState.NOT_READY
        slots = [
            slot
            for trigger in (entry.spec.schedules if entry.spec else ())
            if (slot := schedules.next_slot(entry.key, trigger.id)) is not None
        ]
        yield FlowFacts(
            key=entry.key,
            state=FlowState.INVALID if is_invalid else unready,
            is_ready=is_ready,
            is_held=registry.hold_of(entry.key) is not None,
            next_slot_at=min(slots, default=None),
        )


def _rejected(registry: FlowRegistry) -> Iterator[FlowFacts]:
    for _ in registry.source.rejected:
        yield FlowFacts(key=None, state=FlowState.INVALID, is_ready=False)

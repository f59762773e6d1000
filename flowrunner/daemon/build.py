"""The constructor calls of the daemon, in the order of the layers.

Read it, with `build_ground.py` and `build_work.py` beside it, to learn who knows whom.
Starting and stopping is `flowrunner.daemon.daemon`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from flowrunner.config.settings import Settings
from flowrunner.daemon.accounts import limits_of
from flowrunner.daemon.build_events import Events, make_events
from flowrunner.daemon.build_ground import NO_CHOICES, Choices, Ground, make_ground
from flowrunner.daemon.build_hooks import Hooks, answering, make_hooks
from flowrunner.daemon.build_service import make_health, make_ledger
from flowrunner.daemon.build_source import Origin, make_origin, make_scanner
from flowrunner.daemon.build_work import backup_duty, engine_services, node_types, retention
from flowrunner.daemon.host import (
    FlowLeaver,
    show_state,
)
from flowrunner.daemon.observer import DaemonObserver
from flowrunner.daemon.warm_start import Warm, make_warm
from flowrunner.dataclass import dataclass
from flowrunner.definitions.compiler import Compiler
from flowrunner.definitions.warm_reader import WarmReader
from flowrunner.engine.admission import Limits
from flowrunner.engine.engine import Engine
from flowrunner.engine.retention import Retention
from flowrunner.engine.runtime import EngineServices
from flowrunner.model.ids import FlowKey
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.reconcile.apply import Applier, FlowsSubscriber
from flowrunner.reconcile.basis import StoredBasis
from flowrunner.reconcile.history import FlowHistory
from flowrunner.reconcile.reconciler import Reconciler
from flowrunner.reconcile.wakes import ReconcilerTimes
from flowrunner.registry.registry import FlowRegistry
from flowrunner.service.backups import BackupDuty
from flowrunner.service.drain import Drain
from flowrunner.service.executions import ExecutionReader
from flowrunner.service.ledger_desk import LedgerDesk
from flowrunner.service.service import FlowService, ServiceParts
from flowrunner.service.store_watch import StoreWatch
from flowrunner.service.traces import TraceReader
from flowrunner.storage.protocols import Storage
from flowrunner.system.clock_sync import is_clock_synchronised
from flowrunner.system.family import Families
from flowrunner.system.ids import BlockRandom, IdSource, Uuid7Ids
from flowrunner.system.process import LocalSpawner
from flowrunner.system.watcher import NoWatcher, WatchdogWatcher, Watcher
from flowrunner.telemetry.log_writer import LogWriter
from flowrunner.telemetry.metrics import Metrics
from flowrunner.triggers.children import Children
from flowrunner.triggers.clock_watch import ClockWatch
from flowrunner.triggers.dispatcher import Dispatcher, refuse_all
from flowrunner.triggers.pauses import Pauses
from flowrunner.triggers.retries import Retries
from flowrunner.triggers.schedules import Schedules
from flowrunner.triggers.timers import ApschedulerTimers, Timers


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The wired daemon, before it is started."""

    settings: Settings
    storage: Storage
    compiler: Compiler
    warm: WarmReader
    registry: FlowRegistry
    engine: Engine
    drain: Drain
    engine_services: EngineServices
    timers: Timers
    schedules: Schedules
    events: Events
    clock_watch: ClockWatch
    pauses: Pauses
    applier: Applier
    reconciler: Reconciler
    origin: Origin
    service: FlowService
    ledger: LedgerDesk
    hooks: Hooks
    backup_duty: BackupDuty
    retention: Retention
    metrics: Metrics
    observer: DaemonObserver
    log_writer: LogWriter
    ground: Ground

    @property
    def families(self) -> Families:
        """Those of attempts."""
        return self.ground.families

    @property
    def store_watch(self) -> StoreWatch:
        """What looks after the store."""
        return self.ground.store_watch

    @property
    def spawner(self) -> LocalSpawner:
        """What starts processes."""
        return self.ground.spawner


@dataclass(frozen=True, slots=True, kw_only=True)
class _Starts:
    """What asks for executions."""

    dispatcher: Dispatcher
    timers: Timers
    schedules: Schedules
    hooks: Hooks
    retries: Retries
    children: Children
    events: Events

    @property
    def subscribers(self) -> tuple[FlowsSubscriber, ...]:
        """Who arms what a new set of flows says."""
        return (self.schedules, self.hooks.webhooks, *self.events.subscribers)

    def ledger(self, ground: Ground, services: EngineServices) -> LedgerDesk:
        """Returns what tells of slots, and why something did not start."""
        desk = self.hooks.desk
        return make_ledger(ground, services, desk, self.dispatcher, self.schedules)

    def clock_watch(self, ground: Ground) -> ClockWatch:
        """Returns what tells timers and schedules that the clock is not what it was."""
        return ClockWatch(
            clock=ground.clock,
            slots=ground.storage.slots,
            schedules=self.schedules,
            timers=self.timers,
            is_synchronised=is_clock_synchronised,
        )


def build(
    settings: Settings,
    environment: Mapping[str, str],
    families: Families,
    choices: Choices = NO_CHOICES,
) -> Parts:
    """Wires a daemon; must be called in the event loop that will run it."""
    ground = make_ground(settings, environment, families, choices)
    origin = make_origin(ground, lambda trigger: reconciler.request(trigger))  # noqa: PLW0108 - later
    compiler, warm, services, engine, drain = _carrying(ground, origin, lambda: starts)
    starts = _starts(ground, services, engine)
    pauses = _pauses(ground, engine, lambda key: applier.renew_conditions(key))  # noqa: PLW0108 - later
    applier = _applier(ground, engine, pauses, starts)
    reconciler = _reconciler(ground, warm, applier, starts.schedules, origin)
    kept = retention(ground, services)
    known = ServiceParts(
        registry=ground.registry,
        storage=ground.storage,
        engine=engine,
        validator=compiler,
        reconciler=reconciler,
        dispatcher=starts.dispatcher,
        webhooks=answering(ground, starts.hooks, origin),
        pauses=pauses,
        retries=starts.retries,
        schedules=starts.schedules,
        traces=TraceReader(services, engine, ground.registry),
        executions=_reader(ground, services, engine, kept, origin),
        health=make_health(ground, drain, starts.events),
        channels=starts.events.notices.health,
        desk=origin.desk,
        clock=ground.clock,
        logger=logging.getLogger("flowrunner.service"),
    )
    return Parts(
        settings=settings,
        storage=ground.storage,
        compiler=compiler,
        warm=warm.reader,
        registry=ground.registry,
        engine=engine,
        drain=drain,
        engine_services=services,
        timers=starts.timers,
        schedules=starts.schedules,
        events=starts.events,
        clock_watch=starts.clock_watch(ground),
        pauses=pauses,
        applier=applier,
        reconciler=reconciler,
        origin=origin,
        service=_service(ground, pauses, starts, known),
        ledger=starts.ledger(ground, services),
        hooks=starts.hooks,
        backup_duty=backup_duty(ground),
        retention=kept,
        metrics=ground.metrics,
        observer=ground.observer,
        log_writer=ground.log_writer,
        ground=ground,
    )


def _service(ground: Ground, pauses: Pauses, starts: _Starts, known: ServiceParts) -> FlowService:
    """Returns the service, which learns of ended executions as pauses and schedules do."""
    events = starts.events
    about_files = events.inboxes.conditions
    service = FlowService(
        replace(known, is_observing=ground.choices.observe, file_conditions=about_files)
    )
    following = (events.followers, events.backfills, events.notices.decisions, starts.schedules)
    ends = (pauses.note_ended, service.note_ended, *(each.note_ended for each in following))
    ground.observer.on_ended = ends
    return service


def _carrying(
    ground: Ground, origin: Origin, starts: Callable[[], _Starts]
) -> tuple[Compiler, Warm, EngineServices, Engine, Drain]:
    nodes = node_types(ground, lambda: starts().children, lambda: starts().events.notices.desk)
    compiler = Compiler(nodes, ground.clock)
    left_by = lambda execution: starts().events.left_by(execution)  # noqa: E731, PLW0108 - later
    services = engine_services(ground, nodes, compiler, origin.flow_folder, left_by)
    engine = _engine(ground, services)
    drain = Drain(lambda: engine.running_count, ground.clock)
    return compiler, _warm(ground, nodes, compiler), services, engine, drain


def _reader(
    ground: Ground, services: EngineServices, engine: Engine, kept: Retention, origin: Origin
) -> ExecutionReader:
    logs, pinned = services.folders.logs, origin.has_pinned_files
    return ExecutionReader(ground.storage, engine, logs, kept.logs_are_gone, pinned)


def _engine(ground: Ground, services: EngineServices) -> Engine:
    settings = ground.settings
    of_accounts = limits_of(settings.accounts, "max_running_executions")
    limits = Limits(settings.engine.max_running_executions, of_accounts)
    return Engine(services, ground.registry.rules_of, limits)


def _starts(ground: Ground, services: EngineServices, engine: Engine) -> _Starts:
    ids = Uuid7Ids(ground.clock, BlockRandom())
    gate = refuse_all if ground.choices.observe else ground.store_watch.refuse_without_room
    dispatcher = Dispatcher(ground.registry, engine, ids, gate, ground.accounts)
    timers = ApschedulerTimers()
    return _Starts(
        dispatcher=dispatcher,
        timers=timers,
        schedules=_schedules(ground, dispatcher, timers),
        hooks=make_hooks(ground, dispatcher, ids),
        retries=_retries(ground, services, dispatcher, engine, ids),
        children=Children(
            registry=ground.registry,
            dispatcher=dispatcher,
            engine=engine,
            executions=services.executions,
        ),
        events=make_events(ground, dispatcher, ids),
    )


def _schedules(ground: Ground, dispatcher: Dispatcher, timers: Timers) -> Schedules:
    schedules = Schedules(
        registry=ground.registry,
        dispatcher=dispatcher,
        slots=ground.storage.slots,
        timers=timers,
        clock=ground.clock,
        observer=ground.observer,
        host=ground.host.name,
    )
    ground.storage.health.on_healed = schedules.store_healed
    return schedules


def _retries(
    ground: Ground,
    services: EngineServices,
    dispatcher: Dispatcher,
    engine: Engine,
    ids: IdSource,
) -> Retries:
    return Retries(
        registry=ground.registry,
        dispatcher=dispatcher,
        engine=engine,
        executions=services.executions,
        journal=services.journal,
        definitions=services.definitions,
        compiler=services.compiler,
        ids=ids,
    )


def _pauses(ground: Ground, engine: Engine, renew: Callable[[FlowKey], None]) -> Pauses:
    return Pauses(
        registry=ground.registry,
        store=ground.storage.pauses,
        executions=ground.storage.executions,
        clock=ground.clock,
        renew=renew,
        lifted=engine.admit_waiting,
    )


def _applier(ground: Ground, engine: Engine, pauses: Pauses, starts: _Starts) -> Applier:
    leaver = FlowLeaver(engine, ground.metrics)
    applier = Applier(
        ground.registry,
        ground.storage.flows,
        ground.secrets,
        ground.clock,
        (pauses, *starts.subscribers, leaver, ground.observer.triggers),
        preparers=(starts.schedules,),
        users=ground.users,
        accounts=ground.accounts,
    )
    notices = starts.events.notices
    history = FlowHistory(ground.storage.events, ground.clock, notices.decisions)
    applier.history = ground.observer.history = history
    applier.channels = notices.directory
    return applier


def _warm(ground: Ground, nodes: NodeRegistry, compiler: Compiler) -> Warm:
    storage = ground.settings.storage
    state = storage.path if storage.backend == "local" else None
    today = ground.clock.now().date()
    return make_warm(state, nodes, compiler, ground.registry, today)


def _reconciler(
    ground: Ground, warm: Warm, applier: Applier, schedules: Schedules, origin: Origin
) -> Reconciler:
    source, state = ground.settings.source, ground.settings.storage.path
    is_watched = origin.source is None  # nobody writes to what is checked out
    watcher: Watcher = WatchdogWatcher(asyncio.get_running_loop()) if is_watched else NoWatcher()
    free_bytes = partial(ground.files.free_bytes, state)
    show_state(ground.metrics, ground.registry, schedules, watcher, free_bytes)
    ground.metrics.show_store(ground.store_watch.is_well)
    scanner = make_scanner(ground, warm.reader, origin)
    reconciler = Reconciler(
        root=origin.root,
        scanner=scanner,
        applier=applier,
        registry=ground.registry,
        watcher=watcher,
        clock=ground.clock,
        times=ReconcilerTimes(
            resync_s=source.resync,
            debounce_s=source.debounce,
            debounce_limit_s=source.debounce_limit,
        ),
        observer=ground.observer,
    )
    reconciler.basis = StoredBasis(scanner, warm.basis, ground.accounts, ground.clock)
    if origin.source is not None:
        reconciler.upstream = origin.source
    return reconciler

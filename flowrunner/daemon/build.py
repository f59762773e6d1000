"""Every constructor call of the daemon, in the order of the layers.

Read it to learn who knows whom. Starting and stopping is `flowrunner.daemon.daemon`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass

from flowrunner import __version__
from flowrunner.config.settings import Settings
from flowrunner.daemon.host import (
    FlowLeaver,
    credentials_folder,
    flow_folder,
    host_facts,
    log_factory,
    running_nodes,
    show_state,
)
from flowrunner.daemon.observer import DaemonObserver
from flowrunner.definitions.compiler import Compiler
from flowrunner.engine.engine import Engine
from flowrunner.engine.runtime import EngineFolders, EngineServices
from flowrunner.nodes.builtins import register_builtins
from flowrunner.nodes.programs import ProgramRunner
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.reconciler import Reconciler, ReconcilerTimes
from flowrunner.reconcile.revision import GitRevisions
from flowrunner.reconcile.scan import Scanner
from flowrunner.registry.registry import FlowRegistry
from flowrunner.secrets.lookup import DefaultSecrets
from flowrunner.service.executions import ExecutionReader
from flowrunner.service.health import Health
from flowrunner.service.service import FlowService, ServiceParts
from flowrunner.storage.factory import make_storage
from flowrunner.storage.protocols import Storage
from flowrunner.system.clock import SystemClock
from flowrunner.system.files import LocalFiles
from flowrunner.system.ids import Uuid7Ids
from flowrunner.system.process import LocalSpawner
from flowrunner.system.tools import run_tool
from flowrunner.system.watcher import WatchdogWatcher, Watcher
from flowrunner.telemetry.log_writer import LogWriter
from flowrunner.telemetry.metrics import Metrics
from flowrunner.triggers.dedupe import Duplicates
from flowrunner.triggers.dispatcher import Dispatcher
from flowrunner.triggers.schedules import Schedules
from flowrunner.triggers.timers import ApschedulerTimers, Timers
from flowrunner.triggers.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The wired daemon, before it is started."""

    settings: Settings
    storage: Storage
    compiler: Compiler
    registry: FlowRegistry
    engine: Engine
    engine_services: EngineServices
    timers: Timers
    schedules: Schedules
    webhooks: Webhooks
    applier: Applier
    reconciler: Reconciler
    service: FlowService
    metrics: Metrics
    log_writer: LogWriter
    spawner: LocalSpawner
    watcher: Watcher
    observer: DaemonObserver


def build(settings: Settings, secret_environment: Mapping[str, str]) -> Parts:
    """Wires a daemon; must be called in the event loop that will run it."""
    clock, files = SystemClock(), LocalFiles()
    state, root = settings.storage.path, settings.source.path
    spawner, log_writer = LocalSpawner(), LogWriter()
    watcher = WatchdogWatcher(asyncio.get_running_loop())
    metrics = Metrics(version=__version__)
    observer = DaemonObserver(metrics, clock)
    secrets = DefaultSecrets(credentials_folder(os.environ), secret_environment)
    storage = make_storage(
        settings.storage.backend,
        folder=state,
        files=files,
        clock=clock,
        observe_commit=metrics.journal_commit,
    )

    registry = FlowRegistry()
    nodes = NodeRegistry()
    register_builtins(nodes, ProgramRunner(spawner=spawner, files=files, host=host_facts()))
    compiler = Compiler(nodes)

    services = EngineServices(
        nodes=nodes,
        executions=storage.executions,
        journal=storage.journal,
        definitions=storage.definitions,
        compiler=compiler,
        secrets=secrets,
        files=files,
        clock=clock,
        make_log=log_factory(clock, log_writer),
        observer=observer,
        folders=EngineFolders(
            work=state / "work",
            logs=state / "logs",
            flow=lambda key: flow_folder(registry, root, key),
        ),
        node_slots=asyncio.Semaphore(running_nodes(settings.engine.max_running_nodes)),
    )
    engine = Engine(services, registry.rules_of)

    ids = Uuid7Ids(clock, random.SystemRandom())
    dispatcher = Dispatcher(registry, engine, ids)
    timers = ApschedulerTimers()
    schedules = Schedules(
        registry=registry,
        dispatcher=dispatcher,
        slots=storage.slots,
        timers=timers,
        clock=clock,
        observer=observer,
    )
    show_state(metrics, registry, schedules, watcher, lambda: files.free_bytes(state))
    duplicates = Duplicates(storage.executions, clock)
    webhooks = Webhooks(dispatcher, duplicates, secrets)
    subscribers = (schedules, webhooks, FlowLeaver(engine, metrics))
    applier = Applier(registry, storage.flows, secrets, clock, subscribers)
    reconciler = Reconciler(
        root=root,
        scanner=Scanner(files, compiler, GitRevisions(run_tool, files), clock),
        applier=applier,
        registry=registry,
        watcher=watcher,
        clock=clock,
        times=ReconcilerTimes(
            resync_s=settings.source.resync,
            debounce_s=settings.source.debounce,
            debounce_limit_s=settings.source.debounce_limit,
        ),
        observer=observer,
    )
    service = FlowService(
        ServiceParts(
            registry=registry,
            storage=storage,
            engine=engine,
            validator=compiler,
            reconciler=reconciler,
            dispatcher=dispatcher,
            webhooks=webhooks,
            schedules=schedules,
            executions=ExecutionReader(storage, engine, state / "logs"),
            health=Health(registry, storage, clock, settings.source.resync),
            clock=clock,
            logger=logging.getLogger("flowrunner.service"),
        )
    )
    return Parts(
        settings=settings,
        storage=storage,
        compiler=compiler,
        registry=registry,
        engine=engine,
        engine_services=services,
        timers=timers,
        schedules=schedules,
        webhooks=webhooks,
        applier=applier,
        reconciler=reconciler,
        service=service,
        metrics=metrics,
        log_writer=log_writer,
        spawner=spawner,
        watcher=watcher,
        observer=observer,
    )

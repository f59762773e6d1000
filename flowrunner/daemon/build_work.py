"""The constructor calls of what carries executions, and of what keeps its traces in bounds."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from flowrunner.daemon.accounts import limits_of
from flowrunner.daemon.build_ground import Ground
from flowrunner.daemon.host import log_factory, running_nodes
from flowrunner.definitions.compiler import Compiler
from flowrunner.engine.log_quota import LogQuota
from flowrunner.engine.node_slots import NodeSlots
from flowrunner.engine.retention import Retention, RetentionRules
from flowrunner.engine.runtime import EngineFolders, EngineServices
from flowrunner.model.execution import Execution
from flowrunner.model.mark import MarkKey
from flowrunner.nodes.builtin.flow import CallsFlows
from flowrunner.nodes.builtins import register_builtins
from flowrunner.nodes.programs import ProgramRunner
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.nodes.telling import TellsPeople
from flowrunner.service.backups import BackupDuty
from flowrunner.system.leftovers import MarkedLeftovers


def node_types(
    ground: Ground, calls: Callable[[], CallsFlows], tells: Callable[[], TellsPeople]
) -> NodeRegistry:
    """Returns the types of nodes that this daemon knows.

    For nodes, `calls` starts flows and `tells` sends messages.
    """
    nodes = NodeRegistry()
    runner = ProgramRunner(
        spawner=ground.spawner,
        files=ground.files,
        host=ground.host,
        users=ground.users,
        in_thread=ground.spawner.threads.run,
    )
    register_builtins(nodes, runner, calls, tells)
    return nodes


def engine_services(
    ground: Ground,
    nodes: NodeRegistry,
    compiler: Compiler,
    flow_folder: Callable[[Execution], Path],
    left_by: Callable[[Execution], Mapping[MarkKey, str]],
) -> EngineServices:
    """Returns what the engine uses; `flow_folder` gives `$FLOW_DIR`."""
    state = ground.settings.storage.path
    engine = ground.settings.engine
    limit = running_nodes(engine.max_running_nodes)
    return EngineServices(
        nodes=nodes,
        executions=ground.storage.executions,
        journal=ground.storage.journal,
        definitions=ground.storage.definitions,
        compiler=compiler,
        secrets=ground.secrets,
        files=ground.files,
        clock=ground.clock,
        host=ground.host,
        make_log=log_factory(ground.clock, ground.log_writer, engine.attempt_log_bytes),
        observer=ground.observer,
        folders=EngineFolders(
            work=state / "work",
            logs=state / "logs",
            flow=flow_folder,
        ),
        node_slots=NodeSlots(limit, limits_of(ground.settings.accounts, "max_running_nodes")),
        leftovers=MarkedLeftovers(state / "work", os.getpid()),
        timeout_s=engine.timeout,
        chance=random.SystemRandom().random,
        left_by=left_by,
    )


def backup_duty(ground: Ground) -> BackupDuty:
    """Returns the backups by the clock; a state in memory has none."""
    storage = ground.settings.storage
    every_s = storage.backup_every if storage.backend == "local" else 0.0
    return BackupDuty(ground.storage, ground.clock, every_s)


def retention(ground: Ground, services: EngineServices) -> Retention:
    """Returns what removes executions, definitions and folders that need not be kept."""
    engine = ground.settings.engine
    age = timedelta(seconds=engine.retention_age)
    entries = ground.registry
    quota = LogQuota(
        files=services.files,
        logs=services.folders.logs,
        clock=services.clock,
        executions=services.executions,
        written=lambda: ground.log_writer.taken,
        most_bytes=engine.retention_log_bytes,
    )
    kept = Retention(
        storage=ground.storage,
        files=services.files,
        folders=services.folders,
        clock=services.clock,
        rules=RetentionRules(executions=engine.retention_executions, age=age),
        in_force=lambda: [each.spec.digest for each in entries.entries.values() if each.spec],
        own=entries.retentions,
        quota=quota,
    )
    ground.store_watch.on_low = kept.disk_low
    return kept

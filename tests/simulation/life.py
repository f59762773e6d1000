"""One life of a daemon in the simulation: wired as `daemon/build.py` does, over simulated devices.

What outlives a life (the disk, the host, the clock, the judge) is the `Ground`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from flowrunner.daemon.host import FlowLeaver, flow_folder, show_state
from flowrunner.daemon.observer import DaemonObserver
from flowrunner.definitions.compiler import Compiler
from flowrunner.engine.admission import Limits
from flowrunner.engine.engine import Engine
from flowrunner.engine.recovery import recover
from flowrunner.engine.runtime import ClosableSink, EngineFolders, EngineServices
from flowrunner.model.execution import Attempt, Execution
from flowrunner.model.ids import FlowKey
from flowrunner.nodes.builtins import register_builtins
from flowrunner.nodes.environment import HostFacts
from flowrunner.nodes.programs import ProgramRunner
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.reconcile.apply import Applier
from flowrunner.reconcile.history import FlowHistory
from flowrunner.reconcile.last_good import load_last_good
from flowrunner.reconcile.reconciler import Reconciler
from flowrunner.reconcile.scan import Scanner
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.reconcile.wakes import ReconcilerTimes
from flowrunner.registry.entry import PassResult
from flowrunner.registry.registry import FlowRegistry
from flowrunner.secrets.masking import MaskerCache
from flowrunner.service.store_watch import StoreWatch
from flowrunner.storage.memory import MemoryStorage
from flowrunner.system.ids import Uuid7Ids
from flowrunner.telemetry.attempt_log import LOG_LIMIT, AttemptLog
from flowrunner.telemetry.metrics import Metrics
from flowrunner.triggers.children import Children
from flowrunner.triggers.clock_watch import ClockWatch
from flowrunner.triggers.dedupe import Duplicates
from flowrunner.triggers.delivery_log import DeliveryLog
from flowrunner.triggers.dispatcher import Dispatcher
from flowrunner.triggers.pauses import Pauses
from flowrunner.triggers.retries import Retries
from flowrunner.triggers.schedules import FIRST_PASS, Schedules
from flowrunner.triggers.webhooks import Webhooks
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import FakeSecrets
from tests.fakes.log_writer import MemoryLogWriter
from tests.fakes.nodes import builtin_nodes
from tests.fakes.simulated_disk import SimulatedDisk, SimulatedFiles
from tests.fakes.simulated_host import (
    Plan,
    SimulatedHost,
    SimulatedLeftovers,
    SimulatedSpawner,
)
from tests.fakes.simulated_loop import SimulatedLoop
from tests.fakes.simulated_storage import SimulatedStorage
from tests.fakes.timers import FakeTimers
from tests.fakes.watcher import FakeWatcher
from tests.simulation.flow_files import SECRETS
from tests.simulation.oracle import Oracle
from tests.simulation.processes import WatchedSlots
from tests.simulation.source import FLOWS, Source
from tests.simulation.trace import Trace

STATE = Path("/state")
_HOST = HostFacts(name="host-1", user="runner", home="/home/runner")
_NODE_SLOTS = 4
_MOST_EXECUTIONS = 4
_LONGEST_EXECUTION_S = 3600.0
_FLOOR = 1 << 20
_LONGEST_SLEEP_S = 30.0
_SPURIOUS = 0.1
"""How often timers wake everybody for nothing, or a second time: a wake is but a hint."""
_TIMES = ReconcilerTimes(resync_s=300.0, debounce_s=0.3, debounce_limit_s=5.0)


class Ground:
    """What outlives a life of the daemon.

    Attributes:
        now: The time that all lives share, in seconds; a living loop has its own view of it.
        durable: The database as it is on the disk.
        lives: How many lives there have been.
        is_synchronised: Whether the kernel takes the clock for right.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0.0
        self.lives = 0
        self.clock = FakeClock()
        self.is_synchronised = False
        self.disk = SimulatedDisk()
        self.files = SimulatedFiles(self.disk)
        self.files.make_folder(STATE)
        self.files.sync(STATE)
        self.durable = MemoryStorage()
        self.host = SimulatedHost()
        self.trace = Trace()
        self.oracle = Oracle(
            self.durable, self.trace, self.clock, lambda: self.disk.fault is not None
        )
        self.compiler = Compiler(builtin_nodes(), self.clock)
        self.source = Source(self.files, self.compiler, self.oracle)


class _Observer(DaemonObserver):
    """The daemon's own observer, with the judge behind it."""

    def __init__(self, metrics: Metrics, clock: FakeClock, oracle: Oracle) -> None:
        super().__init__(metrics, clock)
        self._oracle = oracle
        self.on_pass: Callable[[PassResult], None] = lambda _: None

    def execution_started(self, execution: Execution) -> None:
        super().execution_started(execution)
        self._oracle.starts(execution)

    def execution_resumed(self, execution: Execution) -> None:
        super().execution_resumed(execution)
        self._oracle.resumes(execution)

    def execution_ended(self, execution: Execution) -> None:
        super().execution_ended(execution)
        self._oracle.ends(execution)

    def attempt_ended(self, node_type: str, attempt: Attempt) -> None:
        super().attempt_ended(node_type, attempt)
        self._oracle.nodes.attempt_ends(attempt)

    def pass_ended(self, result: PassResult) -> None:
        super().pass_ended(result)
        self.on_pass(result)


@dataclass(slots=True)
class Life:
    """One life; made inside its loop.

    Attributes:
        client_tasks: What goes on for people and senders: deliveries, starts, cancels.
    """

    ground: Ground
    loop: SimulatedLoop
    plan: Plan
    client_tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _background: list[asyncio.Task[None]] = field(default_factory=list)
    storage: SimulatedStorage = field(init=False)
    registry: FlowRegistry = field(init=False)
    engine: Engine = field(init=False)
    dispatcher: Dispatcher = field(init=False)
    webhooks: Webhooks = field(init=False)
    schedules: Schedules = field(init=False)
    reconciler: Reconciler = field(init=False)
    retries: Retries = field(init=False)
    children: Children = field(init=False)
    pauses: Pauses = field(init=False)
    timers: FakeTimers = field(init=False)
    metrics: Metrics = field(init=False)
    watcher: FakeWatcher = field(init=False)
    _slots: WatchedSlots = field(init=False)
    _services: EngineServices = field(init=False)
    _watch: StoreWatch = field(init=False)
    _applier: Applier = field(init=False)
    _clock_watch: ClockWatch = field(init=False)

    def __post_init__(self) -> None:
        ground = self.ground
        self.storage = SimulatedStorage(
            self.loop,
            ground.durable,
            ground.files,
            ground.disk,
            state=STATE,
            watch=ground.oracle.watch,
        )
        self.registry, self.metrics = FlowRegistry(), Metrics(version="0")
        self._slots = WatchedSlots(_NODE_SLOTS, ground.clock.monotonic)
        observer = _Observer(self.metrics, ground.clock, ground.oracle)
        observer.on_pass = lambda result: ground.source.passed(result, self.registry)
        self._services = self._engine_services(observer)
        self._watch = StoreWatch(self.storage, lambda: ground.files.free, _FLOOR)
        self.engine = Engine(self._services, self.registry.rules_of, Limits(_MOST_EXECUTIONS))
        self.loop.at_death.append(self.engine.ends.stop)
        ids = Uuid7Ids(ground.clock, ground.random)
        gate = self._watch.refuse_without_room
        self.dispatcher = Dispatcher(self.registry, self.engine, ids, gate)
        self.timers, self.watcher = FakeTimers(ground.clock), FakeWatcher()
        self.schedules = Schedules(
            registry=self.registry,
            dispatcher=self.dispatcher,
            slots=self.storage.slots,
            timers=self.timers,
            clock=ground.clock,
            observer=observer,
            host="host",
        )
        self._clock_watch = ClockWatch(
            clock=ground.clock,
            slots=self.storage.slots,
            schedules=self.schedules,
            timers=self.timers,
            is_synchronised=lambda: ground.is_synchronised,
        )
        self.storage.health.on_healed = self.schedules.store_healed
        duplicates = Duplicates(self.storage.executions, ground.clock)
        delivery_ids = Uuid7Ids(ground.clock, Random(self.loop.time()))
        delivery_log = DeliveryLog(self.storage.deliveries, observer.triggers, delivery_ids)
        self.webhooks = Webhooks(
            self.dispatcher,
            duplicates,
            FakeSecrets(dict(SECRETS)),
            ground.clock,
            log=delivery_log,
        )
        self.retries = Retries(
            registry=self.registry,
            dispatcher=self.dispatcher,
            engine=self.engine,
            executions=self.storage.executions,
            journal=self.storage.journal,
            definitions=self.storage.definitions,
            compiler=ground.compiler,
            ids=ids,
        )
        self.children = Children(
            registry=self.registry,
            dispatcher=self.dispatcher,
            engine=self.engine,
            executions=self.storage.executions,
        )
        self.pauses = Pauses(
            registry=self.registry,
            store=self.storage.pauses,
            executions=self.storage.executions,
            clock=ground.clock,
            renew=self._renew,
            lifted=self.engine.admit_waiting,
        )
        observer.on_ended = (self.pauses.note_ended, self.schedules.note_ended)
        self._applier = self._make_applier()
        self.reconciler = self._reconciler(observer)

    def _engine_services(self, observer: DaemonObserver) -> EngineServices:
        ground = self.ground
        spawner = SimulatedSpawner(ground.host, self.plan)
        runner = ProgramRunner(spawner=spawner, files=ground.files, host=_HOST)
        log_writer, maskers = MemoryLogWriter(), MaskerCache()

        def make_log(
            folder: Path, name: str, masked: Iterable[str], most_bytes: int | None
        ) -> ClosableSink:
            values = tuple(masked)
            return AttemptLog(
                folder,
                name,
                clock=ground.clock,
                masker=lambda: maskers.masker(values),
                writer=log_writer,
                limit_bytes=most_bytes or LOG_LIMIT,
            )

        return EngineServices(
            nodes=_nodes(runner, lambda: self.children),
            executions=self.storage.executions,
            journal=self.storage.journal,
            definitions=self.storage.definitions,
            compiler=ground.compiler,
            secrets=FakeSecrets(dict(SECRETS)),
            files=ground.files,
            clock=ground.clock,
            host=_HOST,
            make_log=make_log,
            observer=observer,
            folders=EngineFolders(
                work=STATE / "work",
                logs=STATE / "logs",
                flow=lambda execution: flow_folder(self.registry, FLOWS, execution.flow),
            ),
            node_slots=self._slots,
            leftovers=SimulatedLeftovers(ground.host, ground.lives),
            timeout_s=_LONGEST_EXECUTION_S,
            chance=ground.random.random,
        )

    def _renew(self, key: FlowKey) -> None:
        """Is told of everything that holds a flow or lifts it."""
        self.ground.oracle.lines.change(key)
        self._applier.renew_conditions(key)

    def _make_applier(self) -> Applier:
        leaver = FlowLeaver(self.engine, self.metrics)
        applier = Applier(
            self.registry,
            self.storage.flows,
            self._services.secrets,
            self.ground.clock,
            (self.ground.oracle, self.pauses, self.schedules, self.webhooks, leaver),
            preparers=(self.schedules,),
        )
        applier.history = FlowHistory(self.storage.events, self.ground.clock)
        return applier

    def _reconciler(self, observer: DaemonObserver) -> Reconciler:
        ground = self.ground
        show_state(
            self.metrics, self.registry, self.schedules, self.watcher, lambda: ground.files.free
        )
        return Reconciler(
            root=FLOWS,
            scanner=Scanner(ground.files, ground.compiler, FolderTrees(ground.files), ground.clock),
            applier=self._applier,
            registry=self.registry,
            watcher=self.watcher,
            clock=ground.clock,
            times=_TIMES,
            observer=observer,
        )

    async def start(self) -> None:
        """Does what the daemon does before it is ready."""
        self.ground.oracle.life_begins()
        await self.storage.open()
        self.ground.oracle.counts_anew()
        self.ground.oracle.most_running = _MOST_EXECUTIONS
        self.ground.oracle.processes.slots = self._slots
        if self.ground.disk.fault is not None:
            self.ground.oracle.interruption()
        self.ground.oracle.lines.rules_of = self.registry.rules_of
        await self.pauses.load()
        history = self._applier.history
        await history.load()
        load_last_good(
            await self.storage.flows.list(),
            self.ground.compiler,
            self.registry,
            self.ground.clock,
            history,
        )
        self.ground.source.loaded(self.registry)
        # Who waits may go on before anything is armed, by what the life before had made durable.
        self.ground.oracle.flows_changed(self.registry.entries, frozenset())
        await self._watch.look()
        await self.pauses.count_failures()
        await recover(self.engine, self._services, self.registry.rules_of)
        if left := self.ground.host.living(range(self.ground.lives), self.loop.time()):
            self.ground.oracle.fail(
                f"a process of {left[0].env['NODE_ID']} has survived its daemon"
            )
        await self._clock_watch.load()
        await self.schedules.load()
        self.timers.start()
        await self.reconciler.start()
        self.schedules.lift_catchup(FIRST_PASS)
        for work in (self.reconciler.run, self._watch.run, self.pauses.run, self._fire):
            self._background.append(self.loop.create_task(work()))

    async def stop(self, timeout_s: float) -> None:
        """Stops as the daemon does on SIGTERM."""
        await self.silence()
        await self.engine.drain(timeout_s)
        await self.pauses.settle()
        await self.end_background()
        await self.schedules.close()
        await self._applier.history.settle()
        await self.storage.close()

    async def silence(self) -> None:
        """Lets no slot and no client start anything more."""
        self.timers.stop()
        await self.schedules.settle()
        while self.client_tasks:
            await asyncio.wait(self.client_tasks)

    async def end_background(self) -> None:
        """Ends what watches and reconciles."""
        for task in self._background:
            task.cancel()
        for task in self._background:
            with suppress(asyncio.CancelledError):
                await task

    async def _fire(self) -> None:
        """Stands for the timers' own loop: sleeps until the next slot, as the clock says."""
        while True:
            nexts = [self.timers.next_at(key) for key in self.timers.keys]
            now = self.ground.clock.now()
            waits = [(at - now).total_seconds() for at in nexts if at is not None]
            await asyncio.sleep(min(max(min(waits, default=1.0), 0.001), _LONGEST_SLEEP_S))
            self.timers.fire_due()
            self._clock_watch.look()
            if self.ground.random.random() < _SPURIOUS:
                self.timers.fire_all()


def _nodes(runner: ProgramRunner, children: Callable[[], Children]) -> NodeRegistry:
    nodes = NodeRegistry()
    register_builtins(nodes, runner, children)
    return nodes

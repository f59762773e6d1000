"""An engine in a world of fakes, on virtual time: flows are written, processes are acted.

A test tells a story as a coroutine over a `World`; `simulate` runs it and looks afterwards
whether anything was left behind: a task, a process, a place in a queue.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from flowrunner.definitions.compiler import Compiler
from flowrunner.engine.admission import Limits
from flowrunner.engine.engine import Engine
from flowrunner.engine.node_slots import NodeSlots
from flowrunner.engine.recovery import RecoveryReport, recover
from flowrunner.engine.requests import StartRequest
from flowrunner.engine.runtime import ClosableSink, EngineFolders, EngineServices
from flowrunner.model.execution import Attempt, Cause, Execution, NodeStatus, ScheduleKey
from flowrunner.model.flow import FlowSpec, StartRules
from flowrunner.model.ids import ExecutionId, FlowKey, Json, Revision
from flowrunner.model.secret import SecretValue
from flowrunner.nodes.builtins import register_builtins
from flowrunner.nodes.environment import HostFacts
from flowrunner.nodes.programs import ProgramRunner
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.nodes.telling import NoChannels, TellsPeople
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.registry import FlowRegistry
from flowrunner.secrets.masking import HiddenTexts
from flowrunner.storage.memory import MemoryStorage
from flowrunner.storage.protocols import Submitted
from flowrunner.system.files import Files
from flowrunner.system.process import ExitStatus, Spawner, SpawnRequest
from flowrunner.telemetry.attempt_log import LOG_LIMIT, AttemptLog, Writer
from flowrunner.triggers.children import Children
from flowrunner.triggers.dispatcher import Dispatcher
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.ids import SequentialIds
from tests.fakes.inline_threads import run_inline
from tests.fakes.journal import Disk, FakeExecutions, FakeJournal
from tests.fakes.log_writer import MemoryLogWriter
from tests.fakes.observer import RecordingObserver
from tests.fakes.spawner import TERMINATED, FakeSpawner, Performance

T = TypeVar("T")

HOST = HostFacts(
    name="host-1", user="runner", home="/home/runner", labels=("db", "eu"), facts={"cores": 8}
)
TIMEOUT_S = 30 * 86_400.0
"""The host's bound of an execution, out of the way of the tests that do not speak about it."""
STATE, FLOWS = Path("/state"), Path("/flows")
WORK = STATE / "work"
REVISION = Revision("4b825dc642cb6eb9a060e54bf8d69288fbee4904")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the process of an attempt does.

    Attributes:
        outputs: Written to `$FLOW_OUTPUT`.
        lasts_s: None: until a signal ends it.
        on_term_s: How long it takes to end on SIGTERM; None: it ignores it.
        child_on_term_s: The same for a child of it that holds none of its output.
        raises: Raised instead of starting anything.
    """

    exit_code: int = 0
    signal: str | None = None
    prints: bytes = b""
    outputs: bytes = b""
    lasts_s: float | None = 0.0
    on_term_s: float | None = 0.0
    child_on_term_s: float | None = 0.0
    raises: Exception | None = None

    @property
    def performance(self) -> Performance:
        """The same for a `FakeProcess`."""
        died = ExitStatus(signal=self.signal) if self.signal else None
        return Performance(
            output=[("stdout", self.prints)] if self.prints else [],
            duration_s=self.lasts_s,
            status=died or ExitStatus(exit_code=self.exit_code),
            on_term=None if self.on_term_s is None else TERMINATED,
            on_term_after_s=self.on_term_s or 0.0,
            child_on_term_s=self.child_on_term_s,
        )


OK, FAILS, HANGS = Act(), Act(exit_code=1), Act(lasts_s=None)
Acts = Mapping[str, Act | Sequence[Act] | Iterator[Act]]
"""By node; a sequence has one act for each attempt, the last for all that follow; an iterator one
for each process, of which an attempt may have several, in whichever life of the daemon.

Of a node with a variable `ITEM` also by `node.ITEM`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the journal knows of an execution."""

    execution: Execution
    nodes: Mapping[str, NodeStatus]
    attempts: Sequence[Attempt]

    @property
    def states(self) -> dict[str, str]:
        """The state of each node that has ended, in the order of their ends."""
        return {name: str(status.state) for name, status in self.nodes.items()}

    @property
    def reasons(self) -> dict[str, str]:
        """The reason of each node that has ended."""
        return {name: status.reason for name, status in self.nodes.items()}


class FixedSecrets:
    """Meets `Secrets`, the same for every account."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def lookup(self, account: str, name: str) -> SecretValue | None:
        text = self._values.get(name)
        return None if text is None else SecretValue(text)


class RecordingLeftovers:
    """Meets `Leftovers`; remembers of which executions it was to end what is left.

    Attributes:
        folders: Which folders of executions were there at that moment.
    """

    def __init__(self, files: FakeFiles) -> None:
        self._files = files
        self.executions: list[str] = []
        self.folders: list[str] = []

    async def kill(self, executions: Collection[str]) -> int:
        self.executions.extend(sorted(executions))
        with suppress(OSError):
            self.folders.extend(self._files.names(WORK))
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RealHost:
    """What a world uses in the place of its fakes to run programs for real.

    Attributes:
        folder: Where work, logs and flows are.
    """

    spawner: Spawner
    files: Files
    log_writer: Writer
    folder: Path


class World:
    """An engine and everything around it; made inside a running loop, a virtual one as a rule.

    Args:
        acts: What the processes do.
        secrets: The secrets of the host.
        node_slots: How many processes may run at once.
        most_executions: How many executions may run at once.
        limits: What single accounts may run at once: executions, processes.
        storage: What an earlier life left; a new one by default.
        files: Likewise.
        ids: Likewise, so that none comes twice.
        host: Real processes, files and logs; the fakes stay unused then.
        clock: Another one than that of the loop.
    """

    def __init__(
        self,
        acts: Acts | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
        node_slots: int = 1_000,
        most_executions: int = 1_000,
        limits: Mapping[str, tuple[int, int]] = MappingProxyType({}),
        storage: MemoryStorage | None = None,
        files: FakeFiles | None = None,
        ids: SequentialIds | None = None,
        host: RealHost | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.acts: dict[str, Act | Sequence[Act] | Iterator[Act]] = dict(acts or {})
        self.clock = clock or FakeClock()
        self.files = files or FakeFiles()
        self.storage = storage or MemoryStorage()
        self.disk = Disk()
        self.chance = 0.0
        self.spawner = FakeSpawner(self._act)
        self.log_writer = MemoryLogWriter()
        self.observer = RecordingObserver()
        self.leftovers = RecordingLeftovers(self.files)
        self._most_executions = most_executions
        self._limits = limits
        self._host = host or RealHost(
            spawner=self.spawner, files=self.files, log_writer=self.log_writer, folder=STATE
        )
        self.tells: TellsPeople = NoChannels()
        self.nodes = NodeRegistry()
        register_builtins(
            self.nodes,
            ProgramRunner(spawner=self._host.spawner, files=self._host.files, host=HOST),
            lambda: self.children,
            lambda: self.tells,
        )
        self.compiler = Compiler(self.nodes, self.clock)
        self.flows: dict[FlowKey, FlowSpec] = {}
        self.held: set[FlowKey] = set()
        self._definitions: dict[FlowKey, Mapping[str, Json]] = {}
        self._ids = ids or SequentialIds()
        self.services = EngineServices(
            nodes=self.nodes,
            executions=FakeExecutions(self.storage.executions, self.disk),
            journal=FakeJournal(self.storage.journal, self.disk),
            definitions=self.storage.definitions,
            compiler=self.compiler,
            secrets=FixedSecrets(secrets or {}),
            files=self._host.files,
            clock=self.clock,
            host=HOST,
            make_log=self._make_log,
            observer=self.observer,
            folders=EngineFolders(
                work=self._host.folder / "work",
                logs=self._host.folder / "logs",
                flow=lambda execution: FLOWS / execution.flow.account,
            ),
            node_slots=NodeSlots(node_slots, {name: most for name, (_, most) in limits.items()}),
            leftovers=self.leftovers,
            timeout_s=TIMEOUT_S,
            chance=lambda: self.chance,
        )
        of_accounts = {name: most for name, (most, _) in limits.items()}
        self.engine = Engine(self.services, self.rules_of, Limits(most_executions, of_accounts))
        self.registry = FlowRegistry()
        self.children = Children(
            registry=self.registry,
            dispatcher=Dispatcher(self.registry, self.engine, self._ids),
            engine=self.engine,
            executions=self.services.executions,
        )

    @property
    def record(self) -> list[str]:
        """Writes of the journal, spawns and signals, in order."""
        return self.disk.record

    def rules_of(self, flow: FlowKey) -> StartRules | None:
        """The rules of the flow's version in force."""
        spec = self.flows.get(flow)
        if spec is None:
            return None
        return StartRules(concurrency=spec.concurrency, is_held=flow in self.held)

    def define(self, text: str, *, account: str = "default") -> FlowSpec:
        """Puts a flow in force, in the place of its earlier version."""
        candidate = self.compiler.read(text.encode(), file="flow.yaml", account=account)
        assert candidate.spec is not None, candidate.findings
        assert candidate.definition is not None
        self.flows[candidate.spec.key] = candidate.spec
        self._definitions[candidate.spec.key] = candidate.definition
        self._register()
        return candidate.spec

    def remove(self, flow: FlowKey) -> None:
        """Takes a flow out of force, as when its file is deleted."""
        del self.flows[flow]
        self._register()

    def request(
        self,
        spec: FlowSpec,
        *,
        trigger: str = "manual",
        start_key: str | None = None,
        slot_at: datetime | None = None,
        payload: bytes | None = None,
        inputs: Mapping[str, Json] | None = None,
        cursor: ScheduleKey | None = None,
    ) -> StartRequest:
        """Asks for an execution; `trigger` is `type` or `type:id`."""
        kind, _, name = trigger.partition(":")
        cause = Cause(trigger_id=name or kind, trigger_type=kind, slot_at=slot_at, payload=payload)
        return StartRequest(
            id=self._ids.execution_id(),
            spec=spec,
            definition=self._definitions[spec.key],
            revision=REVISION,
            cause=cause,
            inputs=dict(inputs or {}),
            start_key=start_key,
            cursor=cursor,
        )

    async def submit(
        self,
        spec: FlowSpec,
        *,
        trigger: str = "manual",
        start_key: str | None = None,
        slot_at: datetime | None = None,
        payload: bytes | None = None,
        inputs: Mapping[str, Json] | None = None,
    ) -> Submitted:
        """Starts a flow; see `request`."""
        request = self.request(
            spec,
            trigger=trigger,
            start_key=start_key,
            slot_at=slot_at,
            payload=payload,
            inputs=inputs,
        )
        return await self.engine.submit(request)

    async def run(
        self,
        text: str,
        *,
        payload: bytes | None = None,
        slot_at: datetime | None = None,
        inputs: Mapping[str, Json] | None = None,
    ) -> Outcome:
        """Defines a flow, starts it, and returns what became of it."""
        trigger = "webhook" if payload is not None else "manual"
        accepted = await self.submit(
            self.define(text), trigger=trigger, payload=payload, slot_at=slot_at, inputs=inputs
        )
        return await self.end_of(accepted.id)

    async def end_of(self, execution_id: ExecutionId) -> Outcome:
        """Waits for the end of an execution and returns what the journal has then."""
        await self.observer.wait(execution_id)
        return await self.outcome(execution_id)

    async def outcome(self, execution_id: ExecutionId) -> Outcome:
        """Returns what the journal has of an execution now."""
        execution = await self.storage.executions.get(execution_id)
        assert execution is not None
        nodes = await self.storage.journal.nodes(execution_id)
        return Outcome(
            execution=execution,
            nodes={status.node: status for status in nodes},
            attempts=await self.storage.journal.attempts(execution_id),
        )

    async def idle(self) -> None:
        """Waits until the engine has nothing under way."""
        while self.engine._tasks:
            await asyncio.wait(self.engine._tasks)

    def log(self, execution_id: ExecutionId, node: str, number: int = 1) -> list[str]:
        """Returns the text of the lines an attempt has logged; `node` may be `node.item`."""
        wanted = f"{execution_id}/{node}.{number}.log"
        found = [data for path, data in self.log_writer.files.items() if str(path).endswith(wanted)]
        return [line.split(" ", 3)[3] for data in found for line in data.decode().splitlines()]

    def spawned(self, node: str) -> list[SpawnRequest]:
        """Returns the requests of a node's attempts."""
        return [each for each in self.spawner.requests if each.env["NODE_ID"] == node]

    def signals(self, node: str) -> list[str]:
        """Returns the signals sent to the latest process of a node."""
        pairs = zip(self.spawner.requests, self.spawner.processes, strict=False)
        found = [process.signals for request, process in pairs if request.env["NODE_ID"] == node]
        return found[-1]

    def after_crash(self, acts: Acts | None = None) -> World:
        """Returns the next life: a new engine over what is durable at this moment.

        This life goes on by itself; a story drains it before it ends.
        """
        files = copy.deepcopy(self.files)
        files.crash()
        world = World(
            {**self.acts, **(acts or {})},
            storage=copy.deepcopy(self.storage),
            files=files,
            ids=self._ids,
            most_executions=self._most_executions,
            limits=self._limits,
        )
        world.flows, world._definitions = self.flows, self._definitions
        world.held = self.held
        world._register()
        return world

    async def recover(self) -> RecoveryReport:
        """Does what the daemon does before it arms its triggers."""
        return await recover(self.engine, self.services, self.rules_of)

    def assert_clean(self) -> None:
        """Fails when something was left behind."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks are left: {left}"
        assert self.spawner.unclosed == 0, "a process was not closed"
        assert self.engine.running_count == 0, "an execution is still carried"
        assert not self.engine._admission._running, "a place is still taken"
        of_accounts = self.engine._admission._running_of.values()
        assert not any(of_accounts), "a place of an account is still taken"

    def _register(self) -> None:
        """Makes known to nodes of type `flow` what is in force."""
        self.registry.replace(
            {
                key: FlowEntry(
                    key=key,
                    path="flow.yaml",
                    spec=spec,
                    definition=self._definitions[key],
                    revision=REVISION,
                )
                for key, spec in self.flows.items()
            }
        )

    def _act(self, request: SpawnRequest) -> Performance:
        node, number = request.env["NODE_ID"], int(request.env["ATTEMPT"])
        item = f"{node}.{request.env['ITEM']}" if "ITEM" in request.env else node
        self.record.append(f"spawn {item}.{number}")
        acts = self.acts.get(item, self.acts.get(node, OK))
        if isinstance(acts, Iterator):
            act = next(acts)
        else:
            act = acts if isinstance(acts, Act) else acts[min(number, len(acts)) - 1]
        if act.raises is not None:
            raise act.raises
        if act.outputs:
            self.files.replace(Path(request.env["FLOW_OUTPUT"]), act.outputs)
        return act.performance

    def _make_log(
        self, folder: Path, name: str, masked: Iterable[str], most_bytes: int | None
    ) -> ClosableSink:
        hidden = HiddenTexts(masked)
        return AttemptLog(
            folder,
            name,
            clock=self.clock,
            masker=hidden.masker,
            writer=self._host.log_writer,
            limit_bytes=most_bytes or LOG_LIMIT,
        )


def simulate(
    story: Callable[[World], Awaitable[T]],
    acts: Acts | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    node_slots: int = 1_000,
    most_executions: int = 1_000,
    limits: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> T:
    """Runs a story in a new world on virtual time, and checks that nothing is left behind."""

    async def main() -> T:
        world = World(
            acts,
            secrets=secrets,
            node_slots=node_slots,
            most_executions=most_executions,
            limits=limits,
        )
        result = await story(world)
        await world.idle()
        world.assert_clean()
        return result

    return run_inline(main())


def run_flow(
    text: str,
    acts: Acts | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    payload: bytes | None = None,
    inputs: Mapping[str, Json] | None = None,
) -> Outcome:
    """Runs one flow to its end in a world of its own."""
    return simulate(
        lambda world: world.run(text, payload=payload, inputs=inputs), acts, secrets=secrets
    )


def flow(nodes: str, *, name: str = "flow", top: str = "") -> str:
    """Returns the text of a flow; `nodes` is the list, `top` further keys of the top level."""
    return f"version: 1\nname: {name}\n{top}\nnodes:\n{nodes}\n"

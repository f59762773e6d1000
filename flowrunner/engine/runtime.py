"""What the parts of the engine share: its services, and the facts of one execution."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import field, replace
from pathlib import Path
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.engine.ends import Ends
from flowrunner.engine.node_slots import NodeSlots
from flowrunner.engine.observer import EngineObserver
from flowrunner.engine.output_size import EXECUTION_LIMIT
from flowrunner.engine.writes import PendingWrites
from flowrunner.model.execution import Attempt, Execution
from flowrunner.model.flow import FlowSpec, NodeSpec, OnInterrupt
from flowrunner.model.ids import AttemptKey, FlowKey, Json, attempt_name
from flowrunner.model.mark import NO_MARKS, MarkChange, MarkKey
from flowrunner.model.secret import SecretValue
from flowrunner.model.states import Reason
from flowrunner.nodes.base import Node
from flowrunner.nodes.context import AttemptSink, Directories
from flowrunner.nodes.environment import HostFacts
from flowrunner.nodes.outputs import output_error
from flowrunner.nodes.registry import NodeRegistry
from flowrunner.secrets.hidden import secret_texts
from flowrunner.secrets.lookup import Secrets
from flowrunner.storage.protocols import DefinitionStore, ExecutionStore, Journal
from flowrunner.system.clock import Clock
from flowrunner.system.files import Files


class ClosableSink(AttemptSink, Protocol):
    """The log of an attempt, as the engine holds it."""

    async def close(self) -> None:
        """Returns when every line is written; costs nothing if there was none."""


LogFactory = Callable[[Path, str, Iterable[str], int | None], ClosableSink]
"""Makes the log of an attempt in a folder, under a name, masking the given texts.

The last argument bounds its bytes; None for the host's own bound.
"""


class FlowCompiler(Protocol):
    """Makes a spec of a stored definition; `flowrunner.definitions` provides it."""

    def compile_definition(self, key: FlowKey, definition: Mapping[str, Json]) -> FlowSpec:
        """Returns the spec; raises `ValidationError` when the definition does not compile."""


class Leftovers(Protocol):
    """Processes of attempts that an earlier life of the daemon did not end."""

    async def kill(self, executions: Collection[str]) -> int:
        """Kills what is left of executions, by id; returns how many processes were found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFolders:
    """Where executions leave things; `flow` gives `$FLOW_DIR`."""

    work: Path
    logs: Path
    flow: Callable[[Execution], Path]

    def of_execution(self, execution: Execution) -> Directories:
        """Returns the folders of an execution."""
        private = self.work / execution.id
        return Directories(work=private / "files", flow=self.flow(execution), private=private)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineServices:
    """Everything the engine uses, given once by the composition root.

    Attributes:
        node_slots: Bounds how many processes run at once, on this host and of its accounts.
        timeout_s: Bound of an execution whose flow names none.
        chance: Returns a random number from 0 to 1, for the jitter of retries.
        left_by: Returns the marks that the end of an execution leaves; asked when it is written.
    """

    nodes: NodeRegistry
    executions: ExecutionStore
    journal: Journal
    definitions: DefinitionStore
    compiler: FlowCompiler
    secrets: Secrets
    files: Files
    clock: Clock
    host: HostFacts
    make_log: LogFactory
    observer: EngineObserver
    folders: EngineFolders
    node_slots: NodeSlots
    leftovers: Leftovers
    timeout_s: float
    chance: Callable[[], float]
    left_by: Callable[[Execution], Mapping[MarkKey, str]] = lambda _: {}

    def keep(self, execution: Execution) -> asyncio.Future[None]:
        """Journals how an execution stands and, with its end, what that leaves to be done."""
        return self.executions.update(execution, marks=self.marks_of((execution,)))

    def marks_of(self, executions: Iterable[Execution], marks: MarkChange = NO_MARKS) -> MarkChange:
        """Returns what the ends among some executions leave to be done, beside other marks."""
        left: dict[MarkKey, str] = {}
        for execution in executions:
            if execution.state.is_final:
                left.update(self.left_by(execution))
        return replace(marks, put={**marks.put, **left}) if left else marks


@dataclass(slots=True)
class Cut:
    """Why nodes are ended early: written by who ends them, read by who says why.

    Attributes:
        is_held: Whether nothing may start any more, since the daemon stops.
    """

    reason: Reason | None = None
    is_held: bool = False


def survives(node: Node, spec: NodeSpec) -> bool:
    """Whether an attempt of a node goes on in the next life of the daemon."""
    return node.survives_restart and spec.on_interrupt is OnInterrupt.RERUN


def holds_place(node: Node) -> bool:
    """Whether an attempt is one of the host's processes all the time.

    A type that survives a restart mostly waits: it takes places by itself, as it needs them.
    """
    return node.is_shell_like and not node.survives_restart


@dataclass(slots=True, kw_only=True)
class ExecutionRuntime:
    """One execution under way.

    Attributes:
        secrets: The flow's secrets that exist on this host, read at its start.
        cancel_reason: Set once, when the execution is asked to end early, in this life of the
            daemon or in one before.
        is_forced: Whether it was asked to end without its `finally`.
        output_bytes: How much the outputs of its nodes take together.
        told: Attempts of whose ends the observer has been told in this life of the daemon.
    """

    services: EngineServices
    ends: Ends
    execution: Execution
    spec: FlowSpec
    directories: Directories
    secrets: Mapping[str, SecretValue] = field(default_factory=dict)
    output_bytes: int = 0
    told: set[AttemptKey] = field(default_factory=set)
    cancel_reason: Reason | None = field(init=False)
    is_forced: bool = field(init=False)
    _logs: Path = field(init=False)
    _hidden: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        reason = self.execution.reason
        self.is_forced = reason == Reason.FORCED
        self.cancel_reason = Reason(reason) if reason else None
        if self.is_forced:
            self.cancel_reason = Reason.CANCELLED
        self._logs = log_folder(self.services.folders.logs, self.execution)
        self._hidden = tuple(dict.fromkeys(secret_texts(self.secrets)))

    @property
    def timeout_s(self) -> float:
        """The bound of the execution in seconds."""
        return self.spec.timeout_s or self.services.timeout_s

    @property
    def asked_to_end(self) -> Execution:
        """The execution as it is journaled while it is asked to end: running, with a reason."""
        reason = Reason.FORCED if self.is_forced else self.cancel_reason
        return replace(self.execution, reason=str(reason or ""))

    def tell_end(self, node_type: str, attempt: Attempt) -> None:
        """Tells the observer that an attempt has ended, once.

        Its end may be lost when the disk fails right after it; then it ends once more, as
        interrupted or tried again, when the disk is back.
        """
        if attempt.key not in self.told:
            self.told.add(attempt.key)
            self.services.observer.attempt_ended(node_type, attempt)

    def place(self) -> AbstractAsyncContextManager[None]:
        """Waits for a place among the processes of host and account, and holds it."""
        by_hand = self.execution.cause.is_by_hand
        return self.services.node_slots.place(self.execution.flow.account, by_hand=by_hand)

    def keep_outputs(self, size: int) -> None:
        """Counts the outputs of an attempt that succeeded, in bytes.

        Raises:
            ExecutionError: ``output``: together with those before they are too large.
        """
        if self.output_bytes + size > EXECUTION_LIMIT:
            most = f"{EXECUTION_LIMIT // 1024**2} MiB"
            raise output_error(f"the outputs of all nodes together are larger than {most}")
        self.output_bytes += size

    def hidden_texts(self, *given: Json) -> tuple[str, ...]:
        """Returns the texts to hide: the flow's secrets, and the secret ones of what is given."""
        found = tuple(secret_texts(given)) if given else ()
        return tuple(dict.fromkeys((*self._hidden, *found))) if found else self._hidden

    def open_log(
        self, key: AttemptKey, hidden: Iterable[str], *, is_item: bool = False
    ) -> ClosableSink:
        """Opens the log of an attempt, which hides texts; its file comes with the first line."""
        name, most_bytes = log_name(key, is_item=is_item), self.spec.retention.log_bytes
        return self.services.make_log(self._logs, name, hidden, most_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a part has in common with the run of its execution.

    Attributes:
        contexts: What expressions see, but for status functions and time.
        node_contexts: What `nodes` is in them: entered here as nodes end.
        give_up: Told of faults that keep the execution from being carried on.
    """

    contexts: Mapping[str, Json]
    node_contexts: dict[str, Json]
    writes: PendingWrites
    give_up: Callable[[BaseException], None]


def log_folder(logs: Path, execution: Execution) -> Path:
    """Returns the folder of an execution's logs: by the day it was created, in UTC."""
    return logs / f"{execution.created_at:%Y-%m-%d}" / execution.id


def log_name(key: AttemptKey, *, is_item: bool) -> str:
    """Returns the name of the file of one attempt's log: `<node>[.<item index>].<number>.log`."""
    return f"{attempt_name(key, is_item=is_item)}.log"


def log_path(logs: Path, execution: Execution, key: AttemptKey, *, is_item: bool) -> Path:
    """Returns the file of one attempt's log."""
    return log_folder(logs, execution) / log_name(key, is_item=is_item)

"""What the service shows: values made for reading, still free of any wire format.

The web layer turns them into JSON of the shapes of DESIGN 5; whether a caller may see inputs,
outputs and error details is decided there, by the caller's rights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.model.conditions import Condition
from flowrunner.model.execution import Attempt, Execution, Failure, ItemCounts
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Digest, ExecutionId, FlowKey, Json, Revision
from flowrunner.model.pause import Pause
from flowrunner.model.schedule import DstPolicy
from flowrunner.model.states import ExecutionState, NodeState
from flowrunner.registry.entry import PassResult, PruneHold, RejectedFile
from flowrunner.service.source_views import CommitView, UpstreamView


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerView:
    """One trigger of a flow.

    Attributes:
        next_slot_at: None for anything but an armed schedule.
        cron: The expression of a schedule, as it was written.
        every: The period of a schedule, as a duration.
        timezone: The zone that `cron` speaks of.
        path: Of a webhook, below `/hooks/<account>/`.
        dst: What a schedule with `cron` does when the clock is changed.
        jitter: The most by which a schedule starts later than its slot, as a duration.
        is_enabled: Whether its file lets it start anything.
        path: Of a webhook, below `/hooks/<account>/`; of a file trigger, its glob.
        once_per: What a start trigger starts the flow once for: `boot` or `daemon`.
        flow: The flow whose end starts this one.
        states: Those in which it must have ended.
    """

    id: str
    type: str
    next_slot_at: datetime | None = None
    cron: str | None = None
    every: str | None = None
    timezone: str | None = None
    path: str | None = None
    dst: DstPolicy | None = None
    jitter: str | None = None
    is_enabled: bool = True
    once_per: str | None = None
    flow: str | None = None
    states: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputView:
    """One input that a flow declares; without a default it is required."""

    name: str
    type: str
    required: bool
    default: Json = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastExecution:
    """The newest ended execution of a flow."""

    id: ExecutionId
    state: ExecutionState
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowView:
    """One flow as the API and the command line show it."""

    key: FlowKey
    description: str
    labels: Mapping[str, str]
    path: str
    revision: Revision
    digest: Digest
    generation: int
    observed_generation: int
    conditions: tuple[Condition, ...]
    inputs: tuple[InputView, ...]
    triggers: tuple[TriggerView, ...]
    last_execution: LastExecution | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node of an execution.

    Attributes:
        items: Counts its items; 1 without `foreach`.
    """

    id: str
    type: str
    state: NodeState
    reason: str
    attempts: tuple[Attempt, ...]
    items: ItemCounts
    outputs: Json = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionView:
    """One execution with its nodes; `nodes` is empty in lists.

    Attributes:
        children: What its nodes of type `flow` have started, oldest first; empty in lists.
        files: `pinned`: the files beside the flow are those of its revision; `live`: they are not.
    """

    execution: Execution
    nodes: tuple[NodeView, ...] = ()
    children: tuple[Execution, ...] = ()
    files: str = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line: when it was printed, on which stream, its text."""

    at: datetime
    stream: str
    text: str
    is_partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """Lines of the log of one attempt.

    Attributes:
        item: The index of its item; None without `foreach`.
    """

    node: str
    item: int | None = None
    attempt: int
    lines: tuple[LogEntry, ...]

    @property
    def name(self) -> str:
        """The node, with the index of the item behind it."""
        return self.node if self.item is None else f"{self.node}.{self.item}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCursor:
    """Where to read logs on; opaque to callers.

    Attributes:
        done: For each node in the order of the definition, how many of its attempts were read to
            their ends; nodes without any may be missing at the end.
        offsets: Bytes read of the other log files, by name.
        items: For nodes with `foreach`, by position, which items were read to their ends: from
            the first of these numbers up to the second, which is not among them, and so on.
        tries: How many attempts of other items were read to their ends, by `<position>.<index>`.
    """

    done: tuple[int, ...] = ()
    offsets: Mapping[str, int] = field(default_factory=dict)
    items: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tries: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> tuple[object, ...]:
        """What is equal for equal places."""
        maps = (self.offsets, self.items, self.tries)
        return (self.done, *(tuple(sorted(each.items())) for each in maps))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """What was read of the logs.

    Attributes:
        cursor: Where the next page begins.
        is_complete: True when the execution has ended and everything was read.
        is_removed: True when nothing is there because retention removed it.
    """

    chunks: tuple[LogChunk, ...]
    cursor: LogCursor = field(default_factory=LogCursor)
    is_complete: bool = False
    is_removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """The source and the last pass, as `/api/v1/reconcile` and `status` show them."""

    revision: Revision
    conditions: tuple[Condition, ...]
    last_pass: PassResult | None
    rejected: tuple[RejectedFile, ...]
    hold: PruneHold | None = None
    upstream: UpstreamView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """One check of `/healthz`: `status` is `ok` or `failed`."""

    name: str
    status: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of executions; `next_cursor` is None on the last."""

    items: tuple[ExecutionView, ...]
    next_cursor: ExecutionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """One account at a glance."""

    name: str
    flows: int
    flows_ready: int
    executions_running: int
    executions_queued: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """What `flowrunner status` shows.

    Attributes:
        conditions: Those of the daemon itself.
        commit: That of the revision in force; None: it is none of git's.
        is_observing: Whether it starts nothing, and only records what it would have started.
        schedules_paused: What keeps every schedule from starting anything; None: nothing does.
    """

    version: str
    started_at: datetime
    source: SourceView
    flows: int
    flows_ready: int
    executions_running: int
    executions_queued: int
    checks: tuple[HealthCheck, ...]
    conditions: tuple[Condition, ...] = ()
    accounts: tuple[AccountView, ...] = ()
    is_observing: bool = False
    schedules_paused: Pause | None = None
    commit: CommitView | None = None

"""Records of what happens: executions, their nodes, their attempts, and slots.

Each is a plain value as it is journaled. Who may move one to which state is the engine's
business; how it is kept is the store's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import AttemptKey, Digest, ExecutionId, FlowKey, Json, Revision
from flowrunner.model.states import AttemptState, ExecutionState, NodeState, SlotOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something failed, as shown in `error`: a stable code, a sentence, bounded facts.

    Attributes:
        quotes_data: Whether the message may hold inputs or outputs.
    """

    code: str
    message: str
    details: dict[str, Json] = field(default_factory=dict)
    quotes_data: bool = False


BY_HAND = frozenset({"manual", "retry"})
"""Types of triggers behind which a person waits: their executions come before others."""


RETRIED_TRIGGER = "retried_trigger"
"""Key of the context of a retry: the id of the trigger of the first execution."""

CALLING_FLOW = "flow"
"""Key of the context of a child: the name of the flow that asked for it, `trigger.flow`."""

COMPLETED = "completed"
"""Key of the context of a follower: the id of the execution whose end started it."""

CHAIN_DEPTH = "depth"
"""Key of the context of a follower: how many executions stand before it in its chain of starts."""

FILE_PATH = "path"
"""Key of the context of what a file started: its path, `trigger.path`."""

FOR_A_PERSON = "for_a_person"
"""Key of the context of a child: a person started the execution at the top of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What asked for an execution.

    Attributes:
        trigger_id: The trigger's id in the flow, or `manual`, `retry` or `parent`.
        trigger_type: `manual`, `retry`, or a type of triggers; that of a child is `flow`.
        slot_at: The slot this execution stands for, or repeats; None without one.
        context: What expressions see as `trigger.headers` and `trigger.query` of a delivery, and
            as `trigger.flow` of a child or a follower, and `trigger.path` of a file.
        payload: The raw body of a delivery; None when there is none.
    """

    trigger_id: str
    trigger_type: str
    slot_at: datetime | None = None
    context: dict[str, Json] = field(default_factory=dict)
    payload: bytes | None = None

    @property
    def declared_trigger(self) -> str:
        """The id of the trigger that brought what it brings: for a retry that of the first."""
        return str(self.context.get(RETRIED_TRIGGER, self.trigger_id))

    @property
    def is_slot(self) -> bool:
        """Whether it is how its slot is accounted for."""
        return self.trigger_type == "schedule"

    @property
    def is_by_hand(self) -> bool:
        """Whether a person waits for it, or for what asked for it."""
        return self.trigger_type in BY_HAND or FOR_A_PERSON in self.context


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The attempt that asked for an execution, which is its child.

    Attributes:
        attempt: Its key; the execution that it names may be gone.
        is_waited: Whether it waits for the end of the child.
        depth: How many executions stand above the child, whether they wait or not; 1 or more.
    """

    attempt: AttemptKey
    is_waited: bool
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One run of a flow, as accepted and as it stands.

    `digest`, `revision` and `inputs` are pinned when it is created. `start_key` is unique for as
    long as the execution is kept, and some time longer: a second submission with the same key is
    the same execution (a slot, a delivery).
    `outputs` is its result: None unless it succeeded and its flow declares any. `group` is the
    concurrency group it was accepted for, pinned too: None means the flow's own. `is_forced` says
    that it goes although its flow is held; `retry_of` is the ended execution that it repeats;
    `parent` the attempt that asked for it, where the type of its trigger is `flow`.
    """

    id: ExecutionId
    flow: FlowKey
    state: ExecutionState
    reason: str = ""
    cause: Cause
    start_key: str | None = None
    group: str | None = None
    is_forced: bool = False
    retry_of: ExecutionId | None = None
    parent: Parent | None = None
    revision: Revision
    digest: Digest
    inputs: dict[str, Json] = field(default_factory=dict)
    outputs: dict[str, Json] | None = None
    error: Failure | None = None
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def depth(self) -> int:
        """How many executions stand above it or before it, each started by the one before."""
        if self.parent is not None:
            return self.parent.depth
        return int(self.cause.context.get(CHAIN_DEPTH, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """Where one node of an execution stands; journaled when it becomes final.

    Attributes:
        started_at: When its needs were met and its `if` held, which is `now()` in its expressions;
            an attempt may have begun later. None for a node that did not start.
    """

    execution: ExecutionId
    node: str
    state: NodeState
    reason: str = ""
    outputs: Json = None
    error: Failure | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEnd:
    """What an item of a `foreach` came to, journaled with its last attempt.

    Attributes:
        outputs: What it gave back; None for an item that did not succeed.
    """

    outputs: dict[str, Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCounts:
    """How far a node is with its items; one without `foreach` has one.

    Attributes:
        total: 0 as long as the list is not known.
        failed: Those that failed or timed out for good.
    """

    total: int = 0
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one node, or of one item of it; journaled before its side effect and at its end.

    `exit_code` is None for nodes without a process and for a process killed by a signal, whose
    `reason` is then `signal:SIGKILL` or the like. `item_end` is None unless it is the last attempt
    of an item.
    """

    key: AttemptKey
    state: AttemptState
    reason: str = ""
    exit_code: int | None = None
    error: Failure | None = None
    started_at: datetime
    ended_at: datetime | None = None
    item_end: ItemEnd | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a new execution takes over of an ended one, under its own id: final nodes, attempts."""

    nodes: tuple[NodeStatus, ...] = ()
    attempts: tuple[Attempt, ...] = ()


NOTHING_KEPT = Kept()


class FormerKey(NamedTuple):
    """Another start key that the same may have been accepted under, some time ago.

    Attributes:
        since: When its execution was created at the earliest; an older one counts for nothing.
    """

    start_key: str
    since: datetime


class ScheduleKey(NamedTuple):
    """The identity of a cursor in the slot ledger; a changed schedule begins a new one.

    A schedule that left force and comes back begins anew, too: its old cursor is forgotten.
    """

    flow: FlowKey
    trigger: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRun:
    """Consecutive slots of one schedule with the same outcome, as one row of the ledger.

    `started` never stands here: the execution's own row says it.

    Attributes:
        digest: The version in force when it was decided; None: unknown, or there was none.
        evidence: What the outcome came from, in a few words and small: which rule, who stood in
            the way. It may quote data of a trigger, never a secret.
        revision: That an execution would have had; None as for the digest.
    """

    schedule: ScheduleKey
    outcome: SlotOutcome
    reason: str
    first: datetime
    last: datetime
    count: int
    decided_at: datetime
    digest: Digest | None = None
    evidence: Mapping[str, Json] = field(default_factory=dict)
    revision: Revision | None = None

    def is_continued_by(self, later: SlotRun) -> bool:
        """Whether later slots of the same schedule have the same outcome for the same reason."""
        return _why(self) == _why(later)


def _why(run: SlotRun) -> tuple[object, ...]:
    return (run.outcome, run.reason, run.digest, run.revision, run.evidence)

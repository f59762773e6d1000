"""The states of nodes, attempts and executions, and the reasons that go with them.

States are words of the flow format; reasons are the finer story (`interrupted` is a reason of
`failed`, never a state).
"""

from __future__ import annotations

from enum import StrEnum


class NodeState(StrEnum):
    """`pending → queued → running → succeeded | failed | skipped | cancelled | timed_out`."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows this state."""
        return self not in (NodeState.PENDING, NodeState.QUEUED, NodeState.RUNNING)

    @property
    def is_failure(self) -> bool:
        """Whether `failure()` counts it: failed and timed out, never cancelled."""
        return self in (NodeState.FAILED, NodeState.TIMED_OUT)


class AttemptState(StrEnum):
    """`running → succeeded | failed | cancelled | timed_out`."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class ExecutionState(StrEnum):
    """`queued → running → succeeded | failed | cancelled | timed_out`."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows this state."""
        return self not in (ExecutionState.QUEUED, ExecutionState.RUNNING)


class SlotOutcome(StrEnum):
    """What became of one moment at which a schedule was due."""

    STARTED = "started"
    SKIPPED = "skipped"
    MISSED = "missed"


class Reason(StrEnum):
    """Why a state or an outcome came about; the vocabulary of the engine and the slot ledger."""

    INTERRUPTED = "interrupted"
    EXIT_CODE = "exit_code"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    FINALLY_TIMEOUT = "finally_timeout"
    CANCELLED = "cancelled"
    FORCED = "forced"
    PARENT = "parent"
    DRAINED = "drained"
    FAIL_FAST = "fail_fast"
    IF_FALSE = "if"
    NEEDS = "needs"
    NOT_CHOSEN = "not_chosen"
    KEPT = "kept"
    CONCURRENCY = "concurrency"
    SUPERSEDED = "superseded"
    REPLACED = "replaced"
    DELETED = "deleted"
    NOT_READY = "not_ready"
    DOWN = "down"
    QUEUE_FULL = "queue_full"
    DRAINING = "draining"
    DISK = "disk"
    SUSPENDED = "suspended"
    PAUSED = "paused"
    DISABLED = "disabled"
    OBSERVE = "observe"
    WINDOW = "window"

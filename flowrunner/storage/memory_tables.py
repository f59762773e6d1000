"""What the stores of the backend without a disk share: its tables, and how a write is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import datetime
from typing import TypeVar

from flowrunner.dataclass import dataclass
from flowrunner.errors import StorageError
from flowrunner.model.execution import Attempt, NodeStatus
from flowrunner.model.ids import AttemptKey, ExecutionId
from flowrunner.storage.memory_deliveries import MemoryDeliveries
from flowrunner.storage.memory_marks import MemoryMarks
from flowrunner.storage.memory_slots import SlotTables

T = TypeVar("T")


@dataclass(slots=True)
class Tables(SlotTables):
    """Everything the stores share."""

    keys: dict[str, ExecutionId] = field(default_factory=dict)
    spent_keys: dict[str, tuple[ExecutionId, datetime]] = field(default_factory=dict)
    attempts: dict[ExecutionId, dict[AttemptKey, Attempt]] = field(default_factory=dict)
    nodes: dict[ExecutionId, dict[str, NodeStatus]] = field(default_factory=dict)
    marks: MemoryMarks = field(default_factory=MemoryMarks)
    deliveries: MemoryDeliveries = field(default_factory=MemoryDeliveries)

    def keep(self, attempts: Sequence[Attempt], nodes: Sequence[NodeStatus]) -> None:
        """Records attempts and nodes, all or none."""
        named = {each.key.execution for each in attempts} | {each.execution for each in nodes}
        missing = named - self.executions.keys()
        if missing:
            raise unknown(min(missing))
        for attempt in attempts:
            self.attempts.setdefault(attempt.key.execution, {})[attempt.key] = attempt
        for node in nodes:
            self.nodes.setdefault(node.execution, {})[node.node] = node


def conflict(message: str) -> StorageError:
    """Returns the error of a write that does not fit what is there."""
    return StorageError(message, code="storage.conflict")


def unknown(execution_id: ExecutionId) -> StorageError:
    """Returns the error of a write to an execution that is not there."""
    return conflict(f"the execution {execution_id} is unknown")


def done(write: Callable[[], T]) -> asyncio.Future[T]:
    """Writes at once and returns a future that says how it went."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        result = write()
    except StorageError as error:
        future.set_exception(error)
    else:
        future.set_result(result)
    return future

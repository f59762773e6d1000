"""What the engine tells others: metrics, logs. An observer must be quick and must not fail."""

from __future__ import annotations

from typing import Protocol

from flowrunner.model.execution import Attempt, Execution


class EngineObserver(Protocol):
    """Told of each change after it is decided; called in the event loop."""

    def execution_queued(self, execution: Execution) -> None:
        """An execution was accepted and waits."""

    def execution_started(self, execution: Execution) -> None:
        """An execution left the queue, or never had to wait."""

    def execution_resumed(self, execution: Execution) -> None:
        """An execution goes on that an earlier life of the daemon started and told."""

    def execution_ended(self, execution: Execution) -> None:
        """An execution reached a final state; it may never have started."""

    def attempt_ended(self, node_type: str, attempt: Attempt) -> None:
        """An attempt ended; told at once, and once for each attempt in a life of the daemon.

        When the end was lost with a failing disk, the journal has a later one: `interrupted`, or
        that of the same attempt tried again.
        """

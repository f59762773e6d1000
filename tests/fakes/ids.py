"""Identifiers that a test can foretell."""

from __future__ import annotations

from flowrunner.model.ids import ExecutionId


def sequential_id(number: int) -> ExecutionId:
    """The `number`-th id of `SequentialIds`, from 1: a well-formed UUIDv7 that counts."""
    return ExecutionId(f"00000000-0000-7000-8000-{number:012x}")


class SequentialIds:
    """Counts from 1."""

    def __init__(self) -> None:
        self._made = 0

    def execution_id(self) -> ExecutionId:
        self._made += 1
        return sequential_id(self._made)

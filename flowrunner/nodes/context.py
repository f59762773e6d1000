"""What an attempt knows about its surroundings: one frozen value, made by the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from datetime import datetime
from logging import LoggerAdapter
from pathlib import Path
from typing import Any, Protocol

from flowrunner.dataclass import dataclass
from flowrunner.model.flow import ValueType
from flowrunner.model.ids import AttemptKey, FlowKey, Json, attempt_name
from flowrunner.model.process import PLAIN_PROCESS, ProcessSpec
from flowrunner.model.secret import SecretValue
from flowrunner.system.clock import Clock
from flowrunner.system.output import OutputSink


class AttemptSink(OutputSink, Protocol):
    """Where an attempt's output goes: what its process prints, and notes of the node itself."""

    def note(self, text: str) -> None:
        """Adds a line to the log; text is masked like any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directories:
    """The folders of an execution.

    Attributes:
        work: `$WORK_DIR`, shared by its nodes, the current directory.
        flow: `$FLOW_DIR`, the folder of the flow file.
        private: What else it has on disk: `work` and what is of one attempt alone.
    """

    work: Path
    flow: Path
    private: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionContext:
    """One attempt's view of the world.

    Attributes:
        is_item: Whether it is of an item of a `foreach`.
        env: The flow's and the node's `env`, resolved; secrets still masked and always
            texts, None removes.
        upstream: What expressions see as `nodes`: the nodes that have ended, by id.
        secrets: The flow's secrets by name.
        hidden: What must not be seen: the texts of those secrets and of every secret value in
            `env` and params. The log hides them; who writes elsewhere masks them
            (`flowrunner.nodes.messages`).
        process: How its process is started; `stdin` there is not resolved.
        stdin: What it reads, resolved; None: nothing.
        declared_outputs: Types of the outputs the node declares.
        success_exit_codes: The exit codes of its process that are no failure.
        started_at: When the attempt began, on the wall clock; in an earlier life of the daemon for
            a type whose attempts survive its end.
        deadline: When the attempt's `timeout` strikes; None without one.
        kill_after_s: Seconds between the polite and the final signal.
        payload: Raw body of the delivery that started the execution, if one did.
        place: Waits for a place among the processes of the host, and holds it. A type that starts
            processes and survives a restart asks for each; for the others the engine does.
    """

    flow: FlowKey
    key: AttemptKey
    node_type: str
    inputs: Mapping[str, Json]
    upstream: Mapping[str, Json]
    is_item: bool = False
    env: Mapping[str, str | SecretValue | None] = field(default_factory=dict)
    secrets: Mapping[str, SecretValue] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    process: ProcessSpec = PLAIN_PROCESS
    stdin: str | SecretValue | None = None
    declared_outputs: Mapping[str, ValueType] = field(default_factory=dict)
    success_exit_codes: frozenset[int] = frozenset({0})
    slot_at: datetime | None = None
    started_at: datetime
    deadline: datetime | None = None
    kill_after_s: float = 10.0
    payload: bytes | None = None
    directories: Directories
    place: Callable[[], AbstractAsyncContextManager[None]]
    sink: AttemptSink
    logger: LoggerAdapter[Any]
    clock: Clock

    @property
    def tmp(self) -> Path:
        """`$TMPDIR`, for this attempt alone.

        Its script, `$FLOW_OUTPUT` and payload stand beside it, under names that begin with its
        name and a dot. Joined on demand: most types never ask.
        """
        return self.directories.private / attempt_name(self.key, is_item=self.is_item)

    @property
    def account(self) -> str:
        """The account that owns the flow."""
        return self.flow.account

"""The protocol of a node type, what it may return and how it fails.

A node type is one object that carries out every node of its type: it holds no state of an
execution. The engine resolves expressions, bounds the time, journals and retries; a node does
its work and returns outputs, or raises `ExecutionError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from flowrunner.dataclass import dataclass
from flowrunner.errors import ExecutionError
from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.context import ExecutionContext


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamProblem:
    """What the schema of params cannot say: a message and a hint for the value at `path`."""

    path: tuple[str | int, ...]
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """What a successful attempt gives back."""

    outputs: Mapping[str, Json] = field(default_factory=dict)
    exit_code: int | None = None


class NodeFailedError(ExecutionError):
    """An attempt whose process ended badly.

    Attributes:
        exit_code: None when a signal ended it.
        reason: `exit_code`, or `signal:SIGKILL` and the like.
        outputs: What it had written until then.
    """

    default_code = "node_failed"

    def __init__(
        self,
        message: str,
        *,
        exit_code: int | None,
        reason: str,
        outputs: Mapping[str, Json] | None = None,
        final: bool = False,
    ) -> None:
        super().__init__(message, details={"exit_code": exit_code, "reason": reason}, final=final)
        self.exit_code = exit_code
        self.reason = reason
        self.outputs = outputs or {}


class EndedBeforeError(ExecutionError):
    """What an attempt waited for was ended for it, by the attempt itself in an earlier life.

    So the time of an attempt with a `timeout` was up, whatever a clock that was set back meanwhile
    leaves of it.
    """


class LeftError(Exception):
    """The daemon stops before what an attempt waits for has ended: it is left to the next life.

    No failure, so no `FlowError`: the attempt stays in the journal as it is.
    """


class Node(Protocol):
    """A node type.

    Attributes:
        type: The word in `type:`.
        schema: JSON Schema of `params`; `x-expression: true` marks the strings that may hold
            expressions, `x-secret: true` beside it those whose expressions may use secrets,
            `x-condition: true` those that are a condition, in the place of which the node gets a
            call that tells its truth, `x-moment: true` those that are an RFC 3339 time or an
            expression that gives one, with or without the wrapper, `x-interpreted: true` text
            that an interpreter parses.
        is_shell_like: Whether it starts a process of the flow's author: such nodes take `env`
            and `outputs`, and `kill_after` reaches them through `defaults`.
        acts_outside: Whether it does anything beyond this process, so that it may take long or
            fail for a while: `timeout` and `retry` reach it through `defaults`.
        on_interrupt: What becomes of an attempt that the daemon's end cut short, unless the node
            says it: `rerun` for types that may act twice.
        survives_restart: Whether such an attempt simply goes on in the next life of the daemon,
            where another may follow at all: `ExecutionContext.started_at` is the first one's. Such
            a type takes a place for each process that it starts: `ExecutionContext.place`.
        output_names: Names of its outputs where they do not depend on params; None when params
            or declarations decide.
    """

    def __hash__(self) -> int:
        """Tells it from others: what follows from its schema is worked out once."""

    @property
    def type(self) -> str:
        """The word in `type:`."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of `params`."""

    @property
    def is_shell_like(self) -> bool:
        """Whether it starts a process of the flow's author."""

    @property
    def acts_outside(self) -> bool:
        """Whether it does anything beyond this process."""

    @property
    def on_interrupt(self) -> OnInterrupt:
        """What becomes of an attempt that the daemon's end cut short."""

    @property
    def survives_restart(self) -> bool:
        """Whether an attempt goes on after a restart."""

    @property
    def output_names(self) -> frozenset[str] | None:
        """Names of its outputs, or None when params or declarations decide."""

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """Returns what is wrong with literal params beyond the schema; reads nothing."""

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Carries out one attempt with resolved params.

        Where the schema says `x-secret` a value may be a `SecretValue`: reveal it at the last
        moment.

        Cancellation is how a timeout, a cancel and a stop arrive: clean up, then let
        `CancelledError` pass.

        Raises:
            ExecutionError: The attempt failed; `final` when another could not help.
        """

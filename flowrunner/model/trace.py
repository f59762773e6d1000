"""What the trace of an execution says: values made for reading, cut to a bounded size.

Working it out is the business of `flowrunner.engine.tracing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from flowrunner.dataclass import dataclass
from flowrunner.model.execution import Attempt, Failure
from flowrunner.model.expressions.explain import Came
from flowrunner.model.ids import ExecutionId, Json
from flowrunner.model.states import NodeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A value for reading.

    Attributes:
        value: JSON; `***` stands for whatever is made of a secret.
        is_cut: Whether something was left out: texts end in `…` there, lists and maps early.
        error: Why there is no value; empty when there is one.
    """

    value: Json = None
    is_cut: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedExpression:
    """An expression or a part of one.

    Attributes:
        text: As it was written.
        came: Whether it has a value.
        value: None unless it has one.
        error: Why it has none, where that began.
        parts: What stands below it, literals left out.
    """

    text: str
    came: Came
    value: Shown | None = None
    error: str = ""
    parts: tuple[TracedExpression, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCase:
    """A case of a switch, and what became of its condition."""

    goto: str
    when: TracedExpression


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedChoice:
    """A switch.

    Attributes:
        chosen: The node that it chose; None as long as there is none.
    """

    cases: tuple[TracedCase, ...]
    default: str | None
    chosen: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedItem:
    """What an item of a `foreach` was given."""

    index: int
    item: Shown
    params: Mapping[str, Shown]
    env: Mapping[str, Shown] | None = None
    stdin: Shown | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedAttempt:
    """An attempt, and what followed from its end.

    Attributes:
        verdict: Why another one followed, or none; empty where that is no question.
        retry_if: The `if` of `retry`, where it was asked.
        delay_s: Seconds until the next one that `retry` asks for; None where none follows.
        delay_is_longest: Whether chance (`jitter`) may have taken something off it.
    """

    attempt: Attempt
    verdict: str = ""
    retry_if: TracedExpression | None = None
    delay_s: float | None = None
    delay_is_longest: bool = False


class NodeWaitKind(StrEnum):
    """What a node may wait for."""

    NEEDS = "needs"
    PLACE = "place"
    DELAY = "delay"
    TIME = "time"
    WORK = "work"
    EXECUTION = "execution"
    CARRIER = "carrier"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWait:
    """What a node waits for that has not ended.

    Attributes:
        nodes: The first of the nodes that must end before.
        executions: The first of the children that must.
        until: When it goes on; at the latest then, where chance is involved.
    """

    kind: NodeWaitKind
    message: str
    nodes: tuple[str, ...] = ()
    executions: tuple[ExecutionId, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTrace:
    """One node.

    Attributes:
        is_final_part: Whether it is one of `finally`.
        ended_as: Its place in the order of ends, from 1; None until it has ended.
        now: What `now()` is in its expressions; None as long as it is not judged.
        why: Why it was skipped or cut; empty where its state, reason and error say all.
        condition: Its `if`; None without one.
        params: None until it has begun; a switch has a `choice` instead.
        env: Of a process: the flow's and its own.
        item_count: How many items a `foreach` has; None without, or where that is not known.
        items: Some of them: those that failed and those that are open come first.
        doubts: Where what was worked out contradicts what happened, and so cannot be right.
    """

    id: str
    type: str
    is_final_part: bool
    state: NodeState
    reason: str
    needs: tuple[str, ...]
    ended_as: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    now: datetime | None = None
    why: str = ""
    wait: NodeWait | None = None
    condition: TracedExpression | None = None
    params: Mapping[str, Shown] | None = None
    env: Mapping[str, Shown] | None = None
    stdin: Shown | None = None
    choice: TracedChoice | None = None
    item_count: int | None = None
    items: tuple[TracedItem, ...] = ()
    attempts: tuple[TracedAttempt, ...] = ()
    outputs: Shown | None = None
    error: Failure | None = None
    doubts: tuple[str, ...] = field(default=())

"""Triggers without a clock and without a request: a start of the daemon, the end of a flow, a file.

Each starts its flow exactly once for what it waits for; how that is remembered over a restart is
for `flowrunner.triggers` to say. Source: FLOW_FORMAT 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from flowrunner.dataclass import dataclass
from flowrunner.model.expressions import Template
from flowrunner.model.globs import Glob
from flowrunner.model.ids import Json
from flowrunner.model.states import ExecutionState


class OncePer(StrEnum):
    """What a trigger of type `start` starts its flow once for."""

    BOOT = "boot"
    DAEMON = "daemon"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTrigger:
    """`type: start`: starts the flow when the daemon starts, or when it first does after a boot.

    Attributes:
        is_enabled: Whether it starts anything.
    """

    id: str
    once_per: OncePer
    is_enabled: bool = True
    condition: Template | None = None
    inputs: Mapping[str, Template | Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTrigger:
    """`type: flow`: starts the flow when an execution of another one has ended.

    Attributes:
        is_enabled: Whether it starts anything.
        flow: The name of the other flow, of the same account.
        states: The states in which that one must have ended.
    """

    id: str
    flow: str
    states: frozenset[ExecutionState] = frozenset({ExecutionState.SUCCEEDED})
    is_enabled: bool = True
    condition: Template | None = None
    inputs: Mapping[str, Template | Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTrigger:
    """`type: file`: starts the flow for each new content of a file.

    Attributes:
        is_enabled: Whether it starts anything.
        path: An absolute glob, as written; `glob` is what it says.
        settle_s: How long a file must stay as it is before it counts.
    """

    id: str
    path: str
    glob: Glob
    settle_s: float
    is_enabled: bool = True
    condition: Template | None = None
    inputs: Mapping[str, Template | Json] = field(default_factory=dict)


EventTrigger = StartTrigger | FlowTrigger | FileTrigger

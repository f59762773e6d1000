"""What the registry holds about one flow, and about the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Digest, FlowKey, Json, Revision

NO_REVISION = Revision("")
"""The revision of what was never read."""


class Bar(NamedTuple):
    """Why a flow may not start on this host, whatever its file says."""

    reason: ConditionReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEntry:
    """One flow: the version in force, and what its file says now.

    Attributes:
        path: The file that claims the name, relative to the root of the flows.
        spec: The version in force; None for a flow that never was valid.
        content: Hash of the file's latest content that could be read; after a restart that of the
            version in force, empty if it is not known.
        generation: Grows with each new content, unless it only says the same in other words;
            after a restart it goes on from the version in force.
        observed_generation: The generation in force; 0 for a flow that never was valid.
        missing_secrets: Secrets the flow needs and this host does not have.
        refused_user: Why a user that it names cannot be on this host; empty if it can.
        bar: What its account may not; None where nothing is in the way.
        findings: Of the latest content, warnings included.
    """

    key: FlowKey
    path: str
    spec: FlowSpec | None = None
    definition: Mapping[str, Json] = field(default_factory=dict)
    revision: Revision = NO_REVISION
    content: str = ""
    generation: int = 1
    observed_generation: int = 0
    missing_secrets: tuple[str, ...] = ()
    refused_user: str = ""
    bar: Bar | None = None
    findings: tuple[Finding, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def digest(self) -> Digest:
        """Digest of the version in force; empty for a flow that never was valid."""
        return self.spec.digest if self.spec else Digest("")

    def condition(self, kind: ConditionType) -> Condition | None:
        """Returns one condition."""
        return next((c for c in self.conditions if c.type is kind), None)

    @property
    def is_ready(self) -> bool:
        """Whether the condition `Ready` is true."""
        ready = self.condition(ConditionType.READY)
        return ready is not None and ready.status is Status.TRUE


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedFile:
    """A file that is no flow in force, with what is wrong with it."""

    path: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """How a reconcile pass ended.

    Attributes:
        trigger: `start`, `watch`, `resync`, `signal` or `command`.
        result: `applied`, `unchanged`, `held` (source missing, empty or unstable, or too
            much deleted) or `failed`.
        errors: Number of findings that keep a file out.
    """

    trigger: str
    result: str
    revision: Revision
    started_at: datetime
    duration_s: float
    added: int = 0
    updated: int = 0
    removed: int = 0
    errors: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneHold:
    """Flows that would leave and are held until a person approves that.

    Attributes:
        revision: What the source was when they were missed; an approval is for this one alone.
        flows: All that an approval lets go, sorted.
        message: How many of how many, and how to approve.
    """

    revision: Revision
    reason: ConditionReason
    flows: tuple[FlowKey, ...]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """What is known of the source of the flows.

    Attributes:
        fresh_at: When a pass last read the whole source, monotonic seconds; None before.
        hold: What waits for an approval; None when nothing does.
    """

    revision: Revision = NO_REVISION
    conditions: tuple[Condition, ...] = ()
    last_pass: PassResult | None = None
    fresh_at: float | None = None
    rejected: tuple[RejectedFile, ...] = ()
    hold: PruneHold | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the condition `SourceReady` is true."""
        kinds = {c.type: c.status for c in self.conditions}
        return kinds.get(ConditionType.SOURCE_READY) is Status.TRUE

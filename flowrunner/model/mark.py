"""Marks: small durable notes of triggers, `sla` and `notify`, kept together with an execution.

A mark says of one thing that it is done with (a file that was taken, a boot, a breach that was
counted) or that it is still to be done (a completion whose follower has not started, a notice that
was not sent). A change of marks and what it belongs to, mostly an execution, are one transaction,
so that no crash comes between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import NamedTuple

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import FlowKey


class MarkKind(StrEnum):
    """Whose mark it is; each kind is written and read by one module."""

    START = "start"
    COMPLETION = "completion"
    FILE = "file"
    SLA = "sla"
    BACKFILL = "backfill"
    NOTICE = "notice"
    ALARM = "alarm"


class MarkKey(NamedTuple):
    """What a mark is about.

    Attributes:
        trigger: The id of a trigger; empty where it is about the whole flow.
        name: Which of the things that a trigger has to do with.
    """

    kind: MarkKind
    flow: FlowKey
    trigger: str
    name: str


NO_FLOW = FlowKey("", "")
"""Stands in the key of a mark that is about the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkChange:
    """Marks that come, in the place of earlier ones, and marks that go; those first."""

    put: Mapping[MarkKey, str] = field(default_factory=dict)
    drop: frozenset[MarkKey] = frozenset()


NO_MARKS = MarkChange()
"""Nothing changes."""

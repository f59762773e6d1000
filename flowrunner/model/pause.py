"""Pauses: what keeps a flow from starting that does not stand in its file."""

from __future__ import annotations

from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Digest, FlowKey

ALL_SCHEDULES = FlowKey("*", "*")
"""Stands in the place of a flow for the pause of all schedules; no flow can have this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A flow that is paused.

    Attributes:
        reason: What a person said about it; may be empty.
        uid: The user who asked for it; None: nobody did, its failures were too many in a row.
        until: When it ends by itself; None: when somebody resumes the flow.
        digest: The version whose failures led to it, and with which it ends; None: any.
    """

    at: datetime
    reason: str = ""
    uid: int | None = None
    until: datetime | None = None
    digest: Digest | None = None

    @property
    def is_automatic(self) -> bool:
        """Whether failures led to it."""
        return self.digest is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRecord:
    """What is kept of a flow that is or was paused.

    Attributes:
        pause: None while it is not paused.
        cleared_at: Failures up to here are not counted any more; None: all count.
    """

    pause: Pause | None = None
    cleared_at: datetime | None = None

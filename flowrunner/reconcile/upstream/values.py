"""What is known of a pulled repository: commits, the last sync, the pin."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from flowrunner.dataclass import dataclass
from flowrunner.model.conditions import ConditionReason
from flowrunner.model.ids import Revision
from flowrunner.registry.entry import NO_REVISION


class SyncOutcome(StrEnum):
    """How a sync ended; a closed set, for it is a label."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    PINNED = "pinned"
    REFUSED = "refused"
    FAILED = "failed"


GOOD = frozenset({SyncOutcome.PUBLISHED, SyncOutcome.UNCHANGED, SyncOutcome.PINNED})
"""Outcomes of syncs that reached the repository and found nothing wrong."""

_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit as a person knows it; all its texts are of strangers, and bounded.

    Attributes:
        is_verified: Whether its signature, or that of its tag, was asked for and is good.
    """

    revision: Revision
    author: str
    subject: str
    committed_at: str
    is_verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A commit that was put in place, and when."""

    commit: Commit
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A revision that stays until it is unpinned.

    Attributes:
        uid: Who asked for it, as a number of the system; None when it is not known.
    """

    revision: Revision
    at: datetime
    uid: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """How a sync ended.

    Attributes:
        newest: The commit that the repository has now; empty when that is not known.
        reason: Why it was refused or failed; `Synced` otherwise.
    """

    outcome: SyncOutcome
    at: datetime
    newest: Revision = NO_REVISION
    reason: ConditionReason = ConditionReason.SYNCED
    message: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the repository was reached and nothing is wrong with it."""
        return self.outcome in GOOD


class RefusedRevisionError(Exception):
    """A revision must not be read; the one in force stays."""

    def __init__(self, reason: ConditionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def bounded_text(text: str) -> str:
    """Returns a text of a stranger, at most 200 characters of it, all of which can be seen."""
    seen = (char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return "".join(seen)[:_LONGEST_TEXT]

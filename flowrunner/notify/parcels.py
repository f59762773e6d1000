"""Messages on their way, and those of a channel that are set aside so that others get past them.

A channel may fail for all messages, or for one: a program that stumbles over it, a receiver with a
slip of its own. Which it is shows when another one is tried. So a message that keeps failing is set
aside, to be tried again by itself; once others have got past it often enough it is at fault, not
the channel.
"""

from __future__ import annotations

from dataclasses import field

from flowrunner.dataclass import dataclass
from flowrunner.notify.line import Batch
from flowrunner.notify.message import Message

TRIES_IN_PLACE = 5
"""Tries that fail, one after the other, before a message is set aside."""

MOST_PASSED = 3
"""Tries of a message that failed although others had got past it; then it is refused."""


@dataclass(slots=True, kw_only=True)
class Parcel:
    """A message on its way.

    Attributes:
        batch: What it was made of.
        tries: How often it was tried.
        passed: How many of its tries failed although others had arrived since the one before.
        arrived: How many messages of the channel had arrived at its latest try.
        due: When it is tried again, monotonic seconds.
    """

    batch: Batch
    message: Message
    tries: int = 0
    passed: int = 0
    arrived: int = 0
    due: float = 0.0


@dataclass(slots=True)
class Course:
    """How a channel has done, and what is set aside of it.

    Attributes:
        tries: Those that failed since a message has arrived.
        arrived: How many messages have arrived in all.
        failing: The ids of the messages that failed since one has arrived.
    """

    tries: int = 0
    arrived: int = 0
    failing: set[str] = field(default_factory=set)
    _aside: list[Parcel] = field(default_factory=list)

    def note_arrival(self) -> None:
        """Learns that a message has arrived: those that failed beside it are tried at once."""
        self.arrived += 1
        if self.tries:
            self.tries = 0
            self.failing.clear()
            for parcel in self._aside:
                if not parcel.passed:
                    parcel.due = 0.0

    def note_failure(self, parcel: Parcel) -> None:
        """Learns that a message has not arrived."""
        self.tries += 1
        self.failing.add(parcel.message.id)
        if parcel.tries > TRIES_IN_PLACE and self.arrived > parcel.arrived:
            parcel.passed += 1
        parcel.arrived = self.arrived

    def may_pass(self, parcel: Parcel) -> bool:
        """Whether it is time to try others first."""
        return max(self.tries, parcel.tries) >= TRIES_IN_PLACE

    def set_aside(self, parcel: Parcel) -> None:
        """Keeps a message until it is due."""
        self._aside.append(parcel)

    def take(self, now: float) -> Parcel | None:
        """Takes out the message that is due first; None if none is due yet."""
        due = min(self._aside, key=lambda parcel: parcel.due, default=None)
        if due is None or due.due > now:
            return None
        self._aside.remove(due)
        return due

    def wait_s(self, now: float) -> float | None:
        """Returns in how many seconds a message is due; None if none is set aside."""
        return min((max(parcel.due - now, 0.0) for parcel in self._aside), default=None)

    def renew(self) -> None:
        """Lets all be tried at once: the channel is another one."""
        for parcel in self._aside:
            parcel.due, parcel.passed = 0.0, 0

    def empty(self) -> Batch:
        """Takes out all that is set aside."""
        parcels, self._aside = self._aside, []
        return tuple(kept for parcel in parcels for kept in parcel.batch)

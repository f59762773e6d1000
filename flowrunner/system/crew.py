"""A few processes of our own that share work of one kind, which Python does one thing at a time.

Pieces of work go to them by pipe, answers come back the same way; what a piece means, its senders
know. What somebody does not answer comes back undone: whoever asked does it himself. The processes
are `flowrunner.system.local_crew`, their side is `flowrunner.system.crew_member`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from typing import Protocol

MOST_MEMBERS = 4
"""More would wait for the one who asks, who has something to do for each answer too."""

Answers = Generator[bytes | None, None, None]


class Crew(Protocol):
    """Carries out pieces of work, some at a time."""

    def carry(self, works: Iterable[bytes]) -> Answers:
        """Yields the answer to each piece, in order; None where there is none.

        Takes pieces some way ahead of the answers. Blocks. With the close of what it returns, all
        ends that was started for it.
        """


class NoCrew:
    """Nobody: all work comes back undone."""

    def carry(self, works: Iterable[bytes]) -> Answers:
        """Yields None for each piece."""
        for _ in works:
            yield None


NO_CREW: Crew = NoCrew()


def members_here() -> int:
    """Returns how many processes are worth it: none where there is one processor for us."""
    found = len(os.sched_getaffinity(0))
    return min(found, MOST_MEMBERS) if found > 1 else 0

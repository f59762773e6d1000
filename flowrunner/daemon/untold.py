"""What serves nodes where nobody is told anything: when a file is tried out.

The node succeeds, as it would with channels that work, and its log says that nothing was sent.
"""

from __future__ import annotations

from flowrunner.nodes.telling import Letter, Saying

_WHY = "NOT SENT, which only a daemon does"


class Untold:
    """Meets `TellsPeople`; sends nothing."""

    async def tell(self, saying: Saying) -> str:
        """Returns what the log of the node says."""
        return f"{_WHY} (channels {', '.join(saying.channels)})"

    async def mail(self, letter: Letter) -> str:
        """Returns what the log of the node says."""
        to = ", ".join((*letter.to, *letter.cc, *letter.bcc)) or "the receivers of the channel"
        return f"{_WHY} (channel {letter.channel}, to {to})"

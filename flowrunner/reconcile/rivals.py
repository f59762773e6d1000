"""Who else claims what a file claims, in a few words: thousands of copies must stay readable."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 3


def others(own: str, claimants: Sequence[str]) -> str:
    """Returns the first claimants beside one's own name, and how many more there are.

    Args:
        own: One of the claimants.
        claimants: All of them, sorted, each once. Only the first ones are looked at.
    """
    first = [name for name in claimants[: _MOST + 1] if name != own][:_MOST]
    more = len(claimants) - 1 - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")

"""Links to folders outside the root: they are not entered, and that is said once, by name.

A link that is meant as a flow file has a finding of its own. One to a folder may lead to scripts as
well as to flows, so it is no fault; but whoever put flows behind it would look for them in vain.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from flowrunner.reconcile.names import is_considered, is_hidden, is_ignored
from flowrunner.system.files import WalkEntry

_LOG = logging.getLogger(__name__)
_MOST_NAMES = 20


class OutwardLinks:
    """Remembers which links it has told of."""

    def __init__(self) -> None:
        self._told: frozenset[str] = frozenset()

    def tell(self, entries: Iterable[WalkEntry], ignored: tuple[str, ...]) -> None:
        """Logs those among the names that are new since the last time; not files of flows."""
        found = frozenset(
            entry.path for entry in entries if entry.escapes and _counts(entry, ignored)
        )
        if news := sorted(found - self._told):
            more = f" and {len(news) - _MOST_NAMES} more" if len(news) > _MOST_NAMES else ""
            names = ", ".join(map(repr, news[:_MOST_NAMES]))
            _LOG.info("source.links_not_followed: outside of the flows: %s%s", names, more)
        self._told = found


def _counts(entry: WalkEntry, ignored: tuple[str, ...]) -> bool:
    path = entry.path
    is_left_out = is_hidden(path) or is_ignored(path.split("/"), ignored)
    return not (is_considered(entry) or is_left_out)

"""Which items of a `foreach` a reader of logs has done with: a few ranges, however many they are.

Items start in order and some at a time, so those that are read lie together but for the few that
are at work: what has to be remembered grows with `max_parallel`, not with the list.
"""

from __future__ import annotations

from bisect import bisect_right

from flowrunner.service.views import LogCursor


class ReadItems:
    """What a cursor says of items, and what a page adds.

    Attributes:
        ranges: As `LogCursor.items`.
        tries: As `LogCursor.tries`.
    """

    def __init__(self, cursor: LogCursor) -> None:
        self.ranges = dict(cursor.items)
        self.tries = dict(cursor.tries)

    def is_done(self, position: int, item: int, number: int, *, is_last: bool) -> bool:
        """Whether the log of an attempt of an item was read to its end."""
        if bisect_right(self.ranges.get(str(position), ()), item) % 2:
            return True
        is_read = number <= self.tries.get(f"{position}.{item}", 0)
        if is_read and is_last:  # which was not known when it was read
            self._close(position, item)
        return is_read

    def note(self, position: int, item: int, number: int, *, is_last: bool) -> bool:
        """Counts an attempt as read, and returns so, when those of its item before it are."""
        name = f"{position}.{item}"
        if self.tries.get(name, 0) != number - 1:
            return False
        if is_last:
            self._close(position, item)
        else:
            self.tries[name] = number
        return True

    def _close(self, position: int, item: int) -> None:
        self.tries.pop(f"{position}.{item}", None)
        borders = list(self.ranges.get(str(position), ()))
        for border in (item, item + 1):  # one that stands there already joins two ranges
            at = bisect_right(borders, border)
            if at and borders[at - 1] == border:
                del borders[at - 1]
            else:
                borders.insert(at, border)
        self.ranges[str(position)] = tuple(borders)

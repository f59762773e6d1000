"""Finds any of many texts in bytes: which, and where, at the speed of a few scans.

`bytes.find` for each text is the fastest way for a few. A private key is a hundred texts, each line
in several forms: then a sample of the data at regular distances is looked up among all samples
that the texts can give. The distance is such that no occurrence escapes it, and only the texts of
which a sample was seen are searched for. What the texts are is left to
`flowrunner.secrets.forms`.

The work is linear in the data for given texts.
"""

from __future__ import annotations

import heapq
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

_SAMPLE = 8
"""Bytes of a sample: one integer of the format `Q`."""

_DISTANCES = (56, 24, 8)
"""Bytes between two samples, for texts of at least `_SAMPLE` - 1 bytes more."""

_WORTH_A_SAMPLE = {56: 3, 24: 6, 8: 17}
"""Texts from which on sampling at a distance costs less than searching for each (measured)."""

_TAIL = 256
"""Bytes at the end of the data in which every position is looked at for the begin of a text."""

_Found: TypeAlias = tuple[int, bytes]


class Searcher:
    """Finds texts; of those that begin at the same byte the longest. Immutable.

    Args:
        texts: None is empty.
    """

    def __init__(self, texts: Iterable[bytes]) -> None:
        ordered = sorted(set(texts))
        self._longer = _by_root(ordered)
        self._groups, self._few = _grouped(self._longer)
        # A text that begins another one says nothing more of where something may begin.
        pairs = pairwise([*ordered, b""])
        whole = [text for text, following in pairs if not following.startswith(text)]
        self._long = [text for text in whole if len(text) > _TAIL]
        self._by_first: dict[int, list[bytes]] = {}
        for text in whole:
            self._by_first.setdefault(text[0], []).append(text)
        self._reach = min(max(map(len, whole), default=1) - 1, _TAIL)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to find."""
        return not self._longer

    def occurs_in(self, data: bytes) -> bool:
        """Whether one of the texts stands in some data."""
        return any(root in data for root in self._seen(data))

    def found_in(self, data: bytes) -> Matches:
        """Returns the places in some data at which a text stands, to be taken from the left."""
        found = ((data.find(root), root) for root in self._seen(data))
        return Matches(data, [each for each in found if each[0] != -1], self._longer)

    def pending_from(self, data: bytes, start: int) -> int:
        """Returns the first index from `start` on at which a text may have begun.

        That is: the rest of `data` is a proper prefix of a text. Else the length of `data`.
        """
        pending = len(data)
        for text in self._long:
            head, at = text[:_TAIL], max(start, len(data) - len(text) + 1)
            while (at := data.find(head, at, pending)) != -1:
                if text.startswith(data[at:]):
                    pending = at
                    break
                at += 1
        for at in range(max(start, len(data) - self._reach), pending):
            rest = data[at:]
            for text in self._by_first.get(rest[0], ()):
                if len(text) > len(rest) and text.startswith(rest):
                    return at
        return pending

    def _seen(self, data: bytes) -> Iterator[bytes]:
        """Yields every root that may stand in the data, and few others."""
        yield from self._few
        if self._groups:
            samples = memoryview(data)[: len(data) - len(data) % _SAMPLE].cast("Q")
            seen: set[bytes] = set()
            for distance, roots in self._groups:
                for sample in roots.keys() & samples[:: distance // _SAMPLE]:
                    seen.update(roots[sample])
            yield from seen


class Matches:
    """The places of texts in some data, from the left; those skipped are not told."""

    def __init__(
        self, data: bytes, first: list[_Found], longer: dict[bytes, tuple[bytes, ...]]
    ) -> None:
        self._data = data
        self._heap = first
        self._longer = longer
        heapq.heapify(first)

    def next_from(self, start: int, end: int) -> tuple[int, int] | None:
        """Returns begin and end of the first match that begins at or after `start` before `end`.

        `start` never decreases from call to call.
        """
        heap, data = self._heap, self._data
        while heap and heap[0][0] < end:
            at, root = heap[0]
            if at >= start:
                text = next(each for each in self._longer[root] if data.startswith(each, at))
                return at, at + len(text)
            at = data.find(root, start)
            if at == -1:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (at, root))
        return None


def _by_root(ordered: list[bytes]) -> dict[bytes, tuple[bytes, ...]]:
    """Returns the texts by the shortest one with which they begin, the longest first."""
    found: dict[bytes, list[bytes]] = {}
    root = None
    for text in ordered:
        if root is None or not text.startswith(root):
            root = text
        found.setdefault(root, []).append(text)
    return {root: tuple(sorted(texts, key=len, reverse=True)) for root, texts in found.items()}


def _grouped(
    roots: Iterable[bytes],
) -> tuple[list[tuple[int, dict[int, list[bytes]]]], list[bytes]]:
    """Returns the roots found by samples, by distance, and those searched for one by one."""
    rest = sorted(roots, key=len)
    groups: list[tuple[int, dict[int, list[bytes]]]] = []
    few: list[bytes] = []
    for distance in _DISTANCES:
        at = bisect_left(rest, distance + _SAMPLE - 1, key=len)
        rest, group = rest[:at], rest[at:]
        if len(group) < _WORTH_A_SAMPLE[distance]:
            few += group
        else:
            groups.append((distance, _samples(group, distance)))
    return groups, rest + few


def _samples(roots: Iterable[bytes], distance: int) -> dict[int, list[bytes]]:
    """Returns every sample that a root can give, however it lies to the distances."""
    found: dict[int, list[bytes]] = {}
    for root in roots:
        for at in range(distance):
            sample = int.from_bytes(root[at : at + _SAMPLE], sys.byteorder)
            found.setdefault(sample, []).append(root)
    return found

"""Many new files are compiled ahead by a crew of processes, and taken from there when read.

A reading hands its files through here before it asks its reader for them. What comes back from
the crew is what the daemon's cache keeps of a file, and its definition; for whatever does not
come back the reader compiles itself, so a crew can save time and change nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Protocol, TypeVar

from flowrunner.definitions.ahead_wire import Ask, Compiled, batch_of, can_be_sent, compiled_in
from flowrunner.system.crew import Crew

MANY = 500
"""Files from which on a crew takes less time than its processes take to begin."""

_BATCH_FILES = 32
_BATCH_BYTES = 128 * 1024
"""A piece of work for one process; a larger file is one by itself."""

T = TypeVar("T")


class Ahead(Protocol):
    """Has files compiled before they are asked for."""

    def through(
        self, items: Iterable[T], ask_of: Callable[[T], Ask | None], count: int
    ) -> Iterator[T]:
        """Yields the same items in the same order, each when all is known of it that will be.

        Args:
            items: What is read; taken some way ahead.
            ask_of: Tells the file of an item; None if nothing need be known of it.
            count: How many there are, about.
        """


class NotAhead:
    """Compiles nothing."""

    def through(
        self,
        items: Iterable[T],
        ask_of: Callable[[T], Ask | None],  # noqa: ARG002 - none is asked
        count: int,  # noqa: ARG002 - as above
    ) -> Iterator[T]:
        """Yields the items."""
        yield from items


NOT_AHEAD: Ahead = NotAhead()


class CrewAhead:
    """Meets `Ahead` over a crew; `take` gives what it knows.

    Args:
        crew: Answers batches as `ahead_wire` says.
        many: Files from which on it is asked.
    """

    def __init__(self, crew: Crew, many: int = MANY) -> None:
        self._crew = crew
        self._many = many
        self._compiled: dict[str, Compiled] = {}

    def through(
        self, items: Iterable[T], ask_of: Callable[[T], Ask | None], count: int
    ) -> Iterator[T]:
        """Has files compiled while those before them are worked on."""
        if count < self._many:
            yield from items
            return
        sent, rest = deque[tuple[list[T], list[Ask]]](), list[T]()

        def works() -> Iterator[bytes]:
            for some, asks in _batches(items, ask_of):
                if asks:
                    sent.append((some, asks))
                    yield batch_of(asks)
                else:
                    rest.extend(some)

        with closing(self._crew.carry(works())) as answers:
            for answer in answers:
                some, asks = sent.popleft()
                self._compiled = compiled_in(answer, asks)
                yield from some
        self._compiled = {}
        yield from rest

    def take(self, file: str, key: bytes) -> Compiled | None:
        """Returns what a file compiled to, once; None unless it was this text in this place."""
        found = self._compiled.pop(file, None)
        return found if found is not None and found.line.key == key else None


def _batches(
    items: Iterable[T], ask_of: Callable[[T], Ask | None]
) -> Iterator[tuple[list[T], list[Ask]]]:
    """Yields items that go together, and the files among them; the last ones may be without."""
    some, asks, size = list[T](), list[Ask](), 0
    for item in items:
        some.append(item)
        ask = ask_of(item)
        if ask is None or not can_be_sent(ask):
            continue
        asks.append(ask)
        size += len(ask.data)
        if len(asks) == _BATCH_FILES or size >= _BATCH_BYTES:
            yield some, asks
            some, asks, size = [], [], 0
    if some:
        yield some, asks

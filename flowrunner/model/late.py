"""A sequence that is made when somebody looks into it: most flows wait for hours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Late(Sequence[T], Generic[T]):
    """Stands for the tuple that `make` returns, and keeps it from the first look on.

    `make` must return the same at any time; it may be called twice by two threads.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], tuple[T, ...]]) -> None:
        self._make: Callable[[], tuple[T, ...]] | None = make
        self._made: tuple[T, ...] = ()

    @property
    def made(self) -> tuple[T, ...]:
        """The tuple."""
        make = self._make
        if make is not None:
            self._made = make()
            self._make = None
        return self._made

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        """Returns one or some."""
        return self.made[index]

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self.made)

    def __iter__(self) -> Iterator[T]:
        """Iterates as the tuple does."""
        return iter(self.made)

    def __eq__(self, other: object) -> bool:
        """Whether the tuples are equal."""
        if self is other:
            return True
        return self.made == (other.made if isinstance(other, Late) else other)

    def __hash__(self) -> int:
        """Returns the hash of the tuple."""
        return hash(self.made)

    def __repr__(self) -> str:
        """Shows the tuple."""
        return repr(self.made)

"""Sequences and mappings made when somebody looks into them: most flows wait for hours.

Both ask `make` for what they stand for, by the word `of`, so that what belongs to one flow can
share it. It must return the same at any time, and may be called twice by two threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Late(Sequence[T], Generic[T]):
    """Stands for the tuple that `make` returns, and keeps it from the first look on."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[str], tuple[T, ...]], of: str) -> None:
        self._make = make
        self._made: str | tuple[T, ...] = of

    @property
    def made(self) -> tuple[T, ...]:
        """The tuple."""
        made = self._made
        if isinstance(made, str):
            made = self._made = self._make(made)
        return made

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


class LateMapping(Mapping[str, T], Generic[T]):
    """Stands for the dictionary that `make` returns, likewise."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[str], dict[str, T]], of: str) -> None:
        self._make = make
        self._made: str | dict[str, T] = of

    @property
    def made(self) -> dict[str, T]:
        """The dictionary."""
        made = self._made
        if isinstance(made, str):
            made = self._made = self._make(made)
        return made

    def __getitem__(self, key: str) -> T:
        """Returns one value."""
        return self.made[key]

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self.made)

    def __iter__(self) -> Iterator[str]:
        """Iterates as the dictionary does."""
        return iter(self.made)

    def __eq__(self, other: object) -> bool:
        """Whether the dictionaries are equal."""
        if self is other:
            return True
        return self.made == (other.made if isinstance(other, LateMapping) else other)

    __hash__ = None  # type: ignore[assignment]  # as of every mapping

    def __repr__(self) -> str:
        """Shows the dictionary."""
        return repr(self.made)

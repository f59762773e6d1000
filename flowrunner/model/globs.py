"""Globs of triggers of type `file`: which names below which folder are meant. Pure.

`*`, `?` and `[…]` stand for characters of one name, `**` for any number of folders. As in a shell a
name that begins with a dot is never meant.
Source: POSIX.1-2024, XCU 2.14 "Pattern Matching Notation"; `**` as bash's `globstar` has it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from flowrunner.dataclass import dataclass

MOST_FOLDERS = 16
"""How deep `**` looks. Source: FLOW_FORMAT 1, which looks for flows as deep."""

_SPECIAL = frozenset("*?[")
_ANY = "**"


class GlobError(ValueError):
    """A text is not a glob of files; `hint` says what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """A glob in two parts.

    Attributes:
        base: The absolute folder below which it looks; nothing in it is special.
        parts: What a path relative to that must be, name by name.
    """

    base: str
    parts: tuple[str, ...]

    @property
    def depth(self) -> int:
        """Of how many names a path below the folder may consist."""
        return MOST_FOLDERS if _ANY in self.parts else len(self.parts)

    def matches(self, path: str) -> bool:
        """Whether a path relative to the folder is meant."""
        return len(self.parts) in self._after(path)

    def leads(self, folder: str) -> bool:
        """Whether something that is meant may lie in a folder, relative to that of the glob."""
        return any(place < len(self.parts) for place in self._after(folder))

    def _after(self, path: str) -> set[int]:
        """Returns the places of the parts that may follow a path; none for one not meant."""
        at = self._reached({0})
        names = path.split("/")
        if any(name.startswith(".") for name in names):
            return set()
        for name in names:
            after = {place for place in at if self._is_any(place)}
            after |= {
                place + 1
                for place in at
                if place < len(self.parts) and _is_meant(name, self.parts[place])
            }
            at = self._reached(after)
        return at

    def _is_any(self, place: int) -> bool:
        return place < len(self.parts) and self.parts[place] == _ANY

    def _reached(self, places: set[int]) -> set[int]:
        """Returns the places with those behind a `**` that stands for nothing."""
        found = set(places)
        for place in range(len(self.parts)):
            if place in found and self._is_any(place):
                found.add(place + 1)
        return found


def parse_glob(text: str) -> Glob:
    """Returns the glob that a text is.

    Raises:
        GlobError: It is not absolute, or a name in it is none.
    """
    if not text.startswith("/"):
        hint = "write the path from /, for example /srv/inbox/*.csv"
        raise GlobError("the path of files must be absolute", hint)
    names = text[1:].split("/")
    for name in names:
        if name in ("", ".", "..") or "\0" in name:
            raise GlobError("the path has an empty name, or one of only dots, in it")
        if _ANY in name and name != _ANY:
            raise GlobError(f"** must stand for whole folders, not in {name!r}", "write /**/")
    if names[-1] == _ANY:
        names.append("*")
    first = next((i for i, name in enumerate(names) if not _SPECIAL.isdisjoint(name)), len(names))
    split = min(first, len(names) - 1)
    hidden = next((name for name in names[split:] if name.startswith(".")), None)
    if hidden is not None:
        raise GlobError(f"{hidden!r} begins with a dot: such names are not looked at")
    return Glob(base="/" + "/".join(names[:split]), parts=tuple(names[split:]))


def is_inside(path: str, folder: str) -> bool:
    """Whether an absolute path is a folder or lies below it, by their names."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _is_meant(name: str, part: str) -> bool:
    return part != _ANY and fnmatchcase(name, part)

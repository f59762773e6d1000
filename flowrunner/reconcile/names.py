"""Which names below the root are meant as flow files or defaults: the rules, without I/O.

What editors leave behind (`a.yaml~`, `#a.yaml#`, `.a.yaml.swp`, `4913`) needs no rule of its
own: none of it ends in `.yaml`, or it begins with a dot. Source: FLOW_FORMAT, section 1.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from flowrunner.definitions.folder_defaults import DEFAULTS_FILE
from flowrunner.system.files import FileKind, WalkEntry

IGNORE_FILE = ".flowrunnerignore"
_SUFFIXES = (".yaml", ".yml")
_TEST_SUFFIXES = (".test.yaml", ".test.yml")


def is_considered(entry: WalkEntry, ignored: tuple[str, ...] = ()) -> bool:
    """Whether a name below the root is meant as a flow file; `ignored` as `patterns_of` has it."""
    path = entry.path
    if entry.stat.kind is FileKind.FOLDER or not path.endswith(_SUFFIXES):
        return False
    if path.endswith(_TEST_SUFFIXES) or is_hidden(path):
        return False
    return not (ignored and is_ignored(path.split("/"), ignored))


def is_defaults(entry: WalkEntry, ignored: tuple[str, ...] = ()) -> bool:
    """Whether a name below the root is the `_defaults.yaml` of a folder that may hold flows."""
    if not entry.path.endswith(DEFAULTS_FILE):  # first, for it is asked of every name
        return False
    folders, _, name = entry.path.rpartition("/")
    if entry.stat.kind is FileKind.FOLDER or name != DEFAULTS_FILE or is_hidden(folders):
        return False
    return not is_ignored(entry.path.split("/"), ignored)


def patterns_of(text: str) -> tuple[str, ...]:
    """Returns the patterns of an ignore file: its lines less comments and empty ones."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def is_hidden(path: str) -> bool:
    """Whether a part of a path begins with a dot or `_`."""
    return path.startswith((".", "_")) or "/." in path or "/_" in path


def is_ignored(parts: list[str], patterns: tuple[str, ...]) -> bool:
    """Whether the last pattern that fits says so; one that begins with `!` takes names back."""
    fitting = [p for p in patterns if _matches(parts, p.removeprefix("!"))]
    return bool(fitting) and not fitting[-1].startswith("!")


def _matches(parts: list[str], pattern: str) -> bool:
    """Whether a pattern names a path, given in parts, or one of its folders.

    As in `.gitignore`: a pattern with a slash before its end begins at the root, another fits at
    any depth; a slash at the end means folders only; `*` stays within one part.
    """
    wanted = pattern.strip("/").split("/")
    names = parts[:-1] if pattern.endswith("/") else parts
    if "/" not in pattern.rstrip("/"):
        return any(fnmatchcase(name, wanted[0]) for name in names)
    pairs = zip(names, wanted, strict=False)
    return len(wanted) <= len(names) and all(fnmatchcase(name, want) for name, want in pairs)

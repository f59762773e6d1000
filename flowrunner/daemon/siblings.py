"""Flow files that a file names and that lie beside it, for `flowrunner run FILE`.

Without a daemon there is no account to look through: a flow that a node names is looked for in the
file of its name, `NAME.yaml` or `NAME.yml`, in the same folder, and so on from there.
"""

from __future__ import annotations

from pathlib import Path

from flowrunner.daemon.offline import read_flow
from flowrunner.model.flow import FlowSpec
from flowrunner.reconcile.scan import Scanner, UnstableSourceError

_ENDINGS = (".yaml", ".yml")


def files_called(scanner: Scanner, path: Path) -> list[Path]:
    """Returns the files of the flows that a flow starts, directly or through others, sorted."""
    found: dict[str, Path] = {}
    open_names = _names(_spec(scanner, path))
    while open_names:
        name = open_names.pop()
        if name in found:
            continue
        for file in (path.with_name(f"{name}{ending}") for ending in _ENDINGS):
            spec = _spec(scanner, file)
            if spec is not None and spec.key.name == name and not _is_same(file, path):
                found[name] = file
                open_names |= _names(spec) - found.keys()
                break
    return sorted(found.values())


def _names(spec: FlowSpec | None) -> set[str]:
    return set() if spec is None else {*spec.references.waits_for, *spec.references.starts}


def _spec(scanner: Scanner, path: Path) -> FlowSpec | None:
    """Returns the flow of a file; None when there is none, or none without errors."""
    try:
        return read_flow(scanner, path, path.name).candidate.spec
    except (UnstableSourceError, OSError):
        return None


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()

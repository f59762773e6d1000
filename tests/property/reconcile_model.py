"""A small model of what the source means: names, versions, protection, the guard of deletions.

It is written from the words of the format, as short as they can be said, and shares no code with
`flowrunner.reconcile`. One account, flows of a handful of names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["good", "broken", "nameless"]
FEWEST = 5


class Content(NamedTuple):
    """What a file says; of a nameless one the name cannot be told.

    Attributes:
        version: Another one for each text that was written.
        cadence: Of its schedule, in days; 0: none.
    """

    kind: Kind
    name: str
    version: int
    is_protected: bool = False
    is_suspended: bool = False
    cadence: int = 0


class Flow(NamedTuple):
    """A flow of the model: whose it is, and what is in force of it, if anything."""

    path: str
    good: Content | None


Files: TypeAlias = Mapping[str, Content]
Flows: TypeAlias = Mapping[str, Flow]


@dataclass(frozen=True)
class Outcome:
    """What a pass leaves.

    Attributes:
        left: The flows that count as gone until somebody approves.
        held: The flows that wait for an approval.
    """

    flows: Flows
    left: frozenset[str]
    held: frozenset[str] = frozenset()


def outcome(
    files: Files, flows: Flows, left: frozenset[str], released: AbstractSet[str] = frozenset()
) -> Outcome:
    """Returns what a pass over the files makes of what was in force.

    Args:
        files: All of the source.
        flows: What was in force.
        left: What has left since somebody approved.
        released: What an approval lets go.
    """
    if not files and not flows.keys() <= released:
        return Outcome(flows, left, frozenset(flows))
    owners = _owners(files, flows)
    is_certain = all(content.kind != "nameless" for content in files.values())
    after: dict[str, Flow] = {}
    kept: set[str] = set()
    missed: set[str] = set()
    for name in flows.keys() | owners.keys():
        old, path = flows.get(name), owners.get(name)
        is_bound = old is not None and bool(old.good and old.good.is_protected)
        if path is not None:
            new = _newest(files[path], old)
            if is_bound and old and name not in released and new and not new.is_protected:
                kept.add(name)
                new = old.good
            after[name] = Flow(path, new)
        elif old is not None and (name in _contested(files) or not is_certain):
            after[name] = old
        elif old is not None and is_bound and name not in released:
            missed.add(name)
            after[name] = old
    return _guarded(flows, Outcome(after, left), missed, kept, released)


def _guarded(
    flows: Flows,
    wanted: Outcome,
    missed: AbstractSet[str],
    kept: AbstractSet[str],
    released: AbstractSet[str],
) -> Outcome:
    """Holds everything when too much would be gone at once; else takes note of what left."""
    armed = {name for name, flow in flows.items() if flow.good}
    removed = flows.keys() - wanted.flows.keys()
    came = {
        name
        for name, flow in wanted.flows.items()
        if flow.good and (name not in armed or flow.good != flows[name].good)
    }
    if not removed and not missed and not kept and not (wanted.left and came):
        return wanted
    approved = armed | wanted.left
    gone = approved - (wanted.flows.keys() - missed)
    if (
        ((removed & armed) | missed) - released
        and len(gone) >= FEWEST
        and 2 * len(gone) > len(approved)
    ):
        return Outcome(flows, wanted.left - flows.keys(), frozenset(gone | missed | kept))
    left = (wanted.left | (removed & armed)) - wanted.flows.keys() - released
    replaced = sorted(left)[: len(came - armed - wanted.left)]
    return Outcome(wanted.flows, left - set(replaced), frozenset(missed | kept))


def _newest(content: Content, old: Flow | None) -> Content | None:
    if content.kind == "good":
        return content
    return old.good if old else None


def _claims(files: Files) -> dict[str, set[str]]:
    claims: defaultdict[str, set[str]] = defaultdict(set)
    for path, content in files.items():
        if content.kind != "nameless":
            claims[content.name].add(path)
    return claims


def _contested(files: Files) -> set[str]:
    return {name for name, paths in _claims(files).items() if len(paths) > 1}


def _owners(files: Files, flows: Flows) -> dict[str, str]:
    """Returns the file of each name: the incumbent's, else that of the only one who claims it."""
    claims = _claims(files)
    for path, content in files.items():
        if content.kind == "nameless":
            for name in [name for name, flow in flows.items() if flow.path == path]:
                claims.setdefault(name, set()).add(path)
    owners: dict[str, str] = {}
    for name, paths in claims.items():
        old = flows.get(name)
        if old is not None and old.path in paths:
            owners[name] = old.path
        elif len(paths) == 1:
            owners[name] = min(paths)
    return owners

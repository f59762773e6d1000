"""Which nodes a `switch` names, read from its params: the graph and its checks ask here.

The node type itself is not needed for this, only its params: `cases: [{when, goto}]` and
`default`. What a choice does to the nodes is the engine's. Source: FLOW_FORMAT 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Json

SWITCH = "switch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way out of a switch.

    Attributes:
        path: Where the name stands, below the node.
        when: The condition of a case; None for `default`.
        target: The node that is named.
    """

    path: tuple[str | int, ...]
    when: Json = None
    target: str


def choices(raw: Mapping[str, Json]) -> tuple[Choice, ...]:
    """Returns the ways out of a node in the order in which they are tried; none if no switch."""
    params = raw.get("params")
    if raw.get("type") != SWITCH or not isinstance(params, Mapping):
        return ()
    return tuple(_choices(params))


def _choices(params: Mapping[str, Json]) -> Iterator[Choice]:
    cases = params.get("cases")
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        target = case.get("goto") if isinstance(case, Mapping) else None
        if isinstance(target, str):
            path = ("params", "cases", index, "goto")
            yield Choice(path=path, when=case.get("when"), target=target)
    if isinstance(params.get("default"), str):
        yield Choice(path=("params", "default"), target=params["default"])


def naming_switches(nodes: Sequence[Mapping[str, Json]]) -> dict[int, tuple[str, ...]]:
    """Returns for each node that a switch above it names the ids of those switches, in order."""
    if not any(raw.get("type") == SWITCH for raw in nodes):
        return {}  # as most flows are
    named: dict[str, list[str]] = {}
    found: dict[int, tuple[str, ...]] = {}
    for index, raw in enumerate(nodes):
        if raw["id"] in named:
            found[index] = tuple(dict.fromkeys(named[raw["id"]]))
        for choice in choices(raw):
            named.setdefault(choice.target, []).append(raw["id"])
    return found

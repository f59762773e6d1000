"""Which nodes can ever start, foretold without running anything. Pure, without positions.

Cautious, so that no node that may start is ever called dead: what depends on data may be true or
false, nodes are taken to end independently of each other, and everything that starts may fail.
Certain are constants, `fail`, which never succeeds, and status functions that have nothing to
speak about. Source: FLOW_FORMAT 4, `if`, `switch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, auto

from flowrunner.dataclass import dataclass
from flowrunner.definitions.build import node_type
from flowrunner.definitions.checks.needs import NeedsGraph
from flowrunner.definitions.checks.texts import Texts
from flowrunner.definitions.switches import SWITCH, choices, naming_switches
from flowrunner.model.expressions import (
    ALWAYS,
    EITHER,
    NEVER,
    ExpressionSyntaxError,
    Outlook,
    outlook_of,
)
from flowrunner.model.ids import Json


class Cause(Enum):
    """Why a node never starts."""

    CONDITION = auto()
    NEEDS = auto()
    NOT_CHOSEN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadNode:
    """A node that never starts.

    Attributes:
        index: Its place in the list of nodes.
        need: For `NEEDS`, the id of the need at fault.
        need_starts: Whether that need may start, and so never succeeds.
    """

    index: int
    cause: Cause
    need: str = ""
    need_starts: bool = False


_SUCCESS, _FAILURE, _LEFT_OUT = 1, 2, 4
"""How a node may end, as those that need it see it; skipped by its own `if` is a success.

Bits of a plain integer: flags of `enum` take longer than all the rest of the foretelling.
"""


_DECIDING = frozenset({"fail", SWITCH})
"""Types that decide who runs; without them and without conditions every node may."""

_ANY = _SUCCESS | _FAILURE | _LEFT_OUT


def dead_nodes(nodes: list[dict[str, Json]], graph: NeedsGraph, texts: Texts) -> Iterator[DeadNode]:
    """Yields the nodes that never start, in the order of the file; none where needs are at odds."""
    if not all(_may_succeed(node, texts) for node in nodes):
        yield from foretold(nodes, graph, texts)


def foretold(nodes: list[dict[str, Json]], graph: NeedsGraph, texts: Texts) -> Iterator[DeadNode]:
    """Yields what `dead_nodes` does, with a look at each node together with its needs."""
    names_exist = all(name in graph.by_id for names in graph.names for name in names)
    if graph.cycles() or not names_exist or len(graph.by_id) != len(nodes):
        return
    found = _Foretelling(nodes, graph, texts)
    yield from sorted(found.dead, key=lambda dead: dead.index)


def _may_succeed(raw: dict[str, Json], texts: Texts) -> bool:
    """Whether a node by itself may start and may succeed, as it then does beside such nodes."""
    outlook = ALWAYS
    if "if" in raw:
        try:
            _, (uses,) = texts.parsed(text := _text(raw["if"]), is_bare=True)
            if uses.status_calls:
                return False
            outlook = texts.outlook(text)
        except ExpressionSyntaxError:
            return False
    # One that fails whenever it starts is a success where its own condition leaves it out.
    return True in outlook and (raw.get("type") not in _DECIDING or _may_be_left_out(raw, outlook))


def _may_be_left_out(raw: dict[str, Json], outlook: Outlook) -> bool:
    return raw.get("type") != SWITCH and False in outlook


class _Foretelling:
    """Goes through the nodes, each behind those that it needs."""

    def __init__(self, nodes: list[dict[str, Json]], graph: NeedsGraph, texts: Texts) -> None:
        self._nodes = nodes
        self._texts = texts
        self._by_id = graph.by_id
        self._needs = graph.names
        self._named = naming_switches(nodes)
        self._chosen = {name for node in nodes for name in _live_targets(node, texts)}
        self._ends = [_ANY] * len(nodes)
        self.dead: list[DeadNode] = []
        for index in graph.order:
            self._foretell(index)

    def _foretell(self, index: int) -> None:
        raw = self._nodes[index]
        success = self._success(index)
        own, asks = self._condition(index, success)
        is_named = index in self._named
        never_chosen = is_named and not asks and raw["id"] not in self._chosen
        if asks:
            starts, skips, passes = True in own, False in own, False
        else:
            starts = True in success and True in own
            skips, passes = True in success and False in own, False in success
        if never_chosen:
            self.dead.append(DeadNode(index=index, cause=Cause.NOT_CHOSEN))
            self._ends[index] = _LEFT_OUT
            return
        if not starts:
            self.dead.append(self._why(index, success))
        self._ends[index] = _end(
            raw, starts=starts, skips=skips, left_out=passes or is_named, has_if="if" in raw
        )

    def _success(self, index: int) -> Outlook:
        """Returns what `success()` may say; where there is a switch, some needs may be left out."""
        ends = [self._ends[self._by_id[name]] for name in self._needs[index]]
        enough = _SUCCESS | _LEFT_OUT if self._named else _SUCCESS
        possible = all(end & enough for end in ends)
        possible &= not ends or any(end & _SUCCESS for end in ends)
        certain = all(end == _SUCCESS for end in ends)
        if certain:
            return ALWAYS
        return EITHER if possible else NEVER

    def _condition(self, index: int, success: Outlook) -> tuple[Outlook, bool]:
        """Returns the truths of a node's own `if`, and whether it asks for the state of needs."""
        raw = self._nodes[index]
        if "if" not in raw:
            return ALWAYS, False
        text = _text(raw["if"])
        try:
            _, (uses,) = self._texts.parsed(text, is_bare=True)
            if not uses.status_calls:  # then nothing about the needs takes part in it
                return self._texts.outlook(text), False
        except ExpressionSyntaxError:
            return EITHER, True
        before = EITHER if self._needs[index] else NEVER
        known = {"success": success, "failure": before, "skipped": before}
        known |= {"always": ALWAYS, "cancelled": NEVER}  # a cancel ends what has not begun
        return outlook_of(uses.expression.tree, lambda name: known.get(name, EITHER)), True

    def _why(self, index: int, success: Outlook) -> DeadNode:
        """Blames the condition where it would be false whatever became of the needs."""
        whatever, _ = self._condition(index, EITHER)
        if success != NEVER or True not in whatever:
            return DeadNode(index=index, cause=Cause.CONDITION)
        names = self._needs[index]
        need = next(n for n in names if not self._ends[self._by_id[n]] & _SUCCESS)
        is_dead = any(dead.index == self._by_id[need] for dead in self.dead)
        return DeadNode(index=index, cause=Cause.NEEDS, need=need, need_starts=not is_dead)


def _end(raw: dict[str, Json], *, starts: bool, skips: bool, left_out: bool, has_if: bool) -> int:
    can_succeed = node_type(raw) != "fail" or raw.get("continue_on_error", False) is not False
    can_succeed |= "foreach" in raw  # the list may be empty
    end = 0
    if skips or (starts and can_succeed):
        end |= _SUCCESS
    if starts or (has_if and isinstance(raw["if"], str)):
        end |= _FAILURE
    return end | _LEFT_OUT if left_out else end


def _live_targets(raw: dict[str, Json], texts: Texts) -> Iterator[str]:
    """Yields the nodes that a switch can choose: a case that is always true ends the search."""
    for choice in choices(raw):
        outlook = EITHER
        if choice.when is not None:
            with suppress(ExpressionSyntaxError):
                outlook = texts.outlook(_text(choice.when))
        if outlook != NEVER:
            yield choice.target
        if outlook == ALWAYS:
            return


def _text(value: Json) -> str:
    """Returns the text of an `if` or `when`, which may be written as `true` or `false`."""
    return value if isinstance(value, str) else str(value).lower()

"""What nodes and executions must come to, worked out from what their attempts came to.

A small second reading of FLOW_FORMAT 4, over the text of a flow as the simulation wrote it; it
shares no code with the product. It knows the few expressions that `node_texts.py` writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flowrunner.model.ids import Json
from tests.simulation.many import Items, judge_items
from tests.simulation.retrying import Try, judge_tries

_FAILED = ("failed", "timed_out")
_RAN = ("succeeded", *_FAILED)
_ASKS = re.compile(r"\b(always|failure|success|skipped|cancelled)\(\)")
_FACT = re.compile(r"nodes\.(\w+)\.(state|exit_code) (==|!=) '?(\w+)'?")
KEPT = "kept"
"""The reason of a node whose result was taken over by a retry."""

_STORE = "storage."
"""Begins the reasons of nodes whose execution was given up because the journal failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One final node, as the journal has it.

    Attributes:
        items: For a node with `foreach` that has run; its `tries` are those of the item at fault.
    """

    state: str
    reason: str = ""
    chosen: str | None = None
    tries: Sequence[Try] = ()
    items: Items | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An ended execution.

    Attributes:
        asked: Why it was asked to end before its nodes had; empty when it was not.
        is_forced: Whether its `finally` was to be left out.
        is_wished: Whether somebody wanted it cancelled, whatever he was answered.
        state: In which it ended.
    """

    flow: Mapping[str, Json]
    nodes: Mapping[str, Seen]
    asked: str = ""
    is_forced: bool = False
    is_wished: bool = False
    state: str


@dataclass(slots=True)
class _Graph:
    """The nodes of a flow by name, with their needs and the switches that name them."""

    nodes: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    finals: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    needs: dict[str, list[str]] = field(default_factory=dict)
    named_by: dict[str, list[str]] = field(default_factory=dict)


def graph_of(flow: Mapping[str, Json]) -> _Graph:
    """Reads a flow; `needs` that are omitted are the node above, or the switches that name it."""
    graph = _Graph()
    for part, nodes in (("nodes", graph.nodes), ("finally", graph.finals)):
        above: list[str] = []
        for node in flow.get(part, ()):
            name = node["id"]
            graph.needs[name] = node.get("needs", graph.named_by.get(name, above))
            nodes[name], above = node, [name]
            for target in _targets(node):
                graph.named_by.setdefault(target, []).append(name)
    return graph


def _targets(node: Mapping[str, Json]) -> list[str]:
    if node.get("type") != "switch":
        return []
    params = node["params"]
    found = [*(case["goto"] for case in params.get("cases", ())), params.get("default")]
    return [target for target in dict.fromkeys(found) if target is not None]


def misfits(case: Case) -> Iterator[str]:
    """Yields what of an ended execution is not as the flow format says."""
    if any(seen.reason.startswith(_STORE) for seen in case.nodes.values()):
        return  # the store failed it, on paper
    yield from _Judge(case).misfits()


class _Judge:
    """Judges one ended execution; all its nodes are final."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._graph = graph_of(case.flow)
        self._seen = case.nodes

    def misfits(self) -> Iterator[str]:
        for name, node in self._graph.nodes.items():
            is_cut = bool(self._case.asked) or self._case.is_wished
            yield from self._misfits_of(name, node, self._of_node(name, node), is_cut=is_cut)
        for name, node in self._graph.finals.items():
            is_cut = self._case.is_forced or any(
                self._seen[final].reason == "finally_timeout" for final in self._graph.finals
            )
            yield from min(
                (
                    [*self._misfits_of(name, node, self._of_final(node, asked), is_cut=is_cut)]
                    for asked in self._asked_by_then()
                ),
                key=len,
            )
        if (wanted := self._wanted_state()) != self._case.state:
            yield f"it is {self._case.state}, by its nodes it must be {wanted}"

    def _misfits_of(
        self, name: str, node: Mapping[str, Json], skip: str | None, *, is_cut: bool
    ) -> Iterator[str]:
        """Compares a node with why it must be skipped; None: it must not."""
        seen = self._seen[name]
        if seen.state == "cancelled":
            if not is_cut:
                yield f"{name} is cancelled ({seen.reason}), and nothing has ended it"
            return
        if skip is not None:
            if (seen.state, seen.reason) != ("skipped", skip):
                yield f"{name} is {seen.state} ({seen.reason}), it must be skipped ({skip})"
            return
        if seen.state == "skipped":
            yield f"{name} is skipped ({seen.reason}), it must run"
            return
        if seen.reason == KEPT:
            return  # judged when it ran
        if seen.items is not None:
            told_of_items = judge_items(node, seen.state, seen.items, is_cut=is_cut)
            yield from (f"{name} {told}" for told in told_of_items)
            return
        yield from (f"{name} {told}" for told in judge_tries(node, seen.tries, is_cut=is_cut))
        if seen.tries and seen.state != seen.tries[-1].state:
            yield f"{name} is {seen.state}, its last attempt {seen.tries[-1].state}"
        chooses = node.get("type") == "switch" and seen.state == "succeeded"
        if chooses and seen.chosen != (wanted := self._choice(node)):
            yield f"{name} has chosen {seen.chosen}, it must choose {wanted}"

    # Why a node is skipped

    def _of_node(self, name: str, node: Mapping[str, Json]) -> str | None:
        """Returns why a node must be skipped; it was decided before anything was cut."""
        condition = node.get("if")
        asks = condition is not None and _ASKS.search(condition)
        if (not asks or self._is_left_out(name)) and (obstacle := self._obstacle(name)):
            return obstacle
        statuses = {
            "always": True,
            "success": self._obstacle(name) is None,
            "failure": any(map(self._is_failure, self._ancestors(name))),
            "skipped": any(self._seen[n].state == "skipped" for n in self._graph.needs[name]),
            "cancelled": False,
        }
        return None if condition is None or self._holds(condition, statuses) else "if"

    def _asked_by_then(self) -> tuple[str, ...]:
        """Returns what may have asked for the end when a node of `finally` was decided.

        A cancel by force comes in the midst of `finally` too, and takes the place of a time-out.
        A failing disk may lose a wish to cancel, and keep the ends of the nodes that it ended.
        Who makes way for another is asked with the commit that lets the other in, and hears of it
        a moment later: until then its nodes may have come to their own ends.
        """
        asked = self._case.asked
        if self._case.is_forced:
            return ("", "timeout", asked)
        if self._case.is_wished and not asked:
            return ("", "cancelled")
        ended = (self._seen[name].state for name in self._graph.nodes)
        is_late = asked == "replaced" and "cancelled" not in ended
        return ("", asked) if is_late else (asked,)

    def _of_final(self, node: Mapping[str, Json], asked: str) -> str | None:
        condition = node.get("if")
        ended = [self._seen[name] for name in self._graph.nodes]
        has_failed = any(map(self._is_failure, self._graph.nodes))
        statuses = {
            "always": True,
            "success": not has_failed and all(seen.state != "cancelled" for seen in ended),
            "failure": has_failed or asked == "timeout",
            "skipped": any(seen.state == "skipped" for seen in ended),
            "cancelled": asked not in ("", "timeout"),
        }
        return None if condition is None or self._holds(condition, statuses) else "if"

    def _obstacle(self, name: str) -> str | None:
        if self._is_left_out(name):
            return "not_chosen"
        needs = self._graph.needs[name]
        reasons = {self._seen[need].reason for need in needs if not self._passes(need)}
        if not reasons:
            return None
        if reasons != {"not_chosen"}:
            return "needs"
        return None if any(self._seen[need].state in _RAN for need in needs) else "not_chosen"

    def _is_left_out(self, name: str) -> bool:
        switches = self._graph.named_by.get(name, [])
        has_choice = bool(switches) and all(map(self._passes, switches))
        return has_choice and all(self._seen[switch].chosen != name for switch in switches)

    def _passes(self, name: str) -> bool:
        """Whether a node counts as succeeded for those that need it."""
        seen = self._seen[name]
        if seen.state == "skipped":
            return seen.reason == "if"
        return seen.state == "succeeded" or (seen.state in _FAILED and self._is_tolerated(name))

    def _is_tolerated(self, name: str) -> bool:
        node = self._graph.nodes.get(name) or self._graph.finals[name]
        return bool(node.get("continue_on_error"))

    def _is_failure(self, name: str) -> bool:
        return self._seen[name].state in _FAILED and not self._is_tolerated(name)

    def _ancestors(self, name: str) -> set[str]:
        needs = self._graph.needs[name]
        return {*needs}.union(*(self._ancestors(need) for need in needs))

    # Expressions

    def _choice(self, node: Mapping[str, Json]) -> str | None:
        params = node["params"]
        for case in params.get("cases", ()):
            if self._holds(case["when"], {}):
                return str(case["goto"])
        return str(params["default"]) if "default" in params else None

    def _holds(self, condition: str, statuses: Mapping[str, bool]) -> bool:
        either = condition.split(" || ")
        return any(
            all(self._term(term, statuses) for term in each.split(" && ")) for each in either
        )

    def _term(self, term: str, statuses: Mapping[str, bool]) -> bool:
        if term in ("true", "false"):
            return term == "true"
        if term.startswith("!"):
            return not self._term(term[1:], statuses)
        if term.endswith("()"):
            return statuses[term[:-2]]
        found = _FACT.fullmatch(term)
        assert found, f"the model does not know {term!r}"
        name, fact, operator, value = found.groups()
        seen = self._seen[name]
        has_code = seen.tries and seen.state != "cancelled"  # whatever ended before it was
        exit_code = seen.tries[-1].exit_code if has_code else None
        is_so = (seen.state if fact == "state" else str(exit_code)) == value
        return is_so == (operator == "==")

    # The execution

    def _wanted_state(self) -> str:
        for part in (self._graph.nodes, self._graph.finals):
            ended = (seen for name, seen in self._seen.items() if name in part)  # in their order
            cut = [seen for seen in ended if seen.state == "cancelled"]
            if cut:
                is_late = cut[0].reason in ("timeout", "finally_timeout")
                return "timed_out" if is_late else "cancelled"
            if any(map(self._is_failure, part)):
                return "failed"
        return "succeeded"

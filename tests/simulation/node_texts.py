"""Nodes of the flows of a simulation: graphs with switches, conditions, retries and `finally`.

A further node type is a row of `_KINDS`; what is said of any node is in `_frame`, its items are in
`_foreach`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from flowrunner.model.ids import Json

NodeText = dict[str, Json]

_MOST_NODES = 5
_MOST_ITEMS = 5
_MANY = 0.2
"""How often a node has items."""
_STATUSES = ("always()", "failure()", "success()", "skipped()", "!success()", "cancelled()")
_OF_A_NODE = (
    "nodes.{0}.exit_code == 0",
    "nodes.{0}.exit_code == 1",
    "nodes.{0}.state == 'succeeded'",
    "nodes.{0}.state != 'succeeded'",
    "always() && nodes.{0}.state != 'skipped'",
    "failure() || nodes.{0}.exit_code == 0",
)
_RETRY_CONDITIONS = ("attempt.exit_code == 1", "attempt.number < 2", "attempt.reason != 'timeout'")


@dataclass(slots=True, kw_only=True)
class Callees:
    """What a version may call: one of these flows in one node, since calls multiply downwards.

    Attributes:
        names: Of the flows; none any more once a node calls one.
        most: How many children that node may have, over its items or its attempts.
    """

    names: list[str] = field(default_factory=list)
    most: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a node stands.

    Attributes:
        needs: What must be final before it.
        below: The nodes that a switch may name here, and that it then has named.
        callees: What may be called here.
    """

    random: Random
    needs: Sequence[str]
    below: Sequence[str] = ()
    named: list[str] = field(default_factory=list)
    callees: Callees = field(default_factory=Callees)


def nodes_of(random: Random, callees: Callees) -> list[NodeText]:
    """Writes the `nodes` of a flow."""
    names = [f"n{number}" for number in range(random.randint(1, _MOST_NODES))]
    chosen_by: dict[str, list[str]] = {name: [] for name in names}
    nodes = []
    for number, name in enumerate(names):
        free = sorted(random.sample(names[:number], random.randint(0, min(2, number))))
        needs = sorted({*free, *chosen_by[name]})
        place = _Place(random=random, needs=needs, below=names[number + 1 :], callees=callees)
        node = _node(name, place)
        for target in place.named:
            chosen_by[target].append(name)
        if not _goes_without_saying(number, names, needs, chosen_by) or random.random() < 0.5:
            node["needs"] = needs
        nodes.append(node)
    return nodes


def finals_of(random: Random, nodes: Sequence[NodeText], callees: Callees) -> list[NodeText]:
    """Writes the `finally` of a flow, which sees its nodes."""
    names = [f"f{number}" for number in range(random.choice((0, 0, 1, 2)))]
    above = [node["id"] for node in nodes]
    return [_node(name, _Place(random=random, needs=above, callees=callees)) for name in names]


def _goes_without_saying(
    number: int, names: Sequence[str], needs: Sequence[str], chosen_by: dict[str, list[str]]
) -> bool:
    """Whether `needs` may be omitted; who follows a target of a switch must write them."""
    if chosen_by[names[number]]:
        return needs == sorted(chosen_by[names[number]])
    before = names[max(0, number - 1) : number]
    return needs == before and not any(chosen_by[name] for name in before)


def _node(name: str, place: _Place) -> NodeText:
    kinds = [kind for kind, _ in _KINDS]
    (kind,) = place.random.choices(kinds, [weight for _, weight in _KINDS])
    node = {"id": name, **kind(place), **_frame(place)}
    return node | _foreach(place, node)


def _frame(place: _Place) -> NodeText:
    """Writes what any node may say."""
    random, more = place.random, NodeText()
    if random.random() < 0.35:
        more["if"] = _condition(place)
    if random.random() < 0.15:
        more["continue_on_error"] = True
    if random.random() < 0.3:
        more["on_interrupt"] = random.choice(("fail", "rerun", "rerun"))
    return more


def _condition(place: _Place) -> str:
    """Writes an `if` over the needs."""
    random = place.random
    if not place.needs or random.random() < 0.4:
        return random.choice(_STATUSES)
    return random.choice(_OF_A_NODE).format(random.choice(place.needs))


def _foreach(place: _Place, node: NodeText) -> NodeText:
    """Writes the items of a node, now and then; its processes tell which one they are of."""
    random, most = place.random, _MOST_ITEMS
    if node.get("type") == "switch" or random.random() > _MANY:
        return {}
    if node.get("type") == "flow":
        most = 1 if "retry" in node else place.callees.most
    items: NodeText = {"foreach": list(range(random.randint(0, most)))}
    if random.random() < 0.5:
        items["max_parallel"] = random.randint(1, 3)
    if random.random() < 0.5 and "continue_on_error" not in node:
        items["fail_fast"] = random.random() < 0.2
    if "env" in node:
        items["env"] = {**node["env"], "ITEM": "${{ index }}"}
    return items


def _run(place: _Place) -> NodeText:
    random = place.random
    timeout = random.choice(("5s", "30s", "2m", "2m"))
    node: NodeText = {"run": "work", "timeout": timeout, "kill_after": "5s", "env": {"KIND": "run"}}
    if random.random() < 0.4:
        node["retry"] = _retry(random)
    return node


def _retry(random: Random) -> NodeText:
    retry: NodeText = {
        "max_attempts": random.randint(2, 4),
        "delay": random.choice(("500ms", "10s", "40s")),
        "backoff": random.choice(("constant", "linear", "exponential")),
        "max_delay": random.choice(("60s", "5m")),
        "jitter": random.choice((0, 0.5, 1)),
    }
    if random.random() < 0.4:
        retry["if"] = random.choice(_RETRY_CONDITIONS)
    return retry


def _wait(place: _Place) -> NodeText:
    return {"type": "wait", "params": {"for": f"{place.random.randint(1, 60)}s"}}


def _probe(place: _Place) -> NodeText:
    random = place.random
    node: NodeText = {
        "type": "wait",
        "params": {"probe": "look", "every": random.choice(("5s", "20s", "90s"))},
        "timeout": random.choice(("30s", "5m", "5m")),
        "kill_after": "5s",
        "env": {"KIND": "probe"},
    }
    if random.random() < 0.3:
        node["retry"] = _retry(random)
    return node


def _flow(place: _Place) -> NodeText:
    """Writes a call of another flow, or of itself; of who may call no more, a noop."""
    random = place.random
    if not place.callees.names:
        return _noop(place)
    callee = random.choice(place.callees.names)
    place.callees.names.clear()
    # An expression, since flows that call each other by literal names are refused.
    node: NodeText = {"type": "flow", "params": {"flow": f"${{{{ format('{callee}') }}}}"}}
    if random.random() < 0.3:
        node["params"]["wait"] = False
    if random.random() < 0.5:
        node["timeout"] = random.choice(("30s", "5m"))
    if place.callees.most > 1 and random.random() < 0.2:
        node["retry"] = {"max_attempts": place.callees.most, "delay": "10s"}
    return node


def _noop(_: _Place) -> NodeText:
    return {"type": "noop"}


def _set(place: _Place) -> NodeText:
    return {"type": "set", "params": {"values": {"number": place.random.randint(0, 9)}}}


def _fail(_: _Place) -> NodeText:
    return {"type": "fail", "params": {"message": "as it was told"}}


def _switch(place: _Place) -> NodeText:
    """Writes a switch over nodes below; one that has none below is a noop."""
    random = place.random
    if not place.below:
        return _noop(place)
    targets = random.sample(place.below, random.randint(1, min(2, len(place.below))))
    place.named.extend(targets)
    whens = ["true", "false", *(_OF_A_NODE[0].format(need) for need in place.needs)]
    params: NodeText = {"cases": [{"when": random.choice(whens), "goto": targets[0]}]}
    if len(targets) > 1:
        params["default"] = targets[1]
    return {"type": "switch", "params": params}


_KINDS: tuple[tuple[Callable[[_Place], NodeText], int], ...] = (
    (_run, 12),
    (_wait, 3),
    (_probe, 2),
    (_flow, 4),
    (_switch, 4),
    (_noop, 2),
    (_set, 1),
    (_fail, 1),
)
"""Kinds of nodes, by how often."""

"""Flow files of a simulation: every edit writes another version of one of a few flows."""

from __future__ import annotations

import json
from random import Random

from flowrunner.definitions.compiler import Compiler
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Json
from tests.simulation.node_texts import Callees, finals_of, nodes_of

NAMES = ("alpha", "beta", "gamma", "delta")
TOKEN = "letmein"
SECRETS = {"TOKEN": TOKEN}
_DEDUPE = {"key": "trigger.headers['x-id']"}


def key_of(name: str) -> FlowKey:
    """Returns the key of a flow."""
    return FlowKey(DEFAULT_ACCOUNT, name)


def hook_of(name: str) -> str:
    """Returns the path of a flow's hook."""
    return f"{DEFAULT_ACCOUNT}/{name}/hook"


def valid_flow(name: str, random: Random, *, may_be_held: bool = True) -> dict[str, Json]:
    """Writes a version that is in order.

    Args:
        name: Of the flow.
        random: Decides all of it.
        may_be_held: Whether it may be suspended, or pause after failures.
    """
    callees = _callees(name, random)
    nodes = nodes_of(random, callees)
    finals = finals_of(random, nodes, callees)
    is_caller = any(node.get("type") == "flow" for node in (*nodes, *finals))
    slot_minutes = (10, 30) if is_caller else (1, 9)  # each slot of a caller starts several
    flow: dict[str, Json] = {
        "name": name,
        "nodes": nodes,
        "finally": finals,
        "concurrency": _concurrency(random),
        "triggers": _triggers(random, *slot_minutes),
    }
    if flow["finally"]:
        flow["finally_timeout"] = random.choice(("20s", "1m", "5m"))
    if random.random() < 0.3:
        flow["timeout"] = random.choice(("30s", "2m", "10m"))
    if may_be_held and random.random() < 0.1:
        flow |= random.choice(({"suspend": True}, {"pause_after_failures": 2}))
    return {key: value for key, value in flow.items() if value != []}


def _callees(name: str, random: Random) -> Callees:
    """Returns what a flow may call: those after it; the first, which nobody calls, also itself.

    No version calls back and none calls more than two, so a start has at most 2 + 4 + 8 executions
    below it; or a chain down to the limit of the depth, with that below its last.
    """
    if name == NAMES[0] and random.random() < 0.3:
        return Callees(names=[name], most=1)
    return Callees(names=list(NAMES[NAMES.index(name) + 1 :]), most=2)


def text_of(flow: dict[str, Json]) -> bytes:
    """Returns a flow as its file has it."""
    return json.dumps({"version": 1, **flow}).encode()


def broken_text(name: str, random: Random) -> bytes:
    """Writes a version with a readable name and an error."""
    nodes = [{"id": "only", "type": f"nothing-{random.randint(1, 9)}"}]
    return text_of({"name": name, "nodes": nodes})


def compiled(compiler: Compiler, name: str, text: bytes) -> FlowSpec:
    """Returns what a valid text compiles to."""
    candidate = compiler.read(text, file=f"{name}.yaml", account=DEFAULT_ACCOUNT)
    assert candidate.spec is not None, candidate.findings
    return candidate.spec


def _concurrency(random: Random) -> dict[str, Json]:
    words = ("queue",) * 5 + ("replace",) * 3 + ("skip",) * 2 + ("allow",)
    rules: dict[str, Json] = {"on_conflict": random.choice(words)}
    if rules["on_conflict"] != "allow":
        rules["limit"] = random.choice((1, 1, 2, 3))
    if rules["on_conflict"] in ("queue", "replace"):
        rules["queue_limit"] = random.randint(1, 8)
    if rules["on_conflict"] != "allow" and random.random() < 0.3:
        rules["group"] = random.choice(("'shared'", "trigger.id"))
    return rules


def _triggers(random: Random, least: int, most: int) -> list[Json]:
    hook = {
        "id": "hook",
        "type": "webhook",
        "auth": {"type": "bearer", "secrets": ["TOKEN"]},
        "dedupe": _DEDUPE,
    }
    plans = [
        {"every": f"{random.randint(least, most)}m"},
        {"cron": f"*/{random.randint(least, most)} * * * *"},
    ]
    count = random.choice((0, 1, 1, 2))
    chosen = random.sample(plans, count)
    return [
        hook,
        *(
            {"id": f"s{n}", "type": "schedule", **plan, **_catchup(random)}
            for n, plan in enumerate(chosen)
        ),
    ]


def _catchup(random: Random) -> dict[str, Json]:
    """Says what becomes of late slots; not so many of them that a life does nothing else."""
    word = random.choice((None, "none", "latest", "all", "all"))
    if word is None:
        return {}
    if word == "none" or random.random() < 0.2:
        return {"catchup": word} if word != "all" else {"catchup": word, "catchup_window": "1h"}
    windows = ("1m", "5m", "20m") if word == "all" else ("1m", "20m", "2h")
    return {"catchup": word, "catchup_window": random.choice(windows)}

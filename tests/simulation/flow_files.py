"""Flow files of a simulation: every edit writes another version of one of a few flows."""

from __future__ import annotations

import json
from random import Random

from flowrunner.definitions.compiler import Compiler
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Json

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


def valid_text(name: str, random: Random) -> bytes:
    """Writes a version that is in order."""
    nodes = [_node(number, random) for number in range(random.randint(1, 4))]
    rules: dict[str, Json] = {"limit": random.choice((1, 1, 2, 3)), "on_conflict": "skip"}
    if random.random() < 0.7:
        rules |= {
            "on_conflict": random.choice(("queue", "queue", "replace")),
            "queue_limit": random.randint(1, 8),
        }
    if random.random() < 0.2:
        rules["group"] = "'shared'"
    return _text(
        {"name": name, "nodes": nodes, "concurrency": rules, "triggers": _triggers(random)}
    )


def broken_text(name: str, random: Random) -> bytes:
    """Writes a version with a readable name and an error."""
    nodes = [{"id": "only", "type": f"nothing-{random.randint(1, 9)}"}]
    return _text({"name": name, "nodes": nodes})


def compiled(compiler: Compiler, name: str, text: bytes) -> FlowSpec:
    """Returns what a valid text compiles to."""
    candidate = compiler.read(text, file=f"{name}.yaml", account=DEFAULT_ACCOUNT)
    assert candidate.spec is not None, candidate.findings
    return candidate.spec


def _text(flow: dict[str, Json]) -> bytes:
    return json.dumps({"version": 1, **flow}).encode()


def _triggers(random: Random) -> list[Json]:
    hook = {
        "id": "hook",
        "type": "webhook",
        "auth": {"type": "bearer", "secrets": ["TOKEN"]},
        "dedupe": _DEDUPE,
    }
    plans = [{"every": f"{random.randint(1, 9)}m"}, {"cron": f"*/{random.randint(1, 9)} * * * *"}]
    count = random.choice((0, 1, 1, 2))
    chosen = random.sample(plans, count)
    return [hook, *({"id": f"s{n}", "type": "schedule", **plan} for n, plan in enumerate(chosen))]


def _node(number: int, random: Random) -> Json:
    above = [f"n{other}" for other in range(number)]
    node: dict[str, Json] = {
        "id": f"n{number}",
        "needs": sorted(random.sample(above, random.randint(0, min(2, number)))),
    }
    kind = random.choice(("run", "run", "run", "noop", "wait"))
    if kind == "run":
        node |= {"run": "work", "timeout": "2m", "kill_after": "5s"}
        if random.random() < 0.3:
            node["retry"] = {"max_attempts": 2, "delay": "10s"}
    elif kind == "wait":
        node |= {"type": "wait", "params": {"for": f"{random.randint(1, 60)}s"}}
    else:
        node["type"] = "noop"
    return node

"""What must hold once nothing is under way: the journal, the metrics and the host agree."""

from __future__ import annotations

import asyncio
import re

from flowrunner.model.states import ExecutionState
from tests.simulation.life import Ground, Life

_ENDED = re.compile(
    r'^flowrunner_executions_total{account="(.*?)",flow="(.*?)",state="(.*?)"} (.*)$', re.MULTILINE
)
_SLOTS = re.compile(
    r'^flowrunner_slots_total{account="(.*?)",flow="(.*?)",outcome="(.*?)",reason="(.*?)"} (.*)$',
    re.MULTILINE,
)
_ATTEMPTS = re.compile(
    r'^flowrunner_node_attempts_total{result="(.*?)",type="(.*?)"} (.*)$', re.MULTILINE
)
_LIVE = re.compile(r"^flowrunner_executions_(running|queued) (.*)$", re.MULTILINE)


def judge_rest(ground: Ground, life: Life) -> None:
    """Judges a life whose engine has nothing to do and whose disk is well."""
    oracle = ground.oracle
    unfinished = oracle.unfinished()
    if unfinished:
        oracle.fail(f"nobody carries {unfinished[0]}: {oracle.state_of(unfinished[0])}")
    lost = [id_ for id_ in oracle.acknowledged if oracle.state_of(id_) is None]
    if lost:
        oracle.fail(f"{lost[0]} was acknowledged to {oracle.acknowledged[lost[0]]} and is lost")
    left = ground.host.living({ground.lives}, life.loop.time())
    if left:
        oracle.fail(f"a process of {left[0].env['NODE_ID']} is left")
    _judge_metrics(ground, life)


def judge_stop(ground: Ground, life: Life) -> None:
    """Judges what a daemon leaves that has stopped by itself."""
    left = ground.host.living({ground.lives}, life.loop.time())
    if left:
        ground.oracle.fail(f"after a stop {left[0].env['NODE_ID']} still runs")
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        names = sorted(str(task.get_coro()) for task in tasks)
        ground.oracle.fail(f"after a stop a task is pending: {names[0]}")
    if ground.oracle.is_disk_well:  # else the journal may know another end, or none
        _judge_attempts(ground, life)


def _judge_attempts(ground: Ground, life: Life) -> None:
    text = life.metrics.render("")[0].decode()
    told = {(type_, result): float(n) for result, type_, n in _ATTEMPTS.findall(text)}
    counted = ground.oracle.nodes.counted
    for key in sorted(told.keys() | counted.keys()):
        if told.get(key, 0.0) != counted[key]:
            ground.oracle.fail(
                f"the metrics count {told.get(key, 0.0):g} attempts {key}, "
                f"the journal {counted[key]}"
            )


def _judge_metrics(ground: Ground, life: Life) -> None:
    oracle = ground.oracle
    text = life.metrics.render("")[0].decode()
    for name, value in _LIVE.findall(text):
        if float(value):
            oracle.fail(f"the metrics say that {value} are {name}, and nothing is")
    shown = [key for key in life.registry.entries if key not in oracle.left]
    ended = {(a, f, state): float(n) for a, f, state, n in _ENDED.findall(text)}
    for key in shown:
        for state in (each for each in ExecutionState if each.is_final):
            told = ended.get((key.account, key.name, str(state)), 0.0)
            if told != oracle.ended[key, state]:
                oracle.fail(
                    f"the metrics count {told:g} {state} of {key}, "
                    f"the journal {oracle.ended[key, state]}"
                )
    slots = {(a, f, o, r): float(n) for a, f, o, r, n in _SLOTS.findall(text)}
    for (key, outcome, reason), count in sorted(oracle.slots.items()):
        told = slots.get((key.account, key.name, str(outcome), reason), 0.0)
        if key in shown and told != count:
            oracle.fail(
                f"the metrics count {told:g} slots of {key} {outcome} ({reason}), "
                f"the ledger {count}"
            )

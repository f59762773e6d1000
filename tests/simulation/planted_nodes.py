"""Bugs to plant in what carries nodes: conditions, retries, `finally`, bounds of time, order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from flowrunner.daemon.observer import DaemonObserver
from flowrunner.engine import tries
from flowrunner.engine.admission import Ticket
from flowrunner.engine.deadline import Deadline
from flowrunner.engine.engine import Engine
from flowrunner.engine.graph import GraphWalk
from flowrunner.engine.part import PartRun
from flowrunner.engine.retries import judged
from flowrunner.engine.run import ExecutionRun
from flowrunner.model.execution import BY_HAND, Attempt
from flowrunner.model.flow import NodeSpec, OnInterrupt, RetrySpec
from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import Reason
from tests.simulation.bugs import Bug, exchange


def _takes_up_anyway(original: Any) -> Any:
    def take_up(self: PartRun, spec: NodeSpec, standing: Any) -> None:
        original(self, replace(spec, on_interrupt=OnInterrupt.RERUN), standing)

    return take_up


def _always_by_force(original: Any) -> Any:
    def cancel(self: ExecutionRun, reason: Reason, *, force: bool = False) -> None:
        original(self, reason, force=True)

    return cancel


def _does_not_count(original: Any) -> Any:
    def attempt_ended(self: DaemonObserver, node_type: str, attempt: Attempt) -> None:
        if attempt.reason != Reason.INTERRUPTED:
            original(self, node_type, attempt)

    return attempt_ended


def _answers_early(_: Any) -> Any:
    async def written(self: ExecutionRun) -> None:
        """Waits for nothing."""

    return written


def _forgets_what_it_owns(_: Any) -> Any:
    def own(self: Engine, work: Any, name: str) -> asyncio.Task[Any]:
        return asyncio.create_task(work, name=name)

    return own


def _last_by_hand(self: Ticket) -> tuple[bool, ExecutionId]:
    return (self.trigger_type in BY_HAND, self.id)


def _one_try_more(original: Any) -> Callable[..., Any]:
    def one_more(*given: Any, tries: int) -> Any:
        return original(*given, tries=tries - 1)

    return one_more


NODE_BUGS = {
    "run what a switch has not chosen": Bug(
        plant=exchange(GraphWalk, "is_left_out", lambda _: lambda *_: False),
        found_as=r"must be skipped \(not_chosen\)",
    ),
    "pass no skip on": Bug(
        plant=exchange(GraphWalk, "_counts_as_success", lambda _: lambda *_: True),
        found_as="must be skipped",
        seed=1,
    ),
    "tolerate every failure": Bug(
        plant=exchange(GraphWalk, "has_failed", lambda _: lambda *_: False),
        found_as="it must be skipped|it must run",
        seed=1,
    ),
    "leave finally out of every cancel": Bug(
        plant=exchange(ExecutionRun, "cancel", _always_by_force),
        found_as="is cancelled .* and nothing has ended it",
        seed=2,
    ),
    "try at once": Bug(
        plant=exchange(RetrySpec, "delay_after", lambda _: lambda *_: 0.0),
        found_as="begins .* after the one before",
        seed=1,
    ),
    "try once more": Bug(
        plant=lambda: patch.object(tries, "judged", _one_try_more(judged)),
        found_as="was tried again",
        seed=1,
    ),
    "repeat what says fail": Bug(
        plant=exchange(PartRun, "_take_up", _takes_up_anyway),
        found_as="was repeated after",
        seed=2,
    ),
    "let no time be up": Bug(
        plant=exchange(Deadline, "arm", lambda _: lambda _: None),
        found_as="its timeout is",
        seed=1,
    ),
    "let those wait who started by hand": Bug(
        plant=exchange(Ticket, "rank", lambda _: property(_last_by_hand)),
        found_as="has passed .* whose turn it was",
        seed=1,
    ),
    "count no attempt that was cut short": Bug(
        plant=exchange(DaemonObserver, "attempt_ended", _does_not_count),
        found_as="the metrics count .* attempts",
        seed=1,
    ),
    "answer a cancel before it is durable": Bug(
        plant=exchange(ExecutionRun, "written", _answers_early),
        found_as="was said to be cancelled",
    ),
    "stop without waiting": Bug(
        plant=exchange(Engine, "_own", _forgets_what_it_owns),
        found_as="after a stop|is left|has survived",
        seed=5,
    ),
}

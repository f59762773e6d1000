"""Bugs to plant in what starts children and waits for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any
from unittest.mock import patch

from flowrunner.engine import engine
from flowrunner.engine.ends import Ends
from flowrunner.engine.engine import Engine
from flowrunner.engine.history import History
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Execution
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import AttemptKey
from flowrunner.model.states import Reason
from flowrunner.nodes.builtin import flow as flow_node
from flowrunner.triggers import children
from tests.simulation.bugs import Bug, exchange

_numbers = count()


def _another_key(_: AttemptKey) -> str:
    return f"another-{next(_numbers)}"


def _tells_nobody(_: Any) -> Any:
    def tell(self: Ends, ended: Execution) -> None:
        """Keeps it to itself."""

    return tell


def _asks_in_memory(resume: Callable[..., None]) -> Any:
    def asks(
        self: Engine,
        execution: Execution,
        spec: FlowSpec,
        history: History,
        asked: Reason | None = None,
    ) -> None:
        resume(self, replace(execution, reason=str(asked or execution.reason)), spec, history)

    return asks


CHILD_BUGS = {
    "ask for a child once more": Bug(
        plant=lambda: patch.object(children, "_start_key", _another_key),
        found_as="has the children",
        seed=37,
    ),
    "ask in memory only for the end of a child that nobody waits for": Bug(
        plant=exchange(Engine, "resume", _asks_in_memory),
        found_as="nothing has ended it|and that is not durable",
        seed=139,
    ),
    "take what a timeout has ended for what a person has cancelled": Bug(
        plant=lambda: patch.object(flow_node, "EndedBeforeError", ExecutionError),
        found_as="its child was ended for it",
        seed=327,
    ),
    "tell nobody that a child has ended": Bug(
        plant=exchange(Ends, "tell", _tells_nobody),
        found_as="still waits for it",
        seed=1,
    ),
    "wait for who waits for oneself": Bug(
        plant=lambda: patch.object(engine, "refuse_deadlock", lambda *_: None),
        found_as="can never start",
        seed=27,
    ),
}

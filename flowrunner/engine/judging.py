"""Whether a node starts, as far as the states of others decide it, and what it is told of them.

Pure, so that the trace of an execution asks the same code as the run of it did.
Source: FLOW_FORMAT 4, `if` and `finally`.
"""

from __future__ import annotations

from collections.abc import Callable

from flowrunner.engine.graph import GraphWalk
from flowrunner.model.expressions import uses_status_function
from flowrunner.model.flow import NodeSpec
from flowrunner.model.states import Reason


def obstacle_to(spec: NodeSpec, walk: GraphWalk, about: GraphWalk | None) -> Reason | None:
    """Returns why a node is skipped without its `if` being asked, or None; its needs are final.

    Args:
        spec: The node.
        walk: What it is part of.
        about: The walk of `nodes`, for a node of `finally`.
    """
    if about is not None:
        return None
    condition = spec.condition
    asks = condition is not None and any(map(uses_status_function, condition.expressions))
    return None if asks and not walk.is_left_out(spec) else walk.obstacle(spec)


def status_answers(
    spec: NodeSpec, walk: GraphWalk, about: GraphWalk | None, reason: Reason | None
) -> Callable[[str], bool]:
    """Returns what answers the status functions for a node.

    Args:
        spec: The node.
        walk: What it is part of.
        about: The walk of `nodes`, for a node of `finally`: they speak about that one.
        reason: Why the execution is asked to end, if it is.
    """

    def status(name: str) -> bool:
        match name:
            case "success":
                return about.all_succeeded() if about else walk.success(spec)
            case "failure" if about:
                return about.any_failed() or reason is Reason.TIMEOUT
            case "failure":
                return walk.failure(spec)
            case "skipped":
                return about.any_skipped() if about else walk.skipped(spec)
            case "cancelled":
                return reason not in (None, Reason.TIMEOUT)
            case _:
                return True

    return status

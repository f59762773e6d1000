"""An execution as its journal knows it, put back to where its expressions can be asked again.

What a node sees follows from nodes upstream of it, and these were final when it was judged: so the
walk may be filled with all ends that are known, and still answers as it did then. Secrets are not
looked up: whatever is made of one is a `SecretValue`, of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from functools import cached_property

from flowrunner.dataclass import dataclass
from flowrunner.engine.graph import GraphWalk
from flowrunner.engine.history import History, first_begin
from flowrunner.engine.judging import status_answers
from flowrunner.engine.scope import ContextScope, execution_contexts, node_context
from flowrunner.model.execution import Attempt, Execution, NodeStatus
from flowrunner.model.expressions.explain import UNKNOWN_SECRET
from flowrunner.model.flow import FlowSpec, NodeSpec
from flowrunner.model.ids import Json
from flowrunner.model.states import ExecutionState, NodeState, Reason
from flowrunner.nodes.context import Directories
from flowrunner.nodes.environment import HostFacts
from flowrunner.nodes.registry import NodeRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is known of an execution.

    Attributes:
        live: Where its nodes stand while this daemon carries it; empty otherwise.
        asked_at: The moment of the question.
    """

    execution: Execution
    spec: FlowSpec
    history: History
    directories: Directories
    host: HostFacts
    nodes: NodeRegistry
    live: Mapping[str, NodeState] = field(default_factory=dict)
    asked_at: datetime


class Replay:
    """One execution, for as long as its trace is worked out; takes time linear in its nodes.

    Attributes:
        walk: That of `nodes`.
        finals: That of `finally`.
        ends: The ends of nodes, by id.
        places: In which place each of them ended, from 1.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        history, spec = subject.history, subject.spec
        self.walk, self.finals = GraphWalk(spec.nodes), GraphWalk(spec.finals)
        self.walk.take_over(history.nodes)
        self.finals.take_over(history.nodes)
        self.ends: dict[str, NodeStatus] = {each.node: each for each in history.nodes}
        self.places = {name: place for place, name in enumerate(self.ends, start=1)}
        self._final_ids = {node.id for node in spec.finals}
        self._attempts: dict[str, list[Attempt]] = {}
        for attempt in history.attempts:
            self._attempts.setdefault(attempt.key.node, []).append(attempt)
        self._contexts = {**self._plain_contexts(), "secrets": UNKNOWN_SECRET}
        self._cut = self._cut_reason()

    @cached_property
    def open_before_finally(self) -> Sequence[str]:
        """The nodes that must end before those of `finally` may start."""
        return tuple(self.walk.open_nodes())

    def is_final_part(self, spec: NodeSpec) -> bool:
        """Whether a node is one of `finally`."""
        return spec.id in self._final_ids

    def walk_of(self, spec: NodeSpec) -> GraphWalk:
        """Returns the walk that a node is part of."""
        return self.finals if self.is_final_part(spec) else self.walk

    def about(self, spec: NodeSpec) -> GraphWalk | None:
        """Returns the walk that status functions speak of in `finally`; None for other nodes."""
        return self.walk if self.is_final_part(spec) else None

    def attempts(self, name: str) -> Sequence[Attempt]:
        """Returns the attempts of a node that are journaled, in their order."""
        return self._attempts.get(name, ())

    def state(self, name: str) -> NodeState:
        """Returns where a node stands."""
        end = self.ends.get(name)
        return self.subject.live.get(name, NodeState.PENDING) if end is None else end.state

    def is_judged(self, spec: NodeSpec) -> bool:
        """Whether it was decided if a node starts.

        Of one that was cancelled before its first attempt the journal does not tell, nor as long as
        the ends before it are on their way to the disk.
        """
        if not self._is_known_before(spec):
            return False
        end = self.ends.get(spec.id)
        if self.attempts(spec.id):
            return True
        if end is None:
            return self.state(spec.id) in (NodeState.QUEUED, NodeState.RUNNING)
        return end.state is not NodeState.CANCELLED or end.started_at is not None

    def has_begun(self, spec: NodeSpec) -> bool:
        """Whether a node had, or has, an attempt, and was judged."""
        if not self._is_known_before(spec):
            return False
        end = self.ends.get(spec.id)
        if self.attempts(spec.id) or (end is not None and end.started_at is not None):
            return True
        return end is None and self.state(spec.id) is NodeState.RUNNING

    def _is_known_before(self, spec: NodeSpec) -> bool:
        """Whether all ends are known that a node was judged by."""
        if self.is_final_part(spec) and not self.walk.is_complete:
            return False
        return all(name in self.ends for name in (*spec.needs, *spec.chosen_by))

    def moment(self, spec: NodeSpec) -> datetime:
        """Returns what `now()` is in the expressions of a node.

        The journal has it for a node that has ended. For another it is the begin of the first
        attempt, which may have waited for a place, or else the moment of the question.
        """
        end, attempts = self.ends.get(spec.id), self.attempts(spec.id)
        if end is not None and end.started_at is not None:
            return end.started_at
        if began_at := first_begin(attempts, self.subject.execution):
            return began_at
        return (end.ended_at if end else None) or self.subject.asked_at

    def scope(self, spec: NodeSpec) -> ContextScope:
        """Returns what the expressions of a node that was judged see."""
        about = self.about(spec)
        # Nothing of `nodes` is judged once the execution is being cut.
        reason = self._cut if about else None
        answers = status_answers(spec, self.walk_of(spec), about, reason)
        return ContextScope(self._contexts, answers, self.moment(spec))

    def _plain_contexts(self) -> dict[str, Json]:
        subject = self.subject
        code_of = subject.history.exit_code
        nodes = {name: node_context(end, code_of(end)) for name, end in self.ends.items()}
        return execution_contexts(
            subject.execution, subject.spec, subject.directories, subject.host, nodes
        )

    def _cut_reason(self) -> Reason | None:
        """Returns why its nodes were ended early: what `finally` is told by `cancelled()`."""
        execution = self.subject.execution
        if execution.state is ExecutionState.RUNNING:
            reason = execution.reason
        else:
            ends = self.walk.final.values()
            cut = next((end for end in ends if end.state is NodeState.CANCELLED), None)
            reason = cut.reason if cut else ""
        return Reason(reason) if reason in list(Reason) else None

"""The trace of nodes: what was decided about each, over which values, and how it went.

Of a node with `foreach` it tells the attempts, item by item, and what some items were given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowrunner.dataclass import dataclass
from flowrunner.engine.history import History
from flowrunner.engine.judging import obstacle_to
from flowrunner.engine.tracing.attempts import traced_attempts
from flowrunner.engine.tracing.items import ItemsToTell, items_to_tell
from flowrunner.engine.tracing.replay import Replay
from flowrunner.engine.tracing.sentences import wait_of, why
from flowrunner.engine.tracing.told import Answer, Teller
from flowrunner.engine.tracing.values import Budget, Shelf
from flowrunner.model.execution import NodeStatus
from flowrunner.model.expressions import Condition
from flowrunner.model.expressions.explain import Came
from flowrunner.model.flow import NodeSpec
from flowrunner.model.states import NodeState, Reason
from flowrunner.model.trace import (
    NodeTrace,
    Shown,
    TracedAttempt,
    TracedCase,
    TracedChoice,
    TracedExpression,
    TracedItem,
)
from flowrunner.nodes.builtin.switch import CHOSEN, SwitchNode

SWITCH = SwitchNode.type

_FAILED = "expression"
"""Stands for an `if` that could not be evaluated, where reasons of skips may stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What a node that has begun was given; nothing for another."""

    params: Mapping[str, Shown] | None = None
    env: Mapping[str, Shown] | None = None
    stdin: Shown | None = None
    choice: TracedChoice | None = None
    doubt: str = ""


_NOTHING = _Given()


def trace_nodes(replay: Replay, specs: Sequence[NodeSpec]) -> list[NodeTrace]:
    """Returns the trace of nodes, in their order, at least one of several.

    It ends early when the expressions have done as much work, or have as much to say, as one
    answer may hold.
    """
    budget = Budget()
    traces: list[NodeTrace] = []
    for spec in specs:
        if budget.is_spent:
            break
        traces.append(_trace(replay, spec, budget))
    return traces


def trace_on_paper(history: History, names: Sequence[str]) -> list[NodeTrace]:
    """Returns what the journal alone says of nodes, where their definition is gone."""
    budget = Budget()
    ends = {end.node: end for end in history.nodes}
    places = {name: place for place, name in enumerate(ends, start=1)}
    attempts: dict[str, list[TracedAttempt]] = {}
    for attempt in history.attempts:
        attempts.setdefault(attempt.key.node, []).append(TracedAttempt(attempt=attempt))
    traces: list[NodeTrace] = []
    for name in names:
        if budget.is_spent:
            break
        end = ends.get(name)
        has_outputs = end is not None and end.outputs is not None
        traces.append(
            NodeTrace(
                id=name,
                type="",
                is_final_part=False,
                state=end.state if end else NodeState.PENDING,
                reason=end.reason if end else "",
                needs=(),
                ended_as=places.get(name),
                started_at=end.started_at if end else None,
                ended_at=end.ended_at if end else None,
                attempts=tuple(attempts.get(name, ())),
                outputs=Shelf(budget).show(end.outputs) if end and has_outputs else None,
                error=end.error if end else None,
            )
        )
    return traces


def _trace(replay: Replay, spec: NodeSpec, budget: Budget) -> NodeTrace:
    end, shelf, judged = replay.ends.get(spec.id), Shelf(budget), replay.is_judged(spec)
    teller = Teller(replay.scope(spec), shelf, budget)
    condition, doubt = _judged(replay, spec, teller) if judged else (None, "")
    if condition is None and spec.condition is not None:
        condition = teller.unasked(spec.condition)
    # What a node with items was given depends on the item.
    has_given = replay.has_begun(spec) and spec.foreach is None
    given = _given(replay, spec, teller) if has_given else _NOTHING
    items = items_to_tell(replay, spec, teller)
    outputs = None if end is None or end.outputs is None else shelf.show(end.outputs)
    return NodeTrace(
        id=shelf.note(spec.id),
        type=spec.type,
        is_final_part=replay.is_final_part(spec),
        state=replay.state(spec.id),
        reason=end.reason if end else "",
        needs=spec.needs,
        ended_as=replay.places.get(spec.id),
        started_at=end.started_at if end else None,
        ended_at=end.ended_at if end else None,
        now=replay.moment(spec) if judged else None,
        why=why(replay, spec, end) if end else "",
        wait=None if end else wait_of(replay, spec, given.params),
        condition=condition,
        params=given.params,
        env=given.env,
        stdin=given.stdin,
        choice=given.choice,
        item_count=items.total,
        items=_items(replay, spec, items),
        attempts=traced_attempts(replay, spec, teller, items.tellers),
        outputs=outputs,
        error=end.error if end else None,
        doubts=tuple(each for each in (doubt, given.doubt) if each),
    )


def _judged(replay: Replay, spec: NodeSpec, teller: Teller) -> tuple[TracedExpression | None, str]:
    """Returns the `if` of a node that was judged, and what is wrong with what it came to."""
    obstacle = obstacle_to(spec, replay.walk_of(spec), replay.about(spec))
    if obstacle is not None:
        return None, _doubt(_fate(replay, spec), str(obstacle))
    if spec.condition is None:
        return None, _doubt(_fate(replay, spec), "")
    answer = teller.condition(spec.condition)
    if answer.told.came is Came.NOT_EVALUATED:  # there was no work left for it
        return answer.told, ""
    return answer.told, _doubt(_fate(replay, spec), _fate_by(answer))


def _fate_by(answer: Answer) -> str:
    """Returns what follows from a condition: the reason of a skip, an error, or nothing."""
    if answer.holds is None:
        return _FAILED
    return "" if answer.holds else str(Reason.IF_FALSE)


def _fate(replay: Replay, spec: NodeSpec) -> str:
    """Returns what became of a node when it was judged, in the words of `_fate_by`."""
    end = replay.ends.get(spec.id)
    if end is not None and end.state is NodeState.SKIPPED:
        return end.reason
    if end is not None and end.error is not None and end.error.message.startswith("foreach: "):
        return ""  # its if held, and then there were no items
    return "" if replay.has_begun(spec) or end is None else _FAILED


def _doubt(happened: str, worked_out: str) -> str:
    if happened == worked_out:
        return ""
    return f"then {_in_words(happened)}, now {_in_words(worked_out)}: what it reads has changed"


def _in_words(fate: str) -> str:
    if not fate:
        return "it started"
    return "its if could not be evaluated" if fate == _FAILED else f"it was skipped ({fate})"


def _given(replay: Replay, spec: NodeSpec, teller: Teller) -> _Given:
    """Returns what a node that has begun was given, as its attempts got it."""
    params, choice, doubt = spec.params, None, ""
    if spec.type == SWITCH:
        choice, doubt = _choice(replay, spec, teller)
        params = {name: each for name, each in params.items() if name not in ("cases", "default")}
    node, env, stdin = replay.subject.nodes.get(spec.type, spec.params), None, None
    if node is not None and node.is_shell_like:
        merged = {**replay.subject.spec.env, **spec.env}
        env = {name: teller.text(each) for name, each in merged.items()}
        stdin = None if spec.process.stdin is None else teller.text(spec.process.stdin)
    return _Given(params=teller.values(params), env=env, stdin=stdin, choice=choice, doubt=doubt)


def _items(replay: Replay, spec: NodeSpec, items: ItemsToTell) -> tuple[TracedItem, ...]:
    """Returns what some items were given, as their attempts got it."""
    told: list[TracedItem] = []
    for index, teller in items.tellers.items():
        value = teller.value(items.values[index])
        given = _given(replay, spec, teller)
        told.append(
            TracedItem(
                index=index,
                item=value,
                params=given.params or {},
                env=given.env,
                stdin=given.stdin,
            )
        )
    return tuple(told)


def _choice(replay: Replay, spec: NodeSpec, teller: Teller) -> tuple[TracedChoice, str]:
    """Returns the cases of a switch as far as they were tried, and what is wrong with that."""
    default, cases, found = spec.params.get("default"), list[TracedCase](), False
    expected: str | None = default
    for case in spec.params.get("cases", ()):
        when: Condition = case["when"]
        if found:
            cases.append(TracedCase(goto=case["goto"], when=teller.unasked(when.template)))
            continue
        answer = teller.condition(when.template)
        cases.append(TracedCase(goto=case["goto"], when=answer.told))
        found = answer.holds is not False  # an error ends it as well
        if answer.holds:
            expected = case["goto"]
    chosen = _chosen(replay.ends.get(spec.id))
    traced = TracedChoice(cases=tuple(cases), default=default, chosen=chosen)
    end = replay.ends.get(spec.id)
    if end is None or end.state is not NodeState.SUCCEEDED or chosen == expected:
        return traced, ""
    return traced, f"then it chose {chosen}, now {expected}: what it reads has changed"


def _chosen(end: NodeStatus | None) -> str | None:
    outputs = end.outputs if end else None
    return outputs.get(CHOSEN) if isinstance(outputs, Mapping) else None

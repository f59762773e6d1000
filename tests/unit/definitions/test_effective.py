"""The effective definition: where `defaults` of a flow have their effect, and what wins."""

from __future__ import annotations

from flowrunner.model.flow import NodeSpec, RetrySpec
from flowrunner.model.ids import Digest
from flowrunner.model.states import ExecutionState
from tests.fakes.engine import FAILS, OK, flow, run_flow
from tests.fakes.nodes import builtin_compiler

COMPILER = builtin_compiler()
HEAD = "version: 1\nname: example\n"


def nodes_of(text: str) -> dict[str, NodeSpec]:
    candidate = COMPILER.read((HEAD + text).encode(), file="f.yaml", account="default")
    assert candidate.findings == ()
    assert candidate.spec is not None
    return {node.id: node for node in candidate.spec.nodes}


def digest_of(text: str) -> Digest:
    candidate = COMPILER.read((HEAD + text).encode(), file="f.yaml", account="default")
    assert candidate.spec is not None, candidate.findings
    return candidate.spec.digest


DEFAULTS = "defaults: {timeout: 5m, kill_after: 3s, retry: {max_attempts: 4, delay: 9s}}\n"


def test_defaults_reach_nodes_that_act_outside() -> None:
    """A process has all of them."""
    nodes = nodes_of(
        DEFAULTS + "nodes:\n- {id: a, run: x}\n- {id: b, type: exec, params: {argv: [x]}}\n"
    )
    for node in nodes.values():
        assert (node.timeout_s, node.kill_after_s) == (300.0, 3.0)
        assert node.retry == RetrySpec(max_attempts=4, delay_s=9.0)


def test_defaults_do_not_reach_nodes_that_only_compute() -> None:
    """A wait must not be cut short, a `fail` not repeated, because of scripts beside it."""
    nodes = nodes_of(
        DEFAULTS
        + "nodes:\n"
        + "- {id: a, type: wait, params: {for: 1h}}\n"
        + "- {id: c, type: set, params: {values: {x: 1}}}\n"
        + "- {id: d, type: log, params: {message: x}}\n"
        + "- {id: e, type: noop}\n"
        + "- {id: b, type: fail, params: {message: x}}\n"
    )
    for node in nodes.values():
        assert (node.timeout_s, node.kill_after_s) == (None, 10.0)
        assert node.retry == RetrySpec()


def test_own_keys_of_a_node_win_one_by_one() -> None:
    """Also within `retry`: what a node does not say comes from the defaults."""
    nodes = nodes_of(
        DEFAULTS
        + "nodes:\n"
        + "- {id: a, run: x, timeout: 1m}\n"
        + "- {id: b, run: x, retry: {max_attempts: 1}}\n"
        + "- {id: c, run: x, kill_after: 0s, retry: {delay: 1s}}\n"
        + "- {id: d, type: noop, retry: {max_attempts: 2}}\n"
    )
    assert (nodes["a"].timeout_s, nodes["a"].kill_after_s) == (60.0, 3.0)
    assert nodes["b"].retry == RetrySpec(max_attempts=1, delay_s=9.0)
    assert nodes["c"].kill_after_s == 0.0
    assert nodes["c"].retry == RetrySpec(max_attempts=4, delay_s=1.0)
    assert nodes["d"].retry == RetrySpec(max_attempts=2, delay_s=1.0)


def test_default_and_own_key_have_one_digest() -> None:
    """Where a value came from is not part of the definition; what it does is."""
    node = "nodes:\n- {id: a, run: x%s}\n- {id: b, type: noop}\n"
    assert digest_of("defaults: {timeout: 5m}\n" + node % "") == digest_of(node % ", timeout: 5m")
    assert digest_of("defaults: {timeout: 5m}\n" + node % "") != digest_of(node % "")
    assert digest_of("defaults: {}\n" + node % "") == digest_of(node % "")


def test_default_retry_is_carried_out() -> None:
    """A node that says nothing of `retry` is tried again."""
    text = flow("  - {id: a, run: x}", top="defaults: {retry: {max_attempts: 2, delay: 1s}}")
    outcome = run_flow(text, {"a": [FAILS, OK]})

    assert outcome.execution.state is ExecutionState.SUCCEEDED
    assert [attempt.key.number for attempt in outcome.attempts] == [1, 2]

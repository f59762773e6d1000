"""Promises of the findings about limits; keys that are planned are proved on the check alone."""

from __future__ import annotations

from datetime import date

import pytest

from flowrunner.definitions.checks import Subject
from flowrunner.definitions.checks.limits import check_limits
from flowrunner.definitions.yaml_reader import read_yaml
from tests.fakes.nodes import builtin_nodes

LAST = "the last of 14 attempts is never reached: the delays take 1h5m, and the flow ends after 1h"
BUILD = "nodes: [{id: a, run: x}]\n"


def found(text: str) -> list[tuple[str, int, int, str]]:
    document = read_yaml(text.encode(), file="f")
    subject = Subject(
        document=document, data=document.data, catalog=builtin_nodes(), as_of=date(2027, 3, 1)
    )
    return [(f.code, f.line, f.column, f.message) for f in check_limits(subject)]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        pytest.param(
            "timeout: 1h\nnodes: [{id: a, run: x, timeout: 2h}]\n",
            (2, 34, "a timeout of 2h is never reached: the flow ends after 1h"),
            id="node",
        ),
        pytest.param(
            "timeout: 90m\ndefaults: {timeout: 2h}\n" + BUILD,
            (2, 21, "a timeout of 2h is never reached: the flow ends after 1h30m"),
            id="defaults",
        ),
        pytest.param(
            "timeout: 1h\nnodes: [{id: a, type: wait, params: {for: 2h}}]\n",
            (2, 43, "a wait of 2h never ends: the flow ends after 1h"),
            id="wait",
        ),
        pytest.param(
            "timeout: 1h\nnodes: [{id: a, run: x, retry: {max_attempts: 14, delay: 5m}}]\n",
            (2, 32, LAST),
            id="retry",
        ),
        pytest.param(
            BUILD + "triggers: [{type: schedule, every: 15m, jitter: 20m}]\n",
            (2, 49, "a jitter of 20m is longer than the 15m between two slots"),
            id="jitter-of-every",
        ),
        pytest.param(
            BUILD + "triggers: [{type: schedule, cron: '*/5 9-17 * * *', jitter: 20m}]\n",
            (2, 61, "a jitter of 20m is longer than the 5m between two slots"),
            id="jitter-of-cron",
        ),
        pytest.param(
            BUILD + "triggers: [{type: schedule, cron: '0 0 1,2 * *', jitter: 25h}]\n",
            (2, 58, "a jitter of 25h is longer than the 1d between two slots"),
            id="jitter-of-days",
        ),
    ],
)
def test_limit_out_of_reach(text: str, finding: tuple[int, int, str]) -> None:
    """A limit that cannot be met is told at the limit, with what stands against it."""
    assert found(text) == [("FR504", *finding)]


@pytest.mark.parametrize(
    "text",
    [
        "timeout: 1h\nnodes: [{id: a, run: x, timeout: 1h}]\n",
        "timeout: 1h\nnodes: [{id: a, type: wait, params: {for: 1h}}]\n",
        "timeout: 1h\nnodes: [{id: a, run: x, retry: {max_attempts: 12, delay: 5m}}]\n",
        "timeout: 1h\nnodes: [{id: a, run: x, retry: {max_attempts: 100}}]\n",
        BUILD + "triggers: [{type: schedule, every: 15m, jitter: 15m}]\n",
        BUILD + "triggers: [{type: schedule, cron: '0 0 * * *', jitter: 1d}]\n",
        BUILD + "triggers: [{type: schedule, cron: 'x', jitter: 1d}]\n",
        BUILD + "triggers: [{type: schedule, every: 5, jitter: 1d}]\n",
        BUILD + "triggers: [{type: schedule, cron: '0 0 29 2 *', jitter: 1000d}]\n",
        "timeout: soon\nnodes: [{id: a, run: x, timeout: 2h}]\n",
        "nodes: [{id: a, type: wait, timeout: 5, params: {for: 1h}}]\n",
    ],
)
def test_limit_within_reach_or_unreadable(text: str) -> None:
    """Equal bounds contradict nothing, and what is no duration is told elsewhere."""
    assert found(text) == []


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        ("max_attempts: 4, delay: 1m", "3m"),
        ("max_attempts: 4, delay: 1m, backoff: linear", "6m"),
        ("max_attempts: 4, delay: 1m, backoff: exponential", "7m"),
        ("max_attempts: 6, delay: 1m, backoff: exponential", "17m"),
        ("max_attempts: 5, delay: 1m, backoff: exponential, max_delay: 2m", "7m"),
        ("max_attempts: 4, delay: 1m, jitter: 0.5", "1m30s"),
        ("max_attempts: 1000, delay: 1s, backoff: exponential, max_delay: 1s", "16m39s"),
        ("max_attempts: 301, delay: 1s, backoff: linear, max_delay: 1m", "4h30m30s"),
        ("max_attempts: 604800000001, delay: 1s", "1000000w"),
    ],
)
def test_delays_are_the_shortest_that_they_may_be(retry: str, delays: str) -> None:
    """Back-off, its bound and jitter count, so that no retry is wrongly called unreachable."""
    text = f"timeout: 1s\nnodes: [{{id: a, run: x, retry: {{{retry}}}}}]\n"
    ((code, _, _, message),) = found(text)

    assert code == "FR504"
    assert f"the delays take {delays}, " in message


def test_jitter_of_all_the_delay_reaches_every_attempt() -> None:
    """A delay that may be nothing at all keeps no attempt out."""
    retry = "retry: {max_attempts: 4, delay: 1m, jitter: 1}"

    assert found(f"timeout: 1s\nnodes: [{{id: a, run: x, {retry}}}]\n") == []


def test_attempts_from_the_defaults_give_a_delay_its_effect() -> None:
    """A node may take its number of attempts from `defaults`, if they reach its type."""
    node = "nodes: [{id: a, run: x, retry: {delay: 5s}}]\n"

    assert found("defaults: {retry: {max_attempts: 3}}\n" + node) == []
    assert [code for code, *_ in found(node)] == ["FR208"]
    wait = "nodes: [{id: a, type: wait, params: {for: 1s}, retry: {delay: 5s}}]\n"
    assert [c for c, *_ in found("defaults: {retry: {max_attempts: 3}}\n" + wait)] == ["FR208"]


@pytest.mark.parametrize("key", ["backoff: linear", "max_delay: 1m", "jitter: 1", "if: 'true'"])
def test_no_key_of_repeats_has_an_effect_on_one_attempt(key: str) -> None:
    """What speaks about further attempts is a finding where there are none."""
    name = key.split(":", maxsplit=1)[0]
    ((code, _, _, message),) = found(f"nodes: [{{id: a, run: x, retry: {{{key}}}}}]\n")

    assert (code, message) == ("FR208", f"{name!r} has no effect on a single attempt")

"""Concurrency, `notify` and environments: keys with an effect, names that may be set, no data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from flowrunner.definitions import codes
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.definitions.templates import holds_expression
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json
from flowrunner.model.notify import thresholds_without_effect

_DANGEROUS = re.compile(
    r"PATH|LD_.*|DYLD_.*|BASH_ENV|ENV|IFS|PYTHON.*|PERL.*|RUBY.*|NODE_OPTIONS|GIT_.*|SSH_.*"
)
_OURS = frozenset(
    {
        "FLOW_NAME",
        "EXECUTION_ID",
        "NODE_ID",
        "ATTEMPT",
        "SLOT_AT",
        "HOST_NAME",
        "WORK_DIR",
        "FLOW_DIR",
        "TMPDIR",
        "FLOW_OUTPUT",
        "FLOW_PAYLOAD_FILE",
    }
)

_WITHOUT_EFFECT = {"skip": ("queue_limit",), "allow": ("group", "limit")}
"""Policy of `concurrency` → keys beside it that change nothing."""


def check_values(subject: Subject) -> Iterator[Finding]:
    """Yields findings about concurrency, `notify`, the environment, the bound of `finally`."""
    yield from _concurrency(subject, subject.data.get("concurrency", {}))
    yield from _notify(subject, subject.data.get("notify", ()))
    yield from _env(subject, ("env",), subject.data.get("env", {}))
    for path, node in subject.all_nodes:
        if "env" in node:
            yield from _env(subject, (*path, "env"), node["env"])
    if "finally_timeout" in subject.data and "finally" not in subject.data:
        yield subject.document.finding(
            codes.EXCLUSIVE_KEYS,
            "'finally_timeout' has no effect without 'finally'",
            path=("finally_timeout",),
            key=True,
        )


def _concurrency(subject: Subject, raw: Mapping[str, Json]) -> Iterator[Finding]:
    policy = raw.get("on_conflict")
    for key in _WITHOUT_EFFECT.get(str(policy), ()):
        if key in raw:
            yield subject.document.finding(
                codes.EXCLUSIVE_KEYS,
                f"{key!r} has no effect with on_conflict: {policy}",
                path=("concurrency", key),
                key=True,
            )


def _notify(subject: Subject, rules: Sequence[Mapping[str, Json]]) -> Iterator[Finding]:
    for index, rule in enumerate(rules):
        for key in thresholds_without_effect(rule):
            yield subject.document.finding(
                codes.EXCLUSIVE_KEYS,
                f"{key!r} has no effect without 'failed' or 'recovered' in 'on'",
                path=("notify", index, key),
                key=True,
            )


def _env(subject: Subject, path: Path, env: Mapping[str, Json]) -> Iterator[Finding]:
    for name, value in env.items():
        if name in _OURS:
            yield subject.document.finding(
                codes.VALUE_NOT_ALLOWED,
                f"{name} is set by FlowRunner for every attempt",
                path=(*path, name),
                key=True,
            )
        if isinstance(value, str) and "\0" in value:
            yield subject.document.finding(
                codes.VALUE_NOT_ALLOWED,
                f"the value of {name} holds a NUL, which no environment can",
                path=(*path, name),
            )
        is_computed = isinstance(value, str) and holds_expression(value)
        if is_computed and _DANGEROUS.fullmatch(name):
            yield subject.document.finding(
                codes.LITERAL_ENV_ONLY,
                f"{name} decides what programs load or run, so it takes a literal only",
                path=(*path, name),
                hint=f"pass the data under another name; the script checks them and sets {name}",
            )

"""Inputs, concurrency and environments: values that fit, names that may be set, data kept out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from flowrunner.definitions import codes
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.definitions.templates import holds_expression
from flowrunner.model.finding import Finding
from flowrunner.model.flow import InputSpec, ValueType
from flowrunner.model.ids import Json
from flowrunner.model.values import fits, problem_with

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
_NUMBERS = (ValueType.INTEGER, ValueType.NUMBER)


def check_values(subject: Subject) -> Iterator[Finding]:
    """Yields findings about inputs, concurrency and environment variables."""
    for name, raw in subject.inputs.items():
        yield from _input(subject, name, raw)
    yield from _concurrency(subject, subject.data.get("concurrency", {}))
    yield from _env(subject, ("env",), subject.data.get("env", {}))
    for index, node in enumerate(subject.nodes):
        yield from _env(subject, ("nodes", index, "env"), node.get("env", {}))


def input_spec(raw: Mapping[str, Json]) -> InputSpec:
    """Returns the spec of an input as far as its values are concerned."""
    kind = ValueType(raw.get("type", "string"))
    is_number = kind in _NUMBERS
    return InputSpec(
        type=kind,
        enum=tuple(raw.get("enum", ())),
        minimum=raw.get("minimum") if is_number else None,
        maximum=raw.get("maximum") if is_number else None,
    )


def _input(subject: Subject, name: str, raw: Mapping[str, Json]) -> Iterator[Finding]:
    spec, path = input_spec(raw), ("inputs", name)
    for key in ("minimum", "maximum"):
        if key in raw and spec.type not in _NUMBERS:
            message = f"{key!r} has no effect on an input of type {spec.type}"
            yield subject.document.finding(
                codes.EXCLUSIVE_KEYS, message, path=(*path, key), key=True
            )
    for index, choice in enumerate(spec.enum):
        if not fits(choice, spec.type):
            yield subject.document.finding(
                codes.DEFAULT_MISFIT,
                f"{choice!r} is not of type {spec.type}",
                path=(*path, "enum", index),
            )
    if spec.minimum is not None and spec.maximum is not None and spec.minimum > spec.maximum:
        yield subject.document.finding(
            codes.VALUE_NOT_ALLOWED,
            "'minimum' is greater than 'maximum', so no value fits",
            path=(*path, "minimum"),
        )
    if "default" in raw:
        yield from _default(subject, path, raw, spec)


def _default(
    subject: Subject, path: Path, raw: Mapping[str, Json], spec: InputSpec
) -> Iterator[Finding]:
    value = raw["default"]
    problem = problem_with(value, spec)
    if not problem or (isinstance(value, str) and holds_expression(value)):
        return
    fitting = next((kind for kind in ValueType if fits(value, kind)), None)
    yield subject.document.finding(
        codes.DEFAULT_MISFIT,
        f"the default {problem}",
        path=(*path, "default"),
        hint=f"add type: {fitting}, or put it in quotes" if fitting and "type" not in raw else "",
    )


def _concurrency(subject: Subject, raw: Mapping[str, Json]) -> Iterator[Finding]:
    if raw.get("on_conflict") == "skip" and "queue_limit" in raw:
        yield subject.document.finding(
            codes.EXCLUSIVE_KEYS,
            "'queue_limit' has no effect with on_conflict: skip",
            path=("concurrency", "queue_limit"),
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
            )

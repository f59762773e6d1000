"""A flow that is kept by its gist is the flow, whoever asks for what of it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from flowrunner.definitions.late_flow import LateFlow, flow_of_gist, gist_of
from flowrunner.model.flow import FlowSpec
from flowrunner.model.packed import PackedDefinition, packed_definition
from tests.fakes.definitions import flow_text
from tests.fakes.nodes import builtin_compiler, builtin_nodes

FILE = flow_text(
    "a",
    description="of it",
    labels={"team": "ops"},
    inputs={"day": {"default": "today"}},
    vars={"x": 1},
    env={"A": "b"},
    secrets=["TOKEN"],
    outputs={"x": "y"},
    triggers=[{"type": "schedule", "every": "5m"}, {"type": "start"}],
    concurrency={"limit": 2},
    suspend=True,
    protect=True,
    pause_after_failures=3,
    timeout="3m",
    runs_on=["here"],
    retention={"executions": 5},
    sla={"max_duration": "1h"},
)
FIELDS = [field.name for field in fields(FlowSpec)]


def whole_flow() -> tuple[FlowSpec, PackedDefinition]:
    candidate = builtin_compiler().read(FILE, file="a.yaml", account="default")
    assert candidate.spec is not None, candidate.findings
    assert candidate.definition is not None
    return candidate.spec, packed_definition(candidate.definition)


def late_flow() -> FlowSpec:
    spec, packed = whole_flow()
    late = flow_of_gist(spec.key, spec.digest, packed, gist_of(spec, packed), builtin_nodes())
    assert isinstance(late, LateFlow)
    return late


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_that_of_the_whole_flow(name: str) -> None:
    """Also when it is the first that is asked for."""
    spec, _ = whole_flow()
    assert getattr(late_flow(), name) == getattr(spec, name)


def test_it_equals_the_whole_flow_and_no_other() -> None:
    """From both sides; a copy with another field is another flow."""
    spec, _ = whole_flow()
    assert late_flow() == spec
    assert spec == late_flow()
    assert replace(late_flow(), is_suspended=False) == replace(spec, is_suspended=False)
    assert replace(late_flow(), is_suspended=False) != spec


def test_a_list_of_flows_builds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arms and what lists show is at hand without a look into the definition."""
    late = late_flow()
    monkeypatch.delattr(PackedDefinition, "unpacked")
    assert (late.description, late.labels) == ("of it", {"team": "ops"})
    assert (len(late.schedules), late.runs_on, late.is_protected) == (1, ("here",), True)


def test_a_late_flow_has_no_other_fields() -> None:
    """A word that is none of its fields is refused as by any object."""
    with pytest.raises(AttributeError, match="nothing"):
        late_flow().nothing  # type: ignore[attr-defined]  # noqa: B018 - asked for on purpose


def late_hook(name: str) -> FlowSpec:
    """A late flow that differs from another one in its name alone."""
    hook = {"type": "webhook", "auth": {"type": "github", "secret": "TOKEN"}}
    text = flow_text(name, triggers=[hook], secrets=["TOKEN"])
    candidate = builtin_compiler().read(text, file=f"{name}.yaml", account="default")
    spec, definition = candidate.spec, candidate.definition
    assert spec is not None, candidate.findings
    assert definition is not None
    gist = gist_of(spec, definition)
    packed = packed_definition(definition)
    return flow_of_gist(spec.key, spec.digest, packed, gist, builtin_nodes())


def test_flows_that_are_alike_share_what_arms_them() -> None:
    """Of thousands with one schedule it is made once."""
    one, other = late_flow(), late_flow()
    assert one is not other
    assert one.triggers is other.triggers


def test_hooks_that_are_alike_have_each_the_path_of_its_flow() -> None:
    """What a flow says about them is the same, and yet it is another hook."""
    paths = [hook.path for name in ("a", "b") for hook in late_hook(name).webhooks]
    assert paths == ["a/webhook", "b/webhook"]

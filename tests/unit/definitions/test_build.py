"""Promises of `flowrunner.definitions.build`: what each key of a file becomes."""

from __future__ import annotations

import pytest

from flowrunner.definitions.build_triggers import build_triggers
from flowrunner.errors import ValidationError
from flowrunner.model.expressions import condition, parse_template
from flowrunner.model.flow import (
    ConcurrencySpec,
    FlowSpec,
    InputSpec,
    NodeSpec,
    OnConflict,
    RetrySpec,
    ScheduleTrigger,
    Trigger,
    ValueType,
    WebhookTrigger,
)
from flowrunner.model.hook_auth import PROVIDERS, AuthType, Proof, ProofKind, WebhookAuth
from flowrunner.model.ids import FlowKey
from flowrunner.model.schedule import DstPolicy, EverySchedule, Repeated, Skipped, parse_cron
from tests.fakes.nodes import builtin_compiler

COMPILER = builtin_compiler()
HEAD = "version: 1\nname: example\n"
BUILD = "nodes:\n  - id: build\n    run: make\n"


def spec_of(text: str) -> FlowSpec:
    candidate = COMPILER.read((HEAD + text).encode(), file="f.yaml", account="team")
    assert not [finding for finding in candidate.findings if finding.is_error]
    assert candidate.spec is not None
    return candidate.spec


def trigger_of(text: str, *, inputs: str = "") -> Trigger:
    (trigger,) = spec_of(f"{inputs}triggers: [{text}]\n" + BUILD).triggers
    return trigger


def test_minimal_flow_has_the_defaults_of_the_format() -> None:
    """What a file does not say is what the flow format says."""
    spec = spec_of(BUILD)

    assert spec == FlowSpec(
        key=FlowKey("team", "example"),
        digest=spec.digest,
        node_types=("shell",),
        concurrency=ConcurrencySpec(limit=1, on_conflict=OnConflict.QUEUE, queue_limit=100),
        nodes=(
            NodeSpec(
                id="build",
                type="shell",
                params={"script": "make"},
                timeout_s=None,
                kill_after_s=10.0,
                retry=RetrySpec(max_attempts=1, delay_s=1.0),
            ),
        ),
    )


def test_top_level_keys_arrive() -> None:
    """Description, labels, inputs, vars, env, secrets and concurrency are as written."""
    spec = spec_of(
        "description: What it does.\nlabels: {team: orders}\nvars: {a: [1, {b: null}]}\n"
        "inputs:\n  day: {}\n  n: {type: integer, enum: [1, 2], minimum: 1, maximum: 2, default: 2,"
        " description: How many.}\nenv: {A: '${{ inputs.day }}', B: x}\nsecrets: [TOKEN]\n"
        "concurrency: {limit: 3, queue_limit: 7}\n" + BUILD
    )

    assert spec.description == "What it does."
    assert spec.labels == {"team": "orders"}
    assert spec.vars == {"a": [1, {"b": None}]}
    assert spec.inputs == {
        "day": InputSpec(type=ValueType.STRING, required=True),
        "n": InputSpec(
            type=ValueType.INTEGER,
            required=False,
            default=2,
            enum=(1, 2),
            minimum=1,
            maximum=2,
            description="How many.",
        ),
    }
    assert spec.env == {"A": parse_template("${{ inputs.day }}"), "B": "x"}
    assert spec.secrets == ("TOKEN",)
    assert spec.concurrency == ConcurrencySpec(limit=3, on_conflict=OnConflict.QUEUE, queue_limit=7)


def test_node_keys_arrive() -> None:
    """Every key of a node is in its spec, durations in seconds."""
    spec = spec_of(
        "nodes:\n  - id: build\n    type: exec\n"
        "    params: {argv: [make, '${{ flow.name }}', 5]}\n    needs: []\n"
        "    if: flow.name == 'x'\n    env: {A: null}\n    timeout: 1m30s\n    kill_after: 500ms\n"
        "    retry: {max_attempts: 3, delay: 2s}\n    outputs: {a: {}, b: {type: integer}}\n"
    )

    assert spec.nodes == (
        NodeSpec(
            id="build",
            type="exec",
            needs=(),
            condition=condition("flow.name == 'x'"),
            params={"argv": ["make", parse_template("${{ flow.name }}"), 5]},
            env={"A": None},
            timeout_s=90.0,
            kill_after_s=0.5,
            retry=RetrySpec(max_attempts=3, delay_s=2.0),
            outputs={"a": ValueType.STRING, "b": ValueType.INTEGER},
        ),
    )


def test_omitted_needs_are_the_node_above() -> None:
    """A list runs in order; `needs: []` starts at once."""
    spec = spec_of(
        "nodes:\n  - {id: a, run: make}\n  - {id: b, run: make}\n"
        "  - {id: c, run: make, needs: []}\n  - {id: d, run: make}\n"
        "  - {id: e, run: make, needs: [a, d]}\n"
    )

    assert [node.needs for node in spec.nodes] == [(), ("a",), (), ("c",), ("a", "d")]


@pytest.mark.parametrize(
    ("written", "expression"),
    [
        pytest.param("true", "true", id="boolean"),
        pytest.param("false", "false", id="false"),
        pytest.param("always()", "always()", id="bare"),
        pytest.param("'true'", "true", id="quoted"),
    ],
)
def test_if_is_a_condition(written: str, expression: str) -> None:
    """A boolean is an expression too."""
    spec = spec_of(BUILD + f"    if: {written}\n")

    assert spec.nodes[0].condition == condition(expression)


def test_values_of_set_hold_templates_at_any_depth() -> None:
    """Only texts with an expression become templates."""
    spec = spec_of(
        "nodes:\n  - id: a\n    type: set\n"
        "    params: {values: {x: [1, {y: '${{ flow.name }}'}], z: plain}}\n"
    )

    expected = {"values": {"x": [1, {"y": parse_template("${{ flow.name }}")}], "z": "plain"}}
    assert spec.nodes[0].params == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "{type: schedule, cron: '@daily', timezone: Europe/Berlin}",
            ScheduleTrigger(id="schedule", schedule=parse_cron("@daily", "Europe/Berlin")),
            id="cron",
        ),
        pytest.param(
            "{type: schedule, cron: '*/5 * * * *'}",
            ScheduleTrigger(id="schedule", schedule=parse_cron("*/5 * * * *", "UTC")),
            id="utc-by-default",
        ),
        pytest.param(
            "{id: often, type: schedule, every: 1m30s, if: vars.x, "
            "inputs: {a: 5, b: '${{ flow.name }}'}}",
            ScheduleTrigger(
                id="often",
                schedule=EverySchedule(period_s=90),
                condition=condition("vars.x"),
                inputs={"a": 5, "b": parse_template("${{ flow.name }}")},
            ),
            id="every",
        ),
        pytest.param(
            "{type: webhook, auth: {type: github, secret: PUSH}}",
            WebhookTrigger(
                id="webhook",
                path="example/webhook",
                methods=("POST",),
                auth=WebhookAuth(
                    type=AuthType.GITHUB,
                    secrets=("PUSH",),
                    proof=Proof(header="x-hub-signature-256", prefix="sha256="),
                ),
                dedupe_key=condition("trigger.headers['x-github-delivery']"),
                dedupe_window_s=86_400.0,
                max_body=1_048_576,
            ),
            id="github",
        ),
        pytest.param(
            "{id: in, type: webhook, path: a/b, methods: [PUT], max_body: 2KiB, "
            "if: trigger.body.x, auth: {type: hmac, secrets: [A, B], header: X-Sign}, "
            "dedupe: {key: trigger.body.id, window: 1h}}",
            WebhookTrigger(
                id="in",
                path="a/b",
                methods=("PUT",),
                auth=WebhookAuth(
                    type=AuthType.HMAC,
                    secrets=("A", "B"),
                    proof=Proof(header="x-sign", algorithm="sha256", encoding="hex", prefix=""),
                ),
                dedupe_key=condition("trigger.body.id"),
                dedupe_window_s=3_600.0,
                max_body=2_048,
                condition=condition("trigger.body.x"),
            ),
            id="hmac",
        ),
        pytest.param(
            "{type: webhook, auth: {type: hmac, secret: A, header: h, algorithm: sha512, "
            "encoding: base64, prefix: v1=}}",
            WebhookTrigger(
                id="webhook",
                path="example/webhook",
                auth=WebhookAuth(
                    type=AuthType.HMAC,
                    secrets=("A",),
                    proof=Proof(header="h", algorithm="sha512", encoding="base64", prefix="v1="),
                ),
                dedupe_key=None,
            ),
            id="hmac-with-all-keys",
        ),
        pytest.param(
            "{type: webhook, auth: {type: bearer, secret: A}}",
            WebhookTrigger(
                id="webhook",
                path="example/webhook",
                auth=WebhookAuth(
                    type=AuthType.BEARER,
                    secrets=("A",),
                    proof=Proof(kind=ProofKind.BEARER, header="authorization"),
                ),
                dedupe_key=None,
            ),
            id="bearer",
        ),
        pytest.param(
            "{type: webhook, auth: {type: stripe, secret: A, tolerance: 1m}}",
            WebhookTrigger(
                id="webhook",
                path="example/webhook",
                auth=WebhookAuth(
                    type=AuthType.STRIPE,
                    secrets=("A",),
                    proof=PROVIDERS[AuthType.STRIPE].proof,
                    tolerance_s=60.0,
                ),
                dedupe_key=condition("trigger.body.id"),
            ),
            id="stripe",
        ),
        pytest.param(
            "{type: webhook, auth: {type: none}}",
            WebhookTrigger(
                id="webhook",
                path="example/webhook",
                auth=WebhookAuth(
                    type=AuthType.NONE, secrets=(), proof=Proof(kind=ProofKind.NOTHING)
                ),
                dedupe_key=None,
            ),
            id="none",
        ),
    ],
)
def test_trigger_keys_arrive(text: str, expected: Trigger) -> None:
    """Every key of a trigger is in its spec, the presets of its auth resolved."""
    inputs = "vars: {x: 1}\ninputs: {a: {type: integer, default: 1}, b: {default: x}}\n"

    assert trigger_of(text, inputs=inputs) == expected


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        pytest.param("{}", DstPolicy(), id="empty"),
        pytest.param("{skipped: skip}", DstPolicy(skipped=Skipped.SKIP), id="skip"),
        pytest.param("{repeated: twice}", DstPolicy(repeated=Repeated.TWICE), id="twice"),
        pytest.param(
            "{skipped: run_after, repeated: once}",
            DstPolicy(skipped=Skipped.RUN_AFTER, repeated=Repeated.ONCE),
            id="the-defaults",
        ),
    ],
)
def test_dst_is_the_policy_of_the_schedule(written: str, policy: DstPolicy) -> None:
    """What `dst` says decides the slots; what it leaves out is as without it."""
    text = f"{{type: schedule, cron: 30 2 * * *, timezone: Europe/Berlin, dst: {written}}}"
    trigger = trigger_of(text)
    assert isinstance(trigger, ScheduleTrigger)
    assert trigger.schedule == parse_cron("30 2 * * *", "Europe/Berlin", policy)


def test_jitter_and_enabled_are_the_triggers_own() -> None:
    """Neither is part of the schedule, so that a cursor outlives a change of them."""
    trigger = trigger_of("{type: schedule, every: 1h, jitter: 1m500ms, enabled: false}")
    assert isinstance(trigger, ScheduleTrigger)
    assert (trigger.jitter_s, trigger.is_enabled) == (60.5, False)
    plain = trigger_of("{type: schedule, every: 1h}")
    assert isinstance(plain, ScheduleTrigger)
    assert (plain.jitter_s, plain.is_enabled) == (0.0, True)
    assert plain.schedule == trigger.schedule


def test_secrets_of_a_disabled_hook_are_not_needed() -> None:
    """A flow is not kept from being Ready by a hook that takes nothing."""
    hook = "{type: webhook, auth: {type: github, secret: DEPLOY}"
    on = spec_of(f"triggers: [{hook}}}]\n" + BUILD)
    off = spec_of(f"triggers: [{hook}, enabled: false}}]\n" + BUILD)
    assert (on.secrets_in_use, off.secrets_in_use) == (frozenset({"DEPLOY"}), frozenset())


def test_a_type_of_trigger_that_is_not_known_is_refused() -> None:
    """A record of another version of the format may name one."""
    with pytest.raises(ValidationError, match="'tide'"):
        build_triggers(FlowKey("team", "example"), [{"type": "tide"}])

"""Hooks in force, and a delivery on its way through the checks of one."""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.dataclass import dataclass
from flowrunner.model.body import CONTENT, Content
from flowrunner.model.delivery import HIDDEN_HEADERS, Delivery, DeliveryAnswer
from flowrunner.model.delivery_record import DeliveryRecord
from flowrunner.model.execution import Cause
from flowrunner.model.flow import FlowSpec, OnConflict, WebhookTrigger
from flowrunner.model.hook_auth import PROVIDERS, Proof
from flowrunner.model.ids import Json
from flowrunner.registry.entry import FlowEntry
from flowrunner.triggers import hook_answers
from flowrunner.triggers.dedupe import SAME_BODY_S, Duplicates
from flowrunner.triggers.signatures import signed_part


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A hook in force: its flow's entry as of the last pass, and the trigger."""

    label: str
    entry: FlowEntry
    spec: FlowSpec
    trigger: WebhookTrigger


@dataclass(slots=True)
class Case:
    """A delivery that has proven itself, on its way through the checks.

    The one value here that changes: what is known of the delivery grows on the way.
    """

    hook: Hook
    proof: Proof
    delivery: Delivery
    draft: DeliveryRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a signature covers, and for how long the same counts as a second copy.

    Attributes:
        identity: What copies share; empty where nothing of the delivery is signed.
    """

    identity: str = ""
    window_s: float = 0.0


def hooks_of(entry: FlowEntry) -> tuple[Hook, ...]:
    """Returns the hooks of a flow that take deliveries."""
    spec = entry.spec
    if spec is None:
        return ()
    return tuple(
        Hook(label=f"{entry.key.account}/{it.path}", entry=entry, spec=spec, trigger=it)
        for it in spec.webhooks
        if it.is_enabled
    )


def signed_of(hook: Hook, proof: Proof, delivery: Delivery) -> Signed:
    """Returns what a recorded copy of a delivery must have in common with it.

    A signed time lets a copy pass for as long as it is fresh, from before to after our own time.
    """
    if not proof.signs_body:
        return Signed()
    window_s = 2 * hook.trigger.auth.tolerance_s if proof.has_time else SAME_BODY_S
    data = signed_part(proof, delivery.headers, delivery.body)
    return Signed(identity=Duplicates.body_identity(data), window_s=window_s)


def is_patient(spec: FlowSpec) -> bool:
    """Whether a place that is taken for a moment sends nobody away: others wait for it.

    Then copies are found by the write that would create their execution, for which they take a
    place; it is the last one of a queue at the worst. Elsewhere they are looked for before.
    """
    rules = spec.concurrency
    return rules.group is None and rules.on_conflict in (OnConflict.QUEUE, OnConflict.ALLOW)


def answer_to_trial(hook: Hook, delivery: Delivery, body: Json) -> DeliveryAnswer | None:
    """Returns the answer to a call by which a provider only tries the hook; None for others."""
    row = PROVIDERS[hook.trigger.auth.type]
    if row.ping is not None and delivery.headers.get(row.ping[0]) == row.ping[1]:
        return hook_answers.trial(hook.label, {"status": "ignored"})
    if not row.has_challenge or not isinstance(body, Mapping):
        return None
    challenge = body.get("challenge")
    if body.get("type") != "url_verification" or not isinstance(challenge, str):
        return None
    return hook_answers.trial(hook.label, {"challenge": challenge})


def cause_of(trigger: WebhookTrigger, delivery: Delivery) -> Cause:
    """Returns what an execution keeps of its delivery: the raw body, and no header of a proof."""
    own = trigger.auth.proof.header
    content = {} if trigger.content is Content.JSON else {CONTENT: str(trigger.content)}
    headers = {
        name: value
        for name, value in delivery.headers.items()
        if name != own and name not in HIDDEN_HEADERS
    }
    return Cause(
        trigger_id=trigger.id,
        trigger_type="webhook",
        context={"headers": headers, "query": dict(delivery.query), **content},
        payload=delivery.body,
    )

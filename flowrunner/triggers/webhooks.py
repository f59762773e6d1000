"""Webhooks: from a raw request to an accepted execution, in the order of the flow format.

Path, method and signature fail alike; only who proves to be the sender learns more. A 202 is
given when the execution, under a key that a second copy would share, is on disk.
Source of the order and the answers: FLOW_FORMAT, section 3.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from flowrunner.errors import ExecutionError, FlowError, RefusedError, StorageError, ValidationError
from flowrunner.model.delivery import HIDDEN_HEADERS, Delivery, DeliveryAnswer, Unproven
from flowrunner.model.depth import is_deeper
from flowrunner.model.execution import Cause
from flowrunner.model.flow import AuthType, FlowSpec, WebhookAuth, WebhookTrigger
from flowrunner.model.ids import DEFAULT_ACCOUNT, ExecutionId, FlowKey, Json
from flowrunner.model.states import Reason
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.secrets.lookup import Secrets
from flowrunner.system.clock import Clock
from flowrunner.triggers.dedupe import SAME_BODY_S, Duplicates
from flowrunner.triggers.dispatcher import (
    Dispatcher,
    Start,
    trigger_inputs,
    trigger_scope,
    wants_start,
)
from flowrunner.triggers.signatures import is_authentic, pretend

JSON_DEPTH = 64
"""How deep the body of a delivery may nest; deeper data is an attack on a parser."""
_RETRY_AFTER_S = 30
_UNKNOWN_HOOK = "_unknown"
_NOBODY = WebhookAuth(
    type=AuthType.HMAC, secrets=("UNKNOWN_HOOK",), header="x-hub-signature-256", prefix="sha256="
)
"""What a delivery to an unknown hook is verified against, so that it takes the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hook:
    """A hook in force: its flow's entry as of the last pass, and the trigger."""

    label: str
    entry: FlowEntry
    spec: FlowSpec
    trigger: WebhookTrigger

    @property
    def signs_body_alone(self) -> bool:
        """Whether the signature covers neither an id nor a time."""
        return self.trigger.auth.type is not AuthType.BEARER


def _hooks_of(entry: FlowEntry) -> tuple[_Hook, ...]:
    spec = entry.spec
    if spec is None:
        return ()
    return tuple(
        _Hook(label=f"{entry.key.account}/{it.path}", entry=entry, spec=spec, trigger=it)
        for it in spec.webhooks
        if it.is_enabled
    )


class Webhooks:
    """The hooks in force, and the answers to their deliveries."""

    def __init__(
        self, dispatcher: Dispatcher, duplicates: Duplicates, secrets: Secrets, clock: Clock
    ) -> None:
        self._dispatcher = dispatcher
        self._duplicates = duplicates
        self._secrets = secrets
        self._clock = clock
        self._hooks: Mapping[str, _Hook] = {}
        self._by_flow: dict[FlowKey, tuple[_Hook, ...]] = {}
        self._entries: Mapping[FlowKey, FlowEntry] = {}

    def flows_changed(
        self,
        entries: Mapping[FlowKey, FlowEntry],
        removed: frozenset[FlowKey],  # noqa: ARG002 - the whole new set says it too
    ) -> None:
        """Puts the hooks of a new set of flows in force, all at once."""
        by_flow = dict(self._by_flow)
        for key in changed_keys(self._entries, entries):
            entry = entries.get(key)
            is_here = entry is not None and self._dispatcher.is_here(entry)
            hooks = _hooks_of(entry) if entry and is_here else ()
            by_flow.pop(key, None)
            if hooks:
                by_flow[key] = hooks
        # Where two flows have one path (records of two passes, after a crash) the first keeps it.
        self._hooks = {
            hook.label: hook
            for key in sorted(by_flow, reverse=True)
            for hook in reversed(by_flow[key])
        }
        self._by_flow, self._entries = by_flow, entries

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        """Answers a delivery; never raises for anything a sender can do."""
        hook, cause = self._hooks.get(delivery.path), Unproven.NO_HOOK
        if hook is not None and delivery.method not in hook.trigger.methods:
            hook, cause = None, Unproven.METHOD
        lack = await self._lack_of_proof(hook, delivery)
        if hook is None:
            return _unauthorized(_UNKNOWN_HOOK, cause)
        if lack is not None:
            return _unauthorized(hook.label, lack)
        try:
            return await self._accept(hook, delivery)
        except (RefusedError, StorageError) as error:
            return _refused(hook, error)
        except (ValidationError, ExecutionError) as error:
            return _problem(hook, 422, "unprocessable", error)

    async def _lack_of_proof(self, hook: _Hook | None, delivery: Delivery) -> Unproven | None:
        """Returns what the proof lacks, None for a right one; a missing hook costs the same."""
        auth = hook.trigger.auth if hook else _NOBODY
        account = hook.entry.key.account if hook else DEFAULT_ACCOUNT
        found = await asyncio.to_thread(
            lambda: [self._secrets.lookup(account, name) for name in auth.secrets]
        )
        secrets = [value for value in found if value is not None]
        if not secrets:
            pretend(delivery.headers, delivery.body)
        if is_authentic(auth, secrets, delivery.headers, delivery.body):
            return None
        return Unproven.SIGNATURE if secrets else Unproven.SECRET_MISSING

    async def _accept(self, hook: _Hook, delivery: Delivery) -> DeliveryAnswer:
        """Takes an authentic delivery through every later check to its execution."""
        self._dispatcher.startable(hook.entry)
        if len(delivery.body) > hook.trigger.max_body:
            text = f"the body is larger than {hook.trigger.max_body} bytes"
            error = ValidationError(text, code="delivery.too_large")
            return _problem(hook, 413, "too_large", error)
        if delivery.body and not _is_json(delivery.headers.get("content-type", "")):
            text = "the content type must be application/json"
            error = ValidationError(text, code="delivery.content_type")
            return _problem(hook, 415, "unsupported", error)
        _check_json(delivery.body)
        cause, moment = _cause(hook.trigger, delivery), self._clock.now()
        scope = trigger_scope(hook.spec, cause, moment)
        if not wants_start(hook.trigger, scope):
            return _answer(hook, 200, "ignored", {"status": "ignored"})
        inputs = trigger_inputs(hook.spec, hook.trigger, scope)
        given = hook.trigger.dedupe_key.evaluate(scope) if hook.trigger.dedupe_key else None
        start = Start(cause=cause, inputs=inputs, judged_at=moment)
        return await self._submit(hook, delivery, start, given)

    async def _submit(
        self, hook: _Hook, delivery: Delivery, start: Start, given_id: Json
    ) -> DeliveryAnswer:
        """Starts the flow, unless the delivery's id or its signed body was here before."""
        identity, window_s = _identity(hook, delivery, given_id)
        body = Duplicates.body_identity(delivery.body) if hook.signs_body_alone else ""
        async with self._duplicates.turn(hook.label, body, identity):
            known = await self._known(hook, delivery, identity, window_s)
            if known is not None:
                return _duplicate(hook, known)
            if identity:
                key = self._duplicates.start_key(hook.label, identity, window_s)
                start = replace(start, start_key=key)
            accepted = await self._dispatcher.submit(hook.entry, start)
            if not accepted.created:
                return _duplicate(hook, accepted.id)
            if hook.signs_body_alone:
                self._duplicates.remember_body(hook.label, delivery.body, accepted.id)
        return _answer(hook, 202, "accepted", {"execution_id": accepted.id})

    async def _known(
        self, hook: _Hook, delivery: Delivery, identity: str, window_s: float
    ) -> ExecutionId | None:
        """Returns the execution of an earlier copy, or None."""
        known: ExecutionId | None = None
        if hook.signs_body_alone:
            known = self._duplicates.find_body(hook.label, delivery.body)
        if known is None and identity:
            known = await self._duplicates.find(hook.label, identity, window_s)
        return known


def _identity(hook: _Hook, delivery: Delivery, given_id: Json) -> tuple[str, float]:
    """Returns what a second copy of the delivery would share, and for how long it counts."""
    if given_id not in (None, ""):
        return f"id:{json.dumps(given_id, sort_keys=True)}", hook.trigger.dedupe_window_s
    if hook.signs_body_alone:
        return Duplicates.body_identity(delivery.body), SAME_BODY_S
    return "", 0.0


def _cause(trigger: WebhookTrigger, delivery: Delivery) -> Cause:
    hidden = HIDDEN_HEADERS | {trigger.auth.header}
    headers = {name: value for name, value in delivery.headers.items() if name not in hidden}
    return Cause(
        trigger_id=trigger.id,
        trigger_type="webhook",
        context={"headers": headers, "query": dict(delivery.query)},
        payload=delivery.body,
    )


def _is_json(content_type: str) -> bool:
    """Whether a content type is JSON. Source: RFC 6839 section 3.1 for the suffix."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _check_json(body: bytes) -> None:
    """Raises `ValidationError` (``delivery.json``) for a body that is not JSON.

    Numbers beyond the range of a double are refused as NaN is: no JSON could say them again.
    """
    if not body:
        return
    try:
        value = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValidationError("the body is not JSON", code="delivery.json") from error
    if is_deeper(value, JSON_DEPTH):
        text = f"the body is nested more than {JSON_DEPTH} deep"
        raise ValidationError(text, code="delivery.json")


def _refuse_constant(word: str) -> Json:
    raise ValueError(word)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _answer(hook: _Hook, status: int, result: str, body: Mapping[str, Json]) -> DeliveryAnswer:
    return DeliveryAnswer(status=status, result=result, hook=hook.label, body=body)


def _duplicate(hook: _Hook, execution_id: ExecutionId) -> DeliveryAnswer:
    body = {"status": "duplicate", "execution_id": execution_id}
    return _answer(hook, 200, "duplicate", body)


def _problem(hook: _Hook, status: int, result: str, error: FlowError) -> DeliveryAnswer:
    return DeliveryAnswer(
        status=status, result=result, hook=hook.label, problem=error.message, code=error.code
    )


def _unauthorized(hook: str, cause: Unproven) -> DeliveryAnswer:
    """One answer for an unknown path, a wrong method and a bad signature; only the log differs."""
    return DeliveryAnswer(
        status=401,
        result="unauthorized",
        hook=hook,
        problem="the delivery is not authenticated",
        code="auth.invalid",
        cause=cause,
    )


def _refused(hook: _Hook, error: FlowError) -> DeliveryAnswer:
    if error.code == Reason.CONCURRENCY:
        body = {"status": "skipped", "reason": str(Reason.CONCURRENCY)}
        return _answer(hook, 200, "skipped", body)
    is_full = error.code == Reason.QUEUE_FULL
    return DeliveryAnswer(
        status=429 if is_full else 503,
        result="queue_full" if is_full else "unavailable",
        hook=hook.label,
        problem=error.message,
        code=error.code,
        retry_after_s=_RETRY_AFTER_S,
    )

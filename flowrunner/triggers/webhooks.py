"""Webhooks: from a raw request to an accepted execution, in the order of the flow format.

Path, method and signature fail alike; only who proves to be the sender learns more. A 202 is
given when the execution, under a key that a second copy would share, is on disk.
Source of the order and the answers: FLOW_FORMAT, section 3.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from flowrunner.errors import ExecutionError, RefusedError, StorageError, ValidationError
from flowrunner.model.body import CONTENT, Content
from flowrunner.model.delivery import HIDDEN_HEADERS, Delivery, DeliveryAnswer, Unproven
from flowrunner.model.execution import Cause
from flowrunner.model.flow import FlowSpec, WebhookTrigger
from flowrunner.model.hook_auth import PROVIDERS, AuthType, Proof, ProofKind, WebhookAuth
from flowrunner.model.ids import DEFAULT_ACCOUNT, ExecutionId, FlowKey, Json
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.secrets.lookup import Secrets
from flowrunner.system.clock import Clock
from flowrunner.system.threads import InThread
from flowrunner.triggers import hook_answers
from flowrunner.triggers.dedupe import SAME_BODY_S, Duplicates
from flowrunner.triggers.dispatcher import (
    Dispatcher,
    Start,
    trigger_inputs,
    trigger_scope,
    wants_start,
)
from flowrunner.triggers.hook_body import lack_of_type, read_body, require_fit
from flowrunner.triggers.hook_rates import HookRates
from flowrunner.triggers.signatures import (
    MOST_WORK,
    Work,
    judge,
    pretend,
    signed_part,
    work_of,
)

MOST_WAITING = 100
"""Deliveries that wait for the end of their execution at once; more are answered when accepted, so
that they cannot take every connection."""
_UNKNOWN_HOOK = "_unknown"
_NO_NAME = "UNKNOWN_HOOK"
_NOBODY = WebhookAuth(type=AuthType.GITHUB, secrets=(), proof=PROVIDERS[AuthType.GITHUB].proof)
"""What a delivery to an unknown hook is verified against, so that it takes the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hook:
    """A hook in force: its flow's entry as of the last pass, and the trigger."""

    label: str
    entry: FlowEntry
    spec: FlowSpec
    trigger: WebhookTrigger


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """What a signature covers, and for how long the same counts as a second copy.

    Attributes:
        data: Empty where nothing of the delivery is signed.
    """

    data: bytes = b""
    window_s: float = 0.0

    @property
    def identity(self) -> str:
        return Duplicates.body_identity(self.data) if self.window_s else ""


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
    """The hooks in force, and the answers to their deliveries.

    `takes_unproven` says whether a hook without a proof (`auth: none`) takes deliveries that do
    not come from this machine; `in_thread` reads secrets, which are files, outside the loop.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        duplicates: Duplicates,
        secrets: Secrets,
        clock: Clock,
        *,
        takes_unproven: bool = False,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._dispatcher = dispatcher
        self._duplicates = duplicates
        self._secrets = secrets
        self._clock = clock
        self._takes_unproven = takes_unproven
        self._in_thread = in_thread
        self._rates = HookRates(clock)
        self._waiting = 0
        self._work = work_of(())
        self._most_secrets = 1
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
        auths = [hook.trigger.auth for hook in self._hooks.values()]
        self._work = work_of(auths)
        self._most_secrets = min(max((len(it.secrets) for it in auths), default=1), MOST_WORK)
        self._rates.keep(self._hooks.keys())

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        """Answers a delivery; never raises for anything a sender can do."""
        hook, cause = self._hooks.get(delivery.path), Unproven.NO_HOOK
        if hook is not None and delivery.method not in hook.trigger.methods:
            hook, cause = None, Unproven.METHOD
        proof = await self._proof_of(hook, delivery)
        if hook is None:
            return hook_answers.unauthorized(_UNKNOWN_HOOK, cause)
        if isinstance(proof, Unproven):
            return hook_answers.unauthorized(hook.label, proof)
        try:
            answer = await self._accept(hook, proof, delivery)
        except (RefusedError, StorageError) as error:
            return hook_answers.refused(hook.label, error)
        except (ValidationError, ExecutionError) as error:
            return hook_answers.problem(hook.label, 422, "unprocessable", error)
        if answer.result == "accepted" and hook.trigger.wait_timeout_s is not None:
            return await self._ended(hook, answer, hook.trigger.wait_timeout_s)
        return answer

    async def _ended(
        self, hook: _Hook, accepted: DeliveryAnswer, timeout_s: float
    ) -> DeliveryAnswer:
        """Returns the answer once the execution has ended, or the one it has at the latest."""
        if self._waiting >= MOST_WAITING:
            return accepted
        self._waiting += 1
        try:
            ended = await self._dispatcher.end_of(accepted.body["execution_id"], timeout_s)
        except StorageError:
            ended = None  # it is accepted all the same
        finally:
            self._waiting -= 1
        return accepted if ended is None else hook_answers.ended(hook.label, ended)

    async def _proof_of(self, hook: _Hook | None, delivery: Delivery) -> Proof | Unproven:
        """Returns the proof that holds, or what is lacking; every refusal costs the same.

        As many secrets are looked up, and as many HMACs made, as for the hook that has most.
        """
        now_s, work, most = self._clock.now().timestamp(), self._work, self._most_secrets
        return await self._in_thread(
            partial(self._judged, hook, delivery, now_s=now_s, work=work, most_secrets=most)
        )

    def _judged(
        self,
        hook: _Hook | None,
        delivery: Delivery,
        *,
        now_s: float,
        work: Work,
        most_secrets: int,
    ) -> Proof | Unproven:
        """Reads the secrets and hashes the body; blocks for as long as a large body takes."""
        auth = hook.trigger.auth if hook else _NOBODY
        account = hook.entry.key.account if hook else DEFAULT_ACCOUNT
        names = [*auth.secrets, *[_NO_NAME] * (most_secrets - len(auth.secrets))]
        found = [self._secrets.lookup(account, name) for name in names]
        secrets = [value for value in found[: len(auth.secrets)] if value is not None]
        proof = judge(auth, secrets, delivery.headers, delivery.body, now_s, work)
        is_bare = auth.proof.kind is ProofKind.NOTHING
        if is_bare and not (delivery.is_local or self._takes_unproven):
            pretend(delivery.headers, delivery.body, work)
            return Unproven.OFF_HOST
        return proof

    async def _accept(self, hook: _Hook, proof: Proof, delivery: Delivery) -> DeliveryAnswer:
        """Takes an authentic delivery through every later check to its execution."""
        self._dispatcher.startable(hook.entry)
        wait_s = self._rates.take(hook.label, hook.trigger.rate_limit)
        if wait_s:
            return hook_answers.too_many(hook.label, wait_s)
        if len(delivery.body) > hook.trigger.max_body:
            text = f"the body is larger than {hook.trigger.max_body} bytes"
            error = ValidationError(text, code="delivery.too_large")
            return hook_answers.problem(hook.label, 413, "too_large", error)
        content = hook.trigger.content
        said = [delivery.headers.get(f"content-{each}", "") for each in ("type", "encoding")]
        text = lack_of_type(content, *said) if delivery.body else ""
        if text:
            error = ValidationError(text, code="delivery.content_type")
            return hook_answers.problem(hook.label, 415, "unsupported", error)
        body = read_body(delivery.body, content)
        tried = _answer_to_trial(hook, delivery, body)
        if tried is not None:
            return tried
        require_fit(body, hook.trigger.schema)
        cause, moment = _cause(hook.trigger, delivery), self._clock.now()
        scope = trigger_scope(hook.spec, cause, moment)
        if not wants_start(hook.trigger, scope):
            return hook_answers.ignored(hook.label)
        inputs = trigger_inputs(hook.spec, hook.trigger, scope)
        given = hook.trigger.dedupe_key.evaluate(scope) if hook.trigger.dedupe_key else None
        start = Start(cause=cause, inputs=inputs, judged_at=moment)
        return await self._submit(hook, _signed(hook, proof, delivery), start, given)

    async def _submit(
        self, hook: _Hook, signed: _Signed, start: Start, given_id: Json
    ) -> DeliveryAnswer:
        """Starts the flow, unless the delivery's id or what it signed was here before."""
        identity, window_s = signed.identity, signed.window_s
        if given_id not in (None, ""):
            identity = f"id:{json.dumps(given_id, sort_keys=True)}"
            window_s = hook.trigger.dedupe_window_s
        async with self._duplicates.turn(hook.label, signed.identity, identity):
            known = await self._known(hook, signed, identity, window_s)
            if known is not None:
                return hook_answers.duplicate(hook.label, known)
            if identity:
                key = self._duplicates.start_key(hook.label, identity, window_s)
                start = replace(start, start_key=key)
            accepted = await self._dispatcher.submit(hook.entry, start)
            if not accepted.created:
                return hook_answers.duplicate(hook.label, accepted.id)
            if signed.window_s:
                self._duplicates.remember_body(
                    hook.label, signed.data, accepted.id, signed.window_s
                )
        return hook_answers.accepted(hook.label, accepted.id)

    async def _known(
        self, hook: _Hook, signed: _Signed, identity: str, window_s: float
    ) -> ExecutionId | None:
        """Returns the execution of an earlier copy, or None."""
        known: ExecutionId | None = None
        if signed.window_s:
            known = self._duplicates.find_body(hook.label, signed.data)
        if known is None and identity:
            known = await self._duplicates.find(hook.label, identity, window_s)
        return known


def _signed(hook: _Hook, proof: Proof, delivery: Delivery) -> _Signed:
    """Returns what a recorded copy of a delivery must have in common with it.

    A signed time lets a copy pass for as long as it is fresh, from before to after our own time.
    """
    if not proof.signs_body:
        return _Signed()
    window_s = 2 * hook.trigger.auth.tolerance_s if proof.has_time else SAME_BODY_S
    data = signed_part(proof, delivery.headers, delivery.body)
    return _Signed(data=data, window_s=window_s)


def _answer_to_trial(hook: _Hook, delivery: Delivery, body: Json) -> DeliveryAnswer | None:
    """Returns the answer to a call by which a provider only tries the hook; None for others."""
    row = PROVIDERS[hook.trigger.auth.type]
    if row.ping is not None and delivery.headers.get(row.ping[0]) == row.ping[1]:
        return hook_answers.ignored(hook.label)
    if not row.has_challenge or not isinstance(body, Mapping):
        return None
    challenge = body.get("challenge")
    if body.get("type") != "url_verification" or not isinstance(challenge, str):
        return None
    return hook_answers.answer(hook.label, 200, "ignored", {"challenge": challenge})


def _cause(trigger: WebhookTrigger, delivery: Delivery) -> Cause:
    hidden = HIDDEN_HEADERS | {trigger.auth.proof.header}
    content = {} if trigger.content is Content.JSON else {CONTENT: str(trigger.content)}
    headers = {name: value for name, value in delivery.headers.items() if name not in hidden}
    return Cause(
        trigger_id=trigger.id,
        trigger_type="webhook",
        context={"headers": headers, "query": dict(delivery.query), **content},
        payload=delivery.body,
    )

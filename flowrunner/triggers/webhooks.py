"""Webhooks: from a raw request to an accepted execution, in the order of the flow format.

Path, method and signature fail alike; only who proves to be the sender learns more. A 202 is
given when the execution, under a key that a second copy would share, is on disk.
Source of the order and the answers: FLOW_FORMAT, section 3.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from flowrunner.errors import ExecutionError, RefusedError, StorageError, ValidationError
from flowrunner.model.delivery import Delivery, DeliveryAnswer, Unproven
from flowrunner.model.delivery_record import DeliveryReason, DeliveryRecord
from flowrunner.model.execution import Cause
from flowrunner.model.hook_auth import PROVIDERS, AuthType, Proof, ProofKind, WebhookAuth
from flowrunner.model.ids import DEFAULT_ACCOUNT, ExecutionId, FlowKey, Json
from flowrunner.model.secret import SecretValue
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.secrets.lookup import SecretsAtHand
from flowrunner.storage.protocols import ExecutionStore
from flowrunner.system.clock import Clock
from flowrunner.system.gathering import Gathering
from flowrunner.system.threads import InThread
from flowrunner.triggers import hook_answers
from flowrunner.triggers.dedupe import Duplicates, Keys
from flowrunner.triggers.delivery_log import DeliveryLog
from flowrunner.triggers.delivery_names import names_in_body, names_in_headers
from flowrunner.triggers.dispatcher import (
    Dispatcher,
    Start,
    trigger_inputs,
    trigger_scope,
    wants_start,
)
from flowrunner.triggers.hook_body import lack_of_type, read_body, require_fit
from flowrunner.triggers.hook_cases import (
    Case,
    Hook,
    answer_to_trial,
    cause_of,
    hooks_of,
    is_patient,
    signed_of,
)
from flowrunner.triggers.hook_rates import HookRates
from flowrunner.triggers.recalling import recall_bodies
from flowrunner.triggers.signatures import (
    MOST_WORK,
    Work,
    judge,
    work_of,
)

MOST_WAITING = 100
"""Deliveries that wait for the end of their execution at once; more are answered when accepted, so
that they cannot take every connection."""
MOST_AT_ONCE = 4_096
"""Bytes of a body that is hashed in the loop, where secrets are at hand: that takes microseconds,
and a thread, which a smaller one cannot even do without Python's lock, several times as many."""
MOST_GATHERED = 16_384
"""Bytes of a body that is hashed together with others: a larger one would keep them waiting."""
_SORTED = json.JSONEncoder(sort_keys=True)
"""Writes an id, so that equal ones have the same text."""
_UNKNOWN_HOOK = "_unknown"
_NO_NAME = "UNKNOWN_HOOK"
_NOBODY = WebhookAuth(type=AuthType.GITHUB, secrets=(), proof=PROVIDERS[AuthType.GITHUB].proof)
"""What a delivery to an unknown hook is verified against, so that it takes the same way."""


class _Found(NamedTuple):
    """The proof that holds, or what is lacking, and the secrets that it was judged by."""

    proof: Proof | Unproven
    secrets: Sequence[SecretValue]


class _Cost(NamedTuple):
    """What every refusal costs: so much work, and lookups of so many secrets."""

    work: Work
    secrets: int


class _Wanted(NamedTuple):
    """What a delivery asks to start, where it has passed every check.

    Attributes:
        given_id: Its id, as the flow finds it; null or empty for none.
    """

    cause: Cause
    inputs: Mapping[str, Json]
    moment: datetime
    given_id: Json


class Webhooks:
    """The hooks in force, and the answers to their deliveries.

    `takes_unproven` says whether a hook without a proof (`auth: none`) takes deliveries that do
    not come from this machine; `in_thread` reads secrets that may lie on a disk outside the loop.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        duplicates: Duplicates,
        secrets: SecretsAtHand,
        clock: Clock,
        *,
        log: DeliveryLog,
        takes_unproven: bool = False,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        self._dispatcher = dispatcher
        self._duplicates = duplicates
        self._secrets = secrets
        self._clock = clock
        self._log = log
        self._takes_unproven = takes_unproven
        self._in_thread = in_thread
        self._gathering: Gathering[_Found] = Gathering(in_thread)
        self._rates = HookRates(clock)
        self._waiting = 0
        self._cost = _Cost(work_of(()), secrets=1)
        self._hooks: Mapping[str, Hook] = {}
        self._by_flow: dict[FlowKey, tuple[Hook, ...]] = {}
        self._entries: Mapping[FlowKey, FlowEntry] = {}

    def flows_changed(
        self,
        entries: Mapping[FlowKey, FlowEntry],
        removed: frozenset[FlowKey],  # noqa: ARG002 - the whole new set says it too
    ) -> None:
        """Puts the hooks of a new set of flows in force, all at once."""
        changed = {
            key: self._hooks_here(entries.get(key)) for key in changed_keys(self._entries, entries)
        }
        before = self._by_flow
        by_flow = {**before, **changed}
        for key in [key for key, hooks in changed.items() if not hooks]:
            del by_flow[key]
        if all(_is_like(before.get(key, ()), hooks) for key, hooks in changed.items()):
            self._exchange(changed)
        else:
            self._put_all(by_flow)
        self._by_flow, self._entries = by_flow, entries

    def _exchange(self, changed: Mapping[FlowKey, tuple[Hook, ...]]) -> None:
        """Puts hooks in the place of those with the same paths and secrets."""
        news = [(key, hook) for key, hooks in changed.items() for hook in hooks]
        mine = {hook.label: hook for key, hook in news if self._hooks[hook.label].entry.key == key}
        self._hooks = {**self._hooks, **mine} if mine else self._hooks

    def _put_all(self, by_flow: Mapping[FlowKey, tuple[Hook, ...]]) -> None:
        # Where two flows have one path (records of two passes, after a crash) the first keeps it.
        self._hooks = {
            hook.label: hook
            for key in sorted(by_flow, reverse=True)
            for hook in reversed(by_flow[key])
        }
        auths = [hook.trigger.auth for hook in self._hooks.values()]
        secrets = min(max((len(it.secrets) for it in auths), default=1), MOST_WORK)
        self._cost = _Cost(work_of(auths), secrets)
        self._rates.keep(self._hooks.keys())

    async def recall(self, executions: ExecutionStore) -> None:
        """Learns which bodies the life before has accepted lately; once the hooks are in force.

        Raises:
            StorageError: They cannot be read.
        """
        await recall_bodies(executions, self._duplicates, self._by_flow, self._clock.now())

    def _hooks_here(self, entry: FlowEntry | None) -> tuple[Hook, ...]:
        is_here = entry is not None and self._dispatcher.is_here(entry)
        return hooks_of(entry) if entry is not None and is_here else ()

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        """Answers a delivery; never raises for anything a sender can do."""
        came_at, size = self._clock.now(), len(delivery.body)
        asked = hook = self._hooks.get(delivery.path)
        cause = Unproven.NO_HOOK
        if hook is not None and delivery.method not in hook.trigger.methods:
            hook, cause = None, Unproven.METHOD
        judged = partial(self._judged, hook, delivery, came_at.timestamp(), self._cost)
        if size <= MOST_AT_ONCE and self._secrets.is_at_hand:
            proof, secrets = judged()
        elif size <= MOST_GATHERED:
            proof, secrets = await self._gathering.run(judged)
        else:
            proof, secrets = await self._in_thread(judged)
        if hook is None:
            answer = hook_answers.unauthorized(_UNKNOWN_HOOK, cause)
            return self._unproven(asked, delivery, secrets, came_at, answer)
        if isinstance(proof, Unproven):
            answer = hook_answers.unauthorized(hook.label, proof)
            return self._unproven(asked, delivery, secrets, came_at, answer)
        draft = self._draft(asked, delivery, secrets, came_at, is_proven=True)
        case = Case(hook, proof, delivery, draft)
        try:
            found = self._checked(case)
            answer = await self._submit(case, found) if isinstance(found, _Wanted) else found
        except (RefusedError, StorageError) as error:
            answer = hook_answers.refused(hook.label, error)
        except (ValidationError, ExecutionError) as error:
            answer = hook_answers.problem(hook.label, 422, "unprocessable", error)
        self._log.answered(case.draft, answer)
        if answer.result == "accepted" and hook.trigger.wait_timeout_s is not None:
            return await self._ended(hook, draft.id, answer, hook.trigger.wait_timeout_s)
        return answer

    def _unproven(
        self,
        asked: Hook | None,
        delivery: Delivery,
        secrets: Sequence[SecretValue],
        came_at: datetime,
        answer: DeliveryAnswer,
    ) -> DeliveryAnswer:
        """Returns the answer, which is taken note of when it is on its way.

        Else what there is to note would tell by the time it takes whether there is such a hook.
        """

        def note() -> None:
            draft = self._draft(asked, delivery, secrets, came_at, is_proven=False)
            self._log.answered(draft, answer)

        asyncio.get_running_loop().call_soon(note)
        return answer

    def _draft(
        self,
        hook: Hook | None,
        delivery: Delivery,
        secrets: Sequence[SecretValue],
        came_at: datetime,
        *,
        is_proven: bool,
    ) -> DeliveryRecord:
        """Returns the record of a delivery that starts its flow."""
        if hook is None:
            return self._log.begin(delivery, came_at)
        row = PROVIDERS[hook.trigger.auth.type]
        return self._log.begin(
            delivery,
            came_at,
            flow=hook.entry.key,
            trigger=hook.trigger.id,
            revision=self._dispatcher.revision_of(hook.entry),
            names=names_in_headers(row, delivery.headers, secrets),
            is_proven=is_proven,
        )

    def turned_away(
        self, delivery: Delivery, status: int, reason: DeliveryReason, detail: str
    ) -> None:
        """Takes note of a delivery that was refused before it was looked at."""
        hook = self._hooks.get(delivery.path)
        draft = self._draft(hook, delivery, (), self._clock.now(), is_proven=False)
        self._log.note(draft.answered(status, reason, detail=detail))

    async def _ended(
        self, hook: Hook, record_id: str, accepted: DeliveryAnswer, timeout_s: float
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
        if ended is None:
            return accepted
        answer = hook_answers.ended(hook.label, ended)
        self._log.answered_after_all(record_id, answer.status)
        return answer

    def _judged(self, hook: Hook | None, delivery: Delivery, now_s: float, cost: _Cost) -> _Found:
        """Returns the proof that holds, or what is lacking; every refusal costs the same.

        As many secrets are looked up, and as many HMACs made, as for the hook that has most. That
        blocks for as long as a large body takes.
        """
        work, most_secrets = cost
        auth = hook.trigger.auth if hook else _NOBODY
        account = hook.entry.key.account if hook else DEFAULT_ACCOUNT
        names = [*auth.secrets, *[_NO_NAME] * (most_secrets - len(auth.secrets))]
        found = [self._secrets.lookup(account, name) for name in names]
        secrets = [value for value in found[: len(auth.secrets)] if value is not None]
        proof = judge(auth, secrets, delivery.headers, delivery.body, now_s, work)
        is_bare = auth.proof.kind is ProofKind.NOTHING
        if is_bare and not (delivery.is_local or self._takes_unproven):
            judge(_NOBODY, (), delivery.headers, delivery.body, now_s, work)
            return _Found(Unproven.OFF_HOST, secrets)
        return _Found(proof, secrets)

    def _checked(self, case: Case) -> DeliveryAnswer | _Wanted:
        """Takes an authentic delivery through every check before that for an earlier copy."""
        hook, delivery = case.hook, case.delivery
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
        case.draft = names_in_body(PROVIDERS[hook.trigger.auth.type], body, case.draft)
        tried = answer_to_trial(hook, delivery, body)
        if tried is not None:
            return tried
        require_fit(body, hook.trigger.schema)
        cause, moment = cause_of(hook.trigger, delivery), self._clock.now()
        scope = trigger_scope(hook.spec, cause, moment, body)
        if not wants_start(hook.trigger, scope):
            condition = hook.trigger.condition
            return hook_answers.ignored(hook.label, condition.source if condition else "")
        inputs = trigger_inputs(hook.spec, hook.trigger, scope)
        given = hook.trigger.dedupe_key.evaluate(scope) if hook.trigger.dedupe_key else None
        return _Wanted(cause, inputs, moment, given)

    async def _submit(self, case: Case, wanted: _Wanted) -> DeliveryAnswer:
        """Starts the flow, unless the delivery's id or what it signed was here before."""
        hook, signed = case.hook, signed_of(case.hook, case.proof, case.delivery)
        identity, window_s = signed.identity, signed.window_s
        if wanted.given_id not in (None, ""):
            identity = f"id:{_SORTED.encode(wanted.given_id)}"
            window_s = hook.trigger.dedupe_window_s
        with self._duplicates.turn(hook.label, signed.identity, identity) as turn:
            if turn.is_behind:
                await turn.come()
            known: ExecutionId | None = None
            if signed.window_s:
                known = self._duplicates.find_body(hook.label, signed.identity)
            keys = self._duplicates.keys(hook.label, identity, window_s) if identity else None
            if known is None and keys is not None and not is_patient(hook.spec):
                known = await self._duplicates.find(keys)
            if known is not None:
                return hook_answers.duplicate(hook.label, known)
            answer = await self._started(case, wanted, keys)
            if answer.result == "accepted" and signed.window_s:
                begun = answer.body["execution_id"]
                self._duplicates.remember_body(hook.label, signed.identity, begun, signed.window_s)
        return answer

    async def _started(self, case: Case, wanted: _Wanted, keys: Keys | None) -> DeliveryAnswer:
        """Starts the flow, unless an earlier copy has; also a refused one may be a copy."""
        hook, (start_key, former) = case.hook, keys or (None, None)
        start = Start(
            cause=wanted.cause,
            inputs=wanted.inputs,
            judged_at=wanted.moment,
            delivery=case.draft,
            start_key=start_key,
            former=former,
        )
        try:
            begun = await self._dispatcher.submit(hook.entry, start)
        except RefusedError:
            known = None if keys is None else await self._duplicates.find(keys)
            if known is None:
                raise
            return hook_answers.duplicate(hook.label, known)
        if not begun.created:
            return hook_answers.duplicate(hook.label, begun.id, is_recorded=True)
        return hook_answers.accepted(hook.label, begun.id)


def _is_like(these: tuple[Hook, ...], those: tuple[Hook, ...]) -> bool:
    """Whether hooks take deliveries at the same paths by the same proofs."""
    facts = ([(hook.label, hook.trigger.auth) for hook in hooks] for hooks in (these, those))
    return next(facts) == next(facts)

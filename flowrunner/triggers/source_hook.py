"""The hook of the source: whoever serves the repository says that there may be something new.

It is a hint and nothing else: the call is proven, then forgotten, and the repository is asked. So
a call that is forged, repeated or late can at most make the daemon ask, which it does now and then
anyway. Many calls are one sync (`flowrunner.reconcile.upstream.source`).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from flowrunner.model.delivery import Delivery, DeliveryAnswer, Unproven
from flowrunner.model.delivery_record import OF_SOURCE, DeliveryReason
from flowrunner.model.hook_auth import AuthType, Proof, WebhookAuth
from flowrunner.model.secret import SecretValue
from flowrunner.secrets.lookup import FileSecrets
from flowrunner.system.clock import Clock
from flowrunner.triggers import hook_answers
from flowrunner.triggers.delivery_log import DeliveryLog
from flowrunner.triggers.signatures import judge, pretend

PATH = "_source"
"""Below `/hooks/`; no account can be called so."""

_GITLAB = "x-gitlab-token"
_SIGNED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "github": ("x-hub-signature-256", "sha256="),
        "gitea": ("x-gitea-signature", ""),
        "forgejo": ("x-forgejo-signature", ""),
        "bitbucket": ("x-hub-signature", "sha256="),
    }
)
"""Who signs by which header, with what before the digits. Source: operations.md, section 5.1."""


class TakesDeliveries(Protocol):
    """What answers all other deliveries."""

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        """Answers a delivery; never raises for anything a sender can do."""

    def turned_away(
        self, delivery: Delivery, status: int, reason: DeliveryReason, detail: str
    ) -> None:
        """Takes note of a delivery that was refused before it was looked at."""


class SourceHook:
    """Answers the calls of the repository's server, and hands all other deliveries on.

    Args:
        others: Who answers those.
        kind: How the server proves itself: `github`, `gitea`, `forgejo`, `bitbucket` or `gitlab`.
        secret: The file with a secret on each line; None: there is none, so that nobody can.
        wake: Asks for a sync; must be quick.
        log: Takes note of what became of calls.
        clock: Tells when they came.
    """

    def __init__(
        self,
        others: TakesDeliveries,
        kind: str,
        secret: Path | None,
        wake: Callable[[], None],
        *,
        log: DeliveryLog,
        clock: Clock,
    ) -> None:
        self._others = others
        self._kind = kind
        self._file = None if secret is None else (FileSecrets(secret.parent), secret.name)
        self._wake = wake
        self._log = log
        self._clock = clock

    async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
        """Answers a delivery; never raises for anything a sender can do."""
        if delivery.path != PATH:
            return await self._others.deliver(delivery)
        draft = self._log.begin(delivery, self._clock.now(), flow=OF_SOURCE)
        secrets = await asyncio.to_thread(self._secrets)
        cause = self._lack_of_proof(delivery, secrets)
        if cause is not None:
            answer = hook_answers.unauthorized(PATH, cause)
        else:
            self._wake()
            answer = DeliveryAnswer(
                status=202,
                result="accepted",
                hook=PATH,
                body={"status": "sync_requested"},
                reason=DeliveryReason.SYNC,
            )
        self._log.answered(replace(draft, is_proven=cause is None), answer)
        return answer

    def turned_away(
        self, delivery: Delivery, status: int, reason: DeliveryReason, detail: str
    ) -> None:
        """Takes note of a delivery that was refused before it was looked at."""
        if delivery.path != PATH:
            self._others.turned_away(delivery, status, reason, detail)
            return
        draft = self._log.begin(delivery, self._clock.now(), flow=OF_SOURCE)
        self._log.note(draft.answered(status, reason, detail=detail))

    def _lack_of_proof(self, delivery: Delivery, secrets: list[SecretValue]) -> Unproven | None:
        """Returns what the proof lacks; None for a right one."""
        if not secrets:
            pretend(delivery.headers, delivery.body)
            return Unproven.SECRET_MISSING
        if self._kind == "gitlab":
            shown = delivery.headers.get(_GITLAB, "").encode("latin-1", "replace")
            fitting = [hmac.compare_digest(_bytes(secret), shown) for secret in secrets]
            is_proven = any(fitting)
            pretend(delivery.headers, delivery.body)
        else:
            header, prefix = _SIGNED[self._kind]
            proof = Proof(header=header, prefix=prefix)
            auth = WebhookAuth(type=AuthType.HMAC, secrets=(PATH,), proof=proof)
            is_proven = judge(auth, secrets, delivery.headers, delivery.body, 0) is proof
        if not is_proven:
            return Unproven.SIGNATURE
        return None if delivery.method == "POST" else Unproven.METHOD

    def _secrets(self) -> list[SecretValue]:
        """Reads the secrets, one on each line that is not empty; blocks."""
        if self._file is None:
            return []
        folder, name = self._file
        lines = (folder.text(name) or "").split("\n")
        return [SecretValue(line) for line in (each.rstrip("\r") for each in lines) if line]


def _bytes(secret: SecretValue) -> bytes:
    data: bytes = secret.reveal().encode(errors="surrogateescape")
    return data

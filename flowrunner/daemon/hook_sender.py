"""A delivery as its provider would send it, for `webhook send`: made outside of the daemon.

The secret is read as the daemon reads it, by whoever runs the command: who may not read it cannot
sign with it. The daemon would otherwise sign anything for everybody who may use its control
socket, and show tokens to whom it is told to send them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from flowrunner.daemon.secret_sources import make_secrets
from flowrunner.dataclass import dataclass
from flowrunner.definitions.build_triggers import build_triggers
from flowrunner.errors import NotFoundError, SettingsError, ValidationError
from flowrunner.model.body import Content
from flowrunner.model.flow import WebhookTrigger
from flowrunner.model.hook_auth import PROVIDERS, ProofKind
from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.secret import SecretValue
from flowrunner.secrets.lookup import Secrets
from flowrunner.triggers.signatures import proof_for
from flowrunner.triggers.signing import proving_headers

__all__ = ["HookCall", "HookContent", "make_secrets", "prepare"]

_TYPES: Mapping[Content, str] = MappingProxyType(
    {
        Content.JSON: "application/json",
        Content.FORM: "application/x-www-form-urlencoded",
        Content.RAW: "application/octet-stream",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookContent:
    """What a delivery brings.

    Attributes:
        headers: With lower-case names; they stand as they are.
        event: What the provider calls the kind of what happened; None: nothing.
    """

    body: bytes
    headers: Mapping[str, str]
    event: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookCall:
    """A request to a hook.

    Attributes:
        path: Below `/hooks/`.
        headers: Lower-case names.
        shows_secret: Whether the secret itself is in a header.
    """

    path: str
    method: str
    headers: Mapping[str, str]
    shows_secret: bool


def prepare(
    key: FlowKey,
    definition: Mapping[str, Json],
    trigger_id: str,
    content: HookContent,
    *,
    secrets: Secrets,
    now_s: float,
    new_id: Callable[[], str],
) -> HookCall:
    """Returns the request by which a hook is tried.

    Args:
        key: The flow.
        definition: Its effective definition.
        trigger_id: The hook.
        content: What is sent.
        secrets: Those that whoever runs this can read.
        now_s: Seconds since the epoch.
        new_id: Makes the id of a delivery.

    Raises:
        NotFoundError: The flow has no such trigger, or it is no webhook.
        ValidationError: ``request.event``: this type says the kind in the body, or nowhere.
        SettingsError: ``settings.secret_missing``: none of the secrets can be read here, or it
            cannot be used.
    """
    trigger = _webhook(key, definition, trigger_id)
    row = PROVIDERS[trigger.auth.type]
    headers = {"content-type": _TYPES[trigger.content], **content.headers}
    if content.event is not None:
        if not row.event_header:
            text = f"auth type {trigger.auth.type} has no header for an event"
            hint = f"it is {row.event_key!r} in the body" if row.event_key else "leave it out"
            raise ValidationError(f"{text}: {hint}", code="request.event")
        headers[row.event_header] = content.event
    secret = _secret(key.account, trigger, secrets)
    try:
        proof = proving_headers(
            trigger.auth, secret, headers, content.body, now_s=now_s, new_id=new_id
        )
    except ValueError as error:
        text = f"the secret of {key}/{trigger.id} cannot be used: {error}"
        raise SettingsError(text, code="settings.secret_missing") from error
    headers = {**proof, **headers}
    if row.id_headers and not any(name in headers for name in row.id_headers):
        headers[row.id_headers[-1]] = new_id()
    return HookCall(
        path=f"{key.account}/{trigger.path}",
        method="POST" if "POST" in trigger.methods else trigger.methods[0],
        headers=headers,
        shows_secret=secret is not None and not proof_for(trigger.auth, secret).signs_body,
    )


def _webhook(key: FlowKey, definition: Mapping[str, Json], trigger_id: str) -> WebhookTrigger:
    triggers = build_triggers(key, definition.get("triggers", []))
    hooks = {each.id: each for each in triggers if isinstance(each, WebhookTrigger)}
    if trigger_id not in hooks:
        known = ", ".join(hooks) or "it has none"
        raise NotFoundError(f"flow {key} has no webhook {trigger_id!r} (webhooks: {known})")
    return hooks[trigger_id]


def _secret(account: str, trigger: WebhookTrigger, secrets: Secrets) -> SecretValue | None:
    """Returns the first of the secrets of a hook that can be read here; None if it asks for none.

    Raises:
        SettingsError: ``settings.secret_missing``.
    """
    if trigger.auth.proof.kind is ProofKind.NOTHING:
        return None
    for name in trigger.auth.secrets:
        value = secrets.lookup(account, name)
        if value is not None:
            return value
    names = " or ".join(trigger.auth.secrets)
    raise SettingsError(
        f"the secret {names} of account {account} cannot be read here: run this as the user of "
        "the daemon, with its settings (--config) and CREDENTIALS_DIRECTORY or secret variables",
        code="settings.secret_missing",
    )

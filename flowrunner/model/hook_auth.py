"""How deliveries prove where they come from: one row for each type of `auth`.

A row is data: where a proof stands, what it covers, and by which id the provider knows its
deliveries. What works on requests (`flowrunner.triggers.signatures`) knows no provider by name.

Sources: GitHub documentation, "Validating webhook deliveries" and "Webhook events and payloads";
GitLab documentation, "Webhooks" (secret token, signing token, delivery headers); Gitea
documentation, "Webhooks"; Bitbucket documentation, "Manage webhooks" (secure webhooks) and "Event
payloads"; Stripe documentation, "Check the webhook signatures"; Slack documentation, "Verifying
requests from Slack" and "url_verification"; Standard Webhooks specification 1.0.0; RFC 7617
(basic), RFC 6750 (bearer).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from flowrunner.dataclass import dataclass

TOLERANCE_S = 300.0
"""Seconds a signed time may be off. Source: Stripe, Slack and Standard Webhooks, all the same."""

WHSEC = "whsec_"
"""Begins a secret whose key is Base64. Source: Standard Webhooks, "Signature scheme"."""


class AuthType(StrEnum):
    """How a delivery proves where it comes from."""

    HMAC = "hmac"
    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
    BITBUCKET = "bitbucket"
    STRIPE = "stripe"
    SLACK = "slack"
    STANDARD = "standard"
    BEARER = "bearer"
    BASIC = "basic"
    NONE = "none"


class ProofKind(StrEnum):
    """What a proof is made of."""

    SIGNATURE = "signature"
    """An HMAC of the delivery, whose key is the secret."""
    TOKEN = "token"  # noqa: S105 - the name of a kind
    """The secret itself."""
    BEARER = "bearer"
    """The secret after the word `Bearer`."""
    BASIC = "basic"
    """The secret, `user:password`, in Base64 after the word `Basic`."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Where a proof stands, and what it covers.

    Attributes:
        header: Lower-case name of the header that holds it.
        prefix: Text before a signature.
        separator: Between several signatures, and whatever else the header holds; empty: the
            header is one signature.
        covers: What is signed: `{time}` and `{id}` as they were sent, and `{body}`, always last.
        time_header: Header with the signed time, in seconds since the epoch.
        time_prefix: Text before the time where it stands between the signatures instead.
        id_header: Header with the signed id.
        is_base64_key: Whether the key is what the secret holds in Base64, after `whsec_` or alone.
    """

    kind: ProofKind = ProofKind.SIGNATURE
    header: str = ""
    prefix: str = ""
    separator: str = ""
    algorithm: str = "sha256"
    encoding: str = "hex"
    covers: str = "{body}"
    time_header: str = ""
    time_prefix: str = ""
    id_header: str = ""
    is_base64_key: bool = False

    @property
    def has_time(self) -> bool:
        """Whether it covers the time at which it was sent."""
        return "{time}" in self.covers

    @property
    def signs_body(self) -> bool:
        """Whether it covers the body."""
        return self.kind is ProofKind.SIGNATURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A type of `auth`.

    Attributes:
        proof: What proves a delivery.
        whsec_proof: What does so instead for a secret that begins with `whsec_`.
        delivery_id: Expression of the provider's own id of a delivery; empty where it has none.
        ping: Header and value of a call that only tries the hook.
        has_challenge: Whether it asks for its challenge back before it sends anything else.
        event_header: Header with the kind of what happened; empty where the body says it.
        id_headers: Headers with the id of a delivery, the first one that is there counts.
        event_key: Key of the body with the kind; empty where a header says it.
        id_key: Key of the body with the id.
    """

    proof: Proof
    whsec_proof: Proof | None = None
    delivery_id: str = ""
    ping: tuple[str, str] | None = None
    has_challenge: bool = False
    event_header: str = ""
    id_headers: tuple[str, ...] = ()
    event_key: str = ""
    id_key: str = ""

    @property
    def signs_time(self) -> bool:
        """Whether any of its proofs covers a time, so that `tolerance` means something."""
        return any(proof is not None and proof.has_time for proof in (self.proof, self.whsec_proof))


_STANDARD = Proof(
    header="webhook-signature",
    prefix="v1,",
    separator=" ",
    encoding="base64",
    covers="{id}.{time}.{body}",
    time_header="webhook-timestamp",
    id_header="webhook-id",
    is_base64_key=True,
)

PROVIDERS: Mapping[AuthType, Provider] = MappingProxyType(
    {
        AuthType.HMAC: Provider(proof=Proof()),
        AuthType.GITHUB: Provider(
            proof=Proof(header="x-hub-signature-256", prefix="sha256="),
            delivery_id="trigger.headers['x-github-delivery']",
            ping=("x-github-event", "ping"),
            event_header="x-github-event",
            id_headers=("x-github-delivery",),
        ),
        AuthType.GITLAB: Provider(
            proof=Proof(kind=ProofKind.TOKEN, header="x-gitlab-token"),
            whsec_proof=_STANDARD,
            delivery_id=(
                "default(trigger.headers['webhook-id'], trigger.headers['idempotency-key'])"
            ),
            event_header="x-gitlab-event",
            id_headers=("webhook-id", "idempotency-key"),
        ),
        AuthType.GITEA: Provider(
            proof=Proof(header="x-gitea-signature"),
            delivery_id="trigger.headers['x-gitea-delivery']",
            event_header="x-gitea-event",
            id_headers=("x-gitea-delivery",),
        ),
        AuthType.BITBUCKET: Provider(
            proof=Proof(header="x-hub-signature", prefix="sha256="),
            delivery_id="trigger.headers['x-request-uuid']",
            ping=("x-event-key", "diagnostics:ping"),
            event_header="x-event-key",
            id_headers=("x-request-uuid",),
        ),
        AuthType.STRIPE: Provider(
            proof=Proof(
                header="stripe-signature",
                prefix="v1=",
                separator=",",
                covers="{time}.{body}",
                time_prefix="t=",
            ),
            delivery_id="trigger.body.id",
            event_key="type",
            id_key="id",
        ),
        AuthType.SLACK: Provider(
            proof=Proof(
                header="x-slack-signature",
                prefix="v0=",
                covers="v0:{time}:{body}",
                time_header="x-slack-request-timestamp",
            ),
            delivery_id="trigger.body.event_id",
            has_challenge=True,
            event_key="type",
            id_key="event_id",
        ),
        AuthType.STANDARD: Provider(
            proof=_STANDARD,
            delivery_id="trigger.headers['webhook-id']",
            id_headers=("webhook-id",),
        ),
        AuthType.BEARER: Provider(proof=Proof(kind=ProofKind.BEARER, header="authorization")),
        AuthType.BASIC: Provider(proof=Proof(kind=ProofKind.BASIC, header="authorization")),
        AuthType.NONE: Provider(proof=Proof(kind=ProofKind.NOTHING)),
    }
)
"""Each type of `auth`. The proof of `hmac` is what the flow says of it."""

CREDENTIAL_HEADERS = frozenset(
    proof.header
    for row in PROVIDERS.values()
    for proof in (row.proof, row.whsec_proof)
    if proof is not None and proof.header
)
"""Every header in which some provider sends a proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAuth:
    """The `auth` of a webhook trigger.

    Attributes:
        secrets: Names of secrets, any of which may have signed (rotation); none for `none`.
        proof: What proves a delivery.
        whsec_proof: What does so for a secret that begins with `whsec_`; None: `proof`, too.
        tolerance_s: How far a signed time may be off, in seconds.
    """

    type: AuthType
    secrets: tuple[str, ...]
    proof: Proof
    whsec_proof: Proof | None = None
    tolerance_s: float = TOLERANCE_S

"""Proofs of origin, made: what a provider would send, for whoever tries a hook.

The other side of `signatures.py`, out of the same table, so that the two cannot disagree.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping

from flowrunner.model.hook_auth import Proof, ProofKind, WebhookAuth
from flowrunner.model.secret import SecretValue
from flowrunner.triggers.signatures import bytes_of, key_of, proof_for, signed_part

_CONTROLS = bytes((*range(32), 127))
"""What no header may hold. Source: RFC 9110, section 5.5."""


def proving_headers(
    auth: WebhookAuth,
    secret: SecretValue | None,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_s: float,
    new_id: Callable[[], str],
) -> dict[str, str]:
    """Returns the headers that prove a delivery.

    Args:
        auth: What the hook asks for.
        secret: One of those that it names; None where it asks for nothing.
        headers: Those of the delivery, with lower-case names: an id or a time among them is signed
            as it is, others are made.
        body: As it will be sent.
        now_s: Seconds since the epoch, to be signed.
        new_id: Makes an id, to be signed.

    Raises:
        ValueError: The secret is none for this type; the message does not quote it.
    """
    if secret is None or auth.proof.kind is ProofKind.NOTHING:
        return {}
    proof = proof_for(auth, secret)
    key = bytes_of(secret)
    if proof.signs_body:
        return _signed(proof, key, headers, body, time=str(int(now_s)), new_id=new_id)
    if key.translate(None, _CONTROLS) != key:
        raise ValueError("it holds a line break or another control character")
    return {proof.header: _SHOWN[proof.kind](key)}


def _signed(
    proof: Proof,
    secret: bytes,
    headers: Mapping[str, str],
    body: bytes,
    *,
    time: str,
    new_id: Callable[[], str],
) -> dict[str, str]:
    key = key_of(proof, secret)
    if not key:
        raise ValueError("it is not Base64")
    made: dict[str, str] = {}
    if proof.id_header and proof.id_header not in headers:
        made[proof.id_header] = new_id()
    if proof.time_header and proof.time_header not in headers:
        made[proof.time_header] = time
    before = f"{proof.time_prefix}{time}{proof.separator}" if proof.time_prefix else ""
    shown = {**headers, **made, proof.header: before.removesuffix(proof.separator)}
    digest = hmac.digest(key, signed_part(proof, shown, body), proof.algorithm)
    text = base64.b64encode(digest).decode() if proof.encoding == "base64" else digest.hex()
    return {**made, proof.header: f"{before}{proof.prefix}{text}"}


_SHOWN: Mapping[ProofKind, Callable[[bytes], str]] = {
    ProofKind.TOKEN: lambda key: key.decode("latin-1"),
    ProofKind.BEARER: lambda key: f"Bearer {key.decode('latin-1')}",
    ProofKind.BASIC: lambda key: f"Basic {base64.b64encode(key).decode()}",
}
"""How a secret that is sent itself is shown. Header values are Latin-1 (RFC 9110, section 5.5)."""

"""Proofs of origin: is a delivery signed with one of the secrets of its hook?

Works on the raw bytes, before anything is parsed, and compares in constant time. Every secret
is tried, so that the time does not tell which one fits.
Source: RFC 2104 (HMAC), RFC 6750 section 2.1 (bearer), GitHub documentation, "Validating
webhook deliveries".
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence

from flowrunner.model.flow import AuthType, WebhookAuth
from flowrunner.model.secret import SecretValue

_DUMMY = SecretValue("a secret nobody has")
_DUMMY_AUTH = WebhookAuth(
    type=AuthType.HMAC, secrets=("-",), header="x-hub-signature-256", prefix="sha256="
)


def is_authentic(
    auth: WebhookAuth,
    secrets: Sequence[SecretValue],
    headers: Mapping[str, str],
    body: bytes,
) -> bool:
    """Whether a delivery carries a valid proof; without a secret or a header it does not."""
    proof = headers.get(auth.header, "")
    results = [_fits(auth, secret, proof, body) for secret in secrets]
    return any(results)


def pretend(headers: Mapping[str, str], body: bytes) -> None:
    """Does the work of a verification for an unknown hook, so that time does not tell it."""
    is_authentic(_DUMMY_AUTH, (_DUMMY,), headers, body)


def _fits(auth: WebhookAuth, secret: SecretValue, proof: str, body: bytes) -> bool:
    # As it was read: what is not UTF-8 in a credential file is kept as surrogates.
    key = secret.reveal().encode(errors="surrogateescape")
    if auth.type is AuthType.BEARER:
        same = _is_bearer(key, proof)
    else:
        digest = hmac.digest(key, body, auth.algorithm)
        same = hmac.compare_digest(digest, _decoded(auth, proof))
    return same and bool(proof) and bool(key)


def _is_bearer(key: bytes, proof: str) -> bool:
    """Source: RFC 9110 section 11.1: the scheme is compared without regard to case."""
    scheme, _, token = proof.partition(" ")
    same = hmac.compare_digest(_sent(token.strip(" ")), key)
    return same and scheme.lower() == "bearer"


def _sent(text: str) -> bytes:
    """Returns the bytes of a header, which HTTP hands over as Latin-1; empty for other text."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return b""


def _decoded(auth: WebhookAuth, proof: str) -> bytes:
    """Returns the signature's bytes; empty for one that is malformed."""
    if not proof.startswith(auth.prefix):
        return b""
    text = proof[len(auth.prefix) :]
    try:
        if auth.encoding == "base64":
            return base64.b64decode(text, validate=True)
        return bytes.fromhex(text) if text.isalnum() else b""
    except ValueError:
        return b""

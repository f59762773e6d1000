"""Proofs of origin: is a delivery signed with one of the secrets of its hook?

Works on the raw bytes, before anything is parsed, and compares in constant time. Every secret
is tried, so that the time does not tell which one fits; and who is refused has cost as many HMACs
of the body as any hook would, so that the time does not tell one hook from another, or from none.
Source: RFC 2104 (HMAC), RFC 6750 section 2.1 (bearer), RFC 7617 (basic); what is signed by whom is
the table of `flowrunner.model.hook_auth`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from flowrunner.model.delivery import Unproven
from flowrunner.model.hook_auth import WHSEC, Proof, ProofKind, WebhookAuth
from flowrunner.model.secret import SecretValue

Work = Mapping[str, int]
"""How many HMACs of a body are made, by their algorithm."""

LEAST_WORK: Work = MappingProxyType({"sha256": 1})
MOST_WORK = 4
"""HMACs of one algorithm that a refusal costs at most: a stranger decides how large a body is."""

_DUMMY = SecretValue("a secret nobody has")
_MOST_SIGNATURES = 16
"""Signatures in one header that are looked at: those of a rotation are two or three."""
_TIME = re.compile(r"[0-9]{1,12}")


def judge(
    auth: WebhookAuth,
    secrets: Sequence[SecretValue],
    headers: Mapping[str, str],
    body: bytes,
    now_s: float,
    work: Work = LEAST_WORK,
) -> Proof | Unproven:
    """Returns the proof that holds, or what is lacking; without a secret there is none.

    `auth: none` is nothing to prove.

    Args:
        auth: What the hook asks for.
        secrets: Those that this host has.
        headers: With lower-case names.
        body: As it came.
        now_s: Seconds since the epoch, which a signed time is compared with.
        work: What a refusal costs at least.
    """
    if auth.proof.kind is ProofKind.NOTHING:
        return auth.proof
    held = [(proof_for(auth, secret), secret) for secret in secrets]
    found = _judged(auth, held, headers, body, now_s)
    if isinstance(found, Unproven):
        done = Counter(proof.algorithm for proof, _ in held if proof.signs_body)
        pretend(headers, body, {name: most - done[name] for name, most in work.items()})
    return found


def work_of(auths: Iterable[WebhookAuth]) -> Work:
    """Returns what the refusal of any of these costs at most, and at least one HMAC."""
    most = dict(LEAST_WORK)
    for auth in auths:
        times = min(len(auth.secrets), MOST_WORK)
        for proof in (auth.proof, auth.whsec_proof):
            if proof is not None and proof.signs_body and times > most.get(proof.algorithm, 0):
                most[proof.algorithm] = times
    return most


def _judged(
    auth: WebhookAuth,
    held: Sequence[tuple[Proof, SecretValue]],
    headers: Mapping[str, str],
    body: bytes,
    now_s: float,
) -> Proof | Unproven:
    fitting = [proof for proof, secret in held if _fits(proof, secret, headers, body)]
    if not fitting:
        return Unproven.SIGNATURE if held else Unproven.SECRET_MISSING
    proof = fitting[0]
    if proof.has_time and abs(now_s - int(_time_of(proof, headers))) > auth.tolerance_s:
        return Unproven.TIME
    return proof


def pretend(headers: Mapping[str, str], body: bytes, work: Work = LEAST_WORK) -> None:
    """Does the work of verifications that nobody needs, so that time does not tell it."""
    for algorithm, times in work.items():
        proof = Proof(header="x-hub-signature-256", prefix="sha256=", algorithm=algorithm)
        for _ in range(times):
            _fits(proof, _DUMMY, headers, body)


def signed_part(proof: Proof, headers: Mapping[str, str], body: bytes) -> bytes:
    """Returns the bytes that a signature covers."""
    return _signed_before(proof, headers) + body


def _signed_before(proof: Proof, headers: Mapping[str, str]) -> bytes:
    """Returns what a signature covers before the body."""
    before = proof.covers.removesuffix("{body}")
    if not before:
        return b""
    values = {"time": _time_of(proof, headers), "id": headers.get(proof.id_header, "")}
    return before.format(**values).encode("latin-1", "replace")


def proof_for(auth: WebhookAuth, secret: SecretValue) -> Proof:
    """Returns the proof that a hook asks for where this is its secret."""
    if auth.whsec_proof is not None and str(secret.reveal()).startswith(WHSEC):
        return auth.whsec_proof
    return auth.proof


def _fits(proof: Proof, secret: SecretValue, headers: Mapping[str, str], body: bytes) -> bool:
    key = bytes_of(secret)
    shown = headers.get(proof.header, "")
    if proof.signs_body:
        same = _is_signed(proof, key_of(proof, key), headers, body)
    else:
        same = _SHOWN[proof.kind](key, shown)
    return same and bool(shown) and bool(key)


def bytes_of(secret: SecretValue) -> bytes:
    """Returns a secret as it was read: what is not UTF-8 in a file is kept as surrogates."""
    data: bytes = secret.reveal().encode(errors="surrogateescape")
    return data


def _is_signed(proof: Proof, key: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of the signatures of a header is right, and covers all that it must."""
    # Not `hmac.digest`: it lets the interpreter go, and a busy daemon waits to have it back. Not in
    # one piece: a copy of a large body takes long enough to tell that something stands before it.
    made = hmac.new(key, _signed_before(proof, headers), proof.algorithm)
    made.update(body)
    digest = made.digest()
    parts = _parts(proof, headers.get(proof.header, ""))
    results = [hmac.compare_digest(digest, _decoded(proof, text)) for text in parts]
    is_whole = not proof.has_time or bool(_time_of(proof, headers))
    return any(results) and is_whole and _has_id(proof, headers) and bool(key)


def _has_id(proof: Proof, headers: Mapping[str, str]) -> bool:
    """Whether the id that is signed is there; with a dot it could end where it does not."""
    sent = headers.get(proof.id_header, "")
    return not proof.id_header or (bool(sent) and "." not in sent)


def key_of(proof: Proof, key: bytes) -> bytes:
    """Returns the key that a secret is; empty, and so nobody's, for one that is malformed.

    Padding may lack, as for the reference libraries of Standard Webhooks.
    """
    if not proof.is_base64_key:
        return key
    text = key.removeprefix(WHSEC.encode()).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _time_of(proof: Proof, headers: Mapping[str, str]) -> str:
    """Returns the time that a delivery says it was sent at; empty if it is none, or more than one.

    Two times in one header could be read in two ways, by us and by whoever signed.
    """
    if proof.time_header:
        times = [headers.get(proof.time_header, "")]
    else:
        start = proof.time_prefix
        parts = _parts(proof, headers.get(proof.header, ""))
        times = [part.removeprefix(start) for part in parts if start and part.startswith(start)]
    fits = len(times) == 1 and _TIME.fullmatch(times[0])
    return times[0] if fits else ""


def _parts(proof: Proof, shown: str) -> Iterable[str]:
    if not proof.separator:
        return (shown,)
    parts = shown.split(proof.separator, _MOST_SIGNATURES)[:_MOST_SIGNATURES]
    return [part.strip(" ") for part in parts]


def _is_token(key: bytes, shown: str) -> bool:
    return hmac.compare_digest(_sent(shown), key)


def _is_bearer(key: bytes, shown: str) -> bool:
    """Source: RFC 9110 section 11.1: the scheme is compared without regard to case."""
    scheme, _, token = shown.partition(" ")
    same = hmac.compare_digest(_sent(token.strip(" ")), key)
    return same and scheme.lower() == "bearer"


def _is_basic(key: bytes, shown: str) -> bool:
    """Source: RFC 7617 section 2: `user:password` in Base64."""
    scheme, _, text = shown.partition(" ")
    try:
        sent = base64.b64decode(text.strip(" "), validate=True)
    except ValueError:
        sent = b""
    same = hmac.compare_digest(sent, key)
    return same and scheme.lower() == "basic"


_SHOWN = {
    ProofKind.TOKEN: _is_token,
    ProofKind.BEARER: _is_bearer,
    ProofKind.BASIC: _is_basic,
}
"""How a secret that is sent itself is compared."""


def _sent(text: str) -> bytes:
    """Returns the bytes of a header, which HTTP hands over as Latin-1; empty for other text."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return b""


def _decoded(proof: Proof, text: str) -> bytes:
    """Returns the signature's bytes; empty for one that is malformed."""
    if not text.startswith(proof.prefix):
        return b""
    text = text[len(proof.prefix) :]
    try:
        if proof.encoding == "base64":
            return base64.b64decode(text, validate=True)
        return bytes.fromhex(text) if text.isalnum() else b""
    except ValueError:
        return b""

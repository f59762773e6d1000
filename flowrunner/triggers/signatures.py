"""Proofs of origin: is a delivery signed with one of the secrets of its hook?

Works on the raw bytes, before anything is parsed, and compares in constant time. Every secret
is tried, so that the time does not tell which one fits; and who is refused has cost as many HMACs
of the body, and as many looks into its headers, as any hook would, so that the time does not tell
one hook from another, or from none.
Source: RFC 2104 (HMAC), RFC 6750 section 2.1 (bearer), RFC 7617 (basic); what is signed by whom is
the table of `flowrunner.model.hook_auth`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from flowrunner.model.delivery import Unproven
from flowrunner.model.hook_auth import WHSEC, Proof, ProofKind, WebhookAuth
from flowrunner.model.secret import SecretValue

MOST_WORK = 4
"""HMACs of one algorithm that a refusal costs at most: a stranger decides how large a body is."""
MOST_FORMS = 8
"""Forms of proofs that a refusal looks for at most."""

_DECOY = Proof(header="x-hub-signature-256", prefix="sha256=")


class Work(NamedTuple):
    """What every refusal costs.

    Attributes:
        hmacs: How many HMACs of a body are made, by their algorithm.
        forms: What is looked for in its headers.
    """

    hmacs: Mapping[str, int] = MappingProxyType({_DECOY.algorithm: 1})
    forms: tuple[Proof, ...] = (_DECOY,)


LEAST_WORK = Work()
_DUMMY = SecretValue("a secret nobody has")
_NO_DIGEST = bytes(32)
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
        left = {name: most - done[name] for name, most in work.hmacs.items()}
        pretend(headers, body, work._replace(hmacs=left), held[0][0] if held else _DECOY)
    return found


def work_of(auths: Iterable[WebhookAuth]) -> Work:
    """Returns what the refusal of any of these costs at most, and at least one HMAC."""
    hmacs, forms = dict(LEAST_WORK.hmacs), dict.fromkeys(LEAST_WORK.forms)
    for auth in auths:
        times = min(len(auth.secrets), MOST_WORK)
        for proof in (auth.proof, auth.whsec_proof):
            if proof is not None and proof.kind is not ProofKind.NOTHING:
                forms[proof] = None
            if proof is not None and proof.signs_body and times > hmacs.get(proof.algorithm, 0):
                hmacs[proof.algorithm] = times
    slowest = sorted(forms, key=lambda form: (form != _DECOY, not form.separator))
    return Work(hmacs, tuple(slowest[:MOST_FORMS]))


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


def pretend(
    headers: Mapping[str, str], body: bytes, work: Work = LEAST_WORK, known: Proof = _DECOY
) -> None:
    """Does the work of verifications that nobody needs, so that time does not tell it.

    Args:
        headers: Of the delivery.
        body: Of the delivery.
        work: What is to be done.
        known: The form that has been looked for, whatever came of it.
    """
    for algorithm, times in work.hmacs.items():
        proof = replace(_DECOY, algorithm=algorithm)
        for _ in range(times):
            _fits(proof, _DUMMY, headers, body)
    for form in work.forms:
        if form.signs_body and form != known:
            _signed_before(form, headers)
            _shows(form, _NO_DIGEST, headers)
        elif form != known:
            _SHOWN[form.kind](_NO_DIGEST, headers.get(form.header, ""))


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
    return _shows(proof, made.digest(), headers) and bool(key)


def _shows(proof: Proof, digest: bytes, headers: Mapping[str, str]) -> bool:
    """Whether one of the signatures of a header is this one, and covers all that it must."""
    parts = _parts(proof, headers.get(proof.header, ""))
    results = [hmac.compare_digest(digest, _decoded(proof, text)) for text in parts]
    is_whole = not proof.has_time or bool(_time_of(proof, headers))
    return any(results) and is_whole and _has_id(proof, headers)


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

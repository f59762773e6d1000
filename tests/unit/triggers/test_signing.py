"""Promises of `flowrunner.triggers.signing`: what it makes is what `signatures` asks for."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.model.delivery import Unproven
from flowrunner.model.hook_auth import PROVIDERS, AuthType, Proof, WebhookAuth
from flowrunner.model.secret import SecretValue
from flowrunner.triggers.signatures import judge
from flowrunner.triggers.signing import proving_headers
from tests.profile import examples

NOW_S = 1_800_000_000.0
BODY = b'{"ref": "main"}'
WHSEC = "whsec_" + base64.b64encode(b"a key of 24 bytes or so!").decode()


def auth_of(kind: AuthType) -> WebhookAuth:
    """What a hook of a type asks for."""
    row, proof = PROVIDERS[kind], PROVIDERS[kind].proof
    if kind is AuthType.HMAC:
        proof = Proof(header="x-sign", prefix="v=", algorithm="sha512", encoding="base64")
    return WebhookAuth(type=kind, secrets=("HOOK",), proof=proof, whsec_proof=row.whsec_proof)


def made(auth: WebhookAuth, secret: str, body: bytes = BODY, **headers: str) -> dict[str, str]:
    """All headers of a delivery."""
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    proof = proving_headers(
        auth, SecretValue(secret), shown, body, now_s=NOW_S, new_id=lambda: "made-id"
    )
    return {**proof, **shown}


@pytest.mark.parametrize("kind", AuthType)
@pytest.mark.parametrize("secret", ["user:password", WHSEC])
@given(body=st.binary(max_size=200))
@settings(max_examples=examples(15))
def test_every_type_is_proven(kind: AuthType, secret: str, body: bytes) -> None:
    """Whatever the body, the hook takes it now, and not with another body or secret."""
    auth = auth_of(kind)
    if kind is AuthType.STANDARD:
        secret = WHSEC
    headers = made(auth, secret, body)

    def found(secret: str, body: bytes) -> Proof | Unproven:
        return judge(auth, [SecretValue(secret)], headers, body, NOW_S)

    assert isinstance(found(secret, body), Proof)
    if kind is not AuthType.NONE:
        other = WHSEC[:-4] + "AAAA" if secret == WHSEC else "another"
        assert found(other, body) is Unproven.SIGNATURE
    if auth.proof.signs_body:
        assert found(secret, body + b"x") is Unproven.SIGNATURE


@pytest.mark.parametrize("kind", [AuthType.STRIPE, AuthType.SLACK, AuthType.STANDARD])
def test_time_is_signed(kind: AuthType) -> None:
    """A delivery that is made now is too old after the tolerance."""
    auth = auth_of(kind)
    headers = made(auth, WHSEC)

    late = judge(auth, [SecretValue(WHSEC)], headers, BODY, NOW_S + auth.tolerance_s + 1)

    assert late is Unproven.TIME


def test_given_id_and_time_are_signed_as_they_are() -> None:
    """Who tries a hook with an old time gets to see what the hook makes of one."""
    auth = auth_of(AuthType.STANDARD)
    headers = made(auth, WHSEC, webhook_id="mine", webhook_timestamp="1000")

    assert headers["webhook-id"] == "mine"
    assert judge(auth, [SecretValue(WHSEC)], headers, BODY, NOW_S) is Unproven.TIME
    assert isinstance(judge(auth, [SecretValue(WHSEC)], headers, BODY, 1_000.0), Proof)


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        (AuthType.BEARER, "two\nlines"),
        (AuthType.GITLAB, "a\x00b"),
        (AuthType.STANDARD, "no base64"),
    ],
)
def test_secret_that_is_none_is_refused_and_not_quoted(kind: AuthType, secret: str) -> None:
    """What no header can hold, or what is no key, is an error that does not show it."""
    with pytest.raises(ValueError, match="it ") as caught:
        made(auth_of(kind), secret)
    assert secret not in str(caught.value)

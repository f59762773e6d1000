"""Promises of `flowrunner.triggers.signatures`: only who has the secret is believed.

Source: GitHub documentation, "Validating webhook deliveries" (testing the validation); RFC 4231,
section 4 (test cases of HMAC-SHA-256 and HMAC-SHA-512); RFC 6750, section 2.1 (bearer).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrunner.model.delivery import Unproven
from flowrunner.model.hook_auth import PROVIDERS, AuthType, Proof, WebhookAuth
from flowrunner.model.secret import SecretValue
from flowrunner.triggers.signatures import MOST_FORMS, MOST_WORK, judge, pretend, work_of
from tests.profile import examples

GITHUB = WebhookAuth(type=AuthType.GITHUB, secrets=("S",), proof=PROVIDERS[AuthType.GITHUB].proof)
BEARER = WebhookAuth(type=AuthType.BEARER, secrets=("S",), proof=PROVIDERS[AuthType.BEARER].proof)
SECRET = "correct horse battery staple"
BODY = b'{"ref": "refs/heads/main"}'


def signed_by(*, algorithm: str = "sha256", encoding: str = "hex", prefix: str = "") -> WebhookAuth:
    return WebhookAuth(
        type=AuthType.HMAC,
        secrets=("S",),
        proof=Proof(header="x-signature", algorithm=algorithm, encoding=encoding, prefix=prefix),
    )


HEX, BASE64 = signed_by(), signed_by(encoding="base64")


def accepts(auth: WebhookAuth, proof: str | None, *secrets: str, body: bytes = BODY) -> bool:
    """Whether a proof is believed; `secrets` are those of the hook, by default the right one."""
    headers = {} if proof is None else {auth.proof.header: proof}
    return is_authentic(auth, [SecretValue(each) for each in secrets or (SECRET,)], headers, body)


def is_authentic(
    auth: WebhookAuth, secrets: list[SecretValue], headers: Mapping[str, str], body: bytes
) -> bool:
    return isinstance(judge(auth, secrets, headers, body, 0.0), Proof)


def proof_of(auth: WebhookAuth, secret: str = SECRET, body: bytes = BODY) -> str:
    """The right proof, by other code than ours."""
    if auth.type is AuthType.BEARER:
        return f"Bearer {secret}"
    proof = auth.proof
    digest = hmac.new(secret.encode(), body, getattr(hashlib, proof.algorithm)).digest()
    text = base64.b64encode(digest).decode() if proof.encoding == "base64" else digest.hex()
    return proof.prefix + text


every_auth = pytest.mark.parametrize(
    "auth",
    [
        pytest.param(GITHUB, id="github"),
        pytest.param(HEX, id="hmac"),
        pytest.param(signed_by(algorithm="sha512"), id="sha512"),
        pytest.param(BASE64, id="base64"),
        pytest.param(signed_by(prefix="v1,"), id="prefix"),
        pytest.param(signed_by(algorithm="sha512", encoding="base64", prefix="s="), id="all"),
        pytest.param(BEARER, id="bearer"),
    ],
)


# Published examples


def test_githubs_example_is_believed() -> None:
    """GitHub's own example of secret, payload and signature verifies."""
    proof = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secret = "It's a Secret to Everybody"
    assert accepts(GITHUB, proof, secret, body=b"Hello, World!")
    assert not accepts(GITHUB, proof, secret, body=b"Hello, World?")


@pytest.mark.parametrize(
    ("key", "data", "sha256", "sha512"),
    [
        pytest.param(
            "\x0b" * 20,
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
            "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            id="case-1",
        ),
        pytest.param(
            "Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            id="case-2",
        ),
        pytest.param(
            b"\xaa".decode(errors="surrogateescape") * 20,
            b"\xdd" * 50,
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
            "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
            id="case-3-a-key-of-bytes",
        ),
        pytest.param(
            b"\xaa".decode(errors="surrogateescape") * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
            "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            id="case-6-a-long-key-of-bytes",
        ),
    ],
)
def test_vectors_of_rfc_4231_are_believed(key: str, data: bytes, sha256: str, sha512: str) -> None:
    """The published vectors verify, also with keys that are no UTF-8."""
    assert accepts(HEX, sha256, key, body=data)
    assert accepts(signed_by(algorithm="sha512"), sha512, key, body=data)


# What is believed


@every_auth
def test_right_proof_is_believed(auth: WebhookAuth) -> None:
    """Every scheme, algorithm, encoding and prefix verifies what another program signed."""
    assert accepts(auth, proof_of(auth))


@every_auth
def test_any_secret_of_the_hook_will_do(auth: WebhookAuth) -> None:
    """While a secret is changed the new and the old one are both good, in any order."""
    for secrets in (("new", "old"), ("old", "new"), ("new", "x", "old")):
        assert accepts(auth, proof_of(auth, "new"), *secrets)
        assert accepts(auth, proof_of(auth, "old"), *secrets)
        assert not accepts(auth, proof_of(auth, "older"), *secrets)


def test_hex_may_be_in_capitals() -> None:
    """The case of hexadecimal digits means nothing."""
    assert accepts(HEX, proof_of(HEX).upper())


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_of_a_token_is_compared_without_case(scheme: str) -> None:
    """RFC 9110: the word before the token may be written in any case."""
    assert accepts(BEARER, f"{scheme} {SECRET}")


def test_token_may_have_any_bytes() -> None:
    """A token in UTF-8 arrives as Latin-1, as HTTP hands headers over."""
    assert accepts(BEARER, f"Bearer {'schlüssel'.encode().decode('latin-1')}", "schlüssel")


# What is not


@every_auth
@pytest.mark.parametrize("secrets", [pytest.param([], id="none"), pytest.param([""], id="empty")])
def test_hook_without_a_secret_believes_nobody(auth: WebhookAuth, secrets: list[str]) -> None:
    """A secret that is missing or empty lets nobody in, not even with the proof it would give."""
    headers = {auth.proof.header: proof_of(auth, "")}
    assert not is_authentic(auth, [SecretValue(each) for each in secrets], headers, BODY)
    assert not is_authentic(auth, [SecretValue(each) for each in secrets], {}, BODY)


@every_auth
def test_delivery_without_a_proof_is_not_believed(auth: WebhookAuth) -> None:
    """A missing or empty header is no proof."""
    for proof in (None, "", " ", auth.proof.prefix, "Bearer ", "Bearer"):
        assert not accepts(auth, proof)


@every_auth
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda proof: proof[:-1], id="shorter"),
        pytest.param(lambda proof: proof + "0", id="longer"),
        pytest.param(lambda proof: proof + " x", id="more-words"),
        pytest.param(lambda proof: f"{proof},{proof}", id="twice-with-a-comma"),
        pytest.param(lambda proof: f"{proof}, {proof}", id="header-sent-twice"),
        pytest.param(lambda proof: proof + "\n", id="newline"),
        pytest.param(lambda proof: "\0" + proof, id="nul"),
        pytest.param(lambda proof: "é" + proof, id="not-ascii"),
        pytest.param(lambda proof: proof[:-1] + "é", id="not-ascii-at-the-end"),
        pytest.param(lambda proof: proof[:-1] + "\ud800", id="surrogate"),
        pytest.param(lambda proof: proof[:-1] + "\u0663", id="arabic-digit"),
        pytest.param(lambda proof: proof[:-1] + "\uff10", id="wide-digit"),
    ],
)
def test_changed_proof_is_not_believed(auth: WebhookAuth, change: object) -> None:
    """A proof that is not exactly the right one is none, and never an exception."""
    assert callable(change)
    assert not accepts(auth, change(proof_of(auth)))


def test_signature_of_another_body_is_not_believed() -> None:
    """A signature holds for the raw bytes it was made over, and for no others."""
    for body in (BODY + b"\n", BODY[:-1], b"", BODY.replace(b" ", b"")):
        assert not accepts(GITHUB, proof_of(GITHUB), body=body)


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param(proof_of(HEX), id="no-prefix"),
        pytest.param("sha1=" + hmac.new(SECRET.encode(), BODY, "sha1").hexdigest(), id="sha1"),
        pytest.param("SHA256=" + proof_of(HEX), id="prefix-in-capitals"),
        pytest.param("sha256=" + proof_of(BASE64), id="other-encoding"),
        pytest.param("sha256=sha256=" + proof_of(HEX), id="prefix-twice"),
    ],
)
def test_other_form_is_not_believed(proof: str) -> None:
    """What GitHub would not send is not believed, though it knows the secret."""
    assert not accepts(GITHUB, proof)


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param(SECRET, id="bare"),
        pytest.param(f"Basic {SECRET}", id="basic"),
        pytest.param(f"Bearer{SECRET}", id="no-space"),
        pytest.param(f"Bearer {SECRET} {SECRET}", id="twice"),
        pytest.param(f"Token Bearer {SECRET}", id="other-first"),
    ],
)
def test_token_of_another_form_is_not_believed(proof: str) -> None:
    """A token must follow the word `Bearer`, and stand alone."""
    assert not accepts(BEARER, proof)


@pytest.mark.parametrize("text", ["*", "a b", "aGk", "aGk=\n", "aGk=", "-_-_", "é"])
def test_malformed_base64_is_not_believed(text: str) -> None:
    """What is no Base64, or that of other bytes, is no signature."""
    assert not accepts(BASE64, text)


AUTHS = st.sampled_from([GITHUB, HEX, BASE64, signed_by(algorithm="sha512"), BEARER])
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)


@settings(max_examples=examples(150))
@given(auth=AUTHS, proof=ANY_TEXT, body=st.binary(max_size=50))
@example(auth=BEARER, proof="Bearer \ud800", body=b"")
@example(auth=BEARER, proof="Bearer ?", body=b"")
@example(auth=GITHUB, proof="sha256=\u0663\u0664", body=b"")
@example(auth=BASE64, proof="=", body=b"")
def test_no_header_opens_a_hook_or_raises(auth: WebhookAuth, proof: str, body: bytes) -> None:
    """Whatever text a sender puts into the header, without the secret it is refused."""
    for text in (proof, auth.proof.prefix + proof, f"Bearer {proof}"):
        assert is_authentic(auth, [SecretValue("x" * 40)], {auth.proof.header: text}, body) is False


@settings(max_examples=examples(200))
@given(
    auth=AUTHS,
    secret=st.text(st.characters(codec="utf-8"), min_size=1, max_size=100),
    other=st.text(st.characters(codec="utf-8"), min_size=1, max_size=100),
    body=st.binary(max_size=100),
)
def test_right_secret_alone_is_believed(
    auth: WebhookAuth, secret: str, other: str, body: bytes
) -> None:
    """For every secret its own signature is right, and that of another secret is not."""
    if auth.type is AuthType.BEARER:
        secret, other = secret.encode().hex(), other.encode().hex()
    proof = proof_of(auth, secret, body)
    assert accepts(auth, proof, secret, body=body)
    same = secret.encode().rstrip(b"\0") == other.encode().rstrip(b"\0")  # HMAC pads with NULs
    assert same or not accepts(auth, proof, other, body=body)


@given(proof=ANY_TEXT, body=st.binary(max_size=50))
def test_pretending_never_raises(proof: str, body: bytes) -> None:
    """The work done for an unknown hook has no outcome, whatever was sent."""
    pretend({"x-hub-signature-256": proof, "authorization": proof}, body)
    pretend({}, body)


# What a refusal costs


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Algorithm and size of every HMAC that is made, as they are made."""
    found: list[tuple[str, int]] = []

    class Counted:
        def __init__(self, key: bytes, before: bytes, algorithm: str) -> None:
            self._real = hmac.new(key, before, algorithm)
            self._algorithm = algorithm

        def update(self, body: bytes) -> None:
            found.append((self._algorithm, len(body)))
            self._real.update(body)

        def digest(self) -> bytes:
            return self._real.digest()

    class Module:
        new = Counted
        compare_digest = staticmethod(hmac.compare_digest)

    monkeypatch.setattr("flowrunner.triggers.signatures.hmac", Module)
    return found


ROTATED = WebhookAuth(type=AuthType.GITHUB, secrets=("A", "B", "C"), proof=GITHUB.proof)
TOKEN = WebhookAuth(type=AuthType.GITLAB, secrets=("S",), proof=PROVIDERS[AuthType.GITLAB].proof)
KINDS = (GITHUB, ROTATED, signed_by(algorithm="sha512"), BASE64, BEARER, TOKEN)


@pytest.mark.parametrize("auth", KINDS)
@pytest.mark.parametrize("held", [0, 1, 3])
def test_every_refusal_makes_the_same_hmacs(
    auth: WebhookAuth, held: int, made: list[tuple[str, int]]
) -> None:
    """Whatever the type, the algorithm and the number of secrets, the body is hashed as often."""
    secrets = [SecretValue("x")] * min(held, len(auth.secrets))

    found = judge(auth, secrets, {auth.proof.header: "wrong"}, BODY, 0.0, work_of(KINDS))

    assert isinstance(found, Unproven)
    expected = [("sha256", len(BODY))] * 3 + [("sha512", len(BODY))]
    assert sorted(made) == expected


def test_right_proof_costs_no_more_than_itself(made: list[tuple[str, int]]) -> None:
    """Who proves itself waits for nobody's secrets."""
    assert isinstance(
        judge(GITHUB, [SecretValue(SECRET)], signed_headers(), BODY, 0.0, work_of(KINDS)), Proof
    )
    assert made == [("sha256", len(BODY))]


def signed_headers() -> dict[str, str]:
    return {GITHUB.proof.header: proof_of(GITHUB)}


def test_work_is_bounded() -> None:
    """A hook with many secrets does not multiply what each stranger's body costs."""
    many = WebhookAuth(type=AuthType.GITHUB, secrets=("S",) * 50, proof=GITHUB.proof)

    assert work_of([many]).hmacs == {"sha256": MOST_WORK}
    assert work_of([]).hmacs == {"sha256": 1}


def test_forms_are_bounded() -> None:
    """Hooks with proofs of their own do not multiply what each stranger's headers cost."""
    found = work_of([signed_by(prefix=f"{number}=") for number in range(50)])

    assert len(found.forms) == MOST_FORMS
    assert GITHUB.proof in found.forms


class Looked(dict[str, str]):
    """Headers that know which of them were looked at, and how often."""

    def __init__(self) -> None:
        super().__init__({"stripe-signature": "t=1,v1=00", "authorization": "Bearer x"})
        self.at: Counter[str] = Counter()

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        self.at[name] += 1
        return super().get(name, default)


STRIPE = WebhookAuth(type=AuthType.STRIPE, secrets=("S",), proof=PROVIDERS[AuthType.STRIPE].proof)


@pytest.mark.parametrize("auth", [GITHUB, STRIPE, BEARER, TOKEN])
@pytest.mark.parametrize("held", [0, 1])
def test_every_refusal_looks_at_the_same_headers(auth: WebhookAuth, held: int) -> None:
    """Whatever the type, the headers of all types are read: how they are parsed takes time."""
    headers = Looked()

    judge(
        auth,
        [SecretValue("y")] * held,
        headers,
        BODY,
        0.0,
        work_of((GITHUB, STRIPE, BEARER, TOKEN)),
    )

    assert headers.at.keys() - {""} == {
        "x-hub-signature-256",
        "stripe-signature",
        "authorization",
        "x-gitlab-token",
    }

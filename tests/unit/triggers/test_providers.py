"""Promises of the table of providers: each proves what its documentation says, and nothing else.

Sources of the published examples: Bitbucket Cloud documentation, "Manage webhooks" (secure
webhooks, examples); Slack documentation, "Verifying requests from Slack" (the example); Standard
Webhooks specification 1.0.0 and its reference libraries (the example of their tests); RFC 7617,
section 2 (the example). Stripe and Gitea publish the scheme without an example: theirs is signed
here by other code than ours, as their documentation says.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrunner.model.delivery import Unproven
from flowrunner.model.hook_auth import PROVIDERS, AuthType, Proof, WebhookAuth
from flowrunner.model.secret import SecretValue
from flowrunner.triggers.signatures import judge
from tests.profile import examples

NOW = 1_614_265_330
BODY = b'{"test": 2432232314}'
SECRET = "correct horse battery staple"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
USER = "Aladdin:open sesame"
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=120)

Headers = dict[str, str]


def auth_of(kind: AuthType, tolerance_s: float = 300.0) -> WebhookAuth:
    row = PROVIDERS[kind]
    return WebhookAuth(
        type=kind,
        secrets=("S",),
        proof=row.proof,
        whsec_proof=row.whsec_proof,
        tolerance_s=tolerance_s,
    )


def verdict(
    kind: AuthType, secret: str, headers: Mapping[str, str], body: bytes = BODY, now: float = NOW
) -> Unproven | None:
    """What a proof lacks; None for a right one."""
    found = judge(auth_of(kind), [SecretValue(secret)], headers, body, now)
    return None if isinstance(found, Proof) else found


def hexed(secret: str, data: bytes) -> str:
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


def sign_body(header: str, prefix: str = "") -> Callable[[str, bytes, int], Headers]:
    return lambda secret, body, _: {header: prefix + hexed(secret, body)}


def sign_stripe(secret: str, body: bytes, at: int) -> Headers:
    return {"stripe-signature": f"t={at},v1={hexed(secret, b'%d.' % at + body)}"}


def sign_slack(secret: str, body: bytes, at: int) -> Headers:
    signature = hexed(secret, b"v0:%d:" % at + body)
    return {"x-slack-request-timestamp": str(at), "x-slack-signature": f"v0={signature}"}


def sign_standard(secret: str, body: bytes, at: int, name: str = "msg_1") -> Headers:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    data = f"{name}.{at}.".encode() + body
    signature = base64.b64encode(hmac.new(key, data, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }


def show_basic(secret: str, _: bytes, __: int) -> Headers:
    return {"authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}


SIGNERS: Mapping[str, tuple[AuthType, str, Callable[[str, bytes, int], Headers]]] = {
    "github": (AuthType.GITHUB, SECRET, sign_body("x-hub-signature-256", "sha256=")),
    "gitlab-token": (AuthType.GITLAB, SECRET, lambda key, _, __: {"x-gitlab-token": key}),
    "gitlab-signed": (AuthType.GITLAB, WHSEC, sign_standard),
    "gitea": (AuthType.GITEA, SECRET, sign_body("x-gitea-signature")),
    "bitbucket": (AuthType.BITBUCKET, SECRET, sign_body("x-hub-signature", "sha256=")),
    "stripe": (AuthType.STRIPE, SECRET, sign_stripe),
    "slack": (AuthType.SLACK, SECRET, sign_slack),
    "standard": (AuthType.STANDARD, WHSEC, sign_standard),
    "bearer": (AuthType.BEARER, SECRET, lambda key, _, __: {"authorization": f"Bearer {key}"}),
    "basic": (AuthType.BASIC, USER, show_basic),
}
TIMED = ("gitlab-signed", "stripe", "slack", "standard")
SIGNED = ("github", "gitlab-signed", "gitea", "bitbucket", "stripe", "slack", "standard")
every_provider = pytest.mark.parametrize("name", SIGNERS)


# Published examples


def test_bitbucket_publishes_an_example() -> None:
    """Atlassian's own example of secret, payload and signature verifies."""
    proof = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    secret = "It's a Secret to Everybody"
    headers = {"x-hub-signature": proof}
    assert verdict(AuthType.BITBUCKET, secret, headers, b"Hello World!") is None
    assert verdict(AuthType.BITBUCKET, secret, headers, b"Hello World?") is Unproven.SIGNATURE


def test_slack_publishes_an_example() -> None:
    """Slack's own example of a slash command verifies at its time, and is stale later."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
        b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    secret = "8f742231b10e8888abcd99yyyzzz85a5"
    assert verdict(AuthType.SLACK, secret, headers, body, 1_531_420_618) is None
    assert verdict(AuthType.SLACK, secret, headers, body, NOW) is Unproven.TIME


@pytest.mark.parametrize("kind", [AuthType.STANDARD, AuthType.GITLAB])
@pytest.mark.parametrize("before", ["", "v1,aGVsbG8= ", "v1a,aGVsbG8= v2,x "])
def test_standard_webhooks_publish_an_example(kind: AuthType, before: str) -> None:
    """The example of the specification's libraries verifies, among other signatures, too."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": str(NOW),
        "webhook-signature": f"{before}v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert verdict(kind, WHSEC, headers) is None
    assert verdict(kind, WHSEC, headers, BODY + b" ") is Unproven.SIGNATURE


def test_key_of_standard_webhooks_needs_no_prefix() -> None:
    """The specification lets a receiver hold the bare Base64, and its libraries do unpadded."""
    bare = WHSEC.removeprefix("whsec_")
    assert verdict(AuthType.STANDARD, bare, sign_standard(WHSEC, BODY, NOW)) is None
    padded = "whsec_" + base64.b64encode(b"a key of bytes").decode()
    headers = sign_standard(padded, BODY, NOW)
    assert verdict(AuthType.STANDARD, padded.rstrip("="), headers) is None


def test_rfc_7617_publishes_an_example() -> None:
    """The example of the standard verifies; the scheme's case means nothing."""
    example_of_rfc = "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    headers = {"authorization": f"Basic {example_of_rfc}"}
    for scheme in ("Basic", "basic", "BASIC"):
        shown = {"authorization": f"{scheme} {example_of_rfc}"}
        assert verdict(AuthType.BASIC, USER, shown) is None
    for other in ("Aladdin:open sesame ", "aladdin:open sesame", "Aladdin", "open sesame", ":"):
        assert verdict(AuthType.BASIC, other, headers) is Unproven.SIGNATURE


# What is believed


@every_provider
def test_right_delivery_is_believed(name: str) -> None:
    """Each provider's own way to prove a delivery is the right one for its type."""
    kind, secret, sign = SIGNERS[name]
    assert verdict(kind, secret, sign(secret, BODY, NOW)) is None


@every_provider
def test_any_secret_will_do_while_it_is_changed(name: str) -> None:
    """Of several secrets each is good, in any order, and no other."""
    kind, secret, sign = SIGNERS[name]
    other = f"{secret[:-4]}AAAA"
    both = [SecretValue(each) for each in (other, secret)]
    for held in (both, both[::-1]):
        found = judge(auth_of(kind), held, sign(secret, BODY, NOW), BODY, NOW)
        assert isinstance(found, Proof)
    assert verdict(kind, other, sign(secret, BODY, NOW)) is Unproven.SIGNATURE


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_gitlab_may_change_from_the_token_to_the_signature(order: tuple[int, int]) -> None:
    """A token and a signing token are both good at the same time, each in its own header."""
    held = [SecretValue((SECRET, WHSEC)[number]) for number in order]
    auth = auth_of(AuthType.GITLAB)
    token, signed = {"x-gitlab-token": SECRET}, sign_standard(WHSEC, BODY, NOW)
    for headers in (token, signed, {**token, **signed}):
        assert isinstance(judge(auth, held, headers, BODY, NOW), Proof)
    assert judge(auth, held, {"x-gitlab-token": WHSEC}, BODY, NOW) is Unproven.SIGNATURE


def test_stripe_may_sign_twice() -> None:
    """While Stripe rolls a secret it signs with both, in any order."""
    proofs = [f"v1={hexed(each, b'%d.' % NOW + BODY)}" for each in ("other", SECRET)]
    for parts in (proofs, proofs[::-1]):
        headers = {"stripe-signature": ",".join([f"t={NOW}", *parts])}
        assert verdict(AuthType.STRIPE, SECRET, headers) is None


def test_none_asks_for_nothing() -> None:
    """`none` has no secret, and believes whatever comes."""
    assert isinstance(judge(auth_of(AuthType.NONE), [], {}, BODY, NOW), Proof)


# What is not


@every_provider
def test_without_a_secret_nobody_is_believed(name: str) -> None:
    """A secret that is missing or empty lets nobody in, whatever is shown."""
    kind, secret, sign = SIGNERS[name]
    headers = sign(secret, BODY, NOW)
    assert judge(auth_of(kind), [], headers, BODY, NOW) is Unproven.SECRET_MISSING
    for empty in ("", "whsec_"):
        shown = dict.fromkeys(headers, "")
        assert verdict(kind, empty, shown) is Unproven.SIGNATURE
        assert verdict(kind, empty, headers) is Unproven.SIGNATURE


@every_provider
@pytest.mark.parametrize("other", SIGNERS)
def test_proof_of_another_provider_is_none(name: str, other: str) -> None:
    """Who knows the secret must still prove it as the hook asks: nothing falls back."""
    kind, secret, _ = SIGNERS[name]
    _, _, sign = SIGNERS[other]
    is_standard = other in {"gitlab-signed", "standard"}
    if other == name or (is_standard and kind in {AuthType.GITLAB, AuthType.STANDARD}):
        return  # GitLab signs by the standard
    held = WHSEC if is_standard else secret
    assert verdict(kind, held, sign(held, BODY, NOW)) is Unproven.SIGNATURE


@pytest.mark.parametrize("name", SIGNED)
def test_signature_holds_for_its_body_alone(name: str) -> None:
    """A changed, longer, shorter or empty body is not what was signed."""
    kind, secret, sign = SIGNERS[name]
    headers = sign(secret, BODY, NOW)
    for body in (BODY + b"\n", BODY[1:], BODY[:-1], b"", BODY.replace(b" ", b"")):
        assert verdict(kind, secret, headers, body) is Unproven.SIGNATURE


@every_provider
def test_every_header_of_a_proof_is_needed(name: str) -> None:
    """A header that is missing, empty, cut or sent twice leaves no proof."""
    kind, secret, sign = SIGNERS[name]
    headers = sign(secret, BODY, NOW)
    for key, value in headers.items():
        rest = {each: text for each, text in headers.items() if each != key}
        twice = "" if key == "webhook-signature" else f"{value}, {value}"  # a list anyway
        for changed in ("", " ", value[:-1], value[1:], twice, f"\0{value}", "é"):
            assert verdict(kind, secret, {**rest, key: changed}) is Unproven.SIGNATURE
        assert verdict(kind, secret, rest) is Unproven.SIGNATURE


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize(
    ("off_s", "lack"),
    [(0, None), (300, None), (-300, None), (301, Unproven.TIME), (-301, Unproven.TIME)],
)
def test_signed_time_may_be_off_by_the_tolerance(
    name: str, off_s: int, lack: Unproven | None
) -> None:
    """A delivery that is older than five minutes, or as far in the future, is refused."""
    kind, secret, sign = SIGNERS[name]
    assert verdict(kind, secret, sign(secret, BODY, NOW - off_s)) is lack


@pytest.mark.parametrize("name", TIMED)
def test_changed_time_is_not_what_was_signed(name: str) -> None:
    """A recorded delivery does not become fresh by another time, however it is written."""
    kind, secret, sign = SIGNERS[name]
    old = NOW - 1_000
    headers = sign(secret, BODY, old)
    for text in (str(NOW), f"{NOW}.0", f" {NOW}", f"+{NOW}", "1e9", "", "-1", "\u0661", "9" * 400):
        fresh = {key: value.replace(str(old), text) for key, value in headers.items()}
        assert verdict(kind, secret, fresh) is Unproven.SIGNATURE


def test_stripe_signs_one_time() -> None:
    """Two times in one header are refused: which one was signed could be read in two ways."""
    signature = hexed(SECRET, b"%d." % NOW + BODY)
    for times in (f"t={NOW},t={NOW - 9_000}", f"t={NOW - 9_000},t={NOW}", f"t={NOW},t={NOW}"):
        headers = {"stripe-signature": f"{times},v1={signature}"}
        assert verdict(AuthType.STRIPE, SECRET, headers) is Unproven.SIGNATURE


def test_signed_id_has_no_dot() -> None:
    """With a dot in it the id could end elsewhere: part of the body would become the time."""
    body = b"%d.5" % NOW
    headers = sign_standard(WHSEC, body, NOW, "msg")
    moved = {**headers, "webhook-id": f"msg.{NOW}"}
    assert verdict(AuthType.STANDARD, WHSEC, headers, body) is None
    assert verdict(AuthType.STANDARD, WHSEC, moved, b"5") is Unproven.SIGNATURE


@pytest.mark.parametrize("secret", ["whsec_*", "not base64!", "whsec_" + "A" * 5, "é"])
def test_malformed_key_is_nobodys(secret: str) -> None:
    """A secret that is no Base64 verifies nothing, not even what an empty key would sign."""
    data = f"msg_1.{NOW}.".encode() + BODY
    signature = base64.b64encode(hmac.new(b"", data, hashlib.sha256).digest()).decode()
    headers = {**sign_standard(WHSEC, BODY, NOW), "webhook-signature": f"v1,{signature}"}
    assert verdict(AuthType.STANDARD, secret, headers) is Unproven.SIGNATURE


def test_only_so_many_signatures_are_looked_at() -> None:
    """A header full of signatures costs a bounded number of comparisons."""
    headers = sign_standard(WHSEC, BODY, NOW)
    right = headers["webhook-signature"]
    for before, lack in ((15, None), (16, Unproven.SIGNATURE)):
        shown = {**headers, "webhook-signature": "v1,x " * before + right}
        assert verdict(AuthType.STANDARD, WHSEC, shown) is lack


# Whatever is sent


@settings(max_examples=examples(150))
@given(
    name=st.sampled_from(sorted(SIGNERS)),
    texts=st.lists(ANY_TEXT, min_size=3, max_size=3),
    time=st.one_of(st.just(str(NOW)), ANY_TEXT),
    body=st.binary(max_size=40),
)
@example(name="stripe", texts=["t=,v1=", "", ""], time="", body=b"")
@example(name="standard", texts=["\ud800", "{0}", "{time}"], time=str(NOW), body=b"{}")
def test_no_headers_open_a_hook_or_raise(
    name: str, texts: list[str], time: str, body: bytes
) -> None:
    """Whatever a sender puts into the headers, without the secret it is refused."""
    kind, _, sign = SIGNERS[name]
    secret = WHSEC if name in {"standard", "gitlab-signed"} else "x" * 40
    for first in (texts[0], f"t={time},v1={texts[0]}", f"v1,{texts[0]}", f"Basic {texts[0]}"):
        headers = dict(zip(sign(secret, b"", NOW), (first, time, texts[1]), strict=False))
        for order in (headers, dict(zip(headers, [*headers.values()][::-1], strict=True))):
            assert verdict(kind, secret, order, body) is Unproven.SIGNATURE


@settings(max_examples=examples(150))
@given(
    name=st.sampled_from(sorted(SIGNERS)),
    body=st.binary(max_size=80),
    at=st.integers(0, 10**11),
    off_s=st.integers(-2_000, 2_000),
)
def test_what_was_signed_is_believed_while_it_is_fresh(
    name: str, body: bytes, at: int, off_s: int
) -> None:
    """For every body and time the provider's proof is right, and too old or early if it says so."""
    kind, secret, sign = SIGNERS[name]
    is_fresh = name not in TIMED or abs(off_s) <= 300
    lack = verdict(kind, secret, sign(secret, body, at), body, at + off_s)
    assert lack is (None if is_fresh else Unproven.TIME)

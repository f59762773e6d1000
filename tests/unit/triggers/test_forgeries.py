"""A right delivery, changed: whatever is changed of header, body or time, it is refused.

Only what means the same may pass: the case of hexadecimal digits and of a scheme's name, spaces
between the items of a list, other bits behind the end of Base64. `_shown` says what a proof means,
by other code than ours.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrunner.model.hook_auth import AuthType, Proof, WebhookAuth
from flowrunner.model.secret import SecretValue
from flowrunner.triggers.signatures import judge
from tests.profile import examples
from tests.unit.triggers.test_providers import NOW, SIGNERS, WHSEC, Headers, auth_of

HMACS = {
    "hmac": Proof(header="x-sig"),
    "hmac-sha512": Proof(header="x-sig", algorithm="sha512", prefix="v1="),
    "hmac-base64": Proof(header="x-sig", encoding="base64", prefix="s:"),
}
NAMES = sorted([*SIGNERS, *HMACS])
LIST_OF = {"stripe": ",", "standard": " ", "gitlab-signed": " "}
SCHEMES = {"bearer", "basic"}
OTHERS = ["another secret", "", "x" * 40, "whsec_AAAA", "Aladdin:open"]
PIECES = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=4),
    st.sampled_from(["v1=", "v0=", "sha256=", "t=", "t=1614265330", ",", " ", "=", "Bearer ", "A"]),
)


def auth_and_secret(name: str) -> tuple[WebhookAuth, str]:
    """Returns the `auth` of a hook and its secret."""
    if name in HMACS:
        return WebhookAuth(type=AuthType.HMAC, secrets=("S",), proof=HMACS[name]), "a key"
    kind, secret, _ = SIGNERS[name]
    return auth_of(kind), secret


def signed(name: str, body: bytes, at: int) -> Headers:
    """Returns the headers of a right delivery."""
    if name in SIGNERS:
        _, secret, sign = SIGNERS[name]
        return sign(secret, body, at)
    proof = HMACS[name]
    digest = hmac.new(b"a key", body, getattr(hashlib, proof.algorithm)).digest()
    text = base64.b64encode(digest).decode() if proof.encoding == "base64" else digest.hex()
    return {"x-sig": proof.prefix + text}


def believed(name: str, headers: Headers, body: bytes, now: float, *more: str) -> bool:
    """Whether a delivery is believed; `more` are further secrets of the hook, before its own."""
    auth, secret = auth_and_secret(name)
    held = [SecretValue(text) for text in (*more, secret)]
    return isinstance(judge(auth, held, headers, body, now), Proof)


def _shown(name: str, text: str) -> frozenset[object]:
    """Returns what the header of a proof means: its items, whatever way they are written."""
    items = [item.strip(" ") for item in text.split(LIST_OF[name])] if name in LIST_OF else [text]
    return frozenset(_meaning(name, item) for item in items)


def _meaning(name: str, item: str) -> object:
    if name in SCHEMES:
        scheme, _, rest = item.partition(" ")
        rest = rest.strip(" ")
        return scheme.lower(), _bytes_of(rest) if name == "basic" else rest
    if name in {"standard", "gitlab-signed", "hmac-base64"}:
        prefix = "s:" if name == "hmac-base64" else "v1,"
        return prefix, _bytes_of(item.removeprefix(prefix)) if item.startswith(prefix) else item
    if name == "gitlab-token":
        return item
    prefix, mark, digits = item.rpartition("=")
    return prefix, mark, digits.lower()


def _bytes_of(text: str) -> object:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text


def means_the_same(name: str, before: Headers, after: Headers) -> bool:
    """Whether changed headers still say all that the right ones say, and no second time."""
    proof = auth_and_secret(name)[0].proof
    header = "webhook-signature" if name == "gitlab-signed" else proof.header
    rest = {key: text for key, text in after.items() if key != header}
    if rest != {key: text for key, text in before.items() if key != header}:
        return False
    right, shown = _shown(name, before[header]), _shown(name, after[header])
    times = [item for item in after[header].split(",") if item.strip(" ").startswith("t=")]
    return right <= shown and (name != "stripe" or len(times) == 1)


@settings(max_examples=examples(300))
@given(
    name=st.sampled_from(NAMES),
    body=st.binary(max_size=60),
    which=st.integers(0, 2),
    place=st.integers(0, 160),
    cut=st.integers(0, 8),
    piece=PIECES,
)
@example(name="stripe", body=b"", which=0, place=0, cut=0, piece="t=1,")
@example(name="stripe", body=b"", which=0, place=12, cut=0, piece=",t=1")
@example(name="bearer", body=b"", which=0, place=0, cut=1, piece="b")
@example(name="hmac-base64", body=b"", which=0, place=45, cut=1, piece="")
def test_changed_header_is_refused(
    name: str, body: bytes, which: int, place: int, cut: int, piece: str
) -> None:
    """Anything put into, taken from or put for a part of a proof leaves none."""
    headers = signed(name, body, NOW)
    key = sorted(headers)[which % len(headers)]
    text = headers[key]
    changed = {**headers, key: text[:place] + piece + text[place + cut :]}

    if believed(name, changed, body, NOW):
        assert means_the_same(name, headers, changed)


@settings(max_examples=examples(200))
@given(
    name=st.sampled_from([it for it in NAMES if it not in {"bearer", "basic", "gitlab-token"}]),
    body=st.binary(max_size=60),
    place=st.integers(0, 60),
    cut=st.integers(0, 8),
    piece=st.binary(max_size=4),
)
def test_changed_body_is_refused(
    name: str, body: bytes, place: int, cut: int, piece: bytes
) -> None:
    """A signature holds for the bytes that were signed, and for no others."""
    changed = body[:place] + piece + body[place + cut :]

    assert believed(name, signed(name, body, NOW), changed, NOW) is (changed == body)


@settings(max_examples=examples(150))
@given(
    name=st.sampled_from(["stripe", "slack", "standard", "gitlab-signed"]),
    body=st.binary(max_size=60),
    age_s=st.integers(-(10**6), 10**6),
    claimed_s=st.integers(-(10**6), 10**6),
)
def test_changed_time_is_refused(name: str, body: bytes, age_s: int, claimed_s: int) -> None:
    """A recorded delivery is made fresh by no other time, and its own time counts."""
    headers = signed(name, body, NOW - age_s)
    claimed = {
        key: text.replace(str(NOW - age_s), str(NOW - claimed_s)) for key, text in headers.items()
    }
    assert believed(name, headers, body, NOW) is (abs(age_s) <= 300)
    assert believed(name, claimed, body, NOW) is (abs(age_s) <= 300 and claimed_s == age_s)


@settings(max_examples=examples(150))
@given(
    name=st.sampled_from(NAMES),
    body=st.binary(max_size=60),
    others=st.lists(st.sampled_from(OTHERS), max_size=4),
)
def test_one_right_secret_among_others_will_do(name: str, body: bytes, others: list[str]) -> None:
    """While secrets are changed the right one counts, whatever the others are."""
    headers = signed(name, body, NOW)
    auth, secret = auth_and_secret(name)
    held = [SecretValue(text) for text in others]

    assert believed(name, headers, body, NOW, *others)
    assert isinstance(judge(auth, [SecretValue(secret), *held], headers, body, NOW), Proof)
    assert not isinstance(judge(auth, held, headers, body, NOW), Proof)


@settings(max_examples=examples(200))
@given(
    name=st.sampled_from(NAMES),
    kept=st.sets(st.sampled_from(["authorization", "webhook-id", "x-sig", "x-hub-signature-256"])),
    headers=st.dictionaries(
        st.sampled_from(
            sorted({key for it in NAMES for key in signed(it, b"", NOW)} | {"content-type"})
        ),
        st.lists(PIECES, max_size=6).map("".join),
        max_size=6,
    ),
    body=st.binary(max_size=60),
    now=st.floats(0, 1e12),
)
def test_nobody_is_believed_without_the_secret(
    name: str, kept: set[str], headers: Headers, body: bytes, now: float
) -> None:
    """Any headers, some of them right for another secret, open nothing and raise nothing."""
    secret = WHSEC[:-4] + "AAAA" if "standard" in name or "gitlab" in name else "y" * 40
    auth, _ = auth_and_secret(name)
    right = {key: text for key, text in signed(name, body, NOW).items() if key in kept}
    for sent in (headers, {**headers, **right}, {**right, **headers}):
        assert not isinstance(judge(auth, [SecretValue(secret)], sent, body, now), Proof)

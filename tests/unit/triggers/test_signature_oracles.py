"""Independent libraries as judges of our signatures: what one signs the other believes.

Standard Webhooks by `standardwebhooks`, its authors' own; Slack by `slack_sdk`, Slack's own. What
ours believes theirs must believe; theirs decode Base64 less strictly.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.signature import Clock, SignatureVerifier
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from flowrunner.model.delivery import Unproven
from flowrunner.model.hook_auth import AuthType
from flowrunner.notify.http_channels import standard_signature
from tests.profile import examples
from tests.unit.triggers.test_providers import NOW, SECRET, Headers, sign_slack, verdict

BODIES = st.text(st.characters(codec="utf-8"), max_size=80)
"""Both libraries take texts alone."""
KEYS = st.binary(min_size=1, max_size=64)
NAMES = st.text("abcXYZ019_-", min_size=1, max_size=30)
CHANGES = st.sampled_from(["", "0", "A", "=", " ", ",", "v1,", "v0=", ".", "\x7f"])


class At(Clock):
    """A clock that stands."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


def library_believes(secret: str, headers: Headers, body: str) -> bool:
    """Whether the library of Standard Webhooks takes a delivery, by the time of this machine."""
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # it raises the latter for what it cannot split
        return False
    return True


def slack_believes(secret: str, headers: Headers, body: str, now: float) -> bool:
    try:
        return SignatureVerifier(secret, At(now)).is_valid_request(body, headers)
    except (ValueError, TypeError):
        return False


def signed_by_library(secret: str, name: str, at: datetime, body: str) -> Headers:
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, at, body),
    }


def standard(key: bytes, *, is_padded: bool) -> str:
    """A secret of Standard Webhooks as people hold it, with its padding or without."""
    text = "whsec_" + base64.b64encode(key).decode()
    return text if is_padded else text.rstrip("=")


@pytest.mark.parametrize("kind", [AuthType.STANDARD, AuthType.GITLAB])
@settings(max_examples=examples(60))
@given(
    key=KEYS,
    is_padded=st.booleans(),
    name=NAMES,
    body=BODIES,
    off_s=st.sampled_from([0, 290, -290, 310, -310, 10**6]),
)
def test_we_believe_what_the_library_signs(
    kind: AuthType, key: bytes, name: str, body: str, off_s: int, *, is_padded: bool
) -> None:
    """A delivery that the library signs is right for us, and stale when it is so for both."""
    secret, now = standard(key, is_padded=is_padded), datetime.now(UTC)
    headers = signed_by_library(secret, name, now - timedelta(seconds=off_s), body)

    ours = verdict(kind, secret, headers, body.encode(), now.timestamp())

    assert ours is (Unproven.TIME if abs(off_s) > 300 else None)
    assert library_believes(secret, headers, body) is (ours is None)


@settings(max_examples=examples(60))
@given(key=KEYS, name=NAMES, body=BODIES)
def test_library_believes_what_we_sign(key: bytes, name: str, body: str) -> None:
    """A notification of ours is right for the library, and for no other key."""
    secret, at = standard(key, is_padded=True), int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": standard_signature(secret, name, at, body.encode()),
    }
    assert library_believes(secret, headers, body)
    assert not library_believes(standard(key + b"x", is_padded=True), headers, body)


@settings(max_examples=examples(100))
@given(
    header=st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
    place=st.integers(0, 60),
    cut=st.integers(0, 3),
    change=CHANGES,
    body=BODIES,
)
def test_we_believe_nothing_that_the_library_does_not(
    header: str, place: int, cut: int, change: str, body: str
) -> None:
    """Whatever is changed in a header, what is right for us is right for the library."""
    secret, now = standard(b"a key", is_padded=True), datetime.now(UTC)
    headers = signed_by_library(secret, "msg_1", now, body)
    text = headers[header]
    changed = {**headers, header: text[:place] + change + text[place + cut :]}

    ours = verdict(AuthType.STANDARD, secret, changed, body.encode(), now.timestamp())

    # The library stops at an item of the list that it cannot split; we pass it over.
    items = changed["webhook-signature"].split()
    each = [{**changed, "webhook-signature": item} for item in items]
    assert ours is not None or any(library_believes(secret, it, body) for it in each)


@settings(max_examples=examples(60))
@given(
    secret=st.text("abc019!é", min_size=1, max_size=40), body=BODIES, off_s=st.integers(-900, 900)
)
def test_slacks_library_and_we_judge_alike(secret: str, body: str, off_s: int) -> None:
    """What either signs the other believes, for as long as both find it fresh."""
    generated = SignatureVerifier(secret).generate_signature(timestamp=str(NOW), body=body)
    theirs = {"x-slack-request-timestamp": str(NOW), "x-slack-signature": str(generated)}
    ours = sign_slack(secret, body.encode(), NOW)

    assert ours == theirs
    found = verdict(AuthType.SLACK, secret, theirs, body.encode(), NOW + off_s)
    assert found is (None if abs(off_s) <= 300 else Unproven.TIME)
    assert slack_believes(secret, theirs, body, NOW + off_s) is (found is None)


@settings(max_examples=examples(100))
@given(
    header=st.sampled_from(["x-slack-request-timestamp", "x-slack-signature"]),
    place=st.integers(0, 70),
    cut=st.integers(0, 3),
    change=CHANGES,
    body=BODIES,
)
def test_we_believe_nothing_that_slacks_library_does_not(
    header: str, place: int, cut: int, change: str, body: str
) -> None:
    """Whatever is changed in a header, what is right for us is right for Slack."""
    headers = sign_slack(SECRET, body.encode(), NOW)
    text = headers[header]
    changed = {**headers, header: text[:place] + change + text[place + cut :]}

    ours = verdict(AuthType.SLACK, SECRET, changed, body.encode(), NOW)

    lower = {name: text.lower() for name, text in changed.items()}  # hexadecimal has no case
    assert ours is not None or slack_believes(SECRET, lower, body, NOW)

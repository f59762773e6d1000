"""What channels over HTTP post, and where."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import timedelta
from typing import Any

import pytest

from flowrunner.dataclass import dataclass
from flowrunner.model.hook_auth import PROVIDERS, AuthType, WebhookAuth
from flowrunner.model.ids import AttemptKey
from flowrunner.model.notify import NotifyOn
from flowrunner.model.secret import SecretValue
from flowrunner.notify.channel import Channel, NotSentError
from flowrunner.notify.desk import attempt_id
from flowrunner.notify.http_channels import (
    AlertmanagerChannel,
    PingChannel,
    SlackChannel,
    WebhookChannel,
    standard_signature,
)
from flowrunner.notify.message import Message
from flowrunner.notify.post import Poster
from flowrunner.system.threads import InThread
from flowrunner.triggers.signatures import judge
from tests.fakes.clock import FakeClock
from tests.fakes.ids import sequential_id
from tests.fakes.records import NOON
from tests.fakes.virtual_time import run_virtual
from tests.unit.notify.notices import SENDER, make_notice


@dataclass(frozen=True, slots=True, kw_only=True)
class FakePoster(Poster):
    """Keeps what it is to post."""

    in_thread: InThread = asyncio.to_thread
    posts: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.posts.append((url, body, headers))


def send(channel: Channel, *events: NotifyOn) -> None:
    notices = tuple(make_notice(n, on) for n, on in enumerate(events))
    run_virtual(channel.send(Message(sender=SENDER, notices=notices)))


def test_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks specification, with and without its prefix."""
    key, body = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    for secret in (key, f"whsec_{key}"):
        found = standard_signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
        assert found == expected
    with pytest.raises(NotSentError, match="not base64"):
        standard_signature("not base64!", "m", 1, body)


def test_webhook_is_signed_at_each_try() -> None:
    """The id is that of the message; the time is now, so that no receiver takes it for a replay."""
    poster, clock = FakePoster(timeout_s=1), FakeClock(start=NOON)
    channel = WebhookChannel(
        url=lambda: "https://x/in", secret=lambda: "a2V5", poster=poster, clock=clock
    )
    send(channel, NotifyOn.FAILED)
    clock.advance(3_600)
    send(channel, NotifyOn.FAILED)
    first, second = (headers for _, _, headers in poster.posts)
    assert first["webhook-id"] == second["webhook-id"] == make_notice(0).id
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3_600
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("on", [NotifyOn.FAILED, NotifyOn.LATE, NotifyOn.READY, NotifyOn.MESSAGE])
def test_hook_of_another_daemon_believes_a_webhook(on: NotifyOn, count: int) -> None:
    """What is told, alone or together, has an id that receivers of the standard take."""
    poster, clock = FakePoster(timeout_s=1), FakeClock(start=NOON)
    channel = WebhookChannel(
        url=lambda: "https://x/in", secret=lambda: "a2V5", poster=poster, clock=clock
    )
    notices = [make_notice(number, on) for number in range(count)]
    if on is NotifyOn.MESSAGE:
        key = AttemptKey(sequential_id(1), "tell", 3, 1)
        notices = [replace(it, id=f"{attempt_id(key)}:{it.channel}") for it in notices]
    run_virtual(channel.send(Message(sender=SENDER, notices=tuple(notices))))
    ((_, body, headers),) = poster.posts
    proof = PROVIDERS[AuthType.STANDARD].proof
    auth = WebhookAuth(type=AuthType.STANDARD, secrets=("KEY",), proof=proof)
    sent = {name.lower(): value for name, value in headers.items()}
    assert judge(auth, [SecretValue("a2V5")], sent, body, clock.now().timestamp()) is proof


def test_slack_reads_no_markup() -> None:
    """What an error says calls nobody and links nowhere."""
    poster = FakePoster(timeout_s=1)
    notice = replace(make_notice(), message="<!channel> & <https://x|y>")
    channel = SlackChannel(url=lambda: "https://hooks/x", poster=poster)
    run_virtual(channel.send(Message(sender=SENDER, notices=(notice,))))
    text = json.loads(poster.posts[0][1])["text"]
    assert "message: &lt;!channel&gt; &amp; &lt;https://x|y&gt;" in text


def test_missing_secret_is_no_address() -> None:
    """A secret that is not there keeps the message, and says so."""
    channel = SlackChannel(url=lambda: None, poster=FakePoster(timeout_s=1))
    with pytest.raises(NotSentError, match="the secret for the address is missing"):
        send(channel, NotifyOn.FAILED)


@pytest.mark.parametrize(
    ("on", "path"),
    [
        (NotifyOn.STARTED, "/k/backup/start?create=1&rid={id}"),
        (NotifyOn.SUCCEEDED, "/k/backup?create=1&rid={id}"),
        (NotifyOn.RECOVERED, "/k/backup?create=1&rid={id}"),
        (NotifyOn.FAILED, "/k/backup/fail?create=1&rid={id}"),
        (NotifyOn.LATE, "/k/backup/fail?create=1"),
        (NotifyOn.NOT_READY, "/k/backup/fail?create=1&rid={id}"),
        (NotifyOn.MESSAGE, "/k/backup/log?create=1&rid={id}"),
    ],
)
def test_ping_ends_as_the_event_says(on: NotifyOn, path: str) -> None:
    """Start, success and fail have their addresses, and runs their id."""
    poster = FakePoster(timeout_s=1)
    send(PingChannel(url=lambda: "https://hc/k/{flow}/?create=1", poster=poster), on)
    ((url, _, _),) = poster.posts
    assert url == "https://hc" + path.format(id=make_notice(0).execution)


def test_ping_quotes_what_is_no_text() -> None:
    """A name of a file, or output of a program, that is not UTF-8 keeps no message back."""
    poster = FakePoster(timeout_s=1)
    notice = replace(make_notice(1), message="\udcff.yaml is broken")
    channel = PingChannel(url=lambda: "https://hc/k", poster=poster)
    run_virtual(channel.send(Message(sender=SENDER, notices=(notice,))))
    ((_, body, _),) = poster.posts
    assert body.endswith(b"?.yaml is broken")


def test_secret_that_is_no_address_is_pinged_nowhere() -> None:
    """An address that cannot even be taken apart keeps the message, and is not quoted."""
    poster = FakePoster(timeout_s=1)
    with pytest.raises(NotSentError, match=r"^the secret holds no address of HTTP$"):
        send(PingChannel(url=lambda: "http://[::1/ping", poster=poster), NotifyOn.FAILED)
    assert poster.posts == []


def alerts(*events: NotifyOn) -> list[dict[str, Any]]:
    poster = FakePoster(timeout_s=1)
    channel = AlertmanagerChannel(
        url=lambda: "http://am/", bearer=lambda: "token", expires_s=3_600, poster=poster
    )
    send(channel, *events)
    ((url, body, headers),) = poster.posts
    assert (url, headers["Authorization"]) == ("http://am/api/v2/alerts", "Bearer token")
    found = json.loads(body)
    assert isinstance(found, list)
    return found


def test_alert_fires_until_it_is_over() -> None:
    """A failure fires for its time; its recovery ends the alert of the same labels."""
    (failed,), (over,) = alerts(NotifyOn.FAILED), alerts(NotifyOn.RECOVERED)
    assert failed["labels"] == over["labels"]
    assert failed["labels"] == {
        "alertname": "FlowFailed",
        "account": "default",
        "flow": "backup",
        "instance": "web1",
    }
    assert failed["startsAt"] == over["endsAt"] == "2027-03-01T12:00:00.000Z"
    ends = (NOON + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert (failed["endsAt"], "startsAt" in over) == (ends, False)


def test_alert_of_a_node_names_it() -> None:
    """What a node says is an alert of its own for each node, which ends by itself."""
    poster = FakePoster(timeout_s=1)
    channel = AlertmanagerChannel(url=lambda: "http://am", bearer=None, expires_s=60, poster=poster)
    said = replace(make_notice(1, NotifyOn.MESSAGE), node="tell", subject="all is well")
    run_virtual(channel.send(Message(sender=SENDER, notices=(said, replace(said, node="other")))))
    first, second = json.loads(poster.posts[0][1])
    assert (first["labels"]["alertname"], first["labels"]["node"]) == ("FlowMessage", "tell")
    assert first["annotations"]["summary"] == "backup: all is well"
    assert first["endsAt"] == "2027-03-01T12:01:00.000Z"
    assert second["labels"]["node"] == "other"


def test_newest_of_equal_alerts_counts() -> None:
    """One post holds each alert once, as it stands after all that happened."""
    found = alerts(NotifyOn.FAILED, NotifyOn.NOT_READY, NotifyOn.RECOVERED)
    assert [(alert["labels"]["alertname"], "startsAt" in alert) for alert in found] == [
        ("FlowFailed", False),
        ("FlowNotReady", True),
    ]

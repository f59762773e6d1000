"""Channels that post over HTTP: Slack's incoming webhooks, Standard Webhooks, pings, Alertmanager.

Sources: Slack's "Sending messages using incoming webhooks"; the Standard Webhooks specification,
1.0; the pinging API of Healthchecks; Alertmanager's API v2, `POST /api/v2/alerts`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Json
from flowrunner.model.notify import Notice, NotifyOn
from flowrunner.notify.channel import NotSentError, Secret, needed
from flowrunner.notify.message import Message, Sender, headline
from flowrunner.notify.post import Poster
from flowrunner.system.clock import Clock

_JSON = {"Content-Type": "application/json"}
_SIGNING_PREFIX = "whsec_"
_LONGEST_SLACK = 3_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackChannel:
    """Posts texts to what takes Slack's format: Slack, Mattermost, Rocket.Chat."""

    url: Secret
    poster: Poster

    async def send(self, message: Message) -> None:
        """Posts the text, with what Slack would read as markup taken out."""
        text = message.text[:_LONGEST_SLACK]
        for mark, plain in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(mark, plain)
        await self.poster.post(needed(self.url, "the address"), _body({"text": text}), _JSON)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """Posts JSON, signed as Standard Webhooks."""

    url: Secret
    secret: Secret
    poster: Poster
    clock: Clock

    async def send(self, message: Message) -> None:
        """Posts the message under its id; the time is that of this try, as receivers want it."""
        body, at = _body(message.to_json()), int(self.clock.now().timestamp())
        signature = standard_signature(needed(self.secret, "the signature"), message.id, at, body)
        headers = {
            **_JSON,
            "webhook-id": message.id,
            "webhook-timestamp": str(at),
            "webhook-signature": signature,
        }
        await self.poster.post(needed(self.url, "the address"), body, headers)


def standard_signature(secret: str, message_id: str, at: int, body: bytes) -> str:
    """Returns the signature of a message, HMAC-SHA256 over id, time in seconds and body.

    Raises:
        NotSentError: The secret is not base64, with `whsec_` before it or not.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_SIGNING_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotSentError("the secret for the signature is not base64") from error
    signed = f"{message_id}.{at}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PingChannel:
    """Pings at starts, ends and failures, and logs what nodes say.

    `{flow}` and `{account}` of the address are filled.
    """

    url: Secret
    poster: Poster

    async def send(self, message: Message) -> None:
        """Pings once for each notice, in order."""
        for notice in message.notices:
            url = _ping_url(needed(self.url, "the address"), notice)
            text = f"{headline(notice, message.sender)}\n{notice.reason}\n{notice.message}"
            body = text.encode(errors="replace")  # a message may quote what is no text
            await self.poster.post(url, body, {"Content-Type": "text/plain"})


_PING_ENDS = {
    NotifyOn.STARTED: "/start",
    NotifyOn.SUCCEEDED: "",
    NotifyOn.RECOVERED: "",
    NotifyOn.READY: "",
    NotifyOn.MESSAGE: "/log",
}


def _ping_url(base: str, notice: Notice) -> str:
    try:
        parts = urlsplit(base)
    except ValueError as error:
        raise NotSentError("the secret holds no address of HTTP") from error
    path = parts.path.replace("{flow}", notice.flow.name)
    path = path.replace("{account}", notice.flow.account).rstrip("/")
    path += _PING_ENDS.get(notice.on, "/fail")
    query = parts.query
    if notice.execution and notice.on is not NotifyOn.LATE:
        # By this, Healthchecks tells runs apart that overlap.
        query = f"{query}&rid={notice.execution}".lstrip("&")
    return urlunsplit(parts._replace(path=path, query=query))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerChannel:
    """Posts alerts: what fails is firing until it works again, or for some time.

    Attributes:
        expires_s: After which an alert is over that nothing has ended, in seconds.
    """

    url: Secret
    bearer: Secret | None
    expires_s: float
    poster: Poster

    async def send(self, message: Message) -> None:
        """Posts all notices at once; of equal labels the newest counts."""
        alerts = {
            json.dumps(alert["labels"]): alert
            for notice in message.notices
            if (alert := self._alert(notice, message.sender))
        }
        if not alerts:
            return
        headers = dict(_JSON)
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {needed(self.bearer, 'the bearer')}"
        url = needed(self.url, "the address").rstrip("/") + "/api/v2/alerts"
        await self.poster.post(url, _body(list(alerts.values())), headers)

    def _alert(self, notice: Notice, sender: Sender) -> dict[str, Json] | None:
        name, is_over = _ALERTS[notice.on]
        ends_at = notice.at if is_over else notice.at + timedelta(seconds=self.expires_s)
        about = {"revision": notice.revision, "execution": notice.execution}
        about |= {"reason": notice.reason, "message": notice.message, "state": notice.state}
        alert: dict[str, Json] = {
            "labels": {
                "alertname": name,
                "account": notice.flow.account,
                "flow": notice.flow.name,
                "instance": sender.host,
                **({"node": notice.node} if notice.node else {}),
            },
            "annotations": {
                "summary": headline(notice, sender),
                **{key: value for key, value in about.items() if value},
            },
            "endsAt": _time(ends_at),
        }
        if not is_over:
            alert["startsAt"] = _time(notice.at)
        if link := sender.link(notice):
            alert["generatorURL"] = link
        return alert


_ALERTS = {
    NotifyOn.FAILED: ("FlowFailed", False),
    NotifyOn.RECOVERED: ("FlowFailed", True),
    NotifyOn.SUCCEEDED: ("FlowFailed", True),
    NotifyOn.LATE: ("FlowLate", False),
    NotifyOn.NOT_READY: ("FlowNotReady", False),
    NotifyOn.READY: ("FlowNotReady", True),
    NotifyOn.STARTED: ("FlowFailed", True),
    NotifyOn.MESSAGE: ("FlowMessage", False),
}
"""What is told → the name of the alert, and whether it is over."""


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _body(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")

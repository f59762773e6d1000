"""Webhook deliveries as their senders sign them, for tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from tests.system.daemon import Answer, RunningDaemon

SECRET = "the-secret-of-the-sender"
SECRET_IN_ENVIRONMENT = {"FLOWRUNNER_SECRET_HOOK": SECRET}
GITHUB_AUTH = "auth: {type: github, secret: HOOK}"


def hook(auth: str = GITHUB_AUTH, *more: str) -> str:
    """Returns the triggers of a flow: one webhook, with further keys as YAML texts."""
    keys = ", ".join(("type: webhook", auth, *more))
    return f"triggers: [{{{keys}}}]\n"


def github_headers(body: bytes, delivery: str = "", secret: str = SECRET) -> dict[str, str]:
    """Returns the headers that GitHub sends; without `delivery` no id."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={digest}"}
    return {**headers, "X-GitHub-Delivery": delivery} if delivery else headers


def sha512_base64(body: bytes) -> str:
    """Returns a signature of the configurable kind, `hmac`."""
    return base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha512).digest()).decode()


def push(running: RunningDaemon, path: str, content: object, delivery: str = "") -> Answer:
    """Sends content as GitHub would."""
    body = json.dumps(content).encode()
    return post(running, path, body, github_headers(body, delivery))


def post(running: RunningDaemon, path: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Sends a body to a hook of the account `default`."""
    return running.request(f"/hooks/default/{path}", method="POST", body=body, headers=headers)

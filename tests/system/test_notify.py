"""People and programs are told what happens to flows, also over `kill -9`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import write_flow
from tests.system.receivers import Post, Receiver, http_receiver, smtp_receiver

pytestmark = pytest.mark.system

KEY = base64.b64encode(b"a key of some length").decode()
ALL = "[chat, hook, mail, alerts, alive, script]"
WORK = "nodes:\n  - {id: work, run: 'test -e \"$FLOW_DIR/good\"'}\n"


@dataclass
class World:
    """All receivers, the settings that name them, and the environment with the secrets."""

    chat: Receiver
    hook: Receiver
    mail: Receiver
    alerts: Receiver
    alive: Receiver
    told: Path
    settings: Path

    @property
    def env(self) -> dict[str, str]:
        return {
            **OPEN,
            "FLOWRUNNER_SECRET_CHAT_URL": f"http://127.0.0.1:{self.chat.port}/services/T/B/x",
            "FLOWRUNNER_SECRET_HOOK_KEY": f"whsec_{KEY}",
        }

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        return (self.chat, self.hook, self.mail, self.alerts, self.alive)

    def let(self, *, take: bool) -> None:
        """Forgets what came, and lets all receivers take or refuse what comes."""
        for each in self.receivers:
            each.is_open = take
            each.taken.clear()
            each.refused.clear()
        self.told.write_text("")
        (self.told.parent / "closed").unlink(missing_ok=True)
        if not take:
            (self.told.parent / "closed").touch()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.told.read_text().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Receivers that take everything."""
    with ExitStack() as stack:
        chat, hook, alerts, alive = (stack.enter_context(http_receiver()) for _ in range(4))
        mail = stack.enter_context(smtp_receiver())
        told = tmp_path / "told"
        told.touch()
        script = f"test ! -e {tmp_path}/closed && cat >> {told}"
        settings = tmp_path / "settings.yaml"
        settings.write_text(
            f"""
server: {{public_url: 'https://flows.example.com/'}}
notify:
  default: [{{on: [not_ready, ready], channels: [hook]}}]
  channels:
    chat: {{type: slack, url_secret: CHAT_URL}}
    hook: {{type: webhook, url: 'http://127.0.0.1:{hook.port}/in?x=1', secret: HOOK_KEY}}
    mail:
      type: email
      host: 127.0.0.1
      port: {mail.port}
      security: none
      from: flows@example.com
      to: [oncall@example.com, boss@example.com]
    alerts: {{type: alertmanager, url: 'http://127.0.0.1:{alerts.port}/am'}}
    alive: {{type: ping, url: 'http://127.0.0.1:{alive.port}/key/{{flow}}'}}
    script: {{type: exec, argv: [/bin/sh, -c, '{script}']}}
"""
        )
        yield World(chat, hook, mail, alerts, alive, told, settings)


def start(world: World, flows: Path, state: Path) -> Any:
    return daemon(flows, state, env=world.env, arguments=("--config", str(world.settings)))


def told_all(world: World, number: int) -> bool:
    """Whether every receiver has so many; pings also tell of starts."""
    ends = [
        post for post in world.alive.taken if not post.path.partition("?")[0].endswith("/start")
    ]
    counts = [len(each.taken) for each in (world.chat, world.hook, world.mail, world.alerts)]
    return [*counts, len(ends), len(world.lines)] == [number] * 6


def check_signature(post: Post) -> None:
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode()
    digest = hmac.new(base64.b64decode(KEY), signed + post.body, hashlib.sha256).digest()
    assert post.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


def check_failure(world: World, flow: str, execution: dict[str, Any]) -> None:
    """Checks what each receiver got of one failure."""
    name, link = execution["id"], f"https://flows.example.com/api/v1/executions/{execution['id']}"
    (chat,) = world.chat.taken
    text = json.loads(chat.body)["text"]
    assert chat.path == "/services/T/B/x"
    for fact in (f"{flow} failed on", "state: failed", f"execution: {name}", f"link: {link}"):
        assert fact in text
    (hook,) = world.hook.taken
    check_signature(hook)
    told = json.loads(hook.body)
    assert hook.path == "/in?x=1"
    assert (told["type"], told["data"]["flow"]) == ("flow.failed", flow)
    assert told["data"]["execution"] == name
    assert told["data"]["revision"] == execution["revision"]
    ((sender, to, mail),) = world.mail.taken
    assert (sender, to) == ("flows@example.com", ("oncall@example.com", "boss@example.com"))
    assert f"Subject: [FlowRunner] {flow} failed on" in mail
    assert name in mail
    (alert,) = json.loads(world.alerts.taken[0].body)
    assert world.alerts.taken[0].path == "/am/api/v2/alerts"
    assert alert["labels"]["alertname"] == "FlowFailed"
    assert (alert["labels"]["flow"], alert["generatorURL"]) == (flow, link)
    assert world.alive.taken[-1].path == f"/key/{flow}/fail?rid={name}"
    (line,) = world.lines
    assert line["data"]["execution"] == name


def metric(running: RunningDaemon, channel: str, result: str) -> float:
    name = "flowrunner_notifications_total"
    return running.metric(name, channel=channel, result=result) or 0.0


def test_failures_are_told_once_over_every_channel(world: World, flows: Path, state: Path) -> None:
    """Each receiver gets each event exactly once, also when a crash comes before the sending."""
    rules = f"notify: [{{on: [failed, recovered], channels: {ALL}}}]\n"
    write_flow(flows, "first", rules, WORK)
    write_flow(flows, "second", rules, WORK)
    write_flow(flows, "silent", "notify: []\n", WORK)
    with start(world, flows, state) as running:
        running.ended(running.start("silent"))
        failed = running.ended(running.start("first"))
        eventually(lambda: told_all(world, 1), lambda: running.events)
        check_failure(world, "first", failed)
        assert world.alive.taken[0].path == f"/key/first/start?rid={failed['id']}"

        world.let(take=False)
        later = running.ended(running.start("second"))
        names = ALL.strip("[]").split(", ")
        eventually(lambda: all(metric(running, name, "failed") for name in names))
        running.kill()

    tried = {post.headers["webhook-id"] for post in world.hook.refused}
    world.let(take=True)
    with start(world, flows, state) as running:
        eventually(lambda: told_all(world, 1), lambda: running.events)
        check_failure(world, "second", later)
        assert {world.hook.taken[0].headers["webhook-id"]} == tried

        world.let(take=True)
        (flows / "good").touch()
        well = running.ended(running.start("first"))
        assert well["state"] == "succeeded"
        eventually(lambda: told_all(world, 1), lambda: running.events)
        assert json.loads(world.hook.taken[0].body)["type"] == "flow.recovered"
        (alert,) = json.loads(world.alerts.taken[0].body)
        assert (alert["labels"]["alertname"], "startsAt" in alert) == ("FlowFailed", False)
        assert world.alive.taken[-1].path == f"/key/first?rid={well['id']}"
        assert metric(running, "mail", "sent") == 2

        # Nobody asked to be told of the next success, and a flow that says nothing has the default.
        world.let(take=True)
        running.ended(running.start("first"))
        write_flow(flows, "new", WORK)
        write_flow(flows, "new", "nodes: {}\n")
        running.command("reconcile", "--wait", check=False)
        (told,) = eventually(lambda: told_of(world, "flow.not_ready"), lambda: running.events)
        assert told["flow"] == "new"
        assert world.chat.taken == world.mail.taken == world.lines == []
        running.kill()

    with start(world, flows, state) as running:
        assert running.condition("new")["status"] == "False"
    # It may be sent again if the crash came before it was known to have arrived; it is the same.
    assert {each["id"] for each in told_of(world, "flow.not_ready")} == {told["id"]}


def told_of(world: World, kind: str) -> list[dict[str, Any]]:
    """Returns the data of what the webhook was told of one kind."""
    told = [json.loads(post.body) for post in world.hook.taken]
    return [each["data"] for each in told if each["type"] == kind]


def failing_channels(running: RunningDaemon) -> list[dict[str, Any]]:
    """Returns the condition of the channels, if it is False."""
    conditions = running.request("/api/v1/status").json["conditions"]
    return [
        each
        for each in conditions
        if (each["type"], each["status"]) == ("ChannelsWorking", "False")
    ]


def test_channel_that_lacks_a_secret_is_told_before_it_is_needed(
    world: World, flows: Path, state: Path
) -> None:
    """The condition names the channel and the secret, and the daemon is ready all the same."""
    write_flow(flows, "quiet", WORK)
    env = {**world.env, "FLOWRUNNER_SECRET_CHAT_URL": ""}
    with daemon(flows, state, env=env, arguments=("--config", str(world.settings))) as running:
        (told,) = eventually(lambda: failing_channels(running), lambda: running.events)
        assert told["message"] == "chat: it lacks the secret CHAT_URL"
        assert running.request("/readyz").status == 200


def test_broken_promise_and_interrupted_execution(world: World, flows: Path, state: Path) -> None:
    """A broken promise is told while it lasts, once; what a crash cut short is told to have failed.

    A flow that names an unknown channel is not Ready.
    """
    rules = "notify: [{on: [late, failed], channels: [hook]}]\nsla: {max_duration: 100ms}\n"
    write_flow(flows, "slow", rules, "nodes: [{id: work, run: sleep 1000}]\n")
    write_flow(flows, "typo", "notify: [{on: [late], channels: [hok]}]\n", WORK)
    with start(world, flows, state) as running:
        assert running.condition("typo")["reason"] == "ChannelMissing"
        slow = running.start("slow")
        (late,) = eventually(lambda: told_of(world, "flow.late"), lambda: running.events)
        assert (late["execution"], late["reason"]) == (slow, "max_duration")
        running.kill()
    with start(world, flows, state) as running:
        (failed,) = eventually(lambda: told_of(world, "flow.failed"), lambda: running.events)
        assert failed["execution"] == slow
        assert running.ended(slow)["state"] == "failed"
        assert {each["id"] for each in told_of(world, "flow.late")} == {late["id"]}

"""Nodes tell people, channels come and go by reload, and a failing one is a condition."""

from __future__ import annotations

import email
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default as modern
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowrunner.notify.http_channels import standard_signature
from tests.system.daemon import OPEN, RunningDaemon, command, daemon, eventually
from tests.system.flow_files import write_flow
from tests.system.receivers import Post, Receiver, http_receiver, smtp_receiver

pytestmark = pytest.mark.system

TELL = """nodes:
  - id: tell
    type: notify
    params: {channels: [hook], subject: "${{ inputs.about }}", message: "It is done.\\nBye."}
"""
MAIL = """nodes:
  - id: report
    type: email
    KEYS
    params:
      channel: mail
      to: ["${{ inputs.who }}", boss@example.com]
      cc: team@example.com
      bcc: [boss@example.com, audit@example.com]
      subject: "about ${{ inputs.about }}"
      body: |
        Grüße,
        .
        the end
"""
INPUTS = """inputs:
  about: {type: string, default: orders}
  who: {type: string, default: a@example.com}
"""


@dataclass
class World:
    """Receivers, and the settings that name them as channels."""

    hook: Receiver
    mail: Receiver
    settings: Path
    channels: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def write(self, **channels: Any) -> None:
        """Writes settings with these channels beside or in the place of those from before."""
        self.channels.update(channels)
        kept = {name: it for name, it in self.channels.items() if it is not None}
        self.settings.write_text(json.dumps({"notify": {"channels": kept}, **self.more}))

    def start(self, flows: Path, state: Path) -> Any:
        env = {**OPEN, "FLOWRUNNER_SECRET_KEY": "a2V5"}
        return daemon(flows, state, env=env, arguments=("--config", str(self.settings)))

    def has_told(self, number: int) -> bool:
        """Whether the webhook has taken more than so many posts."""
        return len(self.hook.taken) > number

    @property
    def ids(self) -> set[str]:
        """The ids of what the webhook has taken."""
        return {post.headers["webhook-id"] for post in self.hook.taken}

    @property
    def mails(self) -> list[tuple[tuple[str, ...], EmailMessage]]:
        """Receivers and content of each mail that was taken."""
        return [
            (to, email.message_from_bytes(text.encode(), policy=modern))
            for _, to, text in self.mail.taken
        ]


def webhook(receiver: Receiver) -> dict[str, Any]:
    return {"type": "webhook", "url": f"http://127.0.0.1:{receiver.port}/in", "secret": "KEY"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A webhook `hook` and a mail server `mail`, which take everything."""
    with ExitStack() as stack:
        hook, mail = stack.enter_context(http_receiver()), stack.enter_context(smtp_receiver())
        world = World(hook, mail, tmp_path / "settings.json")
        server = {"type": "email", "host": "127.0.0.1", "port": mail.port, "security": "none"}
        server |= {"from": "flows@example.com", "to": ["oncall@example.com"]}
        world.write(hook=webhook(hook), mail=server)
        yield world


def condition(running: RunningDaemon) -> dict[str, Any]:
    status = json.loads(running.command("status", "-o", "json").stdout)
    (found,) = (each for each in status["conditions"] if each["type"] == "ChannelsWorking")
    return dict(found)


def signature_with(post: Post, key: str) -> str:
    at = int(post.headers["webhook-timestamp"])
    return standard_signature(key, post.headers["webhook-id"], at, post.body)


def counted(running: RunningDaemon, channel: str, result: str) -> float:
    name = "flowrunner_notifications_total"
    return running.metric(name, channel=channel, result=result) or 0.0


def node_of(execution: dict[str, Any]) -> dict[str, Any]:
    (node,) = execution["nodes"]
    return dict(node)


def test_what_a_node_says_survives_a_crash_before_it_is_sent(
    world: World, flows: Path, state: Path
) -> None:
    """The node is done when its message is durable; the next life sends it, under the same id."""
    write_flow(flows, "orders", INPUTS, TELL)
    with world.start(flows, state) as running:
        well = running.ended(running.start("orders"))
        (post,) = eventually(lambda: world.hook.taken, lambda: running.events)
        told = json.loads(post.body)
        assert (well["state"], told["type"]) == ("succeeded", "flow.message")
        facts = {key: told["data"][key] for key in ("subject", "message", "node", "execution")}
        assert facts == {
            "subject": "orders",
            "message": "It is done.\nBye.",
            "node": "tell",
            "execution": well["id"],
        }
        assert "in the outbox for hook: orders" in running.logs(well["id"])

        world.hook.is_open = False
        world.hook.taken.clear()
        hidden = running.ended(running.start("orders", "--input", "about=later"))
        assert hidden["state"] == "succeeded"
        eventually(lambda: world.hook.refused, lambda: running.events)
        running.kill()

    tried = {each.headers["webhook-id"] for each in world.hook.refused}
    assert tried == {f"{hidden['id']}:tell:0:1:message:hook"}
    world.hook.is_open = True
    with world.start(flows, state) as running:
        (post,) = eventually(lambda: world.hook.taken, lambda: running.events)
        assert json.loads(post.body)["data"]["subject"] == "later"
        assert {post.headers["webhook-id"]} == tried
        eventually(lambda: counted(running, "hook", "sent") == 1)
    assert len(world.hook.taken) == 1


def test_many_crashes_lose_and_invent_no_message(world: World, flows: Path, state: Path) -> None:
    """Each item is told under its one id, however often the daemon is killed on the way."""
    world.write(hook={**webhook(world.hook), "rate": "off"})
    items = f"foreach: [{', '.join(map(str, range(40)))}]\n    on_interrupt: rerun\n    params:"
    write_flow(flows, "orders", INPUTS, TELL.replace("params:", items))
    execution = ""
    for number in (2, 9, 21):
        with world.start(flows, state) as running:
            execution = execution or running.start("orders")
            eventually(partial(world.has_told, number), lambda: running.events)
            running.kill()
    with world.start(flows, state) as running:
        ended = running.ended(execution)
        assert ended["state"] == "succeeded"
        ids = {f"{execution}:tell:{number}:1:message:hook" for number in range(40)}
        eventually(lambda: world.ids == ids, lambda: running.events)
        assert node_of(ended)["items"] == {"total": 40, "succeeded": 40, "failed": 0}


def test_mail_of_a_node_is_taken_before_it_succeeds(world: World, flows: Path, state: Path) -> None:
    """Receivers, headers and text arrive as written; a server that does not take it is retried."""
    keys = "retry: {max_attempts: 100, delay: 100ms}"
    write_flow(flows, "mails", INPUTS, MAIL.replace("KEYS", keys))
    with world.start(flows, state) as running:
        world.mail.is_open = False
        about = "about=x\nBcc: thief@example.com"
        execution = running.start("mails", "--input", about)
        eventually(lambda: len(world.mail.refused) > 1, lambda: running.events)
        assert condition(running)["status"] == "False"
        world.mail.is_open = True
        ended = running.ended(execution)
        assert ended["state"] == "succeeded"
        ((to, mail),) = world.mails
        assert to == ("a@example.com", "boss@example.com", "team@example.com", "audit@example.com")
        assert mail["From"] == "flows@example.com"
        assert mail["To"] == "a@example.com, boss@example.com"
        assert (mail["Cc"], mail["Bcc"]) == ("team@example.com", None)
        assert mail["Subject"] == "about x Bcc: thief@example.com"
        assert mail.get_content().splitlines() == ["Grüße,", ".", "the end"]
        number = len(node_of(ended)["attempts"])
        assert mail["X-FlowRunner-Id"] == f"{ended['id']}:report:0:{number}"
        assert condition(running)["status"] == "True"
        assert f"mailed by mail to 4 receivers: {mail['Subject']}" in running.logs(execution)

        wrong = running.ended(running.start("mails", "--input", "who=a@example.com, b@example.com"))
        assert wrong["error"]["code"] == "bad_address"
        assert len(node_of(wrong)["attempts"]) == len(world.mails) == 1


@pytest.mark.parametrize("on_interrupt", ["fail", "rerun"])
def test_mail_that_a_crash_cut_short_is_repeated_only_where_the_flow_says_so(
    on_interrupt: str, world: World, flows: Path, state: Path
) -> None:
    """Whether the server has it is not known: it comes again under its id, or the node fails."""
    keys = f"on_interrupt: {on_interrupt}"
    write_flow(flows, "mails", INPUTS, MAIL.replace("KEYS", keys))
    with world.start(flows, state) as running:
        world.mail.gate.clear()
        execution = running.start("mails")
        eventually(lambda: world.mail.taken, lambda: running.events)
        running.kill()
    world.mail.gate.set()
    with world.start(flows, state) as running:
        ended = running.ended(execution)
        names = [mail["Message-ID"] for _, mail in world.mails]
        if on_interrupt == "fail":
            assert (ended["state"], node_of(ended)["reason"]) == ("failed", "interrupted")
            assert len(names) == 1
        else:
            assert (ended["state"], len(node_of(ended)["attempts"])) == ("succeeded", 1)
            assert (len(names), len(set(names))) == (2, 1)


def test_channel_that_comes_by_reload_makes_flows_ready(
    world: World, flows: Path, state: Path
) -> None:
    """Settings that are wrong change nothing; with right ones the flow starts, without an edit."""
    write_flow(flows, "orders", INPUTS, TELL.replace("[hook]", "[hook, extra]"))
    wrong_type = MAIL.replace("KEYS", "needs: []").replace("channel: mail", "channel: hook")
    write_flow(flows, "letters", INPUTS, wrong_type)
    with http_receiver() as extra, world.start(flows, state) as running:
        ready = running.condition("orders")
        assert (ready["status"], ready["reason"]) == ("False", "ChannelMissing")
        assert "no channel 'extra'" in ready["message"]
        letters = running.condition("letters")
        assert letters["reason"] == "ChannelMissing"
        assert "'hook' of type email: it is of type webhook" in letters["message"]

        world.write(extra={**webhook(extra), "rate": "nonsense"})
        refused = running.command("reload", "--wait", check=False)
        assert refused.returncode == 4
        assert running.condition("orders")["status"] == "False"

        world.write(extra=webhook(extra))
        running.command("reload")
        assert "settings.applied keys=notify.channels" in running.events
        assert running.condition("orders")["status"] == "True"
        assert running.condition("letters")["status"] == "False"
        running.ended(running.start("orders"))
        eventually(lambda: extra.taken and world.hook.taken, lambda: running.events)


def test_what_waits_follows_its_channel(world: World, flows: Path, state: Path) -> None:
    """A failing channel is told of; what waits goes over its new address, and with it when it goes.

    The daemon stays ready all the time.
    """
    write_flow(flows, "orders", INPUTS, TELL.replace("[hook]", "[hook, extra]"))
    with ExitStack() as stack:
        extra, later = (stack.enter_context(http_receiver()) for _ in range(2))
        world.write(extra=webhook(extra))
        running = stack.enter_context(world.start(flows, state))
        assert condition(running)["reason"] == "Working"
        extra.is_open = False
        running.ended(running.start("orders"))
        eventually(lambda: extra.refused and world.hook.taken, lambda: running.events)
        failing = condition(running)
        assert (failing["status"], failing["reason"]) == ("False", "ChannelFailing")
        assert failing["message"].startswith("extra: answered 503 (1 try since ")
        assert running.request("/readyz").status == 200
        (check,) = (
            each
            for each in running.request("/healthz").json["checks"]
            if each["name"] == "channels"
        )
        assert (check["status"], check["message"][:20]) == ("ok", "extra: answered 503 ")
        assert "ChannelFailing" in running.command("status").stdout

        world.write(extra=webhook(later))
        running.command("reload")
        eventually(lambda: later.taken, lambda: running.events)
        working = eventually(lambda: (it := condition(running))["status"] == "True" and it)
        assert working["last_transition_at"] > failing["last_transition_at"]
        assert later.taken[0].headers["webhook-id"] == extra.refused[0].headers["webhook-id"]
        assert "ChannelsWorking" not in running.command("status").stdout

        later.is_open = False
        running.ended(running.start("orders"))
        running.ended(running.start("orders"))
        eventually(lambda: later.refused, lambda: running.events)
        world.write(extra=None)
        running.command("reload")
        eventually(lambda: counted(running, "extra", "dropped") == 2, lambda: running.events)
        assert "notify.no_channel channel=extra" in running.events
        assert condition(running)["status"] == "True"
        assert running.condition("orders")["reason"] == "ChannelMissing"
        assert running.command("run", "orders", check=False).returncode == 5
        running.kill()
        with world.start(flows, state) as again:
            assert "notify.no_channel" not in again.events
        assert len(world.hook.taken) == 3


def test_account_gets_a_channel_by_reload(world: World, flows: Path, state: Path) -> None:
    """It comes with the account's own secrets, before one of the host, for its flows alone."""
    key = state.parent / "secrets" / "KEY"
    key.parent.mkdir()
    key.write_text("b3RoZXI=")
    account: dict[str, Any] = {"secrets": [{"directory": str(key.parent)}]}
    world.more["accounts"] = {"pay": account}
    world.write()
    (flows / "pay").mkdir()
    write_flow(flows / "pay", "orders", INPUTS, TELL.replace("[hook]", "[hook, own]"))
    with http_receiver() as own, world.start(flows, state) as running:
        assert running.condition("orders", account="pay")["reason"] == "ChannelMissing"
        account["channels"] = {"own": webhook(own), "hook": webhook(own)}
        world.write()
        running.command("reload")
        assert running.condition("orders", account="pay")["status"] == "True"
        running.start("orders", "--account", "pay")
        eventually(lambda: len(own.taken) == 2, lambda: running.events)
        eventually(lambda: counted(running, "pay/own", "sent") == 1)
        assert counted(running, "pay/hook", "sent") == 1
        ids = {each.headers["webhook-id"].rpartition(":")[2] for each in own.taken}
        assert ids == {"pay/own", "pay/hook"}
        signed = {signature_with(each, "b3RoZXI=") for each in own.taken}
        assert signed == {each.headers["webhook-signature"] for each in own.taken}
        assert world.hook.taken == []


def test_local_run_tells_nobody_and_says_so(world: World, flows: Path) -> None:
    """Trying a file out sends nothing, whatever its rules and nodes name."""
    rules = "notify: [{on: [failed, succeeded], channels: [hook]}]\n"
    file = write_flow(flows, "orders", INPUTS, rules, TELL.replace("[hook]", "[hook, pager]"))
    done = command("run", str(file), cwd=flows)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "tell: NOT SENT, which only a daemon does (channels hook, pager): orders"
    assert lines[1:] == ["tell: It is done.", "tell: Bye."]
    assert world.hook.taken == world.hook.refused == []

"""What became of deliveries, with the real daemon: over `kill -9`, in floods, from the shell."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowrunner.model.delivery_record import (
    MOST_UNPROVEN,
    NO_HOOK,
    DeliveryReason,
    DeliveryRecord,
)
from flowrunner.model.ids import FlowKey
from flowrunner.storage.factory import make_storage
from flowrunner.system.clock import SystemClock
from flowrunner.system.files import LocalFiles
from tests.fakes.records import make_delivery
from tests.profile import IS_LONG
from tests.system.daemon import OPEN, RunningDaemon, command, daemon, eventually
from tests.system.deliveries import (
    GITHUB_AUTH,
    SECRET,
    SECRET_IN_ENVIRONMENT,
    hook,
    post,
    push,
)
from tests.system.flow_files import NOTHING, write_flow

pytestmark = pytest.mark.system

ENV = {**OPEN, **SECRET_IN_ENVIRONMENT}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KILLS = 30 if IS_LONG else 3
WHSEC = "whsec_bm9ib2R5IGtub3dzIHRoaXMga2V5IG9mIDI0"
KEEPS_ALL = {"FLOWRUNNER_ENGINE__RETENTION_EXECUTIONS": "1000000"}


def deliveries(running: RunningDaemon, **query: str) -> list[dict[str, Any]]:
    """Returns what the daemon tells of deliveries, newest first, all pages."""
    options = [f"--{name}={value}" for name, value in query.items()]
    shown = running.command("deliveries", "--json", "--limit", "100000", *options)
    items: list[dict[str, Any]] = json.loads(shown.stdout)["items"]
    return items


def test_every_delivery_is_told_with_its_reason(flows: Path, state: Path) -> None:
    """In one line each, over the shell as over HTTP; the secret is in none of it."""
    wants_main = hook(GITHUB_AUTH, "id: push", "if: trigger.body.ref == 'main'")
    write_flow(flows, "site", wants_main, NOTHING)

    with daemon(flows, state, env=ENV) as running:
        push(running, "site/push", {"ref": "main"}, "first")
        push(running, "site/push", {"ref": "main"}, "first")
        push(running, "site/push", {"ref": "other"}, "second")
        post(running, "site/push", b"{}", {"Authorization": f"Bearer {SECRET}"})
        post(running, "site/pusch", b"{}", {})

        told = {each["delivery_id"] or each["reason"]: each for each in deliveries(running)}
        shown = running.command("deliveries", "site").stdout
        over_http = running.request("/api/v1/deliveries?outcome=refused").json["items"]
        why = running.command("why", "site").stdout

    assert told["second"]["reason"] == "if"
    assert told["second"]["sentence"].endswith("trigger.body.ref == 'main'")
    assert told["first"]["execution_id"] in shown
    assert {each["reason"] for each in over_http} == {"signature", "no_hook"}
    assert "the last delivery to push" in why
    assert "(signature)" in why
    assert "/hooks/default/site/pusch, where no hook is" in why
    written = b"".join(path.read_bytes() for path in state.glob("flowrunner.db*"))
    assert SECRET.encode() not in written


def test_kill_9_leaves_an_execution_its_delivery(flows: Path, state: Path) -> None:
    """What was answered 202 has execution and record, and no record names what is not there."""
    write_flow(flows, "site", hook(), "concurrency: {on_conflict: allow}\n", NOTHING)
    accepted: list[str] = []

    def send(running: RunningDaemon, life: int, sender: int) -> None:
        """Sends until nobody answers any more."""
        with suppress(OSError, http.client.HTTPException):
            for number in range(10_000):
                name = f"{life}-{sender}-{number}"
                answer = push(running, "site/webhook", {"n": name}, name)
                if answer.status == 202:
                    accepted.append(answer.json["execution_id"])

    for life in range(KILLS):
        with daemon(flows, state, env={**ENV, **KEEPS_ALL}) as running:
            enough = partial(_more_than, accepted, len(accepted) + 20)
            senders = [threading.Thread(target=send, args=(running, life, it)) for it in range(3)]
            for sender in senders:
                sender.start()
            eventually(enough)
            running.kill()
            for sender in senders:
                sender.join()

    with daemon(flows, state, env={**ENV, **KEEPS_ALL}) as running:
        recorded = [each["execution_id"] for each in deliveries(running, reason="accepted")]
        shown = running.command("executions", "--flow", "site", "--limit", "100000", "--json")
        executions = [each["id"] for each in json.loads(shown.stdout)["items"]]

    assert set(accepted) <= set(recorded)
    assert sorted(recorded) == sorted(executions)


def _more_than(found: list[str], number: int) -> bool:
    return len(found) > number


def test_refusals_survive_a_stop_and_are_few_writes(flows: Path, state: Path) -> None:
    """A flood of forged deliveries is one row with its number, beside the true one."""
    write_flow(flows, "site", hook(), NOTHING)

    with daemon(flows, state, env=ENV) as running:
        assert push(running, "site/webhook", {}, "true").status == 202
        for _ in range(300):
            assert post(running, "site/webhook", b"{}", {}).status == 401
        commits = running.metric("flowrunner_journal_commit_seconds_count")
        assert commits is not None
        assert commits < 100
        assert running.stop() == 0

    with daemon(flows, state, env=ENV) as running:
        forged, true = deliveries(running)
        assert (forged["reason"], forged["repeats"]) == ("signature", 300)
        assert (true["reason"], true["delivery_id"]) == ("accepted", "true")


def test_strangers_fill_no_disk_and_push_out_nobody(flows: Path, state: Path) -> None:
    """Whatever paths they try, so many rows stay of them, the newest, and the true one beside."""
    write_flow(flows, "site", hook(), NOTHING)
    true = make_delivery(1, DeliveryReason.IF_FALSE, flow=FlowKey("default", "site"), status=200)
    fill(state, true, *(stray(number) for number in range(1_000, 1_000 + MOST_UNPROVEN)))

    with daemon(flows, state, env=ENV) as running:
        for number in range(30):
            assert post(running, f"scan/{number}", b"{}", {}).status == 401
        strays = deliveries(running, reason="no_hook")
        (kept,) = deliveries(running, reason="if")

    assert len(strays) == MOST_UNPROVEN
    assert sum(each["repeats"] for each in strays if each["source"] != "192.0.2.7") == 30
    assert kept["id"] == true.id


def stray(number: int) -> DeliveryRecord:
    """A delivery of long ago to a path that is no hook."""
    path, reason = f"default/{number}", DeliveryReason.NO_HOOK
    made = make_delivery(number, reason, flow=NO_HOOK, path=path, status=401, is_proven=False)
    return replace(made, at=LONG_AGO + timedelta(minutes=number))


def fill(state: Path, *records: DeliveryRecord) -> None:
    """Records deliveries in the state of no daemon."""

    async def write() -> None:
        storage = make_storage("local", folder=state, files=LocalFiles(), clock=SystemClock())
        await storage.open()
        await storage.deliveries.record(records)
        await storage.close()

    state.mkdir(mode=0o700, exist_ok=True)
    asyncio.run(write())


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """A daemon with one hook for each type of proof."""
    place = tmp_path_factory.mktemp("hooks")
    flows = place / "flows"
    flows.mkdir()
    for kind in ("github", "gitlab", "gitea", "bitbucket", "stripe", "slack", "bearer", "basic"):
        write_flow(flows, kind, hook(f"auth: {{type: {kind}, secret: HOOK}}", "id: it"), NOTHING)
    for kind in ("gitlab", "standard"):
        auth = f"auth: {{type: {kind}, secret: WHSEC}}"
        write_flow(flows, f"{kind}-signed", hook(auth, "id: it"), NOTHING)
    own = "auth: {type: hmac, secret: HOOK, header: X-Sign, algorithm: sha512, encoding: base64}"
    write_flow(flows, "hmac", hook(own, "id: it"), NOTHING)
    write_flow(flows, "none", hook("auth: {type: none}", "id: it"), NOTHING)
    write_flow(flows, "off", hook(GITHUB_AUTH, "id: it", "enabled: false"), NOTHING)
    secrets = {**SECRET_IN_ENVIRONMENT, "FLOWRUNNER_SECRET_WHSEC": WHSEC}
    with daemon(flows, place / "state", env={**OPEN, **secrets}) as running:
        yield running


KINDS = (
    *("github", "gitlab", "gitlab-signed", "gitea", "bitbucket", "stripe", "slack"),
    *("standard-signed", "hmac", "bearer", "basic", "none"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_webhook_send_proves_itself_to_every_type_of_hook(
    hooks: RunningDaemon, tmp_path: Path, kind: str
) -> None:
    """The daemon takes what the command signs, and the command shows what it has recorded."""
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"kind": kind, "type": "push", "id": "one"}))
    secrets = {**SECRET_IN_ENVIRONMENT, "FLOWRUNNER_SECRET_WHSEC": WHSEC}
    words = ["webhook", "send", kind, "it", "--file", str(body), "--json"]

    done = command(*words, "--state", str(hooks.state), cwd=tmp_path, env=secrets)

    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["status"] == 202
    assert shown["delivery"]["reason"] == "accepted"
    assert shown["delivery"]["execution_id"] == shown["body"]["execution_id"]
    assert SECRET not in done.stdout


def test_webhook_send_to_a_hook_that_is_not_in_force_says_so(
    hooks: RunningDaemon, tmp_path: Path
) -> None:
    """It is refused like any path that is no hook, and the command shows that this is why."""
    words = ["webhook", "send", "off", "it", "--state", str(hooks.state)]

    done = command(*words, cwd=tmp_path, env=SECRET_IN_ENVIRONMENT)

    assert done.returncode == 5
    assert "refused (no_hook): no flow in force had a hook of this path" in done.stdout


def test_webhook_send_without_the_secret_sends_nothing(
    hooks: RunningDaemon, tmp_path: Path
) -> None:
    """Who may use the control socket but cannot read the secret gets nothing signed."""
    before = deliveries(hooks)

    done = command("webhook", "send", "github", "it", "--state", str(hooks.state), cwd=tmp_path)

    assert done.returncode == 4
    assert "HOOK" in done.stderr
    assert deliveries(hooks) == before

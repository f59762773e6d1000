"""Webhooks over the wire: who gets in, who does not, and what becomes of a delivery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, Answer, RunningDaemon, daemon, eventually
from tests.system.deliveries import (
    GITHUB_AUTH,
    SECRET,
    SECRET_IN_ENVIRONMENT,
    github_headers,
    hook,
    post,
    push,
    sha512_base64,
)
from tests.system.flow_files import NOTHING, runs, write_flow

pytestmark = pytest.mark.system

TOKEN = "a-token-that-nobody-may-see"
HMAC_AUTH = (
    "auth: {type: hmac, secret: HOOK, header: X-Signature, "
    "algorithm: sha512, encoding: base64, prefix: 'v1='}"
)
BEARER_AUTH = "auth: {type: bearer, secret: HOOK}"


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """A daemon with one flow for each kind of hook."""
    place = tmp_path_factory.mktemp("hooks")
    flows = place / "flows"
    flows.mkdir()
    write_flow(flows, "payload", hook(), runs('cat "$FLOW_PAYLOAD_FILE"'))
    write_flow(
        flows,
        "echo",
        "inputs: {text: {}}\n",
        hook(GITHUB_AUTH, "inputs: {text: '${{ trigger.body.text }}'}"),
        runs("printf '%s\\n' \"$TEXT\"", env='{TEXT: "${{ inputs.text }}"}'),
    )
    write_flow(flows, "signed", hook(HMAC_AUTH), NOTHING)
    write_flow(flows, "bearer", hook(BEARER_AUTH), NOTHING)
    write_flow(flows, "deduped", hook(BEARER_AUTH, "dedupe: {key: trigger.body.id}"), NOTHING)
    write_flow(flows, "main-only", hook(GITHUB_AUTH, "if: trigger.body.ref == 'main'"), NOTHING)
    write_flow(
        flows,
        "typed",
        "inputs: {n: {type: integer}}\n",
        hook(GITHUB_AUTH, "inputs: {n: '${{ trigger.body.n }}'}"),
        NOTHING,
    )
    write_flow(flows, "unsignable", hook("auth: {type: github, secret: ABSENT}"), NOTHING)
    write_flow(flows, "lacking", "secrets: [ABSENT]\n", hook(), NOTHING)
    with daemon(flows, place / "state", env={**OPEN, **SECRET_IN_ENVIRONMENT}) as running:
        yield running


def test_a_signed_github_delivery_starts_the_flow_with_its_body(hooks: RunningDaemon) -> None:
    """202 names an execution that finds the raw body in FLOW_PAYLOAD_FILE."""
    body = b'{"ref":  "refs/heads/main"}'

    answer = post(hooks, "payload/webhook", body, github_headers(body, "first"))

    assert answer.status == 202
    execution = hooks.ended(answer.json["execution_id"])
    assert execution["state"] == "succeeded"
    assert execution["trigger"] == {"id": "webhook", "type": "webhook"}
    assert hooks.logs(execution["id"]) == body.decode() + "\n"


def test_a_delivery_signed_by_hmac_of_a_configured_kind_is_accepted(hooks: RunningDaemon) -> None:
    """Algorithm, encoding, header and prefix are those that the flow says."""
    body = b'{"n": 1}'
    headers = {"Content-Type": "application/json", "X-Signature": f"v1={sha512_base64(body)}"}

    assert post(hooks, "signed/webhook", body, headers).status == 202

    wrong = {**headers, "X-Signature": sha512_base64(body)}
    assert post(hooks, "signed/webhook", body, wrong).status == 401


def test_a_bearer_token_is_accepted(hooks: RunningDaemon) -> None:
    """A sender that cannot sign may show the token."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}

    assert post(hooks, "bearer/webhook", b"{}", headers).status == 202

    wrong = {**headers, "Authorization": f"Bearer {SECRET}x"}
    assert post(hooks, "bearer/webhook", b"{}", wrong).status == 401


def test_a_second_copy_of_a_delivery_starts_nothing(hooks: RunningDaemon) -> None:
    """The same id, or the same signed body under a new id, gets the first execution's id."""
    first = push(hooks, "payload/webhook", {"n": 1}, "delivery-1")
    assert first.status == 202

    for again in (
        push(hooks, "payload/webhook", {"n": 1}, "delivery-1"),
        push(hooks, "payload/webhook", {"n": 1}, "delivery-2"),
        push(hooks, "payload/webhook", {"n": 2}, "delivery-1"),
    ):
        assert again.status == 200
        assert again.json == {"status": "duplicate", "execution_id": first.json["execution_id"]}


def test_copies_at_the_same_moment_start_the_flow_once(hooks: RunningDaemon) -> None:
    """However many copies arrive together, one is accepted and the others learn its id."""
    with ThreadPoolExecutor(16) as senders:
        copies = [
            senders.submit(push, hooks, "payload/webhook", {"same": "moment"}, "moment")
            for _ in range(16)
        ]
        answers = [copy.result() for copy in copies]

    assert sorted(answer.status for answer in answers) == [200] * 15 + [202]
    assert len({answer.json["execution_id"] for answer in answers}) == 1


def test_a_key_of_the_flows_own_tells_copies_apart(hooks: RunningDaemon) -> None:
    """`dedupe.key` reads the id of the delivery out of the delivery."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}
    answers = [
        post(hooks, "deduped/webhook", json.dumps(body).encode(), headers)
        for body in ({"id": 1}, {"id": 1, "again": True}, {"id": 2})
    ]

    assert [answer.status for answer in answers] == [202, 200, 202]


def test_a_condition_that_is_false_ignores_the_delivery(hooks: RunningDaemon) -> None:
    """Whoever proves to be the sender is told that the delivery was not wanted."""
    answer = push(hooks, "main-only/webhook", {"ref": "topic"})

    assert (answer.status, answer.json) == (200, {"status": "ignored"})
    assert push(hooks, "main-only/webhook", {"ref": "main"}).status == 202


def test_strangers_get_one_answer_whatever_they_try(hooks: RunningDaemon) -> None:
    """Unsigned, wrongly signed, unknown hook, wrong method, no secret: one 401, byte by byte."""
    body = b"{}"
    good = github_headers(body)

    def answer(path: str, headers: dict[str, str], method: str = "POST") -> Answer:
        return hooks.request(f"/hooks/{path}", method=method, body=body, headers=headers)

    json_type = {"Content-Type": "application/json"}
    answers = [
        answer("default/payload/webhook", json_type),
        answer("default/payload/webhook", github_headers(body, secret="guessed")),
        answer("default/payload/webhook", {**json_type, "X-Hub-Signature-256": "sha256=zz"}),
        answer("default/payload/webhook", good, "PUT"),
        answer("default/unknown/webhook", good),
        answer("default/payload", good),
        answer("other/payload/webhook", good),
        answer("default/unsignable/webhook", good),
    ]

    assert {one.status for one in answers} == {401}
    assert len({one.body for one in answers}) == 1
    assert len({tuple(sorted(names_of(one))) for one in answers}) == 1
    assert all("www-authenticate" in one.headers for one in answers)


def names_of(answer: Answer) -> list[tuple[str, str]]:
    """Returns the headers that could tell something: all but the date and the request's id."""
    return [it for it in answer.headers.items() if it[0] not in ("date", "x-request-id")]


def test_a_body_over_the_global_limit_is_refused_before_it_is_looked_at(
    hooks: RunningDaemon,
) -> None:
    """5 MiB are 413 for everybody, signed or not, known hook or not."""
    body = b'"' + b"x" * (5 * 1024 * 1024) + b'"'
    for path, headers in (
        ("payload/webhook", github_headers(body)),
        ("payload/webhook", {}),
        ("unknown/webhook", {}),
    ):
        assert post(hooks, path, body, headers).status == 413
    assert hooks.request("/livez").status == 200


def test_a_signed_body_over_the_hooks_own_limit_is_refused(hooks: RunningDaemon) -> None:
    """`max_body` is 1 MiB unless the flow says otherwise; strangers do not learn it."""
    body = b'"' + b"x" * (1024 * 1024) + b'"'

    assert post(hooks, "payload/webhook", body, github_headers(body)).status == 413
    assert post(hooks, "payload/webhook", body, {}).status == 401


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"ref": ', id="cut-short"),
        pytest.param(b"NaN", id="not-a-json-number"),
        pytest.param(b"\xff\xfe\xfd", id="not-text"),
        pytest.param(b"[" * 200_000, id="nested-200000-deep"),
    ],
)
def test_a_signed_body_that_is_not_json_is_refused(hooks: RunningDaemon, body: bytes) -> None:
    """422 with a problem document, and the daemon lives."""
    answer = post(hooks, "payload/webhook", body, github_headers(body))

    assert answer.status == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json["code"] == "delivery.json"


def test_a_signed_body_of_another_type_is_refused(hooks: RunningDaemon) -> None:
    """415 for what does not even say that it is JSON."""
    body = b"n=1"
    headers = {**github_headers(body), "Content-Type": "application/x-www-form-urlencoded"}

    assert post(hooks, "payload/webhook", body, headers).status == 415


def test_a_delivery_that_does_not_fit_the_inputs_is_refused(hooks: RunningDaemon) -> None:
    """422 names the input, and no execution comes to be."""
    answer = push(hooks, "typed/webhook", {"n": "many"})

    assert answer.status == 422
    assert "'n'" in answer.json["detail"]
    assert hooks.executions("typed") == []
    assert push(hooks, "typed/webhook", {"n": 3}).status == 202


def test_a_flow_without_its_secret_is_not_ready_and_says_so(hooks: RunningDaemon) -> None:
    """Its signed deliveries are 503 with Retry-After, and its condition names the secret."""
    answer = push(hooks, "lacking/webhook", {"n": 1})

    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    for flow in ("lacking", "unsignable"):
        ready = hooks.condition(flow)
        assert (ready["status"], ready["reason"]) == ("False", "SecretMissing")
        assert "ABSENT" in ready["message"]
        assert hooks.metric("flowrunner_flow_ready", flow=flow) == 0


def test_deliveries_are_counted_by_hook_and_result(hooks: RunningDaemon) -> None:
    """A stranger's paths share one series, so that nobody can make new ones."""
    counted = "flowrunner_webhook_requests_total"
    unknown = {"hook": "_unknown", "result": "unauthorized"}
    before = hooks.metric(counted, **unknown) or 0
    for number in range(3):
        post(hooks, f"made-up/{number}", b"{}", {})

    assert hooks.metric(counted, **unknown) == before + 3
    push(hooks, "payload/webhook", {"count": "me"})
    assert hooks.metric(counted, hook="default/payload/webhook", result="accepted")


def test_data_of_a_delivery_is_never_run_as_code(hooks: RunningDaemon) -> None:
    """What a sender writes reaches a script as the value of a variable, whatever it looks like."""
    text = "\"; echo $((6*7)); `id` $(id) '${{ 1 }}' \\n\u00e9\U0001f600"

    answer = push(hooks, "echo/webhook", {"text": text})

    execution = hooks.ended(answer.json["execution_id"])
    assert execution["state"] == "succeeded"
    assert hooks.logs(execution["id"]) == text + "\n"


def test_the_series_of_a_hook_leave_with_its_flow(flows: Path, state: Path) -> None:
    """A hook that is gone is gone from the metrics too."""
    path = write_flow(flows, "leaves", hook(), NOTHING)
    write_flow(flows, "stays", NOTHING)
    name, label = "flowrunner_webhook_requests_total", "default/leaves/webhook"

    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT) as running:
        assert push(running, "leaves/webhook", {}).status == 202
        assert running.metric(name, hook=label) == 1
        path.unlink()
        running.reconcile()
        assert running.metric(name, hook=label) is None
        assert push(running, "leaves/webhook", {}).status == 401
        assert running.metric(name, hook=label) is None


def test_beyond_the_queue_limit_a_delivery_is_told_to_come_back(flows: Path, state: Path) -> None:
    """429 with Retry-After when as many deliveries wait as the flow allows."""
    write_flow(
        flows,
        "slow",
        hook(),
        "concurrency: {limit: 1, queue_limit: 1}\n",
        runs('while [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done'),
    )
    (flows / "hold").touch()

    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT) as running:
        answers = [push(running, "slow/webhook", {"n": number}) for number in range(3)]
        assert [answer.status for answer in answers] == [202, 202, 429]
        assert int(answers[2].headers["retry-after"]) > 0
        (flows / "hold").unlink()
        for answer in answers[:2]:
            assert running.ended(answer.json["execution_id"])["state"] == "succeeded"


def test_a_secret_never_leaves_the_daemon(flows: Path, state: Path) -> None:
    """Neither logs, API, executions, database nor the daemon's own output hold a secret's text."""
    environment = {**OPEN, **SECRET_IN_ENVIRONMENT, "FLOWRUNNER_SECRET_TOKEN": TOKEN}
    environment["FLOWRUNNER_LOGGING__LEVEL"] = "debug"
    write_flow(
        flows,
        "secretive",
        "secrets: [TOKEN]\n",
        hook(BEARER_AUTH),
        runs(
            'printf "%s\\n" "token=$TOKEN" >&2; env; exit 3', env='{TOKEN: "${{ secrets.TOKEN }}"}'
        ),
    )
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}

    with daemon(flows, state, env=environment) as running:
        execution_id = post(running, "secretive/webhook", b"{}", headers).json["execution_id"]
        execution = running.ended(execution_id)
        printed = running.logs(execution_id)
        assert "token=***" in printed
        assert "FLOWRUNNER_SECRET" not in printed
        shown = [json.dumps(execution), running.command("show", execution_id, "--json").stdout]
        shown += [running.command("logs", execution_id).stdout, running.request("/metrics").text]
        definition = running.request("/api/v1/flows/default/secretive/definition")
        assert definition.status == 200
        shown.append(definition.text)
        assert running.stop() == 0
        shown.append(running.output)

    kept = [path for path in state.rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in kept)
    for secret in (SECRET, TOKEN):
        assert not [text for text in shown if secret in text]
        assert not [path for path in kept if secret.encode() in path.read_bytes()]


def test_a_secret_that_is_gone_at_the_next_start_makes_its_flow_not_ready(
    flows: Path, state: Path
) -> None:
    """The condition follows the host: without the secret the flow waits, with it, it works."""
    write_flow(flows, "deploy", hook(), NOTHING)

    with daemon(flows, state) as running:
        assert running.condition("deploy")["reason"] == "SecretMissing"
        assert push(running, "deploy/webhook", {}).status == 401
        assert running.stop() == 0

    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT) as running:
        eventually(lambda: running.condition("deploy")["status"] == "True")
        assert push(running, "deploy/webhook", {}).status == 202


def test_recorded_delivery_cannot_be_sent_again_after_a_crash(flows: Path, state: Path) -> None:
    """The same signed body under another id is known to the next life as well."""
    write_flow(flows, "deploy", hook(), NOTHING)

    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT) as running:
        first = push(running, "deploy/webhook", {"ref": "main"}, "delivery-1")
        assert first.status == 202
        running.kill()

    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT) as running:
        again = push(running, "deploy/webhook", {"ref": "main"}, "delivery-2")
        assert (again.status, again.json["execution_id"]) == (200, first.json["execution_id"])
        assert push(running, "deploy/webhook", {"ref": "topic"}, "delivery-3").status == 202

"""Bearer tokens: each opens exactly what it says, from wherever it is shown."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.types import ASGIApp

from flowrunner.model.access import Token, TokenScope, token_digest
from flowrunner.model.ids import FlowKey
from flowrunner.telemetry.metrics_access import AccessCounts
from flowrunner.web.callers import FAILURES, AccessRules
from tests.fakes.asgi import Answer, Call, answer, ask
from tests.fakes.clock import FakeClock
from tests.fakes.service import (
    SECRET_INPUT,
    FakeService,
    make_execution_view,
    make_flow_view,
)
from tests.unit.web.apps import EXECUTION, FLOW, make_access, public_app

REMOTE = ("203.0.113.9", 4000)
FOREIGN = "00000000-0000-7000-8000-000000000002"
"""An execution of the account `other`."""

READ_TARGETS = (
    "/api/v1/flows",
    f"/api/v1/flows/{FLOW}",
    "/api/v1/executions",
    f"/api/v1/executions/{EXECUTION}",
    "/api/v1/reconcile",
    "/api/v1/source",
    "/api/v1/status",
)
DATA_TARGETS = (
    f"/api/v1/flows/{FLOW}/definition",
    f"/api/v1/executions/{EXECUTION}/logs",
    f"/api/v1/executions/{EXECUTION}/trace",
)
ALL_TARGETS = ("/metrics", *READ_TARGETS, *DATA_TARGETS)


def token(
    name: str, *scopes: str, accounts: frozenset[str] | None = None, days: int | None = None
) -> Token:
    """A token whose text is its name; it expires so many days after the fake clock's start."""
    end = None if days is None else FakeClock().now() + timedelta(days=days)
    return Token(
        name=name,
        sha256=token_digest(name),
        scopes=frozenset(map(TokenScope, scopes)),
        accounts=accounts,
        expires_at=end,
    )


TOKENS = (
    token("reader", "read"),
    token("auditor", "data"),
    token("scraper", "metrics"),
    token("old", "read", days=0),
    token("ours", "data", accounts=frozenset({"default"})),
    token("theirs", "data", accounts=frozenset({"other"})),
    token("both", "data", accounts=frozenset({"default", "other"})),
)


def service() -> FakeService:
    """Two accounts with a flow and an execution each."""
    made = FakeService()
    theirs = make_execution_view(2)
    flow = FlowKey("other", "secret-plan")
    foreign = replace(theirs, execution=replace(theirs.execution, flow=flow))
    made.seen = [foreign, make_execution_view(1)]
    made.known = [make_flow_view(), make_flow_view(flow)]
    return made


def app(
    counts: AccessCounts | None = None, clock: FakeClock | None = None, local: str = "restricted"
) -> ASGIApp:
    rules = AccessRules(tokens=TOKENS, local="open" if local == "open" else "restricted")
    return public_app(service(), access=make_access(rules, counts=counts, clock=clock))


def get(
    target: str,
    shown: str | None = None,
    *,
    peer: tuple[str, int] = REMOTE,
    using: ASGIApp | None = None,
) -> Answer:
    headers = {"host": "flows.example.com"}
    if shown is not None:
        headers["authorization"] = f"Bearer {shown}"
    return ask(using or app(), "GET", target, headers=headers, peer=peer)


@pytest.mark.parametrize(
    ("name", "opened"),
    [
        pytest.param("reader", READ_TARGETS, id="read"),
        pytest.param("auditor", (*READ_TARGETS, *DATA_TARGETS), id="data"),
        pytest.param("scraper", ("/metrics",), id="metrics"),
    ],
)
@pytest.mark.parametrize("peer", [REMOTE, ("127.0.0.1", 4000)], ids=["remote", "local"])
def test_token_opens_exactly_its_scopes(
    name: str, opened: tuple[str, ...], peer: tuple[str, int]
) -> None:
    """Over all addresses, a token opens those of its scopes and answers 401 for the rest."""
    statuses = {target: get(target, name, peer=peer).status for target in ALL_TARGETS}

    assert statuses == {target: 200 if target in opened else 401 for target in ALL_TARGETS}


def test_lacking_scope_is_named() -> None:
    """A token that is right but opens too little learns what it lacks."""
    got = get("/metrics", "reader")

    assert got.json["code"] == "auth.scope"
    assert "scope metrics" in got.json["detail"]
    assert 'error="insufficient_scope"' in got.headers["www-authenticate"]


@pytest.mark.parametrize("target", ALL_TARGETS)
def test_off_this_machine_nothing_is_seen_without_a_token(target: str) -> None:
    """Another machine gets 401 for everything but health and hooks, whatever `auth.local` says."""
    got = get(target, using=app(local="open"))

    assert got.status == 401
    assert got.json["code"] == "auth.missing"
    assert got.headers["www-authenticate"] == 'Bearer realm="flowrunner"'


@pytest.mark.parametrize("target", ["/livez", "/readyz", "/healthz"])
def test_health_looks_at_no_token(target: str) -> None:
    """Health is for everyone, with a wrong token too."""
    assert get(target, "wrong").status == 200


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", "Bearer old", "Bearer", "Bearer ", "Bearer a b", "bearerreader", "Bearer é"],
)
@pytest.mark.parametrize("peer", [REMOTE, ("127.0.0.1", 4000)], ids=["remote", "local"])
def test_wrong_token_is_refused_everywhere(header: str, peer: tuple[str, int]) -> None:
    """A token that is wrong or expired is 401, also where none would have been needed."""
    got = ask(app(), "GET", "/api/v1/flows", headers={"authorization": header}, peer=peer)

    assert got.status == 401
    assert got.json["code"] == "auth.invalid"
    assert 'error="invalid_token"' in got.headers["www-authenticate"]


def test_two_tokens_are_none() -> None:
    """Two `Authorization` headers are refused, whatever they say."""
    headers = (("authorization", "Bearer reader"), ("authorization", "Bearer reader"))
    call = Call(method="GET", target="/api/v1/flows", headers=headers, peer=REMOTE)

    assert asyncio.run(answer(app(), call)).status == 401


def test_scheme_has_no_case_and_other_schemes_are_not_ours() -> None:
    """`bearer` is `Bearer`; what a proxy passes on of its own passwords is left alone."""
    statuses = [
        ask(app(), "GET", "/api/v1/flows", headers={"authorization": value}).status
        for value in ("bEARER reader", "Basic cmVhZGVyOg==")
    ]

    assert statuses == [200, 200]


def test_forwarded_request_is_let_in_by_its_token() -> None:
    """Through a proxy and under its public name a token opens what it says."""
    headers = {
        "host": "flows.example.com",
        "x-forwarded-for": "198.51.100.7",
        "authorization": "Bearer reader",
    }

    assert ask(app(), "GET", "/api/v1/flows", headers=headers).status == 200


def test_reader_sees_no_data() -> None:
    """Without the scope `data` inputs and outputs are null and details are empty."""
    one, page = (
        get(f"/api/v1/executions/{EXECUTION}", "reader"),
        get("/api/v1/executions", "reader"),
    )

    assert SECRET_INPUT not in one.text + page.text
    assert one.json["redacted"] is True
    assert SECRET_INPUT in get(f"/api/v1/executions/{EXECUTION}", "auditor").text


@pytest.mark.parametrize("name", ["ours", "theirs"])
def test_lists_show_the_accounts_of_the_token_alone(name: str) -> None:
    """Flows and executions of other accounts are in no list, asked for or not."""
    mine, foreign = ("default", "other") if name == "ours" else ("other", "default")
    for address in ("flows", "executions"):
        items = get(f"/api/v1/{address}", name).json["items"]
        assert {item["account"] for item in items} == {mine}
        assert get(f"/api/v1/{address}?account={mine}", name).json["items"] == items
        assert get(f"/api/v1/{address}?account={foreign}", name).json["items"] == []


def test_token_of_several_accounts_sees_them_in_one_list() -> None:
    """The list of two accounts is one, newest first, with one cursor."""
    first = get("/api/v1/executions?limit=1", "both").json
    rest = get(f"/api/v1/executions?limit=1&cursor={first['next_cursor']}", "both").json

    assert [item["id"] for item in first["items"] + rest["items"]] == [FOREIGN, EXECUTION]


@pytest.mark.parametrize(
    ("foreign", "missing"),
    [
        ("flows/other/secret-plan", "flows/other/nothing"),
        ("flows/other/secret-plan/definition", "flows/default/nothing/definition"),
        (f"executions/{FOREIGN}", f"executions/{FOREIGN[:-1]}9"),
        (f"executions/{FOREIGN}/logs", f"executions/{FOREIGN[:-1]}9/logs"),
        (f"executions/{FOREIGN}/trace", f"executions/{FOREIGN[:-1]}9/trace"),
    ],
)
def test_what_is_of_another_account_does_not_exist(foreign: str, missing: str) -> None:
    """Another account's flow and nobody's flow get the same answer, byte by byte."""
    theirs, nobodys = get(f"/api/v1/{foreign}", "ours"), get(f"/api/v1/{missing}", "ours")

    assert theirs.status == 404
    assert theirs.body == nobodys.body


def test_hint_of_a_missing_flow_names_no_other_account() -> None:
    """Asked in the token's own account, the name of another account's flow is not betrayed."""
    got = get("/api/v1/flows/default/secret-plan", "ours")

    assert got.status == 404
    assert "other" not in got.text


@pytest.mark.parametrize("target", ["/api/v1/reconcile", "/api/v1/source", "/api/v1/status"])
def test_address_that_shows_all_accounts_is_closed_to_a_token_of_some(target: str) -> None:
    """Where accounts are not told apart, a token of some of them gets 401."""
    assert get(target, "ours").json["code"] == "auth.scope"


def test_too_many_wrong_tokens_are_turned_away() -> None:
    """After some wrong tokens of a source the next is 429; right ones and others are let in."""
    using, neighbour = app(), ("203.0.113.10", 4000)
    statuses = [get("/api/v1/flows", "wrong", using=using).status for _ in range(FAILURES + 1)]

    assert statuses == [401] * FAILURES + [429]
    assert get("/api/v1/flows", "reader", using=using).status == 200
    assert get("/api/v1/flows", "wrong", using=using, peer=neighbour).status == 401


def test_wrong_tokens_are_forgiven_in_time() -> None:
    """The number of wrong tokens that a source may show grows again."""
    clock = FakeClock()
    using = app(clock=clock)
    *_, got = [get("/api/v1/flows", "wrong", using=using) for _ in range(FAILURES + 1)]
    assert got.status == 429

    clock.advance(float(got.headers["retry-after"]))

    assert get("/api/v1/flows", "wrong", using=using).status == 401


def test_refusals_are_counted_by_reason() -> None:
    """Each reason has its series, from zero on."""
    counts = AccessCounts()
    using = app(counts)
    for shown in (None, "wrong", "old", "scraper"):
        get("/api/v1/flows", shown, using=using)
    get("/api/v1/source", "ours", using=using)

    family, _ = counts.families()
    shown_counts = {reason: count for (reason,), count in family.samples}
    assert shown_counts == {
        "account": 1,
        "expired": 1,
        "missing": 1,
        "rate": 0,
        "scope": 1,
        "unknown": 1,
    }


def test_requests_that_nobody_saw_whole_are_counted_by_reason() -> None:
    """Both reasons have a series, from zero on."""
    counts = AccessCounts()
    counts.request_unread("malformed")
    _, family = counts.families()
    assert dict(family.samples) == {("malformed",): 1.0, ("too_slow",): 0.0}


def test_log_names_the_token_and_never_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    """The line of a request has the name of its token; a wrong one is in no line at all."""
    caplog.set_level(logging.DEBUG)

    get("/api/v1/flows", "reader")
    get("/api/v1/flows", "frt_guessed")

    assert "token=reader" in caplog.text
    assert "frt_guessed" not in caplog.text

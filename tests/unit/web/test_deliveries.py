"""Deliveries over HTTP: the shape, the parameters, who sees what, and refusals before the hooks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from flowrunner.config.access_settings import LocalAccess
from flowrunner.model.access import Token, TokenScope, token_digest
from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import (
    NO_HOOK,
    OF_SOURCE,
    DeliveryOutcome,
    DeliveryPlace,
    DeliveryReason,
)
from flowrunner.service.delivery_desk import DeliveryPage
from flowrunner.web.app import make_public_app
from flowrunner.web.callers import AccessRules
from flowrunner.web.middleware.authentication import LocalHosts
from tests.fakes.asgi import Answer, Call, answer
from tests.fakes.ids import sequential_id
from tests.fakes.ledger import FakeDeliveries
from tests.fakes.records import NOON, REVISION, make_delivery, minutes
from tests.fakes.service import FakeService
from tests.unit.web.apps import MAX_BODY, make_access, make_parts

DELIVERIES = "/api/v1/deliveries"
RECORD = replace(
    make_delivery(1, DeliveryReason.IF_FALSE, status=200), id=str(sequential_id(7)), repeats=3
)


def asked(
    desk: FakeDeliveries,
    target: str = DELIVERIES,
    *,
    local: LocalAccess = "open",
    tokens: tuple[Token, ...] = (),
    **headers: str,
) -> Answer:
    access = make_access(AccessRules(local=local, tokens=tokens))
    app = make_public_app(replace(make_parts(), deliveries=desk), access=access, hosts=LocalHosts())
    call = Call(method="GET", target=target, headers=tuple(headers.items()))
    return asyncio.run(answer(app, call))


def query_of(target: str, **options: Any) -> DeliveryQuery:
    """Returns what the desk was asked."""
    desk = FakeDeliveries()
    given = asked(desk, target, **options)
    assert given.status == 200, given.json
    return desk.asked[0]


def test_delivery_has_its_shape() -> None:
    """Time, source, path, answer, reason, execution, and why in a sentence."""
    given = asked(FakeDeliveries(pages=[DeliveryPage(items=(RECORD,))]))
    assert given.json == {
        "items": [
            {
                "id": sequential_id(7),
                "at": "2027-03-01T12:01:00Z",
                "first_at": "2027-03-01T12:01:00Z",
                "repeats": 3,
                "source": "192.0.2.7",
                "path": "default/backup/push",
                "account": "default",
                "flow": "backup",
                "trigger": "push",
                "event": "push",
                "delivery_id": "of-the-provider-1",
                "is_proven": True,
                "status": 200,
                "outcome": "ignored",
                "reason": "if",
                "detail": 'ÄÖ: a "detail"',
                "sentence": 'the condition of the trigger was false: ÄÖ: a "detail"'
                " (3 such since 2027-03-01T12:01:00Z)",
                "execution_id": None,
                "revision": REVISION,
                "request_id": "request-1",
                "redacted": False,
            }
        ],
        "next_cursor": None,
    }


@pytest.mark.parametrize("flow", [NO_HOOK, OF_SOURCE])
def test_delivery_to_no_flow_has_none(flow: Any) -> None:
    """Account, flow and trigger are null; the path tells where it went."""
    record = replace(RECORD, flow=flow, trigger="")
    (item,) = asked(FakeDeliveries(pages=[DeliveryPage(items=(record,))])).json["items"]
    assert (item["account"], item["flow"], item["trigger"]) == (None, None, None)


def test_restricted_callers_see_neither_senders_nor_details() -> None:
    """What a person or an expression said is not for everybody, nor who sent what."""
    given = asked(FakeDeliveries(pages=[DeliveryPage(items=(RECORD,))]), local="restricted")
    (item,) = given.json["items"]
    assert (item["source"], item["detail"], item["redacted"]) == (None, None, True)
    assert b'detail\\"' not in given.body
    assert b"192.0.2" not in given.body


def test_parameters_are_passed_on() -> None:
    """Every filter reaches the store."""
    target = (
        f"{DELIVERIES}?account=default&flow=backup&trigger=push&reason=if,signature"
        "&since=2027-03-01T13:00:00%2B01:00&until=2027-03-01T12:05:00Z&limit=7"
    )
    assert query_of(target) == DeliveryQuery(
        accounts=frozenset({"default"}),
        flow="backup",
        trigger="push",
        reasons=(DeliveryReason.IF_FALSE, DeliveryReason.SIGNATURE),
        since=NOON,
        until=minutes(5),
        limit=7,
    )


def test_outcome_stands_for_its_reasons() -> None:
    """`refused` is every reason that is a refusal; with `reason` both must hold."""
    reasons = query_of(f"{DELIVERIES}?outcome=refused").reasons
    assert set(reasons) == {it for it in DeliveryReason if it.outcome is DeliveryOutcome.REFUSED}
    both = query_of(f"{DELIVERIES}?outcome=refused&reason=if,time").reasons
    assert both == (DeliveryReason.TIME,)


def test_cursor_leads_to_the_next_page() -> None:
    """What a page gives as `next_cursor` is understood by the next one."""
    place = DeliveryPlace(minutes(1), str(sequential_id(7)))
    desk = FakeDeliveries(pages=[DeliveryPage(items=(RECORD,), next_place=place)])
    cursor = asked(desk).json["next_cursor"]
    assert asked(desk, f"{DELIVERIES}?cursor={cursor.replace('+', '%2B')}").status == 200
    assert desk.asked[-1].before == place


@pytest.mark.parametrize(
    "query",
    [
        "account=UP",
        "flow=../x",
        "trigger=",
        f"trigger={'x' * 65}",
        "outcome=lost",
        "reason=because",
        "outcome=accepted&reason=if",
        "since=yesterday",
        "until=1969-01-01T00:00:00Z",
        "limit=0",
        "limit=1001",
        "cursor=x",
        f"cursor=2027-03-01T12:00:00Z~{'x' * 36}",
        "sources=192.0.2.1",
    ],
)
def test_wrong_parameter_is_refused(query: str) -> None:
    """Each is a 400 that names it, and nothing is read."""
    desk = FakeDeliveries()
    given = asked(desk, f"{DELIVERIES}?{query}")
    assert (given.status, given.json["code"]) == (400, "request.parameter")
    assert desk.asked == []


TEXT = "frt_" + "a" * 43


def token(*accounts: str, scope: TokenScope = TokenScope.DATA) -> Token:
    """A token, of some accounts if any are named."""
    return Token(
        name="t",
        sha256=token_digest(TEXT),
        scopes=frozenset({TokenScope.READ, scope}),
        accounts=frozenset(accounts) if accounts else None,
    )


def query_by(shown: Token, target: str = DELIVERIES) -> DeliveryQuery:
    """Returns what the desk is asked for who shows a token from elsewhere."""
    return query_of(target, tokens=(shown,), authorization=f"Bearer {TEXT}")


def test_only_who_sees_everything_sees_what_went_to_no_hook() -> None:
    """The path of such a one is what a stranger sent, and of no account."""
    assert not query_of(DELIVERIES).only_hooks
    assert not query_by(token()).only_hooks
    assert query_of(DELIVERIES, local="restricted").only_hooks
    assert query_by(token(scope=TokenScope.READ)).only_hooks
    assert query_by(token("default")).only_hooks


def test_token_of_accounts_sees_those_alone() -> None:
    """Also where another account is asked for: that has nothing for it."""
    shown = token("default", "ops")
    assert query_by(shown).accounts == frozenset({"default", "ops"})
    assert query_by(shown, f"{DELIVERIES}?account=ops").accounts == frozenset({"ops"})
    assert query_by(shown, f"{DELIVERIES}?account=team").accounts == frozenset()


def test_refusals_before_the_hooks_are_noted() -> None:
    """Too large a body and too many requests of a source leave a record as others do."""
    service = FakeService()
    rules = AccessRules(rate=(1, 3_600.0))
    app = make_public_app(make_parts(service), access=make_access(rules), hosts=LocalHosts())
    hook = "/hooks/default/backup/push"

    def sent(method: str, target: str, body: bytes = b"") -> int:
        call = Call(method=method, target=target, chunks=(body,), peer=("203.0.113.9", 40_000))
        return asyncio.run(answer(app, call)).status

    assert sent("POST", hook, b"x" * (MAX_BODY + 1)) == 413
    assert sent("POST", hook, b"{}") == 429
    assert sent("GET", "/livez") == 429
    noted = [(it.path, it.source, status, reason) for it, status, reason in service.refusals]
    assert noted == [
        ("default/backup/push", "203.0.113.9", 413, DeliveryReason.TOO_LARGE),
        ("default/backup/push", "203.0.113.9", 429, DeliveryReason.SOURCE_RATE),
    ]
    assert service.deliveries == []

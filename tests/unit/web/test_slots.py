"""Slots over HTTP: the shapes, the parameters, and who sees the evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from flowrunner.config.access_settings import LocalAccess
from flowrunner.service.slot_views import SlotPage, SlotPlace
from flowrunner.web.app import make_control_app, make_public_app
from flowrunner.web.callers import AccessRules
from flowrunner.web.middleware.authentication import LocalHosts
from tests.fakes.asgi import Answer, ask
from tests.fakes.ledger import DUE, SLOT, FakeBackfills, FakeLedger, FakePauses
from tests.fakes.records import BACKUP, NOON, minutes
from tests.unit.web.apps import COMMANDER, make_access, make_parts

SLOTS = "/api/v1/flows/default/backup/slots"


def asked(ledger: FakeLedger, target: str, local: LocalAccess = "open") -> Answer:
    access = make_access(AccessRules(local=local))
    app = make_public_app(replace(make_parts(), ledger=ledger), access=access, hosts=LocalHosts())
    return ask(app, "GET", target)


def test_slot_has_its_shape() -> None:
    """Slot, trigger, outcome, reason, time of decision, version and evidence are there."""
    answer = asked(FakeLedger(), SLOTS)
    assert answer.status == 200
    assert answer.json == {
        "items": [
            {
                "slot_at": "2027-03-01T12:00:00Z",
                "trigger": "nightly",
                "outcome": "skipped",
                "reason": "if",
                "decided_at": "2027-03-01T12:01:00Z",
                "execution_id": None,
                "digest": "sha256:00",
                "revision": "4b825dc",
                "evidence": {"if": "only for some eyes"},
                "count": 1,
                "first_slot_at": "2027-03-01T12:00:00Z",
                "redacted": False,
            }
        ],
        "next_cursor": None,
    }


def test_restricted_callers_see_no_evidence() -> None:
    """What an expression or a person said is not for everybody; the outcome is."""
    answer = asked(FakeLedger(), SLOTS, local="restricted")
    (item,) = answer.json["items"]
    assert (item["outcome"], item["evidence"], item["redacted"]) == ("skipped", {}, True)
    assert b"only for some eyes" not in answer.body


def test_interval_holds_its_begin_and_not_its_end() -> None:
    """`from` is in it and `to` is not, in any zone; `limit` is passed on."""
    ledger = FakeLedger()
    target = f"{SLOTS}?from=2027-03-01T12:00:00Z&to=2027-03-01T14:00:00%2B01:00&limit=7"
    assert asked(ledger, target).status == 200
    (call,) = ledger.asked
    moment = timedelta(microseconds=1)
    assert call["after"] == NOON - moment
    assert call["until"] == minutes(60) - moment
    assert (call["key"], call["limit"], call["place"]) == (BACKUP, 7, None)


def test_cursor_leads_to_the_next_page() -> None:
    """What a page gives as `next_cursor` is understood by the next one."""
    place = SlotPlace(minutes(3), "nightly", "f1")
    ledger = FakeLedger(pages=[SlotPage(items=(SLOT,), next_place=place), SlotPage(items=())])
    cursor = asked(ledger, SLOTS).json["next_cursor"]
    assert asked(ledger, f"{SLOTS}?cursor={cursor.replace('+', '%2B')}").status == 200
    assert ledger.asked[-1]["place"] == place


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "to=2027-03-01",
        "from=0001-01-01T00:00:00Z",
        "to=9999-12-31T23:59:59-23:00",
        "cursor=x",
        "cursor=2027-03-01T12:00:00Z",
        "limit=0",
        "at=2027-03-01T12:00:00Z",
    ],
)
def test_bad_parameters_are_refused(query: str) -> None:
    """A parameter that means nothing is an error of the caller, never of the daemon."""
    assert asked(FakeLedger(), f"{SLOTS}?{query}").status == 400


def test_unknown_flow_has_no_slots() -> None:
    """A flow that is not there is 404."""
    assert asked(FakeLedger(), "/api/v1/flows/default/other/slots").status == 404


def test_schedule_lists_what_is_due_next() -> None:
    """Each schedule's next slot, with a cursor while there are more."""
    later = replace(DUE, slot_at=minutes(9))
    ledger = FakeLedger(due=[DUE, later])
    answer = asked(ledger, "/api/v1/schedule?limit=1&account=default&flow=backup", "restricted")
    assert answer.json["items"] == [
        {
            "account": "default",
            "flow": "backup",
            "trigger": "nightly",
            "slot_at": "2027-03-01T12:05:00Z",
        }
    ]
    cursor = answer.json["next_cursor"].replace("+", "%2B")
    assert asked(ledger, f"/api/v1/schedule?cursor={cursor}").json["next_cursor"] is None
    assert ledger.asked[0] == {"account": "default", "flow": "backup", "after": None, "limit": 2}
    assert ledger.asked[1]["after"] == DUE


@pytest.mark.parametrize("cursor", ["x", "2027-03-01T12:00:00Z~a", "x~a~b"])
def test_bad_cursor_of_the_schedule_is_refused(cursor: str) -> None:
    """A cursor that no page has given is an error."""
    assert asked(FakeLedger(), f"/api/v1/schedule?cursor={cursor}").status == 400


def test_why_is_for_the_control_socket() -> None:
    """The sentence is there with what it was made of; over the network there is no such address."""
    ledger = FakeLedger()
    parts = replace(make_parts(), ledger=ledger)
    app = make_control_app(parts, is_attempt=lambda _pid, _uid: False)
    target = "/control/v1/flows/default/backup/why"
    answer = ask(app, "GET", f"{target}?at=2027-03-01T12:01:00Z", peer=COMMANDER)
    assert answer.json["sentence"] == "so it was."
    assert answer.json["slots"][0]["evidence"] == {"if": "only for some eyes"}
    assert answer.json["next_slot"]["slot_at"] == "2027-03-01T12:05:00Z"
    assert ledger.asked == [{"key": BACKUP, "at": minutes(1)}]
    assert asked(ledger, target).status in (401, 404)


def commanded(backfills: FakeBackfills, content: object, path: str = "backfill") -> Answer:
    parts = replace(make_parts(), backfills=backfills)
    app = make_control_app(parts, is_attempt=lambda _pid, _uid: False)
    target = f"/control/v1/flows/default/backup/{path}"
    headers = {"content-type": "application/json"}
    body = json.dumps(content).encode()
    return ask(app, "POST", target, headers=headers, body=body, peer=COMMANDER)


SPAN = {"from": "2027-03-01T12:00:00Z", "to": "2027-03-01T14:00:00+01:00"}


def test_backfill_is_begun_and_ended() -> None:
    """The interval and the choices are passed on; the id and the number of slots come back."""
    backfills = FakeBackfills()
    answer = commanded(backfills, {**SPAN, "trigger": "nightly", "parallel": 3, "force": True})
    assert (answer.status, answer.json) == (202, {"backfill_id": "b1", "slots": 7})
    assert backfills.asked == [
        {
            "key": BACKUP,
            "trigger": "nightly",
            "first": NOON,
            "until": minutes(60),
            "parallel": 3,
            "force": True,
        }
    ]
    assert commanded(backfills, {}, "backfill/cancel").json == {"ended": 2}
    assert backfills.asked[1] == {"cancel": BACKUP}


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": None},
        {"to": "tomorrow"},
        {"to": "9999-12-31T23:59:59Z"},
        {"parallel": 0},
        {"parallel": 101},
        {"parallel": True},
        {"parallel": "2"},
        {"force": 1},
        {"trigger": 5},
        {"other": 1},
    ],
    ids=str,
)
def test_bad_backfill_is_refused(wrong: dict[str, object]) -> None:
    """What makes no sense begins nothing."""
    backfills = FakeBackfills()
    assert commanded(backfills, {**SPAN, **wrong}).status == 422
    assert backfills.asked == []


def test_all_schedules_are_paused_and_resumed() -> None:
    """Reason, end and who it was are passed on."""
    pauses = FakePauses()
    app = make_control_app(
        replace(make_parts(), pauses=pauses), is_attempt=lambda _pid, _uid: False
    )
    headers = {"content-type": "application/json"}
    body = json.dumps({"reason": "repairs", "until": "2027-03-01T12:01:00Z"}).encode()
    target = "/control/v1/schedules/pause"
    paused = ask(app, "POST", target, headers=headers, body=body, peer=COMMANDER)
    resumed = ask(app, "POST", "/control/v1/schedules/resume", peer=COMMANDER)
    bad = ask(app, "POST", target, headers=headers, body=b'{"until": 5}', peer=COMMANDER)
    assert (paused.json, resumed.json, bad.status) == ({"paused": True}, {"paused": False}, 422)
    assert pauses.asked == [("repairs", minutes(1), 1000), ()]

"""The shapes of the API: their keys stay, and what is redacted is redacted everywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from flowrunner.model.conditions import ConditionReason
from flowrunner.model.execution import ItemCounts
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.registry.entry import PruneHold
from flowrunner.service.views import ExecutionView, SourceView
from flowrunner.web.hold_wire import hold_json
from flowrunner.web.wire import execution_json, flow_json, source_json, time_text
from tests.fakes.records import NOON, make_attempt, make_execution, make_parent
from tests.fakes.service import PASS, FakeService, make_execution_view, make_flow_view

CONDITION = {"type", "status", "reason", "message", "last_transition_at"}
FINDING = {"file", "code", "severity", "line", "column", "message", "hint"}
PASS_KEYS = {
    *("trigger", "result", "revision", "started_at", "duration_s"),
    *("added", "updated", "removed", "errors", "message"),
}


@pytest.mark.parametrize("redacted", [True, False], ids=["redacted", "full"])
def test_flow_has_the_keys_of_the_contract(*, redacted: bool) -> None:
    """A flow and its parts have exactly these keys, redacted or not."""
    shape = flow_json(make_flow_view(), redacted=redacted)

    assert set(shape) == {
        *("account", "name", "description", "labels", "path", "revision", "digest"),
        *("generation", "observed_generation", "conditions", "triggers", "last_execution"),
        *("inputs", "findings", "redacted"),
    }
    assert [set(declared) for declared in shape["inputs"]] == [
        {"name", "type", "required", "default", "description"}
    ] * 2
    assert set(shape["conditions"][0]) == CONDITION
    assert [set(trigger) for trigger in shape["triggers"]] == [
        {
            *("id", "type", "next_slot_at", "cron", "every", "timezone", "path"),
            *("once_per", "flow", "states", "dst", "jitter", "enabled"),
        }
    ] * 2
    assert set(shape["last_execution"]) == {"id", "state", "ended_at"}
    assert set(shape["findings"][0]) == FINDING


def test_values_in_a_flow_are_redacted() -> None:
    """A default stands in the definition, so whoever may not read that does not see it here."""
    full = flow_json(make_flow_view(), redacted=False)
    shown = flow_json(make_flow_view(), redacted=True)

    assert [declared["default"] for declared in full["inputs"]] == [None, 3]
    assert [declared["default"] for declared in shown["inputs"]] == [None, None]
    assert (full["redacted"], shown["redacted"]) == (False, True)


def test_flow_that_never_ran_has_no_last_execution() -> None:
    """Without an execution the key is there and null."""
    view = replace(make_flow_view(FlowKey("a", "x")), last_execution=None)
    shape = flow_json(view, redacted=False)

    assert shape["last_execution"] is None


@pytest.mark.parametrize("redacted", [True, False], ids=["redacted", "full"])
def test_execution_has_the_keys_of_the_contract(*, redacted: bool) -> None:
    """An execution and its parts have exactly these keys, redacted or not."""
    shape = execution_json(make_execution_view(), redacted=redacted)

    assert set(shape) == {
        *("id", "account", "flow", "state", "reason", "trigger", "slot_at", "revision", "digest"),
        *(
            "files",
            "group",
            "retry_of",
            "parent",
            "children",
            "inputs",
            "outputs",
            "error",
            "created_at",
            "started_at",
            "ended_at",
            "nodes",
        ),
        "redacted",
    }
    assert set(shape["trigger"]) == {"id", "type"}
    assert set(shape["error"]) == {"code", "message", "details"}
    node = shape["nodes"][0]
    assert set(node) == {
        *("id", "type", "state", "reason", "items", "attempts", "outputs", "error"),
    }
    assert set(node["items"]) == {"total", "succeeded", "failed"}
    assert set(node["attempts"][0]) == {
        *("number", "item_index", "state", "reason", "exit_code", "started_at", "ended_at"),
    }


def test_execution_names_its_parent_and_its_children() -> None:
    """Both ways, with the attempt that asked; nothing of it is data, so all may see it."""
    view = make_execution_view()
    asked = make_parent(view.execution.id, "sub", index=3, number=2, is_waited=True)
    child = replace(make_execution(2), parent=asked)
    parent = execution_json(replace(view, children=(child,)), redacted=True)
    shape = execution_json(replace(view, execution=child), redacted=True)

    key = {"node": "sub", "item_index": 3, "attempt": 2}
    assert shape["parent"] == {"execution_id": view.execution.id, **key}
    assert parent["parent"] is None
    assert parent["children"] == [
        {
            "id": child.id,
            "flow": "backup",
            "state": "queued",
            "reason": "",
            **key,
            "is_waited": True,
        }
    ]


def test_redacted_execution_keeps_only_the_story() -> None:
    """Inputs and all outputs are null, error details are empty, and the rest is as it was."""
    view = make_execution_view()
    view = replace(view, execution=replace(view.execution, group="web-1"))
    full, shape = (execution_json(view, redacted=redacted) for redacted in (False, True))

    assert (full["group"], shape["group"]) == ("web-1", None)
    assert full["outputs"] == full["inputs"] != {}
    assert (shape["inputs"], shape["outputs"], shape["nodes"][0]["outputs"]) == (None, None, None)
    assert shape["error"] == {"code": "exit_code", "message": "exit 2", "details": {}}
    assert shape["nodes"][0]["error"]["details"] == {}
    assert shape["redacted"] is True
    hidden = {"group", "inputs", "outputs", "error", "nodes", "redacted"}
    assert {key: shape[key] for key in full if key not in hidden} == {
        key: full[key] for key in full if key not in hidden
    }


def test_execution_without_error_redacts_to_none() -> None:
    """No error stays no error."""
    shape = execution_json(ExecutionView(execution=make_execution()), redacted=True)

    assert shape["error"] is None


def test_items_are_told_with_their_attempts() -> None:
    """A node with items tells how many there are, and each attempt which it was of."""
    view = make_execution_view()
    counts = ItemCounts(total=5, succeeded=2, failed=1)
    attempts = tuple(make_attempt(view.execution.id, item_index=index) for index in (0, 4))
    node = replace(view.nodes[0], items=counts, attempts=attempts, outputs=[{}, None])

    (shape,) = execution_json(replace(view, nodes=(node,)), redacted=False)["nodes"]
    (reticent,) = execution_json(replace(view, nodes=(node,)), redacted=True)["nodes"]

    assert shape["items"] == reticent["items"] == {"total": 5, "succeeded": 2, "failed": 1}
    assert [attempt["item_index"] for attempt in shape["attempts"]] == [0, 4]
    assert (shape["outputs"], reticent["outputs"]) == ([{}, None], None)


def test_source_has_its_keys() -> None:
    """The source, its last pass and its rejected files have exactly these keys."""
    shape = source_json(FakeService().source())

    assert set(shape) == {"revision", "conditions", "last_pass", "rejected", "hold", "git"}
    assert shape["hold"] is None
    assert set(shape["last_pass"]) == PASS_KEYS
    assert set(shape["rejected"][0]) == {"path", "findings"}
    assert set(shape["rejected"][0]["findings"][0]) == FINDING


def test_source_before_the_first_pass_has_none() -> None:
    """Before a pass has ended there is none to show."""
    view = SourceView(revision=Revision(""), conditions=(), last_pass=None, rejected=())

    assert source_json(view)["last_pass"] is None
    assert source_json(replace(view, last_pass=PASS))["last_pass"]["added"] == 1


def test_a_hold_names_its_first_flows_and_counts_all() -> None:
    """A mass deletion of thousands is a short answer."""
    flows = tuple(FlowKey("default", f"f{n:03}") for n in range(150))
    hold = PruneHold(
        revision=Revision("r1"), reason=ConditionReason.MASS_DELETION, flows=flows, message="gone"
    )
    shape = hold_json(hold)
    assert len(shape.pop("flows")) == 100
    assert shape == {
        "revision": "r1",
        "reason": "MassDeletion",
        "message": "gone",
        "count": 150,
    }


def test_times_are_utc_with_z() -> None:
    """A time of any zone is written in UTC with `Z`, and none as null."""
    summer = timezone(timedelta(hours=2))

    assert time_text(NOON) == "2027-03-01T12:00:00Z"
    assert time_text(datetime(2027, 7, 1, 1, 30, 0, 250_000, tzinfo=summer)) == (
        "2027-06-30T23:30:00.250000Z"
    )
    assert time_text(None) is None

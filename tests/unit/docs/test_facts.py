"""What the pages say about names, codes and numbers is what the code has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from flowrunner.cli.exits import Exit
from flowrunner.cli.main import COMMANDS
from flowrunner.config.reloading import LIVE, LIVE_OF_ACCOUNTS
from flowrunner.daemon.offline import flow_schema_document
from flowrunner.definitions import planned
from flowrunner.model.conditions import ConditionReason, ConditionType
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.model.execution import Attempt
from flowrunner.model.expressions import FUNCTIONS
from flowrunner.model.flow_events import DefinitionEvent, SlaEvent
from flowrunner.model.hook_auth import AuthType
from flowrunner.model.ids import AttemptKey, ExecutionId, FlowKey
from flowrunner.model.sla import SlaKind
from flowrunner.model.states import AttemptState, SlotOutcome
from flowrunner.telemetry.metrics import Metrics
from flowrunner.telemetry.metrics_access import AccessCounts
from flowrunner.telemetry.metrics_flows import FlowFacts, FlowState
from flowrunner.telemetry.metrics_git import GitMetrics
from flowrunner.telemetry.metrics_notify import NotifyMetrics
from flowrunner.telemetry.metrics_samples import unheard_family
from flowrunner.telemetry.metrics_triggers import TriggerMetrics
from flowrunner.web.app import Service, WebParts, public_table
from flowrunner.web.middleware.body_limit import BodyRoom
from flowrunner.web.routes.backfill import CarriesBackfills
from flowrunner.web.routes.deliveries import ReadsDeliveries
from flowrunner.web.routes.maintenance import PausesSchedules
from flowrunner.web.routes.slots import ReadsSlots
from tests.fakes.clock import FakeClock
from tests.unit.docs.pages import PAGES, anchors, code_spans, links, read, rows, section
from tests.unit.docs.pages import words_in_code as words
from tests.unit.web.apps import make_parts

FLOW = FlowKey("default", "nightly")
NOW = datetime(2026, 3, 30, tzinfo=UTC)


def test_conditions_page_lists_every_reason() -> None:
    """docs/conditions.md names every reason, and none that does not exist."""
    page = read("docs/conditions.md")
    listed = {code_spans(row[0])[0] for row in rows(page)}
    listed.update(re.findall(r"\w+", section(page, "## Files that are no flow")))

    assert {str(reason) for reason in ConditionReason} <= listed
    assert {code_spans(row[0])[0] for row in rows(page)} <= {str(r) for r in ConditionReason}


@pytest.mark.parametrize("kind", list(ConditionType))
def test_conditions_page_has_a_section_for_every_type(kind: ConditionType) -> None:
    """Each type of condition has its heading in docs/conditions.md."""
    assert f"\n## `{kind}`: " in read("docs/conditions.md")


@pytest.mark.parametrize("reason", [*DefinitionEvent, *SlaEvent])
def test_conditions_page_explains_every_event(reason: DefinitionEvent | SlaEvent) -> None:
    """Each reason of an event that is about no condition stands in docs/conditions.md."""
    events = section(read("docs/conditions.md"), "## Events: what happened to a flow")
    assert f"\n- `{reason}`: " in events


def test_metrics_table_lists_every_metric() -> None:
    """The table in docs/operating.md has name, type and labels of what /metrics prints."""
    table = rows(section(read("docs/operating.md"), "## Metrics"))
    written = {
        code_spans(name)[0]: (kind, frozenset(labels.strip("`").split()))
        for name, kind, labels, _ in table
    }

    assert written == _metrics_printed()


def test_settings_that_a_reload_changes_are_listed() -> None:
    """docs/operating.md names every setting, and key of an account, that a reload changes."""
    told = section(read("docs/operating.md"), "### Settings that a reload changes")
    lists = [line for line in told.splitlines() if line.startswith(("- ", "  "))]

    assert set(code_spans("\n".join(lists))) == LIVE | LIVE_OF_ACCOUNTS


def test_exit_codes_are_the_known_ones() -> None:
    """The table of exit codes in docs/operating.md is that of the command line."""
    table = rows(section(read("docs/operating.md"), "## Exit codes"))

    assert [int(code) for code, _ in table] == [int(code) for code in Exit]


def test_commands_table_lists_every_command() -> None:
    """The table of commands in docs/operating.md has every command, and no other."""
    table = rows(section(read("docs/operating.md"), "## Commands"))
    named = {code_spans(row[0])[0].split()[1] for row in table}

    assert named == set(COMMANDS)


def test_http_table_lists_every_address() -> None:
    """Every address of the network listener stands in docs/operating.md."""
    http = section(read("docs/operating.md"), "## HTTP")
    spans = {span.removeprefix("GET ") for span in code_spans(http)}
    metrics = Metrics("test")
    parts = WebParts(
        service=cast(Service, None),  # the table is only looked at
        metrics=metrics,
        render_metrics=metrics.render,
        clock=FakeClock(),
        new_id=lambda: "id",
        max_body=1,
        bodies=BodyRoom(1),
        account_of=make_parts().account_of,
        ledger=cast(ReadsSlots, None),
        deliveries=cast(ReadsDeliveries, None),
        hooks_address="",
        backfills=cast(CarriesBackfills, None),
        pauses=cast(PausesSchedules, None),
    )
    paths = {route.path for route in public_table(parts).routes} - {"/hooks/*"}

    assert paths <= spans


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("flow", "writing-flows"),
        ("sla", "writing-flows"),
        ("start-trigger", "writing-flows"),
        ("flow-trigger", "writing-flows"),
        ("file-trigger", "writing-flows"),
        ("node", "writing-flows"),
        ("input", "writing-flows"),
        ("concurrency", "writing-flows"),
        ("retry", "writing-flows"),
        ("schedule", "writing-flows"),
        ("webhook", "webhooks"),
        ("auth", "webhooks"),
        ("schema", "webhooks"),
    ],
)
def test_every_field_is_explained(kind: str, page: str) -> None:
    """Every field that the schema takes is named on its page."""
    keys = _keys_of(flow_schema_document(), kind)
    named = words(read(f"docs/{page}.md"))

    assert keys, f"the schema has nothing of the kind {kind}"
    assert sorted(keys - {"id", "type", "inputs"} - named) == []


def test_every_node_type_is_explained() -> None:
    """The table of node types has every type and its params."""
    document = flow_schema_document()
    types = section(read("docs/writing-flows.md"), "### Types of nodes")
    written = {code_spans(row[0])[0]: words(row[1]) for row in rows(types)}
    params = {
        name.removeprefix("params-"): set(schema.get("properties", {}))
        for name, schema in document["$defs"].items()
        if name.startswith("params-")
    }

    assert written.keys() == params.keys()
    assert all(params[name] <= written[name] for name in params)
    assert words(types) >= planned.PLANNED_NODE_TYPES


def test_every_type_of_auth_is_named() -> None:
    """All types of auth stand where a reader looks for them."""
    webhooks = read("docs/webhooks.md")

    assert words(section(webhooks, "## `auth`")) >= set(AuthType)


def test_every_function_is_explained() -> None:
    """The tables of functions have every function, and no other."""
    functions = section(read("docs/expressions.md"), "## Functions")
    called = set(re.findall(r"`(\w+)\(", "".join(row[0] for row in rows(functions))))

    assert called == set(FUNCTIONS)


def test_links_lead_somewhere() -> None:
    """Each link within the checkout names a file that exists and a heading that it has."""
    broken = []
    for page in PAGES:
        for path, anchor in links(page.read_text(encoding="utf-8")):
            target = page.parent / path if path else page
            if not target.exists():
                broken.append(f"{page.name}: {path}")
            elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
                broken.append(f"{page.name}: {path}#{anchor}")

    assert broken == []


def _metrics_printed() -> dict[str, tuple[str, frozenset[str]]]:
    """Returns type and labels by name of everything of ours that a scrape shows."""
    text = _rendered()
    found = dict(re.findall(r"^# TYPE (flowrunner_\w+) (\w+)$", text, re.MULTILINE))
    return {name: (kind, _labels_of(text, name)) for name, kind in found.items()}


def _labels_of(text: str, name: str) -> frozenset[str]:
    samples = re.search(rf"^{name}(?:_bucket)?(?:\{{(.*)\}})? ", text, re.MULTILINE)
    assert samples, f"no sample of {name}"
    return frozenset(re.findall(r'(\w+)="', samples[1] or "")) - {"le"}


def _rendered() -> str:
    metrics = Metrics("test")
    fact = FlowFacts(key=FLOW, state=FlowState.READY, is_ready=True, next_slot_at=NOW)
    metrics.show_flows(lambda: [fact])
    metrics.show_source(lambda: "abc")
    metrics.show_watcher(lambda: True)
    metrics.show_overflows(lambda: 2)
    metrics.show_more(lambda: [unheard_family(1)])
    metrics.show_free_bytes(lambda: 1)
    metrics.show_store(lambda: True)
    git = GitMetrics(lambda: False)
    git.synced("published", NOW)
    metrics.show_more(git.families)
    metrics.show_more(AccessCounts().families)
    triggers = TriggerMetrics()
    triggers.start_skipped(FLOW, "start", "paused")
    triggers.delivery_answered(DeliveryReason.ACCEPTED)
    triggers.promises_made(FLOW, tuple(SlaKind))
    metrics.show_more(triggers.families)
    metrics.show_more(NotifyMetrics(["oncall"]).families)
    metrics.restore_flow(FLOW, NOW, NOW, 0)
    metrics.slot_decided(FLOW, SlotOutcome.MISSED, "down")
    metrics.webhook_answered("default/site/push", "accepted", 0.1)
    metrics.pass_ended("start", "applied", 0.1, ok=True, at=NOW)
    key = AttemptKey(ExecutionId("e"), "node", 0, 1)
    attempt = Attempt(key=key, state=AttemptState.SUCCEEDED, started_at=NOW)
    metrics.attempt_ended("shell", attempt)
    return metrics.render("")[0].decode()


def _keys_of(schema: Mapping[str, Any], kind: str) -> frozenset[str]:
    """Returns the keys of every mapping of a kind, wherever it stands in the schema."""
    found: set[str] = set()
    pending: list[Any] = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if value.get("x-kind") == kind:
                found.update(value.get("properties", {}))
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return frozenset(found)

"""`flowrunner next`: which slots it lists, of files and of a daemon's flows, and in which words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from flowrunner.cli.commands import next as command
from flowrunner.cli.errors import UsageError
from flowrunner.cli.exits import exit_of
from flowrunner.errors import NotFoundError
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Json
from flowrunner.model.schedule import DstPolicy, Repeated, Skipped
from flowrunner.service.views import TriggerView
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import hook, spec
from tests.unit.cli import documents
from tests.unit.cli.control_server import ControlServer
from tests.unit.cli.hosts import Process, words

CLOCK = FakeClock(datetime(2026, 3, 28, 12, tzinfo=UTC))
ERROR = Finding(file="b.yaml", line=1, column=1, code="FR109", message="not a flow")


@dataclass
class FakeFiles:
    """Meets `ReadFlows`: defines what it was given, and notes the paths."""

    flows: tuple[FlowSpec, ...] = ()
    findings: tuple[Finding, ...] = ()
    asked: list[str] = field(default_factory=list)

    def __call__(self, paths: Sequence[str]) -> FakeFiles:
        self.asked.extend(paths)
        return self


def cron(text: str = "30 2 * * *", zone: str = "Europe/Berlin", **more: Json) -> Json:
    return {"type": "schedule", "cron": text, "timezone": zone, **more}


def flow(name: str = "nightly", *triggers: Json, **top: Json) -> FlowSpec:
    return spec(name, triggers=list(triggers or (cron(),)), **top)


def run(line: str, *flows: FlowSpec, findings: tuple[Finding, ...] = ()) -> tuple[int, Process]:
    process = Process()
    files = FakeFiles(flows, findings)
    code = command.execute(words(f"next {line}"), process.host, files, CLOCK)
    return code, process


def listed(line: str, *flows: FlowSpec) -> list[str]:
    """The slots that a command lists as JSON."""
    code, process = run(f"{line} --json", *flows)
    assert code == 0
    return [item["slot_at"] for item in json.loads(process.out)["items"]]


def test_next_ten_slots_of_each_schedule_in_order_of_time() -> None:
    """Without an end each trigger has ten; those due together are in the order of their names."""
    often = {"id": "often", "type": "schedule", "every": "1h"}
    code, process = run("a.yaml", flow("b", often, cron("0 3 * * *", id="z")), flow("a"))
    lines = process.out.splitlines()
    assert code == 0
    assert lines[:3] == [
        "SLOT                       FLOW  TRIGGER",
        "2026-03-28T12:00:00Z       b     often",
        "2026-03-28T13:00:00Z       b     often",
    ]
    assert lines[11:14] == [
        "2026-03-29T03:00:00+02:00  a     schedule",
        "2026-03-29T03:00:00+02:00  b     z",
        "2026-03-30T02:30:00+02:00  a     schedule",
    ]
    assert len(lines) == 1 + 3 * 10


def test_json_has_the_shape_of_the_contract() -> None:
    """Each item names flow, trigger and the slot in UTC."""
    code, process = run("a.yaml --to 2026-03-29 --json", flow())
    assert code == 0
    assert json.loads(process.out) == {
        "items": [
            {
                "account": "default",
                "flow": "nightly",
                "trigger": "schedule",
                "slot_at": "2026-03-29T01:00:00Z",
            }
        ],
        "has_more": False,
    }


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        pytest.param(
            "--from 2026-03-27 --to 2026-03-31",
            ["27T01:30", "28T01:30", "29T01:00", "30T00:30", "31T00:30"],
            id="days-are-whole-and-in",
        ),
        pytest.param("--from 2026-03-29 --to 2026-03-29", ["29T01:00"], id="one-day"),
        pytest.param(
            "--from 2026-03-28T01:30:00Z --to 2026-03-30T02:30:00+02:00",
            ["28T01:30", "29T01:00"],
            id="instants-are-half-open",
        ),
        pytest.param(
            "--from 2026-03-28T01:30:00.5Z --to 2026-03-30T00:30:00.5Z",
            ["29T01:00", "30T00:30"],
            id="parts-of-a-second",
        ),
        pytest.param(
            "--from 2026-03-27T23:00Z --to 2026-03-28", ["28T01:30"], id="an-instant-and-a-day"
        ),
        pytest.param(
            "--from 2026-03-28 --to 2026-03-28 --tz America/New_York",
            ["29T01:00"],
            id="days-of-another-zone",
        ),
        pytest.param("--to 2026-03-28", [], id="from-now"),
    ],
)
def test_span_is_read_as_the_contract_says(span: str, expected: list[str]) -> None:
    """A date is the whole day in its zone, an instant is in at the start and out at the end."""
    slots = listed(f"a.yaml {span}", flow())
    assert slots == [f"2026-03-{text}:00Z" for text in expected]


def test_day_without_a_midnight_begins_after_it() -> None:
    """Where the clock skips midnight, the slot at the end of the gap belongs to the day."""
    midnight = flow("x", cron("0 0 * * *", "America/Sao_Paulo"))
    slots = listed("a.yaml --from 2018-11-04 --to 2018-11-04", midnight)
    assert slots == ["2018-11-04T03:00:00Z"]


def test_zone_of_the_command_is_that_of_the_text() -> None:
    """With `--tz` every local time is of that zone; wide adds UTC and the zone."""
    _, process = run("a.yaml --to 2026-03-29 --tz Asia/Tokyo -o wide", flow())
    assert process.out.splitlines() == [
        "SLOT                       FLOW     TRIGGER   UTC                   ZONE",
        "2026-03-29T10:00:00+09:00  nightly  schedule  2026-03-29T01:00:00Z  Asia/Tokyo",
    ]


def test_policy_and_jitter_of_a_file_count_as_in_the_daemon() -> None:
    """A slot that `dst` leaves out is not listed, and jitter moves none."""
    trigger = cron(dst={"skipped": "skip"}, jitter="10m")
    assert listed("a.yaml --to 2026-03-30", flow("x", trigger)) == ["2026-03-30T00:30:00Z"]


def test_disabled_triggers_have_no_slots() -> None:
    """A flow with nothing to wait for is named on standard error, and is no error."""
    code, process = run("a.yaml", flow("x", cron(enabled=False)), flow("y", hook("y/push")))
    assert (code, process.out) == (0, "no slots\n")
    assert process.err == "no schedule that is enabled: x, y\n"


def test_many_flows_without_slots_are_counted() -> None:
    """A folder full of them is one line."""
    _, process = run("a.yaml", *(flow(f"f{n}", cron(enabled=False)) for n in range(20)))
    assert process.err == "no schedule that is enabled: f0, f1, f2, f3, f4 and 15 more\n"


def test_suspended_flow_is_said_to_be() -> None:
    """Its slots are listed with the remark that they will be skipped."""
    code, process = run("a.yaml --to 2026-03-29", flow(suspend=True))
    assert code == 0
    assert "nightly" in process.out
    assert "suspended or paused" in process.err


def test_list_is_bounded() -> None:
    """A span with millions of slots lists the first thousand, and says that there are more."""
    busy = flow("busy", {"type": "schedule", "every": "1s"})
    code, process = run("a.yaml --from 1970-01-01 --to 2200-12-31 --json", busy, flow("idle"))
    document = json.loads(process.out)
    assert (code, len(document["items"]), document["has_more"]) == (0, command.MOST, True)
    assert "only the first 1000" in process.err


def test_findings_of_a_file_are_shown_and_counted() -> None:
    """A file with an error ends in 3; the slots of the others are listed all the same."""
    code, process = run("a.yaml b.yaml --to 2026-03-29", flow(), findings=(ERROR,))
    assert code == 3
    assert "b.yaml:1:1" in process.err
    assert "nightly" in process.out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("--from 2026-02-30", "neither a date nor an instant", id="no-such-day"),
        pytest.param("--from 2026-03-29T02:30", "neither a date nor an instant", id="no-offset"),
        pytest.param("--from today", "neither a date nor an instant", id="word"),
        pytest.param("--to 20260329", "neither a date nor an instant", id="without-hyphens"),
        pytest.param("--to 2026-W13-7T00:00Z", "neither a date nor an instant", id="week"),
        pytest.param(
            "--from \uff12\uff10\uff12\uff16-03-29",
            "neither a date nor an instant",
            id="other-digits",
        ),
        pytest.param("--from 0001-01-01T00:00:00+14:00", "neither a date", id="before-all-time"),
        pytest.param("--from 1969-12-31", "not within 1970 and 2200", id="too-early"),
        pytest.param("--to 9999-12-31", "not within 1970 and 2200", id="too-late"),
        pytest.param("--tz Europe/Berlln", "is not known", id="unknown-zone"),
        pytest.param("--from 2026-03-29 --to 2026-03-27", "lies before", id="backwards"),
        pytest.param("--to 2026-03-26", "lies before", id="before-now"),
        pytest.param("--state x", "no meaning for files", id="daemon-option"),
    ],
)
def test_what_makes_no_sense_is_refused(line: str, message: str) -> None:
    """A time that could be read in two ways, or a span without an inside, is exit code 2."""
    with pytest.raises(UsageError, match=message) as caught:
        run(f"a.yaml {line}", flow())
    assert exit_of(caught.value) == 2


TRIGGERS = (
    TriggerView(
        id="left_out",
        type="schedule",
        cron="30 2 * * *",
        timezone="Europe/Berlin",
        dst=DstPolicy(skipped=Skipped.SKIP, repeated=Repeated.TWICE),
    ),
    TriggerView(id="often", type="schedule", every="12h"),
    TriggerView(id="off", type="schedule", every="1h", is_enabled=False),
    TriggerView(id="push", type="webhook", path="backup/push"),
)


def test_names_are_asked_of_the_daemon(server: ControlServer) -> None:
    """The schedules that the daemon has in force are worked out as those of files are."""
    server.put("GET /api/v1/flows/default/backup", documents.flow(triggers=TRIGGERS))
    process = Process()
    line = "next backup backup x.yaml --to 2026-03-30T01:00Z"
    code = command.execute(words(line), process.host, FakeFiles((flow(),)), CLOCK)
    assert code == 0
    assert [text.split() for text in process.out.splitlines()[1:]] == [
        ["2026-03-28T12:00:00Z", "backup", "often"],
        ["2026-03-29T00:00:00Z", "backup", "often"],
        ["2026-03-29T03:00:00+02:00", "nightly", "schedule"],
        ["2026-03-29T12:00:00Z", "backup", "often"],
        ["2026-03-30T00:00:00Z", "backup", "often"],
        ["2026-03-30T02:30:00+02:00", "backup", "left_out"],
        ["2026-03-30T02:30:00+02:00", "nightly", "schedule"],
    ]
    assert server.asked == ["GET /api/v1/flows/default/backup"]


def test_flow_of_another_host_is_said_to_be(server: ControlServer) -> None:
    """Its slots are listed, as they are due elsewhere, with the remark that nothing starts here."""
    elsewhere = {"type": "Scheduled", "status": "False", "reason": "OtherHost", "message": ""}
    known = {**documents.flow(triggers=TRIGGERS), "conditions": [elsewhere]}
    server.put("GET /api/v1/flows/default/backup", known)
    process = Process()
    line = words("next backup --to 2026-03-30T01:00Z")
    assert command.execute(line, process.host, FakeFiles(()), CLOCK) == 0
    assert "often" in process.out
    assert process.err == "of other hosts, so that nothing starts here: backup\n"


def test_unknown_name_is_the_daemons_error(server: ControlServer) -> None:
    """A flow that the daemon does not have ends the command as it ends `flows NAME`."""
    with pytest.raises(NotFoundError):
        command.execute(words("next gone"), Process().host, None, CLOCK)
    assert server.asked

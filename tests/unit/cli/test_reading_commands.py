"""Commands that show what the daemon knows: what they ask for, and what they make of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from flowrunner.cli.commands import logs
from flowrunner.cli.commands.executions import split_states
from flowrunner.cli.main import main
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.service.views import TriggerView
from flowrunner.web.wire import event_json
from tests.fakes.service import EVENT
from tests.unit.cli import documents
from tests.unit.cli.control_server import ControlServer
from tests.unit.cli.documents import EXECUTION_ID
from tests.unit.cli.hosts import Process, Terminal, words

Captured = pytest.CaptureFixture[str]
FLOWS = "GET /api/v1/flows"
EVENTS = "GET /api/v1/flows/default/backup/events"
RECONCILE = "GET /api/v1/reconcile"
EXECUTIONS = "GET /api/v1/executions"
EXECUTION = f"{EXECUTIONS}/{EXECUTION_ID}"
LOGS = f"{EXECUTION}/logs"

HOLDS = ("Suspended", "Paused")


def test_flows_tell_what_holds_them(server: ControlServer, capsys: Captured) -> None:
    """A flow that is suspended or paused, or both, is shown so."""
    holds = [{"type": kind, "status": "True", "reason": kind, "message": ""} for kind in HOLDS]
    server.put(
        FLOWS,
        documents.page(
            {**documents.flow(), "conditions": [*documents.flow()["conditions"], *holds]}
        ),
    )
    server.put(RECONCILE, documents.source())
    assert main(["flows"]) == 0
    assert "  suspended paused  " in capsys.readouterr().out


def test_flows_of_other_hosts_are_one_line(server: ControlServer, capsys: Captured) -> None:
    """They are counted, `--all` lists them, and one with an error is listed in any case."""
    away = [{"type": "Scheduled", "status": "False", "reason": "OtherHost", "message": ""}]
    sound = {**documents.flow(), "conditions": [*documents.flow()["conditions"], *away]}
    sick = documents.invalid_flow()
    sick = {**sick, "conditions": [*sick["conditions"], *away]}
    server.put(FLOWS, documents.page(sound, sound, sick))
    server.put(RECONCILE, documents.source())
    assert main(["flows"]) == 0
    shown = capsys.readouterr().out
    assert "and 2 that run on other hosts" in shown
    assert ("backup  " in shown, "ops/deploy  " in shown) == (False, True)
    assert main(["flows", "--all"]) == 0
    shown = capsys.readouterr().out
    assert ("other hosts" in shown, shown.count("\nbackup  ")) == (False, 2)
    server.put(FLOWS, documents.page(sound))
    assert main(["flows"]) == 0
    assert capsys.readouterr().out.startswith("no flows on this host\n")


def test_flows_are_a_table_with_their_troubles(server: ControlServer, capsys: Captured) -> None:
    """Below the table stand findings, missing secrets, rejected files and the source's state."""
    server.put(
        FLOWS,
        documents.page(documents.flow(), documents.invalid_flow(), documents.lacking_flow()),
    )
    server.put(RECONCILE, documents.source(rejected=True, missing=True))
    assert main(["flows"]) == 0
    assert (
        capsys.readouterr().out
        == """\
NAME        READY  REASON             HELD  REVISION            NEXT                  LAST
backup      True   Ready              -     4b825dc642cb        2027-03-01T12:00:00Z  \
succeeded 2027-03-01T12:00:00Z
ops/deploy  False  InvalidNewVersion  -     4b825dc642cb-dirty  -                     -
backup      False  SecretMissing      -     4b825dc642cb        2027-03-01T12:00:00Z  \
succeeded 2027-03-01T12:00:00Z

deploy.yaml:7:3: FR101 error: unknown key 'rnu'
    hint: did you mean 'run'?
backup: SecretMissing: the secret DEPLOY is not on this host
    hint: give the daemon a file NAME in its credentials directory, or start it with \
FLOWRUNNER_SECRET_NAME

rejected files:
broken.yaml:7:3: FR101 error: unknown key 'rnu'
    hint: did you mean 'run'?

source: SourceMissing: there is no folder /srv/flows
"""
    )


def test_finding_of_broken_defaults_is_shown_once(server: ControlServer, capsys: Captured) -> None:
    """What keeps many flows out stands under the rejected files; each flow says where to look."""
    server.put(FLOWS, documents.page(documents.flow_below_broken(), documents.flow_below_broken()))
    server.put(RECONCILE, documents.source(rejected=True))
    assert main(["flows"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("unknown key 'rnu'") == 1
    assert shown.count("backup: DefaultsInvalid: broken.yaml:7:3: FR101") == 2


def test_flows_in_good_order_are_the_table_alone(server: ControlServer, capsys: Captured) -> None:
    """Wide adds generation, digest and path; nothing follows when nothing is wrong."""
    server.put(FLOWS, documents.page(documents.flow()))
    server.put(RECONCILE, documents.source())
    assert main(["flows", "-o", "wide"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[-3:] == ["IN-FORCE/NEWEST", "DIGEST", "PATH"]
    assert lines[1].split()[-3:] == ["1/2", "sha256:00", "backup.yaml"]
    assert len(lines) == 2


def test_a_flow_is_shown_with_its_last_events(server: ControlServer, capsys: Captured) -> None:
    """The newest few stand below it; `-o json` is the flow as the API gives it."""
    server.put("GET /api/v1/flows/default/backup", documents.flow())
    server.put(EVENTS, documents.page(event_json(EVENT), event_json(EVENT), next_cursor="7"))
    assert main(["flows", "backup"]) == 0
    shown = capsys.readouterr().out
    assert f"{EVENTS}?limit=5" in server.asked
    assert shown.endswith(
        """
EVENT                 TYPE   STATUS  REASON         REVISION      MESSAGE
2027-03-01T12:00:00Z  Ready  False   SecretMissing  4b825dc642cb  this host has no secret TOKEN
2027-03-01T12:00:00Z  Ready  False   SecretMissing  4b825dc642cb  this host has no secret TOKEN
"""
    )
    assert main(["flows", "backup", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == documents.flow()


def test_events_of_a_flow_are_listed_whole(server: ControlServer, capsys: Captured) -> None:
    """`--events` follows the pages; as data it is a list, also of a flow that has left."""
    first, last = event_json(EVENT), event_json(replace(EVENT, number=3, message="gone"))
    server.put(EVENTS, documents.page(first, next_cursor="7"), documents.page(last))
    assert main(["flows", "backup", "--events", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"items": [first, last], "next_cursor": None}
    assert server.asked == [f"{EVENTS}?limit=1000", f"{EVENTS}?limit=1000&cursor=7"]
    server.put(EVENTS, documents.page())
    assert main(["flows", "backup", "--events"]) == 0
    assert capsys.readouterr().out == "no events\n"


def test_events_need_a_flow(server: ControlServer, capsys: Captured) -> None:
    """`--events` without a NAME is a usage error, and nobody is asked."""
    assert main(["flows", "--events"]) == 2
    assert "NAME" in capsys.readouterr().err
    assert server.asked == []


def test_no_flows_are_said(server: ControlServer, capsys: Captured) -> None:
    """An empty list is a sentence."""
    server.put(FLOWS, documents.page())
    server.put(RECONCILE, documents.source())
    assert main(["flows"]) == 0
    assert capsys.readouterr().out == "no flows\n"


def test_flows_are_read_page_by_page(server: ControlServer, capsys: Captured) -> None:
    """A long list is complete, whatever the size of the daemon's pages."""
    first = documents.page(documents.flow(), next_cursor="default/backup")
    server.put(FLOWS, first, documents.page(documents.invalid_flow()))
    assert main(["flows", "--account", "ops", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in document["items"]] == ["backup", "deploy"]
    assert document["next_cursor"] is None
    assert server.asked == [
        "GET /api/v1/flows?account=ops&limit=1000",
        "GET /api/v1/flows?account=ops&limit=1000&cursor=default%2Fbackup",
    ]


def test_one_flow_is_shown_in_detail(server: ControlServer, capsys: Captured) -> None:
    """A named flow shows its conditions, triggers and findings."""
    server.put("GET /api/v1/flows/ops/deploy", documents.invalid_flow())
    server.put("GET /api/v1/flows/ops/deploy/events", documents.page())
    assert main(["flows", "deploy", "--account", "ops"]) == 0
    assert (
        capsys.readouterr().out
        == """\
name         ops/deploy
description  Copies the database.
labels       {"team": "data"}
path         deploy.yaml
revision     4b825dc642cb6eb9a060e54bf8d69288fbee4904-dirty
digest       sha256:00
generation   2 (in force: 1)
last         -

CONDITION  STATUS  REASON             SINCE                 MESSAGE
Ready      False   InvalidNewVersion  2027-03-01T12:00:00Z  see below

deploy.yaml:7:3: FR101 error: unknown key 'rnu'
    hint: did you mean 'run'?
"""
    )
    server.put(EVENTS, documents.page())
    server.put("GET /api/v1/flows/default/backup", documents.flow())
    assert main(["flows", "backup"]) == 0
    shown = capsys.readouterr().out
    assert f"last         succeeded 2027-03-01T12:00:00Z, {EXECUTION_ID}\n" in shown
    assert (
        """
INPUT   TYPE     REQUIRED  DEFAULT  DESCRIPTION
target  string   yes       -        The host.
level   integer  no        3        -

TRIGGER  TYPE      WHEN            NEXT                  HOOK
nightly  schedule  0 12 * * * UTC  2027-03-01T12:00:00Z  -
push     webhook   -               -                     backup/push
"""
        in shown
    )


def test_period_of_a_schedule_is_shown(server: ControlServer, capsys: Captured) -> None:
    """A schedule with a period says so in place of fields and zone."""
    trigger = TriggerView(id="often", type="schedule", every="15m")
    server.put(EVENTS, documents.page())
    server.put("GET /api/v1/flows/default/backup", documents.flow(triggers=(trigger,)))
    server.put(EVENTS, documents.page())
    assert main(["flows", "backup"]) == 0
    assert "often    schedule  every 15m  -     -\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("trigger", "when"),
    [
        pytest.param(
            TriggerView(id="often", type="schedule", every="15m", jitter="1m"),
            "every 15m, jitter 1m",
            id="jitter",
        ),
        pytest.param(
            TriggerView(
                id="often", type="schedule", cron="@daily", timezone="UTC", is_enabled=False
            ),
            "@daily UTC, disabled",
            id="disabled-schedule",
        ),
        pytest.param(
            TriggerView(id="push", type="webhook", path="a/push", is_enabled=False),
            "disabled",
            id="disabled-hook",
        ),
    ],
)
def test_what_changes_a_trigger_is_shown(
    server: ControlServer, capsys: Captured, trigger: TriggerView, when: str
) -> None:
    """Jitter, and that a trigger is disabled, stand beside when it starts the flow."""
    server.put("GET /api/v1/flows/default/backup", documents.flow(triggers=(trigger,)))
    server.put(EVENTS, documents.page())
    assert main(["flows", "backup"]) == 0
    assert f"  {when}  " in capsys.readouterr().out


def test_executions_are_a_table(server: ControlServer, capsys: Captured) -> None:
    """One line for each execution, newest first as the daemon gives them."""
    server.put(EXECUTIONS, documents.page(documents.execution()))
    assert main(["executions"]) == 0
    assert (
        capsys.readouterr().out
        == f"""\
ID                                    FLOW    STATE   REASON     TRIGGER  CREATED               TOOK
{EXECUTION_ID}  backup  failed  exit_code  nightly  2027-03-01T12:01:00Z  1m 0s
"""
    )
    assert server.asked == ["GET /api/v1/executions?limit=20"]


def test_executions_wide_has_all_times(server: ControlServer, capsys: Captured) -> None:
    """Wide adds slot, start, end and revision."""
    server.put(EXECUTIONS, documents.page(documents.execution()))
    assert main(["executions", "-o", "wide"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[-4:] == ["SLOT", "STARTED", "ENDED", "REVISION"]
    assert row.split()[-4:] == [
        "2027-03-01T12:00:00Z",
        "2027-03-01T12:01:00Z",
        "2027-03-01T12:02:00Z",
        "4b825dc642cb",
    ]


def test_no_executions_are_said(server: ControlServer, capsys: Captured) -> None:
    """An empty list is a sentence."""
    server.put(EXECUTIONS, documents.page())
    assert main(["executions"]) == 0
    assert capsys.readouterr().out == "no executions\n"


def test_executions_are_filtered_by_the_daemon(server: ControlServer, capsys: Captured) -> None:
    """Flow, account, states and limit go with the request; states and a folder both fit."""
    server.put(EXECUTIONS, documents.page(documents.execution()))
    given = "--flow a --account b --state failed --state timed_out --state .flowrunner --limit 7"
    assert main(["executions", *given.split()]) == 0
    assert server.asked == [
        "GET /api/v1/executions?flow=a&account=b&state=failed%2Ctimed_out&limit=7"
    ]
    assert capsys.readouterr().err == ""


def test_executions_end_with_their_limit(server: ControlServer, capsys: Captured) -> None:
    """No more than the limit is asked for, and the cursor of the rest is kept for programs."""
    page = documents.page(documents.execution(), next_cursor="here")
    server.put(EXECUTIONS, page)
    assert main(["executions", "--limit", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["items"]), document["next_cursor"]) == (2, "here")
    assert [asked.partition("?")[2] for asked in server.asked] == [
        "limit=2",
        "limit=1&cursor=here",
    ]


@pytest.mark.parametrize(
    ("given", "split"),
    [
        pytest.param([], ([], None), id="nothing"),
        pytest.param(["failed"], (["failed"], None), id="state"),
        pytest.param(["failed", "running"], (["failed", "running"], None), id="states"),
        pytest.param(["./failed"], ([], "./failed"), id="folder-named-like-a-state"),
        pytest.param(["/var/x", "queued"], (["queued"], "/var/x"), id="both"),
    ],
)
def test_state_option_means_a_state_or_the_daemons_folder(
    given: list[str], split: tuple[list[str], str | None]
) -> None:
    """`--state` filters by a state and, as everywhere, names the state directory."""
    assert split_states(given) == split


def test_daemon_named_twice_is_refused(server: ControlServer, capsys: Captured) -> None:
    """A socket and a folder, or two folders, leave open which daemon is meant."""
    assert main(["executions", "--state", "./a", *server.option]) == 2
    assert main(["executions", "--state", "./a", "--state", "./b"]) == 2
    assert server.asked == []
    assert "twice" in capsys.readouterr().err


def test_execution_is_shown_with_nodes_and_attempts(
    server: ControlServer, capsys: Captured
) -> None:
    """One execution shows what was asked for, what happened, and what its revision pins."""
    inputs = {"day": "2027-03-01", "text": "x" * 200}
    server.put(EXECUTION, documents.execution(inputs=inputs, outputs={"rows": 42}))
    assert main(["show", EXECUTION_ID]) == 0
    assert (
        capsys.readouterr().out
        == f"""\
id        {EXECUTION_ID}
flow      backup
state     failed (exit_code)
error     exit_code: exit 2
trigger   nightly (schedule)
slot      2027-03-01T12:00:00Z
retry of  -
parent    -
group     -
revision  4b825dc642cb6eb9a060e54bf8d69288fbee4904
digest    {documents.execution()["digest"]}
files     live
created   2027-03-01T12:01:00Z
started   2027-03-01T12:01:00Z
ended     2027-03-01T12:02:00Z
took      1m 0s
inputs    {{"day": "2027-03-01", "text": "{"x" * 69}…
outputs   {{"rows": 42}}

NODE  TYPE   STATE   REASON     ATTEMPTS  OUTPUTS
dump  shell  failed  exit_code  2         -

NODE  ATTEMPT  STATE    REASON  EXIT  STARTED               TOOK
dump  1        running  -       2     2027-03-01T12:00:00Z  1m 0s
dump  2        running  -       2     2027-03-01T12:00:00Z  1m 0s

dump: exit_code: exit 2
"""
    )
    assert main(["show", EXECUTION_ID, "-o", "wide"]) == 0
    assert "x" * 200 in capsys.readouterr().out


def test_items_are_shown_with_their_attempts(server: ControlServer, capsys: Captured) -> None:
    """Where a node has items, the tables have columns for them."""
    server.put(EXECUTION, documents.execution_with_items(3, failed=1))
    assert main(["show", EXECUTION_ID]) == 0
    tables = capsys.readouterr().out.split("\n\n")
    nodes, attempts = ([line.split() for line in text.splitlines()] for text in tables[1:3])
    assert nodes[0][4:6] == ["ITEMS", "ATTEMPTS"]
    assert nodes[1][4:6] == ["2/3", "3"]
    assert attempts[0][:4] == ["NODE", "ITEM", "ATTEMPT", "STATE"]
    assert [row[1:4] for row in attempts[1:]] == [
        ["0", "1", "succeeded"],
        ["1", "1", "succeeded"],
        ["2", "1", "failed"],
    ]


def test_many_attempts_are_cut_short(server: ControlServer, capsys: Captured) -> None:
    """Of 10,000 items those are shown that did not succeed, and some others; wide shows all."""
    server.put(EXECUTION, documents.execution_with_items(10_000, failed=3))
    assert main(["show", EXECUTION_ID]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 150
    assert "9997/10000" in shown
    assert shown.count("  failed ") == 1 + 3
    assert "dump: 9,900 attempts are not shown; -o wide shows all" in shown
    assert main(["show", EXECUTION_ID, "-o", "wide"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 10_000


def test_execution_shows_who_asked_and_what_it_has_started(
    server: ControlServer, capsys: Captured
) -> None:
    """From a child to its parent, and from a parent to its children, with their states."""
    key = {"execution_id": "p-1", "node": "sub", "item_index": 0, "attempt": 1}
    child = {
        "id": "c-1",
        "flow": "index",
        "state": "failed",
        "reason": "exit_code",
        "node": "build",
        "item_index": 0,
        "attempt": 2,
        "is_waited": True,
    }
    server.put(EXECUTION, {**documents.execution(), "parent": key, "children": [child]})
    assert main(["show", EXECUTION_ID]) == 0
    shown = capsys.readouterr().out
    assert "\nparent    p-1 sub\n" in shown
    assert (
        """
NODE   ATTEMPT  FLOW   EXECUTION  STATE               WAITED
build  2        index  c-1        failed (exit_code)  yes
"""
        in shown
    )


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_execution_for_programs_is_the_document(
    server: ControlServer, capsys: Captured, output: str
) -> None:
    """JSON and YAML hold what the API answered, nothing added or lost."""
    server.put(EXECUTION, documents.execution())
    assert main(["show", EXECUTION_ID, "-o", output]) == 0
    text = capsys.readouterr().out
    shown = json.loads(text) if output == "json" else read_yaml(text.encode(), file="x").data
    assert shown == documents.execution()


def test_logs_are_printed_to_their_end(server: ControlServer, capsys: Captured) -> None:
    """Pages are read until one is the last, each line behind the name of its node."""
    server.put(LOGS, documents.log_page("one", "two"), documents.log_page(is_complete=True))
    assert main(["logs", EXECUTION_ID]) == 0
    assert capsys.readouterr().out == "dump: one\ndump: two\n"
    assert server.asked[0] == LOGS
    assert server.asked[1].startswith(f"{LOGS}?cursor=")


def test_logs_of_one_node_are_bare_lines(server: ControlServer, capsys: Captured) -> None:
    """With one node its name adds nothing, so that the output can go to another program."""
    server.put(LOGS, documents.log_page("\x1b[1mone", is_complete=True))
    assert main(["logs", EXECUTION_ID, "--node", "dump"]) == 0
    assert capsys.readouterr().out == "\x1b[1mone\n"
    assert server.asked == [f"{LOGS}?node=dump"]


def test_logs_of_items_tell_which(server: ControlServer, capsys: Captured) -> None:
    """The index stands behind the node, unless one item alone is asked for."""
    server.put(LOGS, documents.item_log_page())
    assert main(["logs", EXECUTION_ID, "--node", "map"]) == 0
    assert main(["logs", EXECUTION_ID, "-o", "wide"]) == 0
    assert main(["logs", EXECUTION_ID, "--node", "map", "--item", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["map.0: one", "map.12: two"]
    assert [line.split()[1] for line in lines[2:4]] == ["map.0.1", "map.12.1"]
    assert lines[4:] == ["one", "two"]
    assert server.asked == [f"{LOGS}?node=map", LOGS, f"{LOGS}?node=map&item=0"]


@pytest.mark.parametrize("more", ["--item 1", "--node map --item -1", "--node map --item x"])
def test_item_of_nothing_is_a_mistake(more: str, server: ControlServer) -> None:
    """An item is one of a node, by a number from 0."""
    assert main(["logs", EXECUTION_ID, *more.split()]) == 2
    assert server.asked == []


def test_logs_of_a_running_execution_end_with_what_is_there(
    server: ControlServer, capsys: Captured
) -> None:
    """Without `-f` a page without lines is the end."""
    server.put(LOGS, documents.log_page("one"), documents.log_page())
    assert main(["logs", EXECUTION_ID]) == 0
    assert capsys.readouterr().out == "dump: one\n"
    assert len(server.asked) == 2


def test_logs_of_parallel_nodes_are_in_the_order_of_time(
    server: ControlServer, capsys: Captured
) -> None:
    """Lines of a page are merged by their time; wide shows it."""
    server.put(LOGS, documents.parallel_log_page())
    assert main(["logs", EXECUTION_ID, "-o", "wide"]) == 0
    assert capsys.readouterr().out == (
        "2027-03-01T12:00:00Z first.1 stderr 0\n"
        "2027-03-01T12:00:00.250000Z second.1 stderr 0.25\n"
        "2027-03-01T12:00:00.500000Z first.1 stderr 0.5\n"
        "2027-03-01T12:00:00.750000Z second.1 stderr 0.75\n"
    )


def test_logs_for_programs_are_one_object_each(server: ControlServer, capsys: Captured) -> None:
    """JSON has a line for each line, YAML an item of one list."""
    server.put(LOGS, documents.log_page("a", "b\x07", is_complete=True))
    expected = [
        {
            "node": "dump",
            "item_index": None,
            "attempt": 1,
            "at": "2027-03-01T12:00:00Z",
            "stream": "stdout",
            "text": text,
            "partial": False,
        }
        for text in ("a", "b\x07")
    ]
    assert main(["logs", EXECUTION_ID, "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == expected
    assert main(["logs", EXECUTION_ID, "-o", "yaml"]) == 0
    assert read_yaml(capsys.readouterr().out.encode(), file="x").data == expected


def test_followed_logs_let_the_daemon_wait(server: ControlServer) -> None:
    """`-f` asks until the execution has ended; the daemon holds an answer back for 2 s."""
    ended = documents.log_page("end", is_complete=True)
    server.put(LOGS, documents.log_page("one"), documents.log_page(), ended)
    process = Process()
    assert logs.execute(words(f"logs {EXECUTION_ID} -f"), process.host) == 0
    assert process.out == "dump: one\ndump: end\n"
    assert process.pauses == []
    assert ["wait=2" in request for request in server.asked] == [False, True, True]


def test_full_page_is_followed_by_the_next_at_once(server: ControlServer) -> None:
    """A backlog of lines is read without waiting."""
    backlog = documents.log_page(*["x"] * 1_000)
    server.put(LOGS, backlog, backlog, documents.log_page(is_complete=True))
    process = Process()
    assert logs.execute(words(f"logs {EXECUTION_ID} -f"), process.host) == 0
    assert process.out.count("\n") == 2_000
    assert process.pauses == []


STEERING = "\x1b]0;owned\x07 \x9b2J \x1b[31mred\x1b[m\ttab"


@pytest.mark.parametrize("output", ["text", "wide", "json", "yaml"])
def test_logs_cannot_steer_a_terminal(output: str, server: ControlServer) -> None:
    """On a terminal a printed control sequence is shown, not obeyed, in every format."""
    server.put(LOGS, documents.log_page(STEERING, is_complete=True))
    process = Process(stdout=Terminal())
    assert logs.execute(words(f"logs {EXECUTION_ID} -o {output}"), process.host) == 0
    assert re.search(r"\\(x|u00)1b\]0;owned\\(x|u00)07 \\(x|u00)9b2J ", process.out)
    left = re.sub(r"\x1b\[[0-9]*m|[\t\n]", "", process.out)
    assert left.isprintable()


def test_logs_pass_as_they_are_into_a_file(server: ControlServer) -> None:
    """What is no terminal gets the line as it was printed."""
    server.put(LOGS, documents.log_page(STEERING, is_complete=True))
    process = Process()
    assert logs.execute(words(f"logs {EXECUTION_ID}"), process.host) == 0
    assert STEERING + "\n" in process.out

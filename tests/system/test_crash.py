"""`kill -9` at any instant: what was accepted is still there, and nothing runs twice."""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from tests.profile import IS_LONG
from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.deliveries import SECRET_IN_ENVIRONMENT, hook, push
from tests.system.flow_files import runs, says, write_flow

pytestmark = pytest.mark.system

KEEPS_ALL = {**SECRET_IN_ENVIRONMENT, "FLOWRUNNER_ENGINE__RETENTION_EXECUTIONS": "1000000"}
"""Nothing of the past is removed, so that the books can be balanced."""
KILLS = 300 if IS_LONG else 20
SENDERS = 4
PLENTY = "concurrency: {limit: 8, queue_limit: 10000}\n"
HELD = 'while [ -e "$FLOW_DIR/hold" ]; do sleep 0.05; done'
"""A script that runs for as long as the file `hold` lies beside the flow."""


def states(running: RunningDaemon, ids: list[str]) -> list[tuple[str, str]]:
    """Returns (state, reason) of executions."""
    found = [running.execution(execution_id) for execution_id in ids]
    return [(execution["state"], execution["reason"]) for execution in found]


def test_kill_9_loses_nothing_queued_and_ends_what_was_in_flight(flows: Path, state: Path) -> None:
    """After the restart the running one is `failed (interrupted)`, the queued ones run in order."""
    write_flow(flows, "slow", "concurrency: {limit: 1}\n", runs(HELD))
    (flows / "hold").touch()

    with daemon(flows, state, env=OPEN) as running:
        ids = [running.start("slow") for _ in range(4)]
        eventually(lambda: running.execution(ids[0])["nodes"][0]["state"] == "running")
        assert [running.execution(it)["state"] for it in ids[1:]] == ["queued"] * 3
        running.kill()

    with daemon(flows, state, env=OPEN) as running:
        interrupted = running.ended(ids[0])
        assert states(running, ids[:1]) == [("failed", "interrupted")]
        assert interrupted["error"]["code"] == "interrupted"
        assert interrupted["nodes"][0]["attempts"][0]["reason"] == "interrupted"
        assert {state for state, _ in states(running, ids[1:])} <= {"queued", "running"}
        (flows / "hold").unlink()
        ended = [running.ended(execution_id) for execution_id in ids[1:]]
        assert [execution["state"] for execution in ended] == ["succeeded"] * 3
        starts = [execution["started_at"] for execution in ended]
        assert starts == sorted(starts)


def test_kill_9_repeats_no_item_that_had_ended(flows: Path, state: Path) -> None:
    """Outputs of items come back after the restart, and only those that had not ended run."""
    script = f"""echo $ITEM $ATTEMPT
echo "n=$ITEM" >> "$FLOW_OUTPUT"
[ "$ITEM" != c ] || {HELD}"""
    nodes = f"""nodes:
  - id: each
    foreach: [a, b, c, d]
    on_interrupt: rerun
    env: {{ITEM: '${{{{ item }}}}'}}
    run: |
{indent(script, "      ")}
"""
    write_flow(flows, "items", nodes)
    (flows / "hold").touch()

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("items")
        eventually(lambda: "c 1" in running.logs(execution_id))
        (node,) = running.execution(execution_id)["nodes"]
        assert node["items"] == {"total": 4, "succeeded": 2, "failed": 0}
        running.kill()

    (flows / "hold").unlink()
    with daemon(flows, state, env=OPEN) as running:
        (node,) = running.ended(execution_id)["nodes"]
        assert node["items"] == {"total": 4, "succeeded": 4, "failed": 0}
        assert node["outputs"] == [{"n": item} for item in "abcd"]
        tried = [(each["item_index"], each["reason"]) for each in node["attempts"]]
        assert tried == [(0, ""), (1, ""), (2, "interrupted"), (2, ""), (3, "")]
        assert running.logs(execution_id) == "a 1\nb 1\nc 1\nc 2\nd 1\n"
        names = {path.name for path in state.glob(f"logs/*/{execution_id}/*")}
        assert names == {f"each.{name}.log" for name in ("0.1", "1.1", "2.1", "2.2", "3.1")}


def test_kill_9_repeats_nothing_that_had_ended(flows: Path, state: Path) -> None:
    """The execution goes on: what had ended stays so, and what was cut short runs again if told."""
    second = f"echo second $ATTEMPT\n{HELD}"
    nodes = f"""nodes:
  - {{id: first, run: 'echo first > "$WORK_DIR/made"'}}
  - id: second
    on_interrupt: rerun
    run: |
{indent(second, "      ")}
  - {{id: third, run: 'cat "$WORK_DIR/made"'}}
"""
    write_flow(flows, "steps", nodes)
    (flows / "hold").touch()

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("steps")
        eventually(lambda: "second 1" in running.logs(execution_id))
        running.kill()

    (flows / "hold").unlink()
    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(execution_id)
        assert (execution["state"], execution["reason"]) == ("succeeded", "")
        attempts = [[each["reason"] for each in node["attempts"]] for node in execution["nodes"]]
        assert attempts == [[""], ["interrupted", ""], [""]]
        assert running.logs(execution_id) == "second 1\nsecond 2\nfirst\n"


def test_the_output_of_what_was_cut_short_is_still_there(flows: Path, state: Path) -> None:
    """The log of an interrupted attempt can be read after the restart."""
    write_flow(flows, "slow", runs(f"echo before the crash\n{HELD}"))
    (flows / "hold").touch()

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("slow")
        eventually(lambda: "before the crash" in running.logs(execution_id))
        running.kill()

    (flows / "hold").unlink()
    with daemon(flows, state, env=OPEN) as running:
        assert running.ended(execution_id)["reason"] == "interrupted"
        assert running.logs(execution_id) == "before the crash\n"


def test_a_queued_delivery_keeps_its_definition_and_its_body_across_kill_9(
    flows: Path, state: Path
) -> None:
    """What was accepted under the old version runs as the old version, with its own payload."""
    concurrency = "concurrency: {limit: 1}\n"
    script = f'{HELD}\necho old\ncat "$FLOW_PAYLOAD_FILE"'
    write_flow(flows, "slow", concurrency, hook(), runs(script))
    (flows / "hold").touch()

    with daemon(flows, state, env={**OPEN, **SECRET_IN_ENVIRONMENT}) as running:
        first, second = (
            push(running, "slow/webhook", {"n": n}).json["execution_id"] for n in (1, 2)
        )
        eventually(lambda: running.execution(first)["nodes"][0]["state"] == "running")
        accepted = running.execution(second)
        write_flow(flows, "slow", concurrency, hook(), runs("echo new"))
        eventually(lambda: running.flow("slow")["digest"] != accepted["digest"])
        running.kill()

    (flows / "hold").unlink()
    with daemon(flows, state, env={**OPEN, **SECRET_IN_ENVIRONMENT}) as running:
        ended = running.ended(second)
        assert ended["state"] == "succeeded"
        assert ended["digest"] == accepted["digest"]
        assert running.logs(second) == 'old\n{"n": 2}\n'
        again = push(running, "slow/webhook", {"n": 2})
        assert (again.status, again.json["execution_id"]) == (200, second)


class Senders:
    """Threads that send signed deliveries, each a new one, until the daemon is gone."""

    def __init__(self, running: RunningDaemon, first: int) -> None:
        self._running, self._next = running, first
        self._lock = threading.Lock()
        self.accepted: list[str] = []
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    @property
    def next(self) -> int:
        return self._next

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        while True:
            with self._lock:
                number, self._next = self._next, self._next + 1
            try:
                answer = push(self._running, "load/webhook", {"n": number}, f"id-{number}")
            except (OSError, http.client.HTTPException):
                return
            if answer.status == 202:
                self.accepted.append(answer.json["execution_id"])


@pytest.mark.timeout(3_600)
def test_every_202_is_an_execution_after_random_kills_under_load(flows: Path, state: Path) -> None:
    """Killed at random moments, the daemon has every accepted delivery and ran none twice."""
    ran = flows.parent / "ran"
    ran.touch()
    write_flow(
        flows,
        "load",
        hook(),
        PLENTY,
        runs('echo "$EXECUTION_ID" >> "$RAN"', env=f'{{RAN: "{ran}"}}'),
    )
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    accepted: list[str] = []
    number = 0

    for _ in range(KILLS):
        senders = kill_under_load(flows, state, first=number, after=dice.randrange(1, 60))
        accepted += senders.accepted
        number = senders.next

    with daemon(flows, state, env=KEEPS_ALL) as running:
        eventually(lambda: not unfinished(running), lambda: (seed, unfinished(running)))
        known = {execution["id"]: execution for execution in everything(running)}
        assert set(accepted) <= known.keys(), f"lost, seed {seed}"
        runs_of = Counter(ran.read_text(encoding="utf-8").split())
        assert not [it for it, count in runs_of.items() if count > 1], f"ran twice, seed {seed}"
        ended = Counter((it["state"], it["reason"]) for it in known.values())
        assert ended.keys() <= {("succeeded", ""), ("failed", "interrupted")}, f"seed {seed}"
        succeeded = {it["id"] for it in known.values() if it["state"] == "succeeded"}
        assert succeeded <= runs_of.keys(), f"succeeded without running, seed {seed}"


def kill_under_load(flows: Path, state: Path, *, first: int, after: int) -> Senders:
    """Kills a daemon in the middle of deliveries, once it has accepted so many."""
    with daemon(flows, state, env=KEEPS_ALL) as running:
        senders = Senders(running, first)
        try:
            eventually(lambda: len(senders.accepted) >= after, lambda: running.events)
        finally:
            running.kill()
            senders.join()
    return senders


def unfinished(running: RunningDaemon) -> list[dict[str, Any]]:
    """Returns what is still queued or running."""
    found = running.request("/api/v1/executions?state=queued,running&limit=1000").json["items"]
    return [dict(item) for item in found]


def everything(running: RunningDaemon) -> list[dict[str, Any]]:
    """Returns all executions, page by page."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = running.request(f"/api/v1/executions?limit=500{cursor}").json
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"


def test_a_stop_under_load_loses_nothing_and_interrupts_nothing(flows: Path, state: Path) -> None:
    """After SIGTERM in the middle of deliveries every 202 succeeds, now or after the restart."""
    write_flow(flows, "load", hook(), PLENTY, runs("true"))

    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT) as running:
        senders = Senders(running, 0)
        try:
            eventually(lambda: len(senders.accepted) >= 30, lambda: running.events)
            assert running.stop() == 0
        finally:
            running.kill()
            senders.join()

    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT) as running:
        eventually(lambda: not unfinished(running), lambda: unfinished(running))
        known = {execution["id"]: execution for execution in everything(running)}
        assert set(senders.accepted) <= known.keys()
        assert {execution["state"] for execution in known.values()} == {"succeeded"}


def test_kill_9_while_flows_change_leaves_each_flow_its_old_or_its_new_version(
    flows: Path, state: Path
) -> None:
    """Killed while it puts new versions in force, the daemon can start from what it kept."""
    names = [f"flow-{number}" for number in range(20)]
    for name in names:
        write_flow(flows, name, says("v0"))
    with daemon(flows, state) as running:
        assert running.stop() == 0

    for round_number in range(1, 4):
        with daemon(flows, state) as running:
            before = last_change(state / "registry")
            for name in names:
                write_flow(flows, name, says(f"v{round_number}"))
            wait_changed(state / "registry", before)
            running.kill()

    flows.rename(flows.with_name("aside"))
    with daemon(flows, state, env=OPEN) as running:
        listed = running.request("/api/v1/flows").json["items"]
        assert sorted(flow["name"] for flow in listed) == sorted(names)
        for flow in listed:
            word = running.ended(running.start(flow["name"]))["nodes"][0]["outputs"]["word"]
            assert word in ("v2", "v3")


def last_change(folder: Path) -> int:
    """Returns when anything below a folder last changed."""
    times = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # replaced while we look
            times.append(path.stat().st_mtime_ns)
    return max(times)


def wait_changed(folder: Path, before: int) -> None:
    eventually(lambda: last_change(folder) > before)

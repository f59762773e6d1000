"""A restart on the cache of the life before: quick, and never anything else than a cold one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import flow_text, says, write_flow

pytestmark = pytest.mark.system

BROKEN = "version: 1\nname: broken\nnodes: [{id: a, type: nope}]\n"


def facts(running: RunningDaemon) -> list[object]:
    """Returns what the daemon says of its flows, but for times."""
    shown = [running.flow(name) for name in ("hello", "broken")]
    return [
        [
            each["digest"],
            each["generation"],
            each["findings"],
            [(c["type"], c["status"], c["reason"], c["message"]) for c in each["conditions"]],
        ]
        for each in shown
    ]


@pytest.mark.parametrize("damage", ["none", "removed", "cut", "of nobody"])
def test_restart_is_the_same_whatever_became_of_the_cache(
    flows: Path, state: Path, damage: str
) -> None:
    """With the cache, without, or with a damaged one: the same flows, findings and conditions."""
    write_flow(flows, "hello", says("hi"))
    (flows / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    with daemon(flows, state, env=OPEN) as running:
        before = facts(running)
    (kept,) = (state / "cache").glob("flows-*")
    assert kept.stat().st_mode & 0o777 == 0o600
    match damage:
        case "removed":
            kept.unlink()
        case "cut":
            kept.write_bytes(kept.read_bytes()[:-20])
        case "of nobody":
            kept.write_bytes(b"{}\n" * 9)
    with daemon(flows, state, env=OPEN) as running:
        assert facts(running) == before
        assert running.ended(running.start("hello"))["state"] == "succeeded"


def test_a_stop_at_once_leaves_the_cache_as_it_is(flows: Path, state: Path) -> None:
    """A start that finds all as it was knows too little by then to keep anything anew."""
    for number in range(20):
        write_flow(flows, f"hello-{number}", says("hi"))
    for path in flows.iterdir():
        os.utime(path, (1, 1))
    with daemon(flows, state, env=OPEN):
        eventually(lambda: list((state / "cache").glob("basis-*")))
    kept = {path.name: path.read_bytes() for path in (state / "cache").iterdir()}
    assert [name.partition("-")[0] for name in sorted(kept)] == ["basis", "flows"]
    for _ in range(2):
        with daemon(flows, state, env=OPEN):
            pass
        assert {path.name: path.read_bytes() for path in (state / "cache").iterdir()} == kept


def test_edit_while_the_daemon_was_down_comes_into_force(flows: Path, state: Path) -> None:
    """What was kept of the text before is not taken for the new one, nor after a `kill -9`."""
    write_flow(flows, "hello", says("hi"))
    with daemon(flows, state, env=OPEN) as running:
        before = running.flow("hello")["digest"]
        running.kill()
    (flows / "hello.yaml").write_text(flow_text("hello", says("there")), encoding="utf-8")
    with daemon(flows, state, env=OPEN) as running:
        assert running.flow("hello")["digest"] != before
        (node,) = running.ended(running.start("hello"))["nodes"]
        assert node["outputs"] == {"word": "there"}

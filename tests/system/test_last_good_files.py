"""The last good definitions on disk: a damaged or edited one is never armed, and is made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.storage.local.flows import KNOWN
from flowrunner.storage.local.known_records import Known, facts_of, known_text
from flowrunner.storage.local.record_codec import record_of
from flowrunner.system.files import LocalFiles
from tests.system.daemon import OPEN, daemon, eventually
from tests.system.flow_files import says, write_flow

pytestmark = pytest.mark.system


def test_a_record_that_was_damaged_while_stopped_is_made_anew(flows: Path, state: Path) -> None:
    """With the source there nothing is lost; without it the damaged ones are not armed."""
    for name in ("edited", "cut", "removed", "whole"):
        write_flow(flows, name, says("one"))
    with daemon(flows, state, env=OPEN) as running:
        assert running.stop() == 0
    folder = state / "registry" / "default"
    records = {name: folder / name / "definition.json" for name in ("edited", "cut", "removed")}

    def damage() -> None:
        text = records["edited"].read_text()
        records["edited"].write_text(text.replace("one", "two"))
        records["cut"].write_text(text[:40])
        records["removed"].unlink()

    before = (folder / "whole" / "definition.json").stat().st_mtime_ns
    damage()
    with daemon(flows, state, env=OPEN) as running:
        assert running.request("/readyz").status == 200
        assert running.command("check-state").returncode == 0
        assert all("one" in record.read_text() for record in records.values())
        assert (folder / "whole" / "definition.json").stat().st_mtime_ns == before
        assert running.stop() == 0

    damage()
    flows.rename(flows.with_name("away"))
    with daemon(flows, state, env=OPEN) as running:
        items = running.request("/api/v1/flows").json["items"]
        assert [flow["name"] for flow in items] == ["whole"]
        assert running.request("/readyz").status == 503
        assert running.command("check-state", check=False).returncode != 0


def test_damage_that_changes_no_fact_is_found_after_the_start(flows: Path, state: Path) -> None:
    """What is in force is what was remembered; the file is made anew from that."""
    write_flow(flows, "hello", says("one"))
    with daemon(flows, state, env=OPEN) as running:
        assert running.stop() == 0
    record = state / "registry" / "default" / "hello" / "definition.json"
    whole = record.read_bytes()
    record.write_bytes(whole.replace(b"one", b"two"))
    believe(state, record, whole)
    with daemon(flows, state, env=OPEN) as running:
        eventually(lambda: b"one" in record.read_bytes())
        eventually(lambda: "flow_record_damaged" in running.output)
        (node,) = running.ended(running.start("hello"))["nodes"]
        assert node["outputs"] == {"word": "one"}
        assert running.stop() == 0


def believe(state: Path, record: Path, content: bytes) -> None:
    """Lets the daemon remember that a file with the facts of this one has that content."""
    facts = facts_of(LocalFiles().stat(record))
    (state / "registry" / KNOWN).write_bytes(known_text([Known(facts, record_of(content))]))

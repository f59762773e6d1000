"""The last good definitions on disk: a damaged or edited one is never armed, and is made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.daemon import OPEN, daemon
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

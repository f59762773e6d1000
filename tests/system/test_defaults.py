"""`_defaults.yaml` under the daemon: an edit reaches the flows below, a broken one nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import flow_text, replace_file, runs, says, write_flow

pytestmark = pytest.mark.system

SAYS_WORD = runs('echo "word=$WORD" >> "$FLOW_OUTPUT"', outputs="{word: {}}")
RESULT = "outputs: {word: '${{ nodes.work.outputs.word }}'}\n"


def put_defaults(flows: Path, text: str) -> None:
    replace_file(flows / "team" / "_defaults.yaml", text)


def result(running: RunningDaemon, flow: str) -> object:
    """Runs a flow and returns the outputs of the execution."""
    return running.ended(running.start(flow))["outputs"]


def test_defaults_come_into_force_and_break_without_their_flows_changing(
    flows: Path, state: Path
) -> None:
    """An edit is a new version below; a broken one keeps the last good, also after kill -9."""
    (flows / "team").mkdir()
    put_defaults(flows, "env: {WORD: one}\n")
    write_flow(flows / "team", "below", SAYS_WORD, RESULT)
    write_flow(flows, "beside", says("same"))

    with daemon(flows, state, env=OPEN) as running:
        beside = running.flow("beside")
        assert result(running, "below") == {"word": "one"}

        put_defaults(flows, "env: {WORD: two}\n")
        eventually(lambda: running.flow("below")["generation"] == 2, lambda: running.events)
        assert result(running, "below") == {"word": "two"}

        put_defaults(flows, "evn: {}\n")
        eventually(
            lambda: running.condition("below")["reason"] == "DefaultsInvalid",
            lambda: running.events,
        )
        (finding,) = running.flow("below")["findings"]
        assert (finding["file"], finding["line"], finding["code"]) == (
            *("team/_defaults.yaml", 1, "FR201"),
        )
        assert result(running, "below") == {"word": "two"}
        assert running.flow("beside") == beside
        running.kill()

    write_flow(flows / "team", "newcomer", says("new"))
    with daemon(flows, state, env=OPEN) as running:
        assert running.condition("below")["reason"] == "DefaultsInvalid"
        assert result(running, "below") == {"word": "two"}
        assert running.condition("newcomer")["reason"] == "DefaultsInvalid"
        assert running.flow("newcomer")["observed_generation"] == 0

        put_defaults(flows, "env: {WORD: three}\n")
        eventually(lambda: running.condition("newcomer")["status"] == "True")
        assert result(running, "below") == {"word": "three"}


def test_last_good_version_needs_no_defaults_file(flows: Path, state: Path) -> None:
    """The stored definition is complete: a start without the source runs it as it was."""
    (flows / "team").mkdir()
    put_defaults(flows, "env: {WORD: kept}\n")
    write_flow(flows / "team", "below", SAYS_WORD, RESULT)
    with daemon(flows, state, env=OPEN) as running:
        assert result(running, "below") == {"word": "kept"}

    (flows / "team" / "_defaults.yaml").unlink()
    replace_file(flows / "team" / "below.yaml", flow_text("below", "nodes: []\n"))
    with daemon(flows, state, env=OPEN) as running:
        assert running.condition("below")["reason"] == "InvalidNewVersion"
        assert result(running, "below") == {"word": "kept"}

"""How the process of a node is started, and that its secrets stay out of sight.

Both with the installed daemon.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.daemon import OPEN, daemon
from tests.system.flow_files import runs, write_flow

pytestmark = pytest.mark.system

SECRET = "pa55 w'ord/of ü"
ENVIRONMENT = {**OPEN, "FLOWRUNNER_SECRET_KEY": SECRET}


def test_a_node_says_how_its_process_is_started(flows: Path, state: Path) -> None:
    """Shell, folder, mask, priority and limits are as written."""
    script = """
        shopt -q -o pipefail && echo "pipefail"
        pwd
        umask
        ulimit -n
        ulimit -t
    """
    keys = {
        "shell": "bash",
        "working_dir": "/usr",
        "umask": '"027"',
        "nice": "5",
        "limits": "{files: 100, cpu_time: 1m}",
    }
    write_flow(flows, "keys", runs(script, **keys))

    with daemon(flows, state, env=OPEN) as running:
        execution_id = running.start("keys")
        assert running.ended(execution_id)["state"] == "succeeded"
        assert running.logs(execution_id) == "pipefail\n/usr\n0027\n100\n60\n"


def test_processor_time_is_the_reason_of_an_attempt(flows: Path, state: Path) -> None:
    """A script that goes round in circles ends, and the API tells why."""
    write_flow(flows, "circles", runs("while :; do :; done", limits="{cpu_time: 1s}"))

    with daemon(flows, state, env=OPEN) as running:
        execution = running.ended(running.start("circles"))
        assert execution["nodes"][0]["attempts"][0]["reason"] == "signal:SIGXCPU"


def test_a_secret_on_its_way_through_a_node_is_seen_nowhere(flows: Path, state: Path) -> None:
    """It is read from stdin and printed in several forms; neither log nor state has one of them."""
    script = """
        set -x
        secret=$(cat)
        printf '%s' "$secret" | base64
        printf 'user:%s' "$secret" | base64
        printf '%q\\n' "$secret"
        printf '%s\\n' "$secret" >&2
    """
    keys = {"shell": "bash", "stdin": '"${{ secrets.KEY }}"'}
    write_flow(flows, "secretive", "secrets: [KEY]\n", runs(script, **keys))

    with daemon(flows, state, env=ENVIRONMENT) as running:
        execution_id = running.start("secretive")
        assert running.ended(execution_id)["state"] == "succeeded"
        log = running.logs(execution_id)
        assert log.count("***") >= 5
        traces = [SECRET.encode(), b"pa55", b"ord/of", b"cGE1NSB3J29yZC9vZi", b"BhNTUgdydvcmQvb2Y"]
        files = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
        assert not [trace for trace in traces for data in files if trace in data], log

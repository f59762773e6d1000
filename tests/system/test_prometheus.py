"""Prometheus itself scrapes the daemon, and its own linter has nothing to say."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import PATIENCE_S, RunningDaemon, daemon, eventually, free_port
from tests.system.deliveries import SECRET_IN_ENVIRONMENT, hook, post, push
from tests.system.flow_files import EVERY_SECOND, NOTHING, runs, says, write_flow

SETTINGS = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: flowrunner
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("promtool")),
        reason="the Debian package prometheus is not installed",
    ),
]


@pytest.fixture
def busy(flows: Path, state: Path) -> Iterator[RunningDaemon]:
    """A daemon that has something to show in each of its metrics."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))
    write_flow(flows, "failing", runs("exit 1"))
    write_flow(flows, "hooked", hook(), NOTHING)
    (flows / "bad.yaml").write_text("a: b\n", encoding="utf-8")
    with daemon(flows, state, env=SECRET_IN_ENVIRONMENT) as running:
        running.ended(running.start("failing"))
        assert push(running, "hooked/webhook", {}).status == 202
        assert post(running, "made-up/webhook", b"{}", {}).status == 401
        counted = {"flow": "beat", "state": "succeeded"}
        eventually(lambda: running.metric("flowrunner_executions_total", **counted))
        yield running


@contextmanager
def prometheus(folder: Path, port: int) -> Iterator[int]:
    """Runs Prometheus against a port and gives its own."""
    folder.mkdir()
    settings = folder / "prometheus.yml"
    settings.write_text(SETTINGS.format(port=port), encoding="utf-8")
    own = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={settings}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{own}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
        )
        try:
            yield own
        finally:
            process.kill()
            process.wait(PATIENCE_S)


def query(port: int, expression: str) -> list[dict[str, Any]]:
    """Returns the samples of an expression; none while Prometheus does not answer."""
    address = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            document = json.load(answer)
    except OSError:
        return []
    return [dict(sample) for sample in document["data"]["result"]]


def test_prometheus_scrapes_the_daemon_and_answers_a_query(
    busy: RunningDaemon, tmp_path: Path
) -> None:
    """A real Prometheus finds the target up and knows how often each flow succeeded."""
    with prometheus(tmp_path / "prometheus", busy.port) as port:
        log = tmp_path / "prometheus" / "log"
        counted = 'flowrunner_executions_total{flow="beat",state="succeeded"}'
        found = eventually(lambda: query(port, counted), log.read_text)
        assert found[0]["metric"]["account"] == "default"
        assert float(found[0]["value"][1]) >= 1
        (up,) = query(port, "up")
        assert up["value"][1] == "1"
        (ready,) = query(port, 'flowrunner_flow_ready{flow="failing"}')
        assert ready["value"][1] == "1"
        assert query(port, "flowrunner_flows") != []
        grew = f"{counted} > {found[0]['value'][1]}"
        eventually(lambda: query(port, grew), log.read_text)


def test_promtool_finds_nothing_to_say_about_the_metrics(busy: RunningDaemon) -> None:
    """Names, help texts and types are as Prometheus wants them."""
    exposition = busy.request("/metrics").body

    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_openmetrics_is_given_to_whoever_asks_for_it(busy: RunningDaemon) -> None:
    """The same counters with exemplars, ended as the format demands."""
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}

    answer = busy.request("/metrics", headers=asked)

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert "_created" not in answer.text

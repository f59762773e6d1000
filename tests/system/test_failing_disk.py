"""A disk whose syncs fail under the real daemon: needs a tracer that makes system calls fail."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.deliveries import SECRET_IN_ENVIRONMENT, hook, push
from tests.system.flow_files import NOTHING, write_flow

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

ENVIRONMENT = {**OPEN, **SECRET_IN_ENVIRONMENT}


@contextmanager
def failing_syncs(running: RunningDaemon, log: Path) -> Iterator[None]:
    """Makes every sync of the daemon fail with EIO, as a dying disk does."""
    calls = "fsync,fdatasync"
    failing = ("-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO")
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-o", str(log), *failing, "-p", str(running.process.pid)],
        stderr=subprocess.DEVNULL,
    )
    try:
        if not _is_traced(tracer, running):
            pytest.skip("this host does not let us trace a process")
        yield
    finally:
        tracer.terminate()
        tracer.wait()


def _is_traced(tracer: subprocess.Popen[bytes], running: RunningDaemon) -> bool:
    status = Path(f"/proc/{running.process.pid}/status")

    def attached_or_gone() -> bool:
        text = status.read_text()
        return tracer.poll() is not None or f"TracerPid:\t{tracer.pid}" in text

    eventually(attached_or_gone, status.read_text)
    return tracer.poll() is None


def test_failed_sync_is_no_commit_and_heals_over_a_new_connection(
    flows: Path, state: Path, tmp_path: Path
) -> None:
    """Nothing is accepted while syncs fail; all that was accepted is there, also after a kill."""
    write_flow(flows, "hooked", hook(), NOTHING)

    with daemon(flows, state, env=ENVIRONMENT) as running:
        before = running.start("hooked")
        running.ended(before)
        with failing_syncs(running, tmp_path / "trace"):
            refused = push(running, "hooked/webhook", {"n": 1})
            assert refused.status == 503
            assert running.command("run", "hooked", check=False).returncode == 5
            assert "store: storage.unavailable" in running.request("/readyz").text
        assert "EIO" in (tmp_path / "trace").read_text()
        eventually(lambda: running.request("/readyz").status == 200, lambda: running.events)
        after = push(running, "hooked/webhook", {"n": 2}).json["execution_id"]
        running.ended(after)
        running.kill()

    with daemon(flows, state, env=ENVIRONMENT) as running:
        assert [each["id"] for each in running.executions("hooked")] == [after, before]

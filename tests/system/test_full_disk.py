"""A state that cannot be written any more: nothing is promised that cannot be kept."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.deliveries import SECRET_IN_ENVIRONMENT, hook, push
from tests.system.flow_files import EVERY_SECOND, NOTHING, says, write_flow

pytestmark = pytest.mark.system

ENVIRONMENT = {**OPEN, **SECRET_IN_ENVIRONMENT}


@contextmanager
def full_disk(running: RunningDaemon) -> Iterator[None]:
    """Lets no file of the daemon grow beyond what its journal has now, as a full disk would."""
    size = (running.state / "flowrunner.db-wal").stat().st_size
    pid, kind = running.process.pid, resource.RLIMIT_FSIZE
    _, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, (hard, hard))


def test_nothing_is_accepted_while_the_state_cannot_be_written(flows: Path, state: Path) -> None:
    """Deliveries are 503 with Retry-After, starts are refused, /readyz says why; then it heals."""
    write_flow(flows, "hooked", hook(), NOTHING)

    with daemon(flows, state, env=ENVIRONMENT) as running:
        with full_disk(running):
            refused = push(running, "hooked/webhook", {"n": 1})
            assert refused.status == 503
            assert "retry-after" in refused.headers
            assert running.command("run", "hooked", check=False).returncode != 0
            ready = running.request("/readyz")
            assert ready.status == 503
            assert "store" in ready.text
            assert running.request("/livez").status == 200

        eventually(lambda: running.request("/readyz").status == 200)
        again = push(running, "hooked/webhook", {"n": 1})
        assert again.status == 202
        assert running.ended(again.json["execution_id"])["state"] == "succeeded"
        assert len(running.executions("hooked")) == 1


def test_schedules_go_on_once_the_state_can_be_written_again(flows: Path, state: Path) -> None:
    """Slots that could not be recorded are accounted for afterwards, and no slot runs twice."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state, env=ENVIRONMENT) as running:
        eventually(lambda: running.executions("beat"))
        with full_disk(running):
            eventually(lambda: "slots.not_recorded" in running.output, lambda: running.events)
        before = len(running.executions("beat"))
        eventually(lambda: len(running.executions("beat")) >= before + 2, lambda: running.events)
        slots = [execution["slot_at"] for execution in running.executions("beat")]
        assert len(slots) == len(set(slots))


def test_a_new_version_that_cannot_be_kept_is_not_put_in_force(flows: Path, state: Path) -> None:
    """A flow changes only once its new version is on disk; until then the old one runs."""
    write_flow(flows, "beat", says("one"))

    with daemon(flows, state, env=ENVIRONMENT) as running:
        digest = running.flow("beat")["digest"]
        long = "x" * 600_000
        with full_disk(running):
            write_flow(flows, "beat", f"description: {long}\n", says("two"))
            assert running.command("reconcile", "--wait", check=False).returncode == 1
            assert running.source()["last_pass"]["result"] == "failed"
            assert running.flow("beat")["digest"] == digest
        running.reconcile()
        assert running.flow("beat")["digest"] != digest
        # A store that saw a write fail is opened anew a second later, at the earliest.
        eventually(lambda: running.request("/readyz").status == 200, lambda: running.events)
        execution = running.ended(running.start("beat"))
        assert execution["nodes"][0]["outputs"] == {"word": "two"}

"""The kernel's queue of file events runs over while the daemon cannot read it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import says, write_flow

pytestmark = pytest.mark.system

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
SHORT = 64
"""Events that the queue of the daemon holds; each file that is replaced makes several."""
SELDOM = {"FLOWRUNNER_SOURCE__RESYNC": "1d", **OPEN}
"""The environment of a daemon that learns of a change by its watcher or not at all."""


@contextmanager
def short_queue() -> Iterator[None]:
    """Gives each watcher that is made within a short queue: it keeps it, so this may be brief."""
    before = QUEUE.read_text()
    try:
        QUEUE.write_text(str(SHORT))
    except OSError as error:
        pytest.skip(f"only root of the host may write {QUEUE}: {error.strerror}")
    try:
        yield
    finally:
        QUEUE.write_text(before)


@contextmanager
def overflowing(flows: Path, state: Path) -> Iterator[RunningDaemon]:
    """A daemon with a short queue, which looks at the whole folder once a day."""
    with ExitStack() as stack:
        with short_queue():
            running = stack.enter_context(daemon(flows, state, env=SELDOM))
            eventually(lambda: running.metric("flowrunner_watcher_up") == 1)
        yield running


@contextmanager
def standing_still(running: RunningDaemon) -> Iterator[None]:
    """Stops the process, so that nobody reads the queue."""
    running.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        running.process.send_signal(signal.SIGCONT)


def words(running: RunningDaemon) -> dict[str, str]:
    """Returns what each flow in force says."""
    found = {}
    for flow in running.request("/api/v1/flows?limit=1000").json["items"]:
        answer = running.request(f"/api/v1/flows/default/{flow['name']}/definition")
        if answer.status != 404:  # it went between the two requests
            found[flow["name"]] = answer.json["nodes"][0]["params"]["values"]["word"]
    return found


def test_what_an_overflow_hides_is_in_force_soon(flows: Path, state: Path) -> None:
    """Edits, deletions and a new folder behind a full queue are found, and later ones heard of."""
    names = [f"flow-{number:03}" for number in range(SHORT)]
    for name in (*names, "gone"):
        write_flow(flows, name, says("old"))

    with overflowing(flows, state) as running:
        assert set(words(running).values()) == {"old"}
        with standing_still(running):
            for name in names:
                write_flow(flows, name, says("new"))
            (flows / "gone.yaml").unlink()
            (flows / "later").mkdir()
            write_flow(flows / "later", "newcomer", says("new"))
        expected = dict.fromkeys((*names, "newcomer"), "new")
        eventually(lambda: words(running) == expected, lambda: words(running))
        assert running.metric("flowrunner_watch_overflows_total") == 1
        assert running.events.count("watch_overflow") == 1

        write_flow(flows / "later", "newcomer", says("newer"))
        eventually(lambda: words(running) == {**expected, "newcomer": "newer"})

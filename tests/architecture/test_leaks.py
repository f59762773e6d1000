"""Every test is looked at for what it leaves behind: the look finds each kind of thing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.leaks import PendingTasks, belongings, left_since

ROOT = Path(__file__).parents[2]
_LEAKING = """
import asyncio, os, subprocess, threading

def test_task():
    async def main():
        asyncio.ensure_future(asyncio.sleep(600))
    asyncio.run(main())

def test_descriptor():
    os.open("/dev/zero", os.O_RDONLY)

def test_child():
    globals()["child"] = subprocess.Popen(["true"])

def test_thread():
    globals()["let_go"] = let_go = threading.Event()
    threading.Thread(target=let_go.wait, name="endless").start()

def test_last():
    let_go.set()

def test_nothing():
    with open("/dev/null"):
        asyncio.run(asyncio.sleep(0))
    subprocess.run(["true"])
"""


@contextmanager
def leaked_descriptor() -> Iterator[None]:
    number = os.open("/dev/zero", os.O_RDONLY)
    try:
        yield
    finally:
        os.close(number)


@contextmanager
def leaked_child() -> Iterator[None]:
    with subprocess.Popen(["/bin/sleep", "600"]) as child:
        try:
            yield
        finally:
            child.kill()


@contextmanager
def leaked_zombie() -> Iterator[None]:
    with subprocess.Popen(["/bin/true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        yield


@contextmanager
def leaked_thread() -> Iterator[None]:
    let_go = threading.Event()
    thread = threading.Thread(target=let_go.wait, name="endless")
    thread.start()
    try:
        yield
    finally:
        let_go.set()
        thread.join()


@pytest.mark.parametrize(
    ("leak", "told"),
    [
        pytest.param(leaked_descriptor, "is open: /dev/zero", id="descriptor"),
        pytest.param(leaked_child, "is there: /bin/sleep 600", id="child"),
        pytest.param(leaked_zombie, "is there: true", id="zombie"),
        pytest.param(leaked_thread, "thread endless runs", id="thread"),
    ],
)
def test_what_is_left_is_named(leak: Callable[[], AbstractContextManager[None]], told: str) -> None:
    """One sentence for the thing that was not there before, and none once it is gone."""
    before = belongings()
    with leak():
        found = left_since(before)
    assert len(found) == 1
    assert told in found[0]
    assert left_since(before) == []


def test_a_descriptor_that_changed_hands_is_found() -> None:
    """The number that one thing had is no excuse for another."""
    with leaked_descriptor():
        before = belongings()
        number = next(int(n) for n, to in before.descriptors.items() if to == "/dev/zero")
        os.close(number)
        os.open("/dev/full", os.O_RDONLY)
        assert left_since(before) == [f"descriptor {number} is open: /dev/full"]


def test_a_task_that_nobody_awaits_is_found(pending_tasks: PendingTasks) -> None:
    """The end of a loop would cancel it without a word."""

    async def forgotten() -> None:
        await asyncio.sleep(600)

    async def main() -> None:
        done, left = asyncio.ensure_future(asyncio.sleep(0)), asyncio.ensure_future(forgotten())
        await done
        assert not left.done()

    asyncio.run(main())
    (told,) = pending_tasks.take()
    assert "forgotten" in told


@pytest.mark.heavy
def test_a_test_that_leaves_something_fails(tmp_path: Path) -> None:
    """Each kind, and nothing else, is an error of the test that left it."""
    (tmp_path / "test_planted.py").write_text(_LEAKING)
    argv = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
    ]
    done = subprocess.run(
        [sys.executable, *argv, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    failed = sorted(
        line.split("::")[1].split()[0]
        for line in done.stdout.splitlines()
        if line.startswith("ERROR ")
    )
    assert failed == ["test_child", "test_descriptor", "test_task", "test_thread"], done.stdout
    assert "6 passed, 4 errors" in done.stdout

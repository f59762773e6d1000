"""`kill -9` at random points of reconciles: each flow has its last good or its new version."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flowrunner.storage.local.flows import LocalFlows
from flowrunner.system.clock import SystemClock
from flowrunner.system.files import LocalFiles
from tests.profile import IS_LONG
from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import flow_text, says, write_flow

pytestmark = [pytest.mark.system, pytest.mark.timeout(3_600)]

KILLS = 200 if IS_LONG else 20
NAMES = [f"flow-{number}" for number in range(24)]
RESTLESS = {
    **OPEN,
    "FLOWRUNNER_SOURCE__DEBOUNCE": "0s",
    "FLOWRUNNER_SOURCE__RESYNC": "1s",
}
"""One pass after the other, as long as anything changes."""
BROKEN = "nodes: [{id: nothing, type: no-such-type}]\n"


def version_text(name: str, version: int) -> str:
    """A flow whose version stands in two places, so that half of one is seen."""
    return flow_text(name, f"description: v{version}\n", says(f"v{version}"))


@dataclass
class Person:
    """Edits flows all the time: one edit in four is an error.

    Attributes:
        good: The newest version of each flow that has no error.
        is_broken: Whether its file has one now.
    """

    folder: Path
    draw: random.Random
    good: dict[str, int] = field(default_factory=dict)
    is_broken: dict[str, bool] = field(default_factory=dict)
    edits: int = 0

    def begin(self) -> None:
        for name in NAMES:
            self._edit(name, is_good=True)

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Edits in a thread meanwhile."""
        is_over = threading.Event()

        def work() -> None:
            while not is_over.wait(0.005):
                self._edit(self.draw.choice(NAMES), is_good=self.draw.random() < 0.75)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _edit(self, name: str, *, is_good: bool) -> None:
        self.edits += 1
        if is_good:
            self.good[name] = self.edits  # before: whoever reads the file knows it as written
            path = self.folder / f"{name}.yaml"
            staged = path.with_name(f".{path.name}.new")
            staged.write_text(version_text(name, self.edits), encoding="utf-8")
            staged.replace(path)
        else:
            write_flow(self.folder, name, f"description: v{self.edits}\n", BROKEN)
        self.is_broken[name] = not is_good


@dataclass
class Book:
    """What is known to have been in force: no later version may be an older one.

    Attributes:
        floor: The newest version of each flow that was seen in force.
    """

    person: Person
    state: Path
    floor: dict[str, int] = field(default_factory=dict)

    def see(self, found: dict[str, int]) -> None:
        """Judges what is in force, or kept, of all flows."""
        assert found.keys() == set(NAMES)
        for name, version in found.items():
            assert self.floor.get(name, 0) <= version <= self.person.good[name], name
            self.floor[name] = version

    def see_kept(self) -> None:
        """Judges the last good definitions that the daemon has left, as it would read them."""
        store = LocalFlows(self.state, LocalFiles(), SystemClock())
        records = asyncio.run(store.list())
        for record in records:
            (node,) = record.definition["nodes"]
            said = {record.definition["description"], node["params"]["values"]["word"]}
            assert len(said) == 1, f"{record.key}: {said}"
        self.see({it.key.name: int(it.definition["description"][1:]) for it in records})

    def see_shown(self, running: RunningDaemon) -> None:
        """Judges what the daemon says is in force."""
        items = running.request("/api/v1/flows?limit=1000").json["items"]
        assert all(item["digest"] and item["observed_generation"] for item in items)
        self.see({item["name"]: int(item["description"][1:]) for item in items})


def test_kill_9_leaves_each_flow_its_last_good_or_its_new_version(flows: Path, state: Path) -> None:
    """Never none, never half, never an older one: in the first pass and in those that follow."""
    draw = random.Random(11)
    person = Person(flows, draw)
    book = Book(person, state)
    person.begin()
    began = time.monotonic()
    with daemon(flows, state, env=RESTLESS) as running:
        start_s = time.monotonic() - began
        book.see_shown(running)

    for number in range(KILLS):
        running = RunningDaemon(flows, state, env=RESTLESS)
        try:
            with person.editing():
                if number % 2:  # before it is ready: while it reads what was left, or writes it
                    time.sleep(start_s * draw.uniform(0.3, 1.2))  # the moment of the kill
                else:
                    running.wait_ready()
                    book.see_shown(running)
                    time.sleep(draw.uniform(0, 0.3))  # the moment of the kill
                running.kill()
        finally:
            running.kill()
        book.see_kept()

    with daemon(flows, state, env=RESTLESS) as running:
        book.see_shown(running)
        sound = {
            name: version for name, version in person.good.items() if not person.is_broken[name]
        }
        assert {name: book.floor[name] for name in sound} == sound
        eventually(lambda: running.source_condition()["status"] == "True")

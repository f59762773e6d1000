"""A look at what is new says what a look at everything says, whatever has happened to the files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from hypothesis import event, given, settings
from hypothesis import strategies as st

from flowrunner.definitions.compiler import Compiler
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.plan import Plan, make_plan
from flowrunner.reconcile.replan import Planner
from flowrunner.reconcile.scan import Scanner, Snapshot
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.registry.entry import FlowEntry
from flowrunner.system.files import FileKind
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import NOT_YAML, broken_text, flow_text, hook
from tests.fakes.files import FakeFiles
from tests.fakes.nodes import builtin_nodes
from tests.profile import examples

ROOT = Path("/flows")
NAMES = ("a", "b", "c")
PATHS = ("a.yaml", "b.yaml", "c.yaml", "sub/a.yaml", "sub/d.yaml")
EARLY = datetime(1970, 1, 1, 0, 0, 2, 8_000, tzinfo=UTC)
"""Two seconds after the eighth thing that is made in the fake files: later ones are unsure."""
LATE = datetime(2026, 3, 15, tzinfo=UTC)

paths, names, versions = st.sampled_from(PATHS), st.sampled_from(NAMES), st.integers(0, 3)


class MovableClock(FakeClock):
    """The clock of a compiler that serves many examples: each sets it to what it is then."""

    def start_at(self, start: datetime) -> None:
        self._start, self._advanced = start, 0.0


CLOCK = MovableClock()
COMPILER = Compiler(builtin_nodes(), CLOCK)


class Step(NamedTuple):
    """Something that happens to the files.

    Attributes:
        is_told: Whether the watcher hears of it.
        is_looked_after: Whether a pass follows.
    """

    what: str
    path: str = PATHS[0]
    other: str = PATHS[1]
    name: str = NAMES[0]
    version: int = 0
    is_told: bool = True
    is_looked_after: bool = True


KINDS = ("good", "same name", "same name", "hook", "broken", "nameless", "dated", "not a flow")
steps = st.builds(
    Step,
    what=st.sampled_from(
        (*KINDS, "delete", "rename", "swap", "defaults", "ignore", "link", "other", "month")
    ),
    path=paths,
    other=paths,
    name=names,
    version=versions,
    is_told=st.sampled_from((True, True, True, True, False)),
    is_looked_after=st.booleans(),
)


def text_of(step: Step) -> bytes | None:
    """What is written; None when something else happens."""
    own_name = step.path.replace("/", "-").removesuffix(".yaml")
    daily = {"id": "t", "type": "schedule", "cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    description = str(step.version)
    texts = {
        "good": flow_text(step.name, description=description),
        "same name": flow_text(own_name, description=description),
        "hook": flow_text(step.name, triggers=[hook(f"p{step.version}")]),
        "broken": broken_text(step.name, step.version),
        "nameless": NOT_YAML,
        "dated": flow_text(own_name, triggers=[daily], description=description),
        "not a flow": b"kind: Deployment\napiVersion: apps/v1\n",
    }
    return texts.get(step.what)


class World:
    """A folder, a scanner that looks at what it is told of, and a planner behind it."""

    def __init__(self, now: datetime) -> None:
        self.files = FakeFiles()
        CLOCK.start_at(now)
        self.scanner, self.planner = self.new_scanner(), Planner()
        self.observed: Mapping[FlowKey, FlowEntry] = {}
        self.told: set[str] | None = set()
        self.is_missing = False
        for path in PATHS[:-1]:
            self.put(path, flow_text(path.replace("/", "-").removesuffix(".yaml")))

    def new_scanner(self) -> Scanner:
        return Scanner(self.files, COMPILER, FolderTrees(self.files), CLOCK)

    def put(self, path: str, data: bytes) -> set[str]:
        self.files.write(ROOT / path, data)
        return {path}

    def take(self, path: str) -> bytes | None:
        """Removes a file and returns what it was."""
        stat = self.files.stat(ROOT / path)
        if stat is None or stat.kind is not FileKind.FILE:
            return None
        data = self.files.read(ROOT / path, limit=1 << 20)
        self.files.remove(ROOT / path)
        return data

    def take_step(self, step: Step) -> set[str] | None:
        """Returns what a watcher tells of it; None: anything."""
        text = text_of(step)
        if text is not None:
            return self.put(step.path, text)
        match step.what:
            case "delete":
                return {step.path} if self.take(step.path) else set()
            case "rename":
                data = self.take(step.path)
                return {step.path} | self.put(step.other, data) if data else set()
            case "swap":
                one, other = self.take(step.path), self.take(step.other)
                found = {step.path} | self.put(step.other, one) if one else set()
                return found | ({step.other} | self.put(step.path, other) if other else set())
            case "defaults":
                above = {"version": 1, "env": {"A": str(step.version)}}
                return self.put("sub/_defaults.yaml", json.dumps(above).encode())
            case "ignore":
                self.put(".flowrunnerignore", b"sub/d.yaml" if step.version % 2 else b"")
                return None
            case "link":
                self.files.link(ROOT / step.path, Path(step.other).name)
                return {step.path}
            case "other":
                return self.put("README.md", str(step.version).encode())
        CLOCK.advance(timedelta(days=40).total_seconds())
        return set()

    def hear(self, told: set[str] | None) -> None:
        """Takes note of what a watcher tells."""
        self.told = None if told is None or self.told is None else self.told | told

    def look(self) -> None:
        """Makes a pass; after one that missed nothing it must be as if all had been looked at."""
        told, self.told = self.told, set()
        glance = None if told is None else self.scanner.glance(ROOT, told)
        event("glance" if glance else "scan")
        self.is_missing = self.is_missing and glance is not None
        found = glance or self.scanner.scan(ROOT)
        plan = self.planner.plan(found, self.observed)
        if not self.is_missing:
            truth = self.new_scanner().scan(ROOT)
            assert said(found) == said(truth)
            assert planned(plan) == planned(make_plan(truth, self.observed))
        self.planner.carried_out(found, plan)
        self.observed = plan.entries


def said(found: Snapshot) -> object:
    return found.revision, found.files, found.defaults, found.problem


def planned(plan: Plan) -> object:
    sets = (plan.changed, plan.removed, plan.missed, plan.bare, plan.rejected)
    return dict(plan.entries), sets, plan.errors


@settings(max_examples=examples(150), print_blob=True)
@given(script=st.lists(steps, max_size=25), now=st.sampled_from((EARLY, LATE)))
def test_a_look_at_what_is_new_says_all(script: list[Step], now: datetime) -> None:
    """A pass over hinted names ends as one over all; a lost hint is made good by the next scan."""
    world = World(now)
    world.hear(None)
    world.look()
    for step in script:
        told = world.take_step(step)
        if step.is_told:
            world.hear(told)
        else:
            world.is_missing = world.is_missing or told is None or bool(told)
        if step.is_looked_after:
            world.look()
    world.hear(None)
    world.look()
    assert not world.is_missing

"""Promises of `flowrunner.reconcile.plan` over any course of edits, against a small model."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flowrunner.reconcile.plan import Plan
from flowrunner.reconcile.scan import ScannedFile
from tests.fakes.definitions import NOT_YAML, broken_text, flow_text, hook, scanned
from tests.profile import examples
from tests.unit.reconcile.sources import Source, unread

PATHS = ("1.yaml", "2.yaml", "3.yaml", "sub/4.yaml", "sub/5.yaml")
NAMES = ("a", "b", "c", "d")
HOOKS = ("push", "pull", "merge")
Kind: TypeAlias = Literal["good", "broken", "nameless", "unread"]


class Content(NamedTuple):
    """What a file says; of a nameless or unread one the name cannot be told."""

    kind: Kind
    name: str
    version: int

    @property
    def is_named(self) -> bool:
        return self.kind in ("good", "broken")


class Flow(NamedTuple):
    """A flow of the model: whose it is, and which version is in force, if any."""

    path: str
    version: int | None


@cache
def file_of(path: str, content: Content) -> ScannedFile:
    """The file as a scan finds it."""
    match content.kind:
        case "good":
            return scanned(path, flow_text(content.name, description=str(content.version)))
        case "broken":
            return scanned(path, broken_text(content.name, content.version))
        case "nameless":
            return scanned(path, NOT_YAML + str(content.version).encode())
        case "unread":
            return unread(path)


def next_flows(files: dict[str, Content], flows: dict[str, Flow]) -> dict[str, Flow]:
    """The rules of names in the words of the format, as short as they can be said."""
    claims: defaultdict[str, set[str]] = defaultdict(set)
    for path, content in files.items():
        if content.is_named:
            claims[content.name].add(path)
    is_certain = all(content.is_named for content in files.values())
    for path, content in files.items():
        if not content.is_named:
            held = {name for name, flow in flows.items() if flow.path == path}
            for name in held:
                claims[name].add(path)
    after = {} if is_certain else {n: flow for n, flow in flows.items() if n not in claims}
    for name, paths in claims.items():
        before = flows.get(name)
        if len(paths) > 1 and (before is None or before.path not in paths):
            after.update({} if before is None else {name: before})
            continue
        path = before.path if before and before.path in paths else min(paths)
        content = files[path]
        old = before.version if before else None
        after[name] = Flow(path, content.version if content.kind == "good" else old)
    return after


class Reconciling(RuleBasedStateMachine):
    """Edits of a folder, passes and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.source = Source()
        self.files: dict[str, Content] = {}
        self.flows: dict[str, Flow] = {}
        self.versions = 0

    @initialize()
    def begin(self) -> None:
        for path, name in zip(PATHS, NAMES, strict=False):
            self.write(path, name, "good")
        self.reconcile()

    @rule(
        path=st.sampled_from(PATHS),
        name=st.sampled_from(NAMES),
        kind=st.sampled_from(("good", "good", "broken", "nameless", "unread")),
    )
    def write(self, path: str, name: str, kind: Kind) -> None:
        self.versions += 1
        self.files[path] = Content(kind, name, self.versions)

    @rule(path=st.sampled_from(PATHS), kind=st.sampled_from(("broken", "nameless", "unread")))
    def break_file(self, path: str, kind: Kind) -> None:
        """Breaks a file whose name stays what it was, readable or not."""
        if path in self.files:
            self.write(path, self.files[path].name, kind)

    @rule(path=st.sampled_from(PATHS), other=st.sampled_from(PATHS))
    def copy(self, path: str, other: str) -> None:
        if path in self.files:
            self.files[other] = self.files[path]

    @rule(path=st.sampled_from(PATHS), other=st.sampled_from(PATHS))
    def rename(self, path: str, other: str) -> None:
        if path in self.files:
            self.files[other] = self.files.pop(path)

    @rule(path=st.sampled_from(PATHS), other=st.sampled_from(PATHS))
    def swap(self, path: str, other: str) -> None:
        if path in self.files and other in self.files:
            self.files[path], self.files[other] = self.files[other], self.files[path]

    @rule(path=st.sampled_from(PATHS))
    def delete(self, path: str) -> None:
        self.files.pop(path, None)

    @rule()
    def restart(self) -> None:
        """Memory goes; records of versions in force stay."""
        self.source.restart()
        self.flows = {n: flow for n, flow in self.flows.items() if flow.version is not None}

    @rule()
    def reconcile(self) -> None:
        """Runs a pass; names, digests, revisions and generations move as they should."""
        before, flows = dict(self.source.observed), self.flows
        plan = self._pass()
        assert {key.name for key in plan.removed} == flows.keys() - self.flows.keys()
        assert plan.changed == {
            key
            for key, entry in plan.entries.items()
            if entry.spec and (key not in before or before[key].digest != entry.digest)
        }
        for key, old in before.items():
            new = plan.entries.get(key)
            if new is not None:
                assert new.generation >= old.generation
                assert new.digest != old.digest or new.revision == old.revision
        self._check_incumbents(flows)

    @rule()
    def look_again(self) -> None:
        """A second pass over the same files finds everything as it is."""
        self._pass()
        before = dict(self.source.observed)
        plan = self._pass()
        assert not plan.changed
        assert not plan.removed
        assert dict(plan.entries) == before

    @rule()
    def tidy_up(self) -> None:
        """After every conflict and fault is gone the registry is what the files say."""
        seen: set[str] = set()
        for path, content in sorted(self.files.items()):
            if content.kind != "good" or content.name in seen:
                del self.files[path]
            seen.add(content.name)
        plan = self._pass()
        assert not plan.rejected
        assert not plan.errors
        assert self.flows == {c.name: Flow(path, c.version) for path, c in self.files.items()}

    @invariant()
    def generations_are_in_order(self) -> None:
        for entry in self.source.observed.values():
            assert entry.generation >= entry.observed_generation
            assert (entry.observed_generation > 0) == (entry.spec is not None)

    @invariant()
    def nothing_is_behind_without_a_reason(self) -> None:
        for entry in self.source.observed.values():
            if entry.generation > entry.observed_generation:
                assert any(finding.is_error for finding in entry.findings)

    def _pass(self) -> Plan:
        """Runs a pass; what is in force after it is what the model says."""
        self.flows = next_flows(self.files, self.flows)
        plan = self.source.plan({}, *(file_of(*item) for item in sorted(self.files.items())))
        assert self._in_force() == self.flows
        return plan

    def _in_force(self) -> dict[str, Flow]:
        return {
            key.name: Flow(entry.path, int(entry.definition["description"]) if entry.spec else None)
            for key, entry in self.source.observed.items()
        }

    def _check_incumbents(self, flows: dict[str, Flow]) -> None:
        """Who held a name and still claims it, or cannot be read, has it."""
        for name, flow in flows.items():
            content = self.files.get(flow.path)
            if content is not None and (content.name == name or not content.is_named):
                assert self.flows[name].path == flow.path


Reconciling.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=40, print_blob=True
)
TestReconciling = Reconciling.TestCase
TestReconciling.__doc__ = "Any course of edits, passes and restarts ends as the model says."


@cache
def hooked(name: str, path: str | None, *, is_broken: bool) -> ScannedFile:
    """A flow that claims a webhook path; a broken one claims nothing."""
    if is_broken:
        return scanned(f"{name}.yaml", broken_text(name))
    triggers = [hook(path)] if path else []
    return scanned(f"{name}.yaml", flow_text(name, triggers=triggers))


Claim: TypeAlias = tuple[str | None, bool]
claims_of_a_pass = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.one_of(st.none(), st.sampled_from(HOOKS)), st.booleans()),
)


@settings(max_examples=examples(150), print_blob=True)
@given(st.lists(claims_of_a_pass, min_size=1, max_size=6))
def test_each_path_has_one_flow_and_stays_with_it(passes: list[dict[str, Claim]]) -> None:
    """No two flows in force have one path, and none loses its path to another one."""
    source, before = Source(), dict[str, str]()
    for claims in passes:
        files = [hooked(name, path, is_broken=bad) for name, (path, bad) in claims.items()]
        source.plan({}, *files)
        held = [
            (trigger.path, key.name)
            for key, entry in source.observed.items()
            if entry.spec
            for trigger in entry.spec.webhooks
        ]
        after = dict(held)
        assert len(after) == len(held)
        for path, name in before.items():
            claimed, is_broken = claims.get(name, (None, False))
            if claimed == path or is_broken:
                assert after[path] == name
        for name, (claimed, is_broken) in claims.items():
            rivals = [other for other, claim in claims.items() if claim[0] == claimed]
            if claimed and not is_broken and rivals == [name] and claimed not in before:
                assert after[claimed] == name
        before = after

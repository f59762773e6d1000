"""Flow files and what reconcile makes of them, in as few words as a test needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Json, Revision
from flowrunner.model.secret import SecretValue
from flowrunner.reconcile.plan import make_plan
from flowrunner.reconcile.scan import ScannedFile, Scanner, Snapshot
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.registry.entry import FlowEntry
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles
from tests.fakes.nodes import builtin_compiler

COMPILER = builtin_compiler()
NOT_YAML = b"nodes: ["
"""A file without a readable name."""
_SCANNER = Scanner(FakeFiles(), COMPILER, FolderTrees(FakeFiles()), FakeClock())


def key_of(name: str) -> FlowKey:
    """A flow of the default account."""
    return FlowKey(DEFAULT_ACCOUNT, name)


def flow_text(name: str, **top: Json) -> bytes:
    """A valid flow file (JSON is YAML); `top` adds to the top level or replaces it."""
    nodes = [{"id": "only", "type": "noop"}]
    return json.dumps({"version": 1, "name": name, "nodes": nodes, **top}).encode()


def broken_text(name: str, number: int = 1) -> bytes:
    """A flow file with a readable name and an error, another one for each number."""
    return flow_text(name, nodes=[{"id": "only", "type": f"nothing-{number}"}])


def hook(path: str, *secrets: str, **more: Json) -> Json:
    """A bearer webhook trigger."""
    auth = {"type": "bearer", "secrets": [*(secrets or ("TOKEN",))]}
    return {"type": "webhook", "path": path, "auth": auth, **more}


def scanned(path: str, data: bytes) -> ScannedFile:
    """A file as the scanner finds it."""
    return _SCANNER.compile(data, path)


def snapshot(files: Mapping[str, bytes], revision: str = "r1") -> Snapshot:
    """The source with these files."""
    found = tuple(scanned(path, data) for path, data in sorted(files.items()))
    return Snapshot(revision=Revision(revision), files=found)


def entries(files: Mapping[str, bytes], revision: str = "r1") -> Mapping[FlowKey, FlowEntry]:
    """What is in force after these files were the first ones seen."""
    return make_plan(snapshot(files, revision), {}).entries


def entry(name: str, **top: Json) -> FlowEntry:
    """A flow in force."""
    return entries({f"{name}.yaml": flow_text(name, **top)})[key_of(name)]


def spec(name: str, **top: Json) -> FlowSpec:
    """A compiled flow."""
    found = entry(name, **top).spec
    assert found is not None, "the flow has findings"
    return found


@dataclass
class FakeSecrets:
    """Meets `Secrets`: names → texts, all of the default account; a test may change them."""

    texts: dict[str, str] = field(default_factory=dict)
    is_at_hand: bool = True

    def lookup(self, account: str, name: str) -> SecretValue | None:
        text = self.texts.get(name) if account == DEFAULT_ACCOUNT else None
        return SecretValue(text) if text else None

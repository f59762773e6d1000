"""`_defaults.yaml`: what a folder supplies to the flows below it, nearest wins, key by key.

One such file is a `FolderDefaults`; those above one flow are its `Layers`. Reading the files and
finding out which are above which flow is left to `flowrunner.reconcile`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING

from flowrunner.dataclass import dataclass
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json

if TYPE_CHECKING:  # else every start would load a parser
    from flowrunner.definitions.document import Document, Path

DEFAULTS_FILE = "_defaults.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDefaults:
    """One file, as read and checked by itself.

    Attributes:
        content: SHA-256 of its bytes; empty when it could not be read.
        document: For positions; None when it is no YAML.
        data: As written; empty when the file has errors.
        env: `env` of `data`, its scalars as texts.
    """

    file: str
    content: str = ""
    document: Document | None = field(default=None, compare=False)
    data: Mapping[str, Json] = field(default_factory=dict)
    env: Mapping[str, Json] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def is_broken(self) -> bool:
        """Whether it keeps the flows below it on their last good version."""
        return any(finding.is_error for finding in self.findings)


@dataclass(frozen=True)
class Layers:
    """The defaults above one flow, the outermost first; one object for all flows of a folder."""

    chain: tuple[FolderDefaults, ...] = ()

    @cached_property
    def broken(self) -> tuple[Finding, ...]:
        """What keeps the flow from a new version, whatever its own file says."""
        return tuple(f for layer in self.chain if layer.is_broken for f in layer.findings)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when one of them does; empty without any."""
        if not self.chain:
            return ""
        told = repr([(layer.file, layer.content, layer.findings) for layer in self.chain])
        return hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()

    @cached_property
    def env(self) -> dict[str, Json]:
        """The environment, its scalars as texts."""
        return _joined(layer.env for layer in self.chain)

    @cached_property
    def labels(self) -> dict[str, Json]:
        """The labels."""
        return _joined(layer.data.get("labels", {}) for layer in self.chain)

    @cached_property
    def retention(self) -> dict[str, Json]:
        """What is kept of the executions."""
        return _joined(layer.data.get("retention", {}) for layer in self.chain)

    @cached_property
    def notify(self) -> Json:
        """Who is told what: the nearest list that there is, as a whole; None without one."""
        found = [layer.data["notify"] for layer in self.chain if "notify" in layer.data]
        return found[-1] if found else None

    @cached_property
    def defaults(self) -> dict[str, Json]:
        """What nodes have that do not say it themselves."""
        found: dict[str, Json] = {}
        for layer in self.chain:
            found = merged_defaults(found, layer.data.get("defaults", {}))
        return found

    def with_env(self, data: Mapping[str, Json]) -> dict[str, Json]:
        """Returns a definition as written, with the environment it has from these."""
        given = _joined(layer.data.get("env", {}) for layer in self.chain)
        return {**data, "env": {**given, **data.get("env", {})}} if given else dict(data)

    def document(self, own: Document, name: str | None) -> Document:
        """Returns the document of a flow that knows where what it has from these stands.

        Args:
            own: What stands in the file of the flow.
            name: The flow, for messages about a place outside its file; None: not known.
        """
        written = own.data.get("env") if isinstance(own.data, dict) else None
        known = written if isinstance(written, dict) else {}
        origins: dict[Path, Document] = {
            ("env", key): layer.document
            for layer in self.chain
            if layer.document is not None
            for key in layer.data.get("env", {})
            if key not in known
        }
        return own.with_elsewhere(origins, f"for the flow {name or own.file!r}")


def merged_defaults(outer: Mapping[str, Json], inner: Mapping[str, Json]) -> dict[str, Json]:
    """Returns two `defaults` as one: the inner one wins, key by key, within `retry` too."""
    found = {**outer, **inner}
    if "retry" in outer and "retry" in inner:
        found["retry"] = {**outer["retry"], **inner["retry"]}
    return found


def _joined(maps: Iterable[Mapping[str, Json]]) -> dict[str, Json]:
    """Returns the maps as one: the later one wins, key by key."""
    return {key: value for each in maps for key, value in each.items()}

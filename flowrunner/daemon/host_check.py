"""Facts of a host as findings: what `flowrunner validate --settings` says beside the files.

For the daemon the same facts are conditions of a flow, which is why the compiler knows nothing of
them. A secret is only looked for; its value goes nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from flowrunner.definitions import codes
from flowrunner.definitions.compiler import NO_LAYERS, Candidate, Reader
from flowrunner.definitions.document import Document, Path
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.model.finding import Finding
from flowrunner.model.ids import FlowKey, Json
from flowrunner.reconcile.missing_secrets import missing_secrets
from flowrunner.secrets.lookup import ENVIRONMENT_PREFIX, Secrets


class HostCheckingReader:
    """Compiles files and adds what this host lacks for them; such a flow keeps its spec."""

    def __init__(self, reader: Reader, secrets: Secrets) -> None:
        self._reader = reader
        self._secrets = secrets

    def read_defaults(self, data: bytes, *, file: str) -> FolderDefaults:
        """Returns what a `_defaults.yaml` says: it names no secrets."""
        return self._reader.read_defaults(data, file=file)

    def is_current(self, candidate: Candidate) -> bool:
        """Whether the file would compile to the same now."""
        return self._reader.is_current(candidate)

    def read(
        self, data: bytes, *, file: str, account: str, layers: Layers = NO_LAYERS
    ) -> Candidate:
        """Returns the candidate, with `FR601` at each name of a secret that is missing."""
        candidate = self._reader.read(data, file=file, account=account, layers=layers)
        if candidate.spec is None or not candidate.spec.secrets_in_use:
            return candidate
        key = FlowKey(account, candidate.spec.key.name)
        names = missing_secrets({key: candidate.spec}, self._secrets).get(key, ())
        if not names:
            return candidate
        added = _findings(read_yaml(data, file=file), names)
        return replace(candidate, findings=tuple(sorted({*candidate.findings, *added})))


def _findings(document: Document, names: Sequence[str]) -> Iterator[Finding]:
    for path, name in _places(document.data):
        if name in names:
            yield document.finding(
                codes.SECRET_MISSING,
                f"this host has no secret {name!r}",
                path=path,
                hint=f"a file {name} in the credentials directory, or {ENVIRONMENT_PREFIX}{name}",
            )


def _places(definition: Json) -> Iterator[tuple[Path, str]]:
    """Yields every place where a valid definition says which secrets it needs."""
    for index, name in enumerate(definition.get("secrets", ())):
        yield ("secrets", index), name
    for number, trigger in enumerate(definition.get("triggers", ())):
        path: Path = ("triggers", number, "auth")
        auth = trigger.get("auth", {})
        if "secret" in auth:
            yield (*path, "secret"), auth["secret"]
        for index, name in enumerate(auth.get("secrets", ())):
            yield (*path, "secrets", index), name

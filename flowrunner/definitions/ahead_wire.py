"""What goes to and comes from processes that compile files ahead: `flowrunner.definitions.ahead`.

A piece of work is some files, an answer what they compile to, under one hash. JSON and bytes, since
what comes by a pipe must never be code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from flowrunner.definitions.cache_lines import key_of
from flowrunner.definitions.candidate import FileText
from flowrunner.definitions.compiler import Compiler
from flowrunner.definitions.folder_defaults import FolderDefaults, Layers
from flowrunner.definitions.late_flow import gist_of_definition
from flowrunner.definitions.warm_lines import Line, around_of, line_for, line_of
from flowrunner.model.digest import digest_of
from flowrunner.model.packed import laid_out

_MOST_LAYERS = 256
"""Defaults of so many folders are kept by who compiles."""

_Told = tuple[tuple[str, str, str], ...]
"""The defaults above a file: name, hash and text of each."""


class Ask(NamedTuple):
    """A file that is to be compiled; see `Compiler.read`."""

    data: bytes
    file: str
    account: str
    layers: Layers

    @property
    def key(self) -> bytes:
        """The key of all that it compiles from."""
        return key_of((self.data, *around_of(self.file, self.account, self.layers)))


class Compiled(NamedTuple):
    """What a file compiled to.

    Attributes:
        line: All that is said of it, as it is kept for the next start.
        definition: Its effective definition, laid out; empty if it has errors.
    """

    line: Line
    definition: bytes


def can_be_sent(ask: Ask) -> bool:
    """Whether a file can be compiled elsewhere: not below defaults of which there is no text."""
    return all(layer.document is not None for layer in ask.layers.chain)


def batch_of(asks: Sequence[Ask]) -> bytes:
    """Returns the piece of work that some files are."""
    layers = {ask.layers.fingerprint: _told(ask.layers) for ask in asks}
    files = [(ask.file, ask.account, ask.layers.fingerprint, len(ask.data)) for ask in asks]
    head = json.dumps({"layers": layers, "files": files}).encode()
    return b"\n".join((head, b"".join(ask.data for ask in asks)))


def compiled_in(answer: bytes | None, asks: Sequence[Ask]) -> dict[str, Compiled]:
    """Returns what the files of a batch compiled to, by their names; empty if it makes no sense."""
    seal, _, rest = (answer or b"").partition(b"\n")
    if seal != _seal(rest):
        return {}
    try:
        found = list(_parts_of(rest))
    except (ValueError, TypeError, AttributeError):
        return {}
    told = zip(asks, found, strict=False)
    return {ask.file: each for ask, each in told if each is not None}


def _parts_of(rest: bytes) -> Iterator[Compiled | None]:
    """Yields what each file compiled to; None where that makes no sense."""
    head, _, data = rest.partition(b"\n")
    start = 0
    for length, size in json.loads(head):
        middle, end = start + length, start + length + size
        line, definition = line_of(data[start:middle]), data[middle:end]
        makes_sense = line is not None and definition.startswith(b"{") is bool(line.digest)
        yield Compiled(line, definition) if line is not None and makes_sense else None
        start = end


def _answer_of(found: Iterable[Compiled]) -> bytes:
    parts = [part for each in found for part in (each.line.text, each.definition)]
    head = json.dumps([*zip(map(len, parts[::2]), map(len, parts[1::2]), strict=True)])
    rest = b"\n".join((head.encode(), b"".join(parts)))
    return b"\n".join((_seal(rest), rest))


def _seal(rest: bytes) -> bytes:
    return hashlib.sha256(rest).hexdigest().encode()


class AheadCompiler:
    """Answers batches; the other side of `CrewAhead`, in a process of its own."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._layers: dict[_Told, Layers] = {}

    def answer(self, batch: bytes) -> bytes:
        """Returns what the files of a batch compile to."""
        head, _, data = batch.partition(b"\n")
        told = json.loads(head)
        layers = {name: self._layers_of(chain) for name, chain in told["layers"].items()}
        return _answer_of(self._compiled(told["files"], layers, data))

    def _compiled(
        self, files: Sequence[tuple[str, str, str, int]], layers: Mapping[str, Layers], data: bytes
    ) -> list[Compiled]:
        """Takes each step for all files before the next one; see `Examiner.examine_each`."""
        ends = accumulate(size for *_, size in files)
        asks = [
            Ask(data[end - size : end], file, account, layers[above])
            for (file, account, above, size), end in zip(files, ends, strict=True)
        ]
        drafts = self._compiler.drafts([FileText(it.data, it.file, it.layers) for it in asks])
        flows = [definition for _, definition in drafts if definition is not None]
        told = zip(
            [digest_of(each) for each in flows],
            [gist_of_definition(each) for each in flows],
            [laid_out(each) for each in flows],
            strict=True,
        )
        found = [("", b"", b"") if definition is None else next(told) for _, definition in drafts]
        return [
            Compiled(line_for(ask.key, candidate, digest, gist), text)
            for ask, (candidate, _), (digest, gist, text) in zip(asks, drafts, found, strict=True)
        ]

    def _layers_of(self, chain: Sequence[Sequence[str]]) -> Layers:
        told: _Told = tuple((file, content, text) for file, content, text in chain)
        if told not in self._layers:
            if len(self._layers) >= _MOST_LAYERS:
                self._layers.clear()
            self._layers[told] = Layers(tuple(self._layer(*each) for each in told))
        return self._layers[told]

    def _layer(self, file: str, content: str, text: str) -> FolderDefaults:
        """Returns the defaults of a text; the hash is that of its bytes, as they were read."""
        return replace(self._compiler.read_defaults(text.encode(), file=file), content=content)


def _told(layers: Layers) -> _Told:
    return tuple(
        (layer.file, layer.content, layer.document.text)
        for layer in layers.chain
        if layer.document is not None
    )

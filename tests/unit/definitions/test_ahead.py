"""Files that a crew compiles ahead are what the reader itself makes of them, or it makes them."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.flow_files import flow_text
from flowrunner.definitions.ahead import CrewAhead
from flowrunner.definitions.ahead_wire import AheadCompiler, Ask, batch_of
from flowrunner.definitions.compiler import NO_LAYERS, Candidate
from flowrunner.definitions.event_tree import EventTree
from flowrunner.definitions.folder_defaults import Layers
from flowrunner.definitions.warm_lines import line_of
from flowrunner.definitions.warm_reader import WarmReader
from flowrunner.model.packed import laid_out
from tests.definitions.examples import BAD, GOOD
from tests.fakes.crew import HereCrew, Spoil
from tests.fakes.nodes import builtin_compiler, builtin_nodes

DEFAULTS = (
    ("_defaults.yaml", b"\xef\xbb\xbfenv: {A: 1, B: x}\r\nlabels: {team: a}\n"),
    ("t/_defaults.yaml", b"env: {B: '${{ secrets.S }}'}\ndefaults: {timeout: 1h}\n"),
)
BROKEN = (("_defaults.yaml", b"env: {A: []}\nnope: 1\n"),)
NO_YAML = (("_defaults.yaml", b"env: ["),)
UNREADABLE_NAME = "t/\udcff.yaml"


class MemoryStore:
    """Meets `Store`."""

    data: bytes | None = None

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data


class Reading:
    """One reading of files through a reader with a crew."""

    def __init__(self, crew: HereCrew, many: int = 1, store: MemoryStore | None = None) -> None:
        self.compiler = builtin_compiler()
        self.own: list[str] = []
        compile_file = self.compiler.draft

        def counted(
            data: bytes, *, file: str, layers: Layers = NO_LAYERS
        ) -> tuple[Candidate, object]:
            self.own.append(file)
            return compile_file(data, file=file, layers=layers)

        self.compiler.draft = counted  # type: ignore[method-assign, assignment]
        ahead = CrewAhead(crew, many)
        self.reader = WarmReader(
            self.compiler, builtin_nodes(), store or MemoryStore(), lambda _: None, ahead
        )
        self.reader.load()

    def of(self, asks: Sequence[Ask]) -> list[Candidate]:
        items = self.reader.through(asks, lambda item: item, len(asks))
        return [
            self.reader.read(ask.data, file=ask.file, account=ask.account, layers=ask.layers)
            for ask in items
        ]


def layers_of(*files: tuple[str, bytes]) -> Layers:
    compiler = builtin_compiler()
    return Layers(tuple(compiler.read_defaults(data, file=file) for file, data in files))


def asks_of(files: Iterable[tuple[str, bytes]], layers: Layers = NO_LAYERS) -> list[Ask]:
    return [Ask(data, file, "default", layers) for file, data in files]


EXAMPLES = [(path.name, path.read_bytes()) for path in (*GOOD, *BAD)]
MANY = [(f"t/f{number}.yaml", flow_text(number).encode()) for number in range(40)]


def told(candidates: Iterable[Candidate]) -> list[object]:
    """All that is said of files, down to the bytes of their definitions."""
    return [
        (each, None if each.definition is None else laid_out(each.definition))
        for each in candidates
    ]


@pytest.mark.heavy
@pytest.mark.parametrize(
    "above", [(), DEFAULTS, BROKEN], ids=["no defaults", "defaults", "broken defaults"]
)
def test_crew_finds_what_the_reader_finds(above: tuple[tuple[str, bytes], ...]) -> None:
    """Every good and bad file, below every kind of defaults: the same candidates, byte by byte."""
    asks = asks_of(EXAMPLES, layers_of(*above))
    reading = Reading(HereCrew())
    assert told(reading.of(asks)) == told(Reading(HereCrew(), many=10**6).of(asks))
    assert reading.own == [], "all of them came from the crew"


def test_defaults_that_are_no_yaml_are_not_sent() -> None:
    """Below them the reader compiles: there is no text of theirs to send."""
    asks = asks_of(MANY[:2], layers_of(*NO_YAML))
    reading = Reading(HereCrew())
    assert told(reading.of(asks)) == told(Reading(HereCrew(), many=10**6).of(asks))
    assert reading.own == [file for file, _ in MANY[:2]]


def test_names_and_texts_of_any_bytes_can_be_sent() -> None:
    """Names that are no UTF-8 or have two lines, a file that is no text, and an empty one."""
    files = [(UNREADABLE_NAME, b"\xff\n\n"), ("empty.yaml", b""), ("a\nb.yaml", MANY[0][1])]
    reading = Reading(HereCrew())
    assert told(reading.of(asks_of(files))) == told(Reading(HereCrew(), many=99).of(asks_of(files)))
    assert reading.own == []


def test_few_files_are_not_sent() -> None:
    """Processes would take longer to begin than the work takes."""
    crew = HereCrew()
    Reading(crew, many=41).of(asks_of(MANY))
    assert crew.works == []
    assert not crew.is_closed


def test_known_files_are_not_sent() -> None:
    """What an earlier life has kept is not compiled again, by anybody."""
    store, broken = MemoryStore(), asks_of([("b.yaml", b"version: 1\nname: b\nnodes: []\n")])
    first = Reading(HereCrew(), store=store)
    first.of(broken)
    first.reader.save(["b.yaml"])
    crew = HereCrew()
    again = Reading(crew, store=store)
    assert len(again.of([*broken, *asks_of(MANY[:1])])) == 2
    assert b"b.yaml" not in b"".join(crew.works)
    assert again.own == []


def test_items_that_are_no_files_keep_their_places() -> None:
    """What needs no compiling comes through in the same order, also behind the last file."""
    asks = asks_of(MANY)
    items: list[Ask | int] = [1, *asks[:17], 2, 3, *asks[17:], 4]
    ahead = CrewAhead(HereCrew(), 1)
    found = list(ahead.through(items, lambda it: it if isinstance(it, Ask) else None, len(items)))
    assert found == items


def test_crew_is_let_go_when_the_reading_stops() -> None:
    """A source that moves under the reading ends the processes too."""
    crew = HereCrew()
    asks = asks_of(MANY)
    items = CrewAhead(crew, 1).through(asks, lambda it: it, len(asks))
    next(iter(items))
    items.close()  # type: ignore[attr-defined]  # a generator
    assert crew.is_closed


Part = tuple[bytes, bytes]


def sealed_as(rest: bytes) -> bytes:
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def parts_of(answer: bytes) -> list[Part]:
    """The line and the definition of each file of an answer."""
    _, head, data = answer.split(b"\n", 2)
    found = []
    for length, size in json.loads(head):
        line, definition, data = data[:length], data[length : length + size], data[length + size :]
        found.append((line, definition))
    return found


def with_field(name: str, value: bytes) -> Spoil:
    """Puts a value into the line of each file of an answer."""

    def spoil(answer: bytes) -> bytes:
        read = [(line_of(line), definition) for line, definition in parts_of(answer)]
        return answer_of(
            (line._replace(**{name: value}).text, definition) for line, definition in read if line
        )

    return spoil


def answer_of(parts: Iterable[Part]) -> bytes:
    """An answer of these files, sealed as if all were well."""
    found = list(parts)
    head = [(len(line), len(definition)) for line, definition in found]
    rest = b"".join(line + definition for line, definition in found)
    return sealed_as(json.dumps(head).encode() + b"\n" + rest)


SPOILS: dict[str, Spoil] = {
    "no answer": lambda _: None,
    "empty": lambda _: b"",
    "cut": lambda answer: answer[:-7],
    "another byte": lambda answer: answer.replace(b"export", b"exporT", 1),
    "no parts": lambda _: sealed_as(b""),
    "parts of nothing": lambda _: sealed_as(b"[[1, 2], []]"),
    "parts of no lengths": lambda _: sealed_as(b'[[1, 1], ["b", null]]'),
    "of other files": lambda answer: answer_of(reversed(parts_of(answer))),
    "no lines": lambda answer: answer_of((b"{", text) for _, text in parts_of(answer)),
    "no findings": with_field("findings", b"{"),
    "findings that are none": with_field("findings", b'[{"line": 5}]'),
    "no month": with_field("as_of", b"soon"),
    "no name": with_field("name", b"\xff"),
    "no flow": with_field("digest", b""),
    "no definition": lambda answer: answer_of((line, b"x") for line, _ in parts_of(answer)),
    "a list for a definition": lambda answer: answer_of(
        (line, b"[]") for line, _ in parts_of(answer)
    ),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_answer_that_makes_no_sense_costs_only_time(spoil: Spoil) -> None:
    """The reader compiles itself, with the same result."""
    asks = asks_of(MANY)
    reading = Reading(HereCrew(spoil))
    assert told(reading.of(asks)) == told(Reading(HereCrew(), many=99).of(asks))
    assert len(reading.own) == len(asks)


def test_gist_that_makes_no_sense_is_left_alone() -> None:
    """The flow is made of its definition instead, and is the same."""
    asks = asks_of(MANY)
    reading = Reading(HereCrew(with_field("gist", b"[]")))
    assert told(reading.of(asks)) == told(Reading(HereCrew(), many=99).of(asks))
    assert reading.own == []


def test_what_is_kept_is_the_same_whoever_compiled_it() -> None:
    """A line for the next start is what this process would have written, gist and all."""
    asks, kept = asks_of([*MANY, *EXAMPLES[:60]]), []
    for many in (1, 10**6):
        store = MemoryStore()
        reading = Reading(HereCrew(), many, store)
        reading.of(asks)
        reading.reader.save([ask.file for ask in asks])
        kept.append(store.data)
    assert kept[0] == kept[1]


def test_a_compiled_file_leaves_no_positions_behind() -> None:
    """A member of the crew looks for no garbage: what refers to itself would stay to its end."""
    member = AheadCompiler(builtin_compiler())
    gc.collect()
    gc.disable()
    try:
        member.answer(batch_of(asks_of(MANY)))
        left = [each for each in gc.get_objects() if isinstance(each, EventTree)]
    finally:
        gc.enable()
    assert not left


def test_what_was_sent_is_taken_only_for_itself() -> None:
    """Other bytes under the same name are compiled; so is the same text below other defaults."""
    reading = Reading(HereCrew())
    (ask,) = asks_of(MANY[:1])
    other = flow_text(77).encode()
    assert list(reading.reader.through([ask], lambda item: item, 0)) == [ask]
    items = reading.reader.through([ask], lambda item: item, 1)
    next(items)
    candidate = reading.reader.read(other, file=ask.file, account=ask.account)
    assert candidate.name == "export-77"
    assert reading.own == [ask.file]


@given(st.lists(st.binary(max_size=300), max_size=40), st.integers(0, 3))
def test_any_bytes_come_back_as_the_reader_reads_them(texts: list[bytes], above: int) -> None:
    """Whatever files hold, whoever compiles them finds the same."""
    layers = layers_of(*((), DEFAULTS, BROKEN, NO_YAML)[above])
    asks = asks_of(((f"{number}.yaml", data) for number, data in enumerate(texts)), layers)
    assert told(Reading(HereCrew()).of(asks)) == told(Reading(HereCrew(), many=99).of(asks))


def test_batch_names_defaults_once() -> None:
    """Defaults of a whole fleet are not sent again for each of its files."""
    layers = layers_of(*DEFAULTS)
    batch = batch_of(asks_of(MANY, layers))
    assert batch.count(layers.chain[0].content.encode()) == 1
    assert hashlib.sha256(DEFAULTS[0][1]).hexdigest() == layers.chain[0].content

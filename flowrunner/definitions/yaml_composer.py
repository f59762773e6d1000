"""Builds a document from parser events, one at a time, within bounds and without recursion.

Keeps the rules that concern several events at once: unique keys that are text, depth, size, and
aliases that cannot explode. `flowrunner.definitions.yaml_reader` feeds it.
"""

from __future__ import annotations

from typing import NoReturn, Protocol

from flowrunner.definitions import codes
from flowrunner.definitions.codes import Code
from flowrunner.definitions.document import (
    AliasShape,
    Document,
    Leaf,
    MappingShape,
    Marked,
    SequenceShape,
)
from flowrunner.definitions.source import TEXT_START, Mark, Source, YamlError, quote
from flowrunner.definitions.yaml_faults import TAG_HINT, TOO_DEEP_MESSAGE, braces_hint
from flowrunner.definitions.yaml_frames import Anchor, Frame, MappingFrame, SequenceFrame
from flowrunner.definitions.yaml_scalars import (
    NumberTooLargeError,
    TagMisfitError,
    resolve_plain,
    resolve_tagged,
)
from flowrunner.model.finding import pointer_of
from flowrunner.model.ids import Json

MAX_DEPTH = 50
"""How deep lists and mappings may be nested, aliases expanded."""

MAX_NODES = 100_000
"""How many values a document may have, keys included, aliases expanded."""

MAX_KEY_LENGTH = 1_024
"""Longest key in code points, which is YAML's own limit for all keys but those after `? `."""

_TEXT_PER_NODE = 64
"""Code points behind an alias that count as one more node: long texts must not explode either."""

_NEAR = 40
"""Code points in which it shows what braces are meant for."""

_TAG_PREFIX = "tag:yaml.org,2002:"

_ODD_KEYS = frozenset({"", "<<"})
"""Keys that are none unless they are quoted."""


class CollectionStart(Marked, Protocol):
    """The beginning of a list or mapping as the parser reports it."""

    @property
    def tag(self) -> str | None:
        """Its tag, resolved."""

    @property
    def anchor(self) -> str | None:
        """Its anchor."""


class CollectionEnd(Protocol):
    """The end of a list or mapping as the parser reports it."""

    @property
    def end_mark(self) -> Mark:
        """Just behind it."""


class Alias(Marked, Protocol):
    """An alias as the parser reports it."""

    @property
    def anchor(self) -> str:
        """The anchor it names."""


class Composer:
    """Takes the events of one document in order and gives the document.

    Every method that takes an event raises `YamlError` when the event breaks a rule; the composer
    is of no use after that.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._outermost = SequenceFrame(TEXT_START)
        self._frame: Frame = self._outermost
        self._parents: list[Frame] = []
        self._anchors: dict[str, Anchor] = {}
        self._nodes = 0

    def document(self) -> Document:
        """Returns the document, once all of its events are taken."""
        return Document(self._outermost.data[0], self._outermost.shape.items[0], self._source)

    def scalar(self, event: Leaf) -> None:
        """Takes a scalar: a key or a value."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse_size(event)
        frame = self._frame
        if frame.awaits_key and isinstance(frame, MappingFrame):
            key = event.value
            if event.tag or event.anchor or len(key) > MAX_KEY_LENGTH or key in _ODD_KEYS:
                self._key(event, frame)
            elif key in frame.data:
                self._take_key(key, event, frame)
            else:
                frame.take_key(key, event)
        elif event.style or event.tag or event.anchor:
            is_text = not (event.tag or event.anchor)
            frame.add(event.value if is_text else self._value(event), event)
        else:
            try:
                frame.add(resolve_plain(event.value), event)
            except NumberTooLargeError:
                self._refuse_number(event)

    def open_sequence(self, event: CollectionStart) -> None:
        """Takes the beginning of a list."""
        self._open(event, SequenceFrame(event.start_mark), _TAG_PREFIX + "seq")

    def open_mapping(self, event: CollectionStart) -> None:
        """Takes the beginning of a mapping."""
        self._open(event, MappingFrame(event.start_mark), _TAG_PREFIX + "map")

    def close(self, event: CollectionEnd) -> None:
        """Takes the end of a list or mapping."""
        frame = self._frame
        height = frame.height + 1
        anchor = frame.anchor
        if anchor is not None:
            length = event.end_mark.index - frame.shape.start_mark.index
            anchor.size = self._nodes - anchor.before + length // _TEXT_PER_NODE
            anchor.height = height
        parent = self._parents.pop()
        parent.add(frame.data, frame.shape)
        parent.height = max(parent.height, height)
        self._frame = parent

    def alias(self, event: Alias) -> None:
        """Takes an alias: a key or a value."""
        name = quote("*" + event.anchor)
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            hint = 'Quote a text that begins with "*".'
            self._refuse(codes.ALIAS, f"the alias {name} has no anchor above it", event, hint=hint)
        if not anchor.size:
            self._refuse(codes.ALIAS, f"the alias {name} stands inside its own anchor", event)
        self._nodes += anchor.size
        if self._nodes > MAX_NODES:
            self._refuse_size(event)
        if len(self._parents) + anchor.height > MAX_DEPTH:
            self._refuse_depth(event)
        frame = self._frame
        if isinstance(frame, MappingFrame) and frame.awaits_key:
            if isinstance(anchor.shape, SequenceShape | MappingShape):
                self._refuse_collection_key(event)
            self._take_key(anchor.shape.value, event, frame)
            return
        frame.add(anchor.data, AliasShape(event.start_mark, anchor.shape))
        frame.height = max(frame.height, anchor.height)

    def _open(self, event: CollectionStart, frame: Frame, tag: str) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse_size(event)
        if len(self._parents) == MAX_DEPTH:
            self._refuse_depth(event)
        if isinstance(self._frame, MappingFrame) and self._frame.awaits_key:
            self._refuse_collection_key(event)
        if event.tag and event.tag != tag:
            self._refuse_tag(event.tag, event)
        if event.anchor:
            frame.anchor = Anchor(frame.data, frame.shape, self._nodes - 1)
            self._anchors[event.anchor] = frame.anchor
        self._parents.append(self._frame)
        self._frame = frame

    def _value(self, event: Leaf) -> Json:
        """Returns the value of a scalar that is not merely plain, and remembers its anchor."""
        value: Json = event.value
        try:
            if event.tag:
                value = self._tagged(event.tag, event)
            elif not event.style:
                value = resolve_plain(event.value)
        except NumberTooLargeError:
            self._refuse_number(event)
        if event.anchor:
            length = event.end_mark.index - event.start_mark.index
            size = 1 + length // _TEXT_PER_NODE
            self._anchors[event.anchor] = Anchor(value, event, self._nodes, size)
        return value

    def _tagged(self, tag: str, event: Leaf) -> Json:
        if not tag.startswith(_TAG_PREFIX):
            self._refuse_tag(tag, event)
        try:
            return resolve_tagged(tag.removeprefix(_TAG_PREFIX), event.value)
        except TagMisfitError:
            self._refuse_tag(tag, event)

    def _key(self, event: Leaf, frame: MappingFrame) -> None:
        if not event.style and event.value in _ODD_KEYS:
            self._refuse_plain_key(event)
        if event.tag and event.tag != _TAG_PREFIX + "str":
            self._refuse_tag(event.tag, event)
        if event.anchor:
            self._value(event)
        self._take_key(event.value, event, frame)

    def _take_key(self, key: str, place: Marked, frame: MappingFrame) -> None:
        if len(key) > MAX_KEY_LENGTH:
            message = f"a key is longer than {MAX_KEY_LENGTH:,} characters"
            self._refuse(codes.KEY_NOT_STRING, message, place)
        if key in frame.data:
            first = self._source.position(frame.shape.keys[key].start_mark)
            at = f"line {first.line}, column {first.column}"
            message = f"the key {quote(key)} stands here again; it is first at {at}"
            frame.take_key(key, place)
            self._refuse(codes.DUPLICATE_KEY, message, place, "Remove or rename one of the two.")
        frame.take_key(key, place)

    def _refuse_plain_key(self, event: Leaf) -> NoReturn:
        if event.value:
            hint = 'Write the keys out; a key of that name is quoted: "<<".'
            self._refuse(codes.MERGE_KEY, "merge keys are not part of YAML 1.2", event, hint)
        self._refuse(codes.KEY_NOT_STRING, "a key is missing here", event)

    def _refuse_collection_key(self, event: Marked) -> NoReturn:
        index = event.start_mark.index
        near = self._source.text[max(0, index - 1) : index + _NEAR].partition("\n")[0]
        hint = braces_hint(near) if near.startswith(("{{", "[{{")) else ""
        self._refuse(codes.KEY_NOT_STRING, "a list or map cannot be a key", event, hint)

    def _refuse_tag(self, tag: str, event: Marked) -> NoReturn:
        name = "!!" + tag.removeprefix(_TAG_PREFIX) if tag.startswith(_TAG_PREFIX) else tag
        self._refuse(codes.TAG, f"the tag {quote(name)} is not allowed here", event, TAG_HINT)

    def _refuse_number(self, event: Leaf) -> NoReturn:
        message = f"the number {quote(event.value)} is too large"
        self._refuse(codes.NUMBER_TOO_LARGE, message, event, "Quote the value if it is a text.")

    def _refuse_depth(self, event: Marked) -> NoReturn:
        self._refuse(codes.TOO_DEEP, TOO_DEEP_MESSAGE, event)

    def _refuse_size(self, event: Marked) -> NoReturn:
        message = f"the file holds more than {MAX_NODES:,} values, aliases expanded"
        self._refuse(codes.TOO_MANY_NODES, message, event)

    def _refuse(self, code: Code, message: str, place: Marked, hint: str = "") -> NoReturn:
        frames = [*self._parents[1:], self._frame] if self._parents else []
        path = tuple(part for frame in frames for part in frame.step)
        position = self._source.position(place.start_mark)
        pointer = pointer_of(path)
        raise YamlError(self._source.finding(code, message, position, pointer=pointer, hint=hint))

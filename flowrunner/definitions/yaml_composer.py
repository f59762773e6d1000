"""Builds a document from parser events, one at a time, within bounds and without recursion.

Keeps the rules that concern several events at once: unique keys that are text, depth, size, and
aliases that cannot explode. `flowrunner.definitions.yaml_reader` feeds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from flowrunner.definitions import codes
from flowrunner.definitions.codes import Code
from flowrunner.definitions.document import Document
from flowrunner.definitions.event_tree import EventTree, Leaf, Marked
from flowrunner.definitions.source import Mark, Path, Source, YamlError, quote
from flowrunner.definitions.yaml_events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from flowrunner.definitions.yaml_faults import TAG_HINT, TOO_DEEP_MESSAGE, braces_hint
from flowrunner.definitions.yaml_scalars import (
    VALUE_STARTS,
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


class _Anchor:
    """What an alias stands for: the event of an index, and what was made of it.

    `size` is in nodes; 0 as long as the collection is open. `height` is how deep it is.
    """

    __slots__ = ("at", "before", "data", "height", "size")

    def __init__(self, data: Json, at: int, before: int, size: int = 0) -> None:
        self.data = data
        self.at = at
        self.before = before
        self.size = size
        self.height = 0


_ITEM: Any = object()
"""The key of what comes next in a list."""


class _Level:
    """A list or mapping that is open.

    Attributes:
        start: Index of its event.
        key: Of what comes next in it; None when a key comes next.
        height: How deep it is so far, without itself.
    """

    __slots__ = ("data", "height", "key", "start")

    def __init__(self, data: Any, start: int, key: Any) -> None:
        self.data = data
        self.start = start
        self.key = key
        self.height = 0

    @property
    def step(self) -> Path:
        """The part of a path that leads to what comes next."""
        if self.key is _ITEM:
            return (len(self.data),)
        return () if self.key is None else (self.key,)

    def add(self, value: Json) -> None:
        """Takes the next item or value."""
        if self.key is _ITEM:
            self.data.append(value)
        else:
            self.data[self.key] = value
            self.key = None


class Composer:
    """Takes the events of one document in order and gives the document.

    It is of no use after an event that breaks a rule.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._root: list[Json] = []
        self._level = _Level(self._root, -1, _ITEM)
        self._above: list[_Level] = []
        self._nodes = 0
        self._events: list[Any] = []
        self._ends: dict[int, int] = {}
        self._targets: dict[int, int] = {}
        self._anchors: dict[str, _Anchor] = {}
        self._open_anchors: dict[int, _Anchor] = {}

    def document(self) -> Document:
        """Returns the document, once all of its events are taken."""
        return Document(self._root[0], self._source, self.tree)

    def compose(self, get_event: Callable[[], Any]) -> Mark:
        """Takes the events of a document, and returns the end of that.

        Raises:
            YamlError: An event breaks a rule.
        """
        takers: dict[type, Callable[[Any], None]] = {
            MappingStartEvent: self._open,
            SequenceStartEvent: self._open,
            MappingEndEvent: self._close,
            SequenceEndEvent: self._close,
            AliasEvent: self._alias,
        }
        level, events, nodes = self._level, self._events, self._nodes
        data, key = level.data, level.key
        while True:
            event = get_event()
            if type(event) is not ScalarEvent:
                level.key, self._nodes = key, nodes
                take = takers.get(type(event))
                if take is None:
                    end: Mark = event.end_mark
                    return end
                take(event)
                level, nodes = self._level, self._nodes
                data, key = level.data, level.key
                continue
            nodes += 1
            value = event.value
            if event.anchor or event.tag or nodes > MAX_NODES:
                level.key, self._nodes = key, nodes
                value = self._marked(event)
            elif key is not None and not event.style and value[:1] in VALUE_STARTS:
                level.key = key
                value = self._resolved(event)
            if key is None:
                if value in data or value in _ODD_KEYS or len(value) > MAX_KEY_LENGTH:
                    level.key = key
                    self._check_key(value, event)
                key = value
            elif key is _ITEM:
                data.append(value)
            else:
                data[key] = value
                key = None
            events.append(event)

    def nothing(self, place: Any) -> None:
        """Takes an empty document, which reads as null."""
        self._level.add(None)
        self._events.append(ScalarEvent(None, None, (True, False), "", place, place))

    def _open(self, event: CollectionStart) -> None:
        """Takes the beginning of a list or mapping."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse_size(event)
        if len(self._above) == MAX_DEPTH:
            self._refuse_depth(event)
        if self._level.key is None:
            self._refuse_collection_key(event)
        is_mapping = type(event) is MappingStartEvent
        if event.tag and event.tag != _TAG_PREFIX + ("map" if is_mapping else "seq"):
            self._refuse_tag(event.tag, event)
        start = len(self._events)
        level = _Level({}, start, None) if is_mapping else _Level([], start, _ITEM)
        if event.anchor:
            anchor = _Anchor(level.data, start, self._nodes - 1)
            self._anchors[event.anchor] = self._open_anchors[start] = anchor
        self._above.append(self._level)
        self._level = level
        self._events.append(event)

    def _close(self, event: CollectionEnd) -> None:
        """Takes the end of a list or mapping."""
        level = self._level
        self._ends[level.start] = len(self._events)
        self._events.append(event)
        if level.start in self._open_anchors:
            anchor = self._open_anchors.pop(level.start)
            length = event.end_mark.index - self._events[level.start].start_mark.index
            anchor.size = self._nodes - anchor.before + length // _TEXT_PER_NODE
            anchor.height = level.height + 1
        parent = self._level = self._above.pop()
        if level.height >= parent.height:
            parent.height = level.height + 1
        parent.add(level.data)

    def _alias(self, event: Alias) -> None:
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
        if len(self._above) + anchor.height > MAX_DEPTH:
            self._refuse_depth(event)
        if self._level.key is None:
            self._alias_as_key(event, self._events[anchor.at])
        else:
            self._level.add(anchor.data)
            self._level.height = max(self._level.height, anchor.height)
        self._targets[len(self._events)] = anchor.at
        self._events.append(event)

    def _alias_as_key(self, event: Alias, target: Any) -> None:
        if type(target) is not ScalarEvent:
            self._refuse_collection_key(event)
        self._check_key(target.value, event)
        self._level.key = target.value

    def _marked(self, event: Leaf) -> Json:
        """Returns the key or value of a scalar with an anchor or a tag, or beyond the bound."""
        if self._nodes > MAX_NODES:
            self._refuse_size(event)
        if self._level.key is not None:
            return self._value(event)
        if not event.style and event.value in _ODD_KEYS:
            self._refuse_plain_key(event)
        if event.tag and event.tag != _TAG_PREFIX + "str":
            self._refuse_tag(event.tag, event)
        if event.anchor:
            self._value(event)
        return event.value

    def _value(self, event: Leaf) -> Json:
        """Returns the value of a scalar, and remembers its anchor."""
        value: Json = event.value
        if event.tag:
            value = self._tagged(event.tag, event)
        elif not event.style:
            value = self._resolved(event)
        if event.anchor:
            length = event.end_mark.index - event.start_mark.index
            size = 1 + length // _TEXT_PER_NODE
            self._anchors[event.anchor] = _Anchor(value, len(self._events), self._nodes, size)
        return value

    def _resolved(self, event: Leaf) -> Json:
        try:
            return resolve_plain(event.value)
        except NumberTooLargeError:
            self._refuse_number(event)

    def _tagged(self, tag: str, event: Leaf) -> Json:
        if not tag.startswith(_TAG_PREFIX):
            self._refuse_tag(tag, event)
        try:
            return resolve_tagged(tag.removeprefix(_TAG_PREFIX), event.value)
        except TagMisfitError:
            self._refuse_tag(tag, event)
        except NumberTooLargeError:
            self._refuse_number(event)

    def _check_key(self, key: str, place: Any) -> None:
        """Refuses what is no key, or stands above already."""
        if key in _ODD_KEYS and type(place) is ScalarEvent and not place.style:
            self._refuse_plain_key(place)
        if len(key) > MAX_KEY_LENGTH:
            message = f"a key is longer than {MAX_KEY_LENGTH:,} characters"
            self._refuse(codes.KEY_NOT_STRING, message, place)
        level = self._level
        if key in level.data:
            tree = self.tree()
            first = self._source.position(tree.mark(tree.key(level.start, key)))
            at = f"line {first.line}, column {first.column}"
            message = f"the key {quote(key)} stands here again; it is first at {at}"
            level.key = key
            self._refuse(codes.DUPLICATE_KEY, message, place, "Remove or rename one of the two.")

    def tree(self) -> EventTree:
        """Returns where things stand so far."""
        ends = {**self._ends, self._level.start: len(self._events)}
        return EventTree(self._events, ends, self._targets)

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
        levels = [*self._above[1:], self._level] if self._above else []
        path = tuple(part for level in levels for part in level.step)
        position = self._source.position(place.start_mark)
        pointer = pointer_of(path)
        raise YamlError(self._source.finding(code, message, position, pointer=pointer, hint=hint))

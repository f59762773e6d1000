"""Our dataclasses do what those of the standard library do, but define themselves faster."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import field
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.dataclass import dataclass

_NAMES = ("a", "b", "c", "d")
_KINDS: dict[str, Callable[[], Any]] = {
    "plain": lambda: None,
    "default": lambda: 7,
    "made": lambda: field(default_factory=list),
    "kept out": lambda: field(default=8, compare=False, repr=False),
    "not given": lambda: field(default=9, init=False),
    "set elsewhere": lambda: field(init=False, repr=False, compare=False),
    "unhashed": lambda: field(default=3, hash=False),
}
_CHOICES = st.fixed_dictionaries(
    {name: st.booleans() for name in ("frozen", "slots", "eq", "kw_only")}
)
_FIELDS = st.lists(st.sampled_from(sorted(_KINDS)), max_size=len(_NAMES))


def made(decorator: Callable[..., Any], kinds: list[str], **choices: bool) -> Any:
    """Returns a class with one field of each kind."""
    names = dict(zip(_NAMES, kinds, strict=False))
    space: dict[str, Any] = {"__doc__": "A value.", "__annotations__": dict.fromkeys(names, "Any")}
    space |= {name: _KINDS[kind]() for name, kind in names.items() if kind != "plain"}
    return decorator(**choices)(type("Value", (), {**space, "__module__": __name__}))


def outcome(work: Callable[[], Any]) -> Any:
    """Returns what work returns, or the kind of its error and what it says."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever it is, both must raise it
        return type(error), str(error)


def told(cls: Any, values: list[int], others: list[int]) -> list[Any]:
    """Returns what can be seen of two objects of a class."""
    names = [each.name for each in dataclasses.fields(cls) if each.init]
    kept = [each.name for each in dataclasses.fields(cls) if hasattr(cls, each.name)]
    first, other = (cls(**dict(zip(names, some, strict=False))) for some in (values, others))
    is_hashable = cls.__hash__ is not None
    return [
        repr(first),
        first == other,
        first == cls(**dict(zip(names, values, strict=False))),
        first == object(),
        is_hashable,
        (hash(first) == hash(other)) if is_hashable and cls.__eq__ is not object.__eq__ else None,
        outcome(lambda: repr(dataclasses.replace(first, **dict.fromkeys(names[:1], 5)))),
        outcome(lambda: dataclasses.asdict(first)),
        [outcome(partial(setattr, first, each.name, 1)) for each in dataclasses.fields(cls)],
        [outcome(partial(delattr, first, each.name)) for each in dataclasses.fields(cls)],
        outcome(lambda: cls(no_field=1))[0],
        sorted(kept) if "__slots__" not in vars(cls) else cls.__slots__,
    ]


@given(_FIELDS, _CHOICES, st.lists(st.integers(0, 2), min_size=4, max_size=4), st.data())
def test_a_class_does_what_that_of_the_library_does(
    kinds: list[str], choices: dict[str, bool], values: list[int], data: st.DataObject
) -> None:
    """Whatever its fields and choices: objects, their text, equality, hash, changes, errors."""
    choices["kw_only"] = choices["kw_only"] or kinds != sorted(kinds, key=lambda k: k != "plain")
    others = data.draw(st.lists(st.integers(0, 2), min_size=4, max_size=4))
    theirs = told(made(dataclasses.dataclass, kinds, **choices), values, others)
    assert told(made(dataclass, kinds, **choices), values, others) == theirs


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Version:
    """A value of more than one field, which says no more than the library's."""

    number: int
    parts: tuple[int, ...] = ()
    note: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuses what makes no sense."""
        if self.number < 0:
            raise ValueError("a number is missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Version):
    """One that stands on another dataclass."""

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(slots=True, eq=False)
class Box:
    """One that changes and is only equal to itself."""

    items: list[int] = field(default_factory=list)


def test_values_have_an_order() -> None:
    """By the fields that take part in comparisons, among values of one class."""
    first, second = Version(number=1, parts=(2,), note="z"), Version(number=1, parts=(3,))
    assert first < second
    assert second >= first
    assert min([second, first]).note == "z"
    with pytest.raises(TypeError):
        assert first < Named(number=1, name="a")


def test_a_class_may_stand_on_another_and_have_methods_of_its_own() -> None:
    """It takes the fields, and `__post_init__`; what it defines itself is left alone."""
    assert repr(Named(number=1, name="a")) == "a"
    assert Named(number=1, name="a") != Version(number=1)
    with pytest.raises(ValueError, match="missing"):
        Named(number=-1, name="a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Named(number=1, name="a").number = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_a_value_can_be_copied(copied: Callable[[Version], Version]) -> None:
    """Though nobody may change it."""
    assert copied(Version(number=1, note="a")).note == "a"


def test_an_object_may_keep_to_itself() -> None:
    """Without `eq` it is its own value, and has a place in a set."""
    box = Box()
    assert box != Box()
    assert len({box, Box()}) == 2
    assert Box([1]).items == [1]


def test_a_class_that_says_nothing_of_itself_is_not_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library says its signature instead, for which it loads a tokenizer at each start."""
    monkeypatch.delattr(inspect, "signature")
    assert dataclass(type("Bare", (), {"__module__": __name__})).__doc__ == "Bare"
    space = {"__doc__": "A value.", "__module__": __name__}
    assert dataclass(type("Told", (), space)).__doc__ == "A value."

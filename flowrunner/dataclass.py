"""`dataclass` of the standard library, for classes that are defined faster.

The library writes the source of up to eight methods for each class and compiles it at import: with
three hundred classes, a third of what it takes to import them. Here `__init__` is compiled when the
first object is made, which for half of the classes is never, and the other methods are closures.
A frozen one is made faster, too: its slots fill themselves, where the library looks each up by its
name. All else is the library's: `fields`, `replace` and `asdict`, and a type checker sees its
decorator.

Left out is what nobody here asks for: `init=False`, `unsafe_hash`, `InitVar`, `weakref_slot`, and
the signature as docstring of a class that has none: to read it, the library loads a tokenizer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter, ge, gt, le, lt
from reprlib import recursive_repr
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, TypeAlias

__all__ = ["dataclass"]

_Class: TypeAlias = Any
"""A class whose methods are still to come, for which a type checker has no word."""

_Values: TypeAlias = Callable[[Any], Any]
"""Returns the values of some fields of an object as a tuple."""

_SET = object.__setattr__
_ORDER = {"__lt__": lt, "__le__": le, "__gt__": gt, "__ge__": ge}

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False, kw_only=False, eq=True, order=False):
        """Returns the dataclass of a class, or what makes one; see the library."""

        def made(cls):
            return _made(cls, frozen=frozen, slots=slots, kw_only=kw_only, eq=eq, order=order)

        return made if cls is None else made(cls)


def _made(
    cls: _Class, *, frozen: bool, slots: bool, kw_only: bool, eq: bool, order: bool
) -> _Class:
    """Returns the dataclass of a class.

    The library makes one without methods, which is frozen for all that it knows.
    """
    cls.__doc__ = cls.__doc__ or cls.__name__
    own = dict(vars(cls))
    bare = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)
    made: _Class = bare(cls)
    fields = dataclasses.fields(made)
    methods: dict[str, Any] = {"__init__": _late_init(made, is_frozen=frozen), "__repr__": _repr}
    compared = _values_of(field.name for field in fields if field.compare)
    if eq:
        methods["__eq__"] = _equals(compared)
    if order:
        methods |= {name: _ordered(compared, compare) for name, compare in _ORDER.items()}
    if frozen:
        methods |= _refusing(made, frozenset(field.name for field in fields))
    if frozen and slots:
        methods |= {"__getstate__": _state, "__setstate__": _set_state}
    for name, method in methods.items():
        if name not in own:
            setattr(made, name, method)
    has_own_hash = own.get("__hash__") is not None or ("__hash__" in own and "__eq__" not in own)
    if eq and not has_own_hash:
        hashed = _values_of(field.name for field in fields if _is_hashed(field))
        made.__hash__ = _hash(hashed) if frozen else None
    return made


def _is_hashed(field: Field[Any]) -> bool:
    return field.compare if field.hash is None else field.hash


def _values_of(names: Iterable[str]) -> _Values:
    match list(names):
        case []:
            return lambda _: ()
        case [name]:
            return lambda it: (getattr(it, name),)
        case several:
            return attrgetter(*several)


def _equals(values: _Values) -> Callable[[Any, object], Any]:
    def equals(self: Any, other: object) -> Any:
        if other.__class__ is self.__class__:
            return values(self) == values(other)
        return NotImplemented

    return equals


def _ordered(values: _Values, compare: Callable[[Any, Any], Any]) -> Callable[[Any, object], Any]:
    def ordered(self: Any, other: object) -> Any:
        if other.__class__ is self.__class__:
            return compare(values(self), values(other))
        return NotImplemented

    return ordered


def _hash(values: _Values) -> Callable[[Any], int]:
    def hashed(self: Any) -> int:
        return hash(values(self))

    return hashed


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refusing(cls: _Class, names: frozenset[str]) -> dict[str, Callable[..., None]]:
    """Returns the methods by which an object of a class refuses to be changed."""

    def refuse(self: Any, name: str, what: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot {what} field {name!r}")

    def set_value(self: Any, name: str, value: Any) -> None:
        refuse(self, name, "assign to")
        super(cls, self).__setattr__(name, value)

    def delete(self: Any, name: str) -> None:
        refuse(self, name, "delete")
        super(cls, self).__delattr__(name)

    return {"__setattr__": set_value, "__delattr__": delete}


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        _SET(self, field.name, value)


def _late_init(cls: _Class, *, is_frozen: bool) -> Callable[..., None]:
    """Returns an `__init__` that puts a compiled one in its place when it is first called."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if cls.__init__ is init:
            cls.__init__ = _init(cls, is_frozen=is_frozen)
        cls.__init__(self, *args, **kwargs)

    return init


def _init(cls: _Class, *, is_frozen: bool) -> Callable[..., None]:
    """Compiles the `__init__` that the library would."""
    names: dict[str, Any] = {"_SET": _SET, "_MISSING": MISSING}
    positional: list[str] = ["self"]
    by_name: list[str] = []
    body: list[str] = []
    for field in dataclasses.fields(cls):
        names[f"_default_{field.name}"] = field.default
        names[f"_make_{field.name}"] = field.default_factory
        if field.init:
            (by_name if field.kw_only else positional).append(_parameter(field))
        value = _value(field)
        if value:
            name = field.name
            plain = f"self.{name} = {value}"
            body.append(_setting(cls, name, value, names) if is_frozen else plain)
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join([*positional, *(["*", *by_name] if by_name else [])])
    text = f"def __init__({parameters}):\n " + "\n ".join(body or ["pass"])
    exec(text, names)  # noqa: S102 - as the library does, of names of fields alone
    made: Callable[..., None] = names["__init__"]
    return made


def _setting(cls: _Class, name: str, value: str, names: dict[str, Any]) -> str:
    """Returns what sets a field of an object that refuses to be changed."""
    slot = next((vars(each)[name] for each in cls.__mro__ if name in vars(each)), None)
    if not isinstance(slot, MemberDescriptorType):
        return f"_SET(self, {name!r}, {value})"
    names[f"_slot_{name}"] = slot.__set__
    return f"_slot_{name}(self, {value})"


def _parameter(field: Field[Any]) -> str:
    if field.default is not MISSING:
        return f"{field.name}=_default_{field.name}"
    if field.default_factory is not MISSING:
        return f"{field.name}=_MISSING"
    return field.name


def _value(field: Field[Any]) -> str:
    """Returns what a field of a new object is set to; empty for one that is set elsewhere."""
    name = field.name
    if field.default_factory is not MISSING:
        given = f"{name} if {name} is not _MISSING else " if field.init else ""
        return f"{given}_make_{name}()"
    if field.init:
        return name
    return "" if field.default is MISSING else f"_default_{name}"

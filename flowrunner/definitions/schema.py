"""Checking data against the flow schema: a fast yes, and a patient explanation of every no.

`jsonschema-rs` says yes in microseconds; only when it says no does `jsonschema` look for all
that is wrong (0.1 s to import). A test shows that the two agree; where they do not, the no
counts. What the errors mean is told by `flowrunner.definitions.schema_faults`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from flowrunner.definitions import codes
from flowrunner.model.ids import Json

if TYPE_CHECKING:  # else every start would load what explains mistakes, and a parser
    from flowrunner.definitions.schema_faults import LibraryError, SchemaProblem

MAX_PROBLEMS = 1_000
"""Most problems told of one file: more help nobody, and each takes its time to explain."""

_LAST_END = re.compile(r"\$\Z")


class FlowSchema:
    """The schema, ready to check: built once, used for every file."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    @cached_property
    def _fast(self) -> Any:
        import jsonschema_rs  # 4 MB: a restart with nothing changed checks nothing

        return jsonschema_rs.Draft202012Validator(dict(self.document))

    @cached_property
    def _patient(self) -> Any:
        from jsonschema import Draft202012Validator, validators
        from referencing import Registry

        extend: Any = validators.extend  # the library leaves it without types
        keywords = {"pattern": _fits_pattern, "uniqueItems": _is_unique}
        strict = extend(Draft202012Validator, keywords)
        return strict(dict(self.document), registry=Registry())

    def is_valid(self, data: Json) -> bool:
        """Whether the data fits; the fast way."""
        return bool(self._fast.is_valid(data))

    def problems(self, data: Json) -> list[SchemaProblem]:
        """Returns what does not fit, up to `MAX_PROBLEMS`, in no particular order."""
        if self.is_valid(data):
            return []
        from flowrunner.definitions.schema_faults import explain

        told = (p for error in self._patient.iter_errors(data) for p in explain(error))
        found = list(islice(dict.fromkeys(islice(told, 2 * MAX_PROBLEMS)), MAX_PROBLEMS))
        return _without_misspelt(found) or [self._unexplained(data)]

    def _unexplained(self, data: Json) -> SchemaProblem:
        """Returns a problem that only the fast library sees, in its words."""
        from flowrunner.definitions.schema_faults import SchemaProblem

        error = next(iter(self._fast.iter_errors(data)))
        path = tuple(error.instance_path)
        return SchemaProblem(
            code=codes.VALUE_NOT_ALLOWED, path=path, message=error.message, place=path
        )


def _fits_pattern(
    _validator: Any, pattern: str, instance: Json, _schema: Json
) -> Iterator[LibraryError]:
    """The keyword `pattern` with the `$` of JSON Schema, which no line break may follow.

    Source: ECMA-262, assertions of regular expressions, to which JSON Schema 2020-12 refers.
    """
    from jsonschema import ValidationError

    if isinstance(instance, str) and not re.search(_LAST_END.sub(r"\\Z", pattern), instance):
        yield ValidationError(f"does not match {pattern}")


def _is_unique(
    _validator: Any, wanted: Json, instance: Json, _schema: Json
) -> Iterator[LibraryError]:
    """The keyword `uniqueItems` for texts and numbers, in linear time, which the library's is not.

    Where our schema has it, other items are refused for their type.
    """
    from jsonschema import ValidationError

    is_list = wanted and isinstance(instance, list)
    plain = [item for item in instance if isinstance(item, str | int | float)] if is_list else []
    if len({(isinstance(item, bool), item) for item in plain}) < len(plain):
        yield ValidationError("has an entry twice")


def _without_misspelt(problems: Iterable[SchemaProblem]) -> list[SchemaProblem]:
    """Leaves out keys that are missing only because they are misspelt beside."""
    found = list(problems)
    misspelt = {(*problem.path[:-1], problem.meant) for problem in found if problem.meant}
    return [p for p in found if p.code is not codes.MISSING_KEY or p.place not in misspelt]

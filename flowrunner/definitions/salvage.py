"""What is left to check of data that does not fit the schema.

A person who mends a file wants all of its mistakes at once. So what does not fit is replaced by
what was probably meant, else by something harmless, until the structure is one that the checks
can work on. Nothing that they say about a replaced value is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowrunner.dataclass import dataclass
from flowrunner.definitions.document import Path
from flowrunner.definitions.schema import MAX_PROBLEMS, FlowSchema
from flowrunner.definitions.schema_faults import SchemaProblem, is_node_type
from flowrunner.model.finding import Finding, pointer_of
from flowrunner.model.ids import Json

_IDS = (("nodes", "id"), ("finally", "id"))
"""Places of the ids of nodes, but for their index."""

_ROUNDS = 4
"""How often it is tried: a replaced value may bring to light what does not fit below it."""

_BOUNDS = frozenset(
    {
        *("pattern", "propertyNames", "uniqueItems", "minProperties"),
        *("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"),
    }
)
_NAMED = ("properties", "$defs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """Data that the checks can work on.

    Attributes:
        doubtful: Paths that had a problem; values and keys at, above and below one may be ours.
        replaced: Pointers of values that are not the author's, so that no finding is about them.
    """

    data: Json
    doubtful: frozenset[Path]
    replaced: frozenset[str]

    def concerns_author(self, finding: Finding) -> bool:
        """Whether a finding is about something that stands in the file."""
        parts = finding.pointer.split("/")
        return not any(
            "/".join(parts[:count]) in self.replaced for count in range(2, len(parts) + 1)
        )


class Salvager:
    """Makes data checkable; keeps the schema of the mere structure, built on first use."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._structure = FlowSchema(_structure_of(document))

    def salvage(self, data: Json, problems: Iterable[SchemaProblem]) -> Salvaged | None:
        """Returns checkable data, or None when the structure is beyond repair.

        Args:
            data: Stays as it is; its aliases are resolved in the copy.
            problems: What the whole schema has against it.
        """
        told = list(problems)
        if len(told) == MAX_PROBLEMS or not all(problem.place for problem in told):
            return None  # there are more than are known, or there is nothing to save
        mended = _copied(data)
        for _ in range(_ROUNDS):
            faults = self._structure.problems(mended)
            if not faults:
                replaced = {pointer_of(path) for problem in told for path in _replaced(problem)}
                return Salvaged(
                    data=mended,
                    doubtful=frozenset(problem.place for problem in told),
                    replaced=frozenset(replaced),
                )
            for fault in faults:
                _mend(mended, fault)
        return None


def _structure_of(schema: Any) -> Any:
    """Returns a schema without bounds on values: types, keys and words remain."""
    if isinstance(schema, list):
        return [_structure_of(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _structure_of(item) for name, item in value.items()}
        if key in _NAMED
        else _structure_of(value)
        for key, value in schema.items()
        if key not in _BOUNDS
    }


def _replaced(problem: SchemaProblem) -> list[Path]:
    """Returns the paths whose values are not the author's."""
    *parent, last = problem.place or ("",)
    if problem.meant:
        return [(*parent, problem.meant)]
    if problem.at_key:
        return []
    is_kind = last == "type" and not is_node_type(problem.place)
    return [tuple(parent) if is_kind else problem.place]


def _mend(data: Json, problem: SchemaProblem) -> None:
    """Puts something that fits in the place of a problem, or nothing."""
    *parents, last = problem.place
    holder = data
    try:
        for part in parents:
            holder = holder[part]
        if problem.instead:
            _put(holder, problem)
        elif isinstance(holder, dict):  # an entry of a list stays, or others would move
            value = holder.pop(last)
            if problem.meant:
                holder[problem.meant] = value
    except (KeyError, IndexError, TypeError):
        return  # something above it was mended before


def _put(holder: Json, problem: SchemaProblem) -> None:
    last = problem.place[-1]
    if is_node_type(problem.place):
        # As a script the node may keep the most keys, whatever its type was meant to be.
        for key in ("type", "params"):
            holder.pop(key, None)
        holder.setdefault("run", "true")
    elif problem.place != problem.path and problem.place[::2] in _IDS:
        holder[last] = (
            f"{problem.place[0]}-{problem.place[1]}"  # no name of a node, so it meets no other
        )
    else:
        holder[last] = _copied(problem.instead[0])


def _copied(value: Json) -> Json:
    """Returns a copy in which nothing is shared."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value

"""Secrets in expressions: where they may stand, how they are named, and that they decide nothing.

What an expression makes of a secret is judged by `flowrunner.model.expressions`; this module says
which places keep it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from flowrunner.definitions import codes
from flowrunner.definitions.checks.places import CONDITIONS, Kind
from flowrunner.definitions.codes import Code
from flowrunner.definitions.hints import did_you_mean
from flowrunner.model.expressions import UNDECIDED_HINT, Expression, Reference, disclosures

_KEEPS_SECRETS = frozenset({Kind.NODE_ENV, Kind.FLOW_ENV, Kind.STDIN, Kind.SECRET_PARAM})

_DECIDING = CONDITIONS | {Kind.FOREACH, Kind.ITEM}


class Complaint(NamedTuple):
    """A finding that lacks its place."""

    code: Code
    message: str
    offset: int
    hint: str


def complaint_about(
    reference: Reference, kind: Kind, listed: Collection[str] | None
) -> Complaint | None:
    """Returns what is wrong with a use of `secrets`, or None.

    Args:
        reference: The use.
        kind: Of the place it stands in.
        listed: The names under `secrets` of the flow; None when they are in doubt.
    """
    offset, path = reference.offset, reference.path
    name = path[0] if path and isinstance(path[0], str) else None
    if kind not in _KEEPS_SECRETS:
        message = f"a secret is not allowed in {kind.value}"
        hint = UNDECIDED_HINT if kind in _DECIDING else _way_of(name or "NAME")
    elif name is None:
        message = "a secret is used by its name"
        hint = "write secrets.NAME, with a name that the flow lists under 'secrets'"
    elif len(path) > 1:
        message = "a secret is a text and has no members"
        hint = f"from_json(secrets.{name}) has those of a JSON text"
    elif listed is not None and name not in listed:
        message = f"the flow does not list the secret {name!r}"
        hint = did_you_mean(name, listed) or f"add secrets: [{name}] to the flow"
        return Complaint(codes.UNKNOWN_NAME, message, offset, hint)
    else:
        return None
    return Complaint(codes.SECRET_MISUSE, message, offset, hint)


def _way_of(name: str) -> str:
    """Returns the hint with the way by which a secret goes to where it is used."""
    return f'a program gets it: env: {{{name}: "${{{{ secrets.{name} }}}}"}} on shell or exec'


def complaints_about(expression: Expression, kind: Kind) -> Iterator[Complaint]:
    """Yields a complaint about each operand by which a secret would decide.

    Where no secret may stand each use has its complaint already.
    """
    if kind in _KEEPS_SECRETS:
        for message, offset in disclosures(expression):
            yield Complaint(codes.SECRET_MISUSE, message, offset, UNDECIDED_HINT)
